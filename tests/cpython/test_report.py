"""How the outcomes of CPython's tests are counted and told."""

from __future__ import annotations

import re

from tests.cpython import report
from tests.cpython.runs import Outcome

MODULE = "test_ssl"
PASS, THROUGH = Outcome("pass", "", 0), Outcome("pass", "", 2)
FAIL, LOST = Outcome("fail", "OSError: no", 1), Outcome("fail", "no end within 60 s", -1)


def rows(*pairs: tuple[Outcome, Outcome]) -> list[report.Row]:
    names = [f"{MODULE}.Tests.test_{number}" for number in range(len(pairs))]
    kernel, ours = zip(*pairs, strict=True)
    return report.rows(MODULE, dict(zip(names, kernel, strict=True)), dict(zip(names, ours, strict=True)))


def test_what_passes_on_the_kernel_and_made_a_connection_counts() -> None:
    found = rows((PASS, THROUGH), (PASS, FAIL), (PASS, PASS), (FAIL, THROUGH), (FAIL, FAIL))
    assert [row.counts for row in found] == [True, True, False, False, False]
    assert report.share(found) == 0.5


def test_a_test_that_did_not_end_counts_as_one_that_failed() -> None:
    assert report.share(rows((PASS, THROUGH), (PASS, LOST))) == 0.5


def test_a_test_that_ours_did_not_run_counts_as_one_that_failed() -> None:
    (row,) = report.rows(MODULE, {"test_ssl.Tests.test_0": PASS}, {})
    assert row.counts
    assert row.differs


def test_the_share_is_not_rounded_up() -> None:
    lines = list(report.table(rows(*[(PASS, THROUGH)] * 1999, (PASS, FAIL))))
    assert lines[2] == "| `test_ssl` | 2000 | 2000 | 2000 | 1999 | 99.9 | 3,999 |"
    assert lines[3].startswith("| **all** | 2000 |")


def test_a_difference_wants_a_reason() -> None:
    (complaint,) = report.complaints(rows((PASS, THROUGH), (PASS, FAIL)), [])
    assert complaint == "test_ssl.Tests.test_1 has no reason: OSError: no"


def test_a_reason_wants_a_difference() -> None:
    reason = report.Reason(("test_ssl.Tests.test_0", "test_ssl.Other.test_that_was_not_run"), "So it is.")
    found = rows((PASS, THROUGH))
    assert report.complaints(found, [reason]) == ["test_ssl.Tests.test_0 passes, but has a reason not to"]


def test_the_document_names_what_passes_and_why_the_rest_does_not() -> None:
    found = rows((PASS, THROUGH), (PASS, FAIL), (PASS, PASS))
    text = report.document(found, [report.Reason(("test_ssl.Tests.test_1",), "So it is.")])
    assert "| `test_ssl.Tests.test_1` | OSError: no | So it is. |" in text
    assert "- `Tests`: test_0\n" in text


def test_the_published_document_is_of_a_run_that_gave_95_percent() -> None:
    text = report.DOCUMENT.read_text()
    match = re.search(r"^\| \*\*all\*\* \| \d+ \| \d+ \| (\d+) \| (\d+) \|", text, re.MULTILINE)
    assert match is not None
    counted, passed = map(int, match.groups())
    assert passed >= 0.95 * counted
    assert counted > 700
    for reason in report.read_reasons():
        assert reason.why in text

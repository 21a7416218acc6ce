"""What CPython's tests said of our sockets: a table, and docs/cpython-tests.md."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from tests.cpython.runs import MODULES, ROOT, Outcome

DOCUMENT: Final = ROOT / "docs" / "cpython-tests.md"
REASONS: Final = Path(__file__).with_name("reasons.toml")

INTRODUCTION: Final = """\
# CPython's own tests, on our sockets

Made by `python campaigns/cpython_tests.py`, which takes some twelve minutes; do not edit. Each of these modules of the
installed Python's package `test` runs twice, whole, in processes of its own: on the kernel's sockets, and with
`synfin.socket` in the place of the standard one, where every TCP socket for 127.0.0.0/8 and ::1 belongs to a stack in
that process.

A test **counts** if it passes on the kernel's sockets and at least one connection went through our stack while it ran
on ours: one that a listener of ours accepted, by the host's counter `TcpPassiveOpens`. A test that did not come to its
end counts too, as nobody could say.

{table}

Python {python}, Linux {kernel}. A few tests skip for want of servers on the internet: nothing leaves this machine.
`test_selectors` runs with pairs of TCP sockets, as on systems without AF_UNIX. What a module's tests do without a
connection (mocks, AF_UNIX, UDP, VSOCK) is not counted, and the kernel's and ours agree there but for what stands below.
"""


class Row(NamedTuple):
    """A test, and what became of it on either side."""

    module: str
    name: str
    kernel: Outcome
    ours: Outcome

    @property
    def counts(self) -> bool:
        return self.kernel.outcome == "pass" and self.ours.connections != 0

    @property
    def differs(self) -> bool:
        return self.kernel.outcome == "pass" and self.ours.outcome != "pass"


class Reason(NamedTuple):
    """Why tests do not pass on ours."""

    names: tuple[str, ...]
    why: str


def rows(module: str, kernel: Mapping[str, Outcome], ours: Mapping[str, Outcome]) -> list[Row]:
    """The tests of both runs of `module`, in order. One that only one side knows has failed on the other."""
    unknown = Outcome("fail", "it was not run", -1)
    names = [*kernel, *(name for name in ours if name not in kernel)]
    return [Row(module, name, kernel.get(name, unknown), ours.get(name, unknown)) for name in names]


def read_reasons() -> list[Reason]:
    """What somebody wrote down, from `reasons.toml`."""
    entries = tomllib.loads(REASONS.read_text())["reason"]
    return [Reason(tuple(one["tests"]), " ".join(one["why"].split())) for one in entries]


def complaints(found: Sequence[Row], reasons: Sequence[Reason]) -> list[str]:
    """Differences that nobody gave a reason for, and reasons for what passes."""
    differing = {row.name for row in found if row.differs}
    known = {name for reason in reasons for name in reason.names}
    wrong = [f"{row.name} has no reason: {row.ours.why}" for row in found if row.differs and row.name not in known]
    ran = {row.name for row in found}
    for reason in reasons:
        wrong += [f"{name} passes, but has a reason not to" for name in reason.names if name in ran - differing]
    return wrong


def table(found: Iterable[Row]) -> Iterator[str]:
    """The numbers, by module, as lines of Markdown."""
    yield "| module | tests | pass on the kernel | of them through ours | pass on ours | % | connections |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    found = list(found)
    for module in MODULES:
        mine = [row for row in found if row.module == module]
        if mine:
            yield _line(f"`{module}`", mine)
    yield _line("**all**", found)


def _line(title: str, found: Sequence[Row]) -> str:
    counted = [row for row in found if row.counts]
    passed = sum(row.ours.outcome == "pass" for row in counted)
    # Rounded down: 100 is all.
    share = f"{passed * 1000 // len(counted) / 10:.1f}" if counted else "–"
    numbers = (
        len(found),
        sum(row.kernel.outcome == "pass" for row in found),
        len(counted),
        passed,
        share,
        f"{sum(max(row.ours.connections, 0) for row in found):,}",
    )
    return f"| {title} | " + " | ".join(map(str, numbers)) + " |"


def share(found: Iterable[Row]) -> float:
    """Of the tests that count, how many pass."""
    counted = [row for row in found if row.counts]
    return sum(row.ours.outcome == "pass" for row in counted) / max(len(counted), 1)


def document(found: Sequence[Row], reasons: Sequence[Reason]) -> str:
    """docs/cpython-tests.md."""
    kernel = ".".join(platform.release().split(".")[:2])
    parts = [
        INTRODUCTION.format(table="\n".join(table(found)), python=platform.python_version(), kernel=kernel),
        *_differences("## Tests that count and fail", [row for row in found if row.differs and row.counts], reasons),
        *_differences("## Others that fail", [row for row in found if row.differs and not row.counts], reasons),
        "## The tests that count and pass\n",
        *_names([row for row in found if row.counts and row.ours.outcome == "pass"]),
    ]
    return "\n".join(parts) + "\n"


def _differences(title: str, found: Sequence[Row], reasons: Sequence[Reason]) -> Iterator[str]:
    yield title
    if not found:
        yield "\nNone.\n"
        return
    yield "\n| test | what came | why |\n|---|---|---|"
    for row in found:
        why = next((reason.why for reason in reasons if row.name in reason.names), "")
        came = row.ours.why.replace("|", "\\|")
        yield f"| `{row.name}` | {came} | {why} |"
    yield ""


def _class_of(row: Row) -> str:
    return row.name.removeprefix(f"{row.module}.").partition(".")[0]


def _names(found: Iterable[Row]) -> Iterator[str]:
    for module, mine in groupby(found, lambda row: row.module):
        yield f"### {module}\n"
        for kind, tests in groupby(mine, _class_of):
            names = ", ".join(row.name.rpartition(".")[2] for row in tests)
            yield f"- `{kind}`: {names}"
        yield ""

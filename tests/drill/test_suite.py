"""Many scripts: where they are found, what is told of them, and how quick they are."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from synfin.drill.language.parser import parse
from synfin.drill.options import Choices
from synfin.drill.outcome import FAILED, PASSED, SKIPPED, Result
from synfin.drill.report import summed, told
from synfin.drill.run.dialect import dialect_profile
from synfin.drill.suite import as_json, run_all, run_file, run_text, scripts
from synfin.drill.tally import tallies
from tests.drill.running import ACCEPTED, fails, passes, play, skips

WRONG = ACCEPTED + "+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that passes, one that fails, two that are skipped, and something else."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "b.pkt").write_text(ACCEPTED)
    (tmp_path / "one" / "a.pkt").write_text(WRONG)
    (tmp_path / "two" / "c.pkt").write_text("--udp_encapsulation=sctp:1:2\n" + ACCEPTED)
    (tmp_path / "two" / "d.pkt").write_text("--udp_encapsulation=sctp:1:2\n" + ACCEPTED)
    (tmp_path / "two" / "README").write_text("no script")
    return tmp_path


def test_scripts_are_found(folder: Path) -> None:
    names = [path.name for path in scripts([folder])]
    assert names == ["a.pkt", "b.pkt", "c.pkt", "d.pkt"]
    assert scripts([folder / "two" / "README", folder / "two", folder]) == [
        folder / "two" / "README",
        *scripts([folder / "two"]),
        *scripts([folder / "one"]),
    ]
    with pytest.raises(FileNotFoundError):
        scripts([folder / "three"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order(folder: Path, jobs: int) -> None:
    results = list(run_all(scripts([folder]), Choices(), jobs))
    assert [Path(result.path).name for result in results] == ["a.pkt", "b.pkt", "c.pkt", "d.pkt"]
    assert [result.status for result in results] == [FAILED, PASSED, SKIPPED, SKIPPED]


def test_the_sums(folder: Path) -> None:
    found = tallies(run_all(scripts([folder]), Choices()))
    assert list(found) == [str(folder / "one"), str(folder / "two")]
    assert summed(found, True).splitlines() == [
        f"{folder}/one: 1 passed, 1 failed, 0 skipped (1 passed leniently)",
        f"{folder}/two: 0 passed, 0 failed, 2 skipped (0 passed leniently)",
        "    2 × UDP encapsulation is not supported",
        "all: 1 passed, 1 failed, 2 skipped (1 passed leniently)",
    ]
    assert summed(found, False, "zh").splitlines()[-1] == "合计: 通过 1，未通过 1，跳过 2"


def test_json(folder: Path) -> None:
    choices = Choices()
    value = json.loads(as_json(list(run_all(scripts([folder]), choices)), choices))
    assert (value["passed"], value["failed"], value["skipped"], value["passed_leniently"]) == (1, 1, 2, 1)
    assert value["results"][0] == {
        "path": str(folder / "one" / "a.pkt"),
        "status": "failed",
        "reason": "another packet left: length: expected 11, got 10",
        "line": 11,
        "lenient": "failed",
    }
    assert value["results"][2]["status"] == "skipped"


def test_a_failure_is_told() -> None:
    result = play(WRONG)
    lines = told(result).splitlines()
    assert lines[:3] == [
        "FAILED: script.pkt:11: another packet left: length: expected 11, got 10",
        "  expected  +0 > P. 1:12(11) ack 1",
        "  actual    > P. 1:11(10) ack 1",
    ]
    assert "SYN+ACK seq=0 ack=1" in told(result)
    assert "len=10" in told(result)
    chinese = told(play(WRONG, language="zh"), "zh")
    assert chinese.startswith("未通过：script.pkt:11：")
    assert "报文1" in chinese
    assert told(Result("x", PASSED)) == "passed: x"
    assert told(Result("x", SKIPPED, "why", 3)) == "skipped: x:3: why"


def test_a_failed_call_is_told() -> None:
    lines = told(play(ACCEPTED + "+0 write(4, ..., 10) = 9")).splitlines()
    assert lines[1:4] == ["  script    +0 write(4, ..., 10) = 9", "  expected  9", "  actual    10"]


def test_a_script_that_cannot_be_read_fails_at_its_place() -> None:
    result = run_text("0 socket(...) = 3\n+0 nonsense", "x.pkt", Choices())
    assert (result.status, result.line, result.lenient) == (FAILED, 2, FAILED)
    assert "column" in result.reason
    fails("-D SIZE=(\n" + ACCEPTED + "+0 write(4, ..., SIZE) = 1")


def test_a_file_that_cannot_be_read_fails(tmp_path: Path) -> None:
    assert run_file(tmp_path / "x.pkt", Choices()).status == FAILED
    (tmp_path / "x.pkt").write_bytes(b"\xff\xfe" * 100)
    assert run_file(tmp_path / "x.pkt", Choices()).status == FAILED


def test_an_error_of_our_own_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*arguments: object) -> None:
        raise KeyError("broken")

    monkeypatch.setattr("synfin.drill.run.runner.Run._do", breaks)
    result = run_text(ACCEPTED, "x.pkt", Choices())
    assert (result.status, result.reason) == (FAILED, "internal error: KeyError: 'broken'")
    with pytest.raises(KeyError):
        run_text(ACCEPTED, "x.pkt", Choices(debug=True))


# --- dialects and options


@pytest.mark.parametrize(
    ("name", "text", "profile"),
    [
        ("x.pkt", ACCEPTED, "linux-suite"),
        ("linux/x.pkt", ACCEPTED, "linux-suite"),
        ("freebsd/x.pkt", ACCEPTED, "freebsd"),
        ("tests/FreeBSD-13/a/x.pkt", ACCEPTED, "freebsd"),
        ("freebsd.pkt", ACCEPTED, "linux-suite"),
        ("profiles/rfc/x.pkt", ACCEPTED, "rfc"),
        ("profiles/linux/x.pkt", ACCEPTED, "linux"),
        ("profiles/other/x.pkt", ACCEPTED, "linux-suite"),
        ("x.pkt", "`sysctl net.inet.tcp.msl=5`" + ACCEPTED, "freebsd"),
        ("x.pkt", ACCEPTED + "+0 `sockstat -4 | grep -c LISTEN`", "freebsd"),
        ("x.pkt", ACCEPTED + "`tcpdrop -a`", "freebsd"),
        ("x.pkt", ACCEPTED + "+0 > . 1:1(0)! ack 1", "freebsd"),
        ("x.pkt", ACCEPTED + "+0 > . ...(0) ack 1", "freebsd"),
    ],
)
def test_the_dialect(name: str, text: str, profile: str) -> None:
    assert dialect_profile(parse(text, name)) == profile


def test_the_profile_may_be_given() -> None:
    passes(ACCEPTED, profile="linux")
    syn_ack = ACCEPTED.replace("S 0:0(0) win 32792 <mss 1000>", "SEW 0:0(0) win 32792 <mss 1000>")
    passes(syn_ack)
    fails(syn_ack, "flags: expected S., got SE.", profile="linux")


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--udp_encapsulation=sctp:1:2", "UDP encapsulation"),
        ("--tcp_md5_secret=abc", "MD5"),
        ("--no_such_option", "--no_such_option is not known"),
        ("--mtu=x", "--mtu takes a number"),
        ("--mtu=99999", "--mtu takes a number"),
        ("--bind_port=0", "--bind_port takes a number"),
        ("--ip_version=ipv5", "--ip_version=ipv5"),
        ("--tolerance_percent=x", "--tolerance_percent takes a number"),
        ("--local_ip=x", "is no address"),
    ],
)
def test_options_that_are_not_supported(option: str, reason: str) -> None:
    skips(option + "\n" + ACCEPTED, reason)


@pytest.mark.parametrize(
    "option", ["--send_omit_free", "--verbose", "--gateway_ip=192.168.0.2", "--netmask_ip=255.255.0.0"]
)
def test_options_that_change_nothing(option: str) -> None:
    passes(option + "\n" + ACCEPTED)


def test_two_hundred_scripts_take_little_time(tmp_path: Path) -> None:
    """They may take 20 s; far less is usual, so that a slow machine does not matter here."""
    for number in range(200):
        (tmp_path / f"{number:03}.pkt").write_text(
            ACCEPTED + "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n"
        )
    start = time.monotonic()
    results = list(run_all(scripts([tmp_path]), Choices(), 2))
    assert {result.status for result in results} == {PASSED}
    assert time.monotonic() - start < 20

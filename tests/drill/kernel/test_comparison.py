"""Scripts played to the Linux kernel: ours, of which CI plays a sample, and small ones about the player itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from synfin.drill.kernel.bench import OF_LINUX, as_synfin
from synfin.drill.kernel.comparison import Comparison, compare, compare_file, duration
from synfin.drill.kernel.report import summed_comparisons, told_comparison
from synfin.drill.language.parser import parse
from synfin.drill.options import Choices
from synfin.drill.outcome import FAILED, PASSED, SKIPPED, Result
from tests.drill.kernel.against import FOLDER, KNOWN, name_of, play_all, playable
from tests.drill.kernel.differences import DIFFERENCES
from tests.drill.running import ACCEPTED, SMALL_WINDOW, WITH_OPTIONS

SECOND = 1_000_000_000
SAMPLE = 30
SEED = 793
#: Seconds that a script of the sample may take.
SHORT = 1.0


def played(text: str, **choices: str) -> Result:
    """What the kernel made of a script; played again where a busy machine held us up."""
    chosen = Choices(debug=True, **choices)  # type: ignore[arg-type]
    return compare(parse(text, "script.pkt"), chosen, attempts=2).kernel


# --- our scripts


@pytest.mark.tun
@pytest.mark.parametrize("ip", ["ipv4", "ipv6"])
def test_the_kernel_agrees_with_a_sample_of_ours(ip: str) -> None:
    short = [path for path in playable() if duration(parse(path.read_text("utf-8"))) <= SHORT * SECOND]
    sample = random.Random(f"{SEED} {ip}").sample(short, SAMPLE // 2)
    comparisons = play_all(sample, ip, SHORT, jobs=5)
    wrong = {name: each for name, each in comparisons.items() if each.kernel.status == FAILED and name not in KNOWN}
    assert not wrong, "\n".join(map(told_comparison, wrong.values()))
    assert sum(each.agrees for each in comparisons.values()) > SAMPLE // 4


def test_the_differences_are_few_and_each_says_what_and_why() -> None:
    assert len(DIFFERENCES) <= 10
    names = {name_of(path) for path in playable()}
    for difference in DIFFERENCES:
        assert difference.scripts
        assert set(difference.scripts) <= names
        assert len(difference.kernel) > 30
        assert difference.clause.startswith("RFC ")
    assert len(KNOWN) == sum(len(difference.scripts) for difference in DIFFERENCES)


def test_most_of_ours_are_played() -> None:
    played = [path for path in playable() if duration(parse(path.read_text("utf-8"))) <= 10 * SECOND]
    assert len(played) > 200
    assert all(FOLDER in path.parents for path in played)


# --- the player


@pytest.mark.tun
@pytest.mark.parametrize("ip", ["ipv4", "ipv6", "mapped"])
@pytest.mark.parametrize("script", [ACCEPTED, WITH_OPTIONS])
def test_a_handshake(script: str, ip: str) -> None:
    assert played(script, ip=ip).status == PASSED
    wrong = played(script.replace("> S. 0:0(0) ack 1", "> S. 0:0(0) ack 2"), ip=ip)
    assert wrong.status == FAILED
    assert "ack: expected 2, got 1" in wrong.reason


WAITING = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0...0.1 connect(3, ..., ...) = 0
+0 > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8>
+0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
+0 > . 1:1(0) ack 1
+0...0.2 read(3, ..., 1000) = 100
+0.2 < P. 1:101(100) ack 1 win 65535
+0 > . 1:1(0) ack 101
"""


@pytest.mark.tun
def test_a_small_window() -> None:
    assert played(SMALL_WINDOW).status == PASSED


@pytest.mark.tun
def test_calls_that_wait_return_when_the_kernel_lets_them() -> None:
    assert played(WAITING).status == PASSED
    late = played(WAITING.replace("0...0.2 read", "0...0.1 read"))
    assert (late.status, late.line) == (FAILED, 7)
    assert "read" in late.reason


@pytest.mark.tun
def test_a_call_that_still_waits_at_the_end_holds_nothing_up() -> None:
    before = descriptors_open()
    script = ACCEPTED + "+0...0.3 read(4, ..., 10) = 10\n+0.1 > . 1:1(0) ack 7\n"
    assert played(script).status == FAILED
    assert descriptors_open() == before


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.tun
def test_a_timer_of_the_kernel_s() -> None:
    script = ACCEPTED + "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+{} > P. 1:11(10) ack 1\n"
    # RTO: a round trip of 100 ms and Linux's least deviation.
    assert played(script.format("0.3")).status == PASSED
    assert "too early" in played(script.format("0.5")).reason
    assert "no packet left" in played(script.format("0.1")).reason


@pytest.mark.tun
def test_snippets_see_the_kernel_s_tcp_info() -> None:
    script = ACCEPTED + "+0 %{ assert tcpi_state == TCP_ESTABLISHED and tcpi_snd_mss == 1000, tcpi_snd_mss }%\n"
    assert played(script).status == PASSED
    wrong = played(script.replace("1000, tcpi", "999, tcpi"))
    assert (wrong.status, wrong.actual) == (FAILED, "tcpi_state = 1, tcpi_snd_mss = 1000")


@pytest.mark.tun
def test_commands_reach_the_kernel() -> None:
    head = "`sysctl -q net.ipv4.tcp_timestamps=0; ip route change default via 192.168.0.2 dev tun0 mtu 1300`"
    script = WITH_OPTIONS.replace("<mss 1460,sackOK,TS val 500 ecr 100,nop,", "<mss 1260,nop,nop,sackOK,nop,")
    script = script.replace(" <nop,nop,TS val 200 ecr 500>", "")
    assert played(head + script).status == PASSED
    assert played(script).status == FAILED
    counted = "+0 `nstat | grep TcpPassiveOpens`\n"
    assert played(ACCEPTED + counted).status == PASSED
    assert played(ACCEPTED + counted.replace("Passive", "Active")).status == FAILED


@pytest.mark.tun
@pytest.mark.parametrize(
    ("script", "choices", "reason"),
    [
        ("`sysctl -q synfin.tcp_blackhole=1`" + ACCEPTED, {}, "synfin's own parameters"),
        ("`sysctl -q net.ipv4.tcp_no_such_thing=1`" + ACCEPTED, {}, "no parameter net.ipv4.tcp_no_such_thing"),
        (ACCEPTED, {"profile": "freebsd"}, "cannot be 'freebsd'"),
        (ACCEPTED + "+3600 close(4) = 0\n", {}, "longer than 10 s"),
    ],
)
def test_what_the_kernel_cannot_be_driven_into_is_skipped(script: str, choices: dict[str, str], reason: str) -> None:
    result = played(script, **choices)
    assert result.status == SKIPPED
    assert reason in result.reason


@pytest.mark.tun
def test_three_columns_say_who_does_what(tmp_path: Path) -> None:
    path = tmp_path / "script.pkt"
    path.write_text(ACCEPTED + "+0 < . 1:101(100) ack 1 win 100\n+0 > . 1:1(0) ack 102\n")
    comparison = compare_file(path, Choices(), attempts=1)
    assert not comparison.agrees
    told = told_comparison(comparison).splitlines()
    assert told[0] == f"they differ: {path}"
    assert told[1].split() == ["line", "script", "kernel", "synfin"]
    assert told[3].split("  ")[1:] != []
    assert " ".join(told[3].split()).startswith("11 +0 > . 1:1(0) ack 102 > . 1:1(0) ack 101 > . 1:1(0) ack 101")
    assert "not reached" not in told_comparison(comparison)
    path.write_text(ACCEPTED)
    assert told_comparison(compare_file(path, Choices())) == f"agree: {path}"


def test_how_long_a_script_takes() -> None:
    assert duration(parse(ACCEPTED)) == SECOND // 10
    assert duration(parse(ACCEPTED + "+1...2.5 read(4, ..., 1) = 1\n* > . 1:1(0) ack 1\n")) == 26 * SECOND // 10
    assert duration(parse(ACCEPTED + "7 close(4) = 0\n+0.5 > F. 1:1(0) ack 1\n")) == 75 * SECOND // 10


def test_the_kernel_is_told_to_behave_as_synfin() -> None:
    for profile in OF_LINUX:
        values = as_synfin(profile)
        assert values["net.ipv4.tcp_congestion_control"] == "reno"
        assert values["net.ipv4.tcp_fastopen"] == values["net.ipv4.tcp_comp_sack_nr"] == "0"
        assert (values["net.ipv4.tcp_recovery"], values["net.ipv4.tcp_early_retrans"]) == ("1", "3")
    assert as_synfin("linux")["net.ipv4.tcp_syn_linear_timeouts"] == "4"
    assert as_synfin("linux-suite")["net.ipv4.tcp_syn_linear_timeouts"] == "0"


def test_who_failed_earlier_did_not_reach_the_line() -> None:
    kernel = Result("a", FAILED, "late", 5, "+0 > . 1:1(0) ack 1", "", "> . 1:1(0) ack 2")
    synfin = Result("a", FAILED, "early", 7, "+0 close(3) = 0", "", "-1 EBADF")
    lines = [" ".join(line.split()) for line in told_comparison(Comparison("a", kernel, synfin)).splitlines()]
    assert "5 +0 > . 1:1(0) ack 1 > . 1:1(0) ack 2 as the script" in lines
    assert "7 +0 close(3) = 0 not reached -1 EBADF" in lines


def test_the_sum() -> None:
    def one(kernel: str, reason: str = "") -> Comparison:
        return Comparison("a", Result("a", kernel, reason), Result("a", PASSED))

    comparisons = [one(PASSED), one(FAILED), one(SKIPPED, "why"), one(SKIPPED, "why")]
    assert summed_comparisons(comparisons).splitlines() == [
        "    2 × why",
        "the kernel agrees with 1 scripts, and with 1 not; 2 skipped",
    ]


@pytest.mark.tun
def test_a_script_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "script.pkt"
    path.write_text("+0 < nonsense\n")
    comparison = compare_file(path, Choices())
    assert comparison.kernel.status == comparison.synfin.status == FAILED
    assert comparison.kernel.line == 1


@pytest.mark.tun
def test_both_are_compared() -> None:
    both = compare(parse(ACCEPTED, "x"), Choices(profile="linux"))
    assert both.kernel.status == both.synfin.status == PASSED

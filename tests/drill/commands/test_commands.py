"""Commands in backticks: those that are known act on the host, all others skip the script. No shell runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from synfin.drill.language.parser import parse
from synfin.drill.options import Choices
from synfin.drill.run.runner import Run
from synfin.host.parameters import text
from tests.drill.running import ACCEPTED, fails, machine_of, passes, skips

SOCKET = "\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"


def value(name: str, command: str, profile: str | None = None) -> str:
    """The value of a parameter after a script with that command."""
    run = Run(parse(f"`{command}`{SOCKET}"), Choices(profile=profile, debug=True))
    result = run.result()
    assert result.status == "passed", result
    return text(machine_of(run).host.parameters.get(name))


@pytest.mark.parametrize(
    ("command", "name", "expected"),
    [
        ("sysctl -q net.ipv4.tcp_syn_retries=3", "net.ipv4.tcp_syn_retries", "3"),
        ("sysctl -q -w net.ipv4.tcp_syn_retries=3", "net.ipv4.tcp_syn_retries", "3"),
        ("sysctl -wq net.ipv4.tcp_rmem='4096 8192 9000'", "net.ipv4.tcp_rmem", "4096\t8192\t9000"),
        ('sysctl -q net.ipv4.tcp_rmem="4096 8192 9000"', "net.ipv4.tcp_rmem", "4096\t8192\t9000"),
        ("./set_sysctls.py /proc/sys/net/ipv4/tcp_syn_retries=3", "net.ipv4.tcp_syn_retries", "3"),
        ("../common/set_sysctls.py net.ipv4.tcp_sack=0 net.ipv4.tcp_syn_retries=3", "net.ipv4.tcp_syn_retries", "3"),
        ("sysctl -q net.ipv4.tcp_sack=0; sysctl -q net.ipv4.tcp_syn_retries=3", "net.ipv4.tcp_syn_retries", "3"),
        ("sysctl -q net.ipv4.tcp_sack=0 && sysctl -q net.ipv4.tcp_syn_retries=3", "net.ipv4.tcp_syn_retries", "3"),
        (
            "sysctl -q net.ipv4.tcp_sack=0\n sysctl -q net.ipv4.tcp_syn_retries=3 # three",
            "net.ipv4.tcp_syn_retries",
            "3",
        ),
        ("sysctl -q net.ipv4.tcp_syn_retries=3 > /dev/null 2>&1", "net.ipv4.tcp_syn_retries", "3"),
        ("sysctl net.inet.tcp.rfc1323=0", "net.ipv4.tcp_timestamps", "0"),
        ("sysctl net.inet.tcp.rfc1323=0", "net.ipv4.tcp_window_scaling", "0"),
        ("sysctl net.inet.tcp.cc.algorithm=newreno", "net.ipv4.tcp_congestion_control", "reno"),
        ("sysctl net.inet.tcp.sack.enable=0", "net.ipv4.tcp_sack", "0"),
        ("sysctl net.inet.tcp.recvspace=32768", "net.ipv4.tcp_rmem", "4096\t32768\t2097152"),
        ("sysctl net.inet.tcp.msl=5000", "synfin.tcp_timewait_len", "10"),
        ("sysctl net.inet.tcp.keepidle=60000", "net.ipv4.tcp_keepalive_time", "60"),
        ("sysctl net.inet.tcp.rexmit_min=100", "net.ipv4.tcp_rto_min_us", "100000"),
        ("sysctl net.inet.tcp.insecure_rst=1", "synfin.tcp_insecure_rst", "1"),
        ("sysctl net.inet.tcp.insecure_syn=1", "synfin.tcp_insecure_syn", "1"),
        ("sysctl net.inet.tcp.drop_synfin=0", "synfin.tcp_drop_synfin", "0"),
        ("sysctl net.inet.tcp.blackhole=2", "synfin.tcp_blackhole", "2"),
        ("sysctl -q net.ipv4.tcp_no_metrics_save=1", "net.ipv4.tcp_sack", "1"),
    ],
)
def test_parameters_are_set(command: str, name: str, expected: str) -> None:
    assert value(name, command) == expected
    assert value(name, "true") != expected or "no_metrics" in command


def test_the_suites_defaults() -> None:
    name = "net.ipv4.tcp_rmem"
    assert value(name, "true", "linux") == "4096\t131072\t33554432"
    for command in ("./defaults.sh", "../common/defaults.sh", ". ./defaults.sh", "bash ../defaults.sh"):
        assert value(name, command, "linux") == "4096\t540000\t15728640"


def test_what_was_set_is_restored() -> None:
    restoring = (
        "set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0 net.ipv4.tcp_syn_retries=3; /tmp/sysctl_restore_${PPID}.sh"
    )
    assert value("net.ipv4.tcp_sack", restoring) == "1"
    assert value("net.ipv4.tcp_syn_retries", restoring) == "5"


@pytest.mark.parametrize(
    "command",
    [
        "sysctl -q net.ipv4.tcp_no_such_name=1",
        "sysctl -q net.ipv4.tcp_fack=1",
        "sysctl -q net.ipv4.tcp_congestion_control=no_such",
        "sysctl -q net.ipv4.tcp_sack=7",
        "sysctl -q net.ipv4.tcp_sack=yes",
        "sysctl net.inet.tcp.rfc1323=7",
        "sysctl net.inet.tcp.no_such=1",
        "sysctl --system",
        "set_sysctls.py net.ipv4.tcp_sack",
        "touch PLACE",
        "touch PLACE; true",
        "true && touch PLACE",
        "true || touch PLACE",
        "echo $(touch PLACE)",
        "true & touch PLACE",
        "echo 1 > PLACE",
        "cat PLACE",
        "tc qdisc add dev tun0 root netem delay 10ms",
        "tc filter show",
        "ip link set dev tun0 down",
        "ip route change default dev tun0 quickack 1",
        "ip route change nonsense mtu 1000",
        "ip route change default mtu 10x",
        "ethtool -s tun0",
        "nstat | grep NoSuchCounter | wc -l",
        "nstat | grep -q TcpExtTCPNoSuchCounter",
        "nstat | awk 1",
        "nstat | grep '['",
        "tcpdrop 1 2",
        "nc -l 80 | grep x",
        "'",
    ],
)
def test_what_is_not_known_is_skipped_and_never_run(command: str, tmp_path: Path) -> None:
    place = tmp_path / "ran"
    skips(f"`{command.replace('PLACE', str(place))}`{SOCKET}")
    skips(f"{SOCKET}+0 `{command.replace('PLACE', str(place))}`")
    skips(f"{SOCKET}`{command.replace('PLACE', str(place))}`")
    assert not place.exists()


@pytest.mark.parametrize(
    "command",
    [
        "true",
        ":",
        "echo hello",
        "tc qdisc replace dev tun0 root fq",
        "tc qdisc del dev tun0 root",
        "ethtool -K tun0 tso off gso off",
        "ip tcp_metrics flush all",
        "nstat -n",
        "sysctl -q net.ipv4.tcp_tso_win_divisor=3",
        "sysctl net.ipv4.tcp_sack",
    ],
)
def test_what_changes_nothing_here(command: str) -> None:
    passes(f"`{command}`{SOCKET}")


def test_routes() -> None:
    script = ACCEPTED.replace("mss 1000", "mss 9000") + "+0 write(4, ..., 3000) = 3000\n+0 > . 1:{0}({1}) ack 1"
    strict = "--strict_segments\n"
    passes(strict + script.format(1461, 1460))
    passes(
        strict
        + "`ip route change default via 192.168.0.2 dev tun0 mtu 1000`"
        + script.format(961, 960).replace("1460", "960")
    )
    passes("`ip route change default dev tun0 advmss 900`" + ACCEPTED.replace("1460", "900"))
    passes("`ip route change default dev tun0 advmss 900`" + ACCEPTED.replace("1460", "900"), ip="ipv6")
    passes("`ip route replace 192.0.2.0/24 dev tun0 advmss 900`" + ACCEPTED.replace("1460", "900"))
    passes(
        "`ip route change default dev tun0 initcwnd 2`" + ACCEPTED + "+0 %{ assert tcpi_snd_cwnd == 2, tcpi_snd_cwnd }%"
    )


def test_counters() -> None:
    after = ACCEPTED + "+0 `nstat | grep -q {}`"
    passes(after.format("TcpPassiveOpens"))
    passes(after.format("'TcpPassiveOpens[[:space:]]*1'"))
    passes(after.format("-E '^TcpPassiveOpens +1 '"))
    fails(after.format("'TcpPassiveOpens[[:space:]]*2'"), "finds nothing")
    fails(after.format("TcpRetransSegs"), "finds nothing")
    # They count from the last time.
    fails(ACCEPTED + "+0 `nstat -n`\n+0 `nstat | grep -q TcpPassiveOpens`", "finds nothing")
    passes(ACCEPTED + "+0 `nstat -n`\n+0 `nstat -a | grep -q TcpPassiveOpens`")


def test_states() -> None:
    count = "+0 `sockstat -4 -c -s -P tcp | grep -c {}`"
    passes(ACCEPTED + count.format("ESTABLISHED"))
    fails(ACCEPTED + count.format("FIN_WAIT_1"), "finds nothing")
    test = "+0 `[ $(sockstat -46 -s -P tcp | grep -c LISTEN) -eq {} ]`"
    passes(ACCEPTED + test.format(1))
    fails(ACCEPTED + test.format(2), "counts 1")


def test_tcpdrop() -> None:
    passes(ACCEPTED + "+0 `tcpdrop -a`\n+0 > R. 1:1(0) ack 1")
    passes(ACCEPTED + "+0 `tcpdrop 192.168.0.1 8080 192.0.2.1 8080`\n+0 > R. 1:1(0) ack 1")
    fails(ACCEPTED + "+0 `tcpdrop 192.168.0.1 8080 192.0.2.1 8081`\n+0 > R. 1:1(0) ack 1", "no packet left")

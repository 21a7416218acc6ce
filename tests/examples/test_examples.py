"""The programs of examples/: on the simulated network, and the same files on this machine's kernel."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synfin.cli.main import main
from synfin.events import PacketTransmitted, StateChanged
from synfin.show.trace import Trace
from synfin.wire.ip import Segment
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, FIN, RST

EXAMPLES = Path(__file__).parents[2] / "examples"

# A script may leave its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)

Told = Callable[..., list[str]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """The lines that ``synfin run --net TOPOLOGY`` prints, without labels."""

    def run(topology: str, *arguments: object) -> list[str]:
        assert main(["run", "--net", str(EXAMPLES / topology), "--no-label", *map(str, arguments)]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out.splitlines()

    return run


class Kernel:
    """Runs programs on this machine's own TCP."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = str(free.getsockname()[1])
        self._running: list[subprocess.Popen[str]] = []

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, EXAMPLES / script, *arguments], stdout=subprocess.PIPE, text=True)
        self._running.append(process)
        return process

    def run(self, script: str, *arguments: str) -> list[str]:
        """What it prints. It is run again until a server is there."""
        for _ in range(200):
            done = subprocess.run(
                [sys.executable, EXAMPLES / script, *arguments], capture_output=True, text=True, check=False
            )
            if "refused" not in (done.stderr + done.stdout).lower():
                break
        assert done.stderr == ""
        return done.stdout.splitlines()

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.stop()


def sent(path: Path) -> list[tuple[str, Segment]]:
    return [
        (event.host, event.packet.payload)
        for event in Trace.read(path)
        if isinstance(event, PacketTransmitted) and isinstance(event.packet.payload, Segment)
    ]


def path_of(path: Path, host: str) -> list[str]:
    """The states through which the connection of a host went."""
    return [event.new for event in Trace.read(path) if isinstance(event, StateChanged) and event.host == host]


@pytest.mark.row("E3")
def test_hello_as_printed_ends_in_a_reset(told: Told, tmp_path: Path) -> None:
    """The server writes its whole buffer; the client leaves one octet unread and closes."""
    trace = tmp_path / "trace"
    lines = told("hello/hello.toml", "--events", trace, EXAMPLES / "hello" / "client.py", "server")
    assert lines == ["Message from server: Hello, Client!"]
    segments = sent(trace)
    assert [one.payload_length for host, one in segments if host == "server" and one.payload_length] == [1024]
    assert [one.flags & RST for host, one in segments if host == "server"] == [0, 0, 0]
    assert any(host == "client" and one.flags & RST for host, one in segments)
    assert "TIME-WAIT" not in path_of(trace, "server")


@pytest.mark.row("E3")
def test_hello_corrected_ends_with_four_messages(told: Told, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    lines = told("hello/corrected_hello.toml", "--events", trace, EXAMPLES / "hello" / "corrected_client.py", "server")
    assert lines == ["Message from server: Hello, Client!"]
    segments = sent(trace)
    (first, theirs), (second, ours) = [(host, one) for host, one in segments if one.flags & FIN]
    assert (first, second) == ("server", "client")
    # FIN, ACK, FIN, ACK: each FIN is acknowledged by a message of its own.
    end = wrap(theirs.seq + theirs.payload_length + 1)
    assert [(host, one.flags) for host, one in segments if one.ack == end] == [("client", ACK), ("client", FIN | ACK)]
    assert (segments[-1][0], segments[-1][1].flags, segments[-1][1].ack) == ("server", ACK, wrap(ours.seq + 1))
    assert path_of(trace, "server")[-3:] == ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
    assert path_of(trace, "client")[-3:] == ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]


@pytest.mark.row("E3")
@pytest.mark.parametrize("kind", ["", "corrected_"])
def test_hello_says_the_same_on_the_kernel(kind: str, kernel: Kernel) -> None:
    kernel.start(f"hello/{kind}server.py", kernel.port)
    lines = kernel.run(f"hello/{kind}client.py", "127.0.0.1", kernel.port)
    assert lines == ["Message from server: Hello, Client!"]


@pytest.mark.row("E7")
def test_time_outs_hold_for_one_socket(told: Told) -> None:
    script = EXAMPLES / "time_outs" / "client.py"
    assert told("time_outs/time_outs.toml", script, "server", "8080", "10", "dead") == [
        "connect, with SO_SNDTIMEO: EINPROGRESS after 10.0 s",
        # The host's own: 4 linear SYNs, and 6 retransmissions that take twice as long each time.
        "connect, without: ETIMEDOUT after 131.0 s",
        "recv, with SO_RCVTIMEO: EAGAIN after 10.0 s",
        "the other still waits: True",
        "recv, without: b'' after 20.0 s",
    ]


@pytest.mark.row("E7")
def test_time_outs_are_the_kernels(kernel: Kernel) -> None:
    kernel.start("time_outs/server.py", kernel.port)
    bounded, waits, other = kernel.run("time_outs/client.py", "127.0.0.1", kernel.port, "0.5")
    found = re.fullmatch(r"recv, with SO_RCVTIMEO: EAGAIN after ([0-9.]+) s", bounded)
    assert found is not None
    assert float(found[1]) >= 0.5
    assert waits == "the other still waits: True"
    assert other.startswith("recv, without: b''")


def _queued(lines: list[str], host: str) -> list[tuple[float, str]]:
    """How long each connect took, and what was heard."""
    pattern = re.compile(rf"{host}: ([0-9.]+) s: connected, and heard '(.*)' after")
    return [(float(found[1]), found[2]) for found in map(pattern.match, lines) if found]


@pytest.mark.row("A11")
def test_a_backlog_of_two_takes_three(told: Told) -> None:
    lines = told("backlog/backlog.toml")
    for host in ("linux", "freebsd"):
        # The others' SYNs are answered when they come again after there is room, at 10 s.
        assert [waited for waited, _ in _queued(lines, host)] == [0, 0, 0, 11, 11, 11]
    strict = _queued(lines, "strict")
    assert sorted(heard for _, heard in strict) == ["ConnectionResetError"] * 3 + ["at last"] * 3
    assert {waited for waited, _ in strict} == {0}


@pytest.mark.row("A11")
def test_a_backlog_of_two_takes_three_on_the_kernel(kernel: Kernel) -> None:
    kernel.start("backlog/server.py", "2", kernel.port, "3")
    found = _queued(kernel.run("backlog/client.py", "127.0.0.1", kernel.port, "6"), "127.0.0.1")
    # A SYN that got no answer is sent again a second later.
    assert [waited < 0.9 for waited, _ in found] == [True] * 3 + [False] * 3
    assert {heard for _, heard in found} == {"at last"}


@pytest.mark.row("A11")
def test_a_full_syn_queue_shuts_out_who_comes_without_cookies(told: Told) -> None:
    lines = told("backlog/syn_queue.toml")
    assert lines == [
        "cookies: 0.0 s: connected, and heard 'at last' after 0.0 s",
        "plain: 20.0 s: TimeoutError",
    ]


@pytest.mark.row("D3")
def test_without_close_connections_stay_in_close_wait(told: Told) -> None:
    assert told("close_wait/close_wait.toml") == ["{'CLOSE-WAIT': 10}"] * 3 + ["closed at last: 10"]


@pytest.mark.row("D3")
def test_without_close_connections_stay_in_close_wait_on_the_kernel(kernel: Kernel) -> None:
    server = kernel.start("close_wait/server.py", kernel.port, "0.8")
    assert kernel.run("close_wait/client.py", "127.0.0.1", kernel.port) == []
    assert server.communicate()[0].splitlines()[2:] == ["{'CLOSE-WAIT': 10}", "closed at last: 10"]


def _answers(lines: list[str]) -> list[tuple[str, int, int, bool]]:
    """Remedy, how many were answered, over how many connections, and whether all were."""
    pattern = re.compile(r"(\w+): (\d+) answered over (\d+) connections in \d+ s: (.*)")
    found = [pattern.fullmatch(line) for line in lines]
    return [(one[1], int(one[2]), int(one[3]), one[4] == "all answered") for one in found if one]


@pytest.mark.row("D4")
def test_time_wait_takes_all_ports_and_some_remedies_help(told: Told) -> None:
    lines = told("time_wait/time_wait.toml", "--label")
    by_host = {host.strip(): _answers([line])[0][1:] for host, _, line in (line.partition(" | ") for line in lines)}
    assert by_host == {
        # There are 40 ports, and for one destination no more.
        "none": (40, 40, False),
        "reuseaddr": (40, 40, False),
        "descriptors": (40, 40, False),
        "destinations": (80, 80, False),
        "pool": (120, 2, True),
        "longer": (120, 12, True),
        # What the host may do: ip_local_port_range, tcp_tw_reuse, tcp_max_tw_buckets, a shorter wait.
        "more_ports": (120, 120, True),
        "tw_reuse": (120, 120, True),
        "few_buckets": (120, 120, True),
        "short_wait": (120, 120, True),
    }
    assert sum("Cannot assign requested address" in line for line in lines) == 4


@pytest.mark.row("D4")
@pytest.mark.requires("root", "netns", "ip", "sysctl")
def test_the_same_remedies_help_on_the_kernel(in_namespace: Callable[[Callable[[], None]], None]) -> None:
    def body() -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        settings = ("net.ipv4.ip_local_port_range=40000 40099", "net.ipv4.tcp_tw_reuse=0")
        subprocess.run(["sysctl", "-q", "-w", *settings], check=True)
        kernel = Kernel()
        kernel.port = "8080"
        kernel.start("time_wait/server.py")
        try:
            remedies = ("pool", "longer", "none", "reuseaddr", "descriptors")
            found = [
                _answers(kernel.run("time_wait/client.py", "127.0.0.1", "8080", "300", remedy))[0]
                for remedy in remedies
            ]
        finally:
            kernel.stop()
        assert found[:2] == [("pool", 300, 2, True), ("longer", 300, 30, True)]
        # All clients have the ports of one host: those before have left some of them in TIME-WAIT.
        assert [one[3] for one in found[2:]] == [False] * 3
        assert found[2][1] <= 100
        assert [one[1] for one in found[3:]] == [0, 0]

    in_namespace(body)


@pytest.mark.row("D5")
def test_what_is_seen_of_a_network_that_fails(told: Told) -> None:
    lines = told("network_fails/network_fails.toml")
    pattern = re.compile(r"(\w+): (\w+) \((\w+)\) after (\d+) s and (\d+) answers")
    found = {one[1]: (one[2], one[3], int(one[4]), int(one[5])) for one in map(pattern.fullmatch, lines) if one}
    assert found["nowhere"] == ("OSError", "ENETUNREACH", 0, 0)
    assert found["refusing"] == ("ConnectionRefusedError", "ECONNREFUSED", 0, 0)
    assert found["rebooted"][:2] == ("ConnectionResetError", "ECONNRESET")
    assert 10 < found["rebooted"][2] < 20
    # A dead network carries no RST: after tcp_retries2 retransmissions, a quarter of an hour.
    for host, since in (("cut", 10), ("healed", 100)):
        name, number, after, answers = found[host]
        assert (name, number) == ("TimeoutError", "ETIMEDOUT")
        assert since + 900 < after < since + 960
        assert answers > 9
    # 30 s without a network are no more than a delay.
    assert found["healed"][3] > 40

"""Connections written down as scripts: what is recorded of synfin passes on synfin; what is recorded of kernels says
what they sent."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from synfin.cli.main import main
from synfin.drill.language.notation import script_text
from synfin.drill.language.parser import parse
from synfin.drill.language.script import Call, Event, Script, TcpPacket
from synfin.drill.options import Choices
from synfin.drill.outcome import PASSED
from synfin.drill.recording.captured import connections, read_capture, seen_by
from synfin.drill.recording.record import record_packets, record_trace, sysctls_of
from synfin.drill.report import told
from synfin.drill.suite import run_text
from synfin.events import Event as TraceEvent
from synfin.events import PacketDelivered, PacketTransmitted, SegmentSent
from synfin.host.addresses import packed
from synfin.host.profiles import parameters
from synfin.lab import whole_life
from synfin.link.capture import PcapngWriter
from synfin.reasons import NEW_DATA
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, Segment
from tests.sim.worlds import TwoHosts

SECOND = 1_000_000_000
ENDS = pytest.mark.parametrize("host", ["client", "server"])


def flow_at(events: list[TraceEvent], host: str) -> bytes:
    return next(event.flow for event in events if isinstance(event, SegmentSent) and event.host == host)


def passes(text: str, profile: str | None = "linux", **choices: int) -> None:
    result = run_text(text, "recorded", Choices(profile, strict_end=True, debug=True, **choices))  # type: ignore[arg-type]
    assert result.status == PASSED, told(result)


def lossy(seed: int) -> list[TraceEvent]:
    """100 KB one way and 20 KB the other over a bad wire, and the close of both."""
    world = TwoHosts(seed, rate=20_000_000, queue=30)
    world.network.apply("lose 5%")
    world.transfer(bytes(100_000), bytes(20_000))
    return world.events


def calls(script: Script) -> list[str]:
    return [event.action.name for event in script.events if isinstance(event.action, Call)]


# --- traces


@ENDS
def test_a_whole_life_passes(host: str) -> None:
    events = whole_life.run()
    script = record_trace(events, host, flow_at(events, host))
    passes(script_text(script))
    opening = ["socket", "fcntl", "connect"] if host == "client" else ["socket", "bind", "listen", "accept"]
    assert calls(script)[: len(opening)] == opening
    assert sorted(calls(script)[len(opening) :]) == ["read", "shutdown", "write"]


@ENDS
@pytest.mark.parametrize("seed", range(3))
def test_a_transfer_with_losses_passes(seed: int, host: str) -> None:
    events = lossy(seed)
    script = record_trace(events, host, flow_at(events, host))
    text = script_text(script)
    passes(text)
    passes(text, isn=4294967290, remote_isn_offset=1 << 31)
    sent = [event.action for event in script.events if isinstance(event.action, TcpPacket) and not event.action.inbound]
    numbers = [packet.sequence for packet in sent if packet.sequence.length]
    if host == "client":
        # Something was sent more than once.
        assert len({each.start for each in numbers}) < len(numbers)


def test_a_recorded_script_can_fail() -> None:
    events = lossy(1)
    for host, old, new in (
        ("client", "<mss 1460,", "<mss 1459,"),
        ("client", "> P.", "> ."),
        ("client", "> F", "> "),
        # The server shuts down while it still reads.
        ("server", "shutdown", "close"),
    ):
        text = script_text(record_trace(events, host, flow_at(events, host)))
        assert old in text
        result = run_text(text.replace(old, new, 1), "x", Choices("linux", strict_end=True, debug=True))
        assert result.status != PASSED, (old, new)


@ENDS
def test_the_parameters_can_stand_in_the_script(host: str) -> None:
    events = whole_life.run()
    sysctls = sysctls_of(parameters("linux"))
    assert "net.ipv4.tcp_rmem" in sysctls
    script = record_trace(events, host, flow_at(events, host), sysctls=sysctls)
    passes(script_text(script), profile=None)
    assert sysctls_of(parameters("linux-suite")) == {}


def test_what_is_written_is_read_as_the_same() -> None:
    events = lossy(2)
    script = record_trace(events, "server", flow_at(events, "server"))
    again = parse(script_text(script))
    assert [event.action for event in again.events] == [event.action for event in script.events]
    assert [event.when for event in again.events] == [event.when for event in script.events]


def test_a_superpacket_is_told_as_the_packets_that_it_stands_for() -> None:
    local, remote = packed("10.0.0.1"), packed("10.0.0.2")
    flow = remote + local + (7000).to_bytes(2, "big") + (4000).to_bytes(2, "big")

    def sent(segment: Segment) -> SegmentSent:
        packet = Packet(local, remote, PROTOCOL_TCP, segment)
        return SegmentSent(0, "client", flow, packet, "ESTABLISHED", NEW_DATA)

    data = Segment(4000, 7000, 101, 1, ACK | PSH, 100, payload=(bytes(2500),), segment_size=1000)
    script = record_trace([sent(Segment(4000, 7000, 100, 0, SYN, 100)), sent(data)], "client", flow)
    packets = [event.action for event in script.events if isinstance(event.action, TcpPacket)][1:]
    assert [packet.sequence.length for packet in packets] == [1000, 1000, 500]
    assert [packet.flags for packet in packets] == [ACK, ACK, ACK | PSH]


def test_a_user_that_aborts() -> None:
    world = TwoHosts(1)
    listener = world.server.listen("10.0.0.2", 7000)
    connection = world.client.connect("10.0.0.2", 7000)
    world.network.after(SECOND, lambda: world.client.abort(connection))
    world.network.run()
    del listener
    script = record_trace(world.events, "client", flow_at(world.events, "client"))
    assert calls(script)[-2:] == ["setsockopt", "close"]
    passes(script_text(script))


def test_without_a_beginning_there_is_no_script() -> None:
    events = whole_life.run()
    flow = flow_at(events, "client")
    with pytest.raises(ValueError, match="beginning"):
        record_trace([], "client", flow)
    late = [event for event in events if event.time > SECOND // 50]
    with pytest.raises(ValueError, match="beginning"):
        record_trace(late, "client", flow)


# --- captures


def captured(events: list[TraceEvent], host: str, path: Path) -> Path:
    """What a capture at `host` shows."""
    with PcapngWriter(path) as writer:
        for event in events:
            if isinstance(event, PacketTransmitted | PacketDelivered) and event.host == host:
                inbound = isinstance(event, PacketDelivered)
                writer.write_packet(event.time, event.packet, "eth0", inbound=inbound)
    return path


@ENDS
@pytest.mark.parametrize("lose", [False, True])
def test_a_capture_of_synfin_passes(host: str, lose: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = lossy(1) if lose else whole_life.run()
    capture = captured(events, host, tmp_path / "x.pcapng")
    out = tmp_path / "x.pkt"
    address = {"client": "10.0.0.1", "server": "10.0.0.2"}[host]
    words = ["drill", "--record", str(out), str(capture), "--host", address, "--profile", "linux"]
    assert main(words) == 0
    packets = [event.action for event in parse(out.read_text()).events if isinstance(event.action, TcpPacket)]
    assert len(packets) == len(read_capture(capture))
    if not lose:
        # With losses the calls that are guessed are not always those that there were.
        passes(out.read_text(), profile=None)


def test_whose_side_is_told(tmp_path: Path) -> None:
    capture = captured(whole_life.run(), "client", tmp_path / "x.pcapng")
    out = tmp_path / "x.pkt"
    assert main(["drill", "--record", str(out), str(capture)]) == 0
    assert "connect(" in out.read_text()
    assert main(["drill", "--record", str(out), str(capture), "--host", whole_life.SERVER]) == 0
    assert "accept(" in out.read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--connection", "2"], "no connection 2"),
        (["--host", "192.0.2.9"], "neither end"),
        (["--host", "nonsense"], "--host nonsense"),
    ],
)
def test_what_cannot_be_recorded(
    words: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = captured(whole_life.run(), "client", tmp_path / "x.pcapng")
    assert main(["drill", "--record", str(tmp_path / "x.pkt"), str(capture), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert complaint in error
    assert not (tmp_path / "x.pkt").exists()


def test_a_file_that_is_no_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.pcapng"
    path.write_bytes(b"nonsense, and more of it than a block's head takes")
    assert main(["drill", "--record", str(tmp_path / "x.pkt"), str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- kernels


def exchange(capture: Path, family: int, address: str) -> None:
    """Two sockets of the kernel talk over the loopback of this namespace, and tshark writes it down."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    command = ["tshark", "-i", "lo", "-w", str(capture), "-f", "tcp"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tshark:
        assert tshark.stderr is not None
        for line in tshark.stderr:
            if "Capture started" in line:
                break
        with socket.create_server((address, 7000), family=family) as listener:
            client = socket.create_connection((address, 7000))
            server, _ = listener.accept()
            with client, server:
                client.sendall(bytes(300_000))
                client.shutdown(socket.SHUT_WR)
                while server.recv(1 << 16):
                    pass
                server.sendall(bytes(100))
        pause = threading.Event()
        while not is_over(capture):
            # tshark writes what it has a few times a second.
            pause.wait(0.05)
        tshark.terminate()


def is_over(capture: Path) -> bool:
    """Whether both FINs are in the file, and their acknowledgments."""
    try:
        segments = [packet.payload for _, packet in read_capture(capture)]
    except ValueError:
        return False
    fins = [place for place, each in enumerate(segments) if isinstance(each, Segment) and each.flags & FIN]
    return len(fins) == 2 and len(segments) > fins[1] + 1


@pytest.mark.requires("tshark")
@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_capture_of_two_kernels_is_told_packet_by_packet(
    family: int, address: str, tmp_path: Path, in_namespace: Callable[[Callable[[], None]], None]
) -> None:
    capture = tmp_path / "kernels.pcapng"
    in_namespace(lambda: exchange(capture, family, address))
    packets = read_capture(capture)
    (flow,) = connections(packets)
    # Both ends have one address: that which opened is told of.
    assert seen_by(flow, packed(address)) == flow
    script = record_packets(packets, flow)
    again = parse(script_text(script))
    scripted = [event for event in again.events if isinstance(event.action, TcpPacket)]
    same_packets(scripted, packets)
    # They are as long after one another as they were, to the microsecond.
    span = sum(event.when.start for event in again.events)
    assert abs(span - (packets[-1][0] - packets[0][0])) <= 1000


def same_packets(scripted: list[Event], packets: list[tuple[int, Packet]]) -> None:
    first = packets[0][1].payload
    assert isinstance(first, Segment)
    client = first.source_port
    isn: dict[bool, int] = {}
    assert len(scripted) == len(packets) > 10
    for event, (_, packet) in zip(scripted, packets, strict=True):
        action, segment = event.action, packet.payload
        assert isinstance(action, TcpPacket)
        assert isinstance(segment, Segment)
        assert action.inbound == (segment.source_port != client)
        if segment.flags & SYN:
            isn[action.inbound] = segment.seq
        base = 0 if segment.flags & SYN else isn[action.inbound]
        assert action.flags == segment.flags
        assert action.sequence.start == (0 if segment.flags & SYN else wrap(segment.seq - base))
        assert action.sequence.length == segment.payload_length
        if segment.flags & ACK:
            assert action.ack == wrap(segment.ack - isn[not action.inbound])
        assert action.window == (segment.wnd if action.inbound else None)
        named = [option.name for option in action.options or ()]
        assert ("TS" in named) == (segment.options.ts_val is not None)
        assert ("mss" in named) == bool(segment.flags & SYN)
    flags = [event.action.flags for event in scripted if isinstance(event.action, TcpPacket)]
    assert sum(bool(each & FIN) for each in flags) == 2
    assert not any(each & RST for each in flags)

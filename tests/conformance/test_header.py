"""The header and its options (RFC 9293 §3.1, §3.2), as octets that arrive at a host and leave it."""

from __future__ import annotations

import pytest

from synfin.host.host import Host
from synfin.wire.errors import WireError
from synfin.wire.ip import Packet, octets
from synfin.wire.tcp import ACK, FIN, RST, SYN, Options, Segment
from synfin.wire.tcp_options import parse_options
from tests.conformance.under import every_profile, machine, world
from tests.host.machine import MS, OURS, SECOND, THEIRS, Machine, Peer, segment_of, tcp

UNKNOWN = (253, b"ab")


def arrives(m: Machine, packet: Packet) -> list[Segment]:
    """What the host answers to a packet that comes as octets."""
    m.host.octets_arrive(octets(packet), m.eth, m.now)
    return [segment_of(answer) for answer in m.poll()]


def said(peer: Peer, flags: int, options: Options, payload: bytes = b"", wnd: int = 8192) -> list[Segment]:
    """The peer sends its next segment with these options, as octets."""
    packet = peer.packet(flags, payload, wnd=wnd)
    segment_of(packet).options = options
    peer.seq += segment_of(packet).length
    answers = arrives(peer.machine, packet)
    # Acknowledgments may be delayed.
    answers += [segment_of(answer) for answer in peer.machine.goes_on(peer.machine.now + 500 * MS)]
    peer.saw(answers)
    return answers


def listening(profile: str) -> Machine:
    m = machine(profile)
    m.host.listen(OURS, 80, 5, m.now)
    return m


@pytest.mark.requirement("MUST-1")
@pytest.mark.parametrize("window", [0x7FFF, 0x8000, 0xFFFF])
@every_profile
def test_a_window_with_its_highest_bit_set_is_large(profile: str, window: int) -> None:
    m = listening(profile)
    peer = Peer(m)
    (syn_ack,) = said(peer, SYN, Options(mss=1460))
    assert syn_ack.wnd > 0x8000
    said(peer, ACK, Options(), wnd=window)
    assert peer.connection.status().snd_wnd == window
    peer.connection.settings.nodelay = True
    m.host.send(peer.connection, bytes(3000), m.now)
    assert sum(segment_of(packet).payload_length for packet in m.poll()) == 3000


@pytest.mark.requirement("REC-1")
@every_profile
def test_windows_have_room_for_30_bits(profile: str) -> None:
    """RFC 7323 lets a window be 2^30 octets: none of it is lost in the record or on the way through it."""
    m = listening(profile)
    m.host.parameters.tcp.tcp_rmem = (4096, 1 << 22, 1 << 30)
    peer = Peer(m)
    said(peer, SYN, Options(mss=1460, window_scale=14))
    said(peer, ACK, Options(), wnd=0xFFFF)
    connection = peer.connection
    assert connection.status().snd_wnd == connection.max_snd_wnd == 0xFFFF << 14
    said(peer, ACK, Options(), bytes(1000), wnd=0xFFFE)
    assert connection.status().snd_wnd == 0xFFFE << 14
    m.goes_on(m.now + SECOND)
    assert connection.status().rcv_wnd > 0x10000


@pytest.mark.requirement("MUST-4")
@every_profile
def test_end_of_list_no_operation_and_maximum_segment_size(profile: str) -> None:
    m = listening(profile)
    peer = Peer(m)
    # NOP, NOP, MSS 1000, EOL, and octets that do not count: another MSS.
    syn = Options(mss=1000, layout=(1, 1, 2, 0))
    packet = peer.packet(SYN)
    segment_of(packet).options = syn
    raw = octets(packet)
    assert raw[40:48] == bytes.fromhex("01 01 02 04 03 e8 00 00")
    (answer,) = arrives(m, packet)
    assert answer.options.mss == 1460
    assert next(iter(m.host.transport.listeners.values())).requests[peer.flow].peer_mss == 1000


@pytest.mark.requirement("MUST-5")
@every_profile
def test_options_in_any_segment(profile: str) -> None:
    """A life in which each segment of the peer carries options, known and unknown ones, and each is heeded."""
    m = listening(profile)
    peer = Peer(m)
    clock = iter(range(100, 200))

    def options() -> Options:
        return Options(ts_val=next(clock), ts_ecr=0, others=(UNKNOWN,))

    (syn_ack,) = said(peer, SYN, options())
    assert syn_ack.options.ts_ecr == 100
    said(peer, ACK, options())
    (ack,) = said(peer, ACK, options(), b"data")
    assert ack.options.ts_ecr == 102
    connection = peer.connection
    assert connection.bytes_received == 4
    (ack,) = said(peer, FIN | ACK, options())
    assert ack.options.ts_ecr == 103
    assert peer.state == "CLOSE-WAIT"
    said(peer, RST, options())
    assert peer.state == "CLOSED"


@pytest.mark.requirement("MUST-6")
@pytest.mark.parametrize("length", [0, 1, 2, 5, 36])
@every_profile
def test_an_unknown_option_disturbs_nothing(profile: str, length: int) -> None:
    m = listening(profile)
    peer = Peer(m)
    mss = () if length > 32 else ((2, b"\x03\xe8"),)
    (answer,) = said(peer, SYN, Options(others=((253, bytes(length)), *mss)))
    assert answer.flags == SYN | ACK
    request = next(iter(m.host.transport.listeners.values())).requests[peer.flow]
    assert request.peer_mss == (1000 if mss else 536)


@pytest.mark.requirement("MUST-7")
@pytest.mark.parametrize("nonsense", ["fd00", "fd01", "fd05", "0200", "fd", "08", "080a0000"])
@every_profile
def test_an_illegal_length_harms_no_connection(profile: str, nonsense: str) -> None:
    m = listening(profile)
    peer = Peer(m).opens()
    option = bytes.fromhex(nonsense)
    with pytest.raises(WireError):
        parse_options(memoryview(option))
    packet = peer.packet(ACK, b"data")
    # As many NOPs as make the header whole, and the option last.
    segment_of(packet).options = Options(layout=(1,) * 8)
    raw = bytearray(octets(packet))
    raw[40 + 8 - len(option) : 48] = option
    m.host.octets_arrive(raw, m.eth, m.now, checksum_verified=True)
    assert m.poll() == []
    assert m.host.counters["TcpInErrs"] == 1
    assert peer.connection.bytes_received == 0
    peer.says(ACK, b"data")
    assert peer.connection.bytes_received == 4


@pytest.mark.requirement("MUST-64")
@pytest.mark.parametrize("before", range(4))
def test_options_need_not_begin_at_a_word(before: int) -> None:
    data = b"\1" * before + bytes.fromhex("fd0300 020403e8 fd0300 080a0000000100000002 030307")
    options = parse_options(memoryview(data))
    assert (options.mss, options.ts_val, options.ts_ecr, options.window_scale) == (1000, 1, 2, 7)


@pytest.mark.requirement("MUST-68")
def test_all_options_that_are_sent_have_a_length() -> None:
    every = Options(mss=1460, window_scale=7, sack_permitted=True, ts_val=1, ts_ecr=2, others=(UNKNOWN,))
    data = every.encode()
    kinds = []
    at = 0
    while at < len(data) and data[at]:
        kinds.append(data[at])
        at += 1 if data[at] == 1 else data[at + 1]
    assert kinds == list(every.default_layout)
    assert len(data) - at < 4


@pytest.mark.requirement("MUST-69")
@pytest.mark.parametrize("length", range(4))
def test_the_rest_of_the_header_is_zeros(length: int) -> None:
    data = Options(others=((253, b"x" * length),), layout=(253, 0)).encode()
    assert len(data) % 4 == 0
    assert data[2 + length :] == bytes(len(data) - 2 - length)
    assert data[2 + length :], "an end of list at least"


@pytest.mark.requirement("MUST-65")
@every_profile
def test_the_maximum_segment_size_is_told_in_syns_only(profile: str) -> None:
    w = world(profile)
    w.connect()
    w.client.write(bytes(20_000), then_close=True)
    w.server.reading = w.server.closes_at_end = True
    w.run_for(10 * SECOND)
    assert w.client.state == "TIME-WAIT"
    for message in w.messages:
        assert (message.segment.options.mss is not None) == message.has(SYN)


@pytest.mark.requirement("SHLD-5", "MAY-3", "MUST-67")
@pytest.mark.parametrize(("mtu", "mss", "mss_6"), [(1500, 1460, 1440), (576, 536, 516), (1280, 1240, 1220)])
@every_profile
def test_every_syn_tells_the_maximum_segment_size(profile: str, mtu: int, mss: int, mss_6: int) -> None:
    """Also where it is the default; never more than the MTU less both headers."""
    m = machine(profile, mtu)
    m.host.listen(OURS, 80, 5, m.now)
    m.host.connect(THEIRS, 80, m.now)
    m.host.connect("2001:db8::2", 80, m.now)
    assert [segment_of(packet).options.mss for packet in m.poll()] == [mss, mss_6]
    (answer,) = Peer(m).says(SYN)
    assert answer.options.mss == mss


@pytest.mark.requirement("MUST-50")
@pytest.mark.parametrize(
    "options",
    [
        bytes.fromhex("1e040000"),  # unknown
        bytes.fromhex("9e0400000101"),  # unknown, to be copied
        bytes.fromhex("44080500 00000000"),  # timestamp
        bytes.fromhex("0707 04 00000000 00"),  # record route
        bytes.fromhex("8307 04 c0000263 00"),  # loose source route
    ],
)
@every_profile
def test_ip_options_are_ignored(profile: str, options: bytes) -> None:
    m = listening(profile)
    peer = Peer(m)

    def arrive(packet: Packet) -> list[Packet]:
        packet.extension = options
        m.host.octets_arrive(octets(packet), m.eth, m.now)
        return m.poll()

    packet = peer.packet(SYN)
    (answer,) = arrive(packet)
    assert segment_of(answer).flags == SYN | ACK
    # MUST-51 to 53, decided otherwise: no route is kept, the answer goes where its sender is.
    assert (answer.destination, answer.extension) == (packet.source, b"")
    peer.seq += 1
    peer.saw([segment_of(answer)])
    arrive(peer.packet(ACK, b"data"))
    assert peer.connection.bytes_received == 4


@pytest.mark.requirement("MUST-3")
@every_profile
def test_a_damaged_segment_is_dropped_in_silence(profile: str) -> None:
    m = listening(profile)
    raw = bytearray(octets(tcp(THEIRS, 40000, OURS, 80, flags=SYN)))
    for at in range(20, len(raw)):
        damaged = bytearray(raw)
        damaged[at] ^= 0x10
        m.host.octets_arrive(damaged, m.eth, m.now)
    assert m.poll() == []
    assert m.states() == ["LISTEN"]
    assert m.host.counters["TcpInErrs"] == 20
    m.host.octets_arrive(raw, m.eth, m.now)
    assert len(m.poll()) == 1


@pytest.mark.requirement("MUST-2")
@every_profile
def test_every_segment_that_leaves_has_its_checksum(profile: str) -> None:
    """By a second host, which would drop it otherwise, and by adding up its words."""
    m = machine(profile)
    m.host.connect(THEIRS, 80, m.now)
    (syn,) = m.poll()
    raw = octets(syn)
    pseudo = raw[12:20] + bytes((0, 6)) + (len(raw) - 20).to_bytes(2, "big")
    words = pseudo + raw[20:]
    total = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
    other = Host("other", bytes(16))
    eth = other.add_interface("eth0", [f"{THEIRS}/24"], 1500)
    other.octets_arrive(raw, eth, 0)
    assert other.counters["TcpInErrs"] == 0
    assert other.counters["TcpInSegs"] == 1

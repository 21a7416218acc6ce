"""Runs of segments merged by the kernel's rules, and what is not merged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.link.gro import merge
from synfin.link.link import MAXIMUM_PACKET, Frame
from synfin.link.segmentation import cut
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import Packet, encode_packet, octets, parse_packet
from synfin.wire.tcp import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG, Options, Segment, timestamp_options

V4 = bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3])
V6 = bytes.fromhex("fd000009" + "0" * 23 + "2"), bytes.fromhex("fd000009" + "0" * 23 + "3")
ISN = 2**32 - 150
both = pytest.mark.parametrize("addresses", [V4, V6], ids=["IPv4", "IPv6"])


def tcp(
    index: int = 0,
    length: int = 100,
    flags: int = ACK,
    addresses: tuple[bytes, bytes] = V4,
    size: int = 100,
    **changes: Any,
) -> Packet:
    """The segment of number `index` of a stream of segments of `size` octets."""
    fields: dict[str, Any] = {
        "source_port": 40000,
        "destination_port": 7,
        "seq": (ISN + index * size) % 2**32,
        "ack": 99,
        "flags": flags,
        "wnd": 512,
        "options": timestamp_options(5, 6),
        "payload": (bytes([index % 256]) * length,) if length else (),
    }
    header = {
        name: changes.pop(name) for name in list(changes) if name not in fields and name not in ("up", "reserved")
    }
    fields.update(changes)
    if addresses is V4:
        header.setdefault("identification", (65534 + index) % 2**16)
    return Packet(*addresses, 6, Segment(**fields), **header)


def frame(packet: Packet) -> Frame:
    return Frame(octets(packet))


def merged(*packets: Packet) -> list[Packet]:
    """What becomes of these packets, as packets."""
    return [one if isinstance(one, Packet) else parse_packet(one.data) for one in merge(map(frame, packets))]


def lengths(*packets: Packet) -> list[int]:
    return [segment_of(packet).payload_length for packet in merged(*packets)]


def segment_of(packet: Packet) -> Segment:
    assert isinstance(packet.payload, Segment)
    return packet.payload


@both
def test_a_run_becomes_a_superpacket(addresses: tuple[bytes, bytes]) -> None:
    packets = [tcp(index, addresses=addresses) for index in range(4)] + [tcp(4, 60, ACK | PSH, addresses)]
    (whole,) = merged(*packets)
    segment = segment_of(whole)
    assert segment.payload_bytes() == b"".join(segment_of(packet).payload_bytes() for packet in packets)
    assert (segment.payload_length, segment.segment_size, segment.flags) == (460, 100, ACK | PSH)
    assert (segment.seq, segment.ack, segment.wnd) == (ISN, 99, 512)
    assert segment.options == timestamp_options(5, 6)
    # Cut again it is what it was made of.
    assert cut(whole) == packets


@both
def test_one_packet_is_what_it_was(addresses: tuple[bytes, bytes]) -> None:
    (whole,) = merged(tcp(addresses=addresses))
    assert whole == tcp(addresses=addresses)
    assert segment_of(whole).segment_size == 0


def test_a_run_lets_its_packets_go() -> None:
    (whole,) = merged(*(tcp(index) for index in range(3)))
    (piece,) = segment_of(whole).payload
    assert isinstance(piece, bytes)


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        # A smaller one ends the run, a larger one does not belong to it.
        ([tcp(0), tcp(1, 99), tcp(1, seq=(ISN + 199) % 2**32)], [199, 100]),
        ([tcp(0), tcp(1, 101), tcp(2, seq=(ISN + 201) % 2**32)], [100, 201]),
        ([tcp(0, 50), tcp(1, 100, seq=ISN + 50)], [50, 100]),
        # What may end a run, and what may begin one.
        ([tcp(0), tcp(1, flags=ACK | PSH), tcp(2)], [200, 100]),
        ([tcp(0), tcp(1, flags=ACK | FIN), tcp(2)], [200, 100]),
        ([tcp(0, flags=ACK | PSH), tcp(1), tcp(2)], [100, 200]),
        ([tcp(0, flags=ACK | CWR), tcp(1), tcp(2)], [300]),
        ([tcp(0), tcp(1, flags=ACK | CWR), tcp(2)], [100, 200]),
        # Flags that differ; the same flags in all of them.
        ([tcp(0), tcp(1, flags=ACK | ECE), tcp(2, flags=ACK | ECE)], [100, 200]),
        ([tcp(0), tcp(1, flags=ACK | AE), tcp(2)], [100, 100, 100]),
        ([tcp(0, flags=ACK | URG, up=3), tcp(1, flags=ACK | URG, up=3)], [100, 100]),
        ([tcp(0), tcp(1, flags=ACK | RST)], [100, 100]),
        ([tcp(0), tcp(1, flags=ACK | SYN)], [100, 100]),
        ([tcp(0, flags=0), tcp(1, flags=0)], [100, 100]),
        ([tcp(0), tcp(1, reserved=1)], [100, 100]),
        # Everything else that has to be equal.
        ([tcp(0), tcp(1, ack=100), tcp(2, ack=100)], [100, 200]),
        ([tcp(0), tcp(1, wnd=511)], [100, 100]),
        ([tcp(0), tcp(1, options=timestamp_options(6, 6))], [100, 100]),
        ([tcp(0), tcp(1, options=Options())], [100, 100]),
        ([tcp(0, options=Options()), tcp(1, options=Options())], [200]),
        ([tcp(0), tcp(1, ttl=63)], [100, 100]),
        ([tcp(0), tcp(1, traffic_class=3)], [100, 100]),
        ([tcp(0, traffic_class=2), tcp(1, traffic_class=2)], [200]),
        ([tcp(0), tcp(1, dont_fragment=False)], [100, 100]),
        ([tcp(0), tcp(1, extension=b"\1\1\1\1")], [100, 100]),
        ([tcp(0, extension=b"\1\1\1\1"), tcp(1, extension=b"\1\1\1\1")], [100, 100]),
        # The identification counts up, or with DF stays; nothing else.
        ([tcp(n, identification=7) for n in range(3)], [300]),
        ([tcp(n, identification=7, dont_fragment=False) for n in range(3)], [100, 100, 100]),
        ([tcp(n, identification=7 + n, dont_fragment=False) for n in range(3)], [300]),
        ([tcp(0, identification=7), tcp(1, identification=7), tcp(2, identification=8)], [200, 100]),
        ([tcp(0, identification=7), tcp(1, identification=8), tcp(2, identification=8)], [200, 100]),
        ([tcp(0, identification=7), tcp(1, identification=7), tcp(2, identification=9)], [200, 100]),
        ([tcp(0, identification=7), tcp(1, identification=8), tcp(2, identification=7)], [200, 100]),
        ([tcp(0, identification=7), tcp(1, identification=9), tcp(2, identification=9)], [100, 200]),
        # Not in order.
        ([tcp(0), tcp(2), tcp(1)], [100, 100, 100]),
        ([tcp(0), tcp(0), tcp(1)], [100, 200]),
        # No data.
        ([tcp(0), tcp(1, 0), tcp(1)], [100, 0, 100]),
        ([tcp(0, 0), tcp(0)], [0, 100]),
    ],
)
def test_rules(packets: list[Packet], expected: list[int]) -> None:
    assert lengths(*packets) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [200]),
        ({"flow_label": 7}, [100, 100]),
        ({"traffic_class": 2}, [100, 100]),
        ({"ttl": 63}, [100, 100]),
        ({"extension": bytes([60, 1, 4, 0, 0, 0, 0])}, [100, 100]),
    ],
)
def test_rules_of_ipv6(changes: dict[str, Any], expected: list[int]) -> None:
    if "extension" in changes:
        # Destination options, as `synfin.wire.ipv6` writes them: kind first.
        changes = {"extension": bytes([60, 0, 1, 4, 0, 0, 0, 0])}
    assert lengths(tcp(0, addresses=V6), tcp(1, addresses=V6, **changes)) == expected


def test_a_run_is_no_longer_than_a_packet_can_be() -> None:
    size = 1448
    packets = [tcp(index, size, size=size) for index in range(60)]
    first, second = merged(*packets)
    # 52 octets of headers and 45 segments; a 46th would be too much.
    assert segment_of(first).payload_length == 45 * size
    assert first.total_length <= MAXIMUM_PACKET < first.total_length + size
    assert segment_of(second).payload_length == 15 * size


def test_flows_are_told_apart_and_stay_in_order() -> None:
    flows = [
        {},
        {"source_port": 40001},
        {"destination_port": 8},
        {"addresses": V6},
        {"addresses": (V4[0], bytes([10, 9, 0, 4]))},
    ]
    packets = [tcp(index, **flow) for index in range(3) for flow in flows]  # type: ignore[arg-type]
    assert lengths(*packets) == [300] * 5
    # Each run stands where its first segment stood.
    assert [whole.flow for whole in merged(*packets)] == [packet.flow for packet in packets[:5]]


def test_a_segment_that_is_not_merged_ends_its_flows_run() -> None:
    """Or what came before it would come after it."""
    one, bare, other = tcp(0), tcp(1, 0, ack=200), tcp(1)
    assert merged(one, bare, other) == [one, bare, other]
    # What cannot be attributed to a flow ends all runs.
    ping = Packet(*V4, 1, IcmpMessage(8, 0, 1))
    assert merged(one, ping, other) == [one, ping, other]


@both
def test_a_damaged_segment_is_not_merged(addresses: tuple[bytes, bytes]) -> None:
    """Whatever bit it is; and what was merged by then stays whole."""
    whole = octets(tcp(1, 9, addresses=addresses, size=9))
    frames = [frame(tcp(index, 9, addresses=addresses, size=9)) for index in range(3)]
    header = 20 if addresses is V4 else 40
    for bit in range(len(whole) * 8):
        spoiled = bytearray(whole)
        spoiled[bit >> 3] ^= 0x80 >> (bit & 7)
        frames[1] = Frame(bytes(spoiled))
        out = merge(frames)
        assert len(out) == 3, bit
        # What no checksum covers, as IPv6's hop limit, passes; it is not merged with what differs from it.
        assert [one.data if isinstance(one, Frame) else octets(one) for one in out] == [one.data for one in frames]
    # The first of a run is looked at too.
    spoiled = bytearray(whole)
    spoiled[header + 33] ^= 1
    assert merge([Frame(bytes(spoiled)), frame(tcp(2, 9, addresses=addresses, size=9))])[0] is not None
    assert isinstance(merge([Frame(bytes(spoiled)), frames[2]])[0], Frame)


@both
def test_odd_lengths_have_checksums_too(addresses: tuple[bytes, bytes]) -> None:
    for size in (1, 2, 3, 99):
        packets = [tcp(index, size, addresses=addresses, size=size) for index in range(4)]
        assert lengths(*packets) == [4 * size]


def test_what_the_link_vouches_for_is_believed() -> None:
    frames = [Frame(b"".join(encode_packet(tcp(n), partial_checksum=True)), 0, True) for n in range(3)]
    (whole,) = merge(frames)
    assert isinstance(whole, Packet)
    assert segment_of(whole).payload_length == 300
    assert len(merge([Frame(one.data) for one in frames])) == 3


def test_superpackets_and_what_cannot_be_read_are_left_as_they_are() -> None:
    frames = [
        Frame(b"".join(encode_packet(tcp(0, 300), partial_checksum=True)), 100, True),
        Frame(b""),
        Frame(b"x"),
        Frame(bytes(60)),
        Frame(octets(tcp(3))[:30]),
        Frame(octets(tcp(3)) + b"padding"),
        Frame(octets(Packet(*V4, 6, b"x" * 64, more_fragments=True))),
        Frame(octets(Packet(*V4, 6, b"x" * 64, fragment_offset=64))),
        Frame(octets(Packet(*V4, 17, b"x" * 64))),
        Frame(octets(Packet(*V6, 17, b"x" * 64))),
    ]
    assert merge(frames) == frames


def test_the_reserved_flag_of_ipv4_is_left_alone() -> None:
    frames = []
    for index in range(3):
        data = bytearray(octets(tcp(index)))
        data[6] |= 0x80
        frames.append(Frame(bytes(data), 0, True))
    assert merge(frames) == frames


def test_a_data_offset_beyond_the_packet() -> None:
    for words in range(16):
        spoiled = bytearray(octets(tcp(0)))
        spoiled[32] = words << 4
        (one,) = merge([Frame(bytes(spoiled))])
        assert isinstance(one, Frame) is (words != 8)


@given(data=st.lists(st.binary(max_size=120), max_size=8), verified=st.booleans())
def test_any_octets_pass(data: list[bytes], verified: bool) -> None:
    frames = [Frame(one, 0, verified) for one in data]
    assert len(merge(frames)) <= len(frames)


@given(
    headers=st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 120), st.sampled_from([0x4000, 0, 0x2000, 7]), st.integers(0, 7)),
        max_size=10,
    ),
    verified=st.booleans(),
)
def test_hostile_headers_lose_and_add_nothing(headers: list[tuple[int, int, int, int]], verified: bool) -> None:
    """Headers that nearly fit: whatever was merged, all octets are there, once, and none more."""
    frames = []
    for index, (length, cut_off, fragment, damage) in enumerate(headers):
        data = bytearray(octets(tcp(index, length)))
        data[6:8] = fragment.to_bytes(2, "big")
        if damage == 1:
            data[2] ^= 0xFF
        elif damage == 2:
            data[32] ^= 0xF0
        frames.append(Frame(bytes(data[: len(data) - (cut_off if damage == 3 else 0)]), 0, verified))
    out = merge(frames)
    left = [bytes(one.data) for one in out if isinstance(one, Frame)]
    inside = sum(len(cut(one)) for one in out if isinstance(one, Packet))
    assert len(left) + inside == len(frames)
    assert all(data in [bytes(one.data) for one in frames] for data in left)


@st.composite
def streams(draw: st.DrawFn) -> list[Packet]:
    """Packets of up to three flows, mostly in order."""
    packets = []
    seqs = [ISN, 5, 1000]
    idents = [0, 65530, 9]
    for _ in range(draw(st.integers(0, 25))):
        flow = draw(st.integers(0, 2))
        length = draw(st.sampled_from([100, 100, 100, 100, 100, 40, 101, 0]))
        flags = ACK | draw(st.sampled_from([0, 0, 0, 0, 0, PSH, FIN, CWR, ECE, URG, PSH | FIN]))
        seq = seqs[flow] - draw(st.sampled_from([0, 0, 0, 0, 0, 0, 100, -50]))
        packets.append(
            tcp(
                0,
                length,
                flags,
                V6 if flow == 2 else V4,
                seq=seq % 2**32,
                source_port=flow + 1,
                ack=99 + draw(st.sampled_from([0, 0, 0, 0, 0, 1])),
                **({} if flow == 2 else {"identification": idents[flow] % 2**16}),
            )
        )
        seqs[flow] = seq + length
        idents[flow] += draw(st.sampled_from([1, 1, 1, 1, 0, 2])) if flow else 0
    return packets


@given(packets=streams())
def test_cutting_gives_back_what_was_merged(packets: list[Packet]) -> None:
    whole = merged(*packets)
    for one in whole:
        assert one.total_length <= MAXIMUM_PACKET
    parts = [part for one in whole for part in cut(one)]
    for flow in {packet.flow for packet in packets}:
        before = [look(packet) for packet in packets if packet.flow == flow]
        after = [look(part) for part in parts if part.flow == flow]
        assert after == before


def look(packet: Packet) -> tuple[object, ...]:
    """All but the identification: where it stays the same within a run, cutting lets it count."""
    segment = segment_of(packet)
    return segment.seq, segment.ack, segment.flags, segment.wnd, segment.payload_bytes(), packet.ttl


@given(packets=streams())
def test_merging_twice_is_merging_once(packets: list[Packet]) -> None:
    once = merge(map(frame, packets))
    frames = [
        one
        if isinstance(one, Frame)
        else Frame(b"".join(encode_packet(one)), segment_of(one).segment_size, segment_of(one).segment_size > 0)
        for one in once
    ]
    assert len(merge(frames)) == len(once)

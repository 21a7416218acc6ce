"""Reading captures: every format, byte order, resolution and link, and files that are broken."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.explain.capture import NotACaptureError
from synfin.explain.explanation import explain
from synfin.explain.notes import (
    BACKWARDS,
    BROKEN_OFF,
    BROKEN_RECORDS,
    CUT_OFF,
    CUT_SHORT,
    DROPPED,
    SNAPPED,
    UNKNOWN_LINKS,
    UNREADABLE,
    WITHOUT_TIME,
)
from synfin.wire.pcapng import enhanced_packet, interface_description, section_header
from tests.explain.tape import START, Tape, explained, pcap

ETHERNET_HEAD = bytes(12)
IPV4 = b"\x08\x00"
IPV6 = b"\x86\xdd"


def life(version: int = 4) -> Tape:
    addresses = ("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
    tape = Tape(addresses)
    tape.open()
    tape.exchange()
    tape.close()
    return tape


def pcapng(packets: list[tuple[int, bytes]], link: int = 101) -> bytes:
    return (
        section_header()
        + interface_description("x", link)
        + b"".join(enhanced_packet(0, time, octets) for time, octets in packets)
    )


def said(data: bytes) -> list[str]:
    return [text for text, _ in explained(data)[0].notes.said()]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [True, False])
def test_pcap_in_both_byte_orders_and_resolutions(order: str, nanoseconds: bool) -> None:
    explanation, findings = explained(pcap(life().packets, order=order, nanoseconds=nanoseconds))
    assert (explanation.kind, explanation.packets, findings) == ("pcap", 8, [])
    (connection,) = explanation.connections
    assert connection.packets == 8
    assert connection.first_time == START + 1_000_000
    assert connection.last_time == START + 8_000_000


def test_pcapng() -> None:
    explanation, findings = explained(pcapng(life().packets))
    assert (explanation.kind, explanation.packets, findings) == ("pcapng", 8, [])
    assert explanation.connections[0].last_time == START + 8_000_000


def test_a_compressed_capture() -> None:
    explanation, _ = explained(gzip.compress(life().file()))
    assert (explanation.kind, explanation.packets) == ("pcap", 8)
    whole = gzip.compress(life().file())
    explanation, _ = explained(whole[: len(whole) - 20])
    assert [text for text, _ in explanation.notes.said()] == [CUT_OFF]


class Dribbling(io.BytesIO):
    """A pipe into which an octet is written at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1))

    def peek(self, size: int = 0, /) -> bytes:
        return self.getvalue()[self.tell() : self.tell() + 1]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_pipe_that_gives_an_octet_at_a_time(compressed: bool) -> None:
    data = life().file()
    explanation = explain(Dribbling(gzip.compress(data) if compressed else data))
    assert explanation.packets == 8
    assert list(explanation.notes.said()) == []


LINKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "Ethernet": (1, lambda kind: ETHERNET_HEAD + kind),
    "VLAN": (1, lambda kind: ETHERNET_HEAD + b"\x81\x00\x00\x07" + kind),
    "two VLAN tags": (1, lambda kind: ETHERNET_HEAD + b"\x88\xa8\x00\x07\x81\x00\x00\x08" + kind),
    "Linux cooked": (113, lambda kind: bytes(14) + kind),
    "Linux cooked 2": (276, lambda kind: kind + bytes(18)),
    "raw": (101, lambda kind: b""),
    "IPv4 or IPv6 alone": (228, lambda kind: b""),
    "loopback": (0, lambda kind: b"\x02\0\0\0"),
    "OpenBSD's loopback": (108, lambda kind: b"\0\0\0\x02"),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", LINKS)
def test_every_kind_of_link(name: str, version: int) -> None:
    link, head = LINKS[name]
    start = head(IPV4 if version == 4 else IPV6)
    # Ethernet pads what is short.
    tail = bytes(6) if link == 1 else b""
    packets = [(time, start + octets + tail) for time, octets in life(version).packets]
    explanation, findings = explained(pcap(packets, link))
    assert explanation.connections[0].packets == 8
    assert explanation.connections[0].ends[0].octets == 1000
    assert findings == []
    assert said(pcap(packets, link)) == []


def test_other_packets_are_passed_over() -> None:
    arp = (START, ETHERNET_HEAD + b"\x08\x06" + bytes(28))
    explanation, _ = explained(pcap([arp], 1))
    assert (explanation.packets, explanation.flows.connections) == (1, 0)
    assert said(pcap([(START, b"")], 1)) == []


def test_links_of_unknown_kinds_are_named() -> None:
    explanation, _ = explained(pcap(life().packets, 147))
    assert list(explanation.notes.said()) == [(UNKNOWN_LINKS, {"types": "147", "count": 8})]


def test_snapped_packets_say_enough() -> None:
    tape = life()
    parts = [pcap([])]
    for time, octets in tape.packets:
        seconds, rest = divmod(time, 1_000_000_000)
        kept = octets[:60]
        parts.append(struct.pack("<IIII", seconds, rest, len(kept), len(octets)) + kept)
    explanation, findings = explained(b"".join(parts))
    assert findings == []
    assert explanation.connections[0].ends[0].octets == 1000
    assert list(explanation.notes.said()) == [(SNAPPED, {"count": 1})]


def test_options_that_were_cut_off_are_not_missed() -> None:
    tape = Tape(timestamps=True)
    tape.open()
    tape.exchange()
    tape.close()
    parts = [pcap([])]
    for time, octets in tape.packets:
        seconds, rest = divmod(time, 1_000_000_000)
        parts.append(struct.pack("<IIII", seconds, rest, 40, len(octets)) + octets[:40])
    explanation, findings = explained(b"".join(parts))
    assert explanation.connections[0].packets == 8
    assert findings == []


def test_packets_snapped_within_the_header_are_told() -> None:
    (time, octets), *_ = life().packets
    seconds, rest = divmod(time, 1_000_000_000)
    for kept in (10, 30):
        data = pcap([]) + struct.pack("<IIII", seconds, rest, kept, len(octets)) + octets[:kept]
        assert CUT_SHORT in said(data)


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_a_file_that_is_cut_short_is_read_as_far_as_it_goes(make: Callable[..., bytes]) -> None:
    data = make(life().packets)
    explanation, _ = explained(data[:-5])
    assert explanation.packets == 7
    assert list(explanation.notes.said()) == [(CUT_OFF, {"last": 7})]


def test_a_file_that_makes_no_sense_from_some_place_on() -> None:
    data = life().file()
    assert said(data + b"\xff" * 40) == [BROKEN_OFF]
    assert said(pcapng(life().packets) + b"\x06\0\0\0\x03\0\0\0" + bytes(50)) == [BROKEN_OFF]


def test_a_record_of_pcapng_that_makes_no_sense_is_passed_over() -> None:
    times = life().packets
    data = pcapng(times[:3]) + enhanced_packet(7, START, b"x")
    data += b"".join(enhanced_packet(0, time, octets) for time, octets in times[3:])
    explanation, _ = explained(data)
    assert explanation.packets == 8
    assert list(explanation.notes.said()) == [(BROKEN_RECORDS, {"count": 1, "first": 3})]


def test_what_pcapng_says_besides() -> None:
    simple = b"".join(
        struct.pack("<III", 3, 16 + len(octets) + -len(octets) % 4, len(octets))
        + octets
        + bytes(-len(octets) % 4)
        + struct.pack("<I", 16 + len(octets) + -len(octets) % 4)
        for _, octets in life().packets
    )

    def statistics(dropped: int) -> bytes:
        body = struct.pack("<IIIHHQHH", 0, 0, 0, 5, 8, dropped, 0, 0)
        return struct.pack("<II", 5, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    data = section_header() + interface_description("x") + simple + statistics(2) + statistics(5)
    explanation, _ = explained(data)
    assert explanation.connections[0].packets == 8
    assert list(explanation.notes.said()) == [(WITHOUT_TIME, {"count": 8}), (DROPPED, {"count": 5})]


def test_times_that_go_backwards_are_told() -> None:
    packets = life().packets
    packets[4] = (packets[4][0] - 10**9, packets[4][1])
    explanation, _ = explained(pcap(packets))
    assert list(explanation.notes.said()) == [(BACKWARDS, {"count": 1, "first": 5})]


def test_packets_that_contradict_themselves_are_told() -> None:
    (time, octets), *_ = life().packets
    short = (time, octets[:2] + b"\x00\x05" + octets[4:])
    offset = (time, octets[:32] + b"\x10" + octets[33:])
    ends = (time, octets[:-4])
    nothing = (time, b"\x55" * 40)
    explanation, _ = explained(pcap([short, offset, ends, nothing]))
    assert list(explanation.notes.said()) == [(UNREADABLE, {"count": 4, "first": 1})]


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"no capture at all", b"\x1f\x8b", b"\x1f\x8bxxxxxxxxxxx", gzip.compress(b"no capture", mtime=0)],
)
def test_what_is_no_capture(data: bytes) -> None:
    with pytest.raises(NotACaptureError) as raised:
        explain(io.BytesIO(data))
    assert "\n" not in str(raised.value)


@given(st.binary(max_size=300), st.sampled_from([b"", pcap([]), pcapng([]), b"\x1f\x8b\x08\0"]))
def test_no_octets_are_too_strange(data: bytes, start: bytes) -> None:
    try:
        explain(io.BytesIO(start + data))
    except NotACaptureError:
        assert start in (b"", b"\x1f\x8b\x08\0")


@given(st.data())
def test_a_capture_with_a_few_octets_changed_is_still_read(data: st.DataObject) -> None:
    tape = Tape(timestamps=True)
    tape.open()
    tape.exchange()
    tape.send(0, length=100, seq=tape.nexts[0] - 500)
    tape.close()
    version = data.draw(st.sampled_from([pcap, pcapng]))
    octets = bytearray(version(tape.packets))
    start = 24 if version is pcap else len(pcapng([]))
    for _ in range(data.draw(st.integers(1, 6))):
        octets[data.draw(st.integers(start, len(octets) - 1))] = data.draw(st.integers(0, 255))
    explanation, _ = explained(bytes(octets))
    assert explanation.packets <= len(octets) // 16

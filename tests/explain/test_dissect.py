"""What is read from a packet: fragments, extension headers, checksums, ICMP."""

from __future__ import annotations

import struct

import pytest

from synfin.explain import kinds
from synfin.explain.fragments import MOST_DATAGRAMS
from synfin.explain.notes import CUT_SHORT, DAMAGED, DUPLICATES, FRAGMENTS, OFFLOADED, SUPERPACKETS
from synfin.wire.checksum import partial, pseudo_header_sum
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_TCP, Packet, octets
from synfin.wire.tcp import ACK, SYN, Segment
from tests.explain.tape import Tape, explained, pcap


def notes(tape: Tape) -> dict[str, dict[str, int | str]]:
    return dict(tape.explained()[0].notes.said())


def fragmented(packet: bytes, size: int = 400) -> list[bytes]:
    """IPv4, cut into fragments."""
    head, body = packet[:20], packet[20:]
    parts = []
    for start in range(0, len(body), size):
        part = body[start : start + size]
        word = start // 8 | (0x2000 if start + size < len(body) else 0)
        length = 20 + len(part)
        parts.append(head[:2] + length.to_bytes(2, "big") + head[4:6] + word.to_bytes(2, "big") + head[8:] + part)
    return parts


def test_fragments_are_put_together() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, length=1000)
    _, packet = tape.packets.pop()
    first, *rest = fragmented(packet)
    for part in (*reversed(rest), first):
        tape.put(part)
    tape.send(1)
    tape.close()
    explanation, findings = tape.explained()
    assert findings == []
    assert explanation.connections[0].ends[0].octets == 1000
    assert dict(explanation.notes.said()) == {FRAGMENTS: {"count": 3, "whole": 1, "lost": 0}}


def test_fragments_over_ipv6_are_put_together() -> None:
    tape = Tape(("2001:db8::1", "2001:db8::2"))
    tape.open()
    tape.send(0, length=1000)
    _, packet = tape.packets.pop()
    head, body = packet[:40], packet[40:]
    for start in (0, 512):
        part = body[start : start + 512]
        more = start == 0
        fragment = b"\x06\0" + (start | more).to_bytes(2, "big") + b"\0\0\0\x07"
        tape.put(head[:4] + (len(part) + 8).to_bytes(2, "big") + b"\x2c" + head[7:] + fragment + part)
    tape.send(1)
    explanation, _ = tape.explained()
    assert explanation.connections[0].ends[0].octets == 1000


def test_the_table_of_fragments_is_bounded() -> None:
    tape = Tape()
    for number in range(MOST_DATAGRAMS * 2):
        tape.send(0, length=1000, identification=number)
        _, packet = tape.packets.pop()
        tape.put(fragmented(packet)[0])
    assert notes(tape)[FRAGMENTS] == {"count": 2 * MOST_DATAGRAMS, "whole": 0, "lost": 2 * MOST_DATAGRAMS}


def test_extension_headers_are_walked_over() -> None:
    tape = Tape(("2001:db8::1", "2001:db8::2"))
    tape.open()
    _, packet = tape.packets.pop(0)
    longer = (int.from_bytes(packet[4:6], "big") + 8).to_bytes(2, "big")
    tape.packets.insert(
        0, (tape.packets[0][0], packet[:4] + longer + b"\x00" + packet[7:40] + b"\x06\0" + bytes(6) + packet[40:])
    )
    explanation, findings = tape.explained()
    assert findings[0].kind is kinds.UNFINISHED
    assert explanation.connections[0].packets == 3


def test_checksums_left_to_the_network_card_are_told_once() -> None:
    tape = Tape()
    tape.open()
    tape.exchange()
    tape.close()
    for at, (time, packet) in enumerate(tape.packets):
        total = pseudo_header_sum(packet[12:16], packet[16:20], PROTOCOL_TCP, len(packet) - 20)
        tape.packets[at] = (time, packet[:36] + partial(total).to_bytes(2, "big") + packet[38:])
    explanation, findings = tape.explained()
    assert findings == []
    assert list(explanation.notes.said()) == [(OFFLOADED, {"count": 8, "first": 1})]


def damage(tape: Tape, number: int) -> None:
    time, packet = tape.packets[number - 1]
    tape.packets[number - 1] = (time, packet[:-1] + bytes((packet[-1] ^ 0x55,)))


def test_a_damaged_segment_is_passed_over() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, length=500)
    damage(tape, 4)
    tape.wait(250)
    tape.send(0, length=500, seq=1001)
    tape.send(1)
    explanation, findings = tape.explained()
    # The first one never came, so this is none.
    assert [finding.kind for finding in findings] == [kinds.UNFINISHED]
    assert list(explanation.notes.said()) == [(DAMAGED, {"count": 1, "first": 4})]


def test_an_end_whose_checksums_are_never_right_computes_them_elsewhere() -> None:
    tape = Tape()
    tape.open()
    for number in (1, 3):
        damage(tape, number)
    assert notes(tape) == {OFFLOADED: {"count": 2, "first": 1}}


def test_superpackets_are_told_once() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, length=20_000)
    tape.send(0, length=20_000)
    tape.send(1)
    assert notes(tape) == {SUPERPACKETS: {"count": 2, "first": 4}}


def test_copies_of_a_packet_from_another_place_are_passed_over() -> None:
    tape = Tape()
    tape.open()
    tape.exchange()
    tape.close()
    twice = []
    for time, packet in tape.packets:
        # As a router passes it on: the TTL is lower, its checksum another.
        passed_on = packet[:8] + bytes((packet[8] - 1,)) + packet[9:]
        twice += [(time, packet), (time + 1000, passed_on)]
    explanation, findings = explained(pcap(twice))
    assert findings == []
    assert explanation.connections[0].packets == 8
    assert list(explanation.notes.said()) == [(DUPLICATES, {"count": 8, "first": 2})]


def test_copies_of_what_came_and_went_on_one_interface() -> None:
    tape = Tape()
    for end, flags in ((0, SYN), (1, SYN | ACK), (0, ACK)):
        tape.send(end, flags, identification=0)
    packets = []
    for time, packet in tape.packets:
        for direction in (b"\0\4", b"\0\0"):
            packets.append((time, direction + bytes(12) + b"\x08\0" + packet))
    explanation, _ = explained(pcap(packets, 113))
    assert explanation.connections[0].packets == 3
    assert dict(explanation.notes.said()) == {DUPLICATES: {"count": 3, "first": 2}}


def test_a_retransmission_is_no_copy() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, length=500)
    tape.send(0, length=500, seq=1001)
    assert notes(tape) == {}


def test_icmp_reports_belong_to_the_connection_that_they_quote() -> None:
    tape = Tape()
    tape.send(0, SYN)
    quoted = tape.packets[0][1][:28]
    router = bytes((203, 0, 113, 1))
    body = b"\x03\x0d\0\0\0\0\0\0" + quoted
    tape.put(octets(Packet(router, tape.addresses[0], PROTOCOL_ICMP, body)))
    _, findings = tape.explained()
    report = next(finding for finding in findings if finding.kind is kinds.UNREACHABLE)
    assert report.number == 2
    assert report.values["address"] == "203.0.113.1"
    assert report.values["what"] == "administratively prohibited"


def test_a_segment_that_quotes_nothing_known_is_nobodys() -> None:
    tape = Tape()
    body = b"\x03\x03\0\0\0\0\0\0" + octets(
        Packet(tape.addresses[0], tape.addresses[1], PROTOCOL_TCP, Segment(1, 2, 3, 4, ACK, 5))
    )
    tape.put(octets(Packet(tape.addresses[1], tape.addresses[0], PROTOCOL_ICMP, body)))
    tape.put(octets(Packet(tape.addresses[1], tape.addresses[0], PROTOCOL_ICMP, b"\x03\x03")))
    assert tape.found() == []


def test_icmp_over_ipv6() -> None:
    tape = Tape(("2001:db8::1", "2001:db8::2"))
    tape.send(0, SYN)
    quoted = tape.packets[0][1][:48]
    body = b"\x01\x04\0\0\0\0\0\0" + quoted
    tape.put(octets(Packet(tape.addresses[1], tape.addresses[0], 58, body)))
    _, findings = tape.explained()
    report = next(finding for finding in findings if finding.kind is kinds.UNREACHABLE)
    assert (report.values["address"], report.values["what"]) == ("2001:db8::2", "port unreachable")
    # One that quotes UDP is none of ours, nor is an echo.
    other = body[:14] + b"\x11" + body[15:]
    tape.put(octets(Packet(tape.addresses[1], tape.addresses[0], 58, other)))
    tape.put(octets(Packet(tape.addresses[1], tape.addresses[0], 58, b"\x80" + body[1:])))
    assert sum(finding.kind is kinds.UNREACHABLE for finding in tape.explained()[1]) == 1


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_whose_length_the_network_card_fills_in(version: int) -> None:
    addresses = ("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
    tape = Tape(addresses)
    tape.open()
    tape.send(0, length=2000)
    time, packet = tape.packets.pop()
    at = 2 if version == 4 else 4
    tape.packets.append((time, packet[:at] + b"\0\0" + packet[at + 2 :]))
    tape.send(1)
    explanation, findings = tape.explained()
    assert explanation.connections[0].ends[0].octets == 2000
    assert [finding.kind for finding in findings] == [kinds.UNFINISHED]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kept", [1, 19, 39, 59])
def test_headers_that_are_not_whole_are_told_and_break_nothing(version: int, kept: int) -> None:
    addresses = ("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
    tape = Tape(addresses)
    tape.send(0, ACK)
    time, packet = tape.packets[0]
    cut = packet[:kept]
    seconds, rest = divmod(time, 10**9)
    data = pcap([]) + struct.pack("<IIII", seconds, rest, len(cut), len(packet)) + cut
    explanation, _ = explained(data)
    assert explanation.flows.connections == int(len(cut) == len(packet))
    if len(cut) < len(packet):
        assert CUT_SHORT in dict(explanation.notes.said())

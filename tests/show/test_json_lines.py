"""Events as JSON lines: what is written is read back as equal events, and nothing else is read at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin import events as kinds
from synfin import reasons
from synfin.events import (
    CongestionChanged,
    ConnectionEvent,
    Event,
    PacingChanged,
    PacketDelivered,
    PacketEvent,
    PacketLost,
    PacketTransmitted,
    RoundTripMeasured,
    SegmentEvent,
    SegmentSent,
    StateChanged,
    TimerExpired,
    TimerStarted,
    TimerStopped,
    UserCalled,
    WindowChanged,
)
from synfin.lab import whole_life
from synfin.show.history import History
from synfin.show.json_lines import LONGEST_LINE, events_from_json_lines, events_to_json_lines
from synfin.show.ladder import render_ladder
from synfin.wire.ip import IcmpMessage, Packet, Payload
from synfin.wire.tcp import Options, Segment

if TYPE_CHECKING:
    from tests.show.conftest import World

    Worlds: TypeAlias = type[World]

HEADER = '{"format": "synfin-events", "version": 1}'
FLOW = bytes((10, 0, 0, 2, 10, 0, 0, 1)) + (80).to_bytes(2) + (49152).to_bytes(2)


def fields(event: Event) -> dict[str, object]:
    names = [name for kind in type(event).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(event, name) for name in names}


def same(one: Event, other: Event) -> bool:
    return type(one) is type(other) and fields(one) == fields(other)


def again(events: list[Event], payloads: bool = True) -> list[Event]:
    return events_from_json_lines(events_to_json_lines(events, payloads=payloads))


def test_a_whole_life() -> None:
    events = whole_life.run_and_lose(2)
    read = again(events)
    assert len(read) == len(events)
    assert all(map(same, read, events))
    # The wire and the host carry the same objects, as they did before: the history needs that.
    assert render_ladder(History.from_events(read)) == render_ladder(History.from_events(events))
    assert len({id(event.packet) for event in read if isinstance(event, PacketEvent | SegmentEvent)}) == len(
        {id(event.packet) for event in events if isinstance(event, PacketEvent | SegmentEvent)}
    )


def test_people_can_read_it(world: Worlds) -> None:
    made = world(addresses=("2001:db8::1", "2001:db8::2"))
    made.open()
    header, *lines = events_to_json_lines(made.events)
    assert header == HEADER
    line = json.loads(next(line for line in lines if "SegmentSent" in line))
    assert line["event"] == "SegmentSent"
    assert line["flow"] == "[2001:db8::2]:80 > [2001:db8::1]:49152"
    assert line["reason"] == "syn-sent"
    assert line["packet"]["source"] == "2001:db8::1"
    assert line["packet"]["tcp"]["flags"] == "SYN"
    assert line["packet"]["tcp"]["options"]["mss"] == 1460


def test_without_payloads_only_their_lengths_are_told() -> None:
    events = whole_life.run()
    text = "\n".join(events_to_json_lines(events, payloads=False))
    assert "SGVsbG8" not in text
    assert "SGVsbG8" in "\n".join(events_to_json_lines(events))
    read = again(events, payloads=False)
    assert render_ladder(History.from_events(read)) == render_ladder(History.from_events(events))


def test_every_kind_of_event_can_be_written() -> None:
    packet = Packet(bytes(4), bytes(4), 6, Segment(1, 2, 3, 4, 0x1FF, 5))
    made: dict[type[Event], Event] = {
        UserCalled: UserCalled(1, "h", FLOW, "SEND", 7),
        StateChanged: StateChanged(-1, "主机", FLOW, "CLOSED", "LISTEN", reasons.PASSIVE_OPEN),
        TimerStarted: TimerStarted(1, "h", FLOW, "retransmission", 9),
        TimerStopped: TimerStopped(1, "h", FLOW, "retransmission"),
        TimerExpired: TimerExpired(1, "h", FLOW, "retransmission"),
        CongestionChanged: CongestionChanged(1, "h", FLOW, 1, 2, 3, reasons.SLOW_START),
        WindowChanged: WindowChanged(1, "h", FLOW, 1, 2),
        RoundTripMeasured: RoundTripMeasured(1, "h", FLOW, 1, 2, 3, 4),
        PacingChanged: PacingChanged(1, "h", FLOW, 1_250_000),
        PacketLost: PacketLost(1, "h", 1, packet, reasons.QUEUE_FULL),
        PacketTransmitted: PacketTransmitted(1, "h", 1, packet),
        PacketDelivered: PacketDelivered(1, "h", 1, packet),
        SegmentSent: SegmentSent(1, "h", FLOW, packet, "CLOSED", reasons.NEW_DATA),
        kinds.SegmentReceived: kinds.SegmentReceived(1, "h", FLOW, packet, "CLOSED", reasons.ACCEPTED),
        kinds.SegmentDropped: kinds.SegmentDropped(1, "h", FLOW, packet, "CLOSED", reasons.DAMAGED),
    }
    every = {kind for kind in vars(kinds).values() if isinstance(kind, type) and issubclass(kind, Event)} - {
        Event,
        ConnectionEvent,
        SegmentEvent,
        PacketEvent,
    }
    assert set(made) == every
    assert all(map(same, again(list(made.values())), made.values()))


octets = st.binary(max_size=30)
shorts = st.integers(0, 65535)
longs = st.integers(0, 0xFFFFFFFF)
small = st.integers(0, 255)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    size = draw(st.sampled_from([4, 16]))
    stamps = draw(st.none() | st.tuples(longs, longs))
    options = Options(
        draw(st.none() | shorts),
        draw(st.none() | small),
        draw(st.booleans()),
        None if stamps is None else stamps[0],
        None if stamps is None else stamps[1],
        tuple(draw(st.lists(st.tuples(longs, longs), max_size=4))),
        tuple(draw(st.lists(st.tuples(small, octets), max_size=3))),
        tuple(draw(st.lists(small, max_size=9))),
    )
    pieces: list[bytes | memoryview] = list(draw(st.lists(octets, max_size=3)))
    if draw(st.booleans()):
        pieces.append(memoryview(b"view"))
    segment = Segment(
        draw(shorts),
        draw(shorts),
        draw(longs),
        draw(longs),
        draw(st.integers(0, 0x1FF)),
        draw(shorts),
        options,
        tuple(pieces),
        draw(shorts),
        draw(shorts),
        reserved=draw(st.integers(0, 7)),
    )
    message = IcmpMessage(draw(small), draw(small), draw(longs), draw(octets))
    payloads: list[Payload] = [segment, message, b"abc"]
    payload = draw(st.sampled_from(payloads))
    return Packet(
        draw(st.binary(min_size=size, max_size=size)),
        draw(st.binary(min_size=size, max_size=size)),
        draw(small),
        payload,
        draw(small),
        draw(small),
        draw(st.integers(0, 0xFFFFF)),
        draw(longs),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(shorts),
        draw(octets),
    )


@given(packets())
def test_every_packet(packet: Packet) -> None:
    (event,) = again([PacketTransmitted(0, "h", 1, packet)])
    assert isinstance(event, PacketTransmitted)
    assert event.packet == packet
    read, before = event.packet.payload, packet.payload
    if isinstance(read, Segment) and isinstance(before, Segment):
        assert read.options.layout == before.options.layout


def changed(path: str, value: object) -> str:
    """The line of an event with one field changed (or taken away, for None)."""
    packet = Packet(bytes(4), bytes(4), 6, Segment(1, 2, 3, 4, 2, 5, Options(mss=1460, sack=((1, 2),)), (b"abc",)))
    event = SegmentSent(1, "h", FLOW, packet, "SYN-SENT", reasons.SYN_SENT)
    line: dict[str, Any] = json.loads(list(events_to_json_lines([event]))[1])
    at = line
    *way, last = path.split(".")
    for name in way:
        at = at[name]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return json.dumps(line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("9" * 5000, "limit"),
        ("[]", "an event is not an object"),
        ("null", "an event is not an object"),
        ('{"event": "SegmentSent", "event": "SegmentSent"}', "a name stands twice"),
        (" " * (LONGEST_LINE + 1), "longer than"),
        (changed("event", "__class__"), "'__class__' is not a kind of event"),
        (changed("event", "x" * 9999), "is not a kind of event"),
        (changed("time", 1.5), "time is not an integer"),
        (changed("time", True), "time is not an integer"),
        (changed("time", 1 << 64), "time is not from"),
        (changed("host", None), "an event has no host"),
        (changed("host", ["h"]), "host is not a string"),
        (changed("more", 1), "an event has an unknown field 'more'"),
        (changed("flow", "10.0.0.1:80"), "is not"),
        (changed("flow", "10.0.0.1:80 > [::1]:80"), "is not a flow"),
        (changed("flow", "10.0.0.1:80 > 10.0.0.2:65536"), "is not an address and a port"),
        (changed("flow", "10.0.0.1:80 > 10.0.0.2:٣"), "is not an address and a port"),
        (changed("flow", "10.0.0.1:80 > fe80::1%eth0:1"), "is not an IP address"),
        (changed("reason", "no such\nreason"), "is not a reason"),
        (changed("packet", 5), "a packet is not an object"),
        (changed("packet.id", 0), "id is not from 1"),
        (changed("packet.id", [1]), "id is not an integer"),
        (changed("packet.source", "::1"), "of different versions"),
        (changed("packet.ttl", 256), "ttl is not from 0 to 255"),
        (changed("packet.dont_fragment", 1), "neither true nor false"),
        (changed("packet.tcp.flags", "SYN,none"), "'none' is not a TCP flag"),
        (changed("packet.tcp.seq", -1), "seq is not from 0"),
        (changed("packet.tcp.length", 4), "length is 4, and payload has 3 octets"),
        (changed("packet.tcp.length", 1 << 40), "length is not from"),
        (changed("packet.tcp.payload", "?"), "payload is not base64"),
        (changed("packet.tcp.payload", "é"), "payload is not base64"),
        (changed("packet.tcp.options.sack", [[1]]), "sack is not a list of pairs"),
        (changed("packet.tcp.options.sack", [[1, 2]] * 41), "sack is not a list of at most 40"),
        (changed("packet.tcp.options.ts_val", 1), "ts_val and ts_ecr stand together"),
        (changed("packet.tcp.options.layout", [256]), "layout is not from 0 to 255"),
    ],
)
def test_what_is_hostile_ends_in_one_line(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"^line 3: ") as raised:
        events_from_json_lines([HEADER, "", line])
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "line 1: not a synfin-events file"),
        (["", '{"format": "pcap"}'], "line 2: not a synfin-events file"),
        (["[]"], "line 1: not a synfin-events file"),
        (['{"format": "synfin-events", "version": 2}'], "line 1: version '2'; this synfin reads version 1"),
        (['{"format": "synfin-events", "version": true}'], "line 1: version 'True'"),
    ],
)
def test_the_first_line_names_format_and_version(lines: list[str], says: str) -> None:
    with pytest.raises(ValueError) as raised:
        events_from_json_lines(lines)
    assert says in str(raised.value)


def test_a_packet_that_differs_from_itself() -> None:
    one, other = changed("packet.id", 7), changed("packet.id", 7).replace('"seq": 3', '"seq": 4')
    with pytest.raises(ValueError, match="line 3: packet 7 is not what it was before"):
        events_from_json_lines([HEADER, one, other])


def test_a_flow_of_no_known_length() -> None:
    with pytest.raises(ValueError, match="a flow has 12 or 36 octets, not 5"):
        list(events_to_json_lines([UserCalled(0, "h", b"12345", "OPEN", 0)]))


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        events_from_json_lines([HEADER, text + "x"])

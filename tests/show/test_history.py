"""The history of a connection: which arrival belongs to which segment, which state to which moment, which message."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeAlias

import pytest

from synfin import reasons
from synfin.events import Event, PacketDelivered, PacketTransmitted, SegmentReceived, SegmentSent, StateChanged
from synfin.show.history import Arrival, History, Loss, StateChange, Transmission, UserCall, flows
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment

if TYPE_CHECKING:
    from tests.show.conftest import World

    Worlds: TypeAlias = type[World]

MILLISECOND = 1_000_000


def labels(history: History) -> list[str]:
    return [sent.label for sent in history.transmissions]


def segment(packet: Packet) -> Segment:
    assert isinstance(packet.payload, Segment)
    return packet.payload


def whole(world: Worlds, *, wire: bool = True) -> World:
    made = world(wire=wire)
    made.open()
    made.exchange()
    made.close()
    return made


def path(history: History, *, left: bool) -> list[str | None]:
    """The states of one end, one after the other."""
    end = history.left if left else history.right
    states = [end.first_state]
    for row in history.rows:
        if (
            (isinstance(row, Transmission) and row.sender is end)
            or (isinstance(row, Arrival) and row.transmission.receiver is end)
            or (isinstance(row, StateChange) and row.endpoint is end)
        ):
            states += [row.old_state, row.new_state]
        elif isinstance(row, UserCall) and row.endpoint is end and row.change is not None:
            states += [row.change.old_state, row.change.new_state]
    return [state for at, state in enumerate(states) if not at or state != states[at - 1]]


CLIENT_PATH = ["CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
SERVER_PATH = ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]


@pytest.mark.row("E6", "A1", "A3", "A4", "C1", "C2", "C4", "C5")
def test_the_seven_messages(world: Worlds) -> None:
    history = History.from_events(whole(world).events)
    assert labels(history) == ["1", "2", "3", "", "", "4", "5", "6", "7"]
    assert path(history, left=True) == CLIENT_PATH
    assert path(history, left=False) == SERVER_PATH
    assert history.left.host == "client"
    assert history.left.opened == "active"
    assert history.left.name == "192.0.2.1:49152"
    assert history.left.initial_numbers == [1000]
    assert history.right.host == "server"
    assert history.right.opened == "passive"
    assert history.right.initial_numbers == [5000]
    assert [sent.number for sent in history.transmissions] == list(range(1, 10))
    assert history.lost == history.retransmissions == []


@pytest.mark.row("E6")
def test_each_message_with_the_states_around_it(world: Worlds) -> None:
    history = History.from_events(whole(world).events)
    found = []
    for number in range(1, 8):
        sent = history.message(number)
        assert sent is not None
        (arrival,) = sent.arrivals
        assert arrival.told
        assert arrival.time == sent.time + 10 * MILLISECOND
        found.append((sent.old_state, sent.new_state, arrival.old_state, arrival.new_state))
    assert found == [
        ("CLOSED", "SYN-SENT", "LISTEN", "SYN-RECEIVED"),
        ("SYN-RECEIVED", "SYN-RECEIVED", "SYN-SENT", "ESTABLISHED"),
        ("ESTABLISHED", "ESTABLISHED", "SYN-RECEIVED", "ESTABLISHED"),
        ("ESTABLISHED", "FIN-WAIT-1", "ESTABLISHED", "CLOSE-WAIT"),
        ("CLOSE-WAIT", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2"),
        ("CLOSE-WAIT", "LAST-ACK", "FIN-WAIT-2", "TIME-WAIT"),
        ("TIME-WAIT", "TIME-WAIT", "LAST-ACK", "CLOSED"),
    ]
    assert history.message(8) is None
    assert history.message(6, repeat=1) is None


def test_an_arrival_that_changes_the_state_says_why(world: Worlds) -> None:
    made = world()
    made.open()
    packet = made.packet(0, FIN | ACK)
    number = made.send(0, packet, "FIN-WAIT-1")
    made.events.append(PacketDelivered(made.time, "server", number, packet))
    made.change(1, "CLOSE-WAIT", reasons.FIN_RECEIVED)
    made.events.append(
        SegmentReceived(made.time, "server", made.flow(1), packet, "CLOSE-WAIT", reasons.ACKNOWLEDGES_NEW)
    )
    (arrival,) = History.from_events(made.events).transmissions[-1].arrivals
    assert arrival.reason is reasons.FIN_RECEIVED


def test_rows_without_a_segment(world: Worlds) -> None:
    history = History.from_events(whole(world).events)
    calls = [(row.endpoint.host, row.call, row.octets) for row in history.rows if isinstance(row, UserCall)]
    assert calls == [
        ("server", "LISTEN", 0),
        ("client", "OPEN", 0),
        ("client", "SEND", 100),
        ("client", "CLOSE", 0),
        ("server", "CLOSE", 0),
    ]
    listen = history.rows[0]
    assert isinstance(listen, UserCall)
    assert listen.change is not None
    assert (listen.change.old_state, listen.change.new_state) == ("CLOSED", "LISTEN")
    changes = [row for row in history.rows if isinstance(row, StateChange)]
    assert [(row.endpoint.host, row.new_state, row.reason) for row in changes] == [
        ("client", "CLOSED", reasons.TWO_MSL_OVER)
    ]


def test_either_end_names_the_connection(world: Worlds) -> None:
    made = whole(world)
    assert flows(made.events) == [made.flow(0)]
    for end in (0, 1):
        history = History.from_events(made.events, made.flow(end))
        assert history.left.host == "client"
        assert labels(history) == ["1", "2", "3", "", "", "4", "5", "6", "7"]


def test_one_connection_among_others(world: Worlds) -> None:
    one, other = whole(world), world(x=7, y=9, ports=(50000, 80))
    # One listener has both.
    other.states[1] = "LISTEN"
    other.open()
    events = sorted(one.events + other.events, key=lambda event: event.time)
    assert len(flows(events)) == 2
    history = History.from_events(events, other.flow(0))
    assert labels(history) == ["1", "2", "3"]
    assert history.left.port == 50000
    assert path(history, left=False) == SERVER_PATH[:4]


@pytest.mark.row("C5")
def test_message_6_lost(world: Worlds) -> None:
    made = world()
    made.open()
    made.carry(0, FIN | ACK, 0, "FIN-WAIT-1", "CLOSE-WAIT")
    made.carry(1, ACK, 0, "", "FIN-WAIT-2")
    packet = made.packet(1, FIN | ACK)
    made.lose(1, packet, made.send(1, packet, "LAST-ACK", reasons.FIN_SENT))
    made.time += 200 * MILLISECOND
    again = made.packet(1, FIN | ACK, seq=segment(packet).seq)
    number = made.send(1, again, reason=reasons.RETRANSMISSION_TIMEOUT)
    made.time += 10 * MILLISECOND
    made.arrive(0, again, number, "TIME-WAIT", reasons.FIN_RECEIVED)
    made.carry(0, ACK, 0, "", "CLOSED")
    # The FIN comes once more, and is answered once more.
    late = made.packet(1, FIN | ACK, seq=segment(packet).seq)
    number = made.send(1, late, reason=reasons.RETRANSMISSION_TIMEOUT)
    made.arrive(0, late, number, "", reasons.TIME_WAIT_RESTARTED)
    made.send(0, made.packet(0, ACK))
    history = History.from_events(made.events)
    assert labels(history) == ["1", "2", "3", "4", "5", "6", "6′", "7", "6′′", "7′"]
    first = history.message(6)
    assert first is not None
    assert first.arrivals == []
    assert first.loss is not None
    assert first.loss.reason is reasons.LOST_BY_REQUEST
    assert not first.retransmission
    assert history.lost == [first]
    assert any(row is first.loss for row in history.rows if isinstance(row, Loss))
    second = history.message(6, repeat=1)
    assert second is not None
    assert second.retransmission
    assert second.reason is reasons.RETRANSMISSION_TIMEOUT
    assert [arrival.new_state for arrival in second.arrivals] == ["TIME-WAIT"]


def test_many_repetitions_are_counted(world: Worlds) -> None:
    made = world()
    first = made.packet(0, SYN)
    made.send(0, first, "SYN-SENT", reasons.SYN_SENT, reasons.ACTIVE_OPEN)
    for _ in range(4):
        made.time += 1000 * MILLISECOND
        made.send(0, made.packet(0, SYN, seq=segment(first).seq), reason=reasons.RETRANSMISSION_TIMEOUT)
    history = History.from_events(made.events)
    assert labels(history) == ["1", "1′", "1′′", "1′′′", "1′×4"]
    assert [sent.retransmission for sent in history.transmissions] == [False, True, True, True, True]


@pytest.mark.row("C6")
def test_three_messages_to_close(world: Worlds) -> None:
    made = world()
    made.open()
    made.carry(0, FIN | ACK, 0, "FIN-WAIT-1", "CLOSE-WAIT")
    made.carry(1, FIN | ACK, 0, "LAST-ACK", "TIME-WAIT")
    made.carry(0, ACK, 0, "", "CLOSED")
    history = History.from_events(made.events)
    assert labels(history) == ["1", "2", "3", "4", "5+6", "7"]
    assert history.message(5) is history.message(6) is history.transmissions[4]


@pytest.mark.row("C6")
def test_the_merged_message_is_repeated_whole_or_in_part(world: Worlds) -> None:
    made = world()
    made.open()
    made.carry(0, FIN | ACK, 0, "FIN-WAIT-1", "CLOSE-WAIT")
    merged = made.packet(1, FIN | ACK)
    made.lose(1, merged, made.send(1, merged, "LAST-ACK"))
    again = made.packet(0, FIN | ACK, seq=1001)
    made.arrive(1, again, made.send(0, again, reason=reasons.RETRANSMISSION_TIMEOUT), dropped=True)
    made.carry(1, ACK)
    whole_again = made.packet(1, FIN | ACK, seq=segment(merged).seq)
    made.arrive(0, whole_again, made.send(1, whole_again, reason=reasons.RETRANSMISSION_TIMEOUT), "TIME-WAIT")
    history = History.from_events(made.events)
    assert labels(history)[3:] == ["4", "5+6", "4′", "5′", "5+6′"]
    assert history.transmissions[5].arrivals[0].dropped


def test_a_third_message_that_carries_data_or_a_fin(world: Worlds) -> None:
    for flags, expected in ((PSH | ACK, "3"), (FIN | ACK, "3+4")):
        made = world()
        made.listen()
        made.carry(0, SYN, 0, "SYN-SENT", "SYN-RECEIVED", why=reasons.ACTIVE_OPEN)
        made.carry(1, SYN | ACK, 0, "", "ESTABLISHED")
        made.carry(0, flags, 20)
        assert labels(History.from_events(made.events)) == ["1", "2", expected]


@pytest.mark.row("C3")
def test_data_after_the_half_close_is_not_a_message(world: Worlds) -> None:
    made = world()
    made.open()
    made.carry(0, FIN | ACK, 0, "FIN-WAIT-1", "CLOSE-WAIT")
    made.carry(1, ACK, 0, "", "FIN-WAIT-2")
    for _ in range(3):
        made.carry(1, PSH | ACK, 50)
        made.carry(0, ACK)
    made.carry(1, FIN | ACK, 0, "LAST-ACK", "TIME-WAIT")
    made.carry(0, ACK, 0, "", "CLOSED")
    assert labels(History.from_events(made.events)) == ["1", "2", "3", "4", "5", *[""] * 6, "6", "7"]


def crossing_open(world: Worlds) -> World:
    made = world()
    syns = [made.packet(end, SYN) for end in (0, 1)]
    numbers = []
    for end in (0, 1):
        numbers.append(made.send(end, syns[end], "SYN-SENT", reasons.SYN_SENT, reasons.ACTIVE_OPEN))
        made.time += MILLISECOND
    answers = []
    for end in (1, 0):
        made.time += 5 * MILLISECOND
        made.arrive(end, syns[1 - end], numbers[1 - end], "SYN-RECEIVED", reasons.SIMULTANEOUS_SYN)
        answer = made.packet(end, SYN | ACK, seq=segment(syns[end]).seq)
        answers.append((end, answer, made.send(end, answer, reason=reasons.SYN_ANSWERED)))
    for end, answer, number in answers:
        made.time += 5 * MILLISECOND
        made.arrive(1 - end, answer, number, "ESTABLISHED", reasons.ACK_OF_SYN_RECEIVED)
    return made


@pytest.mark.row("A13")
def test_simultaneous_open(world: Worlds) -> None:
    made = crossing_open(world)
    made.carry(0, PSH | ACK, 10)
    history = History.from_events(made.events)
    assert labels(history) == ["1a", "1b", "2b", "2a", ""]
    assert history.message(1) is history.message("1a") is history.transmissions[0]
    assert history.left.opened == history.right.opened == "active"
    for left in (True, False):
        assert path(history, left=left) == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
    # The SYNs crossed: both were sent before either arrived.
    assert [type(row) for row in history.rows[:3]] == [Transmission, Transmission, Arrival]
    # SYN+ACK has the number of the SYN before it, and is another message all the same.
    assert history.retransmissions == []


@pytest.mark.row("A13")
def test_a_repeated_syn_that_turns_out_to_have_crossed_another(world: Worlds) -> None:
    made = world()
    first = made.packet(0, SYN)
    made.lose(0, first, made.send(0, first, "SYN-SENT", why=reasons.ACTIVE_OPEN))
    again = made.packet(0, SYN, seq=segment(first).seq)
    made.send(0, again, reason=reasons.RETRANSMISSION_TIMEOUT)
    made.send(1, made.packet(1, SYN), "SYN-SENT", why=reasons.ACTIVE_OPEN)
    assert labels(History.from_events(made.events)) == ["1a", "1a′", "1b"]


@pytest.mark.row("C7")
def test_simultaneous_close(world: Worlds) -> None:
    made = world()
    made.open()
    fins = [made.packet(end, FIN | ACK) for end in (0, 1)]
    numbers = [made.send(end, fins[end], "FIN-WAIT-1", reasons.FIN_SENT) for end in (0, 1)]
    made.time += 10 * MILLISECOND
    acks = []
    for end in (0, 1):
        made.arrive(end, fins[1 - end], numbers[1 - end], "CLOSING", reasons.FIN_RECEIVED)
        packet = made.packet(end, ACK)
        acks.append((end, packet, made.send(end, packet, reason=reasons.ACK_OF_FIN)))
    made.time += 10 * MILLISECOND
    for end, packet, number in acks:
        made.arrive(1 - end, packet, number, "TIME-WAIT", reasons.ACK_OF_FIN_RECEIVED)
    made.over(0)
    made.change(1, "CLOSED", reasons.TWO_MSL_OVER)
    history = History.from_events(made.events)
    assert labels(history) == ["1", "2", "3", "4a", "4b", "5a", "5b"]
    end_of_both = ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
    for left in (True, False):
        assert path(history, left=left)[-5:] == end_of_both


@pytest.mark.row("B2")
def test_retransmitted_data(world: Worlds) -> None:
    made = world()
    made.open()
    sent = made.packet(0, PSH | ACK, 100)
    made.lose(0, sent, made.send(0, sent))
    made.carry(0, PSH | ACK, 100)
    made.carry(1, ACK)
    again = made.packet(0, PSH | ACK, 100, seq=segment(sent).seq)
    made.send(0, again, reason=reasons.FAST_RETRANSMIT)
    # Other boundaries than before; then new data, right behind.
    made.send(0, made.packet(0, PSH | ACK, 10, seq=segment(sent).seq + 95), reason=reasons.RETRANSMISSION_TIMEOUT)
    made.send(0, made.packet(0, PSH | ACK, 10))
    history = History.from_events(made.events)
    assert [row.retransmission for row in history.transmissions[3:]] == [False, False, False, True, True, False]
    assert labels(history)[3:] == [""] * 6


def test_numbers_wrap_around(world: Worlds) -> None:
    made = world(x=0xFFFFFFF0, y=0xFFFFFFFF)
    made.open()
    made.carry(0, PSH | ACK, 100)
    made.carry(0, PSH | ACK, 100)
    made.close()
    history = History.from_events(made.events)
    assert history.retransmissions == []
    assert labels(history) == ["1", "2", "3", "", "", "4", "5", "6", "7"]
    fin = history.message(4)
    assert fin is not None
    assert fin.segment.seq == 0xB9
    assert history.left.relative(fin.segment.seq) == 201


@pytest.mark.row("A6")
def test_the_window_is_scaled_after_the_syns(world: Worlds) -> None:
    history = History.from_events(whole(world).events)
    assert [sent.window for sent in history.transmissions[:3]] == [502, 502, 502 << 7]
    made = world()
    made.send(0, made.packet(0, SYN, options=Options(window_scale=255)), "SYN-SENT", why=reasons.ACTIVE_OPEN)
    made.send(1, made.packet(1, SYN | ACK, options=Options(window_scale=0)))
    made.send(0, made.packet(0, ACK))
    # RFC 7323 §2.3: more than 14 means 14.
    assert History.from_events(made.events).transmissions[2].window == 502 << 14
    made = world()
    made.send(0, made.packet(0, SYN), "SYN-SENT", why=reasons.ACTIVE_OPEN)
    made.send(1, made.packet(1, SYN | ACK, options=Options()))
    made.send(0, made.packet(0, ACK))
    assert History.from_events(made.events).transmissions[2].window == 502


@pytest.mark.row("A12")
def test_refused(world: Worlds) -> None:
    made = world()
    made.call(0, "OPEN")
    made.carry(0, SYN, 0, "SYN-SENT", "", why=reasons.ACTIVE_OPEN, got=reasons.NOBODY_HOME)
    made.carry(1, RST | ACK, 0, "", "CLOSED", reasons.RESET_NO_CONNECTION, got=reasons.REFUSED)
    history = History.from_events(made.events)
    assert labels(history) == ["1", ""]
    assert path(history, left=True) == ["CLOSED", "SYN-SENT", "CLOSED"]
    assert path(history, left=False) == ["CLOSED"]


@pytest.mark.row("C12")
def test_abort(world: Worlds) -> None:
    made = world()
    made.open()
    made.call(0, "ABORT")
    made.carry(0, RST | ACK, 0, "CLOSED", "CLOSED", reasons.RESET_ABORT, reasons.USER_ABORTED, reasons.RESET_RECEIVED)
    history = History.from_events(made.events)
    assert labels(history)[3:] == [""]
    sent = history.transmissions[-1]
    assert (sent.old_state, sent.new_state) == ("ESTABLISHED", "CLOSED")
    assert (sent.arrivals[0].old_state, sent.arrivals[0].new_state) == ("ESTABLISHED", "CLOSED")


def test_a_close_behind_data_is_the_calls_own_change(world: Worlds) -> None:
    made = world()
    made.open()
    made.call(0, "CLOSE")
    made.change(0, "FIN-WAIT-1", reasons.USER_CLOSED)
    made.send(0, made.packet(0, PSH | ACK, 100))
    made.send(0, made.packet(0, FIN | ACK))
    history = History.from_events(made.events)
    call = next(row for row in history.rows if isinstance(row, UserCall) and row.call == "CLOSE")
    assert call.change is not None
    assert call.change.new_state == "FIN-WAIT-1"
    assert [(sent.old_state, sent.new_state) for sent in history.transmissions[3:]] == [("FIN-WAIT-1",) * 2] * 2


def test_wire_duplicates(world: Worlds) -> None:
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    number = made.send(0, packet)
    made.arrive(1, packet, number, "", reasons.IN_ORDER_DATA)
    made.time += MILLISECOND
    made.arrive(1, packet, number, "", reasons.DUPLICATE_DATA, dropped=True)
    history = History.from_events(made.events)
    sent = history.transmissions[-1]
    assert [(arrival.duplicate, arrival.dropped) for arrival in sent.arrivals] == [(False, False), (True, True)]
    assert [arrival.reason for arrival in sent.arrivals] == [reasons.IN_ORDER_DATA, reasons.DUPLICATE_DATA]
    assert history.retransmissions == []


def test_one_packet_object_on_two_ways_at_once(world: Worlds) -> None:
    # A duplicate is delivered before the host has told of the original.
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    number = made.send(0, packet)
    for _ in range(2):
        made.events.append(PacketDelivered(made.time, "server", number, packet))
    for reason in (reasons.IN_ORDER_DATA, reasons.DUPLICATE_DATA):
        made.events.append(SegmentReceived(made.time, "server", made.flow(1), packet, "ESTABLISHED", reason))
    sent = History.from_events(made.events).transmissions[-1]
    assert [arrival.reason for arrival in sent.arrivals] == [reasons.IN_ORDER_DATA, reasons.DUPLICATE_DATA]


def test_changes_told_after_their_segment_are_the_same_history(world: Worlds) -> None:
    made = whole(world)
    events = list(made.events)
    for at in range(len(events) - 1):
        change, following = events[at], events[at + 1]
        told = isinstance(following, SegmentSent | SegmentReceived)
        if isinstance(change, StateChanged) and told and (following.host, following.time) == (change.host, change.time):
            events[at], events[at + 1] = following, change
    assert events != made.events
    history = History.from_events(events)
    assert path(history, left=True) == CLIENT_PATH
    assert path(history, left=False) == SERVER_PATH
    assert len([row for row in history.rows if isinstance(row, StateChange)]) == 1
    fin = history.message(4)
    assert fin is not None
    assert (fin.old_state, fin.new_state) == ("ESTABLISHED", "FIN-WAIT-1")


def test_arrivals_at_one_moment_keep_their_own_changes(world: Worlds) -> None:
    made = world()
    made.listen()
    made.carry(0, SYN, 0, "SYN-SENT", "SYN-RECEIVED", why=reasons.ACTIVE_OPEN)
    made.carry(1, SYN | ACK, 0, "", "ESTABLISHED")
    ack = made.packet(0, ACK)
    fin = made.packet(0, FIN | ACK)
    first, second = made.send(0, ack), made.send(0, fin, "FIN-WAIT-1")
    made.time += 10 * MILLISECOND
    made.arrive(1, ack, first, "ESTABLISHED", reasons.ACK_OF_SYN_RECEIVED)
    made.arrive(1, fin, second, "CLOSE-WAIT", reasons.FIN_RECEIVED)
    arrivals = [row for row in History.from_events(made.events).rows if isinstance(row, Arrival)][-2:]
    assert [(row.old_state, row.new_state) for row in arrivals] == [
        ("SYN-RECEIVED", "ESTABLISHED"),
        ("ESTABLISHED", "CLOSE-WAIT"),
    ]


def test_without_the_wire_arrivals_are_found_by_what_they_say(world: Worlds) -> None:
    history = History.from_events(whole(world, wire=False).events)
    assert labels(history) == ["1", "2", "3", "", "", "4", "5", "6", "7"]
    assert all(len(sent.arrivals) == 1 for sent in history.transmissions)
    assert path(history, left=False) == SERVER_PATH


@pytest.mark.parametrize("traced", [0, 1])
def test_a_one_sided_trace(world: Worlds, traced: int) -> None:
    made = whole(world, wire=False)
    events = [event for event in made.events if event.host == made.names[traced]]
    history = History.from_events(events)
    assert labels(history) == ["1", "2", "3", "", "", "4", "5", "6", "7"]
    mine, other = (history.left, history.right) if traced == 0 else (history.right, history.left)
    assert (mine.traced, other.traced) == (True, False)
    assert (mine.host, other.host) == (made.names[traced], "")
    assert path(history, left=traced == 0) == (CLIENT_PATH if traced == 0 else SERVER_PATH)
    assert path(history, left=traced != 0) == [None]
    for sent in history.transmissions:
        # What it sent may have arrived or not; what came was seen to come.
        assert len(sent.arrivals) == (sent.receiver is mine)


def test_a_repetition_in_a_one_sided_trace(world: Worlds) -> None:
    made = world(wire=False)
    made.open()
    made.exchange()
    events = [event for event in made.events if event.host == "server"]
    data = next(event for event in events if isinstance(event, SegmentReceived) and segment(event.packet).length == 100)
    later = SegmentReceived(10**9, data.host, data.flow, data.packet, data.state, reasons.DUPLICATE_DATA)
    history = History.from_events([*events, later])
    assert [sent.retransmission for sent in history.transmissions] == [False] * 5 + [True]


def test_a_made_up_fin_is_no_message(world: Worlds) -> None:
    made = world(wire=False)
    made.open()
    made.arrive(0, made.packet(1, FIN | ACK, seq=77), 0, "", reasons.OUTSIDE_WINDOW, dropped=True)
    events = [event for event in made.events if event.host == "client"]
    assert labels(History.from_events(events)) == ["1", "2", "3", ""]


def test_a_superpacket_cut_on_the_way(world: Worlds) -> None:
    made = world()
    made.open()
    whole_packet = made.packet(0, PSH | ACK, 2500)
    seq = segment(whole_packet).seq
    made.events.append(SegmentSent(made.time, "client", made.flow(0), whole_packet, "ESTABLISHED", reasons.NEW_DATA))
    for at, length in ((0, 1000), (1000, 1000), (2000, 500)):
        piece = made.packet(0, ACK, length, seq=seq + at)
        made.number += 1
        made.events.append(PacketTransmitted(made.time, "client", made.number, piece))
        made.arrive(1, piece, made.number)
    pieces = History.from_events(made.events).transmissions[3:]
    assert [(sent.segment.payload_length, len(sent.arrivals)) for sent in pieces] == [(1000, 1), (1000, 1), (500, 1)]
    assert {sent.reason for sent in pieces} == {reasons.NEW_DATA}


def test_a_superpacket_with_a_fin(world: Worlds) -> None:
    made = world()
    made.open()
    made.change(0, "FIN-WAIT-1", reasons.USER_CLOSED)
    large = made.packet(0, FIN | ACK, 1500)
    seq = segment(large).seq
    made.events.append(SegmentSent(made.time, "client", made.flow(0), large, "FIN-WAIT-1", reasons.FIN_SENT))
    for at, flags, length in ((0, ACK, 1000), (1000, FIN | ACK, 500)):
        made.number += 1
        piece = made.packet(0, flags, length, seq=seq + at)
        made.events.append(PacketTransmitted(made.time, "client", made.number, piece))
    history = History.from_events(made.events)
    states = [(sent.old_state, sent.new_state) for sent in history.transmissions[3:]]
    assert states == [("ESTABLISHED", "FIN-WAIT-1"), ("FIN-WAIT-1", "FIN-WAIT-1")]
    assert labels(history)[3:] == ["", "4"]


def test_a_fin_that_had_to_wait(world: Worlds) -> None:
    made = world()
    made.open()
    made.change(0, "FIN-WAIT-1", reasons.USER_CLOSED)
    made.time += MILLISECOND
    made.send(0, made.packet(0, FIN | ACK))
    history = History.from_events(made.events)
    change, fin = history.rows[-2:]
    assert isinstance(change, StateChange)
    assert isinstance(fin, Transmission)
    assert (fin.old_state, fin.new_state) == ("FIN-WAIT-1", "FIN-WAIT-1")


def test_an_abort_at_the_moment_of_an_arrival(world: Worlds) -> None:
    made = world(wire=False)
    made.carry(0, SYN, 0, "SYN-SENT", "SYN-RECEIVED", why=reasons.ACTIVE_OPEN)
    packet = made.packet(1, SYN | ACK)
    made.send(1, packet)
    made.change(0, "CLOSED", reasons.USER_ABORTED)
    made.arrive(0, packet, 0, "", reasons.NOBODY_HOME, dropped=True)
    change, arrival = History.from_events(made.events).rows[-2:]
    assert isinstance(change, StateChange)
    assert isinstance(arrival, Arrival)
    assert (arrival.old_state, arrival.new_state) == ("CLOSED", "CLOSED")


def test_the_listener_goes_and_the_connection_stays(world: Worlds) -> None:
    made = world()
    made.open()
    listener = bytes(10) + made.ports[1].to_bytes(2, "big")
    made.events.append(StateChanged(made.time, "server", listener, "LISTEN", "CLOSED", reasons.USER_CLOSED))
    made.exchange()
    assert path(History.from_events(made.events), left=False) == SERVER_PATH[:4]


@pytest.mark.parametrize(("address", "is_its"), [("0.0.0.0", True), ("192.0.2.2", True), ("192.0.2.3", False)])
def test_a_listener_at_an_address(world: Worlds, address: str, is_its: bool) -> None:
    made = world()
    flow = bytes(4) + ip_address(address).packed + bytes(2) + made.ports[1].to_bytes(2, "big")
    made.events.append(StateChanged(0, "server", flow, "CLOSED", "LISTEN", reasons.PASSIVE_OPEN))
    made.states[1] = "LISTEN"
    made.open()
    assert path(History.from_events(made.events), left=False) == SERVER_PATH[not is_its : 4]


def test_a_listener_on_the_port_of_the_opener_is_not_its_own(world: Worlds) -> None:
    made = world()
    made.listen(0)
    made.states[0] = "CLOSED"
    made.time += MILLISECOND
    made.open()
    assert path(History.from_events(made.events), left=True) == CLIENT_PATH[:3]


def test_of_two_alike_the_wire_says_which_was_lost(world: Worlds) -> None:
    made = world()
    made.open()
    packets = [made.packet(0, ACK) for _ in range(2)]
    first, second = (made.send(0, packet) for packet in packets)
    # The wire may hand over copies.
    made.lose(0, made.packet(0, ACK), second)
    made.arrive(1, packets[0], first)
    sent = History.from_events(made.events).transmissions[3:]
    assert [(bool(row.arrivals), row.loss is not None) for row in sent] == [(True, False), (False, True)]


def test_a_repetition_behind_the_end_of_the_numbers(world: Worlds) -> None:
    made = world(x=0xFFFFFFF0)
    made.open()
    made.carry(0, PSH | ACK, 100)
    made.send(0, made.packet(0, PSH | ACK, 10, seq=4))
    assert [sent.retransmission for sent in History.from_events(made.events).transmissions] == [False] * 4 + [True]


@pytest.mark.row("A10")
@pytest.mark.parametrize("sided", [False, True])
def test_message_3_again(world: Worlds, sided: bool) -> None:
    made = world(wire=not sided)
    made.listen()
    made.carry(0, SYN, 0, "SYN-SENT", "SYN-RECEIVED", why=reasons.ACTIVE_OPEN)
    made.carry(1, SYN | ACK, 0, "", "ESTABLISHED")
    made.carry(0, ACK)
    again = made.packet(1, SYN | ACK, seq=5000)
    made.arrive(0, again, made.send(1, again, reason=reasons.RETRANSMISSION_TIMEOUT), dropped=True)
    made.expected[0] = 5001
    made.carry(0, ACK, 0, "", "ESTABLISHED")
    # No answer to a SYN, though it says the same.
    made.carry(0, ACK)
    events = [event for event in made.events if event.host == "server"] if sided else made.events
    assert labels(History.from_events(events)) == ["1", "2", "3", "2′", "3′", ""]


@pytest.mark.row("C3")
def test_data_after_a_repeated_fin_is_no_answer_to_it(world: Worlds) -> None:
    made = world()
    made.open()
    made.carry(0, FIN | ACK, 0, "FIN-WAIT-1", "CLOSE-WAIT")
    made.carry(1, ACK, 0, "", "FIN-WAIT-2")
    again = made.packet(0, FIN | ACK, seq=1001)
    made.arrive(1, again, made.send(0, again), dropped=True)
    made.carry(1, PSH | ACK, 10)
    assert labels(History.from_events(made.events))[3:] == ["4", "5", "4′", ""]


def test_what_a_fin_ahead_of_lost_data_is_answered_with_is_no_message(world: Worlds) -> None:
    made = world()
    made.open()
    data = made.packet(1, PSH | ACK, 10)
    made.lose(1, data, made.send(1, data))
    fin = made.packet(1, FIN | ACK)
    made.arrive(0, fin, made.send(1, fin))
    made.expected[0] = 5001
    made.carry(0, ACK)
    assert labels(History.from_events(made.events))[3:] == ["", "4", ""]


def test_a_connection_opened_again(world: Worlds) -> None:
    made = whole(world)
    made.next = [900_000, 800_000]
    made.open()
    history = History.from_events(made.events)
    assert labels(history)[9:] == ["1", "2", "3"]
    assert history.left.initial_numbers == [1000, 900_000]
    assert history.left.relative(900_001) == 1
    assert history.left.relative(1101) == 101
    assert not any(sent.retransmission for sent in history.transmissions[9:])


def test_a_connection_opened_again_with_the_same_number(world: Worlds) -> None:
    """When the clock of initial numbers has gone round. A SYN behind a FIN repeats none before it."""
    made = whole(world)
    made.next = [1000, 2000]
    made.open()
    history = History.from_events(made.events)
    assert labels(history)[9:] == ["1", "2", "3"]
    assert not any(sent.retransmission for sent in history.transmissions[9:])


def test_packets_that_routers_hand_on(world: Worlds) -> None:
    made = world(wire=False)
    made.open()
    events: list[Event] = []
    number = 0
    for event in made.events:
        if isinstance(event, SegmentReceived):
            # The router has numbers of its own, and the last wire too: that of the ACK is the SYN's on the first.
            events.append(PacketDelivered(event.time, "router", number, event.packet))
            events.append(PacketTransmitted(event.time, "router", 1, event.packet))
            events.append(PacketDelivered(event.time, event.host, 1, event.packet))
        events.append(event)
        if isinstance(event, SegmentSent):
            number += 1
            events.append(PacketTransmitted(event.time, event.host, number, event.packet))
    history = History.from_events(events)
    assert labels(history) == ["1", "2", "3"]
    assert [len(sent.arrivals) for sent in history.transmissions] == [1, 1, 1]


def test_a_host_that_never_answers_is_named_by_the_wire(world: Worlds) -> None:
    made = world()
    packet = made.packet(0, SYN)
    number = made.send(0, packet, "SYN-SENT", why=reasons.ACTIVE_OPEN)
    made.events.append(PacketDelivered(made.time, "server", number, packet))
    history = History.from_events(made.events)
    assert history.right.host == "server"
    assert history.right.first_state is None
    (arrival,) = history.transmissions[0].arrivals
    assert not arrival.told


def test_ipv6(world: Worlds) -> None:
    made = world(addresses=("2001:db8::1", "2001:db8::2"))
    made.open()
    history = History.from_events(made.events)
    assert history.left.name == "[2001:db8::1]:49152"
    assert history.right.address == "2001:db8::2"
    assert path(history, left=False) == SERVER_PATH[:4]


def test_a_connection_to_oneself() -> None:
    address = bytes([127, 0, 0, 1])
    flow = address + address + b"\x10\x00\x10\x00"
    packet = Packet(address, address, PROTOCOL_TCP, Segment(4096, 4096, 1, 0, SYN, 1000))
    events = [
        SegmentSent(0, "host", flow, packet, "SYN-SENT", reasons.SYN_SENT),
        SegmentReceived(1, "host", flow, packet, "SYN-RECEIVED", reasons.SIMULTANEOUS_SYN),
    ]
    history = History.from_events(events)
    assert history.left is history.right
    assert len(history.transmissions) == 1


@pytest.mark.parametrize("flow", [None, b"", bytes(11)])
def test_nothing_to_tell(flow: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"connection|octets"):
        History.from_events([], flow)

"""Closing a connection: four messages, three, both at once, half-closed, aborted (rows C1 to C7, C11, C12, E6)."""

from __future__ import annotations

import pytest

from synfin.tcp import time_wait
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.readiness import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP
from synfin.tcp.timers import NEVER
from synfin.wire.tcp import RST
from tests.tcp.world import MS, SECOND, World, acknowledging_fins, by_client, by_server, data, fin, rst


@pytest.mark.row("C1", "C2", "C4", "C5", "E6")
@pytest.mark.parametrize("active", ["client", "server"])
def test_four_messages_either_end_may_be_the_active_closer(active: str) -> None:
    w = World(acknowledging_fins(), acknowledging_fins())
    w.connect()
    w.client.send(b"request")
    w.server.send(b"response!")
    w.run_for(SECOND)
    assert w.server.receive() == b"request"
    assert w.client.receive() == b"response!"
    one, other = (w.client, w.server) if active == "client" else (w.server, w.client)
    passive = "server" if active == "client" else "client"
    one_base, other_base = ("x", "y") if active == "client" else ("y", "x")
    one_sent, other_sent = (8, 10) if active == "client" else (10, 8)
    u, v = f"{one_base}+{one_sent}", f"{other_base}+{other_sent}"
    u1, v1 = f"{one_base}+{one_sent + 1}", f"{other_base}+{other_sent + 1}"
    since = len(w.messages)

    def both(of_one: str, of_other: str) -> str:
        return f"{of_one} {of_other}" if active == "client" else f"{of_other} {of_one}"

    start = w.now
    t = [f"{(start + i * 10 * MS) / SECOND:g}" for i in range(4)]
    one.close()
    w.run_for(20 * MS)
    assert w.story(since) == [
        f"{t[0]} {active} FIN,ACK seq={u} ack={v} | {both('FIN-WAIT-1', 'ESTABLISHED')} | "
        f"{both('FIN-WAIT-1', 'CLOSE-WAIT')}",
        f"{t[1]} {passive} ACK seq={v} ack={u1} | {both('FIN-WAIT-1', 'CLOSE-WAIT')} | "
        f"{both('FIN-WAIT-2', 'CLOSE-WAIT')}",
    ]
    # C2: the application is told: the end of the stream.
    assert other.tcb.readiness() == POLLIN | POLLRDHUP | POLLOUT
    assert other.receive() == b""
    assert other.receive() == b""
    other.close()
    w.run_for(20 * MS)
    assert w.story(since + 2) == [
        f"{t[2]} {passive} FIN,ACK seq={v} ack={u1} | {both('FIN-WAIT-2', 'LAST-ACK')} | "
        f"{both('TIME-WAIT', 'LAST-ACK')}",
        f"{t[3]} {active} ACK seq={u1} ack={v1} | {both('TIME-WAIT', 'LAST-ACK')} | {both('TIME-WAIT', 'CLOSED')}",
    ]
    # C5: the passive end is CLOSED the moment the ACK arrives, the active one 60 s after it sent that.
    assert w.states() == tuple(both("TIME-WAIT", "CLOSED").split())
    sent_last = w.messages[-1].time
    w.run(sent_last + 60 * SECOND - 1)
    assert one.state == "TIME-WAIT"
    w.run(sent_last + 60 * SECOND)
    assert one.state == "CLOSED"
    assert other.tcb.next_deadline() == one.tcb.next_deadline() == NEVER


@pytest.mark.row("C5")
@pytest.mark.requirement("MUST-13")
def test_the_length_of_time_wait_is_a_setting() -> None:
    short = TcpParameters()
    short.tcp_timewait_len = 240
    w = World(client=short)
    w.connect()
    w.client.close()
    w.run_for(SECOND)
    w.server.close()
    w.run_for(SECOND)
    last = w.messages[-1].time
    w.run()
    assert w.now == last + 240 * SECOND


@pytest.mark.row("C1")
def test_a_fin_follows_what_was_written_and_consumes_one_number() -> None:
    w = World()
    w.connect()
    w.client.send(b"x" * 3000)
    w.client.close()
    w.run_for(SECOND)
    fins = [m.segment for m in w.messages if fin(m)]
    assert len(fins) == 1
    # It rides on the last segment of data, with PSH.
    assert fins[0].payload_length == 3000 - 2 * 1448
    assert w.client.tcb.snd_nxt == w.client.tcb.iss + 1 + 3000 + 1
    assert w.server.receive() == b"x" * 3000
    assert w.server.receive() == b""
    with pytest.raises(BrokenPipeError):
        w.client.send(b"more")
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")
    # CLOSE again does nothing (RFC 9293 §3.10.4).
    w.client.close()
    w.run_for(SECOND)
    assert sum(map(fin, w.messages)) == 1


@pytest.mark.row("C3")
def test_half_closed_after_shutdown_the_other_end_may_send_as_long_as_it_likes() -> None:
    w = World()
    w.connect()
    w.client.close()  # shutdown(SHUT_WR)
    w.run_for(SECOND)
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")
    w.run_for(100_000 * SECOND)
    for _ in range(3):
        w.server.send(b"late data")
        w.run_for(1000 * SECOND)
        assert w.client.receive() == b"late data"
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")
    w.server.close()
    w.run_for(SECOND)
    assert w.states() == ("TIME-WAIT", "CLOSED")
    assert w.client.receive() == b""
    assert w.times(rst) == []


@pytest.mark.row("C3")
@pytest.mark.requirement("SHLD-3", "MAY-1")
def test_after_close_late_data_meets_a_reset() -> None:
    w = World()
    w.connect()
    w.client.release()  # close()
    w.run_for(SECOND)
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")
    since = len(w.messages)
    w.server.send(b"late data")
    w.run_for(SECOND)
    assert w.story(since) == [
        "1.03 server PSH,ACK seq=y+1 ack=x+2 (9) | FIN-WAIT-2 CLOSE-WAIT | CLOSED CLOSE-WAIT",
        "1.04 client RST seq=x+2 | CLOSED CLOSE-WAIT | CLOSED CLOSED",
    ]
    # As Linux: in CLOSE-WAIT a reset is a broken pipe.
    with pytest.raises(BrokenPipeError):
        w.server.send(b"more")
    assert w.client.tcb.next_deadline() == NEVER


@pytest.mark.row("C3", "C8")
def test_an_orphan_does_not_stay_in_fin_wait_2() -> None:
    w = World(server=acknowledging_fins())
    w.connect()
    w.client.release()
    w.run_for(20 * MS)
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")
    entered = w.now
    w.run(entered + 60 * SECOND - 1)
    assert w.client.state == "FIN-WAIT-2"
    w.run(entered + 60 * SECOND)
    assert w.client.state == "CLOSED"
    # The other end learns of it when it sends: there is no connection any more.
    w.server.send(b"anyone?")
    w.run_for(SECOND)
    assert w.server.state == "CLOSED"
    assert w.times(rst) != []


@pytest.mark.row("C3")
def test_tcp_fin_timeout_counts_from_release_when_that_came_later() -> None:
    parameters = TcpParameters()
    parameters.tcp_fin_timeout = 5
    w = World(client=parameters)
    w.connect()
    w.client.close()
    w.run_for(1000 * SECOND)
    assert w.client.state == "FIN-WAIT-2"
    w.client.release()
    released = w.now
    w.run()
    assert w.client.state == "CLOSED"
    assert w.now == released + 5 * SECOND


@pytest.mark.row("C6")
def test_three_messages_when_the_ack_need_not_wait_for_the_application() -> None:
    w = World()
    w.connect()
    since = len(w.messages)
    # The application closes as soon as it reads the end, before the driver has asked for anything to send.
    w.server.reading = w.server.closes_at_end = True
    w.client.close()
    w.run_for(SECOND)
    assert w.story(since) == [
        "0.03 client FIN,ACK seq=x+1 ack=y+1 | FIN-WAIT-1 ESTABLISHED | FIN-WAIT-1 CLOSE-WAIT",
        # Both FINs in one message more, and the three exits of FIN-WAIT-1: this is the straight one.
        "0.04 server FIN,ACK seq=y+1 ack=x+2 | FIN-WAIT-1 LAST-ACK | TIME-WAIT LAST-ACK",
        "0.05 client ACK seq=x+2 ack=y+2 | TIME-WAIT LAST-ACK | TIME-WAIT CLOSED",
    ]


@pytest.mark.row("C6")
@pytest.mark.parametrize("wait", [0, 10, 39, 60])
def test_three_messages_when_the_user_closes_while_the_ack_waits_four_later(wait: int) -> None:
    """As Linux does it by default: after data the ACK of a FIN waits 40 ms for ours."""
    w = World()
    w.connect()
    w.client.send(b"request")
    w.run_for(SECOND)
    assert w.server.receive() == b"request"
    since = len(w.messages)
    w.client.close()
    w.run_for((10 + wait) * MS)
    w.server.close()
    w.run_for(SECOND)
    four = wait > 40
    at = 1.04 + wait / 1000
    state = "FIN-WAIT-2" if four else "FIN-WAIT-1"
    assert w.story(since) == [
        "1.03 client FIN,ACK seq=x+8 ack=y+1 | FIN-WAIT-1 ESTABLISHED | FIN-WAIT-1 CLOSE-WAIT",
        *["1.08 server ACK seq=y+1 ack=x+9 | FIN-WAIT-1 CLOSE-WAIT | FIN-WAIT-2 CLOSE-WAIT"] * four,
        f"{at:g} server FIN,ACK seq=y+1 ack=x+9 | {state} LAST-ACK | TIME-WAIT LAST-ACK",
        f"{at + 0.01:g} client ACK seq=x+9 ack=y+2 | TIME-WAIT LAST-ACK | TIME-WAIT CLOSED",
    ]


@pytest.mark.row("C7")
def test_simultaneous_close() -> None:
    w = World()
    w.connect()
    since = len(w.messages)
    w.client.close()
    w.server.close()
    w.run_for(SECOND)
    assert w.story(since) == [
        "0.03 client FIN,ACK seq=x+1 ack=y+1 | FIN-WAIT-1 FIN-WAIT-1 | FIN-WAIT-1 CLOSING",
        "0.03 server FIN,ACK seq=y+1 ack=x+1 | FIN-WAIT-1 FIN-WAIT-1 | CLOSING CLOSING",
        "0.04 server ACK seq=y+2 ack=x+2 | FIN-WAIT-1 CLOSING | TIME-WAIT CLOSING",
        "0.04 client ACK seq=x+2 ack=y+2 | CLOSING CLOSING | TIME-WAIT TIME-WAIT",
    ]
    w.run()
    assert w.states() == ("CLOSED", "CLOSED")
    assert w.now == w.messages[-1].time + 10 * MS + 60 * SECOND


@pytest.mark.row("C7")
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_simultaneous_close_with_losses(lost: int) -> None:
    w = World()
    w.connect()
    w.client.write(b"a" * 5000, then_close=True)
    w.server.write(b"b" * 5000, then_close=True)
    w.client.reading = w.server.reading = True
    w.lose(fin, count=lost)
    w.run()
    assert w.states() == ("CLOSED", "CLOSED")
    assert bytes(w.client.received) == b"b" * 5000
    assert bytes(w.server.received) == b"a" * 5000


@pytest.mark.row("E6")
def test_the_three_exits_of_fin_wait_1() -> None:
    def fin_wait_1() -> World:
        w = World()
        w.connect()
        w.client.close()
        w.flush()
        assert w.client.state == "FIN-WAIT-1"
        return w

    w = fin_wait_1()  # an ACK of the FIN
    w.run_for(SECOND)
    assert w.client.state == "FIN-WAIT-2"
    w = fin_wait_1()  # the peer's FIN, without an ACK of ours
    w.server.close()
    w.run_for(15 * MS)
    assert w.client.state == "CLOSING"
    w = fin_wait_1()  # both in one
    w.server.reading = w.server.closes_at_end = True
    w.run_for(20 * MS)
    assert w.client.state == "TIME-WAIT"


@pytest.mark.row("C11")
@pytest.mark.requirement("SHLD-3")
def test_release_with_data_unread_resets() -> None:
    w = World()
    w.connect()
    w.client.send(b"will not be read")
    w.run_for(SECOND)
    w.server.release()
    assert w.server.state == "CLOSED"
    since = len(w.messages)
    w.run_for(SECOND)
    assert w.story(since) == ["1.03 server RST,ACK seq=y+1 ack=x+17 | ESTABLISHED CLOSED | CLOSED CLOSED"]
    with pytest.raises(ConnectionResetError):
        w.client.receive()


@pytest.mark.row("C11")
def test_release_delivers_all_that_was_written() -> None:
    w = World()
    w.connect()
    octets = bytes(range(256)) * 60
    assert w.client.send(octets) == len(octets)
    w.client.release()
    w.server.reading = True
    w.lose(data, nth=3, count=2)
    w.run_for(10 * SECOND)
    assert bytes(w.server.received) == octets
    assert w.server.ended


@pytest.mark.row("C12")
@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT"])
def test_abort_sends_a_reset_at_once_that_is_not_acknowledged(state: str) -> None:
    w = World(acknowledging_fins(), acknowledging_fins())
    w.connect()
    if state in ("FIN-WAIT-1", "FIN-WAIT-2"):
        w.client.close()
    if state == "FIN-WAIT-2":
        w.run_for(SECOND)
    if state == "CLOSE-WAIT":
        w.server.close()
        w.run_for(SECOND)
    w.flush()
    assert w.client.state == state
    since = len(w.messages)
    w.client.abort()
    assert w.client.state == "CLOSED"
    w.run()
    later = [m for m in w.messages[since:] if m.sender == "client"]
    # In FIN-WAIT-1 the ACK of the FIN is on its way, and meets a reset too.
    assert [m.segment.flags & RST for m in later] == [RST] * (2 if state == "FIN-WAIT-1" else 1)
    assert later[0].segment.seq == w.client.tcb.snd_nxt & 0xFFFFFFFF
    assert w.server.state == "CLOSED"
    # It is not acknowledged, and nothing is left to happen.
    assert not [m for m in w.messages[since:] if m.sender == "server" and m.time > later[0].arrived_at]
    assert w.now == w.messages[-1].arrived_at


@pytest.mark.row("C12")
@pytest.mark.requirement("MUST-12")
def test_the_other_application_learns_once_that_it_was_reset() -> None:
    w = World()
    w.connect()
    w.client.send(b"read me first")
    w.run_for(SECOND)
    w.client.abort()
    w.run_for(SECOND)
    assert w.server.tcb.readiness() == POLLIN | POLLOUT | POLLHUP | POLLERR
    # What had arrived in order stays readable.
    assert w.server.receive() == b"read me first"
    with pytest.raises(ConnectionResetError):
        w.server.receive()
    assert w.server.receive() == b""
    assert w.server.tcb.readiness() == POLLIN | POLLOUT | POLLHUP
    with pytest.raises(BrokenPipeError):
        w.server.send(b"x")


@pytest.mark.row("C12")
@pytest.mark.parametrize("state", ["CLOSING", "LAST-ACK"])
def test_abort_when_both_fins_are_sent_says_nothing(state: str) -> None:
    w = World()
    w.connect()
    w.client.close()
    if state == "CLOSING":
        w.server.close()
        w.run_for(10 * MS)
        one = w.client
    else:
        w.run_for(SECOND)
        w.server.close()
        w.flush()
        one = w.server
    assert one.state == state
    one.abort()
    assert one.state == "CLOSED"
    w.heal()
    w.lose(rst)
    w.flush()
    assert not [m for m in w.messages if m.sender == one.name and rst(m)]


def test_a_reset_that_is_not_exact_is_challenged_and_then_made_exact() -> None:
    """RFC 5961 §3.2: the peer aborted with data in flight that was lost, so its RST is ahead of RCV.NXT."""
    w = World()
    w.connect()
    w.lose(by_client(data))
    w.client.send(b"lost")
    w.flush()
    since = len(w.messages)
    w.client.abort()
    w.run_for(SECOND)
    assert w.story(since) == [
        "0.03 client RST,ACK seq=x+5 ack=y+1 | CLOSED ESTABLISHED | CLOSED ESTABLISHED",
        "0.04 server ACK seq=y+1 ack=x+1 | CLOSED ESTABLISHED | CLOSED ESTABLISHED",
        "0.05 client RST seq=x+1 | CLOSED ESTABLISHED | CLOSED CLOSED",
    ]
    with pytest.raises(ConnectionResetError):
        w.server.receive()


@pytest.mark.row("C5", "C9")
def test_time_wait_value_is_made_from_the_connection() -> None:
    w = World(delay=0)
    w.connect()
    w.client.close()
    w.run_for(SECOND)
    w.server.close()
    w.run_for(SECOND)
    assert w.client.time_wait is not None
    tw = time_wait.TimeWait(w.client.time_wait)
    assert tw.snd_nxt == w.client.tcb.snd_nxt & 0xFFFFFFFF
    assert tw.rcv_nxt == w.server.tcb.snd_nxt & 0xFFFFFFFF
    assert tw.expiry == w.messages[-1].time + 60 * SECOND
    assert w.times(by_server(fin)) == [1.0]

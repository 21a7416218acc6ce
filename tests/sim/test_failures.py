"""What goes wrong in the world, and when a program learns it: Linux's errors, at the times that the parameters say.

The times are worked out here, from the parameters, by the rules that Linux documents (tcp(7), ip-sysctl.rst); nothing
is taken from the code that is tested. All of it happens in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, EPIPE, ETIMEDOUT
from itertools import accumulate

import pytest

from synfin.sim import Network, Node
from synfin.tcp import states
from synfin.wire.tcp import ACK, FIN, RST, SYN
from tests.sim.watching import MILLISECOND, SECOND, Client, Server, Watch

DELAY = 10 * MILLISECOND
ROUND_TRIP = 2 * DELAY
HOUR = 3600 * SECOND
#: Linux's TCP_RTO_MIN and TCP_RTO_MAX.
RTO_MIN = 200 * MILLISECOND
RTO_MAX = 120 * SECOND
#: RFC 6298 §2.2 and §2.3 for the one round trip that was measured; its variation counts for RTO_MIN at least.
RTO = ROUND_TRIP + max(4 * ROUND_TRIP // 2, RTO_MIN)


# --- the rules


def syn_expirations(retries: int, linear: int) -> list[int]:
    """tcp_syn_retries, tcp_syn_linear_timeouts: when the timer expires. The initial RTO is 1 s; after each of the
    linear time-outs it stays, after each of the others it doubles. So many retransmissions, but no longer than
    `retries` would take if none were linear."""
    waits = [SECOND] * (linear + 1) + [SECOND << number for number in range(1, retries + 1)]
    times = list(accumulate(min(wait, RTO_MAX) for wait in waits))
    longest = sum(min(SECOND << number, RTO_MAX) for number in range(retries + 1))
    return times[: next(number for number, time in enumerate([*times, longest]) if time >= longest) + 1]


def syn_gives_up(retries: int, linear: int) -> int:
    return syn_expirations(retries, linear)[-1]


def synack_gives_up(retries: int) -> int:
    """tcp_synack_retries: 1 s, doubled after each, and the wait after the last."""
    return sum(min(SECOND << number, RTO_MAX) for number in range(retries + 1))


def probe(segments: int = 1) -> int:
    """RFC 8985 §7.2: when a tail-loss probe repeats the last of so many segments, if nothing is ever acknowledged. A
    single one may wait for its delayed acknowledgment, for as long as TCP_RTO_MIN; others for two ticks of Linux's
    clock. The probe is never later than the RTO."""
    return min(2 * ROUND_TRIP + (RTO_MIN if segments == 1 else 8 * MILLISECOND), RTO)


def expirations(segments: int = 1, count: int = 40) -> list[int]:
    """When the retransmission timer expires after that. It was started anew when the probe left."""
    return list(accumulate((min(RTO << number, RTO_MAX) for number in range(count)), initial=probe(segments)))[1:]


def hypothetical(retries: int) -> int:
    """tcp_retries2: the time of so many retransmissions that begin at TCP_RTO_MIN; 924.6 s for 15."""
    return sum(min(RTO_MIN << number, RTO_MAX) for number in range(retries + 1))


def retransmission_gives_up(retries: int, segments: int = 1) -> int:
    """The first expiry that comes so long after the first one."""
    times = expirations(segments)
    return next(time for time in times if time - times[0] >= hypothetical(retries))


def probing_gives_up(retries: int, rto: int = RTO) -> int:
    """tcp_retries2 for a window that stays shut: so many probes, the first after one RTO, each wait twice the last."""
    return sum(min(rto << number, RTO_MAX) for number in range(retries + 1))


def answered_probing_gives_up(retries: int, rto: int) -> int:
    """The same where each probe is answered: the next wait counts from the answer. A peer answers once in 500 ms
    (tcp_invalid_ratelimit), so that the second probe gets none."""
    time = 0
    answered = -SECOND
    for number in range(retries):
        time += min(rto << number, RTO_MAX)
        if time - answered >= 500 * MILLISECOND:
            answered = time
            time += ROUND_TRIP
    return time + min(rto << retries, RTO_MAX)


def test_the_rules_give_the_figures_that_linux_documents() -> None:
    assert syn_gives_up(6, 4) == 131 * SECOND
    assert syn_gives_up(6, 0) == 127 * SECOND
    assert len(syn_expirations(6, 4)) == 11
    assert len(syn_expirations(6, 0)) == 7
    assert synack_gives_up(5) == 63 * SECOND
    assert hypothetical(15) == 924_600 * MILLISECOND
    assert RTO == 220 * MILLISECOND


# --- the world


class Pair:
    """A client and a server on a wire."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.network = Network(0, self.watch)
        self.client = self.network.host("client")
        self.server = self.network.host("server")
        self.network.wire(self.client, "10.0.0.1/24", self.server, "10.0.0.2/24", delay=DELAY)

    def set(self, node: Node, **values: int) -> Pair:
        for name, value in values.items():
            node.parameters.set(f"net.ipv4.{name}", str(value))
        return self

    def connected(self) -> Client:
        user = Client(self.network, self.client, "server")
        self.network.run(self.network.now + SECOND)
        assert user.connection.state == states.ESTABLISHED
        return user

    def when(self, happens: Callable[[], bool], patience: int = 24 * HOUR) -> int:
        """When that happens. Nothing here waits for longer than `patience`."""
        start = self.network.now
        self.network.run_while(lambda: not happens() and self.network.now < start + patience)
        assert happens(), "it never happened"
        return self.network.now


class Routed:
    """A client, a router that speaks ICMP, and a server behind another router."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.network = Network(0, self.watch)
        self.client, self.server = self.network.host("client"), self.network.host("server")
        self.near, self.far = self.network.router("near"), self.network.router("far")
        self.network.wire(self.client, "10.0.0.1/24", self.near, "10.0.0.254/24", delay=DELAY // 2)
        self.network.wire(self.near, "10.1.0.1/24", self.far, "10.1.0.2/24", delay=DELAY // 2)
        self.network.wire(self.far, "10.2.0.254/24", self.server, "10.2.0.1/24")
        self.network.route_all()

    def lose_route(self) -> None:
        """The near router knows no way to the server any more."""
        self.near.set_computed_routes([])


# --- connecting


@pytest.mark.row("A8")
@pytest.mark.parametrize(("retries", "linear"), [(6, 4), (6, 0), (1, 0), (3, 2), (9, 0), (1, 10)])
def test_nobody_at_the_address(retries: int, linear: int) -> None:
    """A plain wire says nothing: ETIMEDOUT after 131 s, or 127 s without linear time-outs."""
    pair = Pair()
    pair.set(pair.client, tcp_syn_retries=retries, tcp_syn_linear_timeouts=linear)
    user = Client(pair.network, pair.client, "10.0.0.77")
    pair.network.run()
    assert user.errors == [(syn_gives_up(retries, linear), ETIMEDOUT)]
    sent = pair.watch.segments("client")
    assert [segment.flags for segment in sent] == [sent[0].flags] + [SYN] * (len(syn_expirations(retries, linear)) - 1)
    with pytest.raises(BrokenPipeError):
        user.send(b"x")


@pytest.mark.row("A12")
def test_nobody_listening() -> None:
    pair = Pair()
    user = Client(pair.network, pair.client, "server", 81)
    pair.network.run()
    assert user.errors == [(ROUND_TRIP, ECONNREFUSED)]


@pytest.mark.row("D5")
def test_a_router_that_finds_nobody_at_the_address() -> None:
    routed = Routed()
    user = Client(routed.network, routed.client, "10.2.0.77")
    routed.network.run()
    # Two wires there, and back.
    assert user.errors == [(ROUND_TRIP, EHOSTUNREACH)]
    assert len(routed.watch.segments("client")) == 1


@pytest.mark.row("D5")
def test_a_router_that_has_lost_its_route() -> None:
    routed = Routed()
    routed.lose_route()
    user = Client(routed.network, routed.client, "10.2.0.1")
    routed.network.run()
    assert user.errors == [(DELAY, ENETUNREACH)]


@pytest.mark.row("A9")
@pytest.mark.parametrize("retries", [5, 0, 2])
def test_a_client_that_loses_power_in_the_handshake(retries: int) -> None:
    pair = Pair()
    pair.set(pair.server, tcp_synack_retries=retries)
    Server(pair.server)
    pair.client.connect("server", 80)
    pair.client.power_off()
    listener = next(iter(pair.server.host.transport.listeners.values()))
    pair.when(lambda: len(listener.requests) == 1)
    began = pair.network.now
    assert began == DELAY
    assert pair.when(lambda: not listener.requests) - began == synack_gives_up(retries)
    assert [segment.flags for segment in pair.watch.segments("server")] == [SYN | ACK] * (1 + retries)


# --- a peer that is gone


@pytest.mark.row("D5")
@pytest.mark.parametrize("retries", [15, 3, 8, 20])
def test_the_peer_loses_power(retries: int) -> None:
    """tcp_retries2 = 15: by Linux's rule 924.6 s after the first time-out, at the next one."""
    pair = Pair()
    pair.set(pair.client, tcp_retries2=retries)
    Server(pair.server)
    user = pair.connected()
    pair.server.power_off()
    start = pair.network.now
    user.send(b"anybody?")
    pair.network.run()
    assert user.errors == [(start + retransmission_gives_up(retries), ETIMEDOUT)]
    assert user.errors[0][0] - start - expirations()[0] >= hypothetical(retries)
    with pytest.raises(OSError) as raised:
        user.send(b"more")
    assert raised.value.errno == EPIPE


@pytest.mark.row("D5")
def test_one_who_only_reads_never_learns_that_the_peer_lost_power() -> None:
    pair = Pair()
    Server(pair.server)
    user = pair.connected()
    pair.server.power_off()
    pair.network.run(48 * HOUR)
    assert user.errors == []
    assert user.connection.state == states.ESTABLISHED


@pytest.mark.row("D1")
@pytest.mark.parametrize(("time", "interval", "probes"), [(7200, 75, 9), (10, 3, 1), (60, 1, 20)])
def test_keep_alive_finds_out(time: int, interval: int, probes: int) -> None:
    """7200 s of silence, then nine probes, 75 s after each."""
    pair = Pair()
    pair.set(pair.client, tcp_keepalive_time=time, tcp_keepalive_intvl=interval, tcp_keepalive_probes=probes)
    Server(pair.server)
    user = Client(pair.network, pair.client, "server")
    pair.client.set_keepalive(user.connection, True)
    heard = pair.when(lambda: user.connection.state == states.ESTABLISHED)
    assert heard == ROUND_TRIP
    pair.network.run(heard + 1)
    pair.server.power_off()
    before = len(pair.watch.segments("client"))
    pair.network.run()
    assert user.errors == [(heard + (time + probes * interval) * SECOND, ETIMEDOUT)]
    sent = pair.watch.segments("client")[before:]
    assert [segment.flags & RST for segment in sent] == [0] * probes + [RST]


@pytest.mark.row("D1")
def test_keep_alive_and_a_peer_that_lives() -> None:
    pair = Pair()
    Server(pair.server)
    user = pair.connected()
    pair.client.set_keepalive(user.connection, True)
    pair.network.run(100 * HOUR)
    assert user.errors == []
    # One probe each two hours, as each answer starts them anew.
    probes = [s for s in pair.watch.segments("client") if s.flags == ACK and s.seq == user.connection.snd_una - 1]
    assert 47 <= len(probes) <= 50


@pytest.mark.row("D2")
@pytest.mark.parametrize("downtime", [1, 10, 300])
def test_the_peer_reboots_while_data_are_on_their_way(downtime: int) -> None:
    """The first retransmission that reaches a host without memory meets RST: ECONNRESET, then EPIPE."""
    pair = Pair()
    Server(pair.server)
    user = pair.connected()
    start = pair.network.now
    pair.server.reboot(downtime * SECOND)
    user.send(b"on its way")
    pair.network.run(start + HOUR)
    back = downtime * SECOND
    heard = next(time for time in [probe(), *expirations()] if time + DELAY >= back)
    assert user.errors == [(start + heard + ROUND_TRIP, ECONNRESET)]
    with pytest.raises(BrokenPipeError):
        user.send(b"more")


@pytest.mark.row("D2")
def test_the_peer_reboots_while_nothing_is_said() -> None:
    pair = Pair()
    Server(pair.server)
    user = pair.connected()
    pair.server.reboot(10 * SECOND)
    pair.network.run(HOUR)
    assert user.connection.state == states.ESTABLISHED
    user.send(b"hello?")
    pair.network.run()
    assert user.errors == [(HOUR + ROUND_TRIP, ECONNRESET)]


@pytest.mark.row("C12")
def test_writing_to_one_who_has_closed() -> None:
    """The peer closes and lets go: what we still write meets RST; in CLOSE-WAIT that is EPIPE, not ECONNRESET."""
    pair = Pair()
    listener = pair.server.listen("0.0.0.0", 80)
    user = Client(pair.network, pair.client, "server")
    pair.network.run(SECOND)
    pair.server.release(pair.server.accept(listener))
    pair.network.run(2 * SECOND)
    assert user.ended
    assert user.connection.state == states.CLOSE_WAIT
    user.send(b"late")
    pair.network.run(2 * SECOND + ROUND_TRIP - 1)
    assert user.connection.state == states.CLOSE_WAIT
    pair.network.run(2 * SECOND + ROUND_TRIP)
    assert user.connection.state == states.CLOSED
    assert user.errors == [(2 * SECOND + ROUND_TRIP, EPIPE)]
    with pytest.raises(BrokenPipeError):
        user.send(b"later")


# --- a network that is gone


@pytest.mark.row("D5")
def test_a_link_that_is_cut_for_an_hour() -> None:
    """The sender gives up long before the hour is over. The other end learns it when it speaks: ECONNRESET."""
    pair = Pair()
    program = Server(pair.server)
    user = pair.connected()
    start = pair.network.now
    pair.network.partition("client-server", start, start + HOUR)
    user.send(b"lost")
    pair.network.run(start + HOUR)
    assert user.errors == [(start + retransmission_gives_up(15), ETIMEDOUT)]
    (accepted,) = program.accepted
    assert accepted.state == states.ESTABLISHED
    pair.server.send(accepted, b"still there?")
    assert pair.when(lambda: bool(program.errors)) == start + HOUR + ROUND_TRIP
    assert [error.errno for error in program.errors] == [ECONNRESET]


@pytest.mark.row("D5")
def test_a_link_that_is_cut_for_an_hour_and_a_sender_with_patience() -> None:
    """With a tcp_retries2 of more than an hour it goes on where it stopped, at the first time-out after the hour."""
    pair = Pair()
    pair.set(pair.client, tcp_retries2=50)
    assert hypothetical(50) > HOUR
    program = Server(pair.server)
    user = pair.connected()
    start = pair.network.now
    pair.network.partition("client-server", start, start + HOUR)
    user.send(b"late, but there")
    arrived = pair.when(lambda: program.received != b"")
    assert arrived == start + next(time for time in expirations(count=60) if time >= HOUR) + DELAY
    pair.network.run(arrived + HOUR)
    assert program.received == b"late, but there"
    assert user.errors == []


@pytest.mark.row("D5")
def test_a_link_that_is_cut_for_an_hour_while_nothing_is_said() -> None:
    pair = Pair()
    program = Server(pair.server, answer=b"!")
    user = pair.connected()
    pair.network.partition("client-server", SECOND, HOUR)
    pair.network.run(2 * HOUR)
    user.send(b"hi")
    pair.network.run(2 * HOUR + ROUND_TRIP)
    assert (program.received, user.received, user.errors) == (b"hi", b"!!", [])


@pytest.mark.row("D5")
@pytest.mark.parametrize(("says", "error"), [("no-route", ENETUNREACH), ("nobody", EHOSTUNREACH)])
def test_what_a_router_says_of_an_established_connection_is_the_reason_but_not_the_end(says: str, error: int) -> None:
    """RFC 9293 §3.9.2.2: the network may mend. The connection ends when tcp_retries2 says, with the router's word."""
    routed = Routed()
    Server(routed.server)
    user = Client(routed.network, routed.client, "10.2.0.1")
    routed.network.run(SECOND)
    if says == "no-route":
        routed.lose_route()
    else:
        # Nobody has the server's address any more.
        routed.far.ports[1].peer.packed.clear()
    user.send(b"x")
    routed.network.run()
    assert user.errors == [(SECOND + retransmission_gives_up(15), error)]


@pytest.mark.row("D5")
def test_a_route_that_is_found_again() -> None:
    routed = Routed()
    program = Server(routed.server)
    user = Client(routed.network, routed.client, "10.2.0.1")
    routed.network.run(SECOND)
    routed.lose_route()
    user.send(b"x")
    routed.network.run(SECOND + 10 * SECOND)
    routed.network.route_all()
    routed.network.run(HOUR)
    assert (program.received, user.errors) == (b"x", [])


# --- a window that stays shut


def shut(pair: Pair) -> Client:
    """A connection whose receiver does not read, so that its window is shut and nothing is in flight."""
    pair.server.listen("0.0.0.0", 80)
    user = Client(pair.network, pair.client, "server")
    user.write(bytes(1 << 20))
    connection = user.connection
    pair.when(lambda: connection.snd_wnd == 0 and len(connection.sent) == 0 and len(connection.send_buffer) > 0)
    return user


@pytest.mark.row("B4")
@pytest.mark.parametrize("retries", [15, 4])
def test_the_peer_loses_power_while_its_window_is_shut(retries: int) -> None:
    pair = Pair()
    pair.set(pair.client, tcp_retries2=retries)
    user = shut(pair)
    start = pair.network.now
    pair.server.power_off()
    rto = user.connection.status().rto
    assert RTO_MIN + ROUND_TRIP <= rto <= RTO
    before = len(pair.watch.segments("client"))
    pair.network.run()
    assert user.errors == [(start + probing_gives_up(retries, rto), ETIMEDOUT)]
    assert len(pair.watch.segments("client")) - before == retries


@pytest.mark.row("B4")
def test_a_peer_that_answers_may_keep_its_window_shut_for_ever() -> None:
    """RFC 9293 §3.8.6.1 (MUST-37): two days of it. The waits grow to TCP_RTO_MAX and stay there."""
    pair = Pair()
    user = shut(pair)
    pair.network.run(pair.network.now + 48 * HOUR)
    assert user.errors == []
    assert user.connection.state == states.ESTABLISHED
    before = len(pair.watch.segments("client"))
    pair.network.run(pair.network.now + 10 * RTO_MAX)
    assert len(pair.watch.segments("client")) - before == 10


@pytest.mark.parametrize("retries", [0, 4, 12])
def test_a_shut_window_does_not_hold_what_nobody_owns(retries: int) -> None:
    """The peer answers each probe, but the user is gone: an orphan is given up all the same (8 stands for 0)."""
    pair = Pair()
    pair.set(pair.client, tcp_orphan_retries=retries)
    user = shut(pair)
    start = pair.network.now
    rto = user.connection.status().rto
    pair.client.release(user.connection)
    gone = pair.when(lambda: not pair.client.host.transport.connections)
    assert gone - start == answered_probing_gives_up(retries or 8, rto)


# --- orphans


@pytest.mark.row("C8")
@pytest.mark.parametrize("retries", [0, 2, 12])
@pytest.mark.parametrize("data", [b"", b"unsent"])
def test_a_fin_that_nobody_acknowledges(retries: int, data: bytes) -> None:
    """FIN-WAIT-1 without an owner ends by tcp_orphan_retries, not tcp_retries2; 0 stands for 8."""
    pair = Pair()
    pair.set(pair.client, tcp_orphan_retries=retries)
    Server(pair.server)
    user = pair.connected()
    pair.server.power_off()
    start = pair.network.now
    if data:
        user.send(data)
    pair.client.release(user.connection)
    assert user.connection.state == states.FIN_WAIT_1
    gone = pair.when(lambda: not pair.client.host.transport.connections)
    # The data were on their way when the FIN came: two segments.
    assert gone - start == retransmission_gives_up(retries or 8, segments=2 if data else 1)


@pytest.mark.row("C8")
def test_the_last_fin_that_nobody_acknowledges() -> None:
    """LAST-ACK likewise."""
    pair = Pair()
    Server(pair.server)
    user = pair.connected()
    pair.client.close(user.connection)
    accepted = pair.when(lambda: bool(pair.watch.segments("client")[-1].flags & FIN))
    pair.network.partition("client-server")
    (connection,) = pair.server.host.transport.connections.values()
    began = pair.when(lambda: connection.state == states.LAST_ACK)
    assert began == accepted + DELAY
    gone = pair.when(lambda: connection.state == states.CLOSED)
    # One FIN and its retransmissions, by the server's own measure of the round trip.
    assert gone - began == retransmission_gives_up(8)


@pytest.mark.row("C8")
@pytest.mark.parametrize("seconds", [60, 7])
def test_a_fin_that_never_comes(seconds: int) -> None:
    """FIN-WAIT-2 without an owner ends after tcp_fin_timeout; what the peer says later meets RST."""
    pair = Pair()
    pair.set(pair.client, tcp_fin_timeout=seconds)
    listener = pair.server.listen("0.0.0.0", 80)
    user = Client(pair.network, pair.client, "server")
    pair.network.run(SECOND)
    peer = pair.server.accept(listener)
    pair.client.release(user.connection)
    began = pair.when(lambda: user.connection.state == states.FIN_WAIT_2)
    gone = pair.when(lambda: not pair.client.host.transport.connections)
    assert gone - began == seconds * SECOND
    assert pair.client.host.connections() == []
    pair.server.send(peer, b"anyone?")
    pair.network.run(pair.network.now + SECOND)
    with pytest.raises(BrokenPipeError):
        pair.server.send(peer, b"x")


@pytest.mark.row("C8")
def test_half_closed_is_no_orphan() -> None:
    """FIN-WAIT-2 with an owner has no limit."""
    pair = Pair()
    pair.server.listen("0.0.0.0", 80)
    user = pair.connected()
    pair.client.close(user.connection)
    pair.network.run(48 * HOUR)
    assert user.connection.state == states.FIN_WAIT_2

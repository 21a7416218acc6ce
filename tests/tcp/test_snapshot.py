"""A connection as a value: what goes on after a dump and a restore is what would have gone on without."""

from __future__ import annotations

from errno import ENOTCONN

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.tcp import snapshot, states
from synfin.tcp.congestion import CongestionControl, Cubic, Reno
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.snapshot import _MOMENTS, _OF_THE_HOST, Snapshot, dump, from_json, restore, to_json
from synfin.wire.sequence import wrap
from synfin.wire.tcp import RST, Segment
from tests.tcp.world import CLIENT, MS, SECOND, End, World, bare_ack, by_client, by_server, data, make_connection

PAYLOAD = bytes(range(251)) * 400


def moved(connection: Connection, now: int, parameters: TcpParameters) -> Connection:
    """The same connection, through a snapshot as text."""
    return restore(from_json(to_json(dump(connection, now))), parameters, now)


def busy(losses: tuple[int, ...], delays: tuple[int, ...], congestion: type[CongestionControl] = Reno) -> World:
    """A transfer each way, in which some segments are lost and some late."""
    w = World()
    w.client.congestion = congestion
    for nth in losses:
        w.lose(data, nth)
    for nth in delays:
        w.hold(data, 35 * MS, nth)
        w.hold(bare_ack, 15 * MS, nth)
    w.server.listen()
    w.client.open()
    w.client.write(PAYLOAD, then_close=True)
    w.client.reading = w.server.reading = True
    w.server.closes_at_end = True
    return w


def played(w: World, move_at: set[int]) -> list[str]:
    """The story of the world when, at those steps, both ends' connections are moved."""
    wrote = False
    for step in range(3000):
        w.flush()
        if w.quiet():
            break
        if w.server.connection is not None and not wrote:
            w.server.write(PAYLOAD[:30_000])
            wrote = True
        if step in move_at:
            for end in (w.client, w.server):
                move(end)
        w.step()
    assert bytes(w.server.received) == PAYLOAD
    assert bytes(w.client.received) == PAYLOAD[:30_000]
    return w.story()


def move(end: End) -> None:
    connection = end.connection
    if connection is not None and connection.state not in (states.CLOSED, states.TIME_WAIT):
        end.connection = moved(connection, end.world.now, end.parameters)


@given(
    st.sets(st.integers(1, 60), max_size=4),
    st.sets(st.integers(1, 60), max_size=4),
    st.sets(st.integers(0, 250), min_size=1, max_size=5),
    st.sampled_from([Reno, Cubic]),
)
def test_nobody_can_tell(
    losses: set[int], delays: set[int], move_at: set[int], congestion: type[CongestionControl]
) -> None:
    """Moved in mid-transfer, with holes on both sides, retransmissions and timers under way: octet for octet and
    moment for moment the same."""
    faults = (tuple(sorted(losses)), tuple(sorted(delays)), congestion)
    assert played(busy(*faults), move_at) == played(busy(*faults), set())


def comparable(taken: Snapshot) -> Snapshot:
    """Without the two that change together when the clock does."""
    clock, offset = taken.pop("clock"), taken.pop("ts_offset")
    assert isinstance(clock, int)
    assert isinstance(offset, int)
    taken["timestamp"] = (clock + offset) % (1 << 32)
    return taken


@given(st.sets(st.integers(1, 40), max_size=3), st.integers(0, 200), st.integers(0, 10**6))
def test_another_clock(losses: set[int], steps: int, later: int) -> None:
    """On a host whose clock shows another time all that was due is due as soon as before."""
    w = busy(tuple(losses), ())
    for _ in range(steps):
        w.flush()
        if w.quiet():
            break
        w.step()
    for end in (w.client, w.server):
        connection = end.connection
        if connection is None or connection.state in (states.CLOSED, states.TIME_WAIT):
            continue
        now = w.now
        elsewhere = now + later * 7 * MS
        other = restore(dump(connection, now), end.parameters, elsewhere)
        assert comparable(dump(other, elsewhere)) == comparable(dump(connection, now))
        due = connection.next_deadline()
        assert other.next_deadline() == (due if due > 1 << 62 else due - now + elsewhere)


def moments(connection: Connection, later: Connection, shift: int) -> set[str]:
    """The attributes, also of the parts, that differ by just `shift`."""
    found = set()
    pairs: list[tuple[object, object]] = [(connection, later)]
    while pairs:
        one, other = pairs.pop()
        for kind in type(one).__mro__:
            for name in getattr(kind, "__slots__", ()):
                a, b = getattr(one, name), getattr(other, name)
                if isinstance(a, int) and isinstance(b, int):
                    if b - a == shift:
                        found.add(name)
                elif isinstance(a, list) and isinstance(b, list):
                    pairs += [pair for pair in zip(a, b, strict=True) if hasattr(pair[0], "__slots__")]
                elif hasattr(a, "__slots__") and a is not connection.parameters:
                    pairs.append((a, b))
    return found - set(_OF_THE_HOST) - set(Connection.__slots__)


def test_every_moment_is_known_to_be_one() -> None:
    """The same world a while later: what differs by that while is a moment, and has to follow the clock."""

    def world(start: int) -> Connection:
        probing = TcpParameters()
        probing.tcp_mtu_probing = 2
        w = World(client=probing, start=start)
        w.connect()
        w.client.tcb.set_keepalive(True, w.now)
        w.server.tcb.set_keepalive(True, w.now)
        w.client.reading = True
        w.server.send(PAYLOAD[:3000])
        w.run_for(7300 * SECOND)
        w.inject("client", Segment(80, 49152, wrap(w.client.tcb.rcv_nxt + 9), 0, RST, 0))
        w.lose(by_client(data), 1, 50)
        w.client.send(PAYLOAD[:3000])
        w.run_for(SECOND)
        return w.client.tcb

    def shut(start: int) -> Connection:
        paced = TcpParameters()
        paced.tcp_pacing = 1
        w = World(client=paced, start=start)
        w.connect()
        w.client.write(bytes(200_000))
        w.run_for(60 * SECOND)
        return w.client.tcb

    def congested(start: int) -> Connection:
        validating = TcpParameters()
        validating.tcp_cwnd_validation = 2
        w = World(client=validating, start=start)
        w.client.congestion = Cubic
        w.connect()
        w.server.reading = True
        # In congestion avoidance when something is lost, and again afterwards; then little is sent.
        w.client.tcb.ssthresh = 12 * 1448
        w.lose(by_client(data), 60)
        w.client.write(bytes(400_000))
        w.run_for(3 * SECOND)
        for _ in range(20):
            w.client.write(bytes(1448))
            w.run_for(100 * MS)
        return w.client.tcb

    def starved(start: int) -> Connection:
        w = World(start=start)
        w.connect()
        w.client.tcb.snd_buf = 3000
        w.client.write(bytes(10_000))
        w.flush()
        return w.client.tcb

    shift = 777 * SECOND
    found = set()
    for made in (world, shut, congested, starved):
        found |= moments(made(0), made(shift), shift)
    # `earliest` follows from the deadlines; the numbers of the stream are none.
    assert found - {"earliest"} <= _MOMENTS
    assert found >= _MOMENTS, "each of them is met here"


def test_the_dump_leaves_the_connection_as_it_is() -> None:
    w = World()
    w.connect()
    w.client.send(PAYLOAD)
    first = dump(w.client.tcb, w.now)
    assert dump(w.client.tcb, w.now) == first
    assert first["state"] == states.ESTABLISHED


@pytest.mark.parametrize("state", ["SYN-SENT", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK", "CLOSING"])
def test_each_state(state: str) -> None:
    w = World()
    w.client.reading = w.server.reading = True
    if state == "SYN-SENT":
        w.lose(by_client(lambda message: True))
        w.server.listen()
        w.client.open()
    else:
        w.connect()
        w.client.close()
        if state == "CLOSING":
            w.server.close()
        if state == "LAST-ACK":
            w.lose(by_client(bare_ack))
            w.server.closes_at_end = True
    end = w.server if state in ("CLOSE-WAIT", "LAST-ACK") else w.client
    while end.state != state:
        w.message()
    move(end)
    assert end.state == state
    w.server.closes_at_end = w.client.closes_at_end = True
    w.run_for(400 * SECOND)
    if state == "SYN-SENT":
        assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    else:
        assert w.states() == ("CLOSED", "CLOSED")


def test_keep_alive_and_settings_move_too() -> None:
    w = World()
    w.connect()
    w.client.tcb.settings.nodelay = True
    w.client.tcb.set_keepalive(True, w.now)
    move(w.client)
    assert w.client.tcb.settings.nodelay
    assert w.client.tcb.keepalive is not None
    w.lose(by_server(lambda message: True), 1, 100)
    w.run()
    assert w.now == pytest.approx((7200 + 9 * 75) * SECOND, abs=SECOND)
    assert w.client.state == "CLOSED"


def test_ended_connections_cannot_be_dumped() -> None:
    with pytest.raises(OSError) as raised:
        dump(make_connection(CLIENT), 0)
    assert raised.value.errno == ENOTCONN


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": None},
        {"flow": "nonsense"},
        {"timers": [1, "x"]},
        {"sent": [{"start": 1}]},
        {"send_buffer": {"start": 1, "octets": 5, "pushes": []}},
        {"why": "no such reason"},
        {"congestion": {"name": "none such"}},
        {"keepalive": 5},
        {"receive_queue": [[]]},
    ],
)
def test_what_is_no_snapshot(change: Snapshot) -> None:
    w = World()
    w.connect()
    taken = dump(w.client.tcb, w.now)
    taken.update(change)
    with pytest.raises(ValueError):
        restore(taken, TcpParameters(), 0)
    with pytest.raises(ValueError):
        restore({}, TcpParameters(), 0)


@pytest.mark.parametrize("text", ["", "[]", "5", "{"])
def test_texts_that_are_no_snapshot(text: str) -> None:
    with pytest.raises(ValueError):
        from_json(text)


def test_what_it_does_not_know_it_does_not_pass_over() -> None:
    """An attribute of a new kind makes a dump fail, rather than be forgotten."""
    connection = make_connection(CLIENT)
    connection.open(0)
    connection.dsack = object()  # type: ignore[assignment]
    with pytest.raises(TypeError, match="dsack"):
        dump(connection, 0)
    assert snapshot.VERSION == 2

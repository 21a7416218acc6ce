"""Two ends under any interleaving of what their users, the network and time may do.

At each step: what was read is a prefix of what was written; the record of what was sent is whole; a timer runs for
whatever waits; no promise of window is taken back. At the end, once the network has healed and both users read and
close: everything has arrived and both ends are CLOSED.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synfin.tcp import states, timers
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.sent_range import LOST, OUTSTANDING
from synfin.wire.sequence import unwrap
from synfin.wire.tcp import ACK, RST, SYN
from tests.tcp.world import MS, SECOND, End, World, everything

Op: TypeAlias = tuple[str, int, int]

#: Octets that say where in the stream they belong.
PATTERN = random.Random(9293).randbytes(1 << 20)

#: More examples by hand: SYNFIN_EXAMPLES=100000.
EXAMPLES = int(os.environ.get("SYNFIN_EXAMPLES", "150"))

#: Fewer losses than any limit of retransmissions, so that nothing may fail for want of trying.
MOST_LOSSES = 14
MOST_LOSSES_OPENING = 5

SIZES = st.sampled_from([1, 1, 2, 10, 100, 535, 536, 537, 1447, 1448, 1449, 2896, 4000, 10_000, 40_000])
TIMES = st.sampled_from([0, 1, 5, 10, 39, 40, 41, 100, 200, 220, 500, 1000, 3000, 70_000, 130_000])
WHO = st.integers(0, 1)

CALLS: list[st.SearchStrategy[Op]] = [
    *[st.tuples(st.just("send"), WHO, SIZES)] * 6,
    *[st.tuples(st.just("receive"), WHO, SIZES)] * 3,
    *[st.tuples(st.just("receive"), WHO, st.just(1 << 20))] * 2,
    st.tuples(st.just("nodelay"), WHO, st.integers(0, 1)),
]
NETWORK: list[st.SearchStrategy[Op]] = [
    *[st.tuples(st.just("steps"), WHO, st.integers(1, 8))] * 6,
    *[st.tuples(st.just("advance"), st.just(0), TIMES)] * 3,
    st.tuples(st.just("lose"), WHO, st.integers(1, 4)),
    *[st.tuples(st.just("lose nth"), WHO, st.integers(2, 9))] * 2,
    st.tuples(st.just("duplicate"), st.integers(0, 400), st.integers(1, 4)),
    *[st.tuples(st.just("hold"), st.integers(1, 400), st.integers(1, 4))] * 2,
    st.tuples(st.just("room"), st.just(0), st.sampled_from([1500, 3000, 10_000, 65_000])),
    st.tuples(st.just("whole"), st.just(0), st.integers(0, 1)),
]
CLOSE: list[st.SearchStrategy[Op]] = [st.tuples(st.just("close"), WHO, st.just(0))]
ENDINGS: list[st.SearchStrategy[Op]] = [
    st.tuples(st.just("release"), WHO, st.just(0)),
    st.tuples(st.just("abort"), WHO, st.just(0)),
]


def of_kinds(kinds: list[st.SearchStrategy[Op]]) -> st.SearchStrategy[Op]:
    """Each kind as likely as it is listed."""
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


class Setting:
    """How the two ends are set up."""

    def __init__(
        self, opening: str, mss: int, buffers: tuple[int, int], timestamps: int, scaling: int, delay: int
    ) -> None:
        self.opening = opening
        self.mss = mss
        self.buffers = buffers
        self.timestamps = timestamps
        self.scaling = scaling
        self.delay = delay

    def __repr__(self) -> str:
        return f"Setting({self.opening!r}, {self.mss}, {self.buffers}, {self.timestamps}, {self.scaling}, {self.delay})"

    def parameters(self, buffer: int) -> TcpParameters:
        parameters = TcpParameters()
        parameters.tcp_timestamps = self.timestamps
        parameters.tcp_window_scaling = self.scaling
        # Nobody gives up here: that has tests of its own.
        parameters.tcp_retries2 = 100
        if buffer:
            parameters.tcp_rmem = (buffer, buffer, buffer)
        return parameters


BUFFERS = st.sampled_from([0, 0, 2000, 4096, 10_000, 70_000])
SETTINGS = st.builds(
    Setting,
    st.sampled_from(["established", "established", "passive", "simultaneous"]),
    st.sampled_from([1460, 1460, 536, 100]),
    st.tuples(BUFFERS, BUFFERS),
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from([10 * MS, 10 * MS, 0, 150 * MS]),
)


class Run:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.world = World(
            setting.parameters(setting.buffers[0]),
            setting.parameters(setting.buffers[1]),
            delay=setting.delay,
            mss=setting.mss,
        )
        self.ends = (self.world.client, self.world.server)
        self.written = [0, 0]
        self.read = [0, 0]
        self.closed = [False, False]
        self.hard = False
        self.may_lose = MOST_LOSSES if setting.opening == "established" else MOST_LOSSES_OPENING
        self.edges: dict[str, int] = {}
        self.seen = 0
        self.una = [-1, -1]
        if setting.opening == "simultaneous":
            self.world.client.open()
            self.world.server.open()
        elif setting.opening == "passive":
            self.world.server.listen()
            self.world.client.open()
        else:
            self.world.connect()

    def act(self, op: Op) -> None:
        name, one, two = op
        world = self.world
        if name in ("send", "receive", "close", "release", "abort", "nodelay"):
            end = self.ends[one]
            if end.connection is None:
                return
            if name == "send":
                self.send(one, two)
            elif name == "receive":
                self.receive(one, two)
            elif name == "nodelay":
                end.connection.settings.nodelay = bool(two)
            else:
                self.closed[one] = True
                # A close in SYN-SENT ends the open: nothing arrives then.
                self.hard = self.hard or name != "close" or end.state == "SYN-SENT"
                getattr(end, name)()
        elif name == "steps":
            for _ in range(two):
                # A driver may poll after each packet or after a batch that arrived at once.
                if self.ends[one].name == "client" or not world.more_now():
                    world.flush()
                if world.quiet():
                    break
                world.step()
        elif name == "advance":
            world.run_for(two * MS)
        elif name in ("lose", "lose nth"):
            count = min(two if name == "lose" else 1, self.may_lose)
            if count:
                self.may_lose -= count
                sender = self.ends[one].name
                world.lose(lambda m: m.sender == sender, nth=two if name == "lose nth" else 1, count=count)
        elif name == "duplicate":
            world.duplicate(everything, one * MS, count=two)
        elif name == "hold":
            world.hold(everything, one * MS, count=two)
        elif name == "room":
            world.room = two
        elif name == "whole":
            world.whole = bool(two)
        world.flush()
        self.check()

    def send(self, who: int, size: int) -> None:
        start = self.written[who]
        if start + size > len(PATTERN):
            return
        try:
            self.written[who] += self.ends[who].send(PATTERN[start : start + size])
        except BlockingIOError:
            pass
        except OSError:
            if not (self.closed[who] or self.hard):
                raise

    def receive(self, who: int, limit: int) -> bool:
        """Reads; True at the end of the stream."""
        try:
            octets = self.ends[who].receive(limit)
        except BlockingIOError:
            return False
        except OSError:
            if not self.hard:
                raise
            return True
        start = self.read[who]
        assert octets == PATTERN[start : start + len(octets)], "not what was written"
        self.read[who] += len(octets)
        assert self.read[who] <= self.written[1 - who], "more than was written"
        return octets == b""

    # --- what must hold at each step

    def check(self) -> None:
        for who, end in enumerate(self.ends):
            self.check_end(who, end)
        for message in self.world.messages[self.seen :]:
            segment = message.segment
            if segment.flags & (ACK | RST) != ACK or segment.flags & SYN:
                continue
            end = self.world.client if message.sender == "client" else self.world.server
            if end.connection is None or end.state in ("CLOSED", "TIME-WAIT"):
                continue
            shift = end.connection.rcv_wscale
            edge = unwrap(segment.ack, end.connection.rcv_nxt) + (segment.wnd << shift)
            before = self.edges.get(end.name, edge)
            assert edge > before - (1 << shift), "the window shrank"
            self.edges[end.name] = max(before, edge)
        self.seen = len(self.world.messages)

    def check_end(self, who: int, end: End) -> None:
        tcb = end.connection
        if tcb is None:
            return
        assert tcb.state in states.NAMES
        entries = tcb.sent.entries()
        assert tcb.sent.in_flight == sum(e.end - e.start for e in entries if e.fate == OUTSTANDING)
        assert tcb.sent.lost == sum(e.end - e.start for e in entries if e.fate == LOST)
        for one, next_one in itertools.pairwise(entries):
            assert one.end == next_one.start
        assert all(e.start < e.end for e in entries)
        if entries:
            assert (entries[0].start, entries[-1].end) == (tcb.snd_una, tcb.snd_nxt)
            assert tcb.timers.running(timers.RETRANSMISSION), "sent, and no timer"
        elif tcb.state not in (states.CLOSED, states.SYN_SENT):
            assert tcb.snd_una == tcb.snd_nxt
            if tcb.snd_nxt < tcb.send_buffer.end or (tcb.fin_queued and not tcb.fin_sent):
                assert tcb.timers.running(timers.PERSIST), "waiting, and no timer"
        assert tcb.snd_una >= self.una[who]
        self.una[who] = tcb.snd_una
        assert tcb.timers.earliest == min(tcb.timers.deadlines)
        assert tcb.reassembly.charge <= tcb.rcv_buf, "reassembly takes too much memory"
        assert tcb.reassembly.charge == sum(block.charge for block in tcb.reassembly._blocks)
        assert tcb.receive_queue.octets <= tcb.window_space + (1 << tcb.rcv_wscale)
        assert tcb.cwnd >= 0
        assert tcb.send_buffer.start <= tcb.send_buffer.end
        if tcb.state in (states.CLOSED, states.TIME_WAIT):
            assert tcb.next_deadline() == timers.NEVER

    # --- the end

    def finish(self) -> None:
        world = self.world
        world.heal()
        healed = world.now
        at_end = [False, False]
        for _ in range(20_000):
            for who, end in enumerate(self.ends):
                if end.connection is None:
                    continue
                at_end[who] = at_end[who] or self.receive_all(who)
                if not self.closed[who] and end.state not in ("SYN-SENT", "SYN-RECEIVED"):
                    self.closed[who] = True
                    end.close()
                if self.hard and not end.tcb.orphaned:
                    # A reset may have been lost: FIN-WAIT-2 ends only for one that its user has let go.
                    end.release()
            world.flush()
            self.check()
            if world.quiet():
                break
            world.step()
        assert world.quiet(), "the two ends never come to rest"
        assert world.now - healed <= 700 * SECOND, "it takes too long"
        if not self.hard:
            assert self.read == [self.written[1], self.written[0]], "not everything arrived"
            assert at_end == [True, True]
            assert [end.tcb.error for end in self.ends] == [0, 0]
        for end in self.ends:
            assert end.state in ("CLOSED", "LISTEN")

    def receive_all(self, who: int) -> bool:
        while True:
            before = self.read[who]
            if self.receive(who, 1 << 20):
                return True
            if self.read[who] == before:
                return False


def run(setting: Setting, ops: list[Op]) -> None:
    this = Run(setting)
    for op in ops:
        this.act(op)
    this.finish()


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=EXAMPLES, suppress_health_check=SLOW)
@given(SETTINGS, st.lists(of_kinds(CALLS + NETWORK + CLOSE), min_size=5, max_size=90))
def test_everything_arrives(setting: Setting, ops: list[Op]) -> None:
    run(setting, ops)


@settings(max_examples=EXAMPLES // 2, suppress_health_check=SLOW)
@given(SETTINGS, st.lists(of_kinds(CALLS + NETWORK + CLOSE + ENDINGS), min_size=3, max_size=50))
def test_release_and_abort_at_any_moment(setting: Setting, ops: list[Op]) -> None:
    run(setting, ops)


@pytest.mark.parametrize("seed", range(6))
def test_a_long_random_transfer(seed: int) -> None:
    """Both ways at once, much loss, reordering and duplication, small buffers, changing rooms."""
    chance = random.Random(seed)
    buffers = (chance.choice([0, 3000, 20_000]), chance.choice([0, 5000]))
    this = Run(Setting("established", chance.choice([1460, 200]), buffers, seed % 2, seed // 2 % 2, 10 * MS))
    this.world.lose(lambda m: chance.random() < 0.05, count=1 << 30)
    this.world.hold(lambda m: chance.random() < 0.1, 25 * MS, count=1 << 30)
    this.world.duplicate(lambda m: chance.random() < 0.05, 5 * MS, count=1 << 30)
    for _ in range(400):
        who = chance.randrange(2)
        what = chance.random()
        if what < 0.4:
            this.act(("send", who, chance.choice([1, 100, 3000, 20_000])))
        elif what < 0.7:
            this.act(("receive", who, chance.choice([1, 500, 100_000])))
        elif what < 0.75:
            this.act(("room", 0, chance.choice([1500, 65_000])))
        else:
            this.act(("advance", 0, chance.choice([1, 10, 100, 1000])))
    this.finish()
    assert min(this.read) > 10_000

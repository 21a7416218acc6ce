"""A16: the life of a TCB: when it is made, what is in it, and when all is given back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.opening.holdings import Holdings, Watch, holdings, seen
from synfin.lab.running import Runs
from synfin.sim import Network, Node, Program, Steps, start
from synfin.tcp.time_wait import TimeWait
from synfin.wire.sequence import wrap

SAID: Final = b"Hello, Server!"
#: Moments, in nanoseconds, between one event and the next: the client connects at 10 ms and writes at 80 ms, the server
#: accepts at 60 ms and reads at 120 ms, the client closes at 200 ms.
BEFORE: Final = 0
LISTENING: Final = 5 * MS
ASKED: Final = 15 * MS
HALF_OPEN: Final = 25 * MS
OPEN: Final = 45 * MS
ACCEPTED: Final = 65 * MS
WRITTEN: Final = 85 * MS
ARRIVED: Final = 95 * MS
READ: Final = 125 * MS
CLOSED: Final = 205 * MS
TIME_WAIT: Final = 300 * MS
END: Final = 70 * SECOND
MOMENTS: Final = (
    BEFORE,
    LISTENING,
    ASKED,
    HALF_OPEN,
    OPEN,
    ACCEPTED,
    WRITTEN,
    ARRIVED,
    READ,
    CLOSED,
    TIME_WAIT,
    END,
)
#: What the table shows of a TCB.
FIELDS: Final = (
    "iss",
    "irs",
    "snd_una",
    "snd_nxt",
    "snd_wnd",
    "rcv_nxt",
    "rcv_wnd",
    "mss",
    "cwnd",
    "srtt",
    "rto",
    "send_queue",
    "receive_queue",
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a host has at a moment: all together, and what is in its one TCB, or in its record of TIME-WAIT, by the
    RFC's names; `record` is the length of that record in octets."""

    has: Holdings
    fields: tuple[tuple[str, int], ...] = ()
    record: int = 0

    def field(self, name: str) -> int | None:
        return dict(self.fields).get(name)


def look(node: Node) -> Look:
    transport = node.host.transport
    has = holdings(node)
    for connection in transport.connections.values():
        status = connection.status()
        return Look(has, tuple((name, int(getattr(status, name) or 0)) for name in FIELDS))
    for flow in transport.time_waits.flows():
        packed = transport.time_waits.get(flow) or b""
        record = TimeWait(packed)
        kept = ("snd_nxt", "rcv_nxt", "rcv_wnd")
        return Look(has, tuple((name, int(getattr(record, name))) for name in kept), len(packed))
    return Look(has)


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    yield from program.sleep(60 * MS)
    sock = yield from listener.accept()
    # Let what arrives wait for a while.
    yield from program.sleep(60 * MS)
    with suppress(ConnectionResetError):
        yield from sock.receive_all()
    sock.close()
    listener.close()


def client(program: Program, reset: bool) -> Steps[None]:
    yield from program.sleep(10 * MS)
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(50 * MS)
    yield from sock.sendall(SAID)
    yield from program.sleep(120 * MS)
    if reset:
        sock.set_linger(0)
    sock.close()


def scenario(network: Network, reset: bool = False) -> list[Program | Watch[Look]]:
    here, there = pair(network)
    watch = Watch(network, ("client", "server"), MOMENTS, look)
    return [start(network, there, server), start(network, here, partial(client, reset=reset)), watch]


def at(runs: Runs, name: str, moment: int, world: str = "closed") -> Look:
    return seen(runs[world], Look, name, moment)


def has(runs: Runs, name: str, moment: int, world: str = "closed") -> tuple[int, int, int, int]:
    """Requests, TCBs, records of TIME-WAIT, and claims on ports."""
    found = at(runs, name, moment, world).has
    return found.requests, found.connections, found.time_waits, found.claims


def freed(runs: Runs, name: str, moment: int, world: str) -> bool:
    """Whether nothing is left at all."""
    return has(runs, name, moment, world) == (0, 0, 0, 0) and at(runs, name, moment, world).has.octets == 0


def table(runs: Runs) -> Table:
    moments = (ASKED, OPEN, WRITTEN, TIME_WAIT)
    looks = [at(runs, "client", moment) for moment in moments]
    # States are no words to be translated.
    head = (N_("the client"), "SYN-SENT ", "ESTABLISHED ", N_("data on their way"), "TIME-WAIT ")
    rows = [
        (N_("TCBs"), *(str(one.has.connections) for one in looks)),
        (N_("records of TIME-WAIT"), *(str(one.has.time_waits) for one in looks)),
        (N_("claims on ports"), *(str(one.has.claims) for one in looks)),
    ]
    for name in FIELDS:
        cells = []
        for one in looks:
            value = one.field(name)
            unknown = value is None or (name in ("irs", "rcv_nxt", "srtt") and not value)
            unit = " ms" if name in ("srtt", "rto") else ""
            cells.append("–" if unknown or value is None else f"{value // MS if unit else value}{unit}")
        rows.append((name, *cells))
    return Table(head, rows)


EXPERIMENT = Experiment(
    row="A16",
    question=N_("When is a TCB made, what is in it, and when are buffers, port and TCB given back?"),
    prediction=N_(
        "A transmission control block is all that a host remembers of a connection. Does listen() make one, or the "
        "SYN, or accept()? Is it gone when the program calls close()? What is kept in TIME-WAIT?"
    ),
    worlds=(
        World("closed", N_("Opened, used and closed"), scenario),
        World("reset", N_("The same, ended by a RST"), partial(scenario, reset=True)),
    ),
    watch=N_("At each change of state: what each host must remember from then on, and what it may forget."),
    claims=(
        Claim(
            N_(
                "Before anything there is nothing. listen() makes what the RFC calls the TCB of a passive open: a "
                "listener with a port, for anybody. A connection it is not."
            ),
            lambda runs: (
                all(has(runs, name, BEFORE) == (0, 0, 0, 0) for name in ("client", "server"))
                and has(runs, "server", LISTENING) == (0, 0, 0, 1)
                and at(runs, "server", LISTENING).has.listeners == 1
            ),
        ),
        Claim(
            N_(
                "connect() makes the client's TCB, before any answer: its own number {iss}, a window of {window} "
                "octets, a time-out of {rto} ms. Of the other end it knows nothing; until told it assumes an MSS of "
                "{mss}."
            ),
            lambda runs: (
                has(runs, "client", LISTENING)[1] == 0
                and has(runs, "client", ASKED) == (0, 1, 0, 1)
                and at(runs, "client", ASKED).field("irs") == 0
                and at(runs, "client", ASKED).field("mss") == 536
                and at(runs, "client", OPEN).field("mss") == 1448
            ),
            lambda runs: {
                "iss": at(runs, "client", ASKED).field("iss"),
                "window": at(runs, "client", ASKED).field("rcv_wnd"),
                "rto": (at(runs, "client", ASKED).field("rto") or 0) // MS,
                "mss": at(runs, "client", ASKED).field("mss"),
            },
        ),
        Claim(
            N_(
                "The SYN makes only a small request at the server. The third message makes the TCB, which waits in the "
                "accept queue without a socket; accept() makes none, it gives a socket to the one that is there."
            ),
            lambda runs: (
                has(runs, "server", HALF_OPEN)[:2] == (1, 0)
                and has(runs, "server", OPEN)[:2] == (0, 1)
                and at(runs, "server", OPEN).has.sockets == 0
                and has(runs, "server", ACCEPTED)[:2] == (0, 1)
                and at(runs, "server", ACCEPTED).has.sockets == 1
            ),
        ),
        Claim(
            N_(
                "Octets are kept twice: {sent} in the sender's buffer until they are acknowledged, and {received} in "
                "the receiver's until the program reads them."
            ),
            lambda runs: (
                at(runs, "client", WRITTEN).field("send_queue") == len(SAID)
                and at(runs, "client", WRITTEN).field("snd_nxt")
                == wrap((at(runs, "client", WRITTEN).field("snd_una") or 0) + len(SAID))
                and at(runs, "server", ARRIVED).field("receive_queue") == len(SAID)
                and at(runs, "client", READ).has.octets == at(runs, "server", READ).has.octets == 0
            ),
            lambda runs: {
                "sent": at(runs, "client", WRITTEN).field("send_queue"),
                "received": at(runs, "server", ARRIVED).field("receive_queue"),
            },
        ),
        Claim(
            N_("close() takes the socket from the program at once, but not the TCB: it lives on until FINs are done."),
            lambda runs: (
                at(runs, "client", CLOSED).has.sockets == 0
                and has(runs, "client", CLOSED) == (0, 1, 0, 1)
                and runs["closed"].when("client", "FIN-WAIT-1") < CLOSED < runs["closed"].when("client", "TIME-WAIT")
            ),
        ),
        Claim(
            N_(
                "In TIME-WAIT the client's TCB and buffers are gone. A record of {record} octets stays, with the next "
                "numbers and the window, and the port stays taken; at the server all has been given back."
            ),
            lambda runs: (
                has(runs, "client", TIME_WAIT) == (0, 0, 1, 1)
                and 0 < at(runs, "client", TIME_WAIT).record < 300
                and at(runs, "client", TIME_WAIT).has.octets == 0
                and at(runs, "client", TIME_WAIT).field("snd_nxt")
                == wrap((at(runs, "client", ASKED).field("iss") or 0) + len(SAID) + 2)
                and freed(runs, "server", TIME_WAIT, "closed")
            ),
            lambda runs: {"record": at(runs, "client", TIME_WAIT).record},
        ),
        Claim(
            N_("After {seconds:.0f} s of TIME-WAIT the record and the port are given back too: nothing is left."),
            lambda runs: freed(runs, "client", END, "closed"),
            lambda runs: {
                "seconds": (runs["closed"].when("client", "CLOSED") - runs["closed"].when("client", "TIME-WAIT")) / 1e9
            },
        ),
        Claim(
            N_("A RST needs no farewell: both hosts give back TCB, buffers and port at once, and nothing guards them."),
            lambda runs: (
                freed(runs, "client", CLOSED, "reset")
                and freed(runs, "server", TIME_WAIT, "reset")
                and not any("TIME-WAIT" in runs["reset"].path(name) for name in ("client", "server"))
            ),
        ),
    ),
    table=table,
    answer=N_(
        "The client's TCB is made by connect(). The server's passive open makes one in LISTEN, the listener, which "
        "stays; each connection gets its own, as a small request when the SYN comes and in full with the third "
        "message, and accept() only hands out what is there. In it are the four-tuple, the state, both initial "
        "numbers, what was sent and acknowledged (snd_una, snd_nxt), what is expected (rcv_nxt), both windows, the "
        "MSS, round trip, time-out and cwnd, the timers and two buffers. Octets are freed one by one, as they are "
        "acknowledged or read. close() does not end it; the last message does, or the limit of a timer, or a RST. In "
        "TIME-WAIT a small record takes its place, and holds the port, until 2MSL are over."
    ),
    clauses=("RFC 9293 §3.3.1", "RFC 9293 §3.10.1", "RFC 9293 §3.6.1"),
    tries=(
        Try("A16 --world closed --set client:tcp_max_tw_buckets=0", N_("No TIME-WAIT: all is given back at once.")),
        Try(
            "A16 --world closed --set client:tcp_timewait_len=240", N_("Two minutes of MSL: the port is kept for four.")
        ),
        Try("A16 --world closed --set tcp_syncookies=2", N_("SYN cookies always: not even a request is kept.")),
    ),
)

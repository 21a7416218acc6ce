"""B6: the six flags, each on a real segment."""

from __future__ import annotations

from errno import ECONNRESET
from typing import Final

from synfin.host.socket_option_numbers import MSG_OOB
from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import DATA, Run, Runs
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, URG

LETTER: Final = b"x" * 2000
ALARM: Final = b"stop!"


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    octets = 0
    while octets < len(LETTER):
        octets += len((yield from sock.recv()))
    # What comes before the mark, and then the urgent octet by itself.
    yield from sock.recv()
    yield from sock.recv(1, MSG_OOB)
    yield from program.sleep(60 * MS)
    sock.shutdown()
    yield from sock.recv()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(30 * MS)
    sock.send(LETTER)
    yield from program.sleep(50 * MS)
    sock.send(ALARM, MSG_OOB)
    yield from sock.recv()
    yield from program.sleep(60 * MS)
    # With a linger time of 0 close() does not take leave: it resets.
    sock.set_linger(0)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def bearing(run: Run, flag: int) -> list[Transmission]:
    """The segments with that flag."""
    return [one for one in run.sent() if one.segment.flags & flag]


def data(run: Run) -> list[Transmission]:
    return run.sent(DATA, "client")


def after(run: Run, one: Transmission) -> list[Transmission]:
    """What the receiver of that segment sent when it had arrived or later."""
    return [each for each in run.sent(host=one.receiver.host) if each.time >= one.arrivals[0].time]


def got(run: Run, number: int) -> object:
    """What the server's recv() with that number gave, from 0; from the end if it is negative."""
    return [call for call in run.program("server").calls if call.name == "recv"][number].result


def relative(one: Transmission) -> int:
    return one.sender.relative(one.segment.seq)


MEANINGS: Final = (
    ("SYN", SYN, N_("here is my initial sequence number")),
    ("ACK", ACK, N_("the field ack counts: I have all before it")),
    ("PSH", PSH, N_("do not wait for more: give it to the program")),
    ("URG", URG, N_("the urgent pointer counts: look ahead in the stream")),
    ("FIN", FIN, N_("I send no more data")),
    ("RST", RST, N_("this connection is over, now")),
)


def table(runs: Runs) -> Table:
    rows = []
    for name, flag, meaning in MEANINGS:
        found = [str(number) for number, one in enumerate(runs["all"].sent(), 1) if one.segment.flags & flag]
        rows.append((name, ", ".join(found), meaning))
    return Table((N_("flag"), N_("on segments"), N_("what it says")), rows)


EXPERIMENT = Experiment(
    row="B6",
    question=N_("What do the six flags SYN, ACK, PSH, URG, FIN and RST say?"),
    prediction=N_(
        "A connection opens, carries a long write and an urgent octet, is closed by one end and torn down by the "
        "other. Which flags does each segment carry, and which of them take a sequence number?"
    ),
    worlds=(World("all", N_("One connection, all six flags"), scenario),),
    watch=N_("The names before seq in each segment, and seq in the segment after it."),
    claims=(
        Claim(
            N_("SYN opens each direction once, gives its initial number, and takes one number: data begin at 1."),
            lambda runs: (
                [(one.sender.host, relative(one)) for one in bearing(runs["all"], SYN)]
                == [("client", 0), ("server", 0)]
                and relative(data(runs["all"])[0]) == 1
            ),
        ),
        Claim(
            N_("ACK is on every segment but the first, {count} of {all}: before it nothing was there to acknowledge."),
            lambda runs: (
                [bool(one.segment.flags & ACK) for one in runs["all"].sent()]
                == [False] + [True] * (len(runs["all"].sent()) - 1)
            ),
            lambda runs: {"count": len(bearing(runs["all"], ACK)), "all": len(runs["all"].sent())},
        ),
        Claim(
            N_(
                "PSH marks the end of what was written: the write of {octets} octets leaves in {segments} segments, "
                "and only the last of them has it."
            ),
            lambda runs: (
                [bool(one.segment.flags & PSH) for one in data(runs["all"])[:2]] == [False, True]
                and sum(one.segment.payload_length for one in data(runs["all"])[:2]) == len(LETTER)
            ),
            lambda runs: {
                "octets": sum(one.segment.payload_length for one in data(runs["all"])[:2]),
                "segments": len(data(runs["all"])[:2]),
            },
        ),
        Claim(
            N_(
                "URG says that the urgent pointer counts: it is {pointer} here, so it points behind the last of the "
                "{octets} octets, and that one is the urgent one. The server reads {normal!r} from the stream, and "
                "{urgent!r} by itself, with MSG_OOB."
            ),
            lambda runs: (
                [one.segment.up for one in bearing(runs["all"], URG)] == [len(ALARM)]
                and data(runs["all"])[2].segment.flags & URG != 0
                and (got(runs["all"], -3), got(runs["all"], -2)) == (ALARM[:-1], ALARM[-1:])
            ),
            lambda runs: {
                "pointer": bearing(runs["all"], URG)[0].segment.up,
                "octets": bearing(runs["all"], URG)[0].segment.payload_length,
                "normal": got(runs["all"], -3),
                "urgent": got(runs["all"], -2),
            },
        ),
        Claim(
            N_(
                "FIN says that the server sends no more; it takes one number, so it is acknowledged with ack={ack}. "
                "The client's recv() gives nothing: the end of the stream."
            ),
            lambda runs: (
                [one.sender.host for one in bearing(runs["all"], FIN)] == ["server"]
                and after(runs["all"], bearing(runs["all"], FIN)[0])[0].segment.ack
                == wrap(bearing(runs["all"], FIN)[0].segment.seq + 1)
                and runs["all"].program("client").call("recv").result == b""
            ),
            lambda runs: {
                "ack": bearing(runs["all"], FIN)[0].sender.relative(
                    after(runs["all"], bearing(runs["all"], FIN)[0])[0].segment.ack
                )
            },
        ),
        Claim(
            N_(
                "RST ends it for both at once: nobody acknowledges it, there is no TIME-WAIT, and the server's recv() "
                "fails with ECONNRESET."
            ),
            lambda runs: (
                [one.sender.host for one in bearing(runs["all"], RST)] == ["client"]
                and not after(runs["all"], bearing(runs["all"], RST)[0])
                and getattr(runs["all"].program("server").call("recv").error, "errno", 0) == ECONNRESET
                and all(runs["all"].state(host) == "CLOSED" for host in ("client", "server"))
                and not any("TIME-WAIT" in runs["all"].path(host) for host in ("client", "server"))
            ),
        ),
    ),
    answer=N_(
        "Flags are single bits of the header, and each says of what use the segment is. SYN and FIN open and close "
        "one direction and take a number each, because they must arrive in their place and be acknowledged. ACK, PSH, "
        "URG and RST take none. PSH is set by the sending TCP at the end of a write; a receiver that does not wait "
        "anyway needs no such word. URG is a relic that new programs should not use. RST answers what fits no "
        "connection, and ends one that somebody gives up."
    ),
    clauses=("RFC 9293 §3.1", "RFC 9293 §3.8.5", "RFC 6093 §3", "RFC 9293 §3.9.1.2"),
    tries=(
        Try(
            "B6 --set tcp_stdurg=1",
            N_(
                "The pointer is read as one octet further on: recv() gives 'stop!' whole, and MSG_OOB finds nothing "
                "yet."
            ),
        ),
        Try(
            "B6 --lose 4", N_("Lose the first half of the long write: PSH arrives first, and the program gets nothing.")
        ),
    ),
    table=table,
)

"""B8: each of the seven messages damaged on its way: dropped in silence, and from then on as if it had been lost."""

from __future__ import annotations

from typing import Final

from synfin.events import PacketLost, PacketTransmitted, StateChanged
from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Picture, Table, Try, World
from synfin.lab.running import ACK, FIN, SYN, Run, Runs
from synfin.reasons import DAMAGED
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start
from synfin.wire.ip import octets

NUMBERS: Final = range(1, 8)
HOSTS: Final = {"client": N_("client"), "server": N_("server")}
MESSAGES: Final = ("SYN", "SYN+ACK", "ACK", "FIN", "ACK", "FIN", "ACK")


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    # Long enough for the acknowledgment of the client's FIN to go by itself.
    yield from program.sleep(100 * MS)
    sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(2 * SECOND)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


TITLES: Final = (
    (N_("The SYN (message 1) is damaged"), N_("The SYN (message 1) is lost")),
    (N_("The SYN+ACK (message 2) is damaged"), N_("The SYN+ACK (message 2) is lost")),
    (N_("The third message of the handshake is damaged"), N_("The third message of the handshake is lost")),
    (N_("The client's FIN (message 4) is damaged"), N_("The client's FIN (message 4) is lost")),
    (N_("The acknowledgment of it (message 5) is damaged"), N_("The acknowledgment of it (message 5) is lost")),
    (N_("The server's FIN (message 6) is damaged"), N_("The server's FIN (message 6) is lost")),
    (N_("The last acknowledgment (message 7) is damaged"), N_("The last acknowledgment (message 7) is lost")),
)
#: Those of which the ladders are shown.
SHOWN: Final = (1,)


def worlds() -> tuple[World, ...]:
    found = []
    # Nothing else is sent, so a message's number is that of its packet.
    for number, (damaged, lost) in zip(NUMBERS, TITLES, strict=True):
        picture: Picture = "ladder" if number in SHOWN else "none"
        found.append(World(f"damaged-{number}", damaged, scenario, (f"corrupt packet {number}",), picture=picture))
        found.append(World(f"lost-{number}", lost, scenario, (f"lose packet {number}",), picture=picture))
    return tuple(found)


def on_the_wire(run: Run) -> list[tuple[int, str, bytes]]:
    """Every packet that a host sent: when, who, and its octets."""
    return [(event.time, event.host, octets(event.packet)) for event in run.of(PacketTransmitted)]


def drops(run: Run) -> list[PacketLost]:
    """What a host dropped because a checksum was wrong; `host` is the one that had sent it."""
    return [event for event in run.of(PacketLost) if event.reason is DAMAGED]


def dropped_by(run: Run) -> str:
    """The host that the damaged segment reached."""
    return {"client": "server", "server": "client"}[drops(run)[0].host]


def counted(run: Run) -> int:
    """How many errors that host has counted, as nstat(8) names them: one bit in the header of IP or of TCP."""
    counters = run.node(dropped_by(run)).host.counters
    return sum(counters[name] for name in ("IpInHdrErrors", "IpExtInTruncatedPkts", "TcpInErrs"))


def silent(run: Run) -> bool:
    """Whether that host sent nothing and changed no state at that moment."""
    moment, host = drops(run)[0].time, dropped_by(run)
    return not any(
        event.time == moment and event.host == host for event in (*run.of(PacketTransmitted), *run.of(StateChanged))
    )


def alike(runs: Runs, number: int) -> bool:
    """Whether damage and loss of that message lead to the same: on the wire, octet for octet, and at both ends."""
    damaged, lost = runs[f"damaged-{number}"], runs[f"lost-{number}"]
    return on_the_wire(damaged) == on_the_wire(lost) and all(
        damaged.path(host) == lost.path(host) for host in ("client", "server")
    )


def repairs(run: Run) -> list[Transmission]:
    """What was sent again."""
    return run.history.retransmissions


def answered(run: Run) -> bool:
    """Whether that was answered when it arrived."""
    arrived = repairs(run)[0].arrivals[0].time
    return any(one.time == arrived for one in run.sent(ACK, repairs(run)[0].receiver.host))


def after(run: Run) -> int:
    """Milliseconds from a segment that was sent again to its repetition."""
    one = repairs(run)[0]
    flags = SYN | FIN
    return next(
        (one.time - first.time) // MS
        for first in run.sent(host=one.sender.host)
        if first.segment.seq == one.segment.seq and first.segment.flags & flags == one.segment.flags & flags
    )


def table(runs: Runs) -> Table:
    rows = []
    for number, name in zip(NUMBERS, MESSAGES, strict=True):
        damaged = runs[f"damaged-{number}"]
        again = bool(repairs(damaged))
        rows.append(
            (
                str(number),
                name,
                HOSTS[dropped_by(damaged)],
                HOSTS[repairs(damaged)[0].sender.host] if again else "–",
                str(after(damaged)) if again else "–",
                str(len(damaged.sent())),
                N_("yes") if alike(runs, number) else N_("no"),
            )
        )
    return Table(
        (
            N_("message"),
            N_("segment"),
            N_("dropped by"),
            N_("who sends again"),
            N_("after (ms)"),
            N_("segments in all"),
            N_("same as lost"),
        ),
        rows,
    )


EXPERIMENT = Experiment(
    row="B8",
    question=N_("What if a message arrives damaged, and not lost?"),
    prediction=N_(
        "One bit of a message is turned over on its way. Will the receiver ask for it again, refuse it with a RST, or "
        "do nothing at all? Try to say, for each of the seven messages of a connection's life, who repairs it."
    ),
    worlds=worlds(),
    watch=N_("The segment that is dropped where it arrives; that nothing answers it; and when it comes again."),
    claims=(
        Claim(
            N_(
                "In all {count} cases the checksum tells: the host that the segment reaches drops it, and counts one "
                "error."
            ),
            lambda runs: (
                [dropped_by(runs[f"damaged-{number}"]) for number in NUMBERS]
                == ["server", "client", "server", "server", "client", "client", "server"]
                and all(
                    len(drops(run)) == counted(run) == 1 for name, run in runs.items() if name.startswith("damaged")
                )
            ),
            lambda runs: {"count": sum(bool(drops(run)) for run in runs.values())},
        ),
        Claim(
            N_("It is dropped in silence: no answer leaves, and no state changes."),
            lambda runs: all(silent(runs[f"damaged-{number}"]) for number in NUMBERS),
        ),
        Claim(
            N_(
                "From there on all is as if it had been lost: the same segments at the same times, octet for octet, "
                "and the same states, {count} times out of {all}."
            ),
            lambda runs: all(alike(runs, number) for number in NUMBERS),
            lambda runs: {"count": sum(alike(runs, number) for number in NUMBERS), "all": len(NUMBERS)},
        ),
        Claim(
            N_(
                "A SYN and a FIN come again when their own sender's timer runs out. Without the SYN+ACK both ends "
                "repeat: the client its SYN, the server its SYN+ACK."
            ),
            lambda runs: (
                all(
                    repairs(runs[f"damaged-{number}"])[0].sender.host == sender
                    and repairs(runs[f"damaged-{number}"])[0].segment.flags & (SYN | FIN) == flag
                    for number, sender, flag in ((1, "client", SYN), (4, "client", FIN), (6, "server", FIN))
                )
                and {(one.sender.host, one.segment.flags & SYN) for one in repairs(runs["damaged-2"])}
                == {("client", SYN), ("server", SYN)}
            ),
        ),
        Claim(
            N_(
                "A bare acknowledgment has no timer. Without message 3 or 7 the other end repeats what was not "
                "acknowledged, SYN+ACK or FIN, and is answered again; message 5 is not missed, as message 6 "
                "acknowledges too."
            ),
            lambda runs: (
                all(
                    repairs(runs[f"damaged-{number}"])[0].sender.host == "server"
                    and repairs(runs[f"damaged-{number}"])[0].segment.flags & (SYN | FIN) == flag
                    and answered(runs[f"damaged-{number}"])
                    for number, flag in ((3, SYN), (7, FIN))
                )
                and not repairs(runs["damaged-5"])
            ),
        ),
        Claim(
            N_("In every case both ends come to CLOSED in the end."),
            lambda runs: all(run.state(host) == "CLOSED" for run in runs.values() for host in ("client", "server")),
        ),
    ),
    answer=N_(
        "It is the same as a loss. The checksum covers header and data, and a segment that fails it tells nothing "
        "reliable, not even whom to complain to: so it is dropped, and no word is said. TCP needs only one way to "
        "mend both, and that is time. The checksum is weak, 16 bits, so links and applications have stronger ones of "
        "their own."
    ),
    clauses=("RFC 9293 §3.1", "RFC 1122 §4.2.2.7", "RFC 6298 §5"),
    tries=(
        Try(
            "B8 --world damaged-1 --lose 2",
            N_("The first SYN is damaged, the second lost: the third opens the connection."),
        ),
        Try("B8 --world damaged-7", N_("The last acknowledgment: the server's FIN comes again, and 2MSL start anew.")),
    ),
    table=table,
)

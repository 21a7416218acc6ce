"""B8: each of the seven messages damaged on its way: dropped in silence, and from then on as if it had been lost."""

from __future__ import annotations

from typing import Final

from synfin.events import PacketTransmitted, SegmentDropped
from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Picture, Table, Try, World
from synfin.lab.running import Run, Runs
from synfin.reasons import DAMAGED
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start
from synfin.wire.ip import octets

NUMBERS: Final = range(1, 8)
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


def drops(run: Run) -> list[SegmentDropped]:
    """What was dropped because its checksum was wrong."""
    return [event for event in run.of(SegmentDropped) if event.reason is DAMAGED]


def silent(run: Run) -> bool:
    """Whether the host that dropped it sent nothing at that moment."""
    return all(one.time != drop.time for drop in drops(run) for one in run.sent(host=drop.host))


def unmoved(run: Run) -> bool:
    """Whether no state changed at that moment."""
    rows = [arrival for one in run.sent() for arrival in one.arrivals]
    return all(row.old_state == row.new_state for row in rows if row.time in {drop.time for drop in drops(run)})


def alike(runs: Runs, number: int) -> bool:
    """Whether damage and loss of that message lead to the same: on the wire, octet for octet, and at both ends."""
    damaged, lost = runs[f"damaged-{number}"], runs[f"lost-{number}"]
    return on_the_wire(damaged) == on_the_wire(lost) and all(
        damaged.path(host) == lost.path(host) for host in ("client", "server")
    )


def repaired(run: Run) -> Transmission | None:
    """What was sent again first; None if nothing had to be."""
    return next(iter(run.history.retransmissions), None)


def repair(run: Run) -> tuple[str, str]:
    """Who sent what again, and how many milliseconds after it was sent first."""
    one = repaired(run)
    if one is None:
        return "–", "–"
    first = next(each for each in run.sent(host=one.sender.host) if each.segment.seq == one.segment.seq)
    if first.segment.flags & 3 != one.segment.flags & 3:
        first = next(
            each
            for each in run.sent(host=one.sender.host)
            if each.segment.seq == one.segment.seq and each.segment.flags & 3 == one.segment.flags & 3
        )
    names = {"client": N_("client"), "server": N_("server")}
    return names[one.sender.host], f"{(one.time - first.time) / MS:.0f}"


def table(runs: Runs) -> Table:
    rows = []
    for number, name in zip(NUMBERS, MESSAGES, strict=True):
        damaged = runs[f"damaged-{number}"]
        who, after = repair(damaged)
        dropped = drops(damaged)[0].host
        rows.append(
            (
                str(number),
                name,
                {"client": N_("client"), "server": N_("server")}[dropped],
                who,
                after,
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
        "One bit of a message is turned over on its way. Will the receiver ask for it again, refuse it with a RST, or do "
        "nothing at all? Try to say, for each of the seven messages of a connection's life, who repairs it."
    ),
    worlds=worlds(),
    watch=N_("The segment that is dropped where it arrives; that nothing answers it; and when it comes again."),
    claims=(
        Claim(
            N_("In all {count} cases the checksum tells, and the host that the segment reached drops it: one segment, once."),
            lambda runs: (
                [drops(runs[f"damaged-{number}"])[0].host for number in NUMBERS]
                == ["server", "client", "server", "server", "client", "client", "server"]
                and all(len(drops(runs[f"damaged-{number}"])) == 1 for number in NUMBERS)
            ),
            lambda runs: {"count": len([run for run in runs.values() if drops(run)])},
        ),
        Claim(
            N_("It is dropped in silence: no answer leaves, and no state changes."),
            lambda runs: all(
                silent(runs[f"damaged-{number}"]) and unmoved(runs[f"damaged-{number}"]) for number in NUMBERS
            ),
        ),
        Claim(
            N_(
                "From there on all is as if it had been lost: the same segments at the same times, octet for octet, and the "
                "same states, {count} times out of {all}."
            ),
            lambda runs: all(alike(runs, number) for number in NUMBERS),
            lambda runs: {"count": sum(alike(runs, number) for number in NUMBERS), "all": len(NUMBERS)},
        ),
        Claim(
            N_("A SYN and a FIN come again when their own sender's timer runs out."),
            lambda runs: all(
                (one := repaired(runs[f"damaged-{number}"])) is not None
                and one.sender.host == sender
                and bool(one.segment.flags & 3)
                for number, sender in ((1, "client"), (2, "client"), (4, "client"), (6, "server"))
            ),
        ),
        Claim(
            N_(
                "A bare acknowledgment has no timer. Without message 3 or 7 the other end repeats what was not "
                "acknowledged, SYN+ACK or FIN, and is answered again; message 5 is not missed, as message 6 acknowledges too."
            ),
            lambda runs: (
                [repaired(runs[f"damaged-{number}"]).sender.host for number in (3, 7)] == ["server", "server"]  # type: ignore[union-attr]
                and [repaired(runs[f"damaged-{number}"]).segment.flags & 3 for number in (3, 7)] == [2, 1]  # type: ignore[union-attr]
                and repaired(runs["damaged-5"]) is None
            ),
        ),
        Claim(
            N_("In every case both ends come to CLOSED in the end."),
            lambda runs: all(run.state(host) == "CLOSED" for run in runs.values() for host in ("client", "server")),
        ),
    ),
    answer=N_(
        "It is the same as a loss. The checksum covers header and data, and a segment that fails it tells nothing reliable, "
        "not even whom to complain to: so it is dropped, and no word is said. TCP needs only one way to mend both, and that "
        "is time. The checksum is weak, 16 bits, so links and applications have stronger ones of their own."
    ),
    clauses=("RFC 9293 §3.1", "RFC 1122 §4.2.2.7", "RFC 6298 §5"),
    tries=(
        Try("B8 --world damaged-1 --set tcp_syn_retries=1 --lose 2", N_("Damage the first SYN and lose the second.")),
        Try("B8 --world damaged-7", N_("The last acknowledgment: the server's FIN comes again, and 2MSL start anew.")),
    ),
    table=table,
)

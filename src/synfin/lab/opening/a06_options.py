"""A6: what else the handshake exchanges: windows, and options that hold only if both ends offer them."""

from __future__ import annotations

from functools import partial
from socket import IPPROTO_TCP

from synfin.host.parameters import Parameters
from synfin.host.socket_option_numbers import TCP_MAXSEG
from synfin.lab.bench import CLIENT, DELAY, MS, PORT, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import ACK, DATA, SYN, SYN_ACK, Run, Runs
from synfin.reasons import RETRANSMISSION_TIMEOUT
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp_options import Options

SAID = b"." * 2000


def server(program: Program, mss: int) -> Steps[None]:
    sock = program.socket()
    if mss:
        sock.setsockopt(IPPROTO_TCP, TCP_MAXSEG, mss)
    sock.bind(("", PORT))
    sock.listen()
    connected = yield from sock.accept()
    received = 0
    while received < len(SAID):
        received += len((yield from connected.recv()))
    yield from connected.recv()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(30 * MS)
    yield from sock.sendall(SAID)
    yield from sock.recv()


def scenario(network: Network, asks: str = "", answers: str = "", mss: int = 0) -> list[Program]:
    """`asks` and `answers` name the parameter that is off at the client or the server."""
    ours, theirs = Parameters(), Parameters()
    # So large a buffer that its window needs more than 16 bits.
    theirs.set("net.ipv4.tcp_rmem", "4096 600000 33554432")
    if asks:
        ours.set(f"net.ipv4.{asks}", "0")
    if answers:
        theirs.set(f"net.ipv4.{answers}", "0")
    here, there = network.host("client", ours), network.host("server", theirs)
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    return [start(network, there, partial(server, mss=mss)), start(network, here, client)]


def options(run: Run, kind: int) -> Options:
    """Those of the SYN or the SYN+ACK."""
    return run.sent(kind)[0].segment.options


def after(run: Run) -> list[Transmission]:
    """The segments after the two SYNs."""
    return [one for one in run.sent() if not one.segment.flags & SYN]


def largest(run: Run) -> int:
    """Octets in the client's largest segment."""
    return max(one.segment.payload_length for one in run.sent(DATA, "client"))


def widest(run: Run) -> int:
    """The largest window that the server offered, in octets."""
    return max(one.window for one in run.sent(host="server"))


def sacked(run: Run) -> int:
    """How many acknowledgments told of data beyond a gap."""
    return sum(bool(one.segment.options.sack) for one in run.sent(ACK, "server"))


def mended(run: Run) -> float:
    """Milliseconds from when the first data left until they left again."""
    first, *_, again = [one.time for one in run.sent(DATA) if one.segment.seq == run.sent(DATA)[0].segment.seq]
    return (again - first) / MS


def table(runs: Runs) -> Table:
    head = (
        N_("world"),
        N_("the server's MSS"),
        N_("window scale"),
        N_("timestamps"),
        "SACK",
        N_("largest payload"),
        N_("largest window"),
    )
    rows = []
    for run in runs.values():
        said = options(run, SYN_ACK)
        rows.append(
            (
                run.shown.title,
                str(said.mss),
                N_("both")
                if said.window_scale is not None and options(run, SYN).window_scale is not None
                else N_("none"),
                N_("both") if said.ts_val is not None else N_("none"),
                N_("both") if said.sack_permitted else N_("none"),
                str(largest(run)),
                str(widest(run)),
            )
        )
    return Table(head, rows)


EXPERIMENT = Experiment(
    row="A6",
    question=N_("What else do the two ends tell each other in the handshake?"),
    prediction=N_(
        "A SYN says more than a number: how large a window its sender has, and in options what it can do. Is that a "
        "negotiation? What happens to an option that only one of the two offers?"
    ),
    worlds=(
        World("all", N_("Both offer all; the first data segment is lost"), scenario, ("lose 1st data",)),
        World(
            "no-sack",
            N_("The server does not permit SACK; the first data segment is lost"),
            partial(scenario, answers="tcp_sack"),
            ("lose 1st data",),
        ),
        World("no-scaling", N_("The client offers no window scale"), partial(scenario, asks="tcp_window_scaling")),
        World("no-timestamps", N_("The server offers no timestamps"), partial(scenario, answers="tcp_timestamps")),
        World("mss", N_("The server asks for smaller segments (TCP_MAXSEG)"), partial(scenario, mss=1000)),
    ),
    watch=N_("The options of messages 1 and 2, and what of them is left in the segments that follow."),
    claims=(
        Claim(
            N_(
                "The SYN offers MSS {mss} (an MTU of 1500 less 40 octets of headers), window scale {scale}, timestamps "
                "and SACK; the SYN+ACK offers the same kinds."
            ),
            lambda runs: all(
                options(runs["all"], kind).mss == 1460
                and options(runs["all"], kind).window_scale is not None
                and options(runs["all"], kind).ts_val is not None
                and options(runs["all"], kind).sack_permitted
                for kind in (SYN, SYN_ACK)
            ),
            lambda runs: {
                "mss": options(runs["all"], SYN).mss,
                "scale": options(runs["all"], SYN).window_scale,
            },
        ),
        Claim(
            N_(
                "The window in a SYN or SYN+ACK is never scaled: the server says {first}, all that 16 bits can. Only "
                "the segments after that shift it, by {shift} bits, and the server offers up to {most} octets."
            ),
            lambda runs: (
                runs["all"].sent(SYN_ACK)[0].window == runs["all"].sent(SYN_ACK)[0].segment.wnd == 65535
                and widest(runs["all"]) > 65535
                and all(
                    one.window == one.segment.wnd << (options(runs["all"], SYN_ACK).window_scale or 0)
                    for one in after(runs["all"])
                )
            ),
            lambda runs: {
                "first": runs["all"].sent(SYN_ACK)[0].window,
                "shift": options(runs["all"], SYN_ACK).window_scale,
                "most": widest(runs["all"]),
            },
        ),
        Claim(
            N_(
                "If the client offers no window scale, the server does not either, and neither shifts: the server has "
                "the same large buffer, and can offer {most} octets of it."
            ),
            lambda runs: (
                options(runs["no-scaling"], SYN_ACK).window_scale is None
                and widest(runs["no-scaling"]) == 65535
                and all(one.window == one.segment.wnd for one in after(runs["no-scaling"]))
                and runs["no-scaling"].sent(ACK, "client")[0].segment.wnd
                > 100 * runs["all"].sent(ACK, "client")[0].segment.wnd
            ),
            lambda runs: {"most": widest(runs["no-scaling"])},
        ),
        Claim(
            N_(
                "If the server answers without timestamps, no later segment bears one, and {more} octets more fit into "
                "each: {with_} with them, {without} without."
            ),
            lambda runs: (
                options(runs["no-timestamps"], SYN).ts_val is not None
                and all(one.segment.options.ts_val is None for one in after(runs["no-timestamps"]))
                and all(one.segment.options.ts_val is not None for one in after(runs["all"]))
                and largest(runs["no-timestamps"]) == largest(runs["all"]) + 12
            ),
            lambda runs: {
                "more": largest(runs["no-timestamps"]) - largest(runs["all"]),
                "with_": largest(runs["all"]),
                "without": largest(runs["no-timestamps"]),
            },
        ),
        Claim(
            N_(
                "If the server does not permit SACK, its ACKs cannot say what arrived beyond the gap: the lost segment "
                "is repaired after {without:.0f} ms, by a time-out, instead of {with_:.0f} ms."
            ),
            lambda runs: (
                sacked(runs["all"]) > 0
                and sacked(runs["no-sack"]) == 0
                and mended(runs["no-sack"]) > 2 * mended(runs["all"])
                and [one.reason for one in runs["no-sack"].history.retransmissions] == [RETRANSMISSION_TIMEOUT]
                and RETRANSMISSION_TIMEOUT not in [one.reason for one in runs["all"].history.retransmissions]
            ),
            lambda runs: {"without": mended(runs["no-sack"]), "with_": mended(runs["all"])},
        ),
        Claim(
            N_(
                "The MSS is not negotiated: each end says what it can receive. The server asks for {asked}, the client "
                "for {own}, and the client sends no more than {asked} less 12 octets of timestamps, {sent}."
            ),
            lambda runs: (
                options(runs["mss"], SYN_ACK).mss == 1000
                and options(runs["mss"], SYN).mss == 1460
                and largest(runs["mss"]) == 988
            ),
            lambda runs: {
                "asked": options(runs["mss"], SYN_ACK).mss,
                "own": options(runs["mss"], SYN).mss,
                "sent": largest(runs["mss"]),
            },
        ),
    ),
    table=table,
    answer=N_(
        "Each SYN says how much its sender can take: the window, not scaled, and the largest segment (MSS), for each "
        "direction by itself. Window scale, timestamps and SACK hold only if both SYNs had them: the server answers "
        "with nothing that it was not offered, and one that is missing on either side is used by neither. This is the "
        "only chance: later segments can change the window, but not what was agreed on."
    ),
    clauses=("RFC 9293 §3.7.1", "RFC 7323 §2.2", "RFC 7323 §3.2", "RFC 2018 §2"),
    tries=(
        Try(
            "A6 --world all --set client:tcp_timestamps=0", N_("This time it is the client that offers no timestamps.")
        ),
        Try("A6 --world mss --set tcp_window_scaling=0", N_("No scaling at either end, whoever is asked.")),
    ),
)

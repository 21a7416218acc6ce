"""D1: the client's machine dies in mid-connection, and keep-alive finds out."""

from __future__ import annotations

from collections.abc import Mapping
from errno import ETIMEDOUT
from functools import partial
from itertools import pairwise
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from types import MappingProxyType

from synfin import reasons
from synfin.events import SegmentReceived
from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, HOUR, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Scenario, Steps, start

#: The numbers of one socket, instead of those of the host.
OWN = MappingProxyType({TCP_KEEPIDLE: 60, TCP_KEEPINTVL: 10, TCP_KEEPCNT: 3})


def server(on: bool, options: Mapping[int, int], says_more: int, program: Program) -> Steps[None]:
    """Hears one question, and waits for the next. `says_more`: when it says something by itself, 0 for never."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    if on:
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    for name, value in options.items():
        sock.setsockopt(IPPROTO_TCP, name, value)
    yield from sock.recv()
    if says_more:
        yield from program.sleep(says_more - program.now)
        yield from sock.sendall(b"Still there?")
    yield from sock.recv()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(15 * MS)
    yield from sock.sendall(b"question")
    yield from sock.receive_all()


def scenario(
    dies: int = SECOND,
    on: bool = True,
    options: Mapping[int, int] = MappingProxyType({}),
    says_more: int = 0,
    probes: str = "",
) -> Scenario:
    """The client's power fails at the time `dies`."""

    def build(network: Network) -> list[Program]:
        parameters = Parameters()
        if probes:
            parameters.set("net.ipv4.tcp_keepalive_probes", probes)
        here, there = network.host("client"), network.host("server", parameters)
        network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
        network.at(dies, here.power_off)
        return [start(network, there, partial(server, on, options, says_more)), start(network, here, client)]

    return build


def probes(run: Run) -> list[Transmission]:
    return [one for one in run.sent(host="server") if one.reason is reasons.KEEP_ALIVE_PROBE]


def unanswered(run: Run) -> list[Transmission]:
    """The probes that the living client did not answer."""
    return [one for one in probes(run) if one.time > heard(run)]


def heard(run: Run) -> int:
    """When the server heard of the client for the last time."""
    return run.of(SegmentReceived, "server")[-1].time


def silence(run: Run) -> float:
    """From then to the first probe that nobody answered, in seconds."""
    return (unanswered(run)[0].time - heard(run)) / SECOND


def gaps(run: Run) -> set[float]:
    """Seconds from one such probe to the next."""
    return {(later.time - earlier.time) / SECOND for earlier, later in pairwise(unanswered(run))}


def given_up(run: Run) -> float:
    """From the last word of the client to the end of the connection, in seconds."""
    return (run.when("server", "CLOSED") - heard(run)) / SECOND


def told(run: Run) -> int | None:
    """The errno with which the server's program heard of it."""
    error = run.program("server").call("recv").error
    return error.errno if error is not None else None


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


EXPERIMENT = Experiment(
    row="D1",
    question=N_("What happens if the client's machine dies in mid-connection?"),
    prediction=N_(
        "The power fails at the client, which says nothing any more, not even FIN or RST. The server waits in recv(). "
        "When does it find out, what does it ask, how often, and what if nobody has switched keep-alive on?"
    ),
    watch=N_(
        "The times of the probes, and their sequence number: it is one that the client has acknowledged already, so "
        "that a living client must answer."
    ),
    worlds=(
        World("linux", N_("SO_KEEPALIVE, with Linux's numbers: 7200 s, 75 s, nine probes"), scenario()),
        World("ten", N_("Ten probes, as the texts have it: tcp_keepalive_probes=10"), scenario(probes="10")),
        World(
            "anew",
            N_("The client is heard of after one hour and after three, and dies after four"),
            scenario(dies=4 * HOUR, says_more=HOUR),
        ),
        World(
            "off",
            N_("Without SO_KEEPALIVE, as every socket is at first: a whole day"),
            scenario(on=False),
            until=24 * HOUR,
        ),
        World("own", N_("Numbers of its own for one socket: 60 s, 10 s, three probes"), scenario(options=OWN)),
        World(
            "unacknowledged",
            N_("The same numbers, and the server speaks after the client's death"),
            scenario(options=OWN, says_more=2 * SECOND),
        ),
    ),
    claims=(
        Claim(
            N_(
                "The first probe leaves {silence:g} s after the last segment from the client, the others {gap:g} s "
                "apart; after {count} of them, {whole} after the client was last heard, recv() fails with ETIMEDOUT."
            ),
            lambda runs: (
                (silence(runs["linux"]), gaps(runs["linux"])) == (7200, {75})
                and len(probes(runs["linux"])) == 9
                and given_up(runs["linux"]) == 7200 + 9 * 75
                and told(runs["linux"]) == ETIMEDOUT
                and runs["linux"].state("server") == "CLOSED"
            ),
            lambda runs: {
                "silence": silence(runs["linux"]),
                "gap": max(gaps(runs["linux"])),
                "count": len(probes(runs["linux"])),
                "whole": duration(given_up(runs["linux"])),
            },
        ),
        Claim(
            N_("With the texts' {count} probes it is {whole}: Linux sends nine by default."),
            lambda runs: len(probes(runs["ten"])) == 10 and given_up(runs["ten"]) == 7200 + 10 * 75,
            lambda runs: {"count": len(probes(runs["ten"])), "whole": duration(given_up(runs["ten"]))},
        ),
        Claim(
            N_("A probe has no data, and the number before the next one to be sent: SND.NXT-1."),
            lambda runs: all(
                one.segment.payload_length == 0 and one.sender.relative(one.segment.seq) == 0
                for one in probes(runs["linux"])
            ),
        ),
        Claim(
            N_(
                "Any segment starts the two hours anew, not only a request: a bare ACK after one hour puts the first "
                "probe off to {first}, and its answer the next to {second}. Only from there it is {count} probes."
            ),
            lambda runs: (
                [duration(one.time / SECOND) for one in probes(runs["anew"])[:2]] == ["3:00:00", "5:00:00"]
                and len(unanswered(runs["anew"])) == 9
                and silence(runs["anew"]) == 7200
                and given_up(runs["anew"]) == 7200 + 9 * 75
            ),
            lambda runs: {
                "first": duration(probes(runs["anew"])[0].time / SECOND),
                "second": duration(probes(runs["anew"])[1].time / SECOND),
                "count": len(unanswered(runs["anew"])),
            },
        ),
        Claim(
            N_(
                "Keep-alive is off unless the program asks for it: after {hours:g} hours the server is still "
                "ESTABLISHED, still waits in recv(), and has sent nothing."
            ),
            lambda runs: (
                runs["off"].state("server") == "ESTABLISHED"
                and runs["off"].program("server").call("recv").waits
                and runs["off"].sent()[-1].time < SECOND
            ),
            lambda runs: {"hours": runs["off"].end / HOUR},
        ),
        Claim(
            N_(
                "Each number is a setting, of the host or of one socket: with its own, {count} probes and the end "
                "after {seconds:g} s."
            ),
            lambda runs: (
                (silence(runs["own"]), gaps(runs["own"]), len(probes(runs["own"]))) == (60, {10}, 3)
                and given_up(runs["own"]) == 90
            ),
            lambda runs: {"count": len(probes(runs["own"])), "seconds": given_up(runs["own"])},
        ),
        Claim(
            N_(
                "With data unacknowledged the limit of retransmissions decides (tcp_retries2), and no probe is sent, "
                "though these numbers would have ended it ten times sooner: ETIMEDOUT comes after {whole} and {count} "
                "retransmissions."
            ),
            lambda runs: (
                not probes(runs["unacknowledged"])
                and given_up(runs["unacknowledged"]) > 10 * given_up(runs["own"])
                and len([one for one in runs["unacknowledged"].sent() if one.retransmission]) >= 15
                and told(runs["unacknowledged"]) == ETIMEDOUT
            ),
            lambda runs: {
                "whole": duration(given_up(runs["unacknowledged"])),
                "count": len([one for one in runs["unacknowledged"].sent() if one.retransmission]),
            },
        ),
    ),
    answer=N_(
        "A machine that dies says nothing, so silence is all that the server has, and silence is also what an idle "
        "connection sounds like. Keep-alive asks: after two hours without a segment it sends a probe that wants an "
        "answer, and after nine in vain the connection ends. It is off by default, and slow. A server that must know "
        "sooner sets the numbers for its sockets, or has its own protocol ask. Who sends data finds out without "
        "keep-alive, when the retransmissions are used up."
    ),
    clauses=("RFC 9293 §3.8.4", "RFC 9293 §3.8.3", "RFC 1122 §4.2.3.6", "tcp(7)"),
    tries=(
        Try(
            "D1 --world linux --set tcp_keepalive_time=60 --set tcp_keepalive_intvl=5",
            N_("The host's own numbers, for every socket: it ends after 105 seconds."),
        ),
        Try(
            "D1 --world unacknowledged --set tcp_retries2=3",
            N_("Fewer retransmissions: the limit that decides when data wait."),
        ),
        Try(
            "D1 --world anew --lose 8",
            N_("The first probe is lost. One lost probe proves nothing: the second, 75 seconds later, is answered."),
        ),
    ),
)

"""C8: each of the four messages of the close, lost, late, or never arriving."""

from __future__ import annotations

from errno import ECONNRESET, ETIMEDOUT
from functools import partial
from socket import SO_KEEPALIVE, SOL_SOCKET

from synfin import reasons
from synfin.lab.bench import HOUR, MS, PORT, SECOND, pair
from synfin.lab.closing.hosts import last_change
from synfin.lab.experiment import N_, Claim, Experiment, Picture, Table, Try, World
from synfin.lab.running import FIN, RST, Run, Runs
from synfin.sim import Network, Program, Steps, start
from synfin.sim.programs import Body

LATER = 300 * SECOND


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.close()


def holding_client(program: Program) -> Steps[None]:
    """Only says that it has nothing to send any more, and keeps its socket."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.shutdown()
    yield from sock.recv()


def server(program: Program) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from sock.receive_all()
    # Longer than a FIN waits for its ACK.
    yield from program.sleep(SECOND)
    sock.close()


def holding_server(program: Program) -> Steps[None]:
    """Keeps its socket too."""
    sock = yield from program.listening(PORT).accept()
    yield from sock.receive_all()
    yield from program.sleep(SECOND)
    sock.shutdown()
    yield from program.sleep(HOUR)


def speaking_server(program: Program) -> Steps[None]:
    """Says something when the client has long gone."""
    sock = yield from program.listening(PORT).accept()
    yield from program.sleep(LATER)
    yield from sock.sendall(b"news")
    yield from sock.recv()


def probing_server(program: Program) -> Steps[None]:
    """Lets keep-alive look whether the client is there."""
    sock = yield from program.listening(PORT).accept()
    sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    yield from sock.recv()


def scenario(network: Network, here: Body, there: Body) -> list[Program]:
    left, right = pair(network)
    return [start(network, right, there, "server"), start(network, left, here, "client")]


def world(
    name: str, title: str, fault: str, picture: Picture = "none", here: Body = client, there: Body = server
) -> World:
    return World(name, title, partial(scenario, here=here, there=there), (fault,), picture=picture)


WORLDS = (
    world("4-lost", N_("4, the client's FIN, is lost once"), "lose 1st FIN from client"),
    world("4-late", N_("4, the client's FIN, comes a second late"), "delay 1st FIN by 1s from client"),
    world("4-never", N_("4, the client's FIN, never arrives"), "lose FIN from client"),
    world(
        "4-never-data",
        N_("4 never arrives; the server sends data later"),
        "lose FIN from client",
        "ladder",
        there=speaking_server,
    ),
    world(
        "4-never-keepalive",
        N_("4 never arrives; the server has SO_KEEPALIVE"),
        "lose FIN from client",
        there=probing_server,
    ),
    world(
        "4-never-shutdown",
        N_("4 never arrives; the client called shutdown() and not close()"),
        "lose FIN from client",
        here=holding_client,
    ),
    world("5-lost", N_("5, the server's ACK, is lost once"), "lose 1st ACK from server"),
    world(
        "5-late", N_("5, the server's ACK, comes half a second late"), "delay 1st ACK by 500ms from server", "ladder"
    ),
    world("5-never", N_("5, the server's ACK, never arrives"), "lose ACK from server"),
    world("6-lost", N_("6, the server's FIN, is lost once"), "lose 1st FIN from server"),
    world("6-late", N_("6, the server's FIN, comes a second late"), "delay 1st FIN by 1s from server"),
    world("6-never", N_("6, the server's FIN, never arrives"), "lose FIN from server", "ladder"),
    world(
        "6-never-shutdown",
        N_("6 never arrives; both called shutdown() and not close()"),
        "lose FIN from server",
        here=holding_client,
        there=holding_server,
    ),
    world("7-lost", N_("7, the client's ACK, is lost once"), "lose 2nd ACK from client"),
    world(
        "7-late", N_("7, the client's ACK, comes half a second late"), "delay 2nd ACK by 500ms from client", "ladder"
    ),
    world("7-never", N_("7, the client's ACK, never arrives"), "lose 2nd-999th ACK from client"),
)


# --- what happened


def fins(run: Run) -> tuple[int, int]:
    """How often the client and the server sent their FINs."""
    return len(run.sent(FIN, "client")), len(run.sent(FIN, "server"))


def orderly(run: Run) -> bool:
    """Whether the server learned that all arrived, and the client waited in TIME-WAIT."""
    return last_change(run, "server").reason == reasons.ACK_OF_FIN_RECEIVED and "TIME-WAIT" in run.path("client")


def errno(run: Run, program: str, call: str) -> int:
    return getattr(run.program(program).call(call).error, "errno", None) or 0


def stayed(run: Run, host: str, state: str) -> float:
    """How long `host` was in `state`, from which it went to CLOSED (seconds)."""
    return (run.when(host, "CLOSED") - run.when(host, state)) / SECOND


def answered(run: Run, host: str) -> int:
    """How many ACKs of the other end's FIN that host sent."""
    other = "server" if host == "client" else "client"
    number = (run.sent(FIN, other)[0].segment.seq + 1) % 2**32
    return sum(one.segment.ack == number and not one.segment.flags & (FIN | RST) for one in run.sent(host=host))


def again(runs: Runs, number: int) -> float:
    """How long after the first FIN the second one left, where that message was lost (seconds)."""
    first, second = runs[f"{number}-lost"].times(FIN, "client" if number < 6 else "server")
    return round(second - first, 3)


def learned(run: Run) -> float:
    """When the server came to CLOSED (seconds)."""
    return run.when("server", "CLOSED") / SECOND


STAYS = {"ESTABLISHED": N_("stays ESTABLISHED"), "FIN-WAIT-2": N_("stays in FIN-WAIT-2")}
ENDS = {
    reasons.ACK_OF_FIN_RECEIVED.name: N_("its FIN was acknowledged"),
    reasons.TWO_MSL_OVER.name: N_("2 MSL were over"),
    reasons.GAVE_UP.name: N_("gave up"),
    reasons.FIN_WAIT_2_OVER.name: N_("FIN-WAIT-2 was over"),
    reasons.RESET_RECEIVED.name: N_("was reset"),
}


def ending(run: Run, host: str) -> tuple[str, str]:
    """How and when (seconds) it came to CLOSED; or where it still is."""
    change = last_change(run, host)
    if change.new != "CLOSED":
        return STAYS[change.new], "—"
    return ENDS[change.reason.name], f"{change.time / SECOND:.2f}"


def table(runs: Runs) -> Table:
    head = (
        N_("message"),
        N_("client's FINs"),
        N_("server's FINs"),
        N_("how the client ends"),
        N_("at (s)"),
        N_("how the server ends"),
        N_("at (s)"),
    )
    return Table(
        head,
        [
            (run.shown.title, *map(str, fins(run)), *ending(run, "client"), *ending(run, "server"))
            for run in runs.values()
        ],
    )


EXPERIMENT = Experiment(
    row="C8",
    question=N_("What if one of the four messages is lost, late, or never arrives?"),
    prediction=N_(
        "Two of the four messages are FINs and two are ACKs. Who notices that one is missing, and who sends what "
        "again? How long does each end try, and what becomes of the other one?"
    ),
    watch=N_(
        "In each world: whose FIN was not answered in time. In the table: how often it is sent, and how each end comes "
        "to CLOSED, if it does."
    ),
    worlds=WORLDS,
    claims=(
        Claim(
            N_(
                "Lost once: the end whose FIN was not answered sends it again after {seconds:g} s, the client if 4 or "
                "5 is missing, the server if 6 or 7 is; then all goes on as usual. An ACK is sent again only in answer "
                "to a FIN that comes again."
            ),
            lambda runs: (
                [fins(runs[f"{number}-lost"]) for number in (4, 5, 6, 7)] == [(2, 1), (2, 1), (1, 2), (1, 2)]
                and all(orderly(runs[f"{number}-lost"]) for number in (4, 5, 6, 7))
                and [answered(runs["5-lost"], "server"), answered(runs["7-lost"], "client")] == [2, 2]
                and len({again(runs, number) for number in (4, 5, 6, 7)}) == 1
            ),
            lambda runs: {"seconds": again(runs, 4)},
        ),
        Claim(
            N_(
                "Late: its sender cannot know that, and sends its FIN again needlessly, {more} FIN more in each of the "
                "four worlds. The FIN that comes twice is answered twice."
            ),
            lambda runs: (
                [fins(runs[f"{number}-late"]) for number in (4, 5, 6, 7)] == [(2, 1), (2, 1), (1, 2), (1, 2)]
                and [answered(runs[f"{number}-late"], "server") for number in (4, 5)] == [2, 2]
                and [answered(runs[f"{number}-late"], "client") for number in (6, 7)] == [2, 2]
                and all(not sent.loss for number in (4, 5, 6, 7) for sent in runs[f"{number}-late"].sent())
            ),
            lambda runs: {"more": sum(fins(runs["7-late"])) - 2},
        ),
        Claim(
            N_(
                "When 6 or 7 is late, a last ACK reaches a server that has forgotten the connection. Its RST ends the "
                "client's TIME-WAIT, here after {seconds:.2f} s instead of two MSL."
            ),
            lambda runs: all(
                len(runs[name].sent(RST, "server")) == 1
                and last_change(runs[name], "client").reason == reasons.RESET_RECEIVED
                and stayed(runs[name], "client", "TIME-WAIT") < 1
                for name in ("6-late", "7-late")
            ),
            lambda runs: {"seconds": stayed(runs["7-late"], "client", "TIME-WAIT")},
        ),
        Claim(
            N_(
                "If the client's FIN never arrives, the client gives up after {fins} FINs and {seconds:.0f} s, as "
                "tcp_orphan_retries says for a socket that its program has closed (its 0 stands for 8). The server "
                "notices nothing: it stays ESTABLISHED, and recv() waits."
            ),
            lambda runs: (
                fins(runs["4-never"]) == (10, 0)
                and last_change(runs["4-never"], "client").reason == reasons.GAVE_UP
                and runs["4-never"].state("server") == "ESTABLISHED"
                and runs["4-never"].program("server").call("recv").waits
            ),
            lambda runs: {
                "fins": fins(runs["4-never"])[0],
                "seconds": stayed(runs["4-never"], "client", "FIN-WAIT-1"),
            },
        ),
        Claim(
            N_(
                "Only a segment that it sends itself tells it: its data after {data:.0f} s, or a probe of keep-alive "
                "after {probe:.0f} s. Either is answered with RST, and recv() fails with ECONNRESET."
            ),
            lambda runs: (
                all(
                    errno(runs[name], "server", "recv") == ECONNRESET
                    and len(runs[name].sent(RST, "client")) == 1
                    and runs[name].state("server") == "CLOSED"
                    for name in ("4-never-data", "4-never-keepalive")
                )
                and learned(runs["4-never-keepalive"]) > learned(runs["4-never-data"]) > LATER / SECOND
            ),
            lambda runs: {"data": learned(runs["4-never-data"]), "probe": learned(runs["4-never-keepalive"])},
        ),
        Claim(
            N_(
                "A program that keeps its socket is given more time: after shutdown() the client sends {fins} FINs in "
                "{seconds:.0f} s, as tcp_retries2 says, and recv() fails with ETIMEDOUT."
            ),
            lambda runs: (
                fins(runs["4-never-shutdown"])[0] == 17
                and errno(runs["4-never-shutdown"], "client", "recv") == ETIMEDOUT
            ),
            lambda runs: {
                "fins": fins(runs["4-never-shutdown"])[0],
                "seconds": stayed(runs["4-never-shutdown"], "client", "FIN-WAIT-1"),
            },
        ),
        Claim(
            N_(
                "If 5 never arrives, the client sends its FIN {fins} times, until the server's FIN bears the same "
                "acknowledgment: from FIN-WAIT-1 straight to TIME-WAIT."
            ),
            lambda runs: (
                fins(runs["5-never"]) == (4, 1)
                and "FIN-WAIT-2" not in runs["5-never"].path("client")
                and orderly(runs["5-never"])
            ),
            lambda runs: {"fins": fins(runs["5-never"])[0]},
        ),
        Claim(
            N_(
                "If 6 never arrives, the client leaves FIN-WAIT-2 after {wait:.0f} s, as tcp_fin_timeout says, and the "
                "server gives up in LAST-ACK after {fins} FINs and {seconds:.0f} s. If both only called shutdown(), "
                "FIN-WAIT-2 has no end, and LAST-ACK lasts {longer:.0f} s, as tcp_retries2 says."
            ),
            lambda runs: (
                last_change(runs["6-never"], "client").reason == reasons.FIN_WAIT_2_OVER
                and stayed(runs["6-never"], "client", "FIN-WAIT-2") == 60
                and fins(runs["6-never"]) == (1, 10)
                and last_change(runs["6-never"], "server").reason == reasons.GAVE_UP
                and runs["6-never-shutdown"].state("client") == "FIN-WAIT-2"
                and runs["6-never-shutdown"].program("client").call("recv").waits
                and fins(runs["6-never-shutdown"]) == (1, 17)
            ),
            lambda runs: {
                "wait": stayed(runs["6-never"], "client", "FIN-WAIT-2"),
                "fins": fins(runs["6-never"])[1],
                "seconds": stayed(runs["6-never"], "server", "LAST-ACK"),
                "longer": stayed(runs["6-never-shutdown"], "server", "LAST-ACK"),
            },
        ),
        Claim(
            N_(
                "If 7 never arrives, all {fins} FINs of the server are answered in vain. Each starts two MSL anew, so "
                "that TIME-WAIT lasts {seconds:.0f} s; the server has given up before that."
            ),
            lambda runs: (
                fins(runs["7-never"]) == (1, 10)
                and answered(runs["7-never"], "client") == 10
                and last_change(runs["7-never"], "server").reason == reasons.GAVE_UP
                and stayed(runs["7-never"], "client", "TIME-WAIT") > 110
                and runs["7-never"].when("server", "CLOSED") < runs["7-never"].when("client", "CLOSED")
            ),
            lambda runs: {
                "fins": fins(runs["7-never"])[1],
                "seconds": stayed(runs["7-never"], "client", "TIME-WAIT"),
            },
        ),
    ),
    answer=N_(
        "A FIN is sent again like data: after a time-out, then after twice that, until it is acknowledged or a limit "
        "is reached. A bare ACK is never sent again of itself, since nobody acknowledges it; its loss is found out by "
        "the other end, whose FIN comes again. So every single loss mends itself, and a delay costs a FIN too many. If "
        "something never arrives, each end has its own limit: tcp_orphan_retries in FIN-WAIT-1 and LAST-ACK, "
        "tcp_fin_timeout in FIN-WAIT-2, tcp_retries2 while a program still holds the socket. There is no limit for an "
        "end that waits and sends nothing: it stays ESTABLISHED until it has something to send, or keep-alive asks."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.8.3", "RFC 9293 §3.8.4", "RFC 6298 §5", "RFC 1337 §2", "tcp(7)"),
    tries=(
        Try("C8 --world 6-never --set tcp_fin_timeout=10", N_("The client leaves FIN-WAIT-2 earlier.")),
        Try("C8 --world 4-never --set tcp_orphan_retries=3", N_("The client gives up after a few seconds.")),
        Try("C8 --world 7-late --set tcp_rfc1337=1", N_("The RST no longer ends TIME-WAIT.")),
    ),
    table=table,
)

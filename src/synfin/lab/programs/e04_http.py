"""E4: an HTTP exchange, from the first SYN to CLOSED."""

from __future__ import annotations

from functools import partial
from typing import Final

from synfin.lab.bench import MS, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import DATA, FIN, SYN, Run, Runs
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Scenario, Steps, start
from synfin.wire.tcp import ACK, PSH

HTTP: Final = 80
#: How long programs think, so that segments do not cross.
THINKING: Final = 25 * MS
REQUEST: Final = b"GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n"
COOKIE: Final = b"Cookie: name=Li\r\n"
FLAGS: Final = ((SYN, "SYN"), (FIN, "FIN"), (PSH, "PSH"), (ACK, "ACK"))


def answer(request: bytes) -> bytes:
    """What the server says to a request: it depends on that and on nothing else."""
    name = request.partition(b"Cookie: name=")[2].partition(b"\r\n")[0]
    body = b"Hello, " + (name or b"stranger") + b"!"
    cookie = b"" if name else b"Set-Cookie: name=Li\r\n"
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 200 OK\r\n" + length + cookie + b"Connection: close\r\n\r\n" + body


def server(program: Program) -> Steps[None]:
    listener = program.listening(HTTP)
    while True:
        sock = yield from listener.accept()
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += yield from sock.recv()
        yield from program.sleep(THINKING)
        yield from sock.sendall(answer(request))
        yield from program.sleep(THINKING)
        # Connection: close. The end of the answer is the end of the stream.
        sock.close()


def client(requests: tuple[bytes, ...], program: Program) -> Steps[None]:
    for request in requests:
        sock = yield from program.connected("server", HTTP)
        yield from program.sleep(THINKING)
        yield from sock.sendall(request)
        yield from sock.receive_all()
        sock.close()
        yield from program.sleep(SECOND)


def scenario(*requests: bytes) -> Scenario:
    def build(network: Network) -> list[Program]:
        here, there = pair(network)
        return [start(network, there, server), start(network, here, partial(client, requests))]

    return build


def said(run: Run, host: str, connection: int = 0) -> bytes:
    """The octets that `host` sent, as they stood on the wire."""
    return b"".join(one.segment.payload_bytes() for one in run.sent(DATA, host, connection))


def opening(run: Run) -> list[Transmission]:
    """The segments before the first with data."""
    first = run.sent(DATA)[0].time
    return [one for one in run.sent(connection=0) if one.time < first]


def closing(run: Run) -> list[Transmission]:
    """The segments from the first FIN on."""
    first = run.sent(FIN)[0].time
    return [one for one in run.sent(connection=0) if one.time >= first]


def number(initial: str, relative: int) -> str:
    return f"{initial}+{relative}" if relative else initial


def row(order: int, one: Transmission) -> tuple[str, ...]:
    """A segment: its flags, numbers and text; x and y are the initial numbers of client and server."""
    segment = one.segment
    own, other = ("x", "y") if one.sender.host == "client" else ("y", "x")
    flags = "+".join(name for flag, name in FLAGS if segment.flags & flag)
    ack = number(other, one.receiver.relative(segment.ack)) if segment.flags & ACK else ""
    text = segment.payload_bytes().split(b"\r\n")[0].decode()
    seq = number(own, one.sender.relative(segment.seq))
    return str(order), one.sender.host, flags, seq, ack, str(segment.payload_length), text


def table(runs: Runs) -> Table:
    run = next(iter(runs.values()))
    rows = [row(order, one) for order, one in enumerate(run.sent(connection=0), 1)]
    return Table((N_("segment"), N_("from"), N_("flags"), "seq", "ack", N_("octets"), N_("its first line")), rows)


def adds_up(run: Run) -> bool:
    """Whether each segment begins where the one before it from that host ended, and each last acknowledgment covers
    all that the other host sent."""
    following: dict[str, int] = {}
    acknowledged: dict[str, int] = {}
    for one in run.sent(connection=0):
        host = one.sender.host
        if one.segment.seq != following.get(host, one.segment.seq):
            return False
        following[host] = (one.segment.seq + one.segment.length) % (1 << 32)
        acknowledged[host] = one.segment.ack
    return acknowledged == {"client": following["server"], "server": following["client"]}


EXPERIMENT = Experiment(
    row="E4",
    question=N_("What is on the wire when a browser fetches a page over HTTP?"),
    prediction=N_(
        "A client asks a server for one page, and the connection is closed with the answer. How many segments is that, "
        "which of them have the page in them, which flags, seq and ack has each, and who closes first? And what does "
        "the server still know of the client at the next request?"
    ),
    watch=N_("seq and ack of every segment, from the SYN to the last ACK, and the text in the two that have data."),
    worlds=(
        World("once", N_("One request, one answer"), scenario(REQUEST + b"\r\n")),
        World(
            "again",
            N_("Three requests: the second as the first, the third with the cookie"),
            scenario(REQUEST + b"\r\n", REQUEST + b"\r\n", REQUEST + COOKIE + b"\r\n"),
            picture="none",
        ),
    ),
    claims=(
        Claim(
            N_(
                "{count} segments go over the wire, {data} of them with data: {octets} octets of HTTP. Both ends begin "
                "and end CLOSED."
            ),
            lambda runs: (
                len(runs["once"].sent(DATA)) == 2
                and runs["once"].state("client") == runs["once"].state("server") == "CLOSED"
                and runs["once"].sent()[0].segment.flags == SYN
                and runs["once"].sent()[-1].segment.flags == ACK
            ),
            lambda runs: {
                "count": len(runs["once"].sent()),
                "data": len(runs["once"].sent(DATA)),
                "octets": len(said(runs["once"], "client") + said(runs["once"], "server")),
            },
        ),
        Claim(
            N_(
                "{opening} of them open the connection before any HTTP is sent, and {closing} close it: the client's "
                "FIN goes with its ACK of the server's."
            ),
            lambda runs: (
                [one.messages for one in opening(runs["once"])] == [("1",), ("2",), ("3",)]
                and [(one.sender.host, one.segment.flags & (FIN | ACK)) for one in closing(runs["once"])]
                == [("server", FIN | ACK), ("client", FIN | ACK), ("server", ACK)]
            ),
            lambda runs: {"opening": len(opening(runs["once"])), "closing": len(closing(runs["once"]))},
        ),
        Claim(
            N_(
                "Each segment begins where the one before it from that end has ended, with SYN and FIN counted as one "
                "octet each, and in the end each side has acknowledged all of the other's: x+{client} and y+{server}."
            ),
            lambda runs: adds_up(runs["once"]),
            lambda runs: {
                "client": runs["once"].history.left.relative(runs["once"].sent(host="server")[-1].segment.ack),
                "server": runs["once"].history.right.relative(runs["once"].sent(host="client")[-1].segment.ack),
            },
        ),
        Claim(
            N_('HTTP is sent in clear: whoever sees the segments reads "{request}" and "{answer}".'),
            lambda runs: (
                said(runs["once"], "client") == REQUEST + b"\r\n"
                and said(runs["once"], "server").startswith(b"HTTP/1.1 200 OK\r\n")
                and said(runs["once"], "server").endswith(b"Hello, stranger!")
            ),
            lambda runs: {
                "request": said(runs["once"], "client").split(b"\r\n")[0].decode(),
                "answer": said(runs["once"], "server").split(b"\r\n")[-1].decode(),
            },
        ),
        Claim(
            N_('The server closes first, for with "Connection: close" that ends the answer: TIME-WAIT is its own.'),
            lambda runs: (
                runs["once"].sent(FIN)[0].sender.host == "server"
                and "TIME-WAIT" in runs["once"].path("server")
                and "TIME-WAIT" not in runs["once"].path("client")
            ),
        ),
        Claim(
            N_(
                "HTTP is without state: the same request has the same answer, on another connection with other "
                "numbers, as if the first had never been. Who the client is the server knows only when the client says "
                'so, with its cookie: "{answer}".'
            ),
            lambda runs: (
                said(runs["again"], "server", 0) == said(runs["again"], "server", 1)
                and said(runs["again"], "server", 2).endswith(b"Hello, Li!")
                and len({one.segment.seq for one in runs["again"].sent(SYN)}) == 3
                and len({history.left.port for history in runs["again"].histories}) == 3
            ),
            lambda runs: {"answer": said(runs["again"], "server", 2).split(b"\r\n")[-1].decode()},
        ),
    ),
    answer=N_(
        "Three segments open the connection before a single letter of HTTP is sent, and as many close it. In between "
        "TCP carries text that it does not understand: it numbers the octets and acknowledges them. TCP has state, at "
        "both ends, from SYN to CLOSED; HTTP has none. What shall outlast a request travels with each request, in "
        "clear, where everybody on the way can read and change it: hence TLS, which encrypts the octets but leaves "
        "ports, flags, seq and ack as visible as they are here."
    ),
    clauses=("RFC 9293 §3.4", "RFC 9112 §9.6", "RFC 9110 §3.3"),
    tries=(
        Try("E4 --world once --lose 4", N_("The request is lost: HTTP never learns of it, TCP sends it again.")),
        Try("E4 --world once --lose 6", N_("The answer is lost: the server's TCP repeats it, not the server.")),
    ),
    table=table,
)

"""E3: the sample programs of many textbooks, as printed and corrected."""

from __future__ import annotations

from typing import Final

from synfin import reasons
from synfin.events import StateChanged
from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, FIN, RST, Run
from synfin.sim import Network, Program, Steps, start

GREETING: Final = b"Hello, Client!"
#: The buffers of both programs, in octets.
BUFFER: Final = 1024
#: How long a program takes for what it does between two calls, so that segments do not cross.
MOMENT: Final = 25 * MS
#: How long the corrected client works before it closes: longer than an ACK waits for a FIN to bear it.
WORKING: Final = 100 * MS


def printed_server(program: Program) -> Steps[None]:
    listener = program.socket()
    listener.bind(("", PORT))
    listener.listen(5)
    sock = yield from listener.accept()
    # write(sock, buffer, sizeof(buffer)): the greeting, and all that lies behind it.
    yield from sock.sendall(GREETING.ljust(BUFFER, b"\0"))
    yield from program.sleep(MOMENT)
    sock.close()
    listener.close()


def printed_client(program: Program) -> Steps[None]:
    sock = program.socket()
    yield from sock.connect(("server", PORT))
    # read(sock, buffer, sizeof(buffer) - 1): room for a zero at the end, so one octet stays behind.
    yield from sock.recv(BUFFER - 1)
    yield from program.sleep(2 * MOMENT)
    sock.close()


def corrected_server(program: Program) -> Steps[None]:
    listener = program.socket()
    listener.bind(("", PORT))
    listener.listen(5)
    sock = yield from listener.accept()
    yield from sock.sendall(GREETING)
    yield from program.sleep(MOMENT)
    sock.close()
    listener.close()


def corrected_client(program: Program) -> Steps[None]:
    sock = program.socket()
    yield from sock.connect(("server", PORT))
    # The end of the message is what the server says it is: the end of the stream.
    while (yield from sock.recv(BUFFER - 1)):
        pass
    yield from program.sleep(WORKING)
    sock.close()


def as_printed(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, printed_server), start(network, here, printed_client)]


def corrected(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, corrected_server), start(network, here, corrected_client)]


def received(run: Run) -> bytes:
    """What the client read."""
    results = [call.result for call in run.program("client").calls if call.name == "recv"]
    return b"".join(result for result in results if isinstance(result, bytes))


def output(run: Run) -> str:
    """What the client prints: printf stops at the first zero."""
    return "Message from server: " + received(run).split(b"\0")[0].decode()


def made(run: Run, program: str) -> list[str]:
    """The calls of a program in their order, each once."""
    return list(dict.fromkeys(call.name for call in run.program(program).calls))


def close_messages(run: Run) -> list[tuple[str, int]]:
    """Who sent which of FIN and ACK from the first FIN on."""
    sent = run.sent()
    first = next(number for number, one in enumerate(sent) if one.segment.flags & FIN)
    return [(one.sender.host, one.segment.flags & (FIN | RST | ACK)) for one in sent[first:]]


EXPERIMENT = Experiment(
    row="E3",
    question=N_("Why does the textbook's sample program end with RST?"),
    prediction=N_(
        'The server writes its buffer of 1024 octets, in which "Hello, Client!" stands, and closes. The client reads '
        "at most 1023 octets, prints them and closes. The output is right. How does the connection end?"
    ),
    watch=N_("What follows the client's close, and which end is in TIME-WAIT when all is over."),
    worlds=(
        World("printed", N_("As printed"), as_printed),
        World("corrected", N_("Corrected: only the greeting is written, and the client reads to the end"), corrected),
    ),
    claims=(
        Claim(
            N_('Both clients print "{output}".'),
            lambda runs: {output(run) for run in runs.values()} == {"Message from server: Hello, Client!"},
            lambda runs: {"output": output(runs["printed"])},
        ),
        Claim(
            N_(
                "The calls come in the familiar order: at the server socket, bind, listen, accept, write, close; at "
                "the client socket, connect, read, close. connect() comes back {earlier:g} ms before accept() does."
            ),
            lambda runs: (
                all(
                    made(run, "server") == ["bind", "listen", "accept", "sendall", "close"]
                    and made(run, "client") == ["connect", "recv", "close"]
                    for run in runs.values()
                )
                and (runs["printed"].program("client").call("connect").ended or 0)
                < (runs["printed"].program("server").call("accept").ended or 0)
            ),
            lambda runs: {
                "earlier": (
                    (runs["printed"].program("server").call("accept").ended or 0)
                    - (runs["printed"].program("client").call("connect").ended or 0)
                )
                / MS
            },
        ),
        Claim(
            N_(
                "As printed, {sent} octets arrive, {read} are read, and {left} stays behind. A close with data unread "
                "sends RST instead of FIN, at once."
            ),
            lambda runs: (
                (runs["printed"].program("server").call("sendall").result, len(received(runs["printed"])))
                == (1024, 1023)
                and len(runs["printed"].sent(RST, "client")) == 1
                and not runs["printed"].sent(FIN, "client")
                and runs["printed"].of(StateChanged, "client")[-1].reason is reasons.CLOSED_WITH_DATA_UNREAD
            ),
            lambda runs: {
                "sent": runs["printed"].program("server").call("sendall").result,
                "read": len(received(runs["printed"])),
                "left": 1024 - len(received(runs["printed"])),
            },
        ),
        Claim(
            N_("The server had sent its FIN; the RST throws it into CLOSED, and neither end comes to TIME-WAIT."),
            lambda runs: (
                "FIN-WAIT-1" in runs["printed"].path("server")
                and runs["printed"].state("server") == "CLOSED"
                and all("TIME-WAIT" not in runs["printed"].path(host) for host in ("client", "server"))
                and runs["printed"].of(StateChanged, "server")[-1].reason is reasons.RESET_RECEIVED
            ),
        ),
        Claim(
            N_(
                "Corrected, it closes in four messages: FIN and ACK, FIN and ACK. The server is the active closer, and "
                "waits in TIME-WAIT; the client goes through CLOSE-WAIT and LAST-ACK. There is no RST."
            ),
            lambda runs: (
                close_messages(runs["corrected"])
                == [("server", FIN | ACK), ("client", ACK), ("client", FIN | ACK), ("server", ACK)]
                and runs["corrected"].path("server")[-4:] == ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
                and runs["corrected"].path("client")[-3:] == ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]
            ),
        ),
    ),
    answer=N_(
        "The program confuses its buffer with its message. write(sock, buffer, sizeof(buffer)) sends 1010 zeros behind "
        "the greeting, and read(sock, buffer, sizeof(buffer) - 1) leaves the last of them in the socket. Who closes "
        "with data unread has lost data, and TCP must tell the other end: RST. Here only a zero is lost, so nobody "
        "notices; with more to say it would be the message. Write as much as there is to say, and read until the end "
        "of the stream, which is how this client knows that the message is whole."
    ),
    clauses=("RFC 9293 §3.6.1", "RFC 1122 §4.2.2.13", "RFC 2525 §2.17"),
    tries=(
        Try(
            "E3 --world printed --lose 7",
            N_("The RST is lost. The server sends its FIN again, and the client's host answers with RST anew."),
        ),
        Try(
            "E3 --world corrected --set server:tcp_max_tw_buckets=0",
            N_("A server without TIME-WAIT: it is CLOSED as soon as it has sent the last ACK."),
        ),
    ),
)

"""What socket options do: for each one programs to try it with, what is measured, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.host import socket_option_numbers as names
from synfin.lab.bench import MS, SECOND
from synfin.lab.experiment import N_
from synfin.lab.programs import measuring
from synfin.lab.programs import option_programs as programs
from synfin.lab.programs.effects import Effect, Place, are
from synfin.lab.running import DATA, FIN, RST, Run
from synfin.tcp.info import TcpInfo

# --- what they show


def until(call: str, program: str = "client") -> Callable[[Place, Run], str]:
    """How many seconds that call took."""
    return lambda here, run: measuring.waiting(here, call, program)


def answered(here: Place, run: Run) -> str:
    """Milliseconds from the question to its answer."""
    program = here.programs["client"]
    asked = next(call.began for call in program.calls if call.name == "send")
    return f"{(program.call('recv').began + program.call('recv').lasted - asked) / MS:.0f}"


def last_word(here: Place, run: Run) -> str:
    """How the client ended the connection."""
    if here.sent(run, RST):
        return "RST"
    return "FIN" if here.sent(run, FIN) else N_("nothing")


def octets_sent(here: Place, run: Run) -> str:
    """How many octets of data the client sent."""
    first = here.sent(run, DATA)[0].segment.seq
    return str(max(one.segment.seq + one.segment.payload_length - first for one in here.sent(run, DATA)))


def traffic_class(here: Place, run: Run) -> str:
    return str(measuring.packets(here, run)[0].traffic_class)


def round_trip(here: Place, run: Run) -> str:
    """SRTT in milliseconds, as TCP_INFO told the program."""
    return f"{TcpInfo.unpack(here.noted)['tcpi_rtt'] / 1000:.0f}" if here.noted else "–"


def option(
    name: str,
    setting: str,
    what: str,
    begin: Callable[[Place], None],
    measure: Callable[[Place, Run], str],
    fits: Callable[[str, str], bool],
    *,
    client: tuple[str, ...] = (),
    server: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
) -> Effect:
    return Effect(name, setting, what, begin, measure, fits, client=client, server=server, faults=faults)


#: Nothing arrives any more once the connection is open.
SILENCE: Final = ("partition from 500ms",)
NO_PROBES: Final = ("net.ipv4.tcp_early_retrans=0",)
#: A server that does not acknowledge at once, as it is after a while.
PATIENT: Final = ("synfin.tcp_quick_acks=0",)
TCP: Final = names.IPPROTO_TCP
SOCKET: Final = names.SOL_SOCKET
IP: Final = names.IPPROTO_IP
ON: Final = N_("on")

EFFECTS: Final = (
    # The ladder shows this one.
    option(
        "SO_LINGER",
        "0 s",
        N_("how close() ends the connection"),
        programs.client(programs.closes, programs.linger(0)),
        last_word,
        are("FIN", "RST"),
    ),
    option(
        "SO_LINGER",
        "10 s",
        N_("seconds that close() takes, nothing acknowledged"),
        programs.client(programs.speaks_and_closes, programs.linger(10)),
        until("close"),
        are(0, 10),
        faults=SILENCE,
    ),
    option(
        "SO_RCVTIMEO",
        "3 s",
        N_("seconds that recv() waits for data"),
        programs.client(programs.receives, programs.timeout(names.SO_RCVTIMEO, 3 * SECOND)),
        until("recv"),
        are("for ever", 3),
    ),
    option(
        "SO_RCVTIMEO",
        "3 s",
        N_("seconds that accept() waits for a client"),
        programs.waits_for_nobody(programs.timeout(names.SO_RCVTIMEO, 3 * SECOND)),
        until("accept", "server"),
        are("for ever", 3),
    ),
    option(
        "SO_SNDTIMEO",
        "3 s",
        N_("seconds that sendall() waits for room"),
        programs.client(programs.sends_much, programs.timeout(names.SO_SNDTIMEO, 3 * SECOND)),
        until("sendall"),
        # From the last octet for which there was room.
        lambda one, other: one == "for ever" and 3 <= float(other) < 4,
    ),
    option(
        "SO_SNDTIMEO",
        "3 s",
        N_("seconds that connect() tries"),
        programs.client(programs.nothing, programs.timeout(names.SO_SNDTIMEO, 3 * SECOND)),
        until("connect"),
        are(131, 3),
        faults=("lose SYN",),
    ),
    option(
        "SO_KEEPALIVE",
        ON,
        N_("seconds that recv() waits for a dead peer"),
        programs.client(programs.receives, programs.numbers(SOCKET, names.SO_KEEPALIVE, 1)),
        until("recv"),
        # Two hours, and nine probes 75 s apart.
        are("for ever", 7200 + 9 * 75),
        faults=SILENCE,
    ),
    option(
        "TCP_KEEPIDLE",
        "60 s",
        N_("seconds of silence before the first probe"),
        programs.keeps_alive(programs.numbers(TCP, names.TCP_KEEPIDLE, 60)),
        measuring.silence_before_probe,
        are(7200, 60),
        faults=SILENCE,
    ),
    option(
        "TCP_KEEPINTVL",
        "10 s",
        N_("seconds between two probes"),
        programs.keeps_alive(programs.numbers(TCP, names.TCP_KEEPINTVL, 10)),
        measuring.between_probes,
        are(75, 10),
        faults=SILENCE,
    ),
    option(
        "TCP_KEEPCNT",
        "3",
        N_("unanswered probes until the end"),
        programs.keeps_alive(programs.numbers(TCP, names.TCP_KEEPCNT, 3)),
        lambda here, run: str(len(measuring.probes(here, run))),
        are(9, 3),
        faults=SILENCE,
    ),
    option(
        "SO_REUSEADDR",
        ON,
        N_("bind() to a port that is in TIME-WAIT"),
        programs.starts_again,
        lambda here, run: measuring.outcome(here, "bind", "server"),
        are("EADDRINUSE", "no error"),
    ),
    option(
        "TCP_NODELAY",
        ON,
        N_("milliseconds from a question in two writes to its answer"),
        lambda here: programs.asks_in_two(here, programs.numbers(TCP, names.TCP_NODELAY, 1), at_server=False),
        answered,
        are(80, 20),
        server=PATIENT,
    ),
    option(
        "TCP_QUICKACK",
        ON,
        N_("the same, the option being set where the question arrives"),
        lambda here: programs.asks_in_two(here, programs.numbers(TCP, names.TCP_QUICKACK, 1), at_server=True),
        answered,
        are(80, 40),
        server=PATIENT,
    ),
    option(
        "TCP_CORK",
        ON,
        N_("segments for three small writes"),
        programs.client(programs.writes_in_pieces, programs.numbers(TCP, names.TCP_CORK, 1)),
        measuring.count_of(DATA),
        are(3, 1),
    ),
    option(
        "IP_TTL",
        "5",
        N_("TTL of a packet"),
        programs.client(programs.nothing, programs.numbers(IP, names.IP_TTL, 5)),
        measuring.ttl,
        are(64, 5),
    ),
    option(
        "IP_TOS",
        "16",
        N_("TOS octet of a packet"),
        programs.client(programs.nothing, programs.numbers(IP, names.IP_TOS, 16)),
        traffic_class,
        are(0, 16),
    ),
    option(
        "SO_RCVBUF",
        "8000",
        N_("octets that arrive while nobody reads"),
        programs.server(programs.accepts, programs.numbers(SOCKET, names.SO_RCVBUF, 8000)),
        octets_sent,
        lambda one, other: int(one) > 60_000 and 4000 < int(other) <= 8000,
    ),
    option(
        "SO_SNDBUF",
        "5000",
        N_("octets that send() takes before any is acknowledged"),
        programs.client(programs.sends_once, programs.numbers(SOCKET, names.SO_SNDBUF, 5000)),
        lambda here, run: str(here.programs["client"].call("send").result),
        # Twice what was asked for.
        lambda one, other: int(one) > 20_000 and int(other) == 10_000,
    ),
    option(
        "SO_ERROR",
        N_("asked for"),
        N_("what recv() says of a RST that came before"),
        programs.is_reset,
        lambda here, run: measuring.outcome(here, "recv"),
        are("ECONNRESET", "no error"),
    ),
    option(
        "TCP_MAXSEG",
        "536",
        N_("octets of data in a full segment"),
        programs.sender(programs.numbers(TCP, names.TCP_MAXSEG, 536)),
        measuring.largest_segment,
        # Timestamps take twelve.
        are(1448, 536 - 12),
    ),
    option(
        "TCP_SYNCNT",
        "2",
        N_("seconds until connect() fails, if no SYN arrives"),
        programs.client(programs.nothing, programs.numbers(TCP, names.TCP_SYNCNT, 2)),
        until("connect"),
        are(131, 7),
        faults=("lose SYN",),
    ),
    option(
        "TCP_USER_TIMEOUT",
        "5000 ms",
        N_("seconds until recv() fails, if nothing is acknowledged"),
        programs.client(programs.speaks, programs.numbers(TCP, names.TCP_USER_TIMEOUT, 5000)),
        until("recv"),
        lambda one, other: 900 < float(one) < 1100 and 5 <= float(other) < 6,
        client=NO_PROBES,
        faults=SILENCE,
    ),
    option(
        "TCP_LINGER2",
        "5 s",
        N_("seconds in FIN-WAIT-2 after close()"),
        programs.client(programs.closes, programs.numbers(TCP, names.TCP_LINGER2, 5)),
        measuring.in_state("FIN-WAIT-2"),
        are(60, 5),
    ),
    option(
        "TCP_DEFER_ACCEPT",
        "5 s",
        N_("seconds until accept() returns; the client speaks after 2"),
        programs.server(programs.accepts, programs.numbers(TCP, names.TCP_DEFER_ACCEPT, 5)),
        until("accept", "server"),
        lambda one, other: float(one) < 0.1 and 2 < float(other) < 2.1,
    ),
    option(
        "TCP_CONGESTION",
        "reno",
        N_("share of cwnd that is left after a loss"),
        programs.sender(programs.numbers(TCP, names.TCP_CONGESTION, b"reno")),
        measuring.share_kept,
        are("70 %", "50 %"),
        faults=("lose 60th data",),
    ),
    option(
        "TCP_INFO",
        N_("asked for"),
        N_("milliseconds of a round trip, as the program learns"),
        programs.asks_for_info,
        round_trip,
        are("–", 20),
    ),
)

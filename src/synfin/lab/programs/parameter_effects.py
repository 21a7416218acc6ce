"""What parameters of the kernel do: for each one programs to try it with, what is measured, what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.host.socket_option_numbers import SO_ERROR, SO_KEEPALIVE, SOL_SOCKET
from synfin.lab.bench import MINUTE, MS, SECOND
from synfin.lab.experiment import N_
from synfin.lab.programs import measuring
from synfin.lab.programs.effects import Effect, Place, are, more
from synfin.lab.running import SYN, SYN_ACK, Run
from synfin.sim import Program, Steps

#: How many clients knock where queues are measured.
KNOCKS: Final = 10
#: Octets of a transfer that is timed.
LOAD: Final = 200_000
LARGE_LOAD: Final = 600_000

# --- what the programs do


def connects(here: Place) -> None:
    def body(program: Program) -> Steps[None]:
        yield from here.connected(program)

    here.holds()
    here.client_runs(body)


def connects_and_stays(here: Place) -> None:
    """The client connects and waits for data that never come."""

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from sock.recv()

    here.holds()
    here.client_runs(body)


def sends(here: Place) -> None:
    """The client connects, says something after a second, and waits for an answer."""

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from program.sleep(SECOND)
        sock.send(b"Hello, Server!")
        yield from sock.recv()

    here.holds()
    here.client_runs(body)


def sends_and_looks(here: Place) -> None:
    """The client says something after a second, and then asks for SO_ERROR ten times a second."""

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from program.sleep(SECOND)
        sock.send(b"Hello, Server!")
        while not sock.getsockopt(SOL_SOCKET, SO_ERROR):
            yield from program.sleep(100 * MS)

    here.holds()
    here.client_runs(body)


def closes_alone(here: Place) -> None:
    """The client connects and closes; the server never does."""

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from program.sleep(SECOND)
        sock.close()

    here.holds()
    here.client_runs(body)


def says_and_closes(here: Place) -> None:
    """The client says something after a second and closes at once."""

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from program.sleep(SECOND)
        sock.send(b"Hello, Server!")
        sock.close()

    here.holds()
    here.client_runs(body)


def keeps_alive(here: Place) -> None:
    def body(program: Program) -> Steps[None]:
        sock = program.socket()
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        yield from sock.connect((here.server_address, here.port))
        yield from sock.recv()

    here.holds()
    here.client_runs(body)


def knocks(here: Place) -> None:
    """The server listens and never accepts; many clients try to connect."""

    def server(program: Program) -> Steps[None]:
        program.listening(here.port)
        yield from program.sleep(2 * MINUTE)

    def body(program: Program) -> Steps[None]:
        sock = program.socket()
        yield from sock.connect((here.server_address, here.port))

    here.server_runs(server)
    for _ in range(KNOCKS):
        here.client_runs(body)


def loads_more(here: Place) -> None:
    loads(here, LARGE_LOAD)


def loads(here: Place, load: int = LOAD) -> None:
    """The client sends much, and waits for the server to say that it has all."""

    def server(program: Program) -> Steps[None]:
        listener = program.listening(here.port)
        sock = yield from listener.accept()
        octets = 0
        while octets < load:
            octets += len((yield from sock.recv()))
        sock.close()

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from sock.sendall(bytes(load))
        yield from sock.recv()

    here.server_runs(server)
    here.client_runs(body)


def connects_again(here: Place, times: int, pause: int) -> None:
    """The client connects and closes, several times, with a pause between."""

    def server(program: Program) -> Steps[None]:
        listener = program.listening(here.port)
        while True:
            sock = yield from listener.accept()
            yield from sock.receive_all()
            sock.close()

    def body(program: Program) -> Steps[None]:
        for _ in range(times):
            sock = yield from here.connected(program)
            yield from program.sleep(SECOND)
            sock.close()
            yield from program.sleep(pause)

    here.server_runs(server)
    here.client_runs(body)


# --- what they show


def parameter(
    line: str,
    what: str,
    begin: Callable[[Place], None],
    measure: Callable[[Place, Run], str],
    fits: Callable[[str, str], bool],
    *,
    at_server: bool = False,
    client: tuple[str, ...] = (),
    server: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
    delay: int = 10 * MS,
) -> Effect:
    """What ``sysctl -w line`` does; names are short here, as far as they begin with net.ipv4."""
    full = tuple(each if each.startswith(("net.", "synfin.")) else f"net.ipv4.{each}" for each in (line, *client))
    name, _, value = full[0].partition("=")
    return Effect(name, value, what, begin, measure, fits, full[0], at_server, full[1:], server, faults, delay)


def again_once(here: Place) -> None:
    connects_again(here, 2, 2 * SECOND)


def three_times(here: Place) -> None:
    connects_again(here, 3, SECOND)


#: Nothing arrives any more once the connection is open.
SILENCE: Final = ("partition from 500ms",)
NO_PROBES: Final = ("tcp_early_retrans=0",)

EFFECTS: Final = (
    # The ladder shows this one.
    parameter(
        "tcp_syn_retries=2",
        N_("seconds until connect() fails, if no SYN arrives"),
        connects,
        measuring.until_connect_fails,
        # Four waits of one second come before those that double, if there is time for them.
        are(131, 7),
        faults=("lose SYN",),
    ),
    parameter(
        "tcp_syn_linear_timeouts=1",
        N_("SYNs sent, if none arrives"),
        connects,
        measuring.count_of(SYN),
        are(11, 8),
        faults=("lose SYN",),
    ),
    parameter(
        "tcp_synack_retries=1",
        N_("SYN+ACKs sent, if their ACK never arrives"),
        connects_and_stays,
        measuring.count_of(SYN_ACK, "server"),
        are(6, 2),
        at_server=True,
        faults=("lose ACK from client",),
    ),
    parameter(
        "tcp_max_syn_backlog=4",
        N_("half-open connections kept, of 10"),
        knocks,
        measuring.half_open,
        are(10, 4),
        at_server=True,
        server=("net.ipv4.tcp_syncookies=0",),
        faults=("lose ACK from client",),
    ),
    parameter(
        "net.core.somaxconn=3",
        N_("open connections kept until accept(), of 10"),
        knocks,
        measuring.established,
        are(10, 4),
        at_server=True,
    ),
    parameter(
        "tcp_abort_on_overflow=1",
        N_("what a client hears when the accept queue is full"),
        knocks,
        measuring.answer_to_overflow,
        lambda one, other: (one, other) == ("nothing", "RST"),
        at_server=True,
        server=("net.core.somaxconn=3",),
    ),
    parameter(
        "tcp_retries1=5",
        N_("seconds until SO_ERROR tells that something is wrong"),
        sends_and_looks,
        measuring.told,
        more(2),
        client=NO_PROBES,
        faults=SILENCE,
    ),
    parameter(
        "tcp_retries2=4",
        N_("seconds until recv() fails, if nothing is acknowledged"),
        sends,
        measuring.until_recv_fails,
        lambda one, other: 900 < float(one) < 1100 and 5 < float(other) < 15,
        client=NO_PROBES,
        faults=SILENCE,
    ),
    parameter(
        "tcp_rto_max_ms=5000",
        N_("longest wait between two retransmissions (s)"),
        sends,
        measuring.waits_between,
        are(120, 5),
        client=NO_PROBES,
        faults=SILENCE,
    ),
    parameter(
        "tcp_orphan_retries=2",
        N_("retransmissions after close(), if nobody answers"),
        says_and_closes,
        measuring.times_again,
        lambda one, other: int(one) >= 8 > 3 >= int(other) >= 2,
        client=NO_PROBES,
        faults=SILENCE,
    ),
    parameter(
        "tcp_keepalive_time=60",
        N_("seconds of silence before the first probe"),
        keeps_alive,
        measuring.silence_before_probe,
        are(7200, 60),
        faults=SILENCE,
    ),
    parameter(
        "tcp_keepalive_intvl=10",
        N_("seconds between two probes"),
        keeps_alive,
        measuring.between_probes,
        are(75, 10),
        faults=SILENCE,
    ),
    parameter(
        "tcp_keepalive_probes=3",
        N_("unanswered probes until the end"),
        keeps_alive,
        lambda here, run: str(len(measuring.probes(here, run))),
        are(9, 3),
        faults=SILENCE,
    ),
    parameter(
        "tcp_fin_timeout=5",
        N_("seconds in FIN-WAIT-2 after close()"),
        closes_alone,
        measuring.in_state("FIN-WAIT-2"),
        are(60, 5),
    ),
    parameter(
        "tcp_tw_reuse=1",
        N_("second connect() with one port, 2 s later"),
        again_once,
        measuring.second_connect,
        lambda one, other: (one, other) == ("EADDRNOTAVAIL", "connected"),
        client=("ip_local_port_range=40000 40000",),
    ),
    parameter(
        "tcp_max_tw_buckets=1",
        N_("TIME-WAITs after three closes"),
        three_times,
        measuring.time_waits,
        are(3, 1),
    ),
    parameter(
        "ip_local_port_range=50000 50000",
        N_("port that connect() chooses"),
        connects_and_stays,
        measuring.port_chosen,
        lambda one, other: 32768 <= int(one) <= 60999 and other == "50000",
    ),
    parameter(
        "tcp_window_scaling=0",
        N_("milliseconds for 600 kB over a long path"),
        loads_more,
        measuring.transfer,
        more(1.5),
        delay=100 * MS,
    ),
    parameter(
        "tcp_timestamps=0",
        N_("octets of data in a full segment"),
        loads,
        measuring.largest_segment,
        are(1448, 1460),
    ),
    parameter(
        "tcp_sack=0",
        N_("milliseconds for 200 kB, three segments lost"),
        loads,
        measuring.transfer,
        more(1.05),
        client=("tcp_early_retrans=0",),
        faults=("lose 60th data", "lose 63rd data", "lose 66th data"),
    ),
    parameter(
        "tcp_congestion_control=reno",
        N_("share of cwnd that is left after a loss"),
        loads,
        measuring.share_kept,
        are("70 %", "50 %"),
        faults=("lose 60th data",),
    ),
    parameter(
        "tcp_rmem=4096 16384 65536",
        N_("window in the SYN+ACK"),
        connects_and_stays,
        measuring.window_in_syn,
        lambda one, other: int(one) > 60000 and int(other) < 16384,
        at_server=True,
    ),
    parameter("ip_default_ttl=32", N_("TTL of a packet"), connects_and_stays, measuring.ttl, are(64, 32)),
)

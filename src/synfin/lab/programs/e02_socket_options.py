"""E2: socket options, each shown by its effect."""

from __future__ import annotations

from errno import EAGAIN, EINPROGRESS
from typing import Final

from synfin.lab.bench import SECOND
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.programs.effects import both, fit, named, place, scenario
from synfin.lab.programs.option_effects import EFFECTS
from synfin.lab.running import Runs

#: Long enough for a keep-alive to find out that its peer is dead. What still waits then has nothing to end it.
UNTIL: Final = 10_000 * SECOND


def without(runs: Runs, name: str, number: int = 0) -> str:
    return both(named(EFFECTS, name)[number], runs)[0]


def with_it(runs: Runs, name: str, number: int = 0) -> str:
    return both(named(EFFECTS, name)[number], runs)[1]


def fits(runs: Runs, *names: str) -> bool:
    return fit(EFFECTS, runs, *names)


def error(runs: Runs, name: str, number: int, call: str, program: str = "client") -> int:
    """The errno of that call where the option was set; 0 for none."""
    found = place(runs["with"], named(EFFECTS, name)[number]).outcome(call, program)
    return (found.errno or 0) if found is not None else 0


def table(runs: Runs) -> Table:
    return Table(
        (N_("option"), N_("set to"), N_("what was measured"), N_("without"), N_("with")),
        [(effect.name, effect.setting, effect.measured, *both(effect, runs)) for effect in EFFECTS],
    )


EXPERIMENT = Experiment(
    row="E2",
    question=N_("What does each socket option do, and how can one see it?"),
    prediction=N_(
        "A socket option is a line in a program, and most of them change nothing that the program would notice at "
        "once. For each option in the table: where would you look for its effect, in a call that returns earlier, in "
        "the segments, or only when something goes wrong?"
    ),
    worlds=(
        World("without", N_("Without the options"), scenario(EFFECTS, on=False), until=UNTIL, connections=1),
        World("with", N_("With them, one for each pair"), scenario(EFFECTS, on=True), until=UNTIL, connections=1),
    ),
    watch=N_(
        "The ladders show the first pair: the same close(), without SO_LINGER and with a linger time of 0. The table "
        "has all pairs: the same programs, the same faults, one option more."
    ),
    claims=(
        Claim(
            N_(
                "SO_RCVTIMEO bounds recv() and accept(): {recv} s and {accept} s, then EAGAIN; without it both wait "
                "for ever."
            ),
            lambda runs: (
                fits(runs, "SO_RCVTIMEO")
                and error(runs, "SO_RCVTIMEO", 0, "recv") == error(runs, "SO_RCVTIMEO", 1, "accept", "server") == EAGAIN
            ),
            lambda runs: {"recv": with_it(runs, "SO_RCVTIMEO"), "accept": with_it(runs, "SO_RCVTIMEO", 1)},
        ),
        Claim(
            N_(
                "SO_SNDTIMEO bounds sending and connect(): sendall() fails with EAGAIN after {send} s, connect() with "
                "EINPROGRESS after {connect} s; without it after {long} s."
            ),
            lambda runs: (
                fits(runs, "SO_SNDTIMEO")
                and error(runs, "SO_SNDTIMEO", 0, "sendall") == EAGAIN
                and error(runs, "SO_SNDTIMEO", 1, "connect") == EINPROGRESS
            ),
            lambda runs: {
                "send": with_it(runs, "SO_SNDTIMEO"),
                "connect": with_it(runs, "SO_SNDTIMEO", 1),
                "long": without(runs, "SO_SNDTIMEO", 1),
            },
        ),
        Claim(
            N_(
                "SO_KEEPALIVE: without it recv() waits for a dead peer for ever, with it {seconds} s. TCP_KEEPIDLE, "
                "TCP_KEEPINTVL and TCP_KEEPCNT replace the three numbers behind that: {idle} s, {interval} s and "
                "{count}."
            ),
            lambda runs: fits(runs, "SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"),
            lambda runs: {
                "seconds": with_it(runs, "SO_KEEPALIVE"),
                "idle": with_it(runs, "TCP_KEEPIDLE"),
                "interval": with_it(runs, "TCP_KEEPINTVL"),
                "count": with_it(runs, "TCP_KEEPCNT"),
            },
        ),
        Claim(
            N_(
                "SO_LINGER changes close(): with 0 it sends {rst} in place of {fin}; with 10 s it waits for what was "
                "sent to be acknowledged, here in vain, {seconds} s. Without it close() takes {none} s."
            ),
            lambda runs: fits(runs, "SO_LINGER"),
            lambda runs: {
                "rst": with_it(runs, "SO_LINGER"),
                "fin": without(runs, "SO_LINGER"),
                "seconds": with_it(runs, "SO_LINGER", 1),
                "none": without(runs, "SO_LINGER", 1),
            },
        ),
        Claim(
            N_(
                "SO_REUSEADDR lets a server that starts again have its port back while a connection of before is in "
                "TIME-WAIT; without it bind() fails with {error}."
            ),
            lambda runs: fits(runs, "SO_REUSEADDR"),
            lambda runs: {"error": without(runs, "SO_REUSEADDR")},
        ),
        Claim(
            N_(
                "What goes out when: TCP_NODELAY answers in {nodelay} ms what takes {plain} ms without, TCP_QUICKACK "
                "in {quick} ms; TCP_CORK makes {corked} segment of what would be {loose}."
            ),
            lambda runs: fits(runs, "TCP_NODELAY", "TCP_QUICKACK", "TCP_CORK"),
            lambda runs: {
                "nodelay": with_it(runs, "TCP_NODELAY"),
                "plain": without(runs, "TCP_NODELAY"),
                "quick": with_it(runs, "TCP_QUICKACK"),
                "corked": with_it(runs, "TCP_CORK"),
                "loose": without(runs, "TCP_CORK"),
            },
        ),
        Claim(
            N_(
                "IP_TTL and IP_TOS are in the header of every packet: {ttl} in place of {usual}, {tos} in place of "
                "{none}."
            ),
            lambda runs: fits(runs, "IP_TTL", "IP_TOS"),
            lambda runs: {
                "ttl": with_it(runs, "IP_TTL"),
                "usual": without(runs, "IP_TTL"),
                "tos": with_it(runs, "IP_TOS"),
                "none": without(runs, "IP_TOS"),
            },
        ),
        Claim(
            N_(
                "SO_RCVBUF bounds what may arrive unread: {few} octets in place of {many}. SO_SNDBUF bounds what "
                "send() takes: {taken} octets, twice what was asked for, in place of {usual}."
            ),
            lambda runs: fits(runs, "SO_RCVBUF", "SO_SNDBUF"),
            lambda runs: {
                "few": with_it(runs, "SO_RCVBUF"),
                "many": without(runs, "SO_RCVBUF"),
                "taken": with_it(runs, "SO_SNDBUF"),
                "usual": without(runs, "SO_SNDBUF"),
            },
        ),
        Claim(
            N_(
                "Two options are there to be read: SO_ERROR tells the error and takes it away, so that recv() does "
                "not say {error} any more; TCP_INFO tells what the connection knows, such as a round trip of {rtt} ms."
            ),
            lambda runs: fits(runs, "SO_ERROR", "TCP_INFO"),
            lambda runs: {"error": without(runs, "SO_ERROR"), "rtt": with_it(runs, "TCP_INFO")},
        ),
        Claim(
            N_(
                "Limits for one socket: TCP_SYNCNT gives up connecting after {syncnt} s in place of {syn}, "
                "TCP_USER_TIMEOUT a silent peer after {user} s in place of {retries}, TCP_LINGER2 FIN-WAIT-2 after "
                "{linger} s in place of {fin}."
            ),
            lambda runs: fits(runs, "TCP_SYNCNT", "TCP_USER_TIMEOUT", "TCP_LINGER2"),
            lambda runs: {
                "syncnt": with_it(runs, "TCP_SYNCNT"),
                "syn": without(runs, "TCP_SYNCNT"),
                "user": with_it(runs, "TCP_USER_TIMEOUT"),
                "retries": without(runs, "TCP_USER_TIMEOUT"),
                "linger": with_it(runs, "TCP_LINGER2"),
                "fin": without(runs, "TCP_LINGER2"),
            },
        ),
        Claim(
            N_(
                "And three more: TCP_MAXSEG makes segments of {small} octets in place of {full}, TCP_CONGESTION keeps "
                "{reno} of cwnd after a loss in place of {cubic}, and with TCP_DEFER_ACCEPT accept() returns after "
                "{late} s, when there is something to read."
            ),
            lambda runs: fits(runs, "TCP_MAXSEG", "TCP_CONGESTION", "TCP_DEFER_ACCEPT"),
            lambda runs: {
                "small": with_it(runs, "TCP_MAXSEG"),
                "full": without(runs, "TCP_MAXSEG"),
                "reno": with_it(runs, "TCP_CONGESTION"),
                "cubic": without(runs, "TCP_CONGESTION"),
                "late": with_it(runs, "TCP_DEFER_ACCEPT"),
            },
        ),
    ),
    answer=N_(
        "Some options change how long a call waits, some what a segment looks like or when it leaves, some only what "
        "happens when a peer is silent. An option holds for its own socket and goes before the kernel's parameter of "
        "the same meaning. Set on a listening socket, it is inherited by the connections that are accepted from then "
        "on. Most programs need few: SO_REUSEADDR for a server, TCP_NODELAY for short questions and answers, and some "
        "time-out."
    ),
    clauses=("socket(7)", "tcp(7)", "ip(7)", "RFC 9293 §3.8.3", "RFC 5482 §1"),
    tries=(
        Try(
            "E2 --set tcp_keepalive_time=60",
            N_("The default is smaller now: SO_KEEPALIVE alone finds out sooner."),
        ),
        Try("E2 --set tcp_fin_timeout=10", N_("FIN-WAIT-2 is shorter without TCP_LINGER2; with it nothing changes.")),
    ),
    table=table,
)

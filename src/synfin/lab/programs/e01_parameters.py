"""E1: parameters of the kernel under their Linux names: read, set, and what each one changes."""

from __future__ import annotations

from synfin.host.parameters import PARAMETERS, Parameters, text
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.programs.effects import Effect, both, fit, named, parameters_of, place, scenario
from synfin.lab.programs.parameter_effects import EFFECTS, KNOCKS
from synfin.lab.running import Runs


def before(runs: Runs, name: str) -> str:
    return both(named(EFFECTS, name)[0], runs)[0]


def after(runs: Runs, name: str) -> str:
    return both(named(EFFECTS, name)[0], runs)[1]


def hosts(runs: Runs, effect: Effect) -> tuple[Parameters, Parameters, Parameters]:
    """The parameters of the host concerned in both worlds, and those of its peer in the second."""
    plain, changed = place(runs["without"], effect), place(runs["with"], effect)
    if effect.at_server:
        return plain.server.parameters, changed.server.parameters, changed.client.parameters
    return plain.client.parameters, changed.client.parameters, changed.server.parameters


def read_and_set(runs: Runs) -> bool:
    """Whether each was read as its default, and then as what was set."""
    for effect in EFFECTS:
        plain, changed, _ = hosts(runs, effect)
        shown = text(changed.get(effect.name)).replace("\t", " ")
        if plain.get(effect.name) != PARAMETERS[effect.name].default or shown != effect.setting:
            return False
    return True


def only_there(runs: Runs) -> bool:
    """Whether each peer still has the default."""
    return all(hosts(runs, effect)[2].get(effect.name) == PARAMETERS[effect.name].default for effect in EFFECTS)


def refused(line: str) -> bool:
    """Whether ``sysctl -w line`` is refused."""
    try:
        parameters_of([line])
    except (KeyError, ValueError):
        return True
    return False


def table(runs: Runs) -> Table:
    found = []
    for effect in EFFECTS:
        default = text(PARAMETERS[effect.name].default).replace("\t", " ")
        found.append(
            (
                effect.name.removeprefix("net.ipv4."),
                default,
                effect.setting,
                effect.measured,
                *both(effect, runs),
            )
        )
    return Table(
        (N_("parameter"), N_("default"), N_("set to"), N_("what was measured"), N_("before"), N_("after")), found
    )


EXPERIMENT = Experiment(
    row="E1",
    question=N_("How does one set a parameter of the kernel, and what does it really change?"),
    prediction=N_(
        "A text tells you to run sysctl -w net.ipv4.tcp_fin_timeout=5, or some other such line. For each parameter in "
        "the table: what will be shorter, fewer or different afterwards, and on which of the two hosts must it be set?"
    ),
    worlds=(
        World("without", N_("Everything as it is by default"), scenario(EFFECTS, on=False), connections=1),
        World(
            "with",
            N_("After sysctl -w, one parameter for each pair of hosts"),
            scenario(EFFECTS, on=True),
            connections=1,
        ),
    ),
    watch=N_(
        "The ladders show the first pair only: a SYN that nobody answers, with tcp_syn_retries as it is and as it was "
        "set. The table has all pairs: the same programs, the same faults, one parameter changed. net.ipv4. stands "
        "before all names but one."
    ),
    claims=(
        Claim(
            N_(
                "All {count} parameters are read and set by their Linux names, as sysctl {name} and sysctl -w "
                "{name}={value} do; before that each has its default."
            ),
            read_and_set,
            lambda runs: {"count": len(EFFECTS), "name": EFFECTS[0].name, "value": EFFECTS[0].setting},
        ),
        Claim(
            N_("A name that there is not and a value that does not fit are refused."),
            lambda runs: refused("net.ipv4.tcp_sin_retries=2") and refused("net.ipv4.tcp_syn_retries=0"),
        ),
        Claim(N_("What is set holds for the host on which it was set; its peer keeps the default."), only_there),
        Claim(
            N_(
                "Opening: with nobody there connect() fails after {before} s, and after {after} s with "
                "tcp_syn_retries=2. tcp_synack_retries=1 leaves {synacks} SYN+ACKs in place of {before_synacks}: both "
                "count repetitions, not the first one."
            ),
            lambda runs: fit(EFFECTS, runs, "tcp_syn_retries", "tcp_syn_linear_timeouts", "tcp_synack_retries"),
            lambda runs: {
                "before": before(runs, "tcp_syn_retries"),
                "after": after(runs, "tcp_syn_retries"),
                "synacks": after(runs, "tcp_synack_retries"),
                "before_synacks": before(runs, "tcp_synack_retries"),
            },
        ),
        Claim(
            N_(
                "Queues: tcp_max_syn_backlog=4 keeps {half} of {all} half-open connections. somaxconn=3 keeps {open} "
                "open ones, one more than it says, whatever listen() asked for."
            ),
            lambda runs: fit(EFFECTS, runs, "tcp_max_syn_backlog", "somaxconn", "tcp_abort_on_overflow"),
            lambda runs: {
                "half": after(runs, "tcp_max_syn_backlog"),
                "all": KNOCKS,
                "open": after(runs, "somaxconn"),
            },
        ),
        Claim(
            N_(
                "Silence with data unacknowledged: tcp_retries2 ends it after {long} s, or {short} s with 4; "
                "tcp_retries1 only lets the program learn of it, and tcp_rto_max_ms bounds the wait between two "
                "repetitions."
            ),
            lambda runs: fit(EFFECTS, runs, "tcp_retries1", "tcp_retries2", "tcp_rto_max_ms", "tcp_orphan_retries"),
            lambda runs: {"long": before(runs, "tcp_retries2"), "short": after(runs, "tcp_retries2")},
        ),
        Claim(
            N_(
                "Silence without data: keep-alive begins after {time} s, asks every {interval} s, and gives up after "
                "{probes} probes; each of the three numbers is a parameter, and each did what it says."
            ),
            lambda runs: fit(EFFECTS, runs, "tcp_keepalive_time", "tcp_keepalive_intvl", "tcp_keepalive_probes"),
            lambda runs: {
                "time": before(runs, "tcp_keepalive_time"),
                "interval": before(runs, "tcp_keepalive_intvl"),
                "probes": before(runs, "tcp_keepalive_probes"),
            },
        ),
        Claim(
            N_(
                "Closing: tcp_fin_timeout bounds FIN-WAIT-2 ({before} s, then {after} s), not TIME-WAIT. "
                "tcp_max_tw_buckets=1 keeps {kept} TIME-WAIT of {all}; tcp_tw_reuse=1 lets connect() take a port that "
                "waits, where it fails with {error} by default."
            ),
            lambda runs: fit(EFFECTS, runs, "tcp_fin_timeout", "tcp_max_tw_buckets", "tcp_tw_reuse"),
            lambda runs: {
                "before": before(runs, "tcp_fin_timeout"),
                "after": after(runs, "tcp_fin_timeout"),
                "kept": after(runs, "tcp_max_tw_buckets"),
                "all": before(runs, "tcp_max_tw_buckets"),
                "error": before(runs, "tcp_tw_reuse"),
            },
        ),
        Claim(
            N_(
                "Options of the SYN: without window scaling the transfer takes {scaled} ms in place of {plain}; "
                "without SACK {sack} ms in place of {with_sack}; without timestamps a segment has room for {octets} "
                "octets in place of {fewer}."
            ),
            lambda runs: fit(EFFECTS, runs, "tcp_window_scaling", "tcp_sack", "tcp_timestamps"),
            lambda runs: {
                "scaled": after(runs, "tcp_window_scaling"),
                "plain": before(runs, "tcp_window_scaling"),
                "sack": after(runs, "tcp_sack"),
                "with_sack": before(runs, "tcp_sack"),
                "octets": after(runs, "tcp_timestamps"),
                "fewer": before(runs, "tcp_timestamps"),
            },
        ),
        Claim(
            N_(
                "And the rest: with ip_local_port_range 50000 50000 the port is {port}; CUBIC keeps {cubic} of its "
                "window after a loss, reno {reno}; a small tcp_rmem offers a window of {window} octets."
            ),
            lambda runs: fit(
                EFFECTS, runs, "ip_local_port_range", "tcp_congestion_control", "tcp_rmem", "ip_default_ttl"
            ),
            lambda runs: {
                "port": after(runs, "ip_local_port_range"),
                "cubic": before(runs, "tcp_congestion_control"),
                "reno": after(runs, "tcp_congestion_control"),
                "window": after(runs, "tcp_rmem"),
            },
        ),
    ),
    answer=N_(
        "It changes one number in the rules of one host, for what happens there from then on. It says nothing to the "
        "peer, does not reach what a socket option has set, and often not what its name suggests: tcp_fin_timeout is "
        "no TIME-WAIT, tcp_syn_retries no number of SYNs. So read what it means, change it, and measure; here that "
        "costs a second. synfin sysctl lists all parameters, and synfin sysctl --explain says what each means."
    ),
    clauses=("RFC 9293 §3.8.3", "RFC 9293 §3.8.4", "RFC 6298 §5", "sysctl(8)", "tcp(7)"),
    tries=(
        Try(
            "E1 --set tcp_keepalive_time=600", N_("Set it for all hosts in both worlds: the table's row has 600 twice.")
        ),
        Try(
            "E1 --set synfin.tcp_timewait_len=1",
            N_("A short TIME-WAIT, which is no sysctl on Linux: the port is free in time."),
        ),
    ),
    table=table,
)

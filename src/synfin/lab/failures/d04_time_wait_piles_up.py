"""D4: TIME-WAIT piles up until no port is left, and what helps."""

from __future__ import annotations

from errno import EADDRNOTAVAIL

from synfin.events import StateChanged, UserCalled
from synfin.lab.bench import MINUTE, PORT, SECOND
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.failures.time_wait_programs import ASKED, OTHER, QUESTIONS, Remedy, scenario, with_a_pool
from synfin.lab.running import DATA, SYN, Run, Runs


def answered(run: Run) -> int:
    """How many questions were answered, before any TIME-WAIT of 60 s had ended."""
    return sum(time < ASKED / SECOND for time in run.times(DATA, "server"))


def connections(run: Run) -> int:
    """How many connections that took."""
    return sum(time < ASKED / SECOND for time in run.times(SYN, "client"))


def most_at_once(changes: list[int]) -> int:
    height = highest = 0
    for change in changes:
        height += change
        highest = max(height, highest)
    return highest


def time_waits(run: Run, host: str) -> int:
    """The most that were in TIME-WAIT at once on that host."""
    changes = [(one.new == "TIME-WAIT") - (one.old == "TIME-WAIT") for one in run.of(StateChanged, host)]
    return most_at_once(changes)


def descriptors(run: Run) -> int:
    """The most sockets that the client's programs had open at once."""
    return most_at_once([(one.call == "OPEN") - (one.call == "CLOSE") for one in run.of(UserCalled, "client")])


def guards(run: Run) -> list[float]:
    """How long each TIME-WAIT kept its pair of ends for itself, in seconds."""
    began: dict[tuple[str, bytes], int] = {}
    found = []
    for one in run.of(StateChanged):
        if one.new == "TIME-WAIT":
            began[one.host, one.flow] = one.time
        elif one.old == "TIME-WAIT":
            found.append((one.time - began[one.host, one.flow]) / SECOND)
    return found


def failure(run: Run) -> float:
    """When connect first failed for want of a port, in seconds. Raises LookupError if it never did."""
    for call in run.program("client").calls:
        if call.name == "connect" and call.error is not None and call.error.errno == EADDRNOTAVAIL:
            return call.began / SECOND
    raise LookupError("connect never failed")


#: What is said of each world: its name in the table, and what it costs.
REMEDIES = {
    "none": (N_("no remedy"), ""),
    "shorter": (N_("1 s of waiting"), N_("protects for 1 s")),
    "reuse_address": ("SO_REUSEADDR", N_("only bind() profits")),
    "pool": (N_("pool of two"), N_("idle sockets")),
    "longer": (N_("8 questions each"), N_("sockets kept open")),
    "descriptors": (N_("more descriptors"), N_("nothing is freed")),
    "tw_reuse": ("tcp_tw_reuse", N_("timestamps protect")),
    "ports": (N_("100 ports"), N_("more TIME-WAITs")),
    "buckets": (N_("4 buckets"), N_("no protection")),
    "services": (N_("2 destinations"), N_("a second service")),
    "server_first": (N_("server first"), N_("server's TIME-WAITs")),
}


def effect(run: Run) -> str:
    """Whether it goes on for ever, or ports run out later, as none has come back yet; or whether it changes nothing."""
    if answered(run) == 8:
        return N_("useless")
    piles_up = time_waits(run, "client") == connections(run)
    return N_("postpones") if piles_up else N_("helps")


def table(runs: Runs) -> Table:
    rows = []
    for name, (remedy, cost) in REMEDIES.items():
        if name in runs:
            run = runs[name]
            figures = answered(run), connections(run), time_waits(run, "client"), descriptors(run), min(guards(run))
            rows.append((remedy, effect(run), *(f"{figure:g}" for figure in figures), cost))
    head = (
        N_("remedy"),
        N_("effect"),
        N_("answered"),
        N_("opened"),
        N_("TIME-WAITs"),
        N_("sockets"),
        N_("guard (s)"),
        N_("what it costs"),
    )
    return Table(head, rows)


EXPERIMENT = Experiment(
    row="D4",
    question=N_("What happens when TIME-WAIT piles up, and what helps?"),
    prediction=N_(
        "A client may choose among eight ports. Five times a second it connects, asks, hears the answer and closes. "
        "Which call fails, when, and with which error? Which of these help: a shorter wait, SO_REUSEADDR, a connection "
        "pool, longer connections, a higher limit of descriptors, tcp_tw_reuse, more ports, tcp_max_tw_buckets?"
    ),
    watch=N_(
        "How many of the 24 questions each world answers, over how many connections, and for how long each closed "
        "connection keeps its pair of ends for itself: that is what some remedies give away."
    ),
    worlds=(
        World("none", N_("Eight ports, TIME-WAIT of 60 s, nothing is done"), scenario(Remedy()), connections=1),
        World(
            "shorter",
            N_("A shorter wait: 1 s (on Linux a constant)"),
            scenario(Remedy({"synfin.tcp_timewait_len": "1"})),
            picture="none",
        ),
        World(
            "reuse_address",
            N_("SO_REUSEADDR on every socket; at the end bind() to a port in TIME-WAIT"),
            scenario(Remedy(reuse_address=True)),
            picture="none",
        ),
        World("pool", N_("A pool of two connections, for three workers"), with_a_pool, picture="none"),
        World("longer", N_("Eight questions on each connection"), scenario(Remedy(questions_each=8)), picture="none"),
        World(
            "descriptors",
            N_("A limit of 1000 descriptors, kept by the program; elsewhere it is 4"),
            scenario(Remedy(descriptors=1000)),
            picture="none",
        ),
        World(
            "tw_reuse",
            N_("connect() may take ports out of TIME-WAIT: tcp_tw_reuse=1"),
            scenario(Remedy({"net.ipv4.tcp_tw_reuse": "1"})),
            picture="none",
        ),
        World(
            "ports",
            N_("A larger ip_local_port_range: 100 ports"),
            scenario(Remedy({"net.ipv4.ip_local_port_range": "40000 40099"})),
            picture="none",
        ),
        World(
            "buckets",
            N_("At most four TIME-WAITs: tcp_max_tw_buckets=4"),
            scenario(Remedy({"net.ipv4.tcp_max_tw_buckets": "4"})),
            picture="none",
        ),
        World(
            "services",
            N_("Two destinations, asked in turn"),
            scenario(Remedy(services=(PORT, OTHER))),
            picture="none",
        ),
        World("server_first", N_("Here the server closes first"), scenario(Remedy(server_closes=True)), picture="none"),
    ),
    claims=(
        Claim(
            N_(
                "After {count} connections, {seconds:g} s from the start, connect() fails with EADDRNOTAVAIL: each of "
                "the ports waits in TIME-WAIT. No segment leaves for it."
            ),
            lambda runs: (
                answered(runs["none"]) == time_waits(runs["none"], "client") == 8
                and failure(runs["none"]) < 2
                and len(runs["none"].sent(SYN)) == 9
            ),
            lambda runs: {"count": connections(runs["none"]), "seconds": failure(runs["none"])},
        ),
        Claim(
            N_("When 2MSL are over the ports come back: a minute later connect() succeeds."),
            lambda runs: (
                runs["none"].program("client").error is None
                and runs["none"].times(SYN)[-1] - failure(runs["none"]) == MINUTE / SECOND
                and min(guards(runs["none"])) == 60
            ),
        ),
        Claim(
            N_("Only the end that closes first has them: at most {client} at the client, {server} at the server."),
            lambda runs: time_waits(runs["none"], "client") == 8 and time_waits(runs["none"], "server") == 0,
            lambda runs: {
                "client": time_waits(runs["none"], "client"),
                "server": time_waits(runs["none"], "server"),
            },
        ),
        Claim(
            N_(
                "If the server closes first, all questions are answered. Its TIME-WAITs hold no port that anybody "
                "needs, and a SYN with a later timestamp ends one before its time, after {seconds:g} s here."
            ),
            lambda runs: (
                answered(runs["server_first"]) == QUESTIONS
                and time_waits(runs["server_first"], "client") == 0
                and min(guards(runs["server_first"])) < 60
            ),
            lambda runs: {"seconds": min(guards(runs["server_first"]))},
        ),
        Claim(
            N_(
                "The limit is per destination, which is an address and a port: two services of the same server are "
                "reached {count} times before ports run out, and from the same local ports."
            ),
            lambda runs: (
                answered(runs["services"]) == 2 * answered(runs["none"])
                and len({one.segment.source_port for one in runs["services"].sent(SYN)}) == 8
            ),
            lambda runs: {"count": answered(runs["services"])},
        ),
        Claim(
            N_(
                "A pool of two answers everything over {count} connections, two of which replace those that the server "
                "had closed; the client has no TIME-WAIT until it closes the pool. Eight questions on each connection "
                "need {longer} connections: ports last eight times as long."
            ),
            lambda runs: (
                answered(runs["pool"]) == answered(runs["longer"]) == QUESTIONS
                and (connections(runs["pool"]), connections(runs["longer"])) == (4, 3)
                and descriptors(runs["pool"]) == 2
                and runs["pool"].when("client", "TIME-WAIT", 2) >= ASKED
            ),
            lambda runs: {"count": connections(runs["pool"]), "longer": connections(runs["longer"])},
        ),
        Claim(
            N_(
                "SO_REUSEADDR changes nothing for connect(): it fails at the same place. It lets the program bind() to "
                "a port in TIME-WAIT of its own choice, and from there even connect(), because both ends have "
                "timestamps, which tell old segments from new ones."
            ),
            lambda runs: (
                answered(runs["reuse_address"]) == answered(runs["none"])
                and failure(runs["reuse_address"]) == failure(runs["none"])
                and runs["reuse_address"].program("client").call("bind").error is None
                and all(one.segment.options.ts_val is not None for one in runs["reuse_address"].sent(SYN))
            ),
        ),
        Claim(
            N_(
                "A limit of 1000 descriptors instead of 4 changes nothing: the client never has more than {count} at "
                "once, and {waits} TIME-WAITs hold none."
            ),
            lambda runs: (
                answered(runs["descriptors"]) == answered(runs["none"])
                and failure(runs["descriptors"]) == failure(runs["none"])
                and descriptors(runs["none"]) == 1
            ),
            lambda runs: {"count": descriptors(runs["none"]), "waits": time_waits(runs["none"], "client")},
        ),
        Claim(
            N_("A wait of 1 s is enough here, as no more than {count} of them overlap; each protects for 1 s only."),
            lambda runs: (
                answered(runs["shorter"]) == QUESTIONS
                and time_waits(runs["shorter"], "client") < 8
                and set(guards(runs["shorter"])) == {1.0}
            ),
            lambda runs: {"count": time_waits(runs["shorter"], "client")},
        ),
        Claim(
            N_(
                "With tcp_tw_reuse=1 connect() takes ports out of TIME-WAIT, once they have been there for longer than "
                "a second: the youngest after {seconds:g} s."
            ),
            lambda runs: answered(runs["tw_reuse"]) == QUESTIONS and 1 < min(guards(runs["tw_reuse"])) < 60,
            lambda runs: {"seconds": min(guards(runs["tw_reuse"]))},
        ),
        Claim(
            N_("With 100 ports everything is answered, and {count} TIME-WAITs pile up: the end comes later."),
            lambda runs: (
                answered(runs["ports"]) == QUESTIONS == time_waits(runs["ports"], "client")
                and set(guards(runs["ports"])) == {60.0}
            ),
            lambda runs: {"count": time_waits(runs["ports"], "client")},
        ),
        Claim(
            N_(
                "With tcp_max_tw_buckets=4 everything is answered, and {count} connections of 24 end without any wait; "
                "the counter TCPTimeWaitOverflow says so."
            ),
            lambda runs: (
                answered(runs["buckets"]) == QUESTIONS
                and guards(runs["buckets"]).count(0) == 20
                and runs["buckets"].node("client").host.counters["TcpExtTCPTimeWaitOverflow"] == 20
            ),
            lambda runs: {"count": guards(runs["buckets"]).count(0)},
        ),
    ),
    answer=N_(
        "TIME-WAIT holds neither a socket nor a descriptor, only the pair of ends. So what runs out is ports, at the "
        "side that connects and closes first, towards one destination: eight ports and 60 s allow eight connections a "
        "minute, Linux's 28232 some 470 a second. First make fewer connections, with a pool or longer ones: that gives "
        "no protection away. More ports, or more destinations, buy a higher rate. tcp_tw_reuse is safe where both ends "
        "have timestamps. A shorter wait and tcp_max_tw_buckets help by giving up what TIME-WAIT is for (see C9 and "
        "C10). SO_REUSEADDR and ulimit -n, which are often named, do not help here."
    ),
    clauses=("RFC 9293 §3.6.1", "RFC 6191 §2", "RFC 1337 §3", "ip(7)", "tcp(7)", "socket(7)"),
    tries=(
        Try(
            "D4 --world tw_reuse --set client:tcp_timestamps=0",
            N_("Without timestamps tcp_tw_reuse does not help: nothing would tell old segments from new ones."),
        ),
        Try(
            "D4 --world reuse_address --set client:tcp_timestamps=0",
            N_(
                "Now bind() still succeeds, and connect() from that port fails with EADDRNOTAVAIL: the pair is guarded."
            ),
        ),
        Try(
            "D4 --world none --set client:ip_local_port_range='40000 40015'",
            N_("Twice as many ports: it fails later, after sixteen connections."),
        ),
        Try("D4 --world none --set client:tcp_max_tw_buckets=0", N_("No TIME-WAIT at all: one port would do.")),
    ),
    table=table,
)

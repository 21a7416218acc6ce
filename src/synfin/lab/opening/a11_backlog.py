"""A11: listen(backlog), and what happens when the queue of half-open or of complete connections is full."""

from __future__ import annotations

from collections.abc import Mapping
from errno import ECONNRESET
from functools import partial
from types import MappingProxyType

from synfin.events import StateChanged
from synfin.host import profiles
from synfin.lab.bench import CLIENT, DELAY, HOUR, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.opening.holdings import forgotten
from synfin.lab.running import ACK, RST, SYN, SYN_ACK, Run, Runs
from synfin.sim import Network, Program, Steps, start


def server(program: Program, backlog: int, accepts_at: int) -> Steps[None]:
    """Listens, and accepts nobody before the time `accepts_at` (nanoseconds); from then on all."""
    listener = program.listening(PORT, backlog)
    yield from program.sleep(accepts_at)
    while True:
        yield from listener.accept()


def client(program: Program, at: int) -> Steps[None]:
    """Connects at the time `at` (nanoseconds), and waits for what the server says, which is nothing."""
    yield from program.sleep(at)
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()


def stranger(program: Program) -> Steps[None]:
    """Sends a SYN; by the time of the answer its host is gone."""
    yield from program.connected("server", PORT)


def scenario(
    network: Network,
    profile: str = "linux",
    settings: Mapping[str, str] = MappingProxyType({}),
    strangers: int = 0,
    clients: tuple[int, ...] = (),
    backlog: int = 128,
    accepts_at: int = 0,
) -> list[Program]:
    """Clients that begin at the times `clients` (nanoseconds), all on one host; strangers that begin at once."""
    parameters = profiles.parameters(profile)
    for name, value in settings.items():
        parameters.set(name, value)
    here, there = network.host("client", profiles.parameters(profile)), network.host("server", parameters)
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    programs = [start(network, there, partial(server, backlog=backlog, accepts_at=accepts_at))]
    if strangers:
        far = network.host("stranger")
        network.wire(far, "10.0.9.1/24", there, "10.0.9.2/24", delay=DELAY)
        for _ in range(strangers):
            start(network, far, stranger)
        network.at(DELAY + MS, far.power_off)
    names = ["client"] if len(clients) == 1 else [f"client {number}" for number in range(1, len(clients) + 1)]
    for name, at in zip(names, clients, strict=True):
        programs.append(start(network, here, partial(client, at=at), name))
    return programs


def full(name: str, title: str, cookies: str, most: int = 1024, backlog: int = 128) -> World:
    """The SYN queue has room for one, because of `most` or of `backlog`, and a stranger has it."""
    ours = {
        "net.ipv4.tcp_max_syn_backlog": str(most),
        "net.ipv4.tcp_synack_retries": "1",
        "net.ipv4.tcp_syncookies": cookies,
    }
    return World(name, title, partial(scenario, settings=ours, strangers=1, clients=(500 * MS,), backlog=backlog))


def late(name: str, title: str, abort: str) -> World:
    """While the first client's ACK is on its way, three others take all the room."""
    return World(
        name,
        title,
        partial(
            scenario,
            settings={"net.ipv4.tcp_abort_on_overflow": abort},
            clients=(0, 50 * MS, 100 * MS, 150 * MS),
            backlog=2,
            accepts_at=2 * SECOND,
        ),
        ("delay 1st ACK by 300ms from client",),
        connections=1,
    )


def of_profile(name: str, title: str) -> World:
    """One stranger, and five clients; nobody accepts."""
    clients = tuple(number * 100 * MS for number in range(1, 6))
    rest = partial(scenario, profile=name, strangers=1, clients=clients, backlog=2, accepts_at=HOUR)
    return World(name, title, rest, until=HOUR - SECOND, picture="none")


def full_of_profile(name: str, title: str) -> World:
    """The SYN queue has room for one, and a stranger has it; SYN cookies as the profile has them."""
    rest = partial(
        scenario,
        profile=name,
        settings={"net.ipv4.tcp_max_syn_backlog": "1"},
        strangers=1,
        clients=(500 * MS,),
    )
    return World(f"{name}-syn", title, rest, picture="none")


def client_of(run: Run, number: int) -> Program:
    return run.program(f"client {number}")


def held(run: Run) -> int:
    """How many connections were complete at the server before it accepted any."""
    calls = [call for call in run.program("server").calls if call.name == "accept"]
    first = calls[0].began if calls else run.end
    return sum(change.new == "ESTABLISHED" and change.time < first for change in run.of(StateChanged, "server"))


def waited(run: Run) -> float:
    """Seconds until connect() failed, for those whom nobody answered."""
    lasted = {
        call.lasted for program in run.programs for call in program.calls if call.name == "connect" and call.error
    }
    (only,) = lasted
    return only / 1e9


def kept(run: Run) -> float:
    """Seconds that the server kept the stranger's request."""
    return (forgotten(run) - run.when("server", "SYN-RECEIVED")) / 1e9


def connected(run: Run) -> int:
    """Nanoseconds that the only client's connect() took. Raises ValueError if it failed."""
    call = run.program("client").call("connect")
    if call.waits or call.error is not None:
        raise ValueError("connect() failed")
    return call.lasted


def table(runs: Runs) -> Table:
    head = (
        N_("profile"),
        N_("complete with a backlog of 2"),
        N_("connect() of the others fails after"),
        N_("a half-open one is forgotten after"),
        N_("connect() with the SYN queue full"),
    )
    rows = [
        (
            name,
            str(held(runs[name])),
            f"{waited(runs[name]):g} s",
            f"{kept(runs[name]):g} s",
            f"{connected(runs[f'{name}-syn']) / MS:g} ms",
        )
        for name in PROFILES
    ]
    return Table(head, rows)


PROFILES = ("linux", "freebsd", "rfc")

EXPERIMENT = Experiment(
    row="A11",
    question=N_("What does listen(backlog) bound, and what happens when a queue is full?"),
    prediction=N_(
        "Half-open connections wait in the SYN queue for their third message, complete ones in the accept queue for "
        "accept(). A server calls listen(1) and does not accept: how many clients are connected? What does the next "
        "one see, and does it matter whether its SYN or its last ACK finds the queue full?"
    ),
    worlds=(
        World(
            "accept-queue",
            N_("Accept queue full: listen(1), three clients, nobody accepts for 3 s"),
            partial(scenario, clients=(0, 100 * MS, 200 * MS), backlog=1, accepts_at=3 * SECOND),
            connections=3,
        ),
        of_profile("linux", N_("Profile linux: five clients, a backlog of 2, nobody ever accepts")),
        of_profile("freebsd", N_("Profile freebsd: the same")),
        of_profile("rfc", N_("Profile rfc: the same")),
        late("last-ack", N_("Accept queue full when the last ACK arrives: listen(2), four clients"), "0"),
        late("abort", N_("The same, with tcp_abort_on_overflow"), "1"),
        full(
            "syn-queue",
            N_("SYN queue full, no SYN cookies: listen(0), and a stranger has the one place"),
            "0",
            backlog=0,
        ),
        full("cookies", N_("SYN queue full (tcp_max_syn_backlog = 1), with SYN cookies"), "1", most=1),
        full_of_profile("linux", N_("Profile linux: SYN queue full, SYN cookies as they come")),
        full_of_profile("freebsd", N_("Profile freebsd: the same, SYN queue full")),
        full_of_profile("rfc", N_("Profile rfc: the same, SYN queue full")),
    ),
    watch=N_(
        "Which segments the server leaves without an answer, and what the client takes the connection for meanwhile."
    ),
    claims=(
        Claim(
            N_(
                "listen(1) holds {held} complete connections, one more than the backlog; connect() came back for each "
                "of them long before the first accept()."
            ),
            lambda runs: (
                held(runs["accept-queue"]) == 2
                and all(
                    client_of(runs["accept-queue"], number).call("connect").lasted == 2 * DELAY for number in (1, 2)
                )
            ),
            lambda runs: {"held": held(runs["accept-queue"])},
        ),
        Claim(
            N_(
                "The third client's SYN is dropped without a word. Its {syns} SYNs look like lost ones to it, and "
                "connect() takes {seconds:.2f} s: the first SYN after accept() made room is answered."
            ),
            lambda runs: (
                len(runs["accept-queue"].sent(SYN, connection=2)) == 4
                and not runs["accept-queue"].sent(RST)
                and runs["accept-queue"].times(SYN_ACK, connection=2)[0] > 3
                and client_of(runs["accept-queue"], 3).call("connect").error is None
            ),
            lambda runs: {
                "syns": len(runs["accept-queue"].sent(SYN, connection=2)),
                "seconds": client_of(runs["accept-queue"], 3).call("connect").lasted / 1e9,
            },
        ),
        Claim(
            N_(
                "If it is the last ACK that finds the queue full, the ACK is dropped: the client is ESTABLISHED, the "
                "server stays SYN-RECEIVED and repeats its SYN+ACK until, {seconds:.0f} s later, the answer finds room."
            ),
            lambda runs: (
                client_of(runs["last-ack"], 1).call("connect").lasted == 2 * DELAY
                and len(runs["last-ack"].sent(SYN_ACK, connection=0)) == 3
                and len(runs["last-ack"].sent(ACK, "client", connection=0)) == 3
                and runs["last-ack"].when("server", "ESTABLISHED") > 2 * SECOND
            ),
            lambda runs: {
                "seconds": (
                    runs["last-ack"].when("server", "ESTABLISHED") - runs["last-ack"].when("client", "ESTABLISHED")
                )
                / 1e9
            },
        ),
        Claim(
            N_(
                "With tcp_abort_on_overflow it is answered with RST: connect() had succeeded, recv() fails with "
                "ECONNRESET."
            ),
            lambda runs: (
                len(runs["abort"].sent(RST, "server")) == 1
                and client_of(runs["abort"], 1).call("connect").error is None
                and getattr(client_of(runs["abort"], 1).call("recv").error, "errno", 0) == ECONNRESET
            ),
        ),
        Claim(
            N_(
                "A full SYN queue without cookies drops the client's SYN until the stranger's request is forgotten, "
                "after {seconds:.0f} s here; {syns} SYNs were needed."
            ),
            lambda runs: (
                len(runs["syn-queue"].sent(SYN, "client")) == 4
                and runs["syn-queue"].sent(SYN_ACK, connection=1)[0].time > forgotten(runs["syn-queue"])
            ),
            lambda runs: {
                "seconds": kept(runs["syn-queue"]),
                "syns": len(runs["syn-queue"].sent(SYN, "client")),
            },
        ),
        Claim(
            N_(
                "With SYN cookies the client is connected after {ms:.0f} ms, though the queue is just as full. The "
                "server stays in LISTEN and keeps nothing: the request is made anew from the number that the last ACK "
                "acknowledges."
            ),
            lambda runs: (
                runs["cookies"].program("client").call("connect").lasted == 2 * DELAY
                and runs["cookies"].when("server", "SYN-RECEIVED", 1)
                == runs["cookies"].when("server", "ESTABLISHED", 1)
                and runs["cookies"].when("server", "ESTABLISHED", 1) < forgotten(runs["cookies"])
            ),
            lambda runs: {"ms": runs["cookies"].program("client").call("connect").lasted / MS},
        ),
        Claim(
            N_(
                "All three profiles keep the same queues here: {held} connections fit, and whoever comes then is left "
                "without an answer. They differ in how long a client tries ({linux:g}, {freebsd:g} and {rfc:g} s) and "
                "how long a half-open connection is kept ({kept_linux:g}, {kept_freebsd:g} and {kept_rfc:g} s)."
            ),
            lambda runs: (
                [waited(runs[name]) for name in PROFILES] == [131, 75, 247]
                and [kept(runs[name]) for name in PROFILES] == [63, 15, 247]
                and {held(runs[name]) for name in PROFILES} == {3}
                and not any(runs[name].sent(RST) for name in PROFILES)
            ),
            lambda runs: {
                "held": held(runs["linux"]),
                **{name: waited(runs[name]) for name in PROFILES},
                **{f"kept_{name}": kept(runs[name]) for name in PROFILES},
            },
        ),
        Claim(
            N_(
                "Nor does a full SYN queue keep anybody out in any of the three, for all have SYN cookies as they "
                "come: connect() takes {linux:g}, {freebsd:g} and {rfc:g} ms."
            ),
            lambda runs: all(
                connected(runs[f"{name}-syn"]) == 2 * DELAY
                and runs[f"{name}-syn"].when("server", "ESTABLISHED", 1) < forgotten(runs[f"{name}-syn"])
                for name in PROFILES
            ),
            lambda runs: {name: connected(runs[f"{name}-syn"]) / MS for name in PROFILES},
        ),
    ),
    table=table,
    answer=N_(
        "The backlog bounds the accept queue; one more fits. tcp_max_syn_backlog bounds the SYN queue of half-open "
        "connections, and on Linux so does the backlog, one more again. The stack completes handshakes by itself, so "
        "connect() succeeds before accept() is called. A client that comes when a queue is full gets no answer, on "
        "purpose: to it this looks like loss, it tries again, and by then there may be room. With "
        "tcp_abort_on_overflow it is told by a RST, though too late for connect(). SYN cookies do without the SYN "
        "queue: what it would hold is in the initial number, so a flood of SYNs keeps nobody out."
    ),
    clauses=("RFC 9293 §3.9.1.1", "RFC 4987 §3.6", "listen(2)"),
    tries=(
        Try("A11 --world syn-queue --set server:tcp_synack_retries=2", N_("The stranger's request stays longer.")),
        Try("A11 --world cookies --set server:tcp_max_syn_backlog=2", N_("Room for two: no cookie is needed.")),
        Try("A11 --world accept-queue --set tcp_syn_linear_timeouts=0", N_("The third client doubles its waits.")),
    ),
)

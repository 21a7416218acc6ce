"""Many settings in one world: each is tried on a client and a server of its own, and what it does is measured.

The same `Effect` runs in two worlds, with the setting and without; what was measured in both is a row of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from synfin.events import Event
from synfin.host.parameters import Parameters
from synfin.lab.bench import DELAY, PORT, SECOND
from synfin.lab.running import Run, Runs
from synfin.show.history import Transmission
from synfin.sim import Network, Node, Program, Scenario, Steps, start
from synfin.sim.programs import Body, SimulatedSocket

__all__ = ["Effect", "Place", "are", "both", "fit", "more", "named", "parameters_of", "place", "scenario"]

_Event = TypeVar("_Event", bound=Event)


class Place:
    """Where one setting is tried: a client, a server and the wire between them. `on`: it is set."""

    def __init__(self, network: Network, number: int, effect: Effect, on: bool) -> None:
        # The first pair has the names that everybody knows.
        suffix = f"-{number}" if number else ""
        self.network = network
        self.effect = effect
        self.on = on
        self.programs: dict[str, Program] = {}
        #: What a program wrote down.
        self.noted = b""
        # Each pair has a network and a port of its own, so that no connection is taken for another's.
        self.port = PORT + number
        self.server_address = f"10.0.{number}.2"
        lines = [*effect.client, *([effect.parameter] if on and effect.parameter and not effect.at_server else [])]
        self.client = network.host(f"client{suffix}", parameters_of(lines))
        lines = [*effect.server, *([effect.parameter] if on and effect.parameter and effect.at_server else [])]
        self.server = network.host(f"server{suffix}", parameters_of(lines))
        self.wire = f"client{suffix}-server{suffix}"
        network.wire(
            self.client,
            f"10.0.{number}.1/24",
            self.server,
            f"{self.server_address}/24",
            delay=effect.delay,
            name=self.wire,
        )
        for fault in effect.faults:
            text = fault.replace("from client", f"from client{suffix}").replace("from server", f"from server{suffix}")
            network.apply(f"{self.wire}: {text}")

    # --- to begin with

    def client_runs(self, body: Body) -> None:
        """Starts a program at the client."""
        self._start(self.client, "client", body)

    def server_runs(self, body: Body) -> None:
        """Starts a program at the server."""
        self._start(self.server, "server", body)

    def _start(self, node: Node, name: str, body: Body) -> None:
        self.programs[name] = start(self.network, node, body, name)

    def reads(self) -> None:
        """The server accepts one connection, reads it to its end, and closes."""

        def body(program: Program) -> Steps[None]:
            listener = program.listening(self.port)
            sock = yield from listener.accept()
            yield from sock.receive_all()
            sock.close()

        self.server_runs(body)

    def holds(self) -> None:
        """The server accepts connections and keeps them, and neither reads nor closes."""

        def body(program: Program) -> Steps[None]:
            listener = program.listening(self.port)
            while True:
                yield from listener.accept()

        self.server_runs(body)

    def connected(self, program: Program) -> Steps[SimulatedSocket]:
        """A socket that is connected to the server."""
        return (yield from program.connected(self.server_address, self.port))

    # --- to measure with

    @property
    def suffix(self) -> str:
        return self.client.name.removeprefix("client")

    def sent(self, run: Run, kind: int | None = None, host: str = "client") -> list[Transmission]:
        """The segments that this client, or this server, sent (`Run.sent`)."""
        return [
            one
            for number, history in enumerate(run.histories)
            if self.client.name in (history.left.host, history.right.host)
            for one in run.sent(kind, host + self.suffix, number)
        ]

    def of(self, run: Run, kind: type[_Event], host: str = "client") -> list[_Event]:
        """The events of that kind at this client, or this server."""
        return run.of(kind, host + self.suffix)

    def lasted(self, call: str, program: str = "client") -> float:
        """How long the last such call took, in seconds."""
        return self.programs[program].call(call).lasted / SECOND

    def outcome(self, call: str, program: str = "client") -> OSError | None:
        """What the last such call failed with; None if it did not."""
        return self.programs[program].call(call).error


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """A setting and how to see what it does.

    `name`; `setting`, the value as it is shown; `measured`: what is. `begin` starts the programs, `measure` reads what
    came of it, `fits` judges the two results, the one without and the one with the setting.
    `parameter` is set for one host, the client or, `at_server`, the server, as ``name=value``; an option is set by
    `begin`, where `Place.on` says so. `client` and `server` are parameters of theirs in both worlds; `faults` those of
    the wire.
    """

    name: str
    setting: str
    measured: str
    begin: Callable[[Place], None]
    measure: Callable[[Place, Run], str]
    fits: Callable[[str, str], bool]
    parameter: str = ""
    at_server: bool = False
    client: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    delay: int = DELAY


def are(before: float | str, after: float | str) -> Callable[[str, str], bool]:
    """They are these two."""
    return lambda one, other: (one, other) == (str(before), str(after))


def more(factor: float) -> Callable[[str, str], bool]:
    """The second is so many times the first, or more."""
    return lambda one, other: float(other) >= factor * float(one)


def parameters_of(lines: Sequence[str]) -> Parameters:
    """Parameters as ``sysctl -w`` sets them: lines of ``name=value``."""
    parameters = Parameters()
    for line in lines:
        name, _, value = line.partition("=")
        parameters.set(name, value)
    return parameters


def scenario(effects: Sequence[Effect], on: bool) -> Scenario:
    """All of them in one network, set or not."""

    def build(network: Network) -> Mapping[Effect, Place]:
        places = {}
        for number, effect in enumerate(effects):
            places[effect] = Place(network, number, effect, on)
            effect.begin(places[effect])
        return places

    return build


def place(run: Run, effect: Effect) -> Place:
    """Where that effect was tried. Raises LookupError if it was not."""
    made = run.world.made
    found = made[effect] if isinstance(made, Mapping) else None
    if not isinstance(found, Place):
        raise LookupError(f"nothing was tried with {effect.name}")
    return found


def measured(effect: Effect, run: Run) -> str:
    return effect.measure(place(run, effect), run)


def both(effect: Effect, runs: Runs) -> tuple[str, str]:
    """What was measured without the setting and with it."""
    return measured(effect, runs["without"]), measured(effect, runs["with"])


def named(effects: Sequence[Effect], name: str) -> list[Effect]:
    """The effects of the setting of that name, with or without its family. Raises LookupError if there is none."""
    found = [effect for effect in effects if name in (effect.name, effect.name.rpartition(".")[2])]
    if not found:
        raise LookupError(f"nothing was tried with {name}")
    return found


def fit(effects: Sequence[Effect], runs: Runs, *names: str) -> bool:
    """Whether the results of these are as they should be."""
    return all(effect.fits(*both(effect, runs)) for name in names for effect in named(effects, name))

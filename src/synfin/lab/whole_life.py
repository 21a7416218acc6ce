"""The whole life of a connection: the texts' seven messages, with data between (row E6), for ``synfin demo``."""

from __future__ import annotations

from synfin.events import Event
from synfin.lab.bench import SERVER
from synfin.lab.programs.e06_whole_life import scenario
from synfin.show.history import History
from synfin.sim import NetworkFault, World

__all__ = ["SERVER", "run", "run_and_lose", "scenario"]


def run(seed: int = 0, faults: tuple[NetworkFault | str, ...] = ()) -> list[Event]:
    """Runs the scenario to its end, and returns its trace. `faults` act on the wire, in this order."""
    return World(scenario, seed, faults).events


def run_and_lose(message: int, seed: int = 0) -> list[Event]:
    """Runs the scenario, and once more with the first transmission of that `message` (1 to 7) lost.

    Both histories are the same up to there. Raises ValueError if there is no such message.
    """
    world = World(scenario, seed)
    transmission = History.from_events(world.events).message(message)
    if transmission is None or transmission.number is None:
        raise ValueError(f"there is no message {message}")
    return world.again(f"lose packet {transmission.number}").events

"""A host under test and the ways to it: its packets, its calls, what it tells of itself, its commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from synfin.drill.bench.bench import SECOND, Bench
from synfin.drill.bench.machine import Machine
from synfin.drill.calls.sockets import HANDLERS
from synfin.drill.calls.syscalls import Calls
from synfin.drill.commands.code import Snippets, info_under_test
from synfin.drill.commands.commands import Commands, HostControl
from synfin.drill.options import Choices, Settings
from synfin.drill.run.ladder import ladder

#: How long an event without a time, or a call that waits, may take: virtual nanoseconds.
LONGEST_WAIT: Final = 3600 * SECOND


@dataclass(slots=True)
class Stand:
    """What a run needs. `ladder` shows the connection under test up to now, or is empty."""

    machine: Bench
    calls: Calls
    snippets: Snippets
    commands: Commands
    ladder: Callable[[], str]
    longest_wait: int = LONGEST_WAIT


#: Makes one, for a profile.
MakeStand: TypeAlias = Callable[[str, Settings, Choices], Stand]


def stand(profile: str, settings: Settings, choices: Choices) -> Stand:
    """With synfin's own host, in virtual time."""
    machine = Machine(profile, settings, choices)
    return Stand(
        machine,
        Calls(machine, HANDLERS),
        Snippets(partial(info_under_test, machine), choices.code),
        Commands(HostControl(machine), settings, machine.settle),
        partial(ladder, machine, choices.language),
    )

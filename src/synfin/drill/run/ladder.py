"""The connection under test as a ladder."""

from __future__ import annotations

from synfin.drill.bench.machine import Machine
from synfin.show.history import History
from synfin.show.ladder import render_ladder
from synfin.show.words import Language


def ladder(machine: Machine, language: Language = "en") -> str:
    """The connection under test up to now; nothing if there was none."""
    if machine.numbers is None:
        return ""
    try:
        return render_ladder(History.from_events(machine.trace, machine.numbers.flow), language=language)
    except ValueError:
        # Nothing was exchanged yet.
        return ""

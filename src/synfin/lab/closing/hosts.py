"""How a host's connection ended."""

from __future__ import annotations

from synfin.events import StateChanged
from synfin.lab.running import Run

__all__ = ["last_change"]


def last_change(run: Run, host: str) -> StateChanged:
    """The last change of state at `host` in the first connection. Raises LookupError if there was none."""
    history = run.history
    flow = (history.left if history.left.host == host else history.right).flow
    return [change for change in run.of(StateChanged, host) if change.flow == flow][-1]

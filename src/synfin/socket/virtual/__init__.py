"""Virtual time: programs on hosts of the simulated network, unmodified. See docs/virtual-time.md."""

from synfin.socket.virtual.baton import Ended
from synfin.socket.virtual.program import Program
from synfin.socket.virtual.programs import EPOCH, Outcome, Programs
from synfin.socket.virtual.waiters import Waiter

__all__ = ["EPOCH", "Ended", "Outcome", "Program", "Programs", "Waiter"]

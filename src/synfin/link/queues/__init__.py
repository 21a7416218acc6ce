"""Queues in front of a bottleneck: drop-tail, CoDel, FQ-CoDel, RED; their descriptions are values."""

from synfin.link.queues.bottleneck import Bottleneck
from synfin.link.queues.codel import CoDel
from synfin.link.queues.discipline import Discipline, Queue, Waiting
from synfin.link.queues.drop_tail import DropTail
from synfin.link.queues.fq_codel import FqCoDel
from synfin.link.queues.red import Red

__all__ = ["Bottleneck", "CoDel", "Discipline", "DropTail", "FqCoDel", "Queue", "Red", "Waiting"]

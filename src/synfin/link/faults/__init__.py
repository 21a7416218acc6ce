"""Faults: what goes wrong with packets, alike on simulated wires and on real links.

A fault is a value that can be listed, printed, compared and applied again; `parse_fault` reads what `str` writes
(`synfin.link.faults.grammar` has the language). `begin` makes the running process, with its own state and its own
source of randomness. Faults act on segments: superpackets are cut before.
"""

from synfin.link.faults.fault import Chain, Fault, PacketFault, Process
from synfin.link.faults.grammar import parse_fault
from synfin.link.faults.kinds import Corrupt, Delay, Duplicate, Jitter, Lose, Partition, Rate, Reboot
from synfin.link.faults.passage import Passage
from synfin.link.faults.selection import Burst, Every, Matching, Nth, Selection, Share

__all__ = [
    "Burst",
    "Chain",
    "Corrupt",
    "Delay",
    "Duplicate",
    "Every",
    "Fault",
    "Jitter",
    "Lose",
    "Matching",
    "Nth",
    "PacketFault",
    "Partition",
    "Passage",
    "Process",
    "Rate",
    "Reboot",
    "Selection",
    "Share",
    "parse_fault",
]

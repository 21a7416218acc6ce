"""synfin: a complete TCP in Python.

One core that runs in three places: in a simulated network in virtual time, on any channel that carries IP packets
inside your own process, and against real kernels over a TUN device.
"""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"

"""synfin: a complete TCP in Python.

One core that runs in three places: in a simulated network in virtual time, on any channel that carries IP packets
inside your own process, and against real kernels over a TUN device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from synfin.socket import Server, Stack, loop_factory, run

__all__ = ["Server", "Stack", "__version__", "loop_factory", "run"]

__version__: Final = "0.1.0"


def __getattr__(name: str) -> object:
    # Stack brings asyncio with it, which a simulation has no use for.
    if name in ("Server", "Stack", "loop_factory", "run"):
        import synfin.socket

        value: object = getattr(synfin.socket, name)
        return value
    raise AttributeError(f"module 'synfin' has no attribute {name!r}")

"""The congestion controls by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.tcp.congestion.control import CongestionControl
from synfin.tcp.congestion.reno import Reno

_REGISTRY: Final[dict[str, Callable[[], CongestionControl]]] = {Reno.name: Reno}


def congestion_control(name: str) -> CongestionControl:
    """A new strategy of that name. Raises KeyError if there is none."""
    return _REGISTRY[name]()


def register(name: str, make: Callable[[], CongestionControl]) -> None:
    """Makes a strategy of the user's available as `name`. Raises ValueError if the name is taken."""
    if name in _REGISTRY:
        raise ValueError(f"a congestion control named {name!r} exists already")
    _REGISTRY[name] = make


def available() -> list[str]:
    """The names of all strategies, sorted."""
    return sorted(_REGISTRY)

"""The congestion controls by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.tcp.congestion.control import CongestionControl
from synfin.tcp.congestion.cubic import Cubic
from synfin.tcp.congestion.reno import Reno

#: What a name may have (TCP_CONGESTION): TCP_CA_NAME_MAX, less the octet that ends it.
LONGEST_NAME: Final = 15

_REGISTRY: Final[dict[str, Callable[[], CongestionControl]]] = {Cubic.name: Cubic, Reno.name: Reno}


def congestion_control(name: str) -> CongestionControl:
    """A new strategy of that name. Raises KeyError if there is none."""
    return _REGISTRY[name]()


def register(name: str, make: Callable[[], CongestionControl]) -> None:
    """Makes a strategy of the user's available as `name`, in this process; `make` is its class, or returns a new one.

    Raises ValueError if the name is taken, or is none: up to 15 printable ASCII characters without a blank.
    """
    if not 0 < len(name) <= LONGEST_NAME or not name.isascii() or not name.isprintable() or " " in name:
        raise ValueError(f"{name!r} is no name for a congestion control: up to {LONGEST_NAME} characters of ASCII")
    if name in _REGISTRY:
        raise ValueError(f"a congestion control named {name!r} exists already")
    _REGISTRY[name] = make


def available() -> list[str]:
    """The names of all strategies, sorted."""
    return sorted(_REGISTRY)

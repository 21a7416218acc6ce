"""Randomness that follows from the seed: `os.urandom` and all that is made of it, `random` and `uuid`."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from synfin.sim.network import Network
from synfin.socket.patches import Replacement
from synfin.socket.virtual.baton import here


def _make_urandom(before: Any) -> Callable[[int], bytes]:
    def urandom(size: int, /) -> bytes:
        strand = here()
        result: bytes = before(size) if strand is None else strand.program.random.randbytes(size)
        return result

    return urandom


def _make_getrandom(before: Any) -> Callable[..., bytes]:
    def getrandom(size: int, flags: int = 0) -> bytes:
        strand = here()
        result: bytes = before(size, flags) if strand is None else strand.program.random.randbytes(size)
        return result

    return getrandom


def _make_seed(before: Any) -> Callable[..., None]:
    """Random.seed, which in C asks the system."""

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        strand = here() if a is None else None
        before(self, a if strand is None else strand.program.random.getrandbits(256), version)

    return seed


def _make_shared_seed(before: Any) -> Callable[..., None]:
    """random.seed, which is a method of one generator."""

    def seed(a: Any = None, version: int = 2) -> None:
        strand = here() if a is None else None
        before(a if strand is None else strand.program.random.getrandbits(256), version)

    return seed


def _make_getpid(before: Any) -> Callable[[], int]:
    """It ends up in identifiers. Programs have numbers of their own, as their processes would."""

    def getpid() -> int:
        strand = here()
        result: int = before() if strand is None else strand.program.number
        return result

    return getpid


def _nothing(_: Any) -> None:
    return None


REPLACEMENTS: Final = (
    Replacement(os, "urandom", _make_urandom),
    *((Replacement(os, "getrandom", _make_getrandom),) if hasattr(os, "getrandom") else ()),
    Replacement(os, "getpid", _make_getpid),
    Replacement(random.Random, "seed", _make_seed),
    Replacement(random, "seed", _make_shared_seed),
    # Without these uuid1 is made of the clock and the random octets above.
    Replacement(uuid, "_generate_time_safe", _nothing),
    Replacement(uuid, "_UuidCreate", _nothing),
)


@contextmanager
def seeded(network: Network) -> Iterator[None]:
    """The generator that the functions of `random` share begins from the network's seed, and goes on as before
    afterwards; so does what `uuid` remembers."""
    state = random.getstate()
    remembered = {name: getattr(uuid, name) for name in ("_node", "_last_timestamp")}
    random.seed(network.octets_for("the functions of random"))
    # A multicast address, as RFC 9562 §6.10 asks for where it is random.
    uuid._node = network.random("node of uuid1").getrandbits(48) | 1 << 40  # type: ignore[attr-defined]
    uuid._last_timestamp = None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        random.setstate(state)
        for name, value in remembered.items():
            setattr(uuid, name, value)

"""The standard modules with ours in the place of what waits, from when `installed` is entered until it is left.

A way to wait that needs more replaced, such as time.sleep where time is virtual, gives its own `Replacement`s. What was
there before comes back, but for what somebody replaced again meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from synfin.socket import guards


class Replacement(NamedTuple):
    """`make(before)` takes the place of the attribute `name` of `place` (a module or a class)."""

    place: Any
    name: str
    make: Callable[[Any], Any]


class _Installed:
    """One replacement that is in place, as often as it was asked for."""

    __slots__ = ("before", "count", "now")

    def __init__(self, before: Any, now: Any) -> None:
        self.before = before
        self.now = now
        self.count = 1


_lock: Final = threading.Lock()
_installed: Final[dict[tuple[int, str, int], _Installed]] = {}
_ABSENT: Final = object()


def standard() -> Sequence[Replacement]:
    """What every way to wait needs: `socket`, names, `select` and `selectors`. For `ssl` and `os` there are
    `synfin.socket.guards`."""
    from synfin.socket.replacements import REPLACEMENTS

    return REPLACEMENTS


@contextmanager
def installed(more: Sequence[Replacement] = ()) -> Iterator[None]:
    """Replaces what `standard` says, and `more`. May be entered again, by other threads too."""
    wanted = [*standard(), *more]
    # Also while no socket is open: context.wrap_socket(socket.socket()) looks wrap_socket up before there is one.
    guards.hold()
    with _lock:
        for one in wanted:
            _install(one)
    try:
        yield
    finally:
        with _lock:
            for one in reversed(wanted):
                _remove(one)
        guards.release()


def _install(one: Replacement) -> None:
    key = (id(one.place), one.name, id(one.make))
    found = _installed.get(key)
    if found is not None:
        found.count += 1
        return
    # A class may have it from its base: there it is to be again.
    before = vars(one.place).get(one.name, _ABSENT)
    now = one.make(getattr(one.place, one.name))
    _installed[key] = _Installed(before, now)
    setattr(one.place, one.name, now)


def _remove(one: Replacement) -> None:
    key = (id(one.place), one.name, id(one.make))
    found = _installed[key]
    found.count -= 1
    if found.count:
        return
    del _installed[key]
    if vars(one.place).get(one.name) is not found.now:
        return
    if found.before is _ABSENT:
        delattr(one.place, one.name)
    else:
        setattr(one.place, one.name, found.before)

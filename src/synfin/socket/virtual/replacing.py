"""All that takes the place of parts of the standard library while programs run in virtual time."""

from __future__ import annotations

import _thread
import atexit
import concurrent.futures.thread as executors
import queue
import selectors
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any, Final

from synfin.socket import stand_in
from synfin.socket.patches import Replacement, installed, standard
from synfin.socket.selector import Selector
from synfin.socket.system import SystemSelector
from synfin.socket.virtual import chance, clocks, order, threads
from synfin.socket.virtual.baton import here
from synfin.socket.virtual.locks import Lock, ReentrantLock
from synfin.socket.virtual.pairs import make_socketpair
from synfin.socket.virtual.secluded import make_socket
from synfin.socket.ways_to_wait import current

#: Libraries that wait in C, without which their users do as well.
UNAVAILABLE: Final = ("uvloop", "aiodns", "winloop")


class VirtualSelector(Selector):
    """What `selectors` has in the place of all its classes."""

    def __new__(cls, *_: object, **__: object) -> Any:
        return SystemSelector() if here() is None else super().__new__(cls)

    def __init__(self) -> None:
        super().__init__(current())


def _make_gethostname(before: Any) -> Callable[[], str]:
    def gethostname() -> str:
        strand = here()
        name: str = before() if strand is None else strand.program.node.name
        return name

    return gethostname


def _make_signal(before: Any) -> Callable[[int, Any], Any]:
    """What a program asks for is kept, and never comes."""

    def set_handler(signalnum: int, handler: Any, /) -> Any:
        strand = here()
        if strand is None:
            return before(signalnum, handler)
        handlers = strand.program.handlers
        previous = _handler(handlers, signalnum)
        handlers[signalnum] = handler
        return previous

    return set_handler


def _make_getsignal(before: Any) -> Callable[[int], Any]:
    def getsignal(signalnum: int, /) -> Any:
        strand = here()
        return before(signalnum) if strand is None else _handler(strand.program.handlers, signalnum)

    return getsignal


def _handler(handlers: dict[int, Any], number: int) -> Any:
    return handlers.get(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _make_silent(result: object) -> Callable[[Any], Any]:
    def make(before: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return before(*args, **kwargs) if here() is None else result

        return call

    return make


def _new_lock(_: object) -> Lock:
    return Lock()


def _make_register(before: Any) -> Callable[..., Any]:
    """atexit.register: at the end of the program, which is not that of the process."""

    def register(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        strand = here()
        # What is registered once in a process is the process's.
        if strand is None or function == weakref.finalize._exitfunc:  # type: ignore[attr-defined]
            return before(function, *args, **kwargs)
        strand.program.at_exit.append(partial(function, *args, **kwargs))
        return function

    return register


def _make_unregister(before: Any) -> Callable[[Any], None]:
    def unregister(function: Any, /) -> None:
        strand = here()
        if strand is not None:
            kept = strand.program.at_exit
            kept[:] = [one for one in kept if one.func != function]
        before(function)

    return unregister


def _another(kind: type) -> Callable[[Any], Any]:
    """A class of its own for each that is replaced, so that each is known when it is put back."""
    return lambda before: type(before.__name__, (kind,), {"__slots__": (), "__module__": before.__module__})


def _always(thing: object) -> Callable[[Any], Any]:
    return lambda _: thing


REPLACEMENTS: Final[Sequence[Replacement]] = (
    *clocks.REPLACEMENTS,
    *chance.REPLACEMENTS,
    *order.REPLACEMENTS,
    # Semaphore, Event, Condition, Barrier, Queue and the executors are made of these, in Python.
    Replacement(threading, "Lock", _always(Lock)),
    Replacement(threading, "_allocate_lock", _another(Lock)),
    Replacement(_thread, "allocate_lock", _another(Lock)),
    Replacement(threading, "RLock", _always(ReentrantLock)),
    # It is held while a thread is started.
    Replacement(executors, "_global_shutdown_lock", _new_lock),
    Replacement(queue, "SimpleQueue", _another(queue._PySimpleQueue)),  # type: ignore[attr-defined]
    *(Replacement(module, name, make) for module, name, make in threads.STARTERS),
    Replacement(threading.Thread, "start", threads.make_start),
    Replacement(threading.Thread, "join", threads.make_join),
    Replacement(threading.Thread, "is_alive", threads.make_is_alive),
    Replacement(threading, "main_thread", threads.make_main_thread),
    *(
        Replacement(selectors, name, _another(VirtualSelector))
        for name in ("DefaultSelector", "EpollSelector", "PollSelector", "SelectSelector")
        if hasattr(selectors, name)
    ),
    Replacement(atexit, "register", _make_register),
    Replacement(atexit, "unregister", _make_unregister),
    # Over the one that `standard` puts there.
    Replacement(socket, "socket", make_socket),
    # What accept makes: some ask for the very class that socket.socket is.
    Replacement(stand_in, "socket", make_socket),
    Replacement(socket, "socketpair", make_socketpair),
    Replacement(socket, "gethostname", _make_gethostname),
    Replacement(signal, "signal", _make_signal),
    Replacement(signal, "getsignal", _make_getsignal),
    *(
        Replacement(signal, name, _make_silent(result))
        for name, result in (("set_wakeup_fd", -1), ("siginterrupt", None))
        if hasattr(signal, name)
    ),
)


@contextmanager
def replaced() -> Iterator[None]:
    """Everything in its place: also where modules keep what they imported from others by name, now or meanwhile."""
    wanted = [*standard(), *REPLACEMENTS]
    before = [getattr(one.place, one.name) for one in wanted]
    hidden = {name: sys.modules.get(name) for name in UNAVAILABLE}
    with installed(REPLACEMENTS):
        # Only what a module has; methods go with their classes.
        pairs = [
            (old, getattr(one.place, one.name))
            for one, old in zip(wanted, before, strict=True)
            if isinstance(one.place, ModuleType)
        ]
        # Not None, which is everywhere.
        pairs = [(old, new) for old, new in pairs if callable(old) and callable(new)]
        exchanged = _exchange({id(old): new for old, new in pairs})
        sys.modules.update(dict.fromkeys(UNAVAILABLE))  # type: ignore[arg-type]
        try:
            yield
        finally:
            for name, module in hidden.items():
                if module is None:
                    sys.modules.pop(name, None)
                else:
                    sys.modules[name] = module
            for names, key, old in exchanged:
                names[key] = old
            # What was imported meanwhile. The standard things come first in `pairs`.
            _exchange({id(new): old for old, new in reversed(pairs)})


def _exchange(others: dict[int, Any]) -> list[tuple[dict[str, Any], str, Any]]:
    """Puts other things in the place of those with these ids, wherever modules have them; in ours they stay. Returns
    what stood where: a module's names, one of them, and its value."""
    exchanged = []
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or name.partition(".")[0] == "synfin":
            continue
        names = vars(module)
        for key, value in list(names.items()):
            other = others.get(id(value))
            if other is not None:
                exchanged.append((names, key, value))
                names[key] = other
    return exchanged

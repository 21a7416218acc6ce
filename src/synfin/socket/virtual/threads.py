"""Threads that a program starts join in: they are real ones, and wait for the baton before they run."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Any, Final

from synfin.socket.virtual.baton import Ended, Strand, allocate_lock, here
from synfin.socket.ways_to_wait import use
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER

#: Under which name a thread keeps its strand.
_STRAND: Final = "_synfin_strand"


class _Started:
    """What Thread.start waits for: that the thread exists. That takes no virtual time, and no turn."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._lock.release()

    def wait(self) -> bool:
        with self._lock:
            return self._set


def strand_of(thread: threading.Thread) -> Strand | None:
    """The strand of a thread of a program's; None for any other thread."""
    found: Strand | None = getattr(thread, _STRAND, None)
    return found


def start_strand(thread: threading.Thread, strand: Strand, start: Callable[[threading.Thread], None]) -> None:
    """Starts a thread as a strand; it runs when its turn comes."""
    run = thread.run

    def run_in_turn() -> None:
        del thread.__dict__["run"]
        try:
            strand.baton.begin(strand)
            with use(strand.program.waiting):
                run()
        except Ended:
            pass

    setattr(thread, "run", run_in_turn)  # noqa: B010 (mypy forbids to assign to a method)
    setattr(thread, _STRAND, strand)
    setattr(thread, "_started", _Started())  # noqa: B010
    daemon = thread.daemon
    # The interpreter shall not wait for one that is left behind when its world ends.
    setattr(thread, "_daemonic", True)  # noqa: B010
    try:
        start(thread)
    finally:
        setattr(thread, "_daemonic", daemon)  # noqa: B010
    strand.baton.spawn(strand)


def make_start(before: Any) -> Callable[[threading.Thread], None]:
    """Thread.start."""

    def start(self: threading.Thread) -> None:
        me = here()
        if me is None or strand_of(self) is not None or self.ident is not None:
            before(self)
            return
        if me.ending:
            raise Ended
        strand = Strand(me.baton, me.program, self)
        start_strand(self, strand, before)
        me.program.strands[strand] = None

    return start


def make_join(before: Any) -> Callable[..., None]:
    """Thread.join."""

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        me = here()
        strand = strand_of(self)
        if me is None or strand is None or strand is me:
            before(self, timeout)
            return
        baton = me.baton
        deadline = NEVER if timeout is None else baton.network.now + int(max(timeout, 0) * SECOND)
        if baton.wait_for_end(strand, deadline):
            # What is left of it needs no turn.
            before(self)

    return join


def make_is_alive(before: Any) -> Callable[[threading.Thread], bool]:
    """Thread.is_alive."""

    def is_alive(self: threading.Thread) -> bool:
        strand = strand_of(self)
        if strand is None:
            alive: bool = before(self)
            return alive
        me = here()
        if me is not None:
            me.baton.glance()
        return not strand.done

    return is_alive


def make_start_new_thread(before: Any) -> Callable[..., int]:
    """_thread.start_new_thread, which may be called without a Thread."""

    def start_new_thread(function: Callable[..., object], args: Any, kwargs: Any = None, /) -> int:
        owner = getattr(function, "__self__", None)
        strand = strand_of(owner) if isinstance(owner, threading.Thread) else None
        if strand is not None:
            return int(before(_to_the_end(strand, function), args, kwargs or {}))
        me = here()
        if me is None:
            return int(before(function, args, kwargs or {}))
        strand = Strand(me.baton, me.program, None)
        number: int = before(_to_the_end(strand, _in_turn(strand, function)), args, kwargs or {})
        me.program.strands[strand] = None
        me.baton.spawn(strand)
        return number

    return start_new_thread


def make_start_joinable_thread(before: Any) -> Callable[..., Any]:
    """_thread.start_joinable_thread (Python 3.13)."""

    def start_joinable_thread(function: Callable[..., object], *rest: Any, **more: Any) -> Any:
        owner = getattr(function, "__self__", None)
        strand = strand_of(owner) if isinstance(owner, threading.Thread) else None
        return before(function if strand is None else _to_the_end(strand, function), *rest, **more)

    return start_joinable_thread


def _in_turn(strand: Strand, function: Callable[..., object]) -> Callable[..., None]:
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            strand.baton.begin(strand)
            with use(strand.program.waiting):
                function(*args, **kwargs)
        except Ended:
            pass

    return run


def _to_the_end(strand: Strand, function: Callable[..., object]) -> Callable[..., None]:
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        finally:
            strand.baton.finish(strand)

    return run


def make_main_thread(before: Any) -> Callable[[], threading.Thread]:
    """threading.main_thread: that of the program."""

    def main_thread() -> threading.Thread:
        me = here()
        if me is not None and me.program.main is not None and me.program.main.thread is not None:
            return me.program.main.thread
        thread: threading.Thread = before()
        return thread

    return main_thread


#: What a new thread is started by, in this version of Python: the name in `threading`, and in `_thread`.
STARTERS: Final = tuple(
    (module, name, make)
    for module, name, make in (
        (threading, "_start_new_thread", make_start_new_thread),
        (_thread, "start_new_thread", make_start_new_thread),
        (threading, "_start_joinable_thread", make_start_joinable_thread),
    )
    if hasattr(module, name)
)

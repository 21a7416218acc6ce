"""What `threading.Lock` is in virtual time. All else in `threading` and `queue` is made of it."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

from synfin.socket.virtual.baton import Strand, allocate_lock, here
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER


class Lock:
    """As threading.Lock. Who waits for it gives the baton away. To threads that take no part it is an ordinary lock, so
    one that outlives its world does no harm."""

    __slots__ = ("__weakref__", "_block", "_owner", "_waiting")

    def __init__(self) -> None:
        self._block = allocate_lock()
        self._waiting: deque[Strand] = deque()
        #: Who took it, for people.
        self._owner: Strand | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As threading.Lock.acquire."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        strand = here()
        if self._block.acquire(False):
            self._owner = strand
            return True
        if strand is None:
            return self._block.acquire(blocking, timeout)
        if not blocking:
            strand.baton.glance()
            return False
        return self._wait(strand, NEVER if timeout < 0 else strand.baton.network.now + int(timeout * SECOND))

    def _wait(self, strand: Strand, deadline: int) -> bool:
        baton = strand.baton
        self._waiting.append(strand)
        try:
            while not self._block.acquire(False):
                if baton.network.now >= deadline:
                    return False
                baton.wait(deadline, self._waited_for)
            self._owner = strand
            return True
        finally:
            self._waiting.remove(strand)
            if not self._block.locked():
                # It was woken, and did not take it.
                self._wake()

    def release(self) -> None:
        """As threading.Lock.release."""
        self._block.release()
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            first = self._waiting[0]
            first.baton.wake(first)

    def locked(self) -> bool:
        """As threading.Lock.locked."""
        return self._block.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _waited_for(self) -> str:
        owner = self._owner
        waiting = self._waiting
        if owner is None or owner.thread is None:
            return "a lock"
        # A condition has a lock for each that waits, which has taken it itself.
        return "a notification" if owner in waiting else f"a lock of {owner.thread.name}"

    def _at_fork_reinit(self) -> None:
        self._block = allocate_lock()
        self._waiting.clear()

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} {type(self).__qualname__} object at {id(self):#x}>"


if TYPE_CHECKING:
    _InPython = Lock
else:
    # It is made of a lock, which is ours while it is made in virtual time.
    _InPython = threading._PyRLock


class ReentrantLock(_InPython):
    """As threading.RLock."""

    __module__ = "_thread"


ReentrantLock.__name__ = ReentrantLock.__qualname__ = "RLock"

"""asyncio on a stack: an event loop whose sockets are the stack's, with asyncio's own transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from synfin.socket.patches import Replacement, installed
from synfin.socket.selector import Selector
from synfin.socket.ways_to_wait import Waiting, current, provide, thread
from synfin.tcp.parameters import SECOND

T = TypeVar("T")


class EventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, waiting in the way of `waiting`, whose clock is the loop's. While it runs, `installed` is, with
    `more`."""

    def __init__(self, waiting: Waiting, more: Sequence[Replacement] = ()) -> None:
        self.waiting = waiting
        self._more = more
        self._stack_selector = Selector(waiting)
        super().__init__(self._stack_selector)

    def time(self) -> float:
        """The time of the host, in seconds."""
        return self.waiting.now() / SECOND

    def run_forever(self) -> None:
        waiting = self.waiting
        before = thread.waiting
        thread.waiting = waiting
        thread.own_loops += 1
        try:
            # For the threads of executors, which know nothing of loops.
            with installed(self._more), provide(lambda: waiting):
                self._stack_selector.selecting.begin()
                try:
                    super().run_forever()
                finally:
                    self._stack_selector.selecting.end()
        finally:
            thread.own_loops -= 1
            thread.waiting = before


def loop_factory(waiting: Waiting | None = None) -> Callable[[], EventLoop]:
    """What asyncio.Runner takes: a function that makes a loop on `waiting`, by default on what is current then."""

    def make() -> EventLoop:
        return EventLoop(current() if waiting is None else waiting)

    return make


def run(main: Coroutine[Any, Any, T], waiting: Waiting | None = None, *, debug: bool | None = None) -> T:
    """asyncio.run on a stack: everything that `main` and its tasks do with TCP runs on `waiting`, by default on what is
    current."""
    with asyncio.Runner(debug=debug, loop_factory=loop_factory(waiting)) as runner:
        return runner.run(main)

"""Sets in the same order in every run.

A set is ordered by the hashes of what is in it, and an object without a hash of its own has its address for one. Of
what asyncio's users keep in sets (futures, tasks, transports, protocols) and of threads the hash is a number instead,
in the order in which they were first asked for it. Sets of other objects are as their addresses have it.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from synfin.socket.patches import Replacement
from synfin.socket.virtual.baton import here

_numbers: Iterator[int] = count()


_tasks: Iterator[int] = count(1)


@contextmanager
def counted() -> Iterator[None]:
    """Begins to count anew, also the names of threads and tasks."""
    global _numbers, _tasks
    _numbers, _tasks = count(), count(1)
    before = threading._counter  # type: ignore[attr-defined]
    threading._counter = count(1).__next__  # type: ignore[attr-defined]
    try:
        yield
    finally:
        threading._counter = before  # type: ignore[attr-defined]


class _Future(asyncio.Future[Any]):
    """As the standard class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._synfin_number = next(_numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._synfin_number


class _Task(asyncio.Task[Any]):
    """As the standard class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The standard class puts itself into a set.
        self._synfin_number = next(_numbers)
        if kwargs.get("name") is None:
            kwargs["name"] = f"Task-{next(_tasks)}"
        super().__init__(*args, **kwargs)

    def set_name(self, value: object, /) -> None:
        # Some versions name every task of a factory anew, if only None.
        if value is not None:
            super().set_name(value)

    def __hash__(self) -> int:
        return self._synfin_number


for _kind in (_Future, _Task):
    _kind.__name__ = _kind.__qualname__ = _kind.__name__.removeprefix("_")


def _task(loop: asyncio.AbstractEventLoop, coroutine: Any, **kwargs: Any) -> asyncio.Task[Any]:
    return _Task(coroutine, loop=loop, **kwargs)


def _make_init(before: Any) -> Callable[..., None]:
    """BaseEventLoop's, which gives it a task factory."""

    def init(self: BaseEventLoop, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **kwargs)
        if here() is not None:
            self.set_task_factory(_task)

    return init


def _make_create_future(before: Any) -> Callable[[BaseEventLoop], asyncio.Future[Any]]:
    def create_future(self: BaseEventLoop) -> asyncio.Future[Any]:
        made: asyncio.Future[Any] = before(self) if here() is None else _Future(loop=self)
        return made

    return create_future


def _make_hash(before: Any) -> Callable[[Any], int]:
    def number(self: Any) -> int:
        found: int | None = getattr(self, "_synfin_number", None)
        if found is None:
            found = before(self)
            if here() is not None:
                number = next(_numbers)
                try:
                    self._synfin_number = number
                except AttributeError:
                    # No room for it.
                    return found
                return number
        return found

    return number


REPLACEMENTS = (
    Replacement(BaseEventLoop, "__init__", _make_init),
    Replacement(BaseEventLoop, "create_future", _make_create_future),
    *(
        Replacement(kind, "__hash__", _make_hash)
        for kind in (asyncio.BaseTransport, asyncio.BaseProtocol, threading.Thread)
    ),
)

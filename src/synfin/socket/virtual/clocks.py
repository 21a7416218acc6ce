"""The clocks of `time` and `datetime`, and time.sleep, in virtual time.

Each function works as before in a thread that takes no part in virtual time, so one that somebody kept does no harm.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from datetime import datetime as _datetime  # the standard class, also while ours is in its place
from typing import Any, Final

from synfin.socket.patches import Replacement
from synfin.socket.virtual.baton import here
from synfin.tcp.parameters import SECOND


def now_ns() -> int | None:
    """The time since the network began, in nanoseconds; None in a thread that takes no part."""
    strand = here()
    if strand is None:
        return None
    baton = strand.baton
    baton.glance()
    return baton.network.now


def epoch_ns() -> int | None:
    """The time of day, in nanoseconds since 1970."""
    strand = here()
    now = now_ns()
    return None if now is None or strand is None else strand.program.epoch + now


def _clock(clock: Callable[[], int | None], seconds: bool) -> Callable[[Any], Any]:
    def make(before: Any) -> Callable[[], Any]:
        def in_seconds() -> float:
            now = clock()
            if now is None:
                result: float = before()
                return result
            return now / SECOND

        def in_nanoseconds() -> int:
            now = clock()
            if now is None:
                result: int = before()
                return result
            return now

        return in_seconds if seconds else in_nanoseconds

    return make


def _make_sleep(before: Any) -> Callable[[float], None]:
    def sleep(seconds: float, /) -> None:
        strand = here()
        if strand is None:
            before(seconds)
            return
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        baton = strand.baton
        duration = int(seconds * SECOND)
        if not duration:
            baton.give_way()
            return
        deadline = baton.network.now + duration
        while baton.network.now < deadline:
            baton.wait(deadline, _the_time)

    return sleep


def _the_time() -> str:
    return "the time"


def _of_now(before: Any) -> Callable[..., Any]:
    """time.gmtime and its like, which take the time of day or are to ask for it."""

    def of(seconds: float | None = None, /) -> Any:
        if seconds is None:
            now = epoch_ns()
            if now is not None:
                seconds = now / SECOND
        return before(seconds)

    return of


def _make_strftime(before: Any) -> Callable[..., str]:
    def strftime(form: str, *rest: Any) -> str:
        result: str = before(form, *(rest or (time.localtime(),)))
        return result

    return strftime


def _make_asctime(before: Any) -> Callable[..., str]:
    def asctime(*rest: Any) -> str:
        result: str = before(*(rest or (time.localtime(),)))
        return result

    return asctime


def _make_clock_gettime(before: Any) -> Callable[[int], float]:
    def clock_gettime(clock: int, /) -> float:
        now = epoch_ns() if clock == time.CLOCK_REALTIME else now_ns()
        result: float = before(clock) if now is None else now / SECOND
        return result

    return clock_gettime


class _Datetime(type):
    """The standard class and what is made of it are instances and subclasses of ours."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime) if cls is _VirtualDatetime else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _datetime) if cls is _VirtualDatetime else super().__subclasscheck__(subclass)


class _VirtualDatetime(_datetime, metaclass=_Datetime):
    """datetime.datetime, whose `now` and `utcnow` ask the clock in C; what it makes is of the standard class."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _datetime.__new__(_datetime if cls is _VirtualDatetime else cls, *args, **kwargs)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        now = epoch_ns()
        made = _datetime.now(tz) if now is None else _exactly(now, tz)
        if cls is _VirtualDatetime:
            return made
        return cls.combine(made.date(), made.timetz())

    @classmethod
    def today(cls) -> Any:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)


_VirtualDatetime.__name__ = _VirtualDatetime.__qualname__ = "datetime"
_VirtualDatetime.__module__ = "datetime"


def _exactly(nanoseconds: int, tz: datetime.tzinfo | None) -> datetime.datetime:
    """A point in time without the errors of a float."""
    utc = _datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=nanoseconds // 1000)
    return utc.astimezone(tz) if tz is not None else utc.astimezone().replace(tzinfo=None)


_OF_THE_DAY: Final = ("time",)
_SINCE_THE_START: Final = ("monotonic", "perf_counter", "process_time", "thread_time")

REPLACEMENTS: Final = (
    Replacement(time, "sleep", _make_sleep),
    *(Replacement(time, name, _clock(epoch_ns, True)) for name in _OF_THE_DAY),
    *(Replacement(time, f"{name}_ns", _clock(epoch_ns, False)) for name in _OF_THE_DAY),
    *(Replacement(time, name, _clock(now_ns, True)) for name in _SINCE_THE_START),
    *(Replacement(time, f"{name}_ns", _clock(now_ns, False)) for name in _SINCE_THE_START),
    *(Replacement(time, name, _of_now) for name in ("gmtime", "localtime", "ctime")),
    Replacement(time, "strftime", _make_strftime),
    Replacement(time, "asctime", _make_asctime),
    Replacement(time, "clock_gettime", _make_clock_gettime),
    Replacement(datetime, "datetime", lambda _: _VirtualDatetime),
)

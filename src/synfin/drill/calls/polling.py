"""poll and epoll in a script."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.calls.arguments import array, is_anything, structure
from synfin.drill.calls.constants import (
    CONSTANTS,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLET,
    EPOLLEXCLUSIVE,
    EPOLLONESHOT,
    EPOLLWAKEUP,
)
from synfin.drill.calls.syscalls import FOR_EVER, Attempt, Calls, Descriptor, Epoll, Polled
from synfin.drill.language.notation import script_text
from synfin.drill.language.script import Expression, Structure
from synfin.drill.outcome import Failed, Skipped
from synfin.host import calls
from synfin.host.sockets import Socket
from synfin.tcp.errors import os_error
from synfin.tcp.readiness import POLLERR, POLLHUP

Arguments = tuple[Expression, ...]

MILLISECOND: Final = 1_000_000
_POLLNVAL: Final = 0x20
_READ_NORMAL: Final = 0x40
_WRITE_NORMAL: Final = 0x100
_SWITCHES: Final = EPOLLET | EPOLLEXCLUSIVE | EPOLLONESHOT | EPOLLWAKEUP
_NAMES: Final = ("POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL", "POLLRDHUP", "POLLRDNORM")


def _ready(run: Calls, sock: Socket, events: int) -> int:
    """What of `events` is so now; errors and an end are told always."""
    bits = calls.poll(run.host, sock)
    bits |= _READ_NORMAL if bits & CONSTANTS["POLLIN"] else 0
    bits |= _WRITE_NORMAL if bits & CONSTANTS["POLLOUT"] else 0
    return bits & (events | POLLERR | POLLHUP)


def _patience(milliseconds: int) -> int:
    return FOR_EVER if milliseconds < 0 else milliseconds * MILLISECOND


def member(item: Structure, name: str) -> Expression:
    value = item.get(name)
    if value is None:
        raise Skipped(f"{script_text(item)} has no {name}")
    return value


def _poll(run: Calls, given: Arguments) -> Attempt:
    settings = run.machine.settings
    items = [structure(item, settings) for item in array(given[0], settings)]
    events = [run.number(member(item, "events")) for item in items]
    names = [run.number(member(item, "fd")) for item in items]
    limit = _patience(run.number(given[2]))
    told: list[int] = []

    def again(now: int) -> int:
        told[:] = [_one(run, name, mask) for name, mask in zip(names, events, strict=True)]
        count = sum(bits != 0 for bits in told)
        if not count:
            raise os_error(errno.EAGAIN)
        return count

    def check(result: int) -> None:
        same_told(run, items, told)

    return Attempt(again, True, limit, lambda now: 0, check)


def same_told(run: Calls, items: list[Structure], told: list[int]) -> None:
    """Compares the events that poll told with those that the script expects. Raises Failed."""
    for item, bits in zip(items, told, strict=True):
        expected = item.get("revents")
        if expected is not None and not is_anything(expected) and run.number(expected) != bits:
            raise Failed("poll told other events", script_text(item), f"revents={events_text(bits)}", "syscall")


def _one(run: Calls, name: int, events: int) -> int:
    if name < 0:
        return 0
    found = run.descriptors.get(name)
    if found is None:
        return _POLLNVAL
    if isinstance(found.thing, Epoll):
        return CONSTANTS["POLLIN"] & events if _epoll_ready(run, found.thing) else 0
    assert isinstance(found.thing, Socket)
    return _ready(run, found.thing, events)


def events_text(bits: int) -> str:
    """Bits of poll as a script writes them."""
    return "|".join(name for name in _NAMES if bits & CONSTANTS[name]) or "0"


# --- epoll


def _create(run: Calls, given: Arguments) -> Attempt:
    size = run.number(given[0]) if given else 1

    def again(now: int) -> int:
        if size <= 0:
            raise os_error(errno.EINVAL)
        return 0

    return Attempt(again, made=[Descriptor(Epoll())] if size > 0 else [])


def _create1(run: Calls, given: Arguments) -> Attempt:
    return Attempt(lambda now: 0, made=[Descriptor(Epoll())])


def _control(run: Calls, given: Arguments) -> Attempt:
    epoll = _epoll(run, given[0])
    operation = run.number(given[1])
    name = run.number(given[2])
    sock, _ = run.socket(given[2])

    def again(now: int) -> int:
        if (operation == EPOLL_CTL_ADD) == (name in epoll.watched):
            raise os_error(errno.EEXIST if operation == EPOLL_CTL_ADD else errno.ENOENT)
        if operation == EPOLL_CTL_DEL:
            del epoll.watched[name]
        elif operation in (EPOLL_CTL_ADD, EPOLL_CTL_MOD):
            item = structure(given[3], run.machine.settings)
            data = next((value for member, value in item.members if member != "events"), None)
            epoll.watched[name] = Polled(sock, run.number(member(item, "events")), data)
        else:
            raise os_error(errno.EINVAL)
        return 0

    return Attempt(again)


def _epoll(run: Calls, expression: Expression) -> Epoll:
    thing = run.descriptor(expression).thing
    if not isinstance(thing, Epoll):
        raise os_error(errno.EINVAL)
    return thing


def _epoll_ready(run: Calls, epoll: Epoll) -> list[tuple[Polled, int]]:
    found = []
    for polled in epoll.watched.values():
        if polled.events & EPOLLET and not polled.armed:
            continue
        # What was told once stays silent until it is set again, errors too.
        mask = polled.events & ~_SWITCHES
        bits = _ready(run, polled.sock, mask) if mask else 0
        if bits:
            found.append((polled, bits))
    return found


def _wait(run: Calls, given: Arguments) -> Attempt:
    epoll = _epoll(run, given[0])
    most = run.number(given[2])
    limit = _patience(run.number(given[3]))
    told: list[tuple[Polled, int]] = []

    def again(now: int) -> int:
        told[:] = _epoll_ready(run, epoll)[:most]
        if not told:
            raise os_error(errno.EAGAIN)
        for polled, _ in told:
            polled.armed = False
            if polled.events & EPOLLONESHOT:
                polled.events &= _SWITCHES
        return len(told)

    def check(result: int) -> None:
        if is_anything(given[1]):
            return
        expected = events_of(run, given[1])
        for item, (polled, bits) in zip(expected, told, strict=False):
            same_event(run, item, polled.data, bits)

    return Attempt(again, True, limit, lambda now: 0, check)


def events_of(run: Calls, expression: Expression) -> list[Structure]:
    settings = run.machine.settings
    if isinstance(expression, Structure):
        return [expression]
    return [structure(item, settings) for item in array(expression, settings)]


def same_event(run: Calls, item: Structure, data: Expression | None, bits: int) -> None:
    """Compares an event that epoll_wait told. Raises Failed."""
    for member, value in item.members:
        if is_anything(value):
            continue
        actual = bits if member == "events" else run.number(data) if data is not None else 0
        if run.number(value) != actual:
            shown = events_text(bits) if member == "events" else str(actual)
            raise Failed("epoll_wait told other events", script_text(item), f"{member}={shown}", "syscall")


HANDLERS: Final[Mapping[str, Callable[[Calls, Arguments], Attempt]]] = MappingProxyType(
    {
        "poll": _poll,
        "epoll_create": _create,
        "epoll_create1": _create1,
        "epoll_ctl": _control,
        "epoll_wait": _wait,
    }
)

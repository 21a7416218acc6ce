"""poll and epoll of a script, made to the kernel."""

from __future__ import annotations

import errno
import select
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.calls.arguments import array, is_anything, structure
from synfin.drill.calls.constants import (
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
)
from synfin.drill.calls.polling import events_of, member, same_event, same_told
from synfin.drill.calls.syscalls import Attempt, Calls, Descriptor, KernelFile
from synfin.drill.kernel.work import at_once, either, epoll_of, file_of
from synfin.drill.language.script import Expression
from synfin.tcp.errors import os_error

Arguments = tuple[Expression, ...]

_NOT_OPEN: Final = 1 << 20


def _poll(run: Calls, given: Arguments) -> Attempt:
    settings = run.machine.settings
    items = [structure(item, settings) for item in array(given[0], settings)]
    events = [run.number(member(item, "events")) for item in items]
    names = [run.number(member(item, "fd")) for item in items]
    descriptors = [
        file_of(run.descriptors[name]).fileno() if name in run.descriptors else _NOT_OPEN + name for name in names
    ]
    limit = run.number(given[2])
    told: list[int] = []

    def call() -> int:
        polled = select.poll()
        for name, descriptor, mask in zip(names, descriptors, events, strict=True):
            if name >= 0:
                polled.register(descriptor, mask)
        found = dict(polled.poll(limit))
        told[:] = [found.get(descriptor, 0) for descriptor in descriptors]
        return len(found)

    return either(run, limit != 0, call, lambda result: same_told(run, items, told))


def _create(run: Calls, given: Arguments) -> Attempt:
    size = run.number(given[0]) if given else 1
    return _new_epoll(run, size > 0)


def _create1(run: Calls, given: Arguments) -> Attempt:
    return _new_epoll(run, True)


def _new_epoll(run: Calls, valid: bool) -> Attempt:
    made: list[Descriptor] = []

    def call() -> int:
        if not valid:
            raise os_error(errno.EINVAL)
        made.append(Descriptor(KernelFile(select.epoll())))
        return 0

    return either(run, False, call, made=made)


def _control(run: Calls, given: Arguments) -> Attempt:
    epoll, thing = epoll_of(run, given[0])
    operation = run.number(given[1])
    descriptor = file_of(run.descriptor(given[2])).fileno()
    events = 0
    data: Expression | None = None
    if operation in (EPOLL_CTL_ADD, EPOLL_CTL_MOD):
        item = structure(given[3], run.machine.settings)
        events = run.number(member(item, "events"))
        data = next((value for name, value in item.members if name != "events"), None)

    def call() -> int:
        if operation == EPOLL_CTL_ADD:
            epoll.register(descriptor, events)
        elif operation == EPOLL_CTL_MOD:
            epoll.modify(descriptor, events)
        elif operation == EPOLL_CTL_DEL:
            epoll.unregister(descriptor)
        else:
            raise os_error(errno.EINVAL)
        thing.data[descriptor] = data
        return 0

    return at_once(call)


def _wait(run: Calls, given: Arguments) -> Attempt:
    epoll, thing = epoll_of(run, given[0])
    most = run.number(given[2])
    limit = run.number(given[3])
    told: list[tuple[int, int]] = []

    def call() -> int:
        told[:] = epoll.poll(None if limit < 0 else limit / 1000, most)
        return len(told)

    def check(result: int) -> None:
        if not is_anything(given[1]):
            for item, (descriptor, bits) in zip(events_of(run, given[1]), told, strict=False):
                same_event(run, item, thing.data.get(descriptor), bits)

    return either(run, limit != 0, call, check)


HANDLERS: Final[Mapping[str, Callable[[Calls, Arguments], Attempt]]] = MappingProxyType(
    {
        "poll": _poll,
        "epoll_create": _create,
        "epoll_create1": _create1,
        "epoll_ctl": _control,
        "epoll_wait": _wait,
    }
)

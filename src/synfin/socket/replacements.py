"""What takes the place of parts of `socket`, `select`, `selectors` and `asyncio` while ours is installed."""

from __future__ import annotations

import asyncio
import select
import selectors
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from synfin.host.addresses import is_loopback
from synfin.socket import polling
from synfin.socket.loop import EventLoop
from synfin.socket.patches import Replacement
from synfin.socket.stand_in import socket as stand_in
from synfin.socket.ways_to_wait import Waiting, address_octets, current, find_current


def _socket(_: Any) -> type[stand_in]:
    return stand_in


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _resolved(waiting: Waiting | None, host: object) -> list[str] | None:
    """The addresses that the world of the caller has for `host`, None if the system is to be asked."""
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("idna")
    if waiting is None or not isinstance(host, str) or not host or address_octets(host) is not None:
        return None
    return waiting.resolve(host)


def _getaddrinfo(before: Any) -> Callable[..., list[Any]]:
    def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
        found = _resolved(find_current(), host)
        if found is None:
            result: list[Any] = before(host, port, family, type, proto, flags)
            return result
        entries: list[Any] = []
        # Of what the system has itself nothing follows for this world.
        flags &= ~(socket.AI_CANONNAME | socket.AI_ADDRCONFIG)
        for address in found:
            if family in (0, _family(address)):
                # The system knows services and forms of results; it need not know the name.
                entries += before(address, port, family, type, proto, flags)
        if not entries:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return entries

    return getaddrinfo


def _gethostbyname(before: Any) -> Callable[[str], str]:
    def gethostbyname(hostname: str, /) -> str:
        found = _resolved(find_current(), hostname)
        if found is None:
            result: str = before(hostname)
            return result
        for address in found:
            if ":" not in address:
                return address
        raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported")

    return gethostbyname


def _gethostbyname_ex(before: Any) -> Callable[[str], tuple[str, list[str], list[str]]]:
    def gethostbyname_ex(hostname: str, /) -> tuple[str, list[str], list[str]]:
        found = _resolved(find_current(), hostname)
        if found is None:
            result: tuple[str, list[str], list[str]] = before(hostname)
            return result
        return hostname, [], [address for address in found if ":" not in address]

    return gethostbyname_ex


def _gethostbyaddr(before: Any) -> Callable[[str], tuple[str, list[str], list[str]]]:
    def gethostbyaddr(ip_address: str, /) -> tuple[str, list[str], list[str]]:
        waiting = find_current()
        octets = address_octets(ip_address)
        if waiting is not None and octets is not None:
            name = waiting.name_of(ip_address)
            if name is not None:
                return name, [], [ip_address]
            if waiting.host.transport.is_own(octets) and any(octets) and not is_loopback(octets):
                # The system's resolver knows nothing of it, and may ask the whole world for long.
                raise socket.herror(1, "Unknown host")
        result: tuple[str, list[str], list[str]] = before(ip_address)
        return result

    return gethostbyaddr


def _getnameinfo(before: Any) -> Callable[..., tuple[str, str]]:
    def getnameinfo(sockaddr: Any, flags: int, /) -> tuple[str, str]:
        waiting = find_current()
        name = waiting.name_of(sockaddr[0]) if waiting is not None else None
        result: tuple[str, str]
        if name is None or flags & socket.NI_NUMERICHOST:
            result = before(sockaddr, flags)
            return result
        result = before(sockaddr, flags | socket.NI_NUMERICHOST)
        return name, result[1]

    return getnameinfo


def _new_event_loop(before: Any) -> Callable[[], asyncio.AbstractEventLoop]:
    def new_event_loop() -> asyncio.AbstractEventLoop:
        waiting = find_current()
        if waiting is not None:
            return EventLoop(waiting)
        result: asyncio.AbstractEventLoop = before()
        return result

    return new_event_loop


class ProgramEventLoop(EventLoop):
    """What a program makes that asks for asyncio.SelectorEventLoop; the selector is ours. Where nothing is current it
    is asyncio's own."""

    def __new__(cls, selector: selectors.BaseSelector | None = None) -> Any:
        return super().__new__(cls) if find_current() is not None else _SYSTEM_LOOP(selector)

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__(current())


_SYSTEM_LOOP: Final = asyncio.SelectorEventLoop


def _loop_class(_: Any) -> Any:
    return ProgramEventLoop


def _polling(kind: Any) -> Callable[[Any], Any]:
    def make(_: Any) -> Any:
        return kind

    return make


_REPLACEMENTS: list[Replacement] = [
    Replacement(socket, "socket", _socket),
    Replacement(socket, "getaddrinfo", _getaddrinfo),
    Replacement(socket, "gethostbyname", _gethostbyname),
    Replacement(socket, "gethostbyname_ex", _gethostbyname_ex),
    Replacement(socket, "gethostbyaddr", _gethostbyaddr),
    Replacement(socket, "getnameinfo", _getnameinfo),
    Replacement(select, "select", _polling(polling.select)),
    # asyncio.run, asyncio.Runner and asyncio.get_event_loop; and those who make a loop themselves.
    Replacement(asyncio.events, "new_event_loop", _new_event_loop),
    Replacement(asyncio, "new_event_loop", _new_event_loop),
    Replacement(asyncio, "SelectorEventLoop", _loop_class),
    # Classes keep what they poll with from when they were made, and modules have kept the classes.
    Replacement(selectors.SelectSelector, "_select", _polling(polling.method_select)),
]
if hasattr(select, "poll"):
    _REPLACEMENTS.append(Replacement(select, "poll", _polling(polling.Poll)))
    _REPLACEMENTS.append(Replacement(selectors.PollSelector, "_selector_cls", _polling(polling.Poll)))
if hasattr(select, "epoll"):
    _REPLACEMENTS.append(Replacement(select, "epoll", _polling(polling.Epoll)))
    _REPLACEMENTS.append(Replacement(selectors.EpollSelector, "_selector_cls", _polling(polling.Epoll)))

#: In this order.
REPLACEMENTS: Final[Sequence[Replacement]] = tuple(_REPLACEMENTS)

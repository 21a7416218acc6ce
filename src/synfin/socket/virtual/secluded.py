"""`socket` as a program in virtual time has it: nothing that it sends leaves the simulated network.

TCP is ours. UDP there is none: such a socket can be made, and connected, which sends nothing and by which many a
program finds out its own address. Whatever would bind, send or receive raises OSError with EPROTONOSUPPORT.
"""

from __future__ import annotations

import socket as system
from errno import ENETUNREACH, EPROTONOSUPPORT
from typing import Any, Final

from synfin.host import addresses
from synfin.host.sockets import AF_INET, AF_INET6
from synfin.socket import stand_in
from synfin.socket.naming import address_of
from synfin.socket.virtual.baton import here
from synfin.socket.ways_to_wait import current
from synfin.tcp.errors import os_error

_FAMILIES: Final = {system.AF_INET: AF_INET, system.AF_INET6: AF_INET6}
_REFUSED: Final = (
    "bind",
    "send",
    "sendall",
    "sendto",
    "sendmsg",
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "recvmsg",
    "recvmsg_into",
)


class SecludedSocket(stand_in.socket):
    """As `synfin.socket.socket`; of the Internet's protocols it is TCP, or a `Datagrams`."""

    __slots__ = ("_local",)
    __module__ = "synfin.socket"

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(family, type, proto, fileno)
        if fileno is not None or self.opened is not None or self.family not in _FAMILIES or here() is None:
            return
        if self.type != system.SOCK_DGRAM:
            self.close()
            raise os_error(EPROTONOSUPPORT)
        # From where one would go.
        self._local: tuple[Any, ...] | None = None
        self.__class__ = Datagrams


class Datagrams(SecludedSocket):
    """A socket of UDP, which reaches nobody."""

    __slots__ = ()
    __module__ = "synfin.socket"

    def connect(self, address: Any) -> None:
        waiting = current()
        place = address_of(waiting, _FAMILIES[self.family], address, "connect")
        source = waiting.host.transport.source_towards(addresses.packed(place[0]))
        if source is None:
            raise os_error(ENETUNREACH)
        self._local = (addresses.text(source), 0, *place[2:])

    def getsockname(self) -> Any:
        return super().getsockname() if self._local is None else self._local


def _refuse(self: Datagrams, *_: object, **__: object) -> Any:
    raise os_error(EPROTONOSUPPORT)


for _name in _REFUSED:
    setattr(Datagrams, _name, _refuse)
for _kind in (SecludedSocket, Datagrams):
    _kind.__name__ = _kind.__qualname__ = "socket"


def make_socket(_: Any) -> type[SecludedSocket]:
    """socket.socket."""
    return SecludedSocket

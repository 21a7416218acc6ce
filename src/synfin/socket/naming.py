"""Addresses as the socket module takes them: tuples with a host that may be a name."""

from __future__ import annotations

import socket as system
from collections.abc import Sequence
from typing import Final

from synfin.host import addresses
from synfin.host.sockets import AF_INET, AF_INET6, Address
from synfin.socket.ways_to_wait import Waiting

_FAMILIES: Final = {AF_INET: system.AF_INET, AF_INET6: system.AF_INET6}
_NAMES: Final = {AF_INET: "AF_INET", AF_INET6: "AF_INET6"}
_WILDCARD: Final = {AF_INET: "0.0.0.0", AF_INET6: "::"}
PORT_MAX: Final = 65535


def address_of(waiting: Waiting, family: int, given: object, call: str) -> Address:
    """The address `given` to `call`, such as ``connect``, with the name in it resolved.

    Raises TypeError, OverflowError or socket.gaierror as the standard module does.
    """
    name = _NAMES[family]
    if not isinstance(given, tuple):
        raise TypeError(f"{call}(): {name} address must be tuple, not {type(given).__name__}")
    most = 2 if family == AF_INET else 4
    if not 2 <= len(given) <= most:
        form = "a pair (host, port)" if family == AF_INET else "a tuple (host, port[, flowinfo[, scopeid]])"
        raise TypeError(f"{name} address must be {form}")
    host, port = given[0], given[1]
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii")
    if not isinstance(host, str):
        raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
    if not isinstance(port, int):
        raise TypeError(f"'{type(port).__name__}' object cannot be interpreted as an integer")
    if not 0 <= port <= PORT_MAX:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    text = _resolve(waiting, family, host)
    if family == AF_INET:
        return text, port
    flow, scope = (*given[2:], 0, 0)[:2]
    if not 0 <= flow <= 0xFFFFF:
        raise OverflowError(f"{call}(): flowinfo must be 0-1048575.")
    return text, port, flow, scope


def _resolve(waiting: Waiting, family: int, host: str) -> str:
    if not host:
        return _WILDCARD[family]
    if host == "<broadcast>":
        return "255.255.255.255"
    try:
        octets = addresses.packed(host)
    except ValueError:
        pass
    else:
        if (len(octets) == 4) == (family == AF_INET):
            return host
        if family == AF_INET6:
            return f"::ffff:{host}"
        raise system.gaierror(system.EAI_ADDRFAMILY, "Address family for hostname not supported")
    for text in waiting.resolve(host) or ():
        if (":" in text) == (family == AF_INET6):
            return text
    found: Sequence[tuple[object, object, object, object, tuple[object, ...]]]
    found = system.getaddrinfo(host, None, _FAMILIES[family], system.SOCK_STREAM)
    return str(found[0][4][0])

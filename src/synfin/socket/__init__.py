"""The stand-in for the standard module `socket`, over a TCP of one's own, and the ways to wait for it.

Whatever the standard module has and we have not is the standard module's. `Stack` is a host, a link, and whoever serves
both; `run` is asyncio.run on it.
"""

from __future__ import annotations

import socket as _system
from types import FunctionType

from synfin.host.socket_option_numbers import SYNFIN_LOSS_RECOVERY
from synfin.socket.loop import EventLoop, loop_factory, run
from synfin.socket.patches import installed
from synfin.socket.replacements import REPLACEMENTS
from synfin.socket.server import Server
from synfin.socket.stack import Stack
from synfin.socket.stand_in import socket
from synfin.socket.ways_to_wait import Waiting, current, provide, use

__all__ = [
    "SYNFIN_LOSS_RECOVERY",
    "EventLoop",
    "Server",
    "Stack",
    "Waiting",
    "current",
    "installed",
    "loop_factory",
    "provide",
    "run",
    "socket",
    "use",
]


def _over_ours(name: str) -> object:
    """A function of the standard module's that makes sockets: here they are ours."""
    function: FunctionType = getattr(_system, name)
    ours = vars(_system) | {"socket": socket} | _FUNCTIONS
    made = FunctionType(function.__code__, ours, name, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__doc__ = function.__doc__
    return made


_FUNCTIONS: dict[str, object] = {
    one.name: one.make(getattr(_system, one.name)) for one in REPLACEMENTS if one.place is _system
}


def __getattr__(name: str) -> object:
    value: object
    if name in ("create_connection", "create_server", "fromfd", "getfqdn"):
        value = _over_ours(name)
    else:
        value = _FUNCTIONS.get(name) or getattr(_system, name)
    return value

"""Arguments as the standard module's C takes them, and what it raises for others."""

from __future__ import annotations

import socket as system
from collections.abc import Iterable, Sequence
from errno import EINVAL
from operator import index
from typing import Final

from synfin.tcp.errors import os_error

#: SCM_RIGHTS and SCM_CREDENTIALS, which are of SOL_SOCKET by their numbers alone: they belong to AF_UNIX.
_OF_AF_UNIX: Final = (1, 2)


def c_int(value: object) -> int:
    """What fits an int of C. Raises TypeError and OverflowError."""
    number = index(value)  # type: ignore[arg-type]
    if not -(1 << 31) <= number < 1 << 31:
        raise OverflowError("Python int too large to convert to C int")
    return number


def check_control(messages: Iterable[object]) -> None:
    """Checks the control messages of sendmsg. Raises TypeError for what is none, and OSError with EINVAL for those of
    SOL_SOCKET, of which TCP takes none here. Those of other levels mean nothing to it, and are ignored, as in Linux."""
    for message in tuple(messages):
        if not isinstance(message, Sequence) or len(message) != 3:
            raise TypeError("[sendmsg() argument 2] must be a sequence of tuples of three")
        level, kind, data = message
        level, kind = c_int(level), c_int(kind)
        memoryview(data).release()
        if level == system.SOL_SOCKET and kind not in _OF_AF_UNIX:
            raise os_error(EINVAL)


def check_control_room(size: object, call: str) -> None:
    """Checks how many octets of control messages `call` may return. Raises TypeError and ValueError."""
    if index(size) < 0:  # type: ignore[arg-type]
        raise ValueError(f"invalid ancillary data buffer length in {call}()")

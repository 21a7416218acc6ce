"""Bits of readiness, with the values that poll(2) gives them on Linux."""

from __future__ import annotations

from typing import Final

POLLIN: Final = 0x001
POLLPRI: Final = 0x002
POLLOUT: Final = 0x004
POLLERR: Final = 0x008
POLLHUP: Final = 0x010
POLLRDHUP: Final = 0x2000

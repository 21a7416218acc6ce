"""Errors as the platform raises them: OSError, of the class that belongs to its errno."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EACCES: "Permission denied",
        errno.EAGAIN: "Resource temporarily unavailable",
        errno.EADDRINUSE: "Address already in use",
        errno.EADDRNOTAVAIL: "Cannot assign requested address",
        errno.EAFNOSUPPORT: "Address family not supported by protocol",
        errno.EALREADY: "Operation already in progress",
        errno.EBADF: "Bad file descriptor",
        errno.ECONNABORTED: "Software caused connection abort",
        errno.ECONNREFUSED: "Connection refused",
        errno.ECONNRESET: "Connection reset by peer",
        errno.EDOM: "Numerical argument out of domain",
        errno.EHOSTDOWN: "Host is down",
        errno.EHOSTUNREACH: "No route to host",
        errno.EINPROGRESS: "Operation now in progress",
        errno.EINVAL: "Invalid argument",
        errno.EISCONN: "Transport endpoint is already connected",
        errno.ENOENT: "No such file or directory",
        errno.ENETUNREACH: "Network is unreachable",
        errno.ENONET: "Machine is not on the network",
        errno.ENOPROTOOPT: "Protocol not available",
        errno.ENOTCONN: "Transport endpoint is not connected",
        errno.ENOTTY: "Inappropriate ioctl for device",
        errno.EOPNOTSUPP: "Operation not supported",
        errno.EPERM: "Operation not permitted",
        errno.EPIPE: "Broken pipe",
        errno.EPROTO: "Protocol error",
        errno.EPROTONOSUPPORT: "Protocol not supported",
        errno.ESOCKTNOSUPPORT: "Socket type not supported",
        errno.ETIMEDOUT: "Connection timed out",
    }
)


def os_error(number: int) -> OSError:
    """The exception for `number`: ConnectionResetError, TimeoutError and so on, with errno and message set."""
    return OSError(number, _MESSAGES.get(number, f"Error {number}"))

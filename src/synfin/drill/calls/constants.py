"""The names of constants that scripts use, with Linux's numbers."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.outcome import Skipped
from synfin.host import socket_option_numbers
from synfin.host.sockets import AF_INET, AF_INET6, AF_UNSPEC, IPPROTO_TCP, SOCK_STREAM
from synfin.tcp import info, readiness

SOCK_NONBLOCK: Final = 0o4000
SOCK_CLOEXEC: Final = 0o2000000
O_NONBLOCK: Final = 0o4000
O_RDWR: Final = 2
F_GETFD: Final = 1
F_SETFD: Final = 2
F_GETFL: Final = 3
F_SETFL: Final = 4

EPOLL_CTL_ADD: Final = 1
EPOLL_CTL_DEL: Final = 2
EPOLL_CTL_MOD: Final = 3
EPOLLEXCLUSIVE: Final = 1 << 28
EPOLLWAKEUP: Final = 1 << 29
EPOLLONESHOT: Final = 1 << 30
EPOLLET: Final = 1 << 31

#: TCP_INFO's states, ca_states and options, for the snippets too.
TCP_INFO_NAMES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "TCP_ESTABLISHED": 1,
        "TCP_SYN_SENT": 2,
        "TCP_SYN_RECV": 3,
        "TCP_FIN_WAIT1": 4,
        "TCP_FIN_WAIT2": 5,
        "TCP_TIME_WAIT": 6,
        "TCP_CLOSE": 7,
        "TCP_CLOSE_WAIT": 8,
        "TCP_LAST_ACK": 9,
        "TCP_LISTEN": 10,
        "TCP_CLOSING": 11,
        "TCP_CA_Open": 0,
        "TCP_CA_Disorder": 1,
        "TCP_CA_CWR": 2,
        "TCP_CA_Recovery": 3,
        "TCP_CA_Loss": 4,
        "TCPI_OPT_TIMESTAMPS": info.TCPI_OPT_TIMESTAMPS,
        "TCPI_OPT_SACK": info.TCPI_OPT_SACK,
        "TCPI_OPT_WSCALE": info.TCPI_OPT_WSCALE,
        "TCPI_OPT_ECN": info.TCPI_OPT_ECN,
        "TCPI_OPT_ECN_SEEN": info.TCPI_OPT_ECN_SEEN,
        "TCPI_OPT_SYN_DATA": info.TCPI_OPT_SYN_DATA,
    }
)

_POLL: Final = {name: value for name, value in vars(readiness).items() if name.startswith("POLL")}

CONSTANTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        **{name: value for name, value in vars(socket_option_numbers).items() if name.isupper()},
        **{name: value for name, value in vars(errno).items() if name.startswith("E")},
        **TCP_INFO_NAMES,
        **_POLL,
        **{"E" + name: value for name, value in _POLL.items()},
        "POLLNVAL": 0x20,
        "POLLRDNORM": 0x40,
        "POLLRDBAND": 0x80,
        "POLLWRNORM": 0x100,
        "POLLWRBAND": 0x200,
        "EPOLLRDNORM": 0x40,
        "EPOLLWRNORM": 0x100,
        "AF_UNSPEC": AF_UNSPEC,
        "AF_INET": AF_INET,
        "AF_INET6": AF_INET6,
        "PF_INET": AF_INET,
        "PF_INET6": AF_INET6,
        "SOCK_STREAM": SOCK_STREAM,
        "SOCK_DGRAM": 2,
        "SOCK_RAW": 3,
        "SOCK_SEQPACKET": 5,
        "SOCK_NONBLOCK": SOCK_NONBLOCK,
        "SOCK_CLOEXEC": SOCK_CLOEXEC,
        "IPPROTO_TCP": IPPROTO_TCP,
        "IPPROTO_UDP": 17,
        "IPPROTO_SCTP": 132,
        "IPPROTO_UDPLITE": 136,
        "IPPROTO_MPTCP": 262,
        "SOL_TCP": IPPROTO_TCP,
        "SOL_IP": 0,
        "SOL_IPV6": 41,
        "INADDR_ANY": 0,
        "INADDR_LOOPBACK": 0x7F000001,
        "O_RDONLY": 0,
        "O_WRONLY": 1,
        "O_RDWR": O_RDWR,
        "O_NONBLOCK": O_NONBLOCK,
        "F_GETFD": F_GETFD,
        "F_SETFD": F_SETFD,
        "F_GETFL": F_GETFL,
        "F_SETFL": F_SETFL,
        "FD_CLOEXEC": 1,
        "FIONREAD": socket_option_numbers.SIOCINQ,
        "TIOCOUTQ": socket_option_numbers.SIOCOUTQ,
        "EPOLL_CTL_ADD": EPOLL_CTL_ADD,
        "EPOLL_CTL_DEL": EPOLL_CTL_DEL,
        "EPOLL_CTL_MOD": EPOLL_CTL_MOD,
        "EPOLLEXCLUSIVE": EPOLLEXCLUSIVE,
        "EPOLLWAKEUP": EPOLLWAKEUP,
        "EPOLLONESHOT": EPOLLONESHOT,
        "EPOLLET": EPOLLET,
        "EPOLL_CLOEXEC": SOCK_CLOEXEC,
        "MSG_CTRUNC": 0x8,
        "MSG_DONTROUTE": 0x4,
        "MSG_CONFIRM": 0x800,
        "MSG_ZEROCOPY": 0x4000000,
        "MSG_WAITFORONE": 0x10000,
        "MSG_CMSG_CLOEXEC": 0x40000000,
        "IP_RECVTOS": 13,
        "IP_RECVTTL": 12,
        "IP_MINTTL": 21,
        "IP_PMTUDISC_DONT": 0,
        "IP_PMTUDISC_WANT": 1,
        "IP_PMTUDISC_DO": 2,
        "IP_PMTUDISC_PROBE": 3,
        "IP_PMTUDISC_INTERFACE": 4,
        "IP_PMTUDISC_OMIT": 5,
        "IPV6_PMTUDISC_DONT": 0,
        "IPV6_PMTUDISC_WANT": 1,
        "IPV6_PMTUDISC_DO": 2,
        "IPV6_PMTUDISC_PROBE": 3,
        "SO_TIMESTAMP": 29,
        "SO_TIMESTAMPING": 37,
        "SO_RXQ_OVFL": 40,
        "SO_BUSY_POLL": 46,
        "SO_MAX_PACING_RATE": 47,
        "SO_INCOMING_CPU": 49,
        "SO_INCOMING_NAPI_ID": 56,
        "SO_COOKIE": 57,
        "SO_ZEROCOPY": 60,
        "SO_TXTIME": 61,
        "TCP_MD5SIG": 14,
        "TCP_THIN_LINEAR_TIMEOUTS": 16,
        "TCP_THIN_DUPACK": 17,
        "TCP_REPAIR": 19,
        "TCP_REPAIR_QUEUE": 20,
        "TCP_QUEUE_SEQ": 21,
        "TCP_REPAIR_OPTIONS": 22,
        "TCP_FASTOPEN": 23,
        "TCP_CC_INFO": 26,
        "TCP_SAVE_SYN": 27,
        "TCP_SAVED_SYN": 28,
        "TCP_REPAIR_WINDOW": 29,
        "TCP_FASTOPEN_CONNECT": 30,
        "TCP_ULP": 31,
        "TCP_MD5SIG_EXT": 32,
        "TCP_FASTOPEN_KEY": 33,
        "TCP_FASTOPEN_NO_COOKIE": 34,
        "TCP_ZEROCOPY_RECEIVE": 35,
        "TCP_INQ": 36,
        "TCP_CM_INQ": 36,
        "TCP_TX_DELAY": 37,
        # What FreeBSD calls otherwise.
        "TCP_NOPUSH": socket_option_numbers.TCP_CORK,
        "FIONBIO": 0x5421,
    }
)

#: What `FIONBIO` asks ioctl for.
FIONBIO: Final = 0x5421


def errno_name(number: int) -> str:
    """``EAGAIN`` for its number."""
    return errno.errorcode.get(number, str(number))


def errno_number(name: str) -> int:
    """The number of ``EAGAIN``. Raises Skipped for a name that is not known."""
    if name not in CONSTANTS:
        raise Skipped(f"the name {name} is not known")
    return CONSTANTS[name]

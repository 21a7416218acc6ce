"""Scripts of socket calls, each a list of (socket, call, arguments...), for `tests.host.two_worlds`."""

from __future__ import annotations

import struct
from typing import Any

from synfin.host.socket_option_numbers import (
    IP_FREEBIND,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SIOCATMARK,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
    SO_ERROR,
    SO_LINGER,
    SO_OOBINLINE,
    SO_PEEK_OFF,
    SO_RCVLOWAT,
    SO_REUSEADDR,
    SOL_SOCKET,
)
from synfin.host.sockets import AF_INET, AF_INET6

Step = tuple[Any, ...]
Script = list[Step]

SERVER = ("127.0.0.1", 5000)
NOBODY = ("127.0.0.1", 9)
RESET_AT_ONCE = struct.pack("=ii", 1, 0)


def look(name: str) -> Script:
    """What the socket is, without changing it."""
    return [(name, "poll"), (name, "getsockname"), (name, "getpeername")]


def look_whole(name: str) -> Script:
    """The same, and its error, which is forgotten."""
    error = (name, "getsockopt", SOL_SOCKET, SO_ERROR)
    return [(name, "poll"), error, error, *look(name)]


def use(name: str) -> Script:
    """Everything that sends or receives."""
    return [
        (name, "send", b"x"),
        (name, "recv", 9),
        (name, "recv", 9),
        (name, "send", b"y"),
        (name, "ioctl", SIOCINQ),
        (name, "ioctl", SIOCATMARK),
        (name, "recv", 1, MSG_OOB),
        (name, "recv", 1, MSG_PEEK),
        (name, "recv", 1, MSG_ERRQUEUE),
    ]


#: A listener `l`, to which `c` is connected; `s` is its other end.
LISTENER: Script = [
    ("l", "socket", AF_INET),
    ("l", "setsockopt", SOL_SOCKET, SO_REUSEADDR, 1),
    ("l", "bind", SERVER),
    ("l", "listen"),
]
QUEUED: Script = [*LISTENER, ("c", "socket", AF_INET), ("c", "connect", SERVER), ("c", "connect", SERVER)]
PAIR: Script = [*QUEUED, ("l", "accept", "s")]
REFUSED: Script = [("n", "socket", AF_INET), ("n", "connect", NOBODY)]


def _life() -> dict[str, Script]:
    """Sockets in every state of their life."""
    again = [("c", "connect", None), *look("c"), ("c", "connect", SERVER), ("c", "connect", SERVER), *look("c")]
    scripts = {
        "fresh": [
            ("s", "socket", AF_INET),
            *look_whole("s"),
            *use("s"),
            ("s", "accept", "t"),
            ("s", "shutdown", SHUT_RD),
            *look("s"),
            *use("s"),
            *[("s", "shutdown", how) for how in (SHUT_WR, SHUT_RDWR, 3, -1)],
            *look("s"),
            ("s", "listen"),
            *look("s"),
        ],
        "listener": [
            *LISTENER,
            *look("l"),
            *use("l"),
            ("l", "connect", SERVER),
            ("l", "bind", SERVER),
            ("l", "listen", 0),
            ("l", "listen", -1),
            ("l", "accept", "t"),
            ("l", "ioctl", SIOCOUTQ),
            ("l", "connect", None),
            *look("l"),
            ("l", "listen"),
            *look("l"),
        ],
        "connection": [
            *PAIR,
            *look_whole("c"),
            *look_whole("s"),
            *look("l"),
            ("c", "connect", SERVER),
            ("c", "bind", SERVER),
            ("s", "listen"),
            ("s", "accept", "t"),
            ("c", "send", b""),
            ("s", "poll"),
            ("c", "send", b"hello"),
            ("s", "poll"),
            ("s", "ioctl", SIOCINQ),
            ("s", "recv", 2, MSG_PEEK),
            ("s", "recv", 2),
            ("s", "ioctl", SIOCINQ),
            ("s", "recvmsg", 9, MSG_WAITALL | MSG_DONTWAIT),
            ("s", "recv", 1, MSG_ERRQUEUE),
            ("s", "recv", 1),
            ("s", "ioctl", 0x1234),
        ],
        "a backlog of none": [
            ("l", "socket", AF_INET),
            ("l", "bind", SERVER),
            ("l", "listen", 0),
            *[
                step
                for name in ("a", "b", "c")
                for step in ((name, "socket", AF_INET), (name, "connect", SERVER), (name, "poll"))
            ],
            ("l", "accept", "s"),
            ("l", "accept", "t"),
        ],
        "to itself": [
            ("n", "socket", AF_INET),
            ("n", "bind", ("127.0.0.1", 5055)),
            ("n", "connect", ("127.0.0.1", 5055)),
            ("n", "connect", ("127.0.0.1", 5055)),
            *look("n"),
            *use("n"),
            ("n", "shutdown", SHUT_WR),
            *look("n"),
            *use("n"),
        ],
        "the same four-tuple": [
            *PAIR,
            *[
                step
                for name in ("d", "e")
                for step in (
                    (name, "socket", AF_INET),
                    (name, "setsockopt", SOL_SOCKET, SO_REUSEADDR, 1),
                    (name, "bind", ("127.0.0.1", 5077)),
                    (name, "connect", SERVER),
                )
            ],
            *look("e"),
        ],
    }
    for how in (SHUT_RD, SHUT_WR, SHUT_RDWR):
        scripts |= {
            f"fresh, shutdown {how}, connect": [
                *PAIR,
                ("n", "socket", AF_INET),
                ("n", "shutdown", how),
                ("n", "connect", SERVER),
                *look_whole("n"),
                ("n", "connect", SERVER),
                *use("n"),
                *look("n"),
            ],
            f"listener, shutdown {how}": [
                *PAIR,
                ("l", "shutdown", how),
                *look("l"),
                *use("l"),
                ("l", "accept", "t"),
                ("l", "connect", SERVER),
                *look("l"),
                ("l", "listen"),
                *look("l"),
                ("x", "socket", AF_INET),
                ("x", "bind", SERVER),
            ],
            f"connecting, shutdown {how}": [
                *REFUSED,
                ("n", "shutdown", how),
                *look_whole("n"),
                *use("n"),
                ("n", "connect", SERVER),
                ("n", "connect", None),
                *look("n"),
                ("n", "connect", NOBODY),
            ],
            f"connection, shutdown {how}": [
                *PAIR,
                ("c", "send", b"abc"),
                ("s", "send", b"def"),
                ("c", "shutdown", how),
                *[step for name in "cs" for step in (*look_whole(name), *use(name))],
                ("c", "shutdown", how),
                ("s", "shutdown", how),
                *[step for name in "cs" for step in (*look_whole(name), *use(name), *look(name))],
                ("c", "shutdown", SHUT_RDWR),
                ("s", "shutdown", SHUT_RDWR),
                ("c", "connect", SERVER),
                ("c", "listen"),
                *again,
            ],
            f"shutdown {how}, then data": [
                *PAIR,
                ("s", "shutdown", how),
                ("c", "send", b"abc"),
                ("s", "poll"),
                ("s", "recv", 2),
                *look_whole("s"),
                *look_whole("c"),
                ("c", "send", b"more"),
                *look_whole("c"),
                *use("s"),
                *look_whole("s"),
            ],
        }
    return scripts


def _endings() -> dict[str, Script]:
    """How connecting fails, and how connections end."""
    lingering = ("s", "setsockopt", SOL_SOCKET, SO_LINGER, RESET_AT_ONCE)
    return {
        "refused": [
            *REFUSED,
            ("n", "poll"),
            ("n", "connect", NOBODY),
            *look_whole("n"),
            *use("n"),
            ("n", "connect", NOBODY),
            ("n", "getsockopt", SOL_SOCKET, SO_ERROR),
            ("n", "connect", NOBODY),
            *look_whole("n"),
            ("n", "listen"),
            *look("n"),
        ],
        "refused, told by send": [*REFUSED, *look("n"), *use("n"), *look("n")],
        "refused, told by recv": [*REFUSED, ("n", "recv", 1), ("n", "recv", 1), ("n", "send", b"x"), *look("n")],
        "refused, bind": [
            *REFUSED,
            ("n", "getsockopt", SOL_SOCKET, SO_ERROR),
            ("n", "bind", ("127.0.0.1", 0)),
            ("n", "bind", ("127.0.0.1", 5001)),
            *look("n"),
            ("n", "connect", NOBODY),
            ("n", "bind", ("127.0.0.1", 5001)),
            *look("n"),
        ],
        "bound to a port, refused": [
            ("n", "socket", AF_INET),
            ("n", "bind", ("0.0.0.0", 5002)),
            ("n", "connect", NOBODY),
            ("n", "getsockname"),
            ("n", "connect", NOBODY),
            *look_whole("n"),
            ("n", "bind", ("0.0.0.0", 5003)),
            ("m", "socket", AF_INET),
            ("m", "bind", ("0.0.0.0", 5002)),
        ],
        "bound to an address, refused": [
            ("n", "socket", AF_INET),
            ("n", "bind", ("127.0.0.2", 0)),
            ("n", "connect", NOBODY),
            ("n", "getsockname"),
            ("n", "connect", NOBODY),
            *look_whole("n"),
            ("n", "bind", ("0.0.0.0", 5003)),
            *look("n"),
        ],
        "dissolved": [
            *PAIR,
            ("s", "send", b"late"),
            ("c", "connect", None),
            *look_whole("c"),
            *use("c"),
            ("s", "poll"),
            ("s", "send", b"x"),
            ("s", "send", b"x"),
            ("s", "recv", 1),
            *look_whole("s"),
            ("c", "connect", SERVER),
            ("c", "connect", SERVER),
            *look("c"),
        ],
        "reset after data": [
            *PAIR,
            ("c", "send", b"data"),
            ("c", "connect", None),
            *look("s"),
            ("s", "recv", 9),
            ("s", "recv", 9),
            ("s", "recv", 9),
            ("s", "send", b"x"),
            *look_whole("s"),
            ("s", "connect", SERVER),
            ("s", "connect", None),
            ("s", "connect", SERVER),
            ("s", "connect", SERVER),
        ],
        "closed by the peer": [
            *PAIR,
            ("c", "send", b"bye"),
            ("c", "close"),
            *look_whole("s"),
            *use("s"),
            ("s", "send", b"x"),
            ("s", "recv", 1),
            *look_whole("s"),
        ],
        "closed by both": [
            *PAIR,
            ("c", "close"),
            ("s", "recv", 1),
            ("s", "close"),
            ("x", "socket", AF_INET),
            ("x", "bind", ("0.0.0.0", 5000)),
        ],
        "a port in TIME-WAIT, asked for again": [
            *LISTENER,
            *[
                step
                for name in ("c", "d")
                for step in (
                    (name, "socket", AF_INET),
                    (name, "setsockopt", SOL_SOCKET, SO_REUSEADDR, 1),
                    (name, "bind", ("127.0.0.1", 5090)),
                    (name, "connect", SERVER),
                    (name, "connect", SERVER),
                    ("l", "accept", f"s{name}"),
                    (name, "close"),
                    (f"s{name}", "close"),
                )
            ],
        ],
        "closed with data unread": [
            *PAIR,
            ("c", "send", b"x"),
            ("s", "close"),
            *look("c"),
            *use("c"),
            *look_whole("c"),
        ],
        "closed with data unread, after a FIN": [
            *PAIR,
            ("c", "send", b"x"),
            ("c", "shutdown", SHUT_WR),
            ("s", "close"),
            *look("c"),
            *use("c"),
            *look_whole("c"),
        ],
        "linger for no time": [*PAIR, lingering, ("s", "close"), *look("c"), *use("c"), *look_whole("c")],
        "linger for no time, with data": [
            *PAIR,
            lingering,
            ("s", "send", b"abc"),
            ("s", "close"),
            *look("c"),
            *use("c"),
            *look_whole("c"),
        ],
        "reset after a FIN": [
            *PAIR,
            ("c", "shutdown", SHUT_WR),
            ("s", "send", b"1"),
            ("c", "close"),
            *look("s"),
            ("s", "recv", 1),
            ("s", "recv", 1),
            ("s", "send", b"x"),
            ("s", "send", b"x"),
            *look_whole("s"),
        ],
        "listener closed, connection waiting": [*QUEUED, ("l", "close"), *look_whole("c"), *use("c")],
        "reset while waiting": [
            *QUEUED,
            ("c", "connect", None),
            ("l", "poll"),
            ("l", "accept", "s"),
            *look_whole("s"),
            *use("s"),
        ],
        "accepted after data and FIN": [
            *QUEUED,
            ("c", "send", b"hi"),
            ("c", "shutdown", SHUT_WR),
            ("l", "accept", "s"),
            *look("s"),
            ("s", "recv", 9),
            ("s", "recv", 9),
        ],
        "both halves of both shut": [
            *PAIR,
            ("c", "shutdown", SHUT_RDWR),
            ("s", "shutdown", SHUT_RDWR),
            *[step for name in "cs" for step in (*look_whole(name), *use(name))],
            ("c", "connect", SERVER),
            ("c", "bind", SERVER),
            ("c", "listen"),
            ("c", "connect", None),
            ("c", "connect", SERVER),
            ("c", "connect", SERVER),
            *look_whole("c"),
        ],
    }


def _flags() -> dict[str, Script]:
    """Urgent data, peeking, SO_RCVLOWAT, how much waits."""
    return {
        "urgent": [
            *PAIR,
            ("c", "send", b"abc", MSG_OOB),
            ("s", "poll"),
            ("s", "ioctl", SIOCINQ),
            ("s", "ioctl", SIOCATMARK),
            ("s", "recv", 9),
            ("s", "ioctl", SIOCATMARK),
            ("s", "poll"),
            ("s", "recv", 9),
            ("s", "recvmsg", 1, MSG_OOB | MSG_PEEK),
            ("s", "recvmsg", 1, MSG_OOB),
            ("s", "recv", 1, MSG_OOB),
            ("s", "poll"),
            ("c", "send", b"de"),
            ("s", "recv", 9),
            ("s", "ioctl", SIOCATMARK),
        ],
        "urgent, no room": [
            *PAIR,
            ("c", "send", b"c", MSG_OOB),
            ("s", "recvmsg", 0, MSG_OOB),
            ("s", "recv", 1, MSG_OOB),
        ],
        "urgent, in line": [
            *PAIR,
            ("s", "setsockopt", SOL_SOCKET, SO_OOBINLINE, 1),
            ("c", "send", b"abc", MSG_OOB),
            ("s", "poll"),
            ("s", "recv", 9, MSG_OOB),
            ("s", "recv", 9),
            ("s", "ioctl", SIOCATMARK),
            ("s", "recv", 9),
            ("s", "poll"),
        ],
        "urgent, then closed": [
            *PAIR,
            ("c", "send", b"c", MSG_OOB),
            ("c", "close"),
            ("s", "poll"),
            ("s", "recv", 9),
            ("s", "recv", 1, MSG_OOB),
            ("s", "recv", 1, MSG_OOB),
        ],
        "urgent, peeked at": [
            *PAIR,
            ("c", "send", b"abc", MSG_OOB),
            ("c", "send", b"def"),
            *[("s", "recv", 9, flag) for flag in (MSG_PEEK, 0, MSG_PEEK, 0)],
        ],
        "peek offset": [
            *PAIR,
            ("s", "setsockopt", SOL_SOCKET, SO_PEEK_OFF, 1),
            ("c", "send", b"abcdef"),
            ("s", "recv", 2, MSG_PEEK),
            ("s", "recv", 2, MSG_PEEK),
            ("s", "recv", 1),
            ("s", "getsockopt", SOL_SOCKET, SO_PEEK_OFF),
            ("s", "recv", 2, MSG_PEEK),
            ("s", "recv", 2, MSG_PEEK),
            ("s", "getsockopt", SOL_SOCKET, SO_PEEK_OFF),
            ("s", "recv", 9),
            ("s", "getsockopt", SOL_SOCKET, SO_PEEK_OFF),
        ],
        "low-water mark": [
            *PAIR,
            ("s", "setsockopt", SOL_SOCKET, SO_RCVLOWAT, 5),
            ("c", "send", b"abc"),
            ("s", "poll"),
            ("s", "recv", 1, MSG_PEEK),
            ("c", "send", b"de"),
            ("s", "poll"),
            ("s", "recv", 9),
            ("c", "send", b"a"),
            ("c", "shutdown", SHUT_WR),
            ("s", "poll"),
        ],
        "discarded": [
            *PAIR,
            ("c", "send", b"abcdef"),
            ("s", "recvmsg", 0, MSG_TRUNC),
            ("s", "recv", 9),
        ],
        "how much waits": [
            *PAIR,
            *[(name, "ioctl", request) for name in "cs" for request in (SIOCINQ, SIOCOUTQ, SIOCOUTQNSD)],
        ],
    }


def _addresses() -> dict[str, Script]:
    """Binding and connecting to every kind of address, both versions, mapped ones too."""
    scripts: dict[str, Script] = {}
    of_ipv4 = ("0.0.0.0", "127.0.0.1", "127.9.9.9", "8.8.8.8", "224.0.0.1", "255.255.255.255", "127.255.255.255")
    of_ipv6 = ("::", "::1", "::2", "ff02::1", "fe80::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:224.0.0.1")
    for family, address in [*((AF_INET, a) for a in of_ipv4), *((AF_INET6, a) for a in of_ipv6)]:
        made = ("n", "socket", family)
        nobodies = [NOBODY] if family == AF_INET else [("::ffff:127.0.0.1", 9), ("::1", 9)]
        scripts[f"bind {address}"] = [
            made,
            ("n", "bind", (address, 5010)),
            ("n", "getsockname"),
            ("n", "bind", (address, 5011)),
            ("n", "listen"),
            *look("n"),
        ]
        scripts[f"connect {address}"] = [
            made,
            ("n", "connect", (address, 9)),
            ("n", "getsockname"),
            ("n", "connect", (address, 9)),
            *look_whole("n"),
        ]
        for nobody in nobodies:
            scripts[f"bind {address}, connect {nobody[0]}"] = [
                made,
                ("n", "bind", (address, 0)),
                ("n", "bind", (address, 0)),
                ("n", "getsockname"),
                ("n", "connect", nobody),
                *look_whole("n"),
            ]
        if family == AF_INET6:
            only = ("n", "setsockopt", IPPROTO_IPV6, IPV6_V6ONLY, 1)
            asked = ("n", "getsockopt", IPPROTO_IPV6, IPV6_V6ONLY)
            scripts |= {
                f"connect {address}, V6ONLY": [made, only, ("n", "connect", (address, 9)), *look_whole("n")],
                f"bind {address}, V6ONLY": [made, only, ("n", "bind", (address, 5010)), ("n", "getsockname"), asked],
                f"bind {address}, V6ONLY too late": [made, ("n", "bind", (address, 5010)), asked, only, asked],
                f"bind {address}, free": [
                    made,
                    ("n", "setsockopt", IPPROTO_IP, IP_FREEBIND, 1),
                    ("n", "bind", (address, 5010)),
                    ("n", "getsockname"),
                ],
            }
    for at, to in (
        ("::", "127.0.0.1"),
        ("::", "::1"),
        ("::", "127.0.0.5"),
        ("::", "::ffff:127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("::ffff:127.0.0.1", "::1"),
        ("::1", "::1"),
        ("::1", "127.0.0.1"),
    ):
        scripts[f"listen at {at}, connect to {to}"] = [
            ("l", "socket", AF_INET6),
            ("l", "bind", (at, 5000)),
            ("l", "listen"),
            ("c", "socket", AF_INET6 if ":" in to else AF_INET),
            ("c", "connect", (to, 5000)),
            ("c", "connect", (to, 5000)),
            ("l", "accept", "s"),
            *look("s"),
            *look("c"),
            ("s", "send", b"x"),
            ("c", "recv", 1),
            ("s", "getsockopt", IPPROTO_IPV6, IPV6_V6ONLY),
        ]
    return scripts


SCRIPTS: dict[str, Script] = {**_life(), **_endings(), **_flags(), **_addresses()}

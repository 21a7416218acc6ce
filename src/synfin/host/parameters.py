"""The parameters of a host under Linux's names, as sysctl(8) reads and sets them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin.host.binding import reserved_ports
from synfin.tcp.congestion import available
from synfin.tcp.parameters import INT_MAX, TCP_PARAMETERS, Parameter, TcpParameters, Value
from synfin.tcp.recovery import available_recoveries

#: All parameters that are the host's own.
HOST_PARAMETERS: Final = (
    Parameter("net.ipv4.ip_default_ttl", 64, "TTL of what the host sends", 1, 255),
    Parameter("net.ipv4.ip_local_port_range", (32768, 60999), "first and last port that connect chooses", 1, 65535),
    Parameter("net.ipv4.ip_local_reserved_ports", "", "ports that are never chosen, such as 8080,9000-9010"),
    Parameter("net.ipv4.ip_autobind_reuse", 0, "1: bind may choose a port that others share (SO_REUSEADDR)", 0, 1),
    Parameter("net.ipv4.ip_nonlocal_bind", 0, "1: a socket may be bound to an IPv4 address of no interface", 0, 1),
    Parameter(
        "net.ipv6.ip_nonlocal_bind",
        0,
        "1: a socket may be bound to an IPv6 address of no interface",
        0,
        1,
        "ip_nonlocal_bind_ipv6",
    ),
    Parameter("net.ipv6.bindv6only", 0, "1: an IPv6 socket takes no IPv4 unless IPV6_V6ONLY is unset", 0, 1),
    Parameter("net.core.rmem_max", 4194304, "the most that SO_RCVBUF takes, in octets", 2304),
    Parameter("net.core.wmem_max", 4194304, "the most that SO_SNDBUF takes, in octets", 4608),
    Parameter("net.core.somaxconn", 4096, "the most that a listener's backlog counts for", 0, 65535),
    # --- fragments
    Parameter("net.ipv4.ipfrag_high_thresh", 4194304, "octets of memory for incomplete datagrams, 0: none is kept"),
    Parameter("net.ipv4.ipfrag_time", 30, "seconds until an incomplete datagram is given up"),
    Parameter("net.ipv6.ip6frag_high_thresh", 4194304, "octets of memory for incomplete IPv6 datagrams"),
    Parameter("net.ipv6.ip6frag_time", 60, "seconds until an incomplete IPv6 datagram is given up (RFC 8200 §4.5)"),
    Parameter("synfin.ipfrag_max_fragments", 128, "fragments of one datagram, at most", 2),
    # --- ICMP
    Parameter("net.ipv4.icmp_echo_ignore_all", 0, "1: answer no echo request", 0, 1),
    Parameter("net.ipv4.icmp_echo_ignore_broadcasts", 1, "1: answer no echo request to many (RFC 1122 §3.2.2.6)", 0, 1),
    Parameter("net.ipv4.icmp_msgs_per_sec", 1000, "ICMP errors a second, to all together"),
    Parameter("net.ipv4.icmp_msgs_burst", 50, "ICMP errors that may follow each other at once"),
    Parameter("net.ipv4.icmp_ratelimit", 1000, "milliseconds between two ICMP errors to one host, 0: no limit"),
    Parameter("net.ipv6.icmp.echo_ignore_all", 0, "1: answer no ICMPv6 echo request", 0, 1, "ipv6_echo_ignore_all"),
    Parameter(
        "net.ipv6.icmp.echo_ignore_multicast",
        0,
        "1: answer no ICMPv6 echo request to many",
        0,
        1,
        "ipv6_echo_ignore_multicast",
    ),
    Parameter(
        "net.ipv6.icmp.ratelimit",
        100,
        "milliseconds between two ICMPv6 errors to one host",
        0,
        INT_MAX,
        "ipv6_ratelimit",
    ),
    # --- the MTU of paths
    Parameter(
        "net.ipv4.ip_no_pmtu_disc",
        0,
        "1: DF is left clear; 2: and reports of a path's MTU are dropped; 3: DF is left clear",
        0,
        3,
    ),
    Parameter("net.ipv4.route.min_pmtu", 552, "octets: of a router that reports less, this is believed", 68, 65535),
    Parameter("net.ipv4.route.mtu_expires", 600, "seconds that a report of a path's MTU is believed"),
    Parameter(
        "net.ipv6.route.mtu_expires",
        600,
        "seconds that a report of an IPv6 path's MTU is believed",
        0,
        INT_MAX,
        "ipv6_mtu_expires",
    ),
)

#: Every parameter by its name, in the order of the names.
PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType(
    dict(sorted((parameter.name, parameter) for parameter in HOST_PARAMETERS + TCP_PARAMETERS))
)
_OF_THE_HOST: Final = frozenset(parameter.name for parameter in HOST_PARAMETERS)


class Parameters:
    """All parameters of one host. Those of TCP are in `tcp`; `PARAMETERS` says what each means.

    `profile` is the name of the set of values that they began with (`synfin.host.profiles`).
    """

    __slots__ = ("profile", "tcp", *(parameter.attribute for parameter in HOST_PARAMETERS))

    bindv6only: int
    icmp_echo_ignore_all: int
    icmp_echo_ignore_broadcasts: int
    icmp_msgs_burst: int
    icmp_msgs_per_sec: int
    icmp_ratelimit: int
    ip6frag_high_thresh: int
    ip6frag_time: int
    ip_autobind_reuse: int
    ip_default_ttl: int
    ip_local_port_range: tuple[int, int]
    ip_local_reserved_ports: str
    ip_no_pmtu_disc: int
    ip_nonlocal_bind: int
    ip_nonlocal_bind_ipv6: int
    ipfrag_high_thresh: int
    ipfrag_max_fragments: int
    ipfrag_time: int
    ipv6_echo_ignore_all: int
    ipv6_echo_ignore_multicast: int
    ipv6_mtu_expires: int
    ipv6_ratelimit: int
    min_pmtu: int
    mtu_expires: int
    rmem_max: int
    somaxconn: int
    wmem_max: int

    def __init__(self) -> None:
        self.profile = "linux"
        self.tcp = TcpParameters()
        for parameter in HOST_PARAMETERS:
            setattr(self, parameter.attribute, parameter.default)

    def names(self) -> list[str]:
        """All names, sorted, such as ``net.ipv4.tcp_syn_retries``."""
        return list(PARAMETERS)

    def get(self, name: str) -> Value:
        """The value of the parameter `name`. Raises KeyError if there is none."""
        value: Value = getattr(self._owner(name), PARAMETERS[name].attribute)
        return value

    def set(self, name: str, text: str) -> None:
        """Sets the parameter `name` from `text`, as ``sysctl -w`` would.

        Raises KeyError if there is no such parameter, ValueError if the value does not fit it.
        """
        parameter = PARAMETERS[name]
        self.assign(parameter, parse(parameter, text))

    def assign(self, parameter: Parameter, value: Value) -> None:
        """Gives `parameter` a value that is known to fit it."""
        setattr(self._owner(parameter.name), parameter.attribute, value)

    def _owner(self, name: str) -> TcpParameters | Parameters:
        return self if name in _OF_THE_HOST else self.tcp


def parse(parameter: Parameter, text: str) -> Value:
    """The value that `text` writes for `parameter`. Raises ValueError, with words, if it is none."""
    name = parameter.name
    default = parameter.default
    if name == "net.ipv4.ip_local_reserved_ports":
        reserved_ports(text)
        return "".join(text.split())
    if isinstance(default, str):
        word = text.strip()
        names = available()
        if name == "synfin.tcp_loss_recovery":
            if not word:
                return word
            names = available_recoveries()
        if word not in names:
            raise ValueError(f"{name} takes one of {', '.join(names)}")
        return word
    numbers = tuple(int(word) for word in text.split())
    if not all(parameter.least <= number <= parameter.most for number in numbers):
        raise ValueError(f"{name} takes numbers from {parameter.least} to {parameter.most}")
    if isinstance(default, tuple):
        if len(numbers) != len(default) or list(numbers) != sorted(numbers):
            raise ValueError(f"{name} takes {len(default)} numbers in ascending order")
        return numbers
    if len(numbers) != 1:
        raise ValueError(f"{name} takes one number")
    return numbers[0]


def text(value: Value) -> str:
    """A value as sysctl(8) prints it."""
    return "\t".join(map(str, value)) if isinstance(value, tuple) else str(value)

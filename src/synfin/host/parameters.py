"""The parameters of a host under Linux's names, as sysctl(8) reads and sets them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin.tcp.congestion import available
from synfin.tcp.parameters import TcpParameters

Value = int | str | tuple[int, ...]

_TCP_PREFIX: Final = "net.ipv4."
#: The names of the host's own parameters, as sysctl(8) spells them.
_HOST_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "net.ipv4.ip_default_ttl": "ip_default_ttl",
        "net.ipv4.ip_local_port_range": "ip_local_port_range",
        "net.core.somaxconn": "somaxconn",
    }
)


#: The least and the greatest value of each number, for those that Linux bounds too.
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "ip_default_ttl": (1, 255),
        "ip_local_port_range": (1, 65535),
        "somaxconn": (0, 65535),
        "tcp_syn_retries": (1, 127),
        "tcp_synack_retries": (0, 255),
        "tcp_syn_linear_timeouts": (0, 127),
        "tcp_retries1": (0, 255),
        "tcp_min_snd_mss": (48, 65535),
        "tcp_rmem": (1, (1 << 31) - 1),
        "tcp_wmem": (1, (1 << 31) - 1),
        "tcp_rto_min_us": (1, 120_000_000),
        "tcp_rto_max_ms": (1000, 120_000),
    }
)
_ANY_NUMBER: Final = (0, (1 << 31) - 1)


class Parameters:
    """All parameters of one host. Those of TCP are in `tcp`."""

    __slots__ = ("ip_default_ttl", "ip_local_port_range", "somaxconn", "tcp")

    def __init__(self) -> None:
        self.tcp = TcpParameters()
        #: TTL, and IPv6's hop limit, of what the host sends.
        self.ip_default_ttl = 64
        #: The first and the last port that a connection without one of its own may get.
        self.ip_local_port_range = (32768, 60999)
        #: The most that a listener's backlog counts for.
        self.somaxconn = 4096

    def names(self) -> list[str]:
        """All names, sorted, such as ``net.ipv4.tcp_syn_retries``."""
        return sorted([_TCP_PREFIX + name for name in TcpParameters.__slots__] + list(_HOST_NAMES))

    def get(self, name: str) -> Value:
        """The value of the parameter `name`. Raises KeyError if there is none."""
        owner, attribute = self._find(name)
        value: Value = getattr(owner, attribute)
        return value

    def set(self, name: str, text: str) -> None:
        """Sets the parameter `name` from `text`, as ``sysctl -w`` would.

        Raises KeyError if there is no such parameter, ValueError if the value does not fit it.
        """
        owner, attribute = self._find(name)
        old: Value = getattr(owner, attribute)
        value: Value = text.strip()
        if not isinstance(old, str):
            numbers = tuple(int(word) for word in text.split())
            least, most = _BOUNDS.get(attribute, _ANY_NUMBER)
            if not all(least <= number <= most for number in numbers):
                raise ValueError(f"{name} takes numbers from {least} to {most}")
            if isinstance(old, tuple):
                if len(numbers) != len(old) or list(numbers) != sorted(numbers):
                    raise ValueError(f"{name} takes {len(old)} numbers in ascending order")
                value = numbers
            elif len(numbers) == 1:
                value = numbers[0]
            else:
                raise ValueError(f"{name} takes one number")
        elif attribute == "tcp_congestion_control" and value not in available():
            raise ValueError(f"{name} takes one of {', '.join(available())}")
        setattr(owner, attribute, value)

    def _find(self, name: str) -> tuple[TcpParameters | Parameters, str]:
        if name in _HOST_NAMES:
            return self, _HOST_NAMES[name]
        attribute = name.removeprefix(_TCP_PREFIX)
        if attribute != name and attribute in TcpParameters.__slots__:
            return self.tcp, attribute
        raise KeyError(name)

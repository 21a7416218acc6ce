"""What a script's ``--options`` say, and what the command line adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from synfin.drill.language.script import Option, Script
from synfin.drill.outcome import Skipped
from synfin.host.sockets import AF_INET, AF_INET6
from synfin.show.words import Language

IPV4: Final = "ipv4"
IPV6: Final = "ipv6"
MAPPED: Final = "mapped"

STRICT: Final = "strict"
LENIENT: Final = "lenient"

MICROSECOND: Final = 1000
#: The suites run IPv6 with an MTU of 20 octets more, so that the MSS stays 1460.
MTU: Final = 1500
MTU_OF_IPV6: Final = 1520

_VERSIONS: Final[Mapping[str, str]] = MappingProxyType({"ipv4": IPV4, "ipv6": IPV6, "ipv4-mapped-ipv6": MAPPED})
_LOCAL: Final[Mapping[str, str]] = MappingProxyType(
    {IPV4: "192.168.0.1", MAPPED: "192.168.0.1", IPV6: "fd3d:a0b:17d6::1"}
)
_REMOTE: Final[Mapping[str, str]] = MappingProxyType(
    {IPV4: "192.0.2.1", MAPPED: "192.0.2.1", IPV6: "fd3d:fa7b:d17d::1"}
)
#: Options that change nothing here: about devices, threads and logs.
_IDLE: Final = frozenset(
    {
        "send_omit_free",
        "verbose",
        "v",
        "debug",
        "persistent_tun_dev",
        "tun_dev",
        "fm_filename",
        "code_command",
        "code_format",
        "code_sockopt",
        "speed",
        "no_cleanup",
    }
)
_IPV4_IN_IPV6: Final = "::ffff:"


@dataclass(frozen=True, slots=True)
class Choices:
    """What whoever starts a run chooses for all scripts. None: the script, or its dialect, decides.

    `isn` is our initial sequence number, `remote_isn_offset` is added to those of the other end. With `debug` an
    internal error shows where it happened. `language` is that of ladders.
    """

    profile: str | None = None
    ip: str | None = None
    compare: str = STRICT
    strict_end: bool = False
    isn: int | None = None
    remote_isn_offset: int = 0
    code: bool = True
    debug: bool = False
    language: Language = "en"


@dataclass(slots=True)
class Settings:
    """The options of one run: those of the script over the defaults. Times in nanoseconds."""

    ip: str = IPV4
    local_ip: str = ""
    remote_ip: str = ""
    gateway_ip: str = ""
    netmask_ip: str = ""
    bind_port: int = 8080
    connect_port: int = 8080
    mtu: int = 0
    mss: int = 0
    tolerance: int = 4000 * MICROSECOND
    tolerance_percent: float = 12.5
    timestamp_tick: int = 0
    ecr_scaled: bool = False
    strict_segments: bool = False
    strict_end: bool = False
    non_fatal: frozenset[str] = frozenset()

    @property
    def family(self) -> int:
        """Of sockets where the script does not say: IPv6's also for mapped addresses."""
        return AF_INET if self.ip == IPV4 else AF_INET6

    def socket_address(self, octets: str) -> str:
        """An address as sockets of this run write it."""
        return f"{_IPV4_IN_IPV6}{octets}" if self.ip == MAPPED and ":" not in octets else octets


def settings(script: Script, choices: Choices) -> Settings:
    """The options of a run. Raises Skipped for an option that is not supported, or for a value that makes no sense."""
    made = Settings(strict_end=choices.strict_end)
    versions = [option.value for option in script.options if option.name == "ip_version"]
    if versions:
        # As the suites' runners have it: a script that names a version is meant for it alone.
        version = _VERSIONS.get(versions[-1] or "")
        if version is None:
            raise Skipped(f"--ip_version={versions[-1]} is not known")
        made.ip = version
    elif choices.ip is not None:
        made.ip = choices.ip
    for option in script.options:
        _apply(made, option)
    made.local_ip = made.local_ip or _LOCAL[made.ip]
    made.remote_ip = made.remote_ip or _REMOTE[made.ip]
    if not made.mtu:
        made.mtu = MTU_OF_IPV6 if choices.ip == IPV6 and not versions else MTU
    return made


def _apply(made: Settings, option: Option) -> None:
    name, value = option.name, option.value
    if name in ("ip_version", "define", "D") or name in _IDLE:
        return
    if name in ("local_ip", "remote_ip", "gateway_ip", "netmask_ip"):
        setattr(made, name, _address(made, option))
    elif name in ("bind_port", "connect_port"):
        setattr(made, name, _number(option, 1, 65535))
    elif name == "mtu":
        made.mtu = _number(option, 68, 65535)
    elif name == "mss":
        made.mss = _number(option, 1, 65535)
    elif name == "tolerance_usecs":
        made.tolerance = _number(option, 0, 10**12) * MICROSECOND
    elif name == "tolerance_percent":
        made.tolerance_percent = _percent(option)
    elif name == "tcp_ts_tick_usecs":
        made.timestamp_tick = _number(option, 0, 10**9) * MICROSECOND
    elif name == "tcp_ts_ecr_scaled":
        made.ecr_scaled = True
    elif name == "strict_segments":
        made.strict_segments = True
    elif name == "strict_end":
        made.strict_end = True
    elif name == "non_fatal":
        made.non_fatal = frozenset((value or "").replace(",", " ").split())
    elif name == "udp_encapsulation":
        raise Skipped("UDP encapsulation is not supported")
    elif name == "tcp_md5_secret":
        raise Skipped("MD5 signatures are not supported")
    else:
        raise Skipped(f"the option --{name} is not known")


def _address(made: Settings, option: Option) -> str:
    text = (option.value or "").removeprefix(_IPV4_IN_IPV6)
    try:
        address = ip_address(text)
    except ValueError:
        raise Skipped(f"--{option.name}={option.value} is no address") from None
    if (address.version == 6) != (made.ip == IPV6):
        # Meant for the other version, as suites that run three ways write it.
        return ""
    return text


def _number(option: Option, least: int, most: int) -> int:
    text = option.value or ""
    if re.fullmatch(r"\d{1,12}", text) and least <= int(text) <= most:
        return int(text)
    raise Skipped(f"--{option.name} takes a number from {least} to {most}, not {text!r}")


def _percent(option: Option) -> float:
    text = option.value or ""
    if re.fullmatch(r"\d{1,4}(\.\d{0,6})?", text):
        return float(text)
    raise Skipped(f"--{option.name} takes a number, not {text!r}")

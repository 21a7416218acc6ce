"""sysctl's names, of Linux and of FreeBSD, and what setting them does to a host's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.outcome import Skipped
from synfin.host.parameters import PARAMETERS, Parameters, text
from synfin.host.profiles import PROFILES

#: Names that the host does not have, with the values at which a kernel behaves as the host does.
NATURE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "net.ipv4.tcp_fastopen": frozenset({"0"}),
        "net.ipv4.tcp_autocorking": frozenset({"0"}),
        "net.ipv4.tcp_low_latency": frozenset({"0", "1"}),
        "net.ipv4.tcp_fack": frozenset({"0"}),
        "net.ipv4.tcp_thin_linear_timeouts": frozenset({"0"}),
        "net.ipv4.tcp_shrink_window": frozenset({"0"}),
        "net.ipv4.tcp_comp_sack_nr": frozenset({"0"}),
        "net.ipv4.tcp_plb_enabled": frozenset({"0"}),
        "net.ipv4.tcp_reflect_tos": frozenset({"0"}),
        "net.ipv4.tcp_fwmark_accept": frozenset({"0"}),
        "net.inet.tcp.functions_default": frozenset({"freebsd"}),
        "net.inet.tcp.cc.abe": frozenset({"0"}),
        "net.inet.tcp.rfc3390": frozenset({"0", "1"}),
        "net.inet.tcp.path_mtu_discovery": frozenset({"1"}),
        "net.inet.tcp.reass.new_limit": frozenset({"0"}),
        "net.inet.tcp.tso": frozenset({"0", "1"}),
        "net.inet.tcp.fastopen.server_enable": frozenset({"0"}),
        "net.inet.tcp.fastopen.client_enable": frozenset({"0"}),
        "net.inet.tcp.pmtud_blackhole_detection": frozenset({"0"}),
    }
)
#: Names that mean something only where there is a device, a qdisc, or more than one host.
IDLE: Final = frozenset(
    {
        "net.ipv4.tcp_tso_win_divisor",
        "net.ipv4.tcp_limit_output_bytes",
        "net.ipv4.tcp_allowed_congestion_control",
        "net.ipv4.tcp_challenge_ack_limit",
        "net.ipv4.tcp_comp_sack_delay_ns",
        "net.ipv4.tcp_comp_sack_slack_ns",
        "net.ipv4.tcp_fastopen_key",
        "net.ipv4.tcp_fastopen_blackhole_timeout_sec",
        "net.core.default_qdisc",
        "net.core.netdev_max_backlog",
        "net.inet.tcp.hostcache.purgenow",
        "net.inet.tcp.hostcache.enable",
        "net.inet.tcp.hostcache.purge",
        "net.inet.tcp.syncache.rst_on_sock_fail",
        "net.inet.tcp.minmss",
    }
)

Conversion = Callable[[Parameters, str], Mapping[str, str]]


def _same(name: str) -> Conversion:
    return lambda parameters, value: {name: value}


def _scaled(name: str, numerator: int, denominator: int) -> Conversion:
    return lambda parameters, value: {name: str(_number(value) * numerator // denominator)}


def _middle(name: str) -> Conversion:
    """The default of three sizes; the bounds make room for it."""

    def convert(parameters: Parameters, value: str) -> Mapping[str, str]:
        least, _, most = text(parameters.get(name)).split()
        size = _number(value)
        return {name: f"{min(int(least), size)} {size} {max(int(most), size)}"}

    return convert


def _rfc1323(parameters: Parameters, value: str) -> Mapping[str, str]:
    """0 neither, 1 both, 2 window scaling alone, 3 timestamps alone."""
    scaling, timestamps = {"0": ("0", "0"), "1": ("1", "1"), "2": ("1", "0"), "3": ("0", "1")}.get(value, ("", ""))
    return {"net.ipv4.tcp_window_scaling": scaling, "net.ipv4.tcp_timestamps": timestamps}


def _number(value: str) -> int:
    if not value.isdecimal() or len(value) > 12:
        raise ValueError(value)
    return int(value)


def _algorithm(parameters: Parameters, value: str) -> Mapping[str, str]:
    return {"net.ipv4.tcp_congestion_control": "reno" if value == "newreno" else value}


#: FreeBSD's names, and what they are here. Its times are in milliseconds.
_OF_FREEBSD: Final[Mapping[str, Conversion]] = MappingProxyType(
    {
        "rfc1323": _rfc1323,
        "cc.algorithm": _algorithm,
        "sack.enable": _same("net.ipv4.tcp_sack"),
        "ecn.enable": _same("net.ipv4.tcp_ecn"),
        "recvspace": _middle("net.ipv4.tcp_rmem"),
        "sendspace": _middle("net.ipv4.tcp_wmem"),
        "recvbuf_auto": _same("net.ipv4.tcp_moderate_rcvbuf"),
        "blackhole": _same("synfin.tcp_blackhole"),
        "insecure_rst": _same("synfin.tcp_insecure_rst"),
        "insecure_syn": _same("synfin.tcp_insecure_syn"),
        "drop_synfin": _same("synfin.tcp_drop_synfin"),
        "syncookies": _same("net.ipv4.tcp_syncookies"),
        "syncache.rexmtlimit": _same("net.ipv4.tcp_synack_retries"),
        "delacktime": _same("synfin.tcp_delack_min"),
        "rexmit_min": _scaled("net.ipv4.tcp_rto_min_us", 1000, 1),
        "rexmit_slop": _same("synfin.tcp_rto_slop"),
        "keepidle": _scaled("net.ipv4.tcp_keepalive_time", 1, 1000),
        "keepintvl": _scaled("net.ipv4.tcp_keepalive_intvl", 1, 1000),
        "keepcnt": _same("net.ipv4.tcp_keepalive_probes"),
        "keepinit": _scaled("synfin.tcp_keepinit", 1, 1000),
        "msl": _scaled("synfin.tcp_timewait_len", 2, 1000),
        "finwait2_timeout": _scaled("net.ipv4.tcp_fin_timeout", 1, 1000),
        "maxtcptw": _same("net.ipv4.tcp_max_tw_buckets"),
    }
)
_FREEBSD: Final = "net.inet.tcp."


def dotted(name: str) -> str:
    """The name of a parameter as sysctl writes it, also for one of /proc/sys."""
    return name.strip().removeprefix("/proc/sys/").replace("/", ".")


def plain(value: str) -> str:
    """A value without quotes and superfluous blanks."""
    return " ".join(value.strip().strip("\"'").replace(",", " ").split())


def assign(parameters: Parameters, name: str, value: str) -> dict[str, str]:
    """Sets a parameter by the name that sysctl or /proc/sys has for it; returns what it, or those behind it, were.

    Raises Skipped for a name that is not known, and for a value that the host cannot have.
    """
    name = dotted(name)
    value = plain(value)
    if value in NATURE.get(name, ()) or name in IDLE:
        return {}
    values: Mapping[str, str] = {name: value}
    convert = _OF_FREEBSD.get(name.removeprefix(_FREEBSD)) if name.startswith(_FREEBSD) else None
    try:
        if convert is not None:
            values = convert(parameters, value)
        elif name not in PARAMETERS:
            raise Skipped(f"the parameter {name} = {value} is not supported")
        before = {each: text(parameters.get(each)) for each in values}
        for each, number in values.items():
            parameters.set(each, number)
    except ValueError:
        raise Skipped(f"the parameter {name} = {value} is not supported") from None
    return before


def take_profile(parameters: Parameters, name: str) -> None:
    """Sets the values of a profile, and leaves those that it does not name."""
    for parameter, value in PROFILES[name].values.items():
        parameters.assign(PARAMETERS[parameter], value)

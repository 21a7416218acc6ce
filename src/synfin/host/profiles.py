"""Profiles: named sets of parameter values and of the few behaviours on which hosts differ.

`linux` is the default, a current kernel with its own defaults; the other profiles say how they differ from it. Each
lists its deviations from RFC 9293 by the RFC's numbers of requirements.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin.host.parameters import PARAMETERS, Parameters
from synfin.tcp.parameters import Value


class Deviation:
    """A requirement of RFC 9293, such as ``MUST-23``, that a profile does not meet, and why."""

    __slots__ = ("reason", "requirement")

    def __init__(self, requirement: str, reason: str) -> None:
        self.requirement = requirement
        self.reason = reason


class Profile:
    """A named set of values. Those that are not in `values` are Linux's defaults."""

    __slots__ = ("deviations", "name", "summary", "values")

    def __init__(
        self, name: str, summary: str, values: Mapping[str, Value], deviations: tuple[Deviation, ...] = ()
    ) -> None:
        self.name = name
        self.summary = summary
        self.values = MappingProxyType(dict(values))
        self.deviations = deviations


_SOURCE_ROUTES: Final = (
    Deviation("MUST-51", "source routes are not offered: networks drop them (RFC 7126 §4.3, §4.4)"),
    Deviation("MUST-52", "as MUST-51"),
    Deviation("MUST-53", "as MUST-51: a return route is not used"),
    Deviation("SHLD-24", "as MUST-51"),
)

_OF_LINUX: Final = (
    Deviation("MUST-23", "a SYN is given up after 131 s, and after 127 s without linear time-outs"),
    Deviation("MUST-56", "an ICMP error ends a connect that is under way; RFC 5461 §4.1 says why hosts do so"),
    Deviation("SHLD-26", "a hard ICMP error ends no synchronised connection (RFC 5927 §5.2)"),
    *_SOURCE_ROUTES,
)

LINUX: Final = Profile("linux", "a current Linux kernel with its own defaults", {}, _OF_LINUX)

LINUX_SUITE: Final = Profile(
    "linux-suite",
    "Linux with the values that the published packetdrill suites set first",
    {
        "net.ipv4.tcp_rmem": (4096, 540_000, 15 * 1024 * 1024),
        "net.ipv4.tcp_wmem": (4096, 256 * 1024, 4 * 1024 * 1024),
        "net.ipv4.tcp_syn_retries": 5,
        "net.ipv4.tcp_syn_linear_timeouts": 0,
        "net.ipv4.tcp_synack_retries": 5,
        "net.ipv4.tcp_ecn": 0,
        "net.ipv4.tcp_slow_start_after_idle": 0,
        "net.ipv4.tcp_syncookies": 1,
        "net.ipv4.tcp_no_metrics_save": 1,
    },
    (Deviation("MUST-23", "a SYN is given up after 63 s"), *_OF_LINUX[1:]),
)

FREEBSD: Final = Profile(
    "freebsd",
    "FreeBSD with its own defaults, as far as they show on the wire",
    {
        "net.ipv4.tcp_rmem": (4096, 65536, 2 * 1024 * 1024),
        "net.ipv4.tcp_wmem": (4096, 32768, 2 * 1024 * 1024),
        "net.ipv4.tcp_adv_win_scale": 31,
        "net.ipv4.tcp_keepalive_probes": 8,
        "net.ipv4.tcp_syn_linear_timeouts": 4,
        "net.ipv4.tcp_syn_retries": 8,
        "net.ipv4.tcp_synack_retries": 3,
        "net.ipv4.tcp_retries2": 12,
        "net.ipv4.tcp_rto_min_us": 30_000,
        "net.ipv4.tcp_rto_max_ms": 64_000,
        "net.ipv4.tcp_dsack": 1,
        "net.ipv4.tcp_tw_reuse": 0,
        "net.ipv4.tcp_invalid_ratelimit": 0,
        "net.ipv4.tcp_slow_start_after_idle": 1,
        # Its base stack has neither RACK and tail-loss probes nor F-RTO.
        "net.ipv4.tcp_recovery": 0,
        "net.ipv4.tcp_early_retrans": 0,
        "net.ipv4.tcp_frto": 0,
        # net.inet.tcp.abc_l_var
        "synfin.tcp_abc_limit": 2,
        "synfin.tcp_cwnd_validation": 0,
        # Its host cache keeps it.
        "net.ipv4.tcp_no_ssthresh_metrics_save": 0,
        "synfin.tcp_quick_acks": 0,
        "synfin.tcp_push_bursts": 0,
        "synfin.tcp_delay_fin_ack": 0,
        "synfin.tcp_minshall": 0,
        "synfin.tcp_probe_data": 1,
        "synfin.tcp_rto_slop": 200,
        "synfin.tcp_keepinit": 75,
        "synfin.tcp_freebsd_options": 1,
        "synfin.tcp_round_window": 1,
        "synfin.tcp_drop_synfin": 0,
        "synfin.tcp_rst_exact": 1,
    },
    (
        Deviation("MUST-23", "connect fails after 75 s"),
        Deviation("MUST-39", "once a segment is free, all that is sent tells how much is; updates of their own do not"),
        *_OF_LINUX[1:],
    ),
)

RFC: Final = Profile(
    "rfc",
    "what the RFCs themselves recommend where hosts differ",
    {
        # RFC 9293 §3.8.3 (MUST-23): at least three minutes; 1 + 2 + ... + 64 + 120 s are 247.
        "net.ipv4.tcp_syn_retries": 7,
        "net.ipv4.tcp_syn_linear_timeouts": 0,
        "net.ipv4.tcp_synack_retries": 7,
        # RFC 6298 §2.4
        "net.ipv4.tcp_rto_min_us": 1_000_000,
        "synfin.tcp_rto_min_of_sum": 1,
        # RFC 3168, RFC 9293 §3.8.2 (SHLD-8)
        "net.ipv4.tcp_ecn": 1,
        # RFC 9293 §3.8.4 names no number; textbooks say ten, Linux nine, FreeBSD eight.
        "net.ipv4.tcp_keepalive_probes": 10,
        # RFC 9040 §6.2
        "net.ipv4.tcp_no_ssthresh_metrics_save": 0,
        # RFC 9293 §3.4.2: MSL is two minutes.
        "synfin.tcp_timewait_len": 240,
        # RFC 5681, RFC 3465 §2.3, RFC 7661
        "net.ipv4.tcp_congestion_control": "reno",
        "synfin.tcp_abc_limit": 2,
        "synfin.tcp_cwnd_validation": 2,
        # RFC 9293 §3.8.6.3, §3.7.4, §3.8.6.1, §3.9.2.2, §3.10.7.2
        "synfin.tcp_quick_acks": 0,
        "synfin.tcp_push_bursts": 0,
        "synfin.tcp_delay_fin_ack": 0,
        "synfin.tcp_minshall": 0,
        "synfin.tcp_probe_data": 1,
        "synfin.tcp_icmp_ends_connecting": 0,
        "synfin.tcp_icmp_hard_aborts": 1,
        "synfin.tcp_drop_synfin": 0,
        # RFC 5961 §3.2, RFC 7323 §3.2, RFC 6191 §2, RFC 1337 §3 (F1)
        "synfin.tcp_rst_exact": 1,
        "synfin.tcp_timestamps_required": 1,
        "synfin.tcp_reopen_by_timestamps": 1,
        "net.ipv4.tcp_rfc1337": 1,
    },
    _SOURCE_ROUTES,
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {profile.name: profile for profile in (LINUX, LINUX_SUITE, FREEBSD, RFC)}
)


def parameters(name: str) -> Parameters:
    """The parameters of the profile `name`, to be changed at will. Raises KeyError if there is none."""
    profile = PROFILES[name]
    chosen = Parameters()
    chosen.profile = name
    for parameter, value in profile.values.items():
        chosen.assign(PARAMETERS[parameter], value)
    return chosen

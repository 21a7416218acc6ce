"""ICMP messages about the host's segments."""

from __future__ import annotations

import pytest

from tests.drill.running import ACCEPTED, fails, passes, skips

CONNECTING = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS
+0 > S 0:0(0) <...>
"""
SHIFTED = {"isn": 4294967290, "remote_isn_offset": 1 << 31}


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("unreachable net", "ENETUNREACH"),
        ("unreachable net_unreachable", "ENETUNREACH"),
        ("unreachable host", "EHOSTUNREACH"),
        ("unreachable host_unreachable", "EHOSTUNREACH"),
        ("unreachable protocol", "ENOPROTOOPT"),
        ("unreachable port", "ECONNREFUSED"),
        ("unreachable port_unreachable", "ECONNREFUSED"),
        ("unreachable source_route_failed", "EOPNOTSUPP"),
        ("unreachable net_unknown", "ENETUNREACH"),
        ("unreachable host_unknown", "EHOSTDOWN"),
        ("unreachable source_host_isolated", "ENONET"),
        ("unreachable net_prohibited", "ENETUNREACH"),
        ("unreachable host_prohibited", "EHOSTUNREACH"),
        ("unreachable net_unreachable_for_tos", "ENETUNREACH"),
        ("unreachable host_unreachable_for_tos", "EHOSTUNREACH"),
        ("unreachable packet_filtered", "EHOSTUNREACH"),
        ("unreachable precedence_violation", "EHOSTUNREACH"),
        ("unreachable precedence_cutoff", "EHOSTUNREACH"),
        ("time_exceeded", "EHOSTUNREACH"),
        ("time_exceeded ttl", "EHOSTUNREACH"),
        ("parameter_problem", "EPROTO"),
    ],
)
def test_messages_of_icmp(message: str, error: str) -> None:
    told = CONNECTING + "+.1 < [0:0(0)] icmp {}\n+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [{}], [4]) = 0"
    passes(told.format(message, error))
    passes(told.format(message, error), **SHIFTED)
    passes(told.format(message + " [0:0(0)]", error).replace("< [0:0(0)]", "<"))
    fails(told.format(message, "EINVAL"), "getsockopt gave another value")
    # It quotes what was never sent.
    fails(told.format(message, error).replace("0:0(0)", "5:5(0)"), "getsockopt gave another value")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("unreachable no_route", "ENETUNREACH"),
        ("unreachable admin_prohibited", "EACCES"),
        ("unreachable address_unreachable", "EHOSTUNREACH"),
        ("unreachable port_unreachable", "ECONNREFUSED"),
        ("time_exceeded", "EHOSTUNREACH"),
        ("parameter_problem", "EPROTO"),
    ],
)
def test_messages_of_icmpv6(message: str, error: str) -> None:
    told = CONNECTING + f"+.1 < [0:0(0)] icmp {message}\n+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [{error}], [4]) = 0"
    passes("--ip_version=ipv6\n" + told)
    passes(told, ip="ipv6", **SHIFTED)


@pytest.mark.parametrize("message", ["source_quench", "redirect host"])
def test_messages_that_are_passed_over(message: str) -> None:
    told = CONNECTING + f"+.1 < [0:0(0)] icmp {message}\n+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0"
    passes(told)


@pytest.mark.parametrize(
    ("script", "ip"),
    [
        ("< [1:1001(1000)] icmp unreachable frag_needed mtu 600", "ipv4"),
        ("< icmp packet_too_big mtu 1280 [1:1461(1460)]", "ipv6"),
        # RFC 7915 §4.2: as a translator tells of it.
        ("< icmp unreachable frag_needed mtu 1260 [1:1461(1460)]", "ipv6"),
    ],
)
def test_the_mtu_of_the_path(script: str, ip: str) -> None:
    size = 1000 if ip == "ipv4" else 1460
    smaller = 560 if ip == "ipv4" else 1220
    text = (
        ACCEPTED.replace("mss 1000", f"mss {size}")
        + f"""+0 write(4, ..., {size}) = {size}
+0 > P. 1:{size + 1}({size}) ack 1
+.1 {script}
+0 > . 1:{smaller + 1}({smaller}) ack 1
+0 > P. {smaller + 1}:{size + 1}({size - smaller}) ack 1
"""
    )
    for shift in ({}, SHIFTED):
        passes("--strict_segments\n" + text, ip=ip, **shift)
    fails(text.replace("mtu ", "mtu 9"), "", ip=ip)


@pytest.mark.parametrize(
    ("message", "ip"),
    [
        ("unreachable no_route", "ipv4"),
        ("packet_too_big mtu 1280", "ipv4"),
        ("unreachable precedence_violation", "ipv6"),
        ("source_quench", "ipv6"),
        ("echo_request id 7", "ipv4"),
        ("unreachable nonsense", "ipv4"),
        ("unreachable", "ipv4"),
    ],
)
def test_what_is_no_message_of_the_version_is_skipped(message: str, ip: str) -> None:
    skips(CONNECTING + f"+.1 < [0:0(0)] icmp {message}", "ICMP", ip=ip)

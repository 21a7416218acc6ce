"""Expected packets against those that left: every field, pass and fail."""

from __future__ import annotations

import pytest

from tests.drill.running import ACCEPTED, WITH_OPTIONS, fails, passes, skips

DATA = ACCEPTED + "+0 write(4, ..., 1000) = 1000\n"


@pytest.mark.parametrize(
    ("right", "wrong", "field"),
    [
        ("P. 1:1001(1000) ack 1", ". 1:1001(1000) ack 1", "flags"),
        ("P. 1:1001(1000) ack 1", "PE. 1:1001(1000) ack 1", "flags"),
        ("P. 1:1001(1000) ack 1", "PA. 1:1001(1000) ack 1", "flags"),
        ("P. 1:1001(1000) ack 1", "P1. 1:1001(1000) ack 1", "flags"),
        ("P. 1:1001(1000) ack 1", "P. 2:1002(1000) ack 1", "seq"),
        ("P. 1:1001(1000) ack 1", "P. 1:1000(999) ack 1", "length"),
        ("P. 1:1001(1000) ack 1", "P. 1:1001(1000) ack 2", "ack"),
        ("P. 1:1001(1000) ack 1 win 65535", "P. 1:1001(1000) ack 1 win 65534", "win"),
        ("P. 1:1001(1000) ack 1 urg 0", "P. 1:1001(1000) ack 1 urg 1", "urg"),
        ("P. 1:1001(1000) ack 1", "P. 1:1001(1000) ack 1 <nop,nop,TS val 1 ecr 1>", "options"),
        ("P. 1:1001(1000) ack 1 <...>", "P. 1:1001(1000) ack 1 <nop>", "options"),
        ("[noecn] P. 1:1001(1000) ack 1", "[ect0] P. 1:1001(1000) ack 1", "ECN"),
        ("(noecn) P. 1:1001(1000) ack 1", "[ect01] P. 1:1001(1000) ack 1", "ECN"),
        ("[tos 0x0] P. 1:1001(1000) ack 1", "[tos 0x10] P. 1:1001(1000) ack 1", "tos"),
        ("[class 0] P. 1:1001(1000) ack 1", "[class 4] P. 1:1001(1000) ack 1", "tos"),
        ("[dscp 0] P. 1:1001(1000) ack 1", "[dscp 1] P. 1:1001(1000) ack 1", "dscp"),
        ("[ttl 64] P. 1:1001(1000) ack 1", "[ttl 63] P. 1:1001(1000) ack 1", "ttl"),
        ("[hlim 64] P. 1:1001(1000) ack 1", "[hlim 1] P. 1:1001(1000) ack 1", "ttl"),
        ("[flowlabel 0x0] P. 1:1001(1000) ack 1", "[flowlabel 0x1] P. 1:1001(1000) ack 1", "flowlabel"),
    ],
)
def test_a_field_is_compared(right: str, wrong: str, field: str) -> None:
    passes(DATA + "+0 > " + right)
    fails(DATA + "+0 > " + wrong, f"{field}: expected")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("<mss 1461,sackOK,TS val 500 ecr 100,nop,wscale 8>", "mss"),
        ("<mss 1460,sackOK,TS val 500 ecr 100,nop,wscale 7>", "wscale"),
        ("<mss 1460,sackOK,TS val 500 ecr 101,nop,wscale 8>", "TS ecr"),
        ("<mss 1460,TS val 500 ecr 100,sackOK,nop,wscale 8>", "options"),
        ("<mss 1460,sackOK,TS val 500 ecr 100,wscale 8,nop>", "options"),
        ("<mss 1460,sackOK,TS val 500 ecr 100,nop,wscale 8,eol>", "options"),
        ("<mss 1460,sackOK>", "options"),
        ("", "options"),
    ],
)
def test_options_are_compared(wrong: str, field: str) -> None:
    passes(WITH_OPTIONS)
    right = "<mss 1460,sackOK,TS val 500 ecr 100,nop,wscale 8>"
    fails(WITH_OPTIONS.replace(right, wrong), f"{field}: expected")


def test_sack_blocks_are_compared() -> None:
    hole = WITH_OPTIONS + "+0 < P. 1001:2001(1000) ack 1 win 257 <nop,nop,TS val 200 ecr 500>\n"
    passes(hole + "+0 > . 1:1(0) ack 1 <nop,nop,TS val 600 ecr 200,nop,nop,sack 1001:2001>")
    fails(hole + "+0 > . 1:1(0) ack 1 <nop,nop,TS val 600 ecr 200,nop,nop,sack 1001:2000>", "sack: expected")


def test_freebsds_end_of_options_is_counted() -> None:
    script = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,eol,eol>
"""
    passes(script, profile="freebsd")
    fails(script.replace("eol,eol", "eol"), "options: expected", profile="freebsd")


def test_the_payload_is_zeros() -> None:
    text = ACCEPTED + '+0 write(4, "{}", 3) = 3\n+0 > P. 1:4(3) ack 1'
    passes(text.format(r"\0\0\0"))
    fails(text.format("abc"), "payload: expected zeros")


def test_a_reset_without_ack_has_no_ack() -> None:
    """RFC 9293 §3.10.7.1: its number is that which the segment acknowledged."""
    script = "0 < . 1:1(0) ack 1001 win 100\n+0 > R 1001:1001(0)"
    passes(script)
    fails(script + " ack 5", "ack: expected 5, got 0")
    fails("0 < . 1:1(0) ack 1001 win 100\n+0 > R. 1001:1001(0) ack 1", "flags")


def test_segments_are_joined() -> None:
    written = ACCEPTED + "+0 write(4, ..., 2500) = 2500\n"
    passes(written + "+0 > P. 1:2501(2500) ack 1")
    # A burst of two segments, the last of them pushed, and what is left.
    passes(written + "+0 > P. 1:2001(2000) ack 1\n+0 > P. 2001:2501(500) ack 1")
    passes(written + "+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:2501(1500) ack 1")
    # The flags are the last one's.
    fails(written + "+0 > . 1:2501(2500) ack 1", "flags")
    fails(written + "+0 > P. 1:1501(1500) ack 1", "length: expected 1500, got 1000")
    fails("--strict_segments\n" + written + "+0 > P. 1:2501(2500) ack 1", "length: expected 2500, got 1000")


def test_all_but_the_last_that_are_joined_are_of_one_length() -> None:
    parts = (
        ACCEPTED
        + "+0 setsockopt(4, IPPROTO_TCP, TCP_NODELAY, [1], 4) = 0\n"
        + "+0 write(4, ..., 500) = 500\n+0 write(4, ..., 1000) = 1000\n"
    )
    passes(parts + "+0 > P. 1:501(500) ack 1\n+0 > P. 501:1501(1000) ack 1")
    fails(parts + "+0 > P. 1:1501(1500) ack 1", "length")
    smaller = parts.replace("write(4, ..., 500) = 500", "write(4, ..., 600) = 600").replace(
        "1000) = 1000", "500) = 500"
    )
    more = smaller + "+0 write(4, ..., 400) = 400\n"
    fails(more + "+0 > P. 1:1501(1500) ack 1", "length: expected 1500, got 1100")
    same = parts.replace("1000) = 1000", "500) = 500")
    passes(same + "+0 > P. 1:1001(1000) ack 1")


def test_what_is_left_over_is_not_looked_at() -> None:
    script = DATA + "+.4 close(4) = 0"
    passes(script)
    fails(script, "left over", strict_end=True)
    fails("--strict_end\n" + script, "left over")
    passes(DATA + "+0 > P. 1:1001(1000) ack 1", strict_end=True)


def test_packets_of_other_connections_are_passed_over() -> None:
    """The one under test is that of the latest SYN; the ports in a script tell others from it."""
    script = (
        ACCEPTED
        + """+0 write(4, ..., 100) = 100
+0 < 9000 > 8080 S 0:0(0) win 100 <mss 1000>
+0 > 8080 > 9000 S. 0:0(0) ack 1 <mss 1460>
"""
    )
    passes(script)
    fails(script + "+.3 > P. 1:101(100) ack 1", "no packet left")
    fails(script.replace("+0 > 8080 > 9000 S.", "+0 > 8080 > 9001 S."), "ports: expected 8080 > 9001, got 8080 > 9000")


def test_a_packet_nobody_knows_is_skipped() -> None:
    skips("0 > udp (100)", "not supported")
    skips("0 < udp (100)", "not supported")
    skips("0 > icmp unreachable port", "not supported")
    skips("0 < S 0:0(0) win 100 <mptcp capable>", "not supported")
    skips("0 < S 0:0(0) win 100 <md5 00112233445566778899aabbccddeeff>", "MD5")


@pytest.mark.parametrize("choice", ["strict", "lenient"])
@pytest.mark.parametrize(
    ("script", "forgiven"),
    [
        # PSH in the middle of what is queued
        (ACCEPTED + "+0 write(4, ..., 2000) = 2000\n+0 > P. 1:1001(1000) ack 1\n+0 > P. 1001:2001(1000) ack 1", True),
        # PSH at the end
        (ACCEPTED + "+0 write(4, ..., 2000) = 2000\n+0 > . 1:2001(2000) ack 1", False),
        # splits
        (ACCEPTED + "+0 write(4, ..., 2000) = 2000\n+0 > . 1:501(500) ack 1\n+0 > P. 501:2001(1500) ack 1", True),
        (ACCEPTED + "+0 write(4, ..., 2000) = 2000\n+0 > . 1:1501(1500) ack 1\n+0 > P. 1501:2001(500) ack 1", True),
        (ACCEPTED + "+0 write(4, ..., 2000) = 2000\n+0 > P. 1:2002(2001) ack 1", False),
        # windows
        (DATA + "+0 > P. 1:1001(1000) ack 1 win 7", True),
        # order of options and padding
        (
            WITH_OPTIONS.replace("mss 1460,sackOK,TS val 500 ecr 100,nop,", "nop,sackOK,mss 1460,TS val 500 ecr 100,"),
            True,
        ),
        (WITH_OPTIONS.replace("nop,wscale 8", "nop,wscale 7"), False),
        (WITH_OPTIONS.replace(",nop,wscale 8", ""), False),
    ],
)
def test_lenient_comparison(choice: str, script: str, forgiven: bool) -> None:
    if choice == "lenient" and forgiven:
        passes(script, compare="lenient")
    else:
        result = fails(script, compare=choice)
        if choice == "strict":
            assert result.lenient == ("passed" if forgiven else "failed")

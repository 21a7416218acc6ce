"""Numbers of the script and numbers on the wire: sequence numbers, timestamps, ports, descriptors; directions."""

from __future__ import annotations

from typing import Any

import pytest

from synfin.drill.bench.numbers import Numbers
from synfin.drill.language.parser import parse
from synfin.drill.options import Choices
from synfin.drill.run.runner import Run
from synfin.wire.tcp import ACK, SYN, Segment
from tests.drill.running import ACCEPTED, WITH_OPTIONS, fails, machine_of, passes, skips

EVERY_WAY = pytest.mark.parametrize("ip", ["ipv4", "ipv6", "mapped"])
#: Ours near the end of the circle of numbers, theirs half a circle away.
SHIFTED: dict[str, Any] = {"isn": 4294967290, "remote_isn_offset": 1 << 31}

EXCHANGE = (
    WITH_OPTIONS
    + """+0 write(4, ..., 2000) = 2000
+0 > P. 1:2001(2000) ack 1 <nop,nop,TS val 600 ecr 200>
+.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 300 ecr 600,nop,nop,sack 989:1977>
+0 < P. 2001:3001(1000) ack 2001 win 257 <nop,nop,TS val 301 ecr 600>
+0 > . 2001:2001(0) ack 1 <nop,nop,TS val 700 ecr 300,nop,nop,sack 2001:3001>
+0 close(4) = 0
+0 > F. 2001:2001(0) ack 1 <nop,nop,TS val 700 ecr 300,nop,nop,sack 2001:3001>
"""
)
CONNECTED = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0...0.1 connect(3, ..., ...) = 0
+0 > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8>
+.1 < S. 0:0(0) ack 1 win 32792 <mss 1460,sackOK,TS val 700 ecr 100,nop,wscale 7>
+0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 700>
"""


@EVERY_WAY
@pytest.mark.parametrize("shift", [{}, SHIFTED], ids=["", "shifted"])
@pytest.mark.parametrize("script", [ACCEPTED, EXCHANGE, CONNECTED])
def test_every_way_the_verdict_is_the_same(ip: str, shift: dict[str, Any], script: str) -> None:
    passes(script, ip=ip, **shift)
    fails(script.replace("ack 1 <", "ack 2 <").replace("0:0(0) ack 1", "0:0(0) ack 3"), ip=ip, **shift)


def live(script: str, **choices: int | str) -> list[Segment]:
    """The segments on the wire."""
    run = Run(parse(script), Choices(debug=True, **choices))  # type: ignore[arg-type]
    assert run.result().status == "passed"
    return [
        event.packet.payload
        for event in machine_of(run).trace
        if hasattr(event, "packet") and isinstance(event.packet.payload, Segment)
    ]


def test_the_numbers_on_the_wire_are_those_that_were_asked_for() -> None:
    syn, syn_ack, ack = live(ACCEPTED, **SHIFTED)
    assert (syn.seq, syn.flags) == (1 << 31, SYN)
    assert (syn_ack.seq, syn_ack.ack, syn_ack.flags) == (4294967290, (1 << 31) + 1, SYN | ACK)
    assert (ack.seq, ack.ack) == ((1 << 31) + 1, 4294967291)
    segments = live(EXCHANGE, **SHIFTED)
    blocks = [segment.options.sack for segment in segments if segment.options.sack]
    assert blocks[0] == (((4294967290 + 989) % (1 << 32), (4294967290 + 1977) % (1 << 32)),)
    assert blocks[1] == (((1 << 31) + 2001, (1 << 31) + 3001),)


def test_the_remote_number_is_the_scripts() -> None:
    """The SYN's own is verbatim; all else counts from it."""
    script = ACCEPTED.replace("< S 0:0(0)", "< S 123:123(0)") + "+0 < P. 1:11(10) ack 1 win 100\n+0 > . 1:1(0) ack 11"
    passes(script)
    assert live(script)[0].seq == 123
    assert live(script)[-1].ack == 123 + 11
    assert live(script, remote_isn_offset=1000)[-1].ack == 1123 + 11


def test_our_syn_is_called_what_the_script_calls_it() -> None:
    script = CONNECTED.replace("> S 0:0(0)", "> S 777:777(0)")
    passes(script)
    again = CONNECTED.partition("+.1 <")[0].replace("0...0.1 connect", "0...9 connect")
    first = again.replace("> S 0:0(0)", "> S 777:777(0)")
    repeated = "+1 > S {}:{}(0) <mss 1460,sackOK,TS val 1100 ecr 0,nop,wscale 8>"
    ending = "\n+.1 < S. 0:0(0) ack 1 win 9\n+0 > . 1:1(0) ack 1"
    first = first.replace("0...9", "0...1.1")
    passes(first + repeated.format(777, 777) + ending)
    fails(first + repeated.format(778, 778) + ending, "seq: expected 778, got 777")


def test_a_syn_in_a_connection_leaves_its_numbers_alone() -> None:
    """It is answered with a challenge ACK (RFC 5961 §4), which counts from the numbers of the connection."""
    script = ACCEPTED + "+0 < S 5000:5000(0) win 100\n"
    passes(script + "+0 > . 1:1(0) ack 1")
    fails(script + "+0 > . 1:1(0) ack 5001", "ack")


def test_numbers_are_learned_anew_with_a_new_connection() -> None:
    script = (
        ACCEPTED
        + """+0 < R 1:1(0) win 0
+.1 < S 5000:5000(0) win 100 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 100
+0 accept(3, ..., ...) = 5
+0 write(5, ..., 10) = 10
+0 > P. 1:11(10) ack 1
"""
    )
    for shift in ({}, SHIFTED):
        passes(script, **shift)


def test_a_syn_to_a_connection_that_is_over_begins_anew() -> None:
    """Also where nobody listens any more, and the answer is a reset."""
    script = ACCEPTED + "+0 < R 1:1(0) win 0\n+0 close(3) = 0\n+.1 < S 5000:5000(0) win 100\n+0 > R. 0:0(0) ack {}!"
    passes(script.format(5001), isn=0)
    relative = script.replace("{}!", "1").replace("> R. 0:0(0)", "> R. ...(0)")
    passes(relative, profile="linux-suite", **SHIFTED)


def test_a_syn_to_a_time_wait_begins_anew_once_it_is_answered() -> None:
    script = (
        ACCEPTED
        + """+0 close(4) = 0
+0 > F. 1:1(0) ack 1
+.1 < F. 1:1(0) ack 2 win 32792
+0 > . 2:2(0) ack 2
+1 < S {0}:{0}(0) win 100 <mss 1000>
"""
    )
    answered = (
        script.format(5000)
        + """+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 100
+0 accept(3, ..., ...) = 5
+0 < P. 1:11(10) ack 1 win 100
+0 > . 1:1(0) ack 11
"""
    )
    for shift in ({}, SHIFTED):
        passes(answered, **shift)
        # An old one is not: what is acknowledged counts from the old numbers.
        passes(script.format(0) + "+0 > . 2:2(0) ack 2", **shift)


def test_a_second_connection_names_its_own_syn() -> None:
    connecting = """+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS
+0 > S {0}:{0}(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8>
+.1 < S. 0:0(0) ack 1 win 32792 <mss 1460,sackOK,TS val 700 ecr 100,nop,wscale 7>
+0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 700>
"""
    aborting = "+0 < R. 1:1(0) ack 1 win 0\n+0 close(3) = 0\n"
    passes("--tcp_ts_tick_usecs=1000\n" + connecting.format(5) + aborting + connecting.format(6))
    fails(connecting.format(5) + "+2 > S 6:6(0)", "no packet left")


def test_numbers_that_nobody_knows_count_from_nothing() -> None:
    for shift in ({}, SHIFTED):
        passes("0 < P 1:11(10) win 9\n+0 > R. 0:0(0)! ack 11", profile="linux-suite", **shift)
    assert live("0 < P 1:11(10) win 9\n+0 > R. 0:0(0)! ack 11", **SHIFTED)[0].seq == (1 << 31) + 1


def test_timestamps_are_those_of_the_latest_connection() -> None:
    numbers = Numbers((bytes(4), 1), (bytes(4), 2), 0)
    numbers.leaves(Segment(1, 2, 1000, 0, SYN, 0))
    numbers.timestamp_leaves(100, 1000)
    numbers.timestamp_leaves(200, 1150)
    numbers.leaves(Segment(1, 2, 2000, 0, SYN, 0))
    numbers.timestamp_leaves(100, 5000)
    assert numbers.live_ecr(200, False) == 5100


def test_absolute_numbers_that_arrive() -> None:
    script = ACCEPTED.replace("< S 0:0(0)", "< S 123:123(0)")
    for shift in ({}, SHIFTED):
        passes(script + "+0 < P. 124:134(10)! ack 1 win 100\n+0 > . 1:1(0) ack 11", profile="linux-suite", **shift)


def test_absolute_numbers() -> None:
    passes("0 < . 5:5(0) ack 1001! win 100\n+0 > R 1001:1001(0)!", **SHIFTED)
    fails("0 < . 5:5(0) ack 1001! win 100\n+0 > R 1002:1002(0)!", "seq")
    passes("0 < S 5:5(0)! win 100\n+0 > R. 0:0(0)! ack 6!", **SHIFTED)
    fails("0 < S 5:5(0)! win 100\n+0 > R. 0:0(0)! ack 7!", "ack: expected 7!, got 6!")


def test_an_unknown_sequence_number() -> None:
    script = CONNECTED.replace("> S 0:0(0)", "> S ...(0)")
    passes(script, profile="linux-suite")
    fails(script.replace("...(0)", "...(1)"), "length", profile="linux-suite")


def test_negative_numbers_are_before_the_first() -> None:
    passes(ACCEPTED + "+0 < P. -10:0(10) ack 1 win 100\n+0 > . 1:1(0) ack 1", **SHIFTED)


# --- timestamps


def test_timestamps_that_leave_are_checked_only_with_a_tick() -> None:
    wrong = WITH_OPTIONS + "+0 write(4, ..., 1) = 1\n+0 > P. 1:2(1) ack 1 <nop,nop,TS val 9999 ecr 200>"
    right = wrong.replace("9999", "600")
    passes(wrong)
    passes("--tcp_ts_tick_usecs=1000\n" + right)
    fails("--tcp_ts_tick_usecs=1000\n" + wrong, "TS val: expected 9999, got 600")


def test_echoes_that_leave_are_always_checked() -> None:
    script = WITH_OPTIONS + "+0 write(4, ..., 1) = 1\n+0 > P. 1:2(1) ack 1 <nop,nop,TS val 600 ecr {}>"
    passes(script.format(200))
    fails(script.format(201), "TS ecr: expected 201, got 200")


def echoed(script: str) -> tuple[int, list[int]]:
    """The first value that left, and the echoes that arrived, as on the wire."""
    segments = live(script)
    values = [segment.options.ts_val for segment in segments if segment.source_port == 8080 and segment.flags & SYN]
    return values[1] or 0, [segment.options.ts_ecr or 0 for segment in segments[2:]]


def test_echoes_that_arrive_are_the_live_values() -> None:
    first, echoes = echoed(WITH_OPTIONS)
    assert echoes == [first]
    # One that was never seen keeps its distance to the first; 0 stays 0; an absolute one is as it is.
    first, echoes = echoed(WITH_OPTIONS.replace("ecr 500>", "ecr 480>"))
    assert echoes == [first - 20]
    _, echoes = echoed(WITH_OPTIONS.replace("TS val 200 ecr 500>", "TS val 200 ecr 0>"))
    assert echoes == [0]


def test_echoes_are_interpolated_where_that_is_asked_for() -> None:
    numbers = Numbers((bytes(4), 1), (bytes(4), 2), 0)
    numbers.timestamp_leaves(100, 1000)
    numbers.timestamp_leaves(200, 3000)
    assert numbers.live_ecr(150, True) == 2000
    assert numbers.live_ecr(150, False) == 1050
    assert numbers.live_ecr(200, True) == numbers.live_ecr(200, False) == 3000
    assert numbers.live_ecr(300, True) == 1200


# --- ports and descriptors


def test_ports_are_labels() -> None:
    script = ACCEPTED.replace("< S", "< 3333 > 80 S").replace("> S.", "> 80 > 3333 S.")
    passes(script)
    fails(script.replace("80 > 3333", "80 > 3334"), "ports")
    assert [segment.source_port for segment in live(script)][:2] == [3333, 8080]


def test_the_default_ports() -> None:
    assert {segment.destination_port for segment in live(CONNECTED)[:1]} == {8080}
    assert {segment.destination_port for segment in live("--connect_port=99\n" + CONNECTED)[:1]} == {99}
    first = live("--bind_port=81\n--connect_port=99\n" + ACCEPTED)[0]
    assert (first.source_port, first.destination_port) == (99, 81)


def test_a_port_in_an_address_is_taken_as_it_is() -> None:
    address = '{sa_family = AF_INET, sin_port = htons(77), sin_addr = inet_addr("192.168.0.1")}'
    first = live(ACCEPTED.replace("bind(3, ..., ...)", f"bind(3, {address}, ...)"))[0]
    assert first.destination_port == 77


def test_descriptors_are_names() -> None:
    passes(ACCEPTED.replace("= 3", "= 17").replace("(3,", "(17,").replace("= 4", "= 3") + "+0 close(3) = 0")
    fails(ACCEPTED + "+0 close(5) = 0", "close returned -1 EBADF")
    passes(ACCEPTED + "+0 close(5) = -1 EBADF (Bad file descriptor)\n+0 close(4) = 0\n+0 close(4) = -1 EBADF")
    fails("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = -1 ENOMEM", "returned a descriptor")


# --- the environment


def test_the_mtu() -> None:
    """1500; 1520 where IPv6 is asked for from outside, so that the MSS is the same; what the script says."""
    big = "--mtu=1400\n" + ACCEPTED.replace("<mss 1460>", "<mss {}>")
    passes(big.format(1360))
    passes(big.format(1340), ip="ipv6")
    passes("--ip_version=ipv6\n" + ACCEPTED.replace("<mss 1460>", "<mss 1440>"))
    passes("--ip_version=ipv6\n" + ACCEPTED.replace("<mss 1460>", "<mss 1440>"), ip="ipv4")
    fails("--ip_version=ipv6\n" + ACCEPTED, "mss")


def test_addresses() -> None:
    run = Run(parse("--local_ip=10.0.0.1\n--remote_ip=10.0.0.2\n" + ACCEPTED), Choices(debug=True))
    assert run.result().status == "passed"
    assert run.machine.numbers is not None
    assert (run.machine.numbers.local[0], run.machine.numbers.remote[0]) == (b"\n\0\0\1", b"\n\0\0\2")


def test_packets_larger_than_the_mtu_arrive() -> None:
    script = ACCEPTED + "+0 < P. 1:50001(50000) ack 1 win 100\n+0 > . 1:1(0) ack 50001\n+0 read(4, ..., 60000) = 50000"
    passes(script)
    passes("--mss=1000\n" + script)
    skips(script.replace("50001(50000)", "60002(60001)"), "60000 are the most")


def test_the_size_of_the_segments_that_a_large_packet_stands_for() -> None:
    segments = live("--mss=500\n" + ACCEPTED + "+0 < P. 1:1001(1000) ack 1 win 100\n+0 > . 1:1(0) ack 1001")
    assert [segment.segment_size for segment in segments if segment.payload_length] == [500]


def test_what_arrives_carries_what_the_script_says() -> None:
    run = Run(parse(ACCEPTED + "+0 < [ce, ttl 9] P. 1:11(10) ack 1 win 77 urg 3 <nop,nop>"), Choices(debug=True))
    assert run.result().status == "passed"
    packets = [event.packet for event in machine_of(run).trace if hasattr(event, "packet")]
    (last,) = (packet for packet in packets if packet.payload.payload_length == 10)
    assert (last.ttl, last.ecn, last.payload.wnd, last.payload.up) == (9, 3, 77, 3)

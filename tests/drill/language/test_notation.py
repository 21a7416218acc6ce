"""Values in the script's own notation: what is written is read as the same value."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.drill.language.notation import script_text
from synfin.drill.language.parser import parse, parse_expression
from synfin.drill.language.script import Expression, Number, Place, Script, TcpPacket, Text
from tests.drill.language import scripts


def bare(script: Script) -> Script:
    """Without what depends on how it is written."""
    return replace(
        script,
        options=tuple(replace(option, place=Place(1, 1)) for option in script.options),
        events=tuple(replace(event, place=Place(1, 1), text="") for event in script.events),
    )


@settings(max_examples=60)
@given(scripts.scripts())
def test_a_script_that_is_written_is_read_again(script: Script) -> None:
    assert bare(parse(script_text(script))) == script


@given(scripts.expressions)
def test_a_value_that_is_written_is_read_again(value: Expression) -> None:
    assert parse_expression(script_text(value)) == value


@given(st.integers(-(1 << 64), 1 << 64))
def test_numbers(value: int) -> None:
    assert parse_expression(script_text(Number(value))) == Number(value)


def test_the_seed_of_the_fuzzers_is_read_again() -> None:
    script = parse(scripts.SEED)
    assert len(script.events) == 20
    assert bare(parse(script_text(script))) == bare(script)


LINES = [
    "+0 < S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7>",
    "+0.1~+0.2 > [ect0, ttl 64] P. 1:1001(1000) ack 1 <nop,nop,TS val 100 ecr 200>",
    "0.5...1 accept(3, ..., ...) = 4",
    "* > SEW 0:0(0) <...>",
    "+0 > .5 1:1(0) ack 1 <ECN e0b 1 ceb 0 e1b 1,nop>",
    "+0 > . ...(0) ack 1! md5 valid",
    "+0 > - 1:1(0)! <>",
    "+0 < 80 > 8080 U. 1:2(1) ack 1 win 257 urg 1",
    "+0 < [tos 0x10, flowlabel 0xfffff] icmp unreachable frag_needed mtu 1200 [1:1461(1460)]",
    "+0 < udp (1000)",
    "+0 > . 1:1(0) ack 1 <sack 1001:2001 3001:4001,nop,md5 valid,FO COOKIE,FOEXP a1b2,FO,TS val ... ecr 5!>",
    "+0 `ip route show`",
    "+0 %{ assert 1 }%",
    "+0 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)",
    '+0 f({a=1, [2], b="\\"\\n\\000\\377"}, A|(B|C), ~D, 1<<E, g(&h), -5)',
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_written_as_it_was(line: str) -> None:
    (event,) = parse(line).events
    assert script_text(event) == line


def test_the_parts_of_a_line_are_written_too() -> None:
    script = parse("--mss=5\n+0 > [ttl 3] . 1:2(1) <mss 7>")
    (event,) = script.events
    assert script_text(script) == "--mss=5\n+0 > [ttl 3] . 1:2(1) <mss 7>\n"
    assert script_text(script.options[0]) == "--mss=5"
    assert script_text(event.when) == "+0"
    packet = event.action
    assert isinstance(packet, TcpPacket)
    assert packet.options is not None
    assert script_text(packet.sequence) == "1:2(1)"
    assert script_text(packet.ip) == "[ttl 3]"
    assert script_text(packet.options[0]) == "mss 7"


def test_what_is_no_octet_cannot_be_written() -> None:
    with pytest.raises(ValueError):
        script_text(Text("中"))


@pytest.mark.parametrize("time", ["0~0", "0...1", "+0", "0.5", "1 ", "*"])
def test_what_is_not_supported_ends_where_the_next_event_begins(time: str) -> None:
    script = parse(f"* > udp (10)\n{time} `true`\n")
    assert [type(event.action).__name__ for event in script.events] == ["OtherPacket", "Command"]

"""What is said of a script that is wrong: file, line, column, what stands there and what could, in one line."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from synfin.drill.language.parser import parse
from synfin.drill.language.script import ScriptError

WHAT_IS_DONE = "a packet with '<' or '>', a call, code in %{…}% or a command in backticks could stand"
NEXT = "a time such as +0.1 or the end could stand"
PACKET = "flags such as S or P., 'icmp', another protocol or fields of the IP header in brackets could stand"

MISTAKES: dict[str, str] = {
    "foo": "1:1: 'foo', where an option such as --mtu=1500 or a time such as +0.1 could stand",
    "+0 close(3)\nclose(4)": f"2:1: 'close', where '=', {NEXT}",
    "+0 close(3)\n\n\n close(4)": f"4:2: 'close', where '=', {NEXT}",
    "+0": f"1:3: the end, where {WHAT_IS_DONE}",
    "+0.1 +0.2 close(3)": f"1:6: '+0.2', where {WHAT_IS_DONE}",
    "0,1 close(3)": f"1:2: ',', where {WHAT_IS_DONE}",
    "+0 close(3) = 0\n+-0.1 close(3)": "2:1: '+-0.1', where an errno such as EAGAIN",
    "+0.2~+0.1 close(3)": "1:1: '+0.2~+0.1', where a window that ends after its beginning could stand",
    "+0 close(3) = 0 +0 X": "1:21: the end, where '(' could stand",
    # calls
    "+0 close(3 = 0": "1:12: '=', where ',' or ')' could stand",
    "+0 close(3": "1:11: the end, where ',' or ')' could stand",
    "+0 close(3) =": "1:14: the end, where a result such as 0 or -1 could stand",
    "+0 close(3)) = 0": f"1:12: ')', where '=', {NEXT}",
    "+0 f(1,,2)": "1:8: ',', where a value or ')' could stand",
    "+0 f([1 2])": "1:9: '2', where ',', ']' or an operator such as '|' could stand",
    "+0 f({1=2})": "1:8: '=', where ',' or '}' could stand: a member's name is a word",
    "+0 f(1<<64)": "1:7: '<<', where a shift by 0 to 63 could stand",
    "+0 f(1<<1<<1<<1<<1<<1)": "1:7: 5 operators, where 4 operators other than '|' could stand",
    r'+0 f("a\x")': r"""1:6: '"a\\x"', where hexadecimal digits could stand behind '\x'""",
    "+0 f('\\x')": r"""1:6: "'\\x'", where hexadecimal digits could stand behind '\x'""",
    "+0 f('é')": """1:6: "'é'", where a character of one octet could stand""",
    "+0 f(A|)": "1:8: ')', where a value could stand",
    "+0 f(" + "9" * 41 + ")": "1:6: a number of too many digits, where a shorter one could stand",
    '+0 f("abc, 4)\n': "1:6: a string begins and does not end, where its '\"' could stand, in the same line",
    "+0 f(" + "[" * 50: "1:37: '[' inside 32 others, where something simpler could stand",
    "+0 close(3) = 0 (why": "1:17: '(' without its end, where an errno such as EAGAIN, a remark in parentheses",
    # packets
    "+0 < s 0:0(0)": f"1:6: 's', where {PACKET}",
    "+0 < [ect0 . 1:1(0)": f"1:6: '[' without its end, where {PACKET}",
    "+0 < 0:0(0)": "1:7: ':', where flags such as S or P. could stand, before sequence numbers",
    "+0 < S12 0:0(0)": "1:6: 'S12', where one digit could stand for E, W and A together",
    "+0 < SE5 0:0(0)": "1:6: 'SE5', where one digit could stand for E, W and A together",
    "+0 < S5E 0:0(0)": "1:6: 'S5E', where one digit could stand for E, W and A together",
    "+0 < S 0:0 win 5": "1:8: '0', where sequence numbers such as 1:1001(1000) could stand",
    "+0 > . 1:1001(100)": "1:8: '1:1001(100)', where 1:101(100) could stand",
    "+0 > . 1:70001(70000)": "1:8: '1:70001(70000)', where a segment carries 65535 octets at most",
    "+0 > . 1:4294967297(0)": "1:8: '1:4294967297(0)', where numbers of 32 bits could stand",
    "+0 > . 1:1(0) ack": "1:18: the end, where a number or '...' could stand",
    "+0 > . 1:1(0) ack 1 ack 2": "1:25: a second 'ack', where something else could stand",
    "+0 > . 1:1(0) win 65536": "1:19: '65536', where a number up to 65535 could stand",
    "+0 > . 1:1(0) win 5!": "1:19: '5!', where a number without '!' could stand",
    "+0 > . 1:1(0) mss 1460": "1:15: 'mss', where 'ack', 'win', 'urg', options in '<…>', " + NEXT,
    "+0 < . ...(0)": "1:8: '...(0)', where numbers could stand: an inbound packet needs them",
    "+0 < . 1:1(0) ack ...": "1:19: '...', where a number could stand: an inbound packet needs one",
    "+0 < . 1:1(0) <...>": "1:16: '...', where options could stand: an inbound packet needs its own",
    "+0 < . 1:1(0) <TS val ... ecr 1>": "1:16: 'TS val ... ecr 1', where options could stand: an inbound",
    "+0 < 80 > 70000 . 1:1(0)": "1:11: '70000', where a number up to 65535 could stand",
    "+0 < [ect2] . 1:1(0)": "1:6: '[ect2]', where one of noecn, ect1, ect0, ce, ect01, or of tos, class, dscp, ttl",
    "+0 < [ttl] . 1:1(0)": "1:6: '[ttl]', where a number could stand behind 'ttl'",
    "+0 < [ttl 256] . 1:1(0)": "1:6: '[ttl 256]', where a number up to 255 could stand",
    "+0 < [ttl x] . 1:1(0)": "1:6: '[ttl x]', where a number could stand where 'x' is",
    "+0 < icmp": "1:4: 'icmp' alone, where a type, and perhaps a code, could stand",
    "+0 < icmp unreachble": "1:11: 'unreachble', where one of unreachable, time_exceeded, parameter_problem",
    "+0 < icmp unreachable a b": "1:25: 'b', where a type, and perhaps a code, could stand",
    "+0 < icmp unreachable mtu": "1:26: the end, where a number could stand",
    # options of packets
    "+0 > . 1:1(0) <mss 1460": "1:24: the end, where ',' or '>' could stand",
    "+0 > . 1:1(0) <nop\n+0 < . 1:1(0)": "2:1: '+0', where ',' or '>' could stand",
    "+0 > . 1:1(0) <nop,,nop>": "1:20: ',', where a TCP option could stand",
    "+0 > . 1:1(0) <foo>": "1:16: 'foo', where one of mss, nop, eol, wscale, sackOK, sack, TS, FO, FOEXP, md5, ECN",
    "+0 > . 1:1(0) <nop 1>": "1:16: 'nop 1', where nop alone could stand",
    "+0 > . 1:1(0) <mss>": "1:16: 'mss', where mss with a number could stand",
    "+0 > . 1:1(0) <mss 65536>": "1:16: 'mss 65536', where a number up to 65535 could stand",
    "+0 > . 1:1(0) <sack 1>": "1:16: 'sack 1', where sack with blocks such as 1:1001 could stand",
    "+0 > . 1:1(0) <sack>": "1:16: 'sack', where sack with blocks such as 1:1001 could stand",
    "+0 > . 1:1(0) <TS val 1>": "1:16: 'TS val 1', where TS val N ecr N could stand",
    "+0 > . 1:1(0) <FO abc>": "1:16: 'FO abc', where FO with hexadecimal digits, two for each octet, could stand",
    "+0 > . 1:1(0) <ECN ceb 1>": "1:16: 'ECN ceb 1', where ECN e0b N ceb N e1b N, ECN e1b N ceb N e0b N or a beginning",
    # files
    "--mss=1\n+0 close(3)\n--mtu=5": "3:1: '--mtu', where a time could stand: options come first of all",
    "`a` -D A=1": "1:5: '-D', where a time could stand: options come first of all",
    "`a` --mss=1": "1:5: '--mss', where a time could stand: options come first of all",
    "`a` `b`": "1:5: a second command without a time, where a time such as +0.1 could stand",
    "+0 `a` `b` +0 close(3)": "1:12: an event, where only the end could stand, behind the clean-up command",
    "+0 `a` `b` `c`": "1:12: a second command, where only the end could stand, behind the clean-up command",
    "+0 `foo": "1:4: a command in backticks begins and does not end, where its '`' could stand",
    "+0 %{ foo }": "1:4: code begins and does not end, where its '}%' could stand",
    "\n /* foo": "2:2: a comment begins and does not end, where its '*/' could stand",
}


@pytest.mark.parametrize("text", MISTAKES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_mistake(text: str, newline: str) -> None:
    with pytest.raises(ScriptError) as wrong:
        parse(text.replace("\n", newline), "a.pkt")
    said = str(wrong.value)
    assert said.startswith(f"a.pkt:{MISTAKES[text]}")
    assert said.isprintable()
    assert len(said) < 250


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "\x1b[31m",
        "+0 < S 0:0(0) <\x1b>",
        "+0 f(\u202e)",
        "+0 > . 1:1(0) <" + "x" * 10_000 + ">",
        "+0 < [" + "x" * 10_000 + "] . 1:1(0)",
        "+" + "9" * 10_000 + " close(3)",
        "+0 > . 1:1(" + "9" * 10_000 + ")",
        "+0 > . \u0661:\u0661(\u0660)",
        "+0 > . 1:1(0) <mss \u00b2>",
        "+0 > . 1:1(0) win 1 win \u0661",
        "\udcff",
        "+0 f(\udcff)",
    ],
)
def test_what_is_said_is_short_and_harmless(text: str) -> None:
    with pytest.raises(ScriptError) as wrong:
        parse(text, "a.pkt")
    assert str(wrong.value).isprintable()
    assert len(str(wrong.value)) < 300


# A quadratic expression takes 2^29 steps, which are many seconds.
LONG = 1 << 15
BEFORE = {
    "nothing": "",
    "time": "+0 ",
    "packet": "+0 < ",
    "flags": "+0 > .",
    "sequence": "+0 > . 1",
    "segment": "+0 > . 1:1(0) ",
    "options": "+0 > . 1:1(0) <",
    "sack": "+0 > . 1:1(0) <sack ",
    "brackets": "+0 < [",
    "icmp": "+0 < icmp ",
    "udp": "+0 < udp",
    "call": "+0 f(",
    "result": "+0 f() = ",
    "remark": "+0 f() = 0 (",
    "string": '+0 f("',
    "command": "`",
    "code": "+0 %{",
    "option": "--a",
    "value": "--a=",
    "definition": "-D a",
}


REPEATED = [" ", "(", ".", "1", "S", ". ", "a ", "\\", "()", "/* ", "//\n", "<", "~", "|1", "1:", "\r"]


@pytest.mark.parametrize("repeated", REPEATED)
def test_hostile_scripts_take_no_more_than_their_length(repeated: str) -> None:
    for before in BEFORE.values():
        began = time.process_time()
        with suppress(ScriptError):
            parse(before + repeated * (LONG // len(repeated)))
        assert time.process_time() - began < 1, before


@pytest.mark.parametrize("text", ["[", "{", "f(", "(", "{a=", "[{", "~(", "1<<(A<<A<<"])
def test_deep_values_are_an_error(text: str) -> None:
    deep = "+0 call(" + text * 5000
    for script in (deep, deep + ")" * 5000):
        with pytest.raises(ScriptError, match=r"inside 32 others"):
            parse(script)

"""Scripts of packetdrill's language: files, options, times, calls, commands and code; what value each form gives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from synfin.drill.language.definitions import with_definitions
from synfin.drill.language.parser import parse, parse_expression, parse_file
from synfin.drill.language.script import (
    Anything,
    Array,
    Call,
    Code,
    Command,
    Either,
    Expression,
    Function,
    Number,
    Operation,
    Option,
    Place,
    ScriptError,
    Structure,
    TcpOption,
    TcpPacket,
    Text,
    When,
    Word,
)

CLOSE = Call("close", (Number(3),), Number(0))


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n", "// nothing", "/* nothing\n at all */ // \n", "\ufeff", " \t\r\n"])
def test_a_script_of_nothing(text: str) -> None:
    script = parse(text, "name")
    assert (script.name, script.options, script.events) == ("name", (), ())
    assert script.prologue is script.epilogue is None


WHOLE = """\
// Whose it is.
--tolerance_usecs=10000   // because
/* of */
`../defaults.sh
sysctl -q net.ipv4.tcp_sack=1`

    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 < S 0:0(0) /* first */ win 100 // second
        <mss 1000, // third
         nop>
 +.1 close(3) = 0  // fourth
 `cleanup`
// the end"""


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r\r\n"])
@pytest.mark.parametrize("end", ["", "\n", " \n\n"])
def test_a_whole_script(newline: str, end: str) -> None:
    script = parse((WHOLE + end).replace("\n", newline), "whole.pkt")
    assert script.options == (Option("tolerance_usecs", "10000", Place(2, 1)),)
    assert script.prologue == Command("../defaults.sh\nsysctl -q net.ipv4.tcp_sack=1")
    assert script.epilogue == Command("cleanup")
    opened, arrives, closed = script.events
    assert opened.place == Place(7, 5)
    assert opened.text == "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3"
    assert arrives.place == Place(8, 4)
    # As the author wrote it, to be quoted in reports.
    assert arrives.text == ("+0 < S 0:0(0) /* first */ win 100 // second\n        <mss 1000, // third\n         nop>")
    assert isinstance(arrives.action, TcpPacket)
    assert arrives.action.options == (TcpOption("mss", (1000,)), TcpOption("nop"))
    assert (closed.when, closed.action, closed.text) == (When(100_000_000, True), CLOSE, "+.1 close(3) = 0")
    assert closed.place == Place(11, 2)


def test_events_need_no_lines_of_their_own() -> None:
    script = parse("`init` 0 close(3) = 0 +0 < . 1:1(0) ack 1 +.1 `ls` +0 %{ 1 }% 0.5 close(3)=0 `bye`")
    assert script.prologue == Command("init")
    assert [event.text for event in script.events] == [
        "0 close(3) = 0",
        "+0 < . 1:1(0) ack 1",
        "+.1 `ls`",
        "+0 %{ 1 }%",
        "0.5 close(3)=0",
    ]
    assert script.epilogue == Command("bye")


def test_only_the_first_command_without_time_is_the_prologue() -> None:
    assert parse("+0 close(3) = 0\n`bye`").prologue is None
    assert parse("`init`").epilogue is None


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pkt"
    path.write_bytes(b"// caf\xe9, in Latin-1\r\n+0 close(3) = 0\r\n+0 close(3\r\n")
    with pytest.raises(ScriptError, match=r"a\.pkt:3:11: the end, where"):
        parse_file(path)
    path.write_bytes(b"// caf\xe9\n+0 close(3) = 0")
    assert parse_file(path).events[0].action == CLOSE


def test_the_documented_script_is_one() -> None:
    document = (Path(__file__).parents[3] / "docs" / "drill.md").read_text("utf-8")
    script = parse(document.split("```")[1])
    assert (len(script.options), script.prologue is not None, len(script.events)) == (1, True, 8)


# --- options ------------------------------------------------------------------------------------------------------

OPTIONS: dict[str, list[tuple[str, str | None]]] = {
    "--strict_segments": [("strict_segments", None)],
    "--strict_segments // why": [("strict_segments", None)],
    "--mss=1000": [("mss", "1000")],
    "--mss = 1000": [("mss", "1000")],
    "--mss 1000": [("mss", "1000")],
    "--mss=": [("mss", "")],
    "  --mss=1000\t": [("mss", "1000")],
    "--mss=1000 --mtu=1500": [("mss", "1000"), ("mtu", "1500")],
    "--mss 1000 --strict_segments --mtu 1500": [("mss", "1000"), ("strict_segments", None), ("mtu", "1500")],
    "--send_omit_free\n--mtu=1500": [("send_omit_free", None), ("mtu", "1500")],
    "--send_omit_free /* one\n two */ --mtu=1500": [("send_omit_free", None), ("mtu", "1500")],
    "--ip_version=ipv4-mapped-ipv6": [("ip_version", "ipv4-mapped-ipv6")],
    "--local_ip=fd3d:0a0b:17d6::1": [("local_ip", "fd3d:0a0b:17d6::1")],
    "--netmask_ip=255.255.0.0": [("netmask_ip", "255.255.0.0")],
    "--non_fatal=packet,syscall": [("non_fatal", "packet,syscall")],
    "--tolerance_percent=12.5": [("tolerance_percent", "12.5")],
    '--words="a b // c"': [("words", "a b // c")],
    "--ip-version=ipv6": [("ip-version", "ipv6")],
    "-D COOKIE=de4f234f": [("D", "COOKIE=de4f234f")],
    "-DCOOKIE=de4f234f": [("D", "COOKIE=de4f234f")],
    '-D WORDS="a b"': [("D", "WORDS=a b")],
    "-D A=1 -D B=2": [("D", "A=1"), ("D", "B=2")],
    "--udp_encapsulation=sctp": [("udp_encapsulation", "sctp")],
}


@pytest.mark.parametrize("text", OPTIONS)
@pytest.mark.parametrize("following", ["", "\n", "\n+0 close(3) = 0\n", "\n0 close(3) = 0\n", "\n`init`\n"])
def test_options(text: str, following: str) -> None:
    script = parse(text + following)
    assert [(option.name, option.value) for option in script.options] == OPTIONS[text]
    assert len(script.events) + (script.prologue is not None) == bool(following.strip())


# --- times --------------------------------------------------------------------------------------------------------

MS = 1_000_000
TIMES: dict[str, When] = {
    "0": When(),
    "0.0": When(),
    "0.5": When(500 * MS),
    ".5": When(500 * MS),
    "1.": When(1000 * MS),
    "10": When(10_000 * MS),
    "0.000000001": When(1),
    "0.1234567899": When(123_456_789),
    "+0": When(relative=True),
    "+0.000": When(relative=True),
    "+.1": When(100 * MS, True),
    "+ .1": When(100 * MS, True),
    "+ 0.0": When(relative=True),
    "*": When(any_time=True),
    "+0.1~+0.2": When(100 * MS, True, until=200 * MS),
    "+0~+0.1": When(0, True, until=100 * MS),
    "+0.1 ~ 0.2": When(100 * MS, True, until=200 * MS),
    "0.1~0.2": When(100 * MS, until=200 * MS),
    "+0.1...0.3": When(100 * MS, True, until=300 * MS, blocking=True),
    "+0...0.1": When(0, True, until=100 * MS, blocking=True),
    "+0.1...+0.3": When(100 * MS, True, until=300 * MS, blocking=True),
    "0.1...0.3": When(100 * MS, until=300 * MS, blocking=True),
    "1...2": When(1000 * MS, until=2000 * MS, blocking=True),
    "0.1 ... 0.1": When(100 * MS, until=100 * MS, blocking=True),
}


@pytest.mark.parametrize("text", TIMES)
@pytest.mark.parametrize(
    "around", ["{} close(3) = 0", "  {}\tclose(3) = 0", "\n{}\n close(3) = 0", "*close(3)\n{} close(3) = 0"]
)
def test_a_time(text: str, around: str) -> None:
    event = parse(around.format(text)).events[-1]
    assert (event.when, event.action) == (TIMES[text], CLOSE)
    assert event.text.startswith(text)


# --- calls --------------------------------------------------------------------------------------------------------

PORT = Function("htons", (Number(8080),))
EXPRESSIONS: dict[str, Expression] = {
    "...": Anything(),
    "?": Anything(),
    "3": Number(3),
    "-1": Number(-1),
    "0x1F": Number(31),
    "-0x10": Number(-16),
    "0644": Number(0o644),
    "08": Number(8),
    "'a'": Number(97),
    r"'\n'": Number(10),
    r"'\''": Number(39),
    "'\"'": Number(34),
    "NULL": Word("NULL"),
    "SOCK_STREAM": Word("SOCK_STREAM"),
    "sizeof(int)": Function("sizeof", (Word("int"),)),
    "sizeof(struct  sockaddr_in)": Function("sizeof", (Word("struct sockaddr_in"),)),
    "A|B": Either((Word("A"), Word("B"))),
    "A | B |\n 4": Either((Word("A"), Word("B"), Number(4))),
    "(A|B)|C": Either((Either((Word("A"), Word("B"))), Word("C"))),
    "(A)": Word("A"),
    "1<<2": Number(4),
    "256 >> 4": Number(16),
    "6&3": Number(2),
    "6 ^ 3": Number(5),
    "1 << 2 | 1": Either((Number(4), Number(1))),
    "1 | 6 & 3": Either((Number(1), Number(2))),
    "1 ^ 6 & 3 << 1": Number(1 ^ (6 & (3 << 1))),
    "~0": Number(-1),
    "~A": Operation("~", (Word("A"),)),
    "1<<A": Operation("<<", (Number(1), Word("A"))),
    "A&~B|C": Either((Operation("&", (Word("A"), Operation("~", (Word("B"),)))), Word("C"))),
    "&len": Operation("&", (Word("len"),)),
    '"abc"': Text("abc"),
    '""': Text(""),
    '"a" "b"\n"c"': Text("abc"),
    r'"a\n\t\r\\\"\0\x41\101é"': Text('a\n\t\r\\"\0AA\xc3\xa9'),
    r'"\a\b\f\v\q"': Text("\a\b\f\vq"),
    '"a\\\nb"': Text("ab"),
    '"// `no` /* comment */ %{ }%"': Text("// `no` /* comment */ %{ }%"),
    "[1]": Array((Number(1),)),
    "[]": Array(()),
    "[ 1, 2, ]": Array((Number(1), Number(2))),
    "[[1], {}]": Array((Array((Number(1),)), Structure(()))),
    "{...}": Structure((("", Anything()),)),
    "{onoff=1, linger=0}": Structure((("onoff", Number(1)), ("linger", Number(0)))),
    "{tv_sec = 1,tv_usec = 500000 , }": Structure((("tv_sec", Number(1)), ("tv_usec", Number(500000)))),
    '{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("192.0.2.1")}': Structure(
        (
            ("sa_family", Word("AF_INET")),
            ("sin_port", PORT),
            ("sin_addr", Function("inet_addr", (Text("192.0.2.1"),))),
        )
    ),
    '{sa_family = AF_INET6, sin6_port = htons(8080), inet_pton(AF_INET6, "::1", &sin6_addr), scope=0}': Structure(
        (
            ("sa_family", Word("AF_INET6")),
            ("sin6_port", PORT),
            (
                "",
                Function("inet_pton", (Word("AF_INET6"), Text("::1"), Operation("&", (Word("sin6_addr"),)))),
            ),
            ("scope", Number(0)),
        )
    ),
    "[{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}]": Array(
        (
            Structure(
                (("fd", Number(4)), ("events", Either((Word("POLLIN"), Word("POLLOUT")))), ("revents", Word("POLLIN")))
            ),
        )
    ),
    "{events=EPOLLIN, u32=5}": Structure((("events", Word("EPOLLIN")), ("u32", Number(5)))),
    '{msg_name(...)=..., msg_iov(2)=[{...,10},{"x", 20}], msg_control=[{cmsg_level=SOL_IP, cmsg_type=IP_TOS,'
    " cmsg_data=[0x10]}], msg_flags=0}": Structure(
        (
            ("msg_name", Anything()),
            (
                "msg_iov",
                Array(
                    (Structure((("", Anything()), ("", Number(10)))), Structure((("", Text("x")), ("", Number(20)))))
                ),
            ),
            (
                "msg_control",
                Array(
                    (
                        Structure(
                            (
                                ("cmsg_level", Word("SOL_IP")),
                                ("cmsg_type", Word("IP_TOS")),
                                ("cmsg_data", Array((Number(16),))),
                            )
                        ),
                    )
                ),
            ),
            ("msg_flags", Number(0)),
        )
    ),
    '{function_set_name="rack", pcbcnt=0}': Structure((("function_set_name", Text("rack")), ("pcbcnt", Number(0)))),
    "{a={b={c=[1|X]}}}": Structure(
        (("a", Structure((("b", Structure((("c", Array((Either((Number(1), Word("X"))),))),))),))),)
    ),
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_argument(text: str) -> None:
    assert parse_expression(text) == EXPRESSIONS[text]
    (event,) = parse(f"+0 call({text},{text} , 7) = 0").events
    assert event.action == Call("call", (EXPRESSIONS[text], EXPRESSIONS[text], Number(7)), Number(0))


RESULTS: dict[str, tuple[Expression | None, str | None, str | None]] = {
    "": (None, None, None),
    "= 0": (Number(0), None, None),
    "=3": (Number(3), None, None),
    "= -1 EAGAIN (Resource temporarily unavailable)": (Number(-1), "EAGAIN", "Resource temporarily unavailable"),
    "= -1 EADDRNOTAVAIL (Can't assign requested address)": (
        Number(-1),
        "EADDRNOTAVAIL",
        "Can't assign requested address",
    ),
    "= -1 EPIPE": (Number(-1), "EPIPE", None),
    "= -1 EINPROGRESS (Operation now\n   in progress)": (Number(-1), "EINPROGRESS", "Operation now in progress"),
    "= 0x802 (flags O_RDWR|O_NONBLOCK)": (Number(0x802), None, "flags O_RDWR|O_NONBLOCK"),
    "= 2 (nested (words) here)": (Number(2), None, "nested (words) here"),
    "= ?": (Anything(), None, None),
    "= ...": (Anything(), None, None),
    "= EPOLLIN | EPOLLOUT": (Either((Word("EPOLLIN"), Word("EPOLLOUT"))), None, None),
    "= [1, 2]": (Array((Number(1), Number(2))), None, None),
    "= {a=1}": (Structure((("a", Number(1)),)), None, None),
}


@pytest.mark.parametrize("text", RESULTS)
@pytest.mark.parametrize(
    "following", ["", "\n0.5 close(3) = 0", "\n+0 close(3) = 0", " * close(3) = 0", "\n.5 close(3) = 0"]
)
def test_a_result(text: str, following: str) -> None:
    events = parse(f"+0 read(4, ..., 1000) {text}{following}").events
    assert events[0].action == Call("read", (Number(4), Anything(), Number(1000)), *RESULTS[text])
    assert [event.action for event in events[1:]] == [CLOSE] * bool(following)


def test_a_call_without_arguments_and_one_over_several_lines() -> None:
    first, second = parse("+0 fork() = 1\n+0 close // it\n (\n 3 /* three\n */ )\n =\n\n 0\n").events
    assert first.action == Call("fork", (), Number(1))
    assert second.action == CLOSE


# --- commands and code --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ls",
        "",
        "a // b /* c */ d",
        "one\n  two; \"three\" 'four' %{ five }%",
        r"echo \`date\` > /dev/null",
        "sysctl -q net.ipv4.tcp_ecn=1 \\\n   net.ipv4.tcp_sack=0",
        "--mss=1 {[(",
    ],
)
def test_a_command(text: str) -> None:
    script = parse(f"`{text}`\n+0 `{text}`\n`{text}`")
    assert script.prologue == script.events[0].action == script.epilogue == Command(text)


@pytest.mark.parametrize(
    "text",
    [
        " assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd ",
        "",
        '\nprint("%d // %s" % (1, "`x`"))\nassert {"a": {}}["a"] == {}\n',
        "a = '}' % () # }",
        "x = [[[ // 2 /* ",
    ],
)
def test_code(text: str) -> None:
    assert parse(f"+0 %{{{text}}}%").events[0].action == Code(text)


# --- definitions --------------------------------------------------------------------------------------------------


def test_definitions_take_the_place_of_names() -> None:
    text = (
        "-D COOKIE=a1b2\n-D LEVEL=SOL_IP -D N=5\n+0 < S 0:0(0) <FO COOKIE,nop>\n+0 f({a=[LEVEL|N]}, g(N), 1<<N, X) = N"
    )
    packet, call = (event.action for event in with_definitions(parse(text), {}).events)
    assert isinstance(packet, TcpPacket)
    assert packet.options == (TcpOption("FO", (), b"\xa1\xb2"), TcpOption("nop"))
    inside = Structure((("a", Array((Either((Word("SOL_IP"), Number(5))),))),))
    assert call == Call("f", (inside, Function("g", (Number(5),)), Number(32), Word("X")), Number(5))


def test_definitions_of_the_command_line_have_the_last_word() -> None:
    script = with_definitions(parse("-D A=1\n+0 close(A) = B"), {"A": "3", "B": "0"})
    assert script.events[0].action == CLOSE
    plain = parse("+0 close(A) = B")
    assert with_definitions(plain, {}) is plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-D A\n", "s:1:1: 'A', where NAME=value could stand"),
        ("\n-D A=(\n+0 f(A)", "s:2:1: the end in A, where a value could stand"),
        ("-D KEY=x-y\n+0 < S 0:0(0) <FO KEY>", "s:2:1: KEY='x-y', where FO with hexadecimal digits"),
        ("-D A=100\n+0 f(1<<A)", "s:2:1: an operand of '<<', where a shift by 0 to 63 could stand"),
    ],
)
def test_definitions_that_define_nothing(text: str, message: str) -> None:
    with pytest.raises(ScriptError) as wrong:
        with_definitions(parse(text, "s"), {})
    assert str(wrong.value).startswith(message)


# --- speed --------------------------------------------------------------------------------------------------------

THREE_LINES = """\
+0 < P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 100 ecr 200>
+0 > . 1:1(0) ack 1001 <...>
+0 write(4, ..., 1000) = 1000
"""


def test_two_hundred_scripts_take_two_seconds() -> None:
    parse(THREE_LINES)
    before = time.process_time()
    for _ in range(20):
        parse(THREE_LINES * 10)
    # Of the processor's time, and three times over for a busy machine.
    assert time.process_time() - before < 0.2 * 3

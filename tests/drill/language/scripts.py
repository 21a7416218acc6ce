"""Strategies for scripts' values, whatever the notation can say, and material of which fuzzers make scripts."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from synfin.drill.language.arithmetic import operate
from synfin.drill.language.packets import AE, ICMP_KINDS
from synfin.drill.language.script import (
    Action,
    Anything,
    Array,
    Call,
    Code,
    Command,
    Either,
    Event,
    Expression,
    Function,
    IcmpPacket,
    IpFields,
    Number,
    Option,
    OtherPacket,
    Place,
    Script,
    Sequence,
    Structure,
    TcpOption,
    TcpPacket,
    Text,
    When,
    Word,
)
from synfin.wire.tcp import CWR, ECE

SECOND = 1_000_000_000
words32 = st.integers(0, (1 << 32) - 1)
words16 = st.integers(0, 65535)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
optional16 = st.none() | words16


@st.composite
def whens(draw: st.DrawFn) -> When:
    if draw(st.integers(0, 9)) == 0:
        return When(any_time=True)
    start = draw(st.integers(0, 100 * SECOND) | st.integers(0, 100).map(lambda each: each * SECOND // 10))
    relative = draw(st.booleans())
    if draw(st.booleans()):
        return When(start, relative)
    return When(start, relative, False, start + draw(st.integers(0, SECOND)), draw(st.booleans()))


# --- packets ------------------------------------------------------------------------------------------------------


@st.composite
def sequences(draw: st.DrawFn, known: bool = False) -> Sequence:
    length = draw(words16)
    if not known and draw(st.integers(0, 5)) == 0:
        return Sequence(None, None, length)
    start = draw(st.integers(-70000, (1 << 32) - 1))
    end = start + length
    return Sequence(start, end if end < 1 << 32 else end - (1 << 32), length, draw(st.booleans()))


ip_fields = st.builds(
    IpFields,
    st.none() | st.integers(-1, 3),
    st.none() | st.integers(0, 255),
    st.none() | st.integers(0, 63),
    st.none() | st.integers(0, 255),
    st.none() | st.integers(0, (1 << 20) - 1),
)
octets = st.binary(max_size=16)
counters = st.sampled_from(["ECN e0b ceb e1b", "ECN e1b ceb e0b", "ECN e0b ceb", "ECN e1b", "ECN"]).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.tuples(*[st.integers(0, (1 << 24) - 1)] * name.count(" ")),  # a counter for each name
    )
)
# Whether what looks like a name is one, or digits, only the parser can say.
cookie_words = st.from_regex(r"[g-zG-Z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda word: word != "valid")
known_options = st.one_of(
    st.builds(TcpOption, st.just("mss"), st.tuples(words16)),
    st.builds(TcpOption, st.just("wscale"), st.tuples(st.integers(0, 255))),
    st.builds(TcpOption, st.sampled_from(["nop", "eol", "sackOK", "md5"])),
    st.builds(TcpOption, st.just("TS"), st.tuples(words32, words32), absolute=st.booleans()),
    st.lists(st.tuples(words32, words32), min_size=1, max_size=4).map(lambda each: TcpOption("sack", sum(each, ()))),
    st.builds(TcpOption, st.sampled_from(["FO", "FOEXP", "md5"]), octets=octets),
    st.builds(TcpOption, st.sampled_from(["FO", "FOEXP", "md5"]), word=cookie_words),
    counters.map(lambda each: TcpOption(*each)),
    st.sampled_from(["dss dack4=1 nocs", "mp_capable v1", "tarr 10"]).map(
        lambda words: TcpOption(words.split(maxsplit=1)[0], unsupported=words)
    ),
)
unchecked_options = st.sampled_from(
    [
        TcpOption("TS", (0, 7), unchecked=(0,)),
        TcpOption("TS", (0, 0), unchecked=(0, 1)),
        TcpOption("mss", (0,), unchecked=(0,)),
        TcpOption("ECN e0b ceb", (4, 0), unchecked=(1,)),
    ]
)


@st.composite
def segments(draw: st.DrawFn) -> TcpPacket:
    inbound = draw(st.booleans())
    flags = draw(st.integers(0, 0x1FF))
    ace = draw(st.none() | st.integers(1, 7))
    if ace is not None:
        flags &= ~(AE | CWR | ECE)
        flags |= (AE if ace & 4 else 0) | (CWR if ace & 2 else 0) | (ECE if ace & 1 else 0)
    any_options = not inbound and draw(st.booleans())
    each = known_options if inbound else known_options | unchecked_options
    options: tuple[TcpOption, ...] | None = draw(st.none() | st.lists(each, max_size=5).map(tuple))
    if any_options:
        options = ()
    ack = draw(st.none() | words32)
    valid = any(option.name == "md5" and option.octets is None and not option.word for option in options or ())
    return TcpPacket(
        inbound,
        flags,
        draw(sequences(inbound)),
        draw(ip_fields),
        draw(st.none() | st.tuples(words16, words16)),
        ace,
        ack,
        ack is not None and draw(st.booleans()),
        draw(optional16),
        draw(optional16),
        options,
        any_options,
        valid or draw(st.booleans()),
    )


lower = st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(lambda word: word not in ("mtu", "id"))
messages = st.builds(
    IcmpPacket,
    st.booleans(),
    st.sampled_from(ICMP_KINDS),
    st.none() | lower,
    st.none() | words32,
    optional16,
    st.none() | sequences(),
    ip_fields,
)
other_packets = st.builds(
    OtherPacket, st.booleans(), st.sampled_from(["udp (10)", "sctp: INIT[flgs=0,\n tag=1]", "ipv4 192.0.2.1 > x: S"])
)

# --- calls --------------------------------------------------------------------------------------------------------

numbers = st.integers(-(1 << 63), (1 << 64) - 1).map(Number)
plain_names = names.filter(lambda name: name != "struct")
plain_words = plain_names.map(Word)
texts = st.text(st.characters(max_codepoint=255), max_size=12).map(Text)
leaves = st.one_of(st.just(Anything()), numbers, plain_words, texts)


def _nested(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, max_size=3).map(tuple)
    members = st.lists(st.tuples(plain_names, inner) | st.tuples(st.just(""), inner), max_size=3).map(tuple)
    binary = st.builds(
        lambda operator, name, other: operate(operator, (name, other)),
        st.sampled_from(["<<", ">>", "&", "^"]),
        plain_words,
        inner,
    )
    unary = st.builds(lambda operator, name: operate(operator, (name,)), st.sampled_from("~&"), plain_words)
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Either(tuple(parts))),
        binary,
        unary,
        st.builds(Function, plain_names, several),
        st.builds(Array, several),
        st.builds(Structure, members),
    )


expressions: st.SearchStrategy[Expression] = st.recursive(leaves, _nested, max_leaves=8)
errnos = st.from_regex(r"E[A-Z0-9]{1,10}", fullmatch=True)
outcomes = st.one_of(
    st.just(Anything()),
    numbers,
    plain_words,
    st.lists(plain_words | numbers, min_size=2, max_size=3).map(lambda parts: Either(tuple(parts))),
    st.lists(expressions, max_size=2).map(lambda items: Array(tuple(items))),
)
notes = st.from_regex(r"[A-Za-z][A-Za-z |_']{0,20}", fullmatch=True).map(lambda words: " ".join(words.split()))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    arguments = tuple(draw(st.lists(expressions, max_size=4)))
    name = draw(plain_names)
    if draw(st.booleans()):
        return Call(name, arguments, draw(outcomes), draw(st.none() | errnos), draw(st.none() | notes))
    return Call(name, arguments, None)


# --- scripts ------------------------------------------------------------------------------------------------------

commands = st.text("ab \n/*{}[]()\"'%$;=+0.<>", max_size=20).map(Command)
codes = st.text("ab \n/*{[]()\"'$;=+0.<>`", max_size=20).map(Code)
actions: st.SearchStrategy[Action] = st.one_of(segments(), messages, other_packets, calls(), commands, codes)
events = st.builds(Event, whens(), actions, st.just(Place(1, 1)), st.just(""))
# Two slashes would begin a comment.
values = st.from_regex(r"[A-Za-z0-9_.:,/=]{0,10}", fullmatch=True).filter(lambda value: "//" not in value) | st.just(
    "a b"
)
options = st.builds(
    Option, st.from_regex(r"[a-z_][a-z_0-9]{0,9}", fullmatch=True), st.none() | values, st.just(Place(1, 1))
) | st.builds(Option, st.just("D"), st.from_regex(r"[A-Z]{1,5}=[a-f0-9]{1,8}", fullmatch=True), st.just(Place(1, 1)))


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    middle = tuple(draw(st.lists(events, max_size=6)))
    return Script(
        "script",
        tuple(draw(st.lists(options, max_size=3))),
        draw(st.none() | commands),
        middle,
        draw(st.none() | commands) if middle else None,
    )


# --- material for fuzzers -----------------------------------------------------------------------------------------

SEED = """\
// Of every form something.
--tolerance_usecs=10000 --strict_segments
-D COOKIE=a1b2c3d4
`../common/defaults.sh
sysctl -q net.ipv4.tcp_sack=1`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
   +0 bind(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("192.168.0.1")}, 16) = 0
   +0 listen(3, 1<<2) = 0
   +0 < S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7> // the first
   +0 > S. 0:0(0) ack 1 <...>
  +.1 < [ect0] . 1:1(0) ack 1 win 257 <nop,nop,TS val 100 ecr 200>
   +0 accept(3, ..., ...) = 4
   +0 %{
assert tcpi_snd_cwnd == 10, "%d" % tcpi_snd_cwnd
}%
+0...0.1 read(4, "a\\n\\x41" "b", 1000) = 1000
+0~+0.1 > P. 1:1001(1000) ack 1 <nop,nop,sack 1001:2001 3001:4001>
   +0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]
   +0 < [1:1001(1000)] icmp time_exceeded /* old */
    * > .5 ...(0) ack 1! <ECN e1b 1 ceb 0 e0b 1,nop,md5 valid>
   +0 < 1 > 2 SEWA 1:1(0)! urg 5 <FO COOKIE,FOEXP 1234,eol>
   +0 < sctp: INIT[flgs=0,
            tag=1]
   +0 sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {...,20}], msg_flags=A|~B}, 0) = -1 EAGAIN (No (not) now)
   +0 poll([{fd=4, events=POLLIN, revents=0x1}], 1, 'a') = 1
   +0 `ip route show`
  0.5 fcntl(4, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)
`cleanup`
"""
#: What the seed consists of, to be put where it does not belong.
PIECES: list[str] = sorted(set(re.findall(r"[A-Za-z_]\w*|[\d.]+|\s+|.", SEED, re.DOTALL)))
STRAYS = [
    "\0",
    "\r\n",
    "\udc80",
    "é",
    "٣",
    "²",
    "\ufeff",
    "\\x",
    "9" * 50,
    "[" * 40,
    "(" * 300,
    "-1",
    "`",
    "%{",
    "}%",
    "/*",
]
#: What may take the place of one of its kind.
WORDS = [piece for piece in PIECES if piece[0].isalpha()]
NUMBERS = [*"0123478", "16", "100", "1000", "1001", "8080", "65535", "65536", "2147483648", "4294967295", "4294967296"]

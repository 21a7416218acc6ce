"""Packets of the script language, in Linux's dialect and in FreeBSD's: what value each form gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synfin.drill.language.notation import script_text
from synfin.drill.language.packets import AE, ICMP_KINDS
from synfin.drill.language.parser import parse
from synfin.drill.language.script import Action, IcmpPacket, IpFields, OtherPacket, Sequence, TcpOption, TcpPacket
from synfin.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG


def action(text: str) -> Action:
    (event,) = parse(f"+0 {text}\n").events
    return event.action


def tcp(text: str) -> TcpPacket:
    packet = action(text)
    assert isinstance(packet, TcpPacket)
    return packet


NOTHING = Sequence(1, 1, 0)
PLAIN = TcpPacket(False, ACK, NOTHING, ack=1)
SYN_OPTIONS = (
    TcpOption("mss", (1460,)),
    TcpOption("sackOK"),
    TcpOption("nop"),
    TcpOption("nop"),
    TcpOption("nop"),
    TcpOption("wscale", (7,)),
)

SEGMENTS: dict[str, TcpPacket] = {
    "< S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7>": TcpPacket(
        True, SYN, Sequence(0, 0, 0), window=32792, options=SYN_OPTIONS
    ),
    "<S 0:0(0)\twin 32792<mss 1460 , sackOK, nop,nop, nop,\n   wscale  7 >": TcpPacket(
        True, SYN, Sequence(0, 0, 0), window=32792, options=SYN_OPTIONS
    ),
    "> S. 0:0(0) ack 1 <...>": TcpPacket(False, SYN | ACK, Sequence(0, 0, 0), ack=1, options=(), any_options=True),
    "> . 1:1(0) ack 1 < ... >": replace(PLAIN, options=(), any_options=True),
    "> . 1:1(0) ack 1": PLAIN,
    "> . 1:1(0) ack 1 <>": replace(PLAIN, options=()),
    "> . 1:1(0)": replace(PLAIN, ack=None),
    "> . 1:1(0) ack ...": replace(PLAIN, ack=None),
    "> . 1:1(0) ack 1 win ...": PLAIN,
    "> [ect0] P. 1:1001(1000) ack 1": TcpPacket(False, PSH | ACK, Sequence(1, 1001, 1000), IpFields(ecn=2), ack=1),
    "< R 1:1(0)": TcpPacket(True, RST, NOTHING),
    "> R. 1:1(0) ack 101": TcpPacket(False, RST | ACK, NOTHING, ack=101),
    "< - 1:1(0)": TcpPacket(True, 0, NOTHING),
    "< U. 1:2(1) ack 1 win 257 urg 1": TcpPacket(True, URG | ACK, Sequence(1, 2, 1), ack=1, window=257, urgent=1),
    "< U. 1:2(1) urg 1 win 257 ack 1": TcpPacket(True, URG | ACK, Sequence(1, 2, 1), ack=1, window=257, urgent=1),
    "< . 4294967295:4(5) ack 0xff": TcpPacket(True, ACK, Sequence((1 << 32) - 1, 4, 5), ack=255),
    "< . -10:-5(5) ack 1": TcpPacket(True, ACK, Sequence(-10, -5, 5), ack=1),
    "< . 1 : 101 ( 100 ) ack 1": TcpPacket(True, ACK, Sequence(1, 101, 100), ack=1),
    "< 20000 > 8080 S 0:0(0) win 100": TcpPacket(True, SYN, Sequence(0, 0, 0), ports=(20000, 8080), window=100),
    "> 7 > 5 . 1:1(0) ack 1": replace(PLAIN, ports=(7, 5)),
    "> ...\n".replace("...\n", ". 1:1(0)\n  ack\n 1\n <\nnop\n>"): replace(PLAIN, options=(TcpOption("nop"),)),
    # FreeBSD's
    "> . ...(0) ack 1": replace(PLAIN, sequence=Sequence(None, None, 0)),
    "> S ...(0)": TcpPacket(False, SYN, Sequence(None, None, 0)),
    "> R 1:1(0)!": TcpPacket(False, RST, Sequence(1, 1, 0, True)),
    "> . 1:1(0)! ack 5!": replace(PLAIN, sequence=Sequence(1, 1, 0, True), ack=5, ack_absolute=True),
    "> . 1!:1!(0) ack 1": replace(PLAIN, sequence=Sequence(1, 1, 0, True)),
    "< . 1:1(0) ack 1 md5 valid": replace(PLAIN, inbound=True, md5_valid=True),
    "> . 1:1(0) ack 1 <nop,nop,md5 valid>": replace(
        PLAIN, md5_valid=True, options=(TcpOption("nop"), TcpOption("nop"), TcpOption("md5"))
    ),
}


@pytest.mark.parametrize("text", SEGMENTS)
def test_a_segment(text: str) -> None:
    assert action(text) == SEGMENTS[text]


FLAGS: dict[str, tuple[int, int | None]] = {
    "S": (SYN, None),
    "S.": (SYN | ACK, None),
    "F.": (FIN | ACK, None),
    "FP.": (FIN | PSH | ACK, None),
    "P F .": (FIN | PSH | ACK, None),
    ".": (ACK, None),
    "E.": (ECE | ACK, None),
    "PE.": (PSH | ECE | ACK, None),
    "S.E": (SYN | ACK | ECE, None),
    "S E W": (SYN | ECE | CWR, None),
    "SEW": (SYN | ECE | CWR, None),
    "SEWA": (SYN | ECE | CWR | AE, None),
    "SA.": (SYN | AE | ACK, None),
    "EAW.": (ECE | AE | CWR | ACK, None),
    "U.": (URG | ACK, None),
    "-": (0, None),
    ".5": (ACK | AE | ECE, 5),
    "5.": (ACK | AE | ECE, 5),
    ". 5": (ACK | AE | ECE, 5),
    "5": (AE | ECE, 5),
    "S7": (SYN | AE | CWR | ECE, 7),
    "P.2": (PSH | ACK | CWR, 2),
}


@pytest.mark.parametrize("text", FLAGS)
@pytest.mark.parametrize("numbers", ["1:1(0)", "...(0)"])
def test_flags(text: str, numbers: str) -> None:
    packet = tcp(f"> {text} {numbers} ack 1")
    assert (packet.flags, packet.ace) == FLAGS[text]
    assert (packet.sequence.length, packet.ack) == (0, 1)


OPTIONS: dict[str, TcpOption] = {
    "mss 1460": TcpOption("mss", (1460,)),
    "mss 0x5b4": TcpOption("mss", (1460,)),
    "wscale 14": TcpOption("wscale", (14,)),
    "sackOK": TcpOption("sackOK"),
    "nop": TcpOption("nop"),
    "eol": TcpOption("eol"),
    "sack 1001:2001 3001:4001": TcpOption("sack", (1001, 2001, 3001, 4001)),
    "sack -5:1": TcpOption("sack", (-5, 1)),
    "TS val 100 ecr 200": TcpOption("TS", (100, 200)),
    "TS  val\t4294967295\n ecr 0": TcpOption("TS", (4294967295, 0)),
    "TS val 1 ecr 5!": TcpOption("TS", (1, 5), absolute=True),
    "FO": TcpOption("FO", (), b""),
    "FO 1234abcd": TcpOption("FO", (), bytes.fromhex("1234abcd")),
    "FO TFO_COOKIE": TcpOption("FO", word="TFO_COOKIE"),
    "FOEXP": TcpOption("FOEXP", (), b""),
    "FOEXP 0x1234ABCD": TcpOption("FOEXP", (), bytes.fromhex("1234abcd")),
    "md5 00112233445566778899aabbccddeeff": TcpOption("md5", (), bytes.fromhex("00112233445566778899aabbccddeeff")),
    "md5 valid": TcpOption("md5"),
    "ECN": TcpOption("ECN"),
    "ECN e0b 1": TcpOption("ECN e0b", (1,)),
    "ECN e0b 1 ceb 0 e1b 2": TcpOption("ECN e0b ceb e1b", (1, 0, 2)),
    "ECN e1b 1 ceb 0": TcpOption("ECN e1b ceb", (1, 0)),
    "ECN e1b 1 ceb 0 e0b 2": TcpOption("ECN e1b ceb e0b", (1, 0, 2)),
}
#: What is understood to be an option, and is for the runner to skip.
UNSUPPORTED = (
    "mptcp capable v1",
    "mp_capable_no_cs v1 flags[flag_h] nokey",
    "mp_join_syn address_id=0 token=1",
    "mpcapable v1 flags[flag_h] nokey",
    "mpcapable v1 flags[flag_h] key[ckey=2, skey]",
    "mp_join_syn_ack address_id=0 (a, b)",
    "dss dack8=1 dsn8=1 ssn=1 dll=1000 nocs",
    "add_address address_id=1",
    "remove_address address_id=1",
    "accecn 1 2 3",
    "exp-fo 1234",
    "exp-tarr 10",
    "tarr 10",
    "ao keyid 1",
)


@pytest.mark.parametrize("text", OPTIONS)
@pytest.mark.parametrize("clause", ["{}", "nop,{},eol", "nop, {} ,eol", "nop,\n  {}\n,eol"])
@pytest.mark.parametrize("direction", "<>")
def test_an_option(text: str, clause: str, direction: str) -> None:
    options = tcp(f"{direction} . 1:1(0) ack 1 <{clause.format(text)}>").options
    around = clause.count(",")
    assert options is not None
    assert options[around // 2] == OPTIONS[text]
    assert len(options) == around + 1


@pytest.mark.parametrize("text", UNSUPPORTED)
def test_an_option_of_other_suites(text: str) -> None:
    options = tcp(f"< S 0:0(0) win 100 <mss 1460,{text},nop>").options
    assert options is not None
    assert options[1] == TcpOption(text.split(maxsplit=1)[0], unsupported=text)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("TS val ... ecr 7", TcpOption("TS", (0, 7), unchecked=(0,))),
        ("TS val 7 ecr ...", TcpOption("TS", (7, 0), unchecked=(1,))),
        ("mss ...", TcpOption("mss", (0,), unchecked=(0,))),
    ],
)
def test_what_is_not_checked_in_an_option(text: str, option: TcpOption) -> None:
    assert tcp(f"> S 0:0(0) <{text}>").options == (option,)


IP: dict[str, IpFields] = {
    "[ect0]": IpFields(ecn=2),
    "[ect1]": IpFields(ecn=1),
    "[ect01]": IpFields(ecn=-1),
    "[noecn]": IpFields(ecn=0),
    "[ce]": IpFields(ecn=3),
    "(ce)": IpFields(ecn=3),
    "[tos 0x10]": IpFields(traffic_class=16),
    "[class 0x2f]": IpFields(traffic_class=47),
    "[dscp 46]": IpFields(dscp=46),
    "[ttl 64]": IpFields(ttl=64),
    "(hlim 1)": IpFields(ttl=1),
    "[flowlabel 0xfffff]": IpFields(flow_label=0xFFFFF),
    "[ect0, ttl 64,flowlabel 0x1]": IpFields(ecn=2, ttl=64, flow_label=1),
    "[ ect0\n ttl 64 ]": IpFields(ecn=2, ttl=64),
    "[ect0] (ttl 64)": IpFields(ecn=2, ttl=64),
    "[ttl 3][ttl 4]": IpFields(ttl=4),
}


@pytest.mark.parametrize("text", IP)
def test_fields_of_the_ip_header(text: str) -> None:
    assert tcp(f"> {text} . 1:1(0) ack 1").ip == IP[text]
    icmp = action(f"< {text} icmp unreachable host_unreachable [1:2(1)]")
    assert isinstance(icmp, IcmpPacket)
    assert icmp.ip == IP[text]


QUOTED = Sequence(1, 1461, 1460)
MESSAGES: dict[str, IcmpPacket] = {
    "icmp unreachable frag_needed mtu 1200 [1:1461(1460)]": IcmpPacket(
        True, "unreachable", "frag_needed", 1200, quoted=QUOTED
    ),
    "icmp unreachable frag_needed mtu 1200 1:1461(1460)": IcmpPacket(
        True, "unreachable", "frag_needed", 1200, quoted=QUOTED
    ),
    "[1:1461(1460)] icmp unreachable frag_needed mtu 1200": IcmpPacket(
        True, "unreachable", "frag_needed", 1200, quoted=QUOTED
    ),
    "[ect0] [1:1461(1460)] icmp unreachable net": IcmpPacket(
        True, "unreachable", "net", quoted=QUOTED, ip=IpFields(ecn=2)
    ),
    "icmp packet_too_big mtu 1280 [...(10)]": IcmpPacket(
        True, "packet_too_big", mtu=1280, quoted=Sequence(None, None, 10)
    ),
    "icmp source_quench": IcmpPacket(True, "source_quench"),
    "icmp redirect host [1:1461(1460)]": IcmpPacket(True, "redirect", "host", quoted=QUOTED),
    "icmp echo_request id 5": IcmpPacket(True, "echo_request", identifier=5),
    "icmp unreachable port_unreachable [1:1461(1460)!]": IcmpPacket(
        True, "unreachable", "port_unreachable", quoted=Sequence(1, 1461, 1460, True)
    ),
}
CODES = [
    "net",
    "host",
    "protocol",
    "port",
    "frag_needed",
    "source_route_failed",
    "net_unknown",
    "host_unknown",
    "net_prohibited",
    "host_prohibited",
    "packet_filtered",
    "precedence_violation",
    "precedence_cutoff",
    "no_route",
    "admin_prohibited",
    "address_unreachable",
    "port_unreachable",
    "net_unreachable",
    "host_unreachable",
    "protocol_unreachable",
]


@pytest.mark.parametrize("text", MESSAGES)
def test_an_icmp_message(text: str) -> None:
    assert action(f"< {text}") == MESSAGES[text]
    assert action(f"> {text}") == replace(MESSAGES[text], inbound=False)


@pytest.mark.parametrize("code", [None, *CODES])
@pytest.mark.parametrize("kind", ICMP_KINDS)
def test_types_and_codes_of_icmp(kind: str, code: str | None) -> None:
    message = f"< icmp {kind} {code or ''} [1:1461(1460)]"
    assert action(message) == IcmpPacket(True, kind, code, quoted=QUOTED)


OTHERS: dict[str, str] = {
    "udp (1000)": "udp (1000)",
    "[ect0] udp (1000)": "udp (1000)",
    "1000 > 2000 udp (10)": "udp (10)",
    "udplite (10, 8)": "udplite (10, 8)",
    "ipv4 192.0.2.1 > 192.168.0.1: udp (10)": "ipv4 192.0.2.1 > 192.168.0.1: udp (10)",
    "ipv6 2001:db8::1 > 2001:db8::2: . 1:1(0) ack 1": "ipv6 2001:db8::1 > 2001:db8::2: . 1:1(0) ack 1",
    "gre flags 0x2000, proto 0x800, sum 0, off 0, key 1, seq 0: S 0:0(0)": "gre flags 0x2000, proto 0x800, sum 0, "
    "off 0, key 1, seq 0: S 0:0(0)",
    "mpls (label 0, tc 0, [S], ttl 255): S 0:0(0)": "mpls (label 0, tc 0, [S], ttl 255): S 0:0(0)",
    "sctp: INIT[flgs=0, tag=1,\n      a_rwnd=1500]": "sctp: INIT[flgs=0, tag=1,\n      a_rwnd=1500]",
    "S 0:0(0) win 100 <mss 1460>/udp(9899 > 9900)": "udp(9899 > 9900) around TCP",
    ". 1:1(0) ack 1 / udp (9899 > 9900)": "udp (9899 > 9900) around TCP",
    "icmp unreachable port_unreachable [udp (1000)]": "udp (1000) quoted by ICMP",
}


@pytest.mark.parametrize("text", OTHERS)
@pytest.mark.parametrize(
    "following", ["\n+.1 close(3) = 0", "\n\n0.5 close(3) = 0", "\n  * close(3) = 0", "\n`x`", "\n"]
)
def test_packets_of_other_protocols(text: str, following: str) -> None:
    script = parse(f"+0 < {text}{following}")
    assert script.events[0].action == OtherPacket(True, OTHERS[text])
    assert len(script.events) + (script.epilogue is not None) == 1 + bool(following.strip())
    packet = action(f"> {text}")
    assert packet == OtherPacket(False, OTHERS[text])
    assert action(script_text(packet)) == packet

"""What tshark, a program that owes nothing to synfin, reads from a capture."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: PI_WARN of Wireshark's epan/proto.h; above it are only errors.
WARNING = 0x00600000
GOOD = "1"
#: What Linux writes for a checksum that comes to 0 (CSUM_MANGLED_0), once in 65,536 packets. In one's complement it is
#: the same, but tshark calls it bad. synfin never writes it: tests/wire/test_checksum.py.
MANGLED_ZERO = "0xffff"
CHECKS = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")


def fields(capture: Path, *names: str, only: str = "", options: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """The fields `names` of every packet, or of those that the display filter `only` lets through. A field that
    occurs several times has its values joined by ",", one that does not occur is empty."""
    command = ["tshark", "-n", "-r", str(capture), *CHECKS, *options, "-T", "fields", "-E", "separator=/t"]
    for name in names:
        command += ["-e", name]
    if only:
        command += ["-Y", only]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return [dict(zip(names, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def assert_sound(capture: Path) -> None:
    """No packet is malformed, and every checksum is there and right."""
    statuses = ("ip.checksum.status", "tcp.checksum.status", "icmpv6.checksum.status")
    # Some are for whoever has to find out what went wrong.
    who = ("frame.number", "ip.src", "ipv6.src", "tcp.flags", "tcp.seq_raw", "tcp.checksum", "tcp.options")
    packets = fields(capture, *who, "ip.ttl", "tcp.len", "_ws.malformed", *statuses)
    assert packets
    for packet in packets:
        assert not packet["_ws.malformed"], packet
        if packet["tcp.checksum"] == MANGLED_ZERO:
            continue
        assert {packet[status] for status in statuses} <= {GOOD, ""}, packet
        if packet["ip.ttl"]:
            assert packet["ip.checksum.status"] == GOOD, packet
        if packet["tcp.len"]:
            assert packet["tcp.checksum.status"] == GOOD, packet


def warnings(capture: Path, only: str = "") -> set[str]:
    """The messages of tshark's expert of the level of a warning or above, on all packets or those that `only` lets
    through."""
    found = set()
    names = ("_ws.expert.message", "_ws.expert.severity")
    only = f"_ws.expert && ({only})" if only else "_ws.expert"
    for packet in fields(capture, *names, only=only, options=("-E", "aggregator=|")):
        messages, severities = (packet[name].split("|") for name in names)
        found |= {
            message for message, severity in zip(messages, severities, strict=True) if int(severity, 0) >= WARNING
        }
    return found

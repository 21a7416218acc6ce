"""grep, as far as scripts use it on what counters and connections print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.outcome import Skipped
from synfin.host.counters import BY_CAUSE, BY_CAUSE_IPV6, BY_EVENT, BY_REASON, BY_VERDICT, ECN_COUNTERS

_CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {"[:space:]": r"\s", "[:blank:]": r" \t", "[:digit:]": "0-9", "[:alpha:]": "A-Za-z", "[:alnum:]": "A-Za-z0-9"}
)
_KNOWN: Final = frozenset(
    {
        *(name for names in (*BY_CAUSE.values(), *BY_CAUSE_IPV6.values(), *BY_REASON.values()) for name in names),
        *BY_EVENT.values(),
        *BY_VERDICT.values(),
        *(name for names in ECN_COUNTERS for name in names if name),
        "TcpPassiveOpens",
        "TcpActiveOpens",
        "TcpAttemptFails",
        "TcpEstabResets",
        "TcpInSegs",
        "TcpOutSegs",
        "TcpExtSyncookiesRecv",
        "TcpExtTW",
        "TcpExtTCPTimeWaitOverflow",
        "TcpExtOutOfWindowIcmps",
        "TcpExtTCPAbortOnMemory",
    }
)
_COUNTER: Final = re.compile(r"\b(?:Tcp|Ip|Icmp|Udp|MPTcp)(?:Ext)?6?[A-Z][A-Za-z0-9]+")
_LONGEST: Final = 200


def grep(lines: list[str], words: list[str]) -> list[str]:
    """The lines that go through ``grep``. Raises Skipped for what it is not known to do, and for counters that the
    host does not have."""
    if not words or words[0].rpartition("/")[2] not in ("grep", "egrep"):
        raise Skipped(f"the command `{' '.join(words)}` is not known")
    switches = "".join(word[1:] for word in words[1:] if word.startswith("-"))
    patterns = [word for word in words[1:] if not word.startswith("-")]
    if set(switches) - set("qcEwiv") or len(patterns) != 1 or len(patterns[0]) > _LONGEST:
        raise Skipped(f"the command `{' '.join(words)}` is not known")
    for counter in _COUNTER.findall(patterns[0]):
        if counter not in _KNOWN:
            raise Skipped(f"the counter {counter} is not kept")
    text = patterns[0]
    for name, members in _CLASSES.items():
        text = text.replace(name, members)
    if "E" not in switches and not words[0].endswith("egrep"):
        text = re.sub(r"(\\?)([+?|(){}])", lambda found: found[2] if found[1] else "\\" + found[2], text)
    if "w" in switches:
        text = rf"\b(?:{text})\b"
    try:
        pattern = re.compile(text, re.IGNORECASE if "i" in switches else 0)
    except re.error:
        raise Skipped(f"the pattern {patterns[0]!r} cannot be read") from None
    return [line for line in lines if bool(pattern.search(line)) != ("v" in switches)]

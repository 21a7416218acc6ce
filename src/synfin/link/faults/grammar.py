"""The language of faults, which `str(fault)` writes and `parse_fault` reads.

::

    fault      = effect [ "from" HOST ] [ "from" TIME ] [ "to" TIME ]
               | "rate" RATE [ queue ] [ "from" HOST ]
               | "reboot" HOST "at" TIME [ "for" TIME ]
    effect     = "lose" which | "duplicate" which | "corrupt" which
               | "delay" which "by" TIME | "jitter" TIME | "partition"
    which      = SHARE [ "of" kind ]                            each by chance: 2%, 5% of ACK
               | "burst" "p=" SHARE "r=" SHARE [ "bad=" SHARE ] [ "good=" SHARE ] [ "of" kind ]
               | ORDINAL [ "-" ORDINAL ] kind                   by count: 2nd SYN+ACK, 1st-3rd data
               | "every" [ ORDINAL ] kind                       every SYN, every 10th data
               | kind                                           data 1000-3000, packet 7
    kind       = ( "packet" | "data" | "new data" | "resent data" ) [ RANGE ]
               | "segment" | "SYN" | "SYN+ACK" | "ACK" | "FIN" | "RST" | "ICMP"
    queue      = [ "queue" NUMBER ] [ discipline ]
    discipline = "droptail" | ( "codel" | "fq-codel" ) [ "target" TIME ] [ "interval" TIME ] [ "ecn" | "no-ecn" ]
               | "red" [ "min" NUMBER ] [ "max" NUMBER ] [ "p=" SHARE ] [ "ecn" ]

    SHARE      0.1%                RANGE   7, 7-9 or 7-: numbers of packets on the wire, or octets of data, from 1
    TIME       800ms (s ms us ns)  ORDINAL 1st 2nd 3rd 4th ...
    RATE       10Mbit (Gbit kbit bit)

A HOST is the name of an end of the wire or link, or its address. Times count from the beginning. "loss" reads as
"lose"; "reorder" as "delay", for a few packets that are delayed are overtaken. What each word means is said where
its value is defined: `synfin.link.faults.kinds`, `synfin.link.faults.selection`, `synfin.link.queues`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from synfin.link.faults.fault import Fault
from synfin.link.faults.kinds import Corrupt, Delay, Duplicate, Jitter, Lose, Partition, Rate, Reboot
from synfin.link.faults.selection import DATA_KINDS, EVERYTHING, KINDS, Burst, Every, Matching, Nth, Selection, Share
from synfin.link.quantities import (
    is_duration,
    read_duration,
    read_ordinal,
    read_rate,
    read_share,
    read_whole,
)
from synfin.link.queues import CoDel, Discipline, DropTail, FqCoDel, Red
from synfin.link.queues.codel import INTERVAL, TARGET

_RANGE: Final = re.compile(r"([0-9]{1,19})(?:(-)([0-9]{1,19})?)?")
_KIND_BY_WORD: Final = {
    **{kind.lower(): kind for kind in KINDS},
    **dict.fromkeys(("packets", "all"), "packet"),
    "segments": "segment",
    **dict.fromkeys(("syn-ack", "syn,ack", "syn/ack", "synack"), "SYN+ACK"),
}
_VERBS: Final = "lose, duplicate, delay, jitter, corrupt, partition, rate, reboot"


def parse_fault(text: str) -> Fault:
    """The fault that `text` describes. Raises ValueError, whose text is one line that says what would be right."""
    words = _Words(text)
    verb = words.take("a fault", f"one of {_VERBS}")
    reader = _READERS.get(verb.lower())
    if reader is None:
        raise ValueError(f"{verb!r} is no fault: write one of {_VERBS}, such as 'lose 2%'")
    fault = reader(words)
    words.end()
    return fault


class _Words:
    """The words of a description, read from left to right."""

    def __init__(self, text: str) -> None:
        self._words = text.split()
        self._at = 0

    @property
    def next(self) -> str:
        """The next word, or "" at the end."""
        return self._words[self._at] if self._at < len(self._words) else ""

    @property
    def after_next(self) -> str:
        return self._words[self._at + 1] if self._at + 1 < len(self._words) else ""

    def take(self, what: str, example: str) -> str:
        """The next word. Raises ValueError, saying that `what` is missing, at the end."""
        word = self.next
        if not word:
            behind = f" behind {self._words[-1]!r}" if self._words else ""
            raise ValueError(f"{what} is missing{behind}: write {example}")
        self._at += 1
        return word

    def accept(self, word: str) -> bool:
        """Takes the next word if it is this one."""
        if self.next.lower() != word:
            return False
        self._at += 1
        return True

    def expect(self, word: str, example: str) -> None:
        if not self.accept(word):
            found = repr(self.next) if self.next else "the end"
            raise ValueError(f"{word!r} was expected before {found}: write {example}")

    def setting(self, name: str) -> str | None:
        """The value if the next word is ``name=value``."""
        key, equals, value = self.next.partition("=")
        if not equals or key.lower() != name:
            return None
        self._at += 1
        return value

    def end(self) -> None:
        if self.next:
            raise ValueError(f"{self.next!r} is not understood behind {' '.join(self._words[: self._at])!r}")


# --- which packets


def _which(words: _Words) -> Selection:
    word = words.next
    if word.endswith("%"):
        return Share(read_share(words.take("a share", "2%")), _of(words))
    if words.accept("burst"):
        return _burst(words)
    if words.accept("every"):
        ordinal = read_ordinal(words.next)
        if ordinal is not None:
            words.take("", "")
        return Every(_matching(words), ordinal or 1)
    begin, dash, end = word.partition("-")
    first, last = read_ordinal(begin), read_ordinal(end) if dash else 0
    if first is not None and last is not None:
        words.take("", "")
        return Nth(first, _matching(words), last)
    return Every(_matching(words))


def _burst(words: _Words) -> Selection:
    shares = {"p": -1.0, "r": -1.0, "bad": 1.0, "good": 0.0}
    for name in shares:
        value = words.setting(name)
        if value is not None:
            shares[name] = read_share(value)
    if min(shares.values()) < 0:
        raise ValueError("a burst has p= and r=, in this order: write 'burst p=1% r=30%'")
    return Burst(shares["p"], shares["r"], shares["bad"], shares["good"], _of(words))


def _of(words: _Words) -> Matching:
    return _matching(words) if words.accept("of") else EVERYTHING


def _matching(words: _Words) -> Matching:
    word = words.take("which packets", f"a share such as 2%, or one of {', '.join(KINDS)}").lower()
    if word in ("new", "resent"):
        words.expect("data", f"'{word} data'")
        word += " data"
    kind = _KIND_BY_WORD.get(word)
    if kind is None:
        raise ValueError(f"{word!r} is no kind of packet: write a share such as 2%, or one of {', '.join(KINDS)}")
    found = _RANGE.fullmatch(words.next) if kind in ("packet", *DATA_KINDS) else None
    if found is None:
        return Matching(kind)
    words.take("", "")
    first = int(found[1])
    if not found[2]:
        return Matching(kind, first, first)
    return Matching(kind, first, int(found[3]) if found[3] else None)


# --- where and when


def _sender(words: _Words) -> str:
    if words.next.lower() == "from" and not is_duration(words.after_next):
        words.take("", "")
        return words.take("a host", "its name or address, such as 'from 10.0.0.1'")
    return ""


def _time(words: _Words) -> int:
    return read_duration(words.take("a time", "one such as 10s or 800ms"))


def _where_and_when(words: _Words) -> tuple[str, int, int | None]:
    sender = _sender(words)
    start = _time(words) if words.accept("from") else 0
    return sender, start, _time(words) if words.accept("to") else None


# --- the faults


def _lose(words: _Words) -> Fault:
    which = _which(words)
    sender, start, end = _where_and_when(words)
    return Lose(which, sender=sender, start=start, end=end)


def _duplicate(words: _Words) -> Fault:
    which = _which(words)
    sender, start, end = _where_and_when(words)
    return Duplicate(which, sender=sender, start=start, end=end)


def _corrupt(words: _Words) -> Fault:
    which = _which(words)
    sender, start, end = _where_and_when(words)
    return Corrupt(which, sender=sender, start=start, end=end)


def _delay(words: _Words) -> Fault:
    which = _which(words)
    words.expect("by", "'delay 3rd data by 800ms'")
    by = _time(words)
    sender, start, end = _where_and_when(words)
    return Delay(which, by, sender=sender, start=start, end=end)


def _jitter(words: _Words) -> Fault:
    most = _time(words)
    sender, start, end = _where_and_when(words)
    return Jitter(most, sender=sender, start=start, end=end)


def _partition(words: _Words) -> Fault:
    sender, start, end = _where_and_when(words)
    return Partition(sender=sender, start=start, end=end)


def _reboot(words: _Words) -> Fault:
    host = words.take("a host", "'reboot server at 30s'")
    words.expect("at", "'reboot server at 30s'")
    at = _time(words)
    return Reboot(host, at, _time(words) if words.accept("for") else 0)


def _rate(words: _Words) -> Fault:
    bits = read_rate(words.take("a rate", "one such as 10Mbit"))
    queue = _queue(words)
    return Rate(bits, queue, _sender(words))


def _queue(words: _Words) -> Discipline:
    limit = _number(words) if words.accept("queue") else None
    if words.accept("codel"):
        target, interval = _codel_times(words)
        return CoDel(CoDel().limit if limit is None else limit, target, interval, _ecn(words, False))
    if words.accept("fq-codel") or words.accept("fq_codel"):
        target, interval = _codel_times(words)
        return FqCoDel(FqCoDel().limit if limit is None else limit, target, interval, _ecn(words, True))
    if words.accept("red"):
        minimum = _number(words) if words.accept("min") else Red().minimum
        maximum = _number(words) if words.accept("max") else Red().maximum
        share = words.setting("p")
        probability = Red().probability if share is None else read_share(share)
        return Red(Red().limit if limit is None else limit, minimum, maximum, probability, _ecn(words, False))
    words.accept("droptail")
    return DropTail(DropTail().limit if limit is None else limit)


def _number(words: _Words) -> int:
    return read_whole(words.take("a number", "how many packets"), "packets")


def _codel_times(words: _Words) -> tuple[int, int]:
    target = _time(words) if words.accept("target") else TARGET
    return target, _time(words) if words.accept("interval") else INTERVAL


def _ecn(words: _Words, default: bool) -> bool:
    if words.accept("ecn"):
        return True
    return False if words.accept("no-ecn") else default


_READERS: Final[dict[str, Callable[[_Words], Fault]]] = {
    "lose": _lose,
    "loss": _lose,
    "duplicate": _duplicate,
    "corrupt": _corrupt,
    "delay": _delay,
    "reorder": _delay,
    "jitter": _jitter,
    "partition": _partition,
    "rate": _rate,
    "reboot": _reboot,
}

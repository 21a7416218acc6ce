"""Quantities as the descriptions of faults write them: 2%, 800ms, 10Mbit, 2nd. What is printed reads back exactly."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_TIMES: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_RATES: Final = {"Gbit": 1_000_000_000, "Mbit": 1_000_000, "kbit": 1_000, "bit": 1}
_NUMBER: Final = r"[0-9]{1,19}(?:\.[0-9]{1,9})?"
_SHARE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,400})?)%")
_TIME: Final = re.compile(rf"({_NUMBER})(s|ms|us|µs|ns)")
_RATE: Final = re.compile(rf"({_NUMBER})(Gbit|Mbit|kbit|Kbit|bit)")
_ORDINAL: Final = re.compile(r"([1-9][0-9]{0,18})(?:st|nd|rd|th)")
_WHOLE: Final = re.compile(r"[0-9]{1,19}")
#: No time, rate or count is larger.
LARGEST: Final = (1 << 63) - 1


def is_duration(text: str) -> bool:
    """Whether `text` is written as a duration."""
    return _TIME.fullmatch(text) is not None


def read_share(text: str) -> float:
    """A share from 0 to 1, written in percent. Raises ValueError."""
    found = _SHARE.fullmatch(text)
    if found is None or not 0 <= (value := float(Decimal(found[1]).scaleb(-2))) <= 1:
        raise ValueError(f"{text!r} is no share: write one from 0% to 100%, such as 2% or 0.1%")
    return value


def write_share(share: float) -> str:
    """The shortest text that `read_share` turns into exactly `share`."""
    number = Decimal(repr(share)).scaleb(2)
    return f"{_plain(number)}%"


def read_duration(text: str) -> int:
    """A duration in nanoseconds. Raises ValueError."""
    found = _TIME.fullmatch(text)
    value = Decimal(found[1]) * _TIMES[found[2].replace("µ", "u")] if found is not None else Decimal("0.5")
    if value != int(value):
        raise ValueError(f"{text!r} is no duration: write a number with s, ms, us or ns, such as 800ms")
    return int(value)


def write_duration(nanoseconds: int) -> str:
    """A duration in the largest unit in which it is a whole number."""
    return _in_units(nanoseconds, _TIMES)


def read_rate(text: str) -> int:
    """A rate in bits a second, above 0. Raises ValueError."""
    found = _RATE.fullmatch(text)
    value = Decimal(found[1]) * _RATES[found[2].replace("K", "k")] if found is not None else Decimal(0)
    if value != int(value) or not value:
        raise ValueError(f"{text!r} is no rate: write a number with Gbit, Mbit, kbit or bit, such as 10Mbit")
    return int(value)


def write_rate(bits: int) -> str:
    """A rate in the largest unit in which it is a whole number."""
    return _in_units(bits, _RATES)


def read_ordinal(text: str) -> int | None:
    """The number in 1st, 2nd, 3rd, 4th ...; None if `text` is no such thing."""
    found = _ORDINAL.fullmatch(text)
    return int(found[1]) if found is not None else None


def write_ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th ..."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ending}"


def read_whole(text: str, what: str) -> int:
    """A whole number. Raises ValueError, which says that it should be `what`."""
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no whole number of {what}")
    return int(text)


def check_share(share: float, what: str = "a probability") -> None:
    """Raises ValueError unless `share` is from 0 to 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"{what} is from 0 to 1, not {share}")


def check_number(number: int, least: int, what: str) -> None:
    """Raises ValueError unless `number` is `least` or more, and not beyond all measure."""
    if not least <= number <= LARGEST:
        raise ValueError(f"{what} is {least} or more and under 2^63, not {number}")


def _in_units(value: int, units: dict[str, int]) -> str:
    for unit, size in units.items():
        if value % size == 0 and value:
            return f"{value // size}{unit}"
    return f"0{next(iter(units))}"


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

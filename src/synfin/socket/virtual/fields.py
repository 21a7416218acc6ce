"""Tables of a TOML file, read field by field: each mistake is one line that says where, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from synfin.link.quantities import read_duration
from synfin.tcp.parameters import SECOND

T = TypeVar("T")

_LONG: Final = {"h": 3600 * SECOND, "min": 60 * SECOND}
_LONG_TIME: Final = re.compile(r"([0-9]{1,9})(h|min)\s*")
_KINDS: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


class TopologyError(ValueError):
    """What is wrong, as one line: ``hosts.client: ...``, and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right


class Fields:
    """A table called `where` in the file, from which fields are taken; `check_all_taken` complains of others."""

    def __init__(self, where: str, table: Any) -> None:
        if not isinstance(table, dict):
            raise TopologyError(f"{where or 'the file'} is no table", "see docs/virtual-time.md for an example")
        self.where = where
        self._table: dict[str, Any] = dict(table)
        self._taken: set[str] = set()

    def _take(self, name: str) -> Any:
        self._taken.add(name)
        return self._table.get(name)

    def path(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def get(self, name: str, kind: type[T], default: T) -> T:
        """The field `name`; `default` if there is none. Raises TopologyError for one of another kind."""
        value = self._take(name)
        if value is None:
            return default
        return self._checked(name, value, kind)

    def need(self, name: str, kind: type[T]) -> T:
        """As `get`, and raises TopologyError if there is none."""
        value = self._take(name)
        if value is None:
            raise TopologyError(f"{self.where or 'the file'} has no {name!r}", f"give {_KINDS[kind]}")
        return self._checked(name, value, kind)

    def _checked(self, name: str, value: Any, kind: type[T]) -> T:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TopologyError(f"{self.path(name)} is {value!r}", f"give {_KINDS[kind]}")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts, or one text."""
        value = self._take(name)
        if value is None:
            return []
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise TopologyError(f"{self.path(name)} is {value!r}", "give a list of texts")
        return found

    def tables(self, name: str) -> list[Fields]:
        """A list of tables, ``[[name]]``."""
        return [Fields(f"{self.path(name)}[{at + 1}]", one) for at, one in enumerate(self.get(name, list, []))]

    def named(self, name: str) -> dict[str, Fields]:
        """Tables by their names, ``[name.this]``."""
        return {key: Fields(f"{self.path(name)}.{key}", one) for key, one in self.get(name, dict, {}).items()}

    def duration(self, name: str, default: int) -> int:
        """A duration, in nanoseconds: 10ms, 1.5s, 5min, 2h, 2h 4min."""
        value = self._take(name)
        if value is None:
            return default
        return self.read(name, value, duration)

    def time_of_day(self, name: str, default: int) -> int:
        """A point in time, in nanoseconds since 1970; UTC if it does not say."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, datetime):
            raise TopologyError(
                f"{self.path(name)} is {value!r}", "give a date and a time, such as 2026-01-01T00:00:00Z"
            )
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()) * SECOND

    def read(self, name: str, value: Any, reader: Callable[[str], T]) -> T:
        """`value` of the field `name`, a text, as `reader` reads it. Raises TopologyError for what it cannot read."""
        if not isinstance(value, str):
            raise TopologyError(f"{self.path(name)} is {value!r}", "give a text")
        try:
            return reader(value)
        except ValueError as error:
            wrong, _, right = str(error).partition(": ")
            raise TopologyError(f"{self.path(name)}: {wrong}", right or "see docs/virtual-time.md") from None

    def check_all_taken(self) -> None:
        """Raises TopologyError for a field that nobody asked for."""
        for name in self._table:
            if name in self._taken:
                continue
            raise TopologyError(
                f"{self.where or 'the file'} has an unknown {name!r}", _likely(name, sorted(self._taken))
            )


def _likely(name: str, known: Iterable[str]) -> str:
    words = list(dict.fromkeys(known))
    likely = get_close_matches(name, words, 1)
    return f"perhaps {likely[0]!r}" if likely else f"known are {', '.join(words)}"


def duration(text: str) -> int:
    """A duration in nanoseconds: one that `read_duration` knows, or hours and minutes before it. Raises ValueError."""
    total = 0
    rest = text.strip()
    while found := _LONG_TIME.match(rest):
        total += int(found[1]) * _LONG[found[2]]
        rest = rest[found.end() :]
    if rest or not text.strip():
        try:
            total += read_duration(rest)
        except ValueError:
            raise ValueError(f"{text!r} is no duration: write one such as 10ms, 1.5s, 5min or 2h") from None
    return total

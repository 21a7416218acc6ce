"""What becomes of a script: passed, failed, or skipped, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"


class Skipped(Exception):  # noqa: N818 - not an error
    """The script asks for something that is understood, or at least recognised, and not supported."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Failed(Exception):  # noqa: N818 - not an error of the program
    """The host did something else than the script says: `expected` and `actual` in the script's notation.

    `kind` is ``packet``, ``syscall`` or ``code``, as ``--non_fatal`` calls them.
    """

    def __init__(self, reason: str, expected: str = "", actual: str = "", kind: str = "packet") -> None:
        super().__init__(reason)
        self.reason = reason
        self.expected = expected
        self.actual = actual
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one script. `line` is where it ended otherwise than passed, 0 for nowhere in particular.

    `expected`, `actual` and `ladder` are there for a failure of the host's. `warnings`: failures that ``--non_fatal``
    forgives. `lenient` is the status under the lenient comparison.
    """

    path: str
    status: str
    reason: str = ""
    line: int = 0
    text: str = ""
    expected: str = ""
    actual: str = ""
    ladder: str = ""
    warnings: tuple[str, ...] = ()
    lenient: str = ""

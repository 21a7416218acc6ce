"""What programs of the simulated network are made of: steps, each of which waits for something, and calls."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeAlias, TypeVar

from synfin.host.sockets import Socket
from synfin.tcp.readiness import POLLERR, POLLHUP

#: Readiness that nobody need ask for.
ALWAYS: Final = POLLERR | POLLHUP
_Result = TypeVar("_Result")


class Wait:
    """What a program waits for: that `sock` has one of `bits` (poll's; without a socket nothing), or the time
    `deadline` (nanoseconds)."""

    __slots__ = ("bits", "deadline", "sock")

    def __init__(self, deadline: int, sock: Socket | None = None, bits: int = 0) -> None:
        self.deadline = deadline
        self.sock = sock
        self.bits = bits


#: What the body of a program is, and each call that may wait: a generator, run with ``yield from``.
Steps: TypeAlias = Generator[Wait, None, _Result]


class Call:
    """One call of a program's: its `name`, when it `began` and `ended` (nanoseconds; None: it still waits), and its
    `result` or `error`."""

    __slots__ = ("began", "ended", "error", "name", "result")

    def __init__(self, name: str, began: int) -> None:
        self.name = name
        self.began = began
        self.ended: int | None = None
        self.result: object = None
        self.error: OSError | None = None

    @property
    def waits(self) -> bool:
        """Whether it has not come back."""
        return self.ended is None

    @property
    def lasted(self) -> int:
        """How long it took, in nanoseconds. Raises ValueError if it still waits."""
        if self.ended is None:
            raise ValueError(f"{self.name} still waits")
        return self.ended - self.began

    def __repr__(self) -> str:
        what = "waits" if self.waits else repr(self.error if self.error is not None else self.result)
        return f"<{self.name} at {self.began}: {what}>"

"""What programs write on standard output and standard error: each line whole, and with its program's label if asked
for. A program that was ended from outside says nothing more, as a process that was killed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from synfin.socket.virtual.baton import here

if TYPE_CHECKING:
    from synfin.socket.virtual.program import Program

#: What is written before each line of a program's.
Label: TypeAlias = "Callable[[Program], str]"


class Output:
    """Stands before a text stream, to which all passes that is not said here."""

    def __init__(self, stream: TextIO, label: Label | None) -> None:
        self._stream = stream
        self._label = label
        #: Of each program, what is no whole line yet.
        self._begun: dict[Program, str] = {}

    def write(self, text: str) -> int:
        strand = here()
        if strand is None or self._label is None:
            if strand is None or not strand.ending:
                self._stream.write(text)
            return len(text)
        if not strand.ending:
            program = strand.program
            *lines, rest = (self._begun.pop(program, "") + text).split("\n")
            for line in lines:
                self._stream.write(f"{self._label(program)}{line}\n")
            if rest:
                self._begun[program] = rest
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Writes what is no whole line."""
        for program, rest in self._begun.items():
            if self._label is not None:
                self._stream.write(f"{self._label(program)}{rest}\n")
        self._begun.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def outputs(label: Label | None) -> Iterator[None]:
    """Puts an `Output` before each of the two streams that is there."""
    before = sys.stdout, sys.stderr
    made = [None if stream is None else Output(stream, label) for stream in before]
    sys.stdout, sys.stderr = made
    try:
        yield
    finally:
        for output in made:
            if output is not None:
                output.finish()
        sys.stdout, sys.stderr = before

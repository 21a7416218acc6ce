"""A trace that is written while it happens: the sink of a stack that runs, for ``synfin show`` to draw later."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from synfin.events import Event
from synfin.show.json_lines import event_to_json_line, first_line

__all__ = ["TraceFile"]


class TraceFile:
    """A sink that appends each event to a file as a line of JSON: ``Stack(link, addresses, sink=TraceFile(path))``.

    Of payloads only the length is written, unless `payloads`. Nothing is kept in memory. A file that cannot be written
    any more (a full disk) does not disturb the stack: the trace ends, and `error` says why. Making one raises OSError
    if the file cannot be opened.
    """

    def __init__(self, path: Path | str, *, payloads: bool = False) -> None:
        self._file = Path(path).open("w", encoding="utf-8", newline="\n")  # noqa: SIM115
        self._payloads = payloads
        self._packets = 0
        self.error: OSError | None = None
        self._write(first_line())

    def __call__(self, event: Event) -> None:
        if self.error is None and not self._file.closed:
            # On a live link every event has a packet of its own.
            self._packets += 1
            self._write(event_to_json_line(event, self._packets, self._payloads))

    def _write(self, line: str) -> None:
        try:
            self._file.write(f"{line}\n")
        except OSError as error:
            self.error = error

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the trace. Closing twice is harmless."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error

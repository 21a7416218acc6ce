"""Records of TLS that wait for room in a socket of ours."""

from __future__ import annotations

from synfin.host import calls
from synfin.socket.open_sockets import OpenSocket


class Unsent:
    """Records that wait for room. They leave by themselves, also after the socket was closed."""

    __slots__ = ("_data", "_entry", "_watching", "closed")

    def __init__(self, entry: OpenSocket) -> None:
        self._entry = entry
        self._data = b""
        self._watching = False
        self.closed = False

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    def flush(self) -> None:
        """Sends what there is room for. What is left goes when there is room; errors are raised here."""
        if not self._data:
            return
        entry = self._entry
        waiting = entry.waiting
        with waiting.lock:
            try:
                while self._data:
                    taken = calls.send(entry.host, entry.core, self._data, 0, waiting.now())
                    self._data = self._data[taken:]
            except BlockingIOError:
                if not self._watching:
                    self._watching = True
                    waiting.watch(entry.core, self._room)
            except OSError:
                self._data = b""
                self._stop()
                raise
            else:
                if self._watching:
                    self._stop()
                    # Somebody may wait for that.
                    waiting.tell_number(entry.core.number)
            finally:
                entry.called()

    def _room(self) -> None:
        try:
            self.flush()
        except OSError as error:
            # The next call of the user's tells it.
            core = self._entry.core
            if core.connection is not None and error.errno is not None:
                core.connection.error = error.errno

    def _stop(self) -> None:
        if self._watching:
            self._watching = False
            self._entry.waiting.unwatch(self._entry.core, self._room)
        if self.closed:
            self.closed = False
            self._entry.release()

    def close(self) -> None:
        """The user has gone: the socket stays open until all is sent."""
        with self._entry.waiting.lock:
            if self._data and self._watching:
                self._entry.references += 1
                self.closed = True

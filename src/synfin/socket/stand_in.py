"""`socket`: the class of the standard module, over a TCP of one's own.

It is a subclass of the standard class, so that whoever asks with isinstance is content. What is no TCP, and what has an
address of the system's, is a socket of the system in it: then every call goes to the base class.
"""

from __future__ import annotations

import socket as system
import sys
from errno import EAGAIN, EINPROGRESS, EISCONN
from typing import Any

from synfin.host import calls
from synfin.host.socket_option_numbers import SO_ERROR, SOL_SOCKET
from synfin.host.sockets import Address, Socket
from synfin.socket import guards
from synfin.socket.arguments import c_int
from synfin.socket.naming import address_of
from synfin.socket.open_sockets import FIRST_NUMBER, TABLE, OpenSocket
from synfin.socket.socket_base import SYSTEM_SOCKET
from synfin.socket.socket_transfer import Transfer
from synfin.socket.ways_to_wait import address_octets
from synfin.tcp import readiness
from synfin.tcp.errors import os_error


class socket(Transfer):  # noqa: N801 (the standard class's name)
    """As socket.socket of the standard library: same methods, results, exceptions and errnos, for TCP.

    It belongs to the stack that is current where it is made (`synfin.socket.ways_to_wait.current`), or to `waiting`.
    """

    __slots__ = ()
    __module__ = "synfin.socket"

    # --- names

    def _decide(self, entry: OpenSocket, address: Address, binding: bool) -> bool:
        """Before the first address is used: whether the socket stays ours. If not, it becomes the system's."""
        octets = address_octets(address[0])
        if octets is None or entry.waiting.takes(entry.core.family, octets, address[1], binding):
            entry.undecided = False
            return True
        self._become_systems(entry)
        return False

    def _become_systems(self, entry: OpenSocket) -> None:
        theirs = SYSTEM_SOCKET
        family, number, inheritable = self.family, self._number, self.get_inheritable()
        theirs.__init__(self, family, system.SOCK_STREAM, self._proto)
        if number >= FIRST_NUMBER:
            # Who was given the number meant this one.
            entry.system = theirs.fileno(self)
        elif number >= 0:
            TABLE.remove(number)
            with entry.waiting.lock:
                if entry.descriptor is not None:
                    entry.descriptor.lose_number(number)
            made = theirs.detach(self)
            guards.dup2(made, number, False)
            guards.close(made)
            theirs.__init__(self, family, system.SOCK_STREAM, self._proto, number)
            self._number = -1
        self._open = None
        theirs.settimeout(self, self._timeout)
        theirs.set_inheritable(self, inheritable)
        for level, name, value in entry.options:
            theirs.setsockopt(self, level, name, value)
        entry.release()

    def bind(self, address: Any) -> None:
        entry = self._open
        if entry is None:
            self._check_open()
            super().bind(address)
            return
        place = address_of(entry.waiting, entry.core.family, address, "bind")
        if entry.undecided and not self._decide(entry, place, True):
            super().bind(address)
            return
        with entry.waiting.lock:
            calls.bind(entry.host, entry.core, place)
            entry.changed()

    def getsockname(self) -> Any:
        entry = self._open
        if entry is None:
            self._check_open()
            return super().getsockname()
        with entry.waiting.lock:
            return calls.getsockname(entry.host, entry.core)

    def getpeername(self) -> Any:
        entry = self._open
        if entry is None:
            self._check_open()
            return super().getpeername()
        with entry.waiting.lock:
            return calls.getpeername(entry.host, entry.core)

    # --- connecting

    def connect(self, address: Any) -> None:
        entry = self._open
        if entry is None:
            self._check_open()
            super().connect(address)
            return
        place = address_of(entry.waiting, entry.core.family, address, "connect")
        if entry.undecided and not self._decide(entry, place, False):
            super().connect(address)
            return
        waiting = entry.waiting
        host, core = entry.host, entry.core
        with waiting.lock:
            try:
                calls.connect(host, core, place, waiting.now())
            except BlockingIOError:
                entry.changed()
                if self._timeout == 0:
                    raise
                self._wait_for_connection(entry, place)
            else:
                entry.changed()

    def _wait_for_connection(self, entry: OpenSocket, place: Address) -> None:
        waiting = entry.waiting
        host, core = entry.host, entry.core
        if not waiting.wait(core, readiness.POLLOUT, self._deadline(waiting, core.values.sndtimeo)):
            raise TimeoutError("timed out") if self._timeout is not None else os_error(EINPROGRESS)
        try:
            if self._timeout is None:
                calls.connect(host, core, place, waiting.now())
            else:
                # As CPython does: the attempt goes on in the background, and this asks for its result.
                error = calls.getsockopt(host, core, SOL_SOCKET, SO_ERROR, waiting.now())
                number = int.from_bytes(error, sys.byteorder)
                if number not in (0, EISCONN):
                    raise os_error(number)
        finally:
            entry.called()

    def connect_ex(self, address: Any) -> int:
        if self._open is None:
            self._check_open()
            return super().connect_ex(address)
        try:
            # Not what a subclass makes of it.
            socket.connect(self, address)
        except system.gaierror:
            raise
        except OSError as error:
            # A time-out of settimeout's has no errno.
            return error.errno if error.errno is not None else EAGAIN
        return 0

    def listen(self, backlog: int = 128, /) -> None:
        entry = self._open
        if entry is None:
            super().listen(backlog)
            return
        waiting = entry.waiting
        entry.undecided = False
        with waiting.lock:
            # As CPython does: what is negative is none.
            calls.listen(entry.host, entry.core, max(c_int(backlog), 0), waiting.now())
            entry.changed()

    def accept(self) -> tuple[system.socket, Any]:
        entry = self._open
        if entry is None:
            self._check_open()
            return super().accept()
        waiting = entry.waiting
        host, core = entry.host, entry.core

        def call() -> tuple[Socket, Address]:
            return calls.accept(host, core)

        with waiting.lock:
            try:
                made, address = call()
            except BlockingIOError:
                made, address = self._wait_and_call(entry, call, readiness.POLLIN, 0, core.values.rcvtimeo)
            accepted = OpenSocket(waiting, made)
            entry.called()
        return socket.of(accepted, proto=self._proto), address

    def shutdown(self, how: int, /) -> None:
        entry = self._open
        if entry is None:
            super().shutdown(how)
            return
        waiting = entry.waiting
        with waiting.lock:
            try:
                calls.shutdown(entry.host, entry.core, c_int(how), waiting.now())
            finally:
                entry.changed()

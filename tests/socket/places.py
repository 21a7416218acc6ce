"""Where a test of sockets runs: on the kernel's loopback, or on two stacks of ours that a channel connects."""

from __future__ import annotations

import socket as system
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack

from synfin.link.channel import channel_pair
from synfin.socket import Stack, socket
from tests.socket.stacks import LEFT, LEFT_6, RIGHT, RIGHT_6

V4, V6 = system.AF_INET, system.AF_INET6


class Place(ABC):
    """Makes sockets for a server and for its clients. What is left open is closed at the end."""

    address: str
    address_6: str

    def __init__(self) -> None:
        self.resources = ExitStack()

    @abstractmethod
    def server_side(self, family: int = V4) -> system.socket:
        """A socket on the machine that serves."""

    @abstractmethod
    def client_side(self, family: int = V4) -> system.socket:
        """A socket on the machine that connects."""

    def keep(self, sock: system.socket) -> system.socket:
        """Closes it at the end."""
        return self.resources.enter_context(sock)

    def listener(self, backlog: int = 5, family: int = V4) -> system.socket:
        """One that listens at any port."""
        made = self.server_side(family)
        made.bind((self.address if family == V4 else self.address_6, 0))
        made.listen(backlog)
        return made

    def pair(self, family: int = V4) -> tuple[system.socket, system.socket]:
        """A client's socket and the one that the server accepted."""
        listener = self.listener(family=family)
        client = self.client_side(family)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        return client, self.keep(accepted)

    def close(self) -> None:
        self.resources.close()


class Kernel(Place):
    address, address_6 = "127.0.0.1", "::1"

    def server_side(self, family: int = V4) -> system.socket:
        return self.keep(system.socket(family))

    client_side = server_side


class Synfin(Place):
    address, address_6 = RIGHT, RIGHT_6

    def __init__(self) -> None:
        super().__init__()
        left, right = channel_pair()
        self.left = self.resources.enter_context(Stack(left, [f"{LEFT}/24", f"{LEFT_6}/64"], name="left"))
        self.right = self.resources.enter_context(Stack(right, [f"{RIGHT}/24", f"{RIGHT_6}/64"], name="right"))

        self.resources.callback(self._settle)

    def _settle(self) -> None:
        """A stack that is gone answers nobody: the other would wait for it."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and any(one.host.transport.connections for one in (self.left, self.right)):
            time.sleep(0.0005)

    def server_side(self, family: int = V4) -> system.socket:
        return self.keep(socket(family, waiting=self.right.waiting))

    def client_side(self, family: int = V4) -> system.socket:
        return self.keep(socket(family, waiting=self.left.waiting))

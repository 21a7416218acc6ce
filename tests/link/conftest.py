"""Devices for the tests of links: a pair of connected ones in memory, and network namespaces for real ones."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from synfin.link.tun import Tun

CLONE_NEWNET = 0x40000000


@pytest.fixture
def connected() -> Iterator[Callable[[bool], tuple[Tun, Tun]]]:
    """Makes two links, with or without offload, of which each receives what the other sends."""
    made: list[Tun] = []

    def connect(offload: bool) -> tuple[Tun, Tun]:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends = Tun.from_fd(left.detach(), offload), Tun.from_fd(right.detach(), offload)
        made.extend(ends)
        return ends

    yield connect
    for end in made:
        end.close()


@pytest.fixture
def in_namespace(require: Callable[..., None]) -> Callable[[Callable[[], None]], None]:
    """Runs a function in a network namespace of its own, which goes with it.

    A namespace belongs to a thread; the threads and processes which that one starts are in it too.
    """
    require("root", "tun", "netns", "ip")
    libc = ctypes.CDLL(None, use_errno=True)

    def run(function: Callable[[], None]) -> None:
        raised: list[BaseException] = []

        def body() -> None:
            try:
                if libc.unshare(CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
                function()
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]

    return run

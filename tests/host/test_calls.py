"""The socket calls: the same scripts on the Linux kernel and on a host of ours, and what a layer above relies on."""

from __future__ import annotations

import errno
import gc
import struct
import subprocess
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from synfin.host import calls, socket_options, sockets, transfer
from synfin.host.host import Host
from synfin.host.socket_option_numbers import (
    MSG_DONTWAIT,
    MSG_FASTOPEN,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
    SO_LINGER,
    SO_REUSEPORT,
    SOL_SOCKET,
)
from synfin.host.sockets import AF_INET, AF_INET6, Socket
from synfin.tcp import states
from tests.host.call_scripts import LISTENER, PAIR, SCRIPTS, SERVER, Script
from tests.host.machine import SECOND, Machine, Peer, segment_of
from tests.host.two_worlds import Kernel, Ours, World
from synfin.wire.tcp import ACK, FIN, RST, SYN


def played(world: World, script: Script) -> list[Any]:
    """The outcome of each step, until one needs a socket that did not come about."""
    outcomes = []
    for step in script:
        try:
            outcomes.append((step, world.does(*step)))
        except KeyError:
            outcomes.append((step, "no such socket"))
    world.close_all()
    return outcomes


@pytest.mark.requires("root", "netns", "ip")
@pytest.mark.row("E2")
def test_scripts_end_as_on_the_kernel(in_namespace: Callable[[Callable[[], None]], None]) -> None:
    """Every result and errno, and what poll and the names say, in each of the scripts."""
    differences = {}

    def compare() -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # So that each script can have its ports.
        with open("/proc/sys/net/ipv4/tcp_max_tw_buckets", "w") as parameter:
            parameter.write("0")
        for name, script in SCRIPTS.items():
            kernel, ours = played(Kernel(), script), played(Ours(), script)
            wrong = [(k, o) for k, o in zip(kernel, ours, strict=True) if k != o]
            if wrong:
                differences[name] = wrong

    in_namespace(compare)
    assert differences == {}

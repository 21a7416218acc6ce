"""What all tests share: what they may require of the machine, the rows and requirements they name, Hypothesis'
profiles; a pair of connected links in memory, and network namespaces for real ones."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from synfin.link.tun import Tun

CLONE_NEWNET = 0x40000000

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# The mission's rows: A1 to G2.
ROW = re.compile(r"[A-G][1-9][0-9]?")

# The numbered requirements of RFC 9293: MUST-1 to MUST-69, SHLD-1 to SHLD-31, MAY-1 to MAY-18, REC-1.
REQUIREMENTS = frozenset(
    f"{kind}-{number}"
    for kind, last in (("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1))
    for number in range(1, last + 1)
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("row"):
            wrong = [name for name in mark.args if not (isinstance(name, str) and ROW.fullmatch(name))]
            if wrong or not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: {wrong} is no row of the mission, such as 'A8'")
        for mark in item.iter_markers("requirement"):
            wrong = [name for name in mark.args if not (isinstance(name, str) and name in REQUIREMENTS)]
            if wrong or not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: {wrong} is no requirement of RFC 9293, such as 'MUST-24'")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("tun"):
        require_of_machine("root", "tun", "netns", "ip")
    for mark in item.iter_markers("requires"):
        require_of_machine(*mark.args)


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """For what is known only inside a test: ``require("root", "tshark")``. Elsewhere, mark the test instead."""
    return require_of_machine


def require_of_machine(*names: str) -> None:
    """Skip the test when the machine lacks one of these; fail it when SYNFIN_REQUIRE=all says that it must not.

    A name is "root", "tun", "netns", "cpython-tests", or that of a program.
    """
    for name in names:
        lack = _lack(name)
        if lack is None:
            continue
        if os.environ.get("SYNFIN_REQUIRE") == "all":
            pytest.fail(f"{lack}, and SYNFIN_REQUIRE=all", pytrace=False)
        pytest.skip(lack)


@functools.cache
def _lack(name: str) -> str | None:
    """What the machine lacks to offer `name`, or None if it offers it."""
    if name == "root":
        return None if os.geteuid() == 0 else "not root"
    if name == "tun":
        device = Path("/dev/net/tun")
        return None if os.access(device, os.R_OK | os.W_OK) else f"no access to {device}"
    if name == "netns":
        attempt = ["unshare", "--net", "true"]
        if shutil.which(attempt[0]) and subprocess.run(attempt, check=False, capture_output=True).returncode == 0:
            return None
        return "no right to make a network namespace"
    if name == "cpython-tests":
        found = importlib.util.find_spec("test") and importlib.util.find_spec("test.test_socket")
        return None if found else "no package 'test' with CPython's own tests"
    return None if shutil.which(name) else f"no program {name}"


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

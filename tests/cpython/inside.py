"""One module of CPython's tests, run in this process, on kernel sockets or on ours. `tests.cpython.runs` starts it.

    python inside.py MODULE [--ours] < what is to be left out or run alone, in JSON

Each line of standard output is a JSON object: a test begins, with its id; or it has ended, with what became of it and
how many connections were made through our stack meanwhile. What the tests print goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import json
import os
import secrets
import socket
import sys
import tempfile
import unittest
import unittest.mock
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO, TypeAlias

from synfin.host import addresses
from synfin.host.host import Host
from synfin.link.channel import Channel
from synfin.socket import installed, provide
from synfin.socket.link_driver import LinkDriver

#: What the tests may use, by the names of test.support: everything that stays on this machine and is small.
RESOURCES = ("cpu", "curses", "decimal", "subprocess", "walltime")
#: Some modules say "network" where they mean loopback; in others it means servers of python.org's.
MORE_RESOURCES = {"test.test_socketserver": ("network",)}
#: Modules that, where `socket` has no socketpair, make pairs of TCP: what they test is to be tested with these.
WITHOUT_PAIRS = ("test.test_selectors",)

Failure: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class OwnLoopback(LinkDriver):
    """Loopback is our host's own: every TCP socket for 127.0.0.0/8 and ::1 belongs to it. All else is the system's.

    The link leads nowhere: what a host sends to itself never gets there.
    """

    def __init__(self) -> None:
        host = Host("cpython", secrets.token_bytes(32))
        link = Channel()
        super().__init__(host, host.add_interface("nowhere", [], link.mtu, link.room), link)

    def takes(self, family: int, address: bytes, port: int, binding: bool) -> bool:
        return addresses.is_loopback(address) or addresses.is_unspecified(address)

    @property
    def connections(self) -> int:
        """How many were accepted by a listener so far: each has its other end here too."""
        return self.host.counters["TcpPassiveOpens"]


class Result(unittest.TestResult):
    """Tells of each test in a line."""

    def __init__(self, stream: TextIO, driver: OwnLoopback | None) -> None:
        super().__init__()
        self._stream = stream
        self._driver = driver
        self._outcome = ("pass", "")
        self._before = 0

    def _tell(self, **values: object) -> None:
        self._stream.write(json.dumps(values) + "\n")
        self._stream.flush()

    def _connections(self) -> int:
        return 0 if self._driver is None else self._driver.connections

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 (unittest's name)
        super().startTest(test)
        self._outcome = ("pass", "")
        self._before = self._connections()
        self._tell(begun=test.id())

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        outcome, why = self._outcome
        self._tell(ended=test.id(), outcome=outcome, why=why, connections=self._connections() - self._before)

    def _failed(self, test: Any, error: Failure) -> None:
        kind, value, _ = error
        words = f"{kind.__name__ if kind is not None else '?'}: {value}"
        self._outcome = ("fail", " ".join(words.split())[:300])
        sys.stderr.write(f"--- {test.id()}\n{self._exc_info_to_string(error, test)}\n")  # type: ignore[attr-defined]
        if not isinstance(test, unittest.TestCase):
            # What is set up for a class or a module: none of its tests will begin.
            self._tell(ended=test.id(), outcome="fail", why=self._outcome[1], connections=0)

    def addFailure(self, test: unittest.TestCase, err: Failure) -> None:  # noqa: N802
        self._failed(test, err)

    def addError(self, test: unittest.TestCase, err: Failure) -> None:  # noqa: N802
        self._failed(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Failure | None) -> None:  # noqa: N802
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self._outcome = ("skip", reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._outcome = ("fail", "it was expected to fail")


def tests_in(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from tests_in(one)
        elif isinstance(one, unittest.TestCase):
            yield one


def _is_among(name: str, chosen: set[str]) -> bool:
    """Whether `name` or its class is there."""
    return name in chosen or name.rpartition(".")[0] in chosen


def run(module: str, stream: TextIO, driver: OwnLoopback | None, left_out: set[str], alone: set[str] | None) -> None:
    """Runs the tests of `module` but those `left_out`, and only those `alone` (tests or whole classes) if given."""
    support: Any = importlib.import_module("test.support")
    support.use_resources = [*RESOURCES, *MORE_RESOURCES.get(module, ())]
    support.verbose = 0
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        with unittest.mock.patch("socket.socketpair") if module in WITHOUT_PAIRS else contextlib.nullcontext():
            if module in WITHOUT_PAIRS:
                del socket.socketpair
            try:
                importlib.import_module(module)
            except unittest.SkipTest:
                return
        found = tests_in(unittest.defaultTestLoader.loadTestsFromName(module))
        chosen = [one for one in found if one.id() not in left_out and (alone is None or _is_among(one.id(), alone))]
        unittest.TestSuite(chosen).run(Result(stream, driver))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--ours", action="store_true")
    asked = parser.parse_args()
    choice = json.load(sys.stdin)
    faulthandler.enable(all_threads=True)
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    alone = None if choice["alone"] is None else set(choice["alone"])
    with contextlib.ExitStack() as resources:
        driver = None
        if asked.ours:
            driver = OwnLoopback()
            driver.start()
            resources.enter_context(installed())
            resources.enter_context(provide(lambda: driver))
        run(asked.module, stream, driver, set(choice["left_out"]), alone)
    stream.write('{"done": true}\n')
    stream.flush()
    # Threads that a test left behind are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()

"""CPython's own tests, each module in processes of its own: on kernel sockets, and on ours."""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = (
    "test_socket",
    "test_asyncio.test_streams",
    "test_asyncio.test_sock_lowlevel",
    "test_asyncio.test_server",
    "test_asyncio.test_ssl",
    "test_asyncio.test_sslproto",
    "test_asyncio.test_sendfile",
    "test_asyncio.test_events",
    "test_asyncio.test_base_events",
    "test_asyncio.test_buffered_proto",
    "test_httplib",
    "test_httpservers",
    "test_urllib2_localnet",
    "test_smtplib",
    "test_ftplib",
    "test_poplib",
    "test_imaplib",
    "test_socketserver",
    "test_selectors",
    "test_ssl",
)
#: How long one test may take, in seconds; the slowest on the kernel takes some 10.
TIMEOUT: Final = 60.0


class Outcome(NamedTuple):
    """What became of a test: "pass", "fail" or "skip"; why; and how many connections were made through our stack
    (-1: nobody could say any more)."""

    outcome: str
    why: str
    connections: int


def missing() -> str:
    """What has to be installed before anything can run; nothing if it is there."""
    if importlib.util.find_spec("test") is not None and importlib.util.find_spec("test.test_socket") is not None:
        return ""
    package = "libpython{}.{}-testsuite".format(*sys.version_info)
    return (
        f"{sys.executable} has no package 'test' with CPython's tests: on Debian, apt-get install {package};"
        " a Python built from source has it"
    )


def run(
    module: str,
    ours: bool,
    alone: Iterable[str] | None = None,
    timeout: float = TIMEOUT,
    log: IO[bytes] | None = None,
) -> dict[str, Outcome]:
    """The outcomes of the tests of `module` (of those and the classes that are `alone`, if given), by id without the
    leading ``test.``.

    A test that takes longer than `timeout`, or ends the process, has failed; the others go on in a new process.
    """
    outcomes: dict[str, Outcome] = {}
    wanted = None if alone is None else [f"test.{one}" for one in alone]
    while not _run_once(f"test.{module}", ours, wanted, timeout, log, outcomes):
        pass
    return outcomes


def _run_once(
    module: str,
    ours: bool,
    alone: list[str] | None,
    timeout: float,
    log: IO[bytes] | None,
    outcomes: dict[str, Outcome],
) -> bool:
    """Runs what has no outcome yet, in one process; whether it came to the end."""
    command = [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("inside.py")), module]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(
        [*command, "--ours"] if ours else command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if log is None else log,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as choice:
        left_out = [f"test.{one}" for one in outcomes]
        choice.write(json.dumps({"left_out": left_out, "alone": alone}).encode())
    begun = ""
    try:
        with process.stdout as stream:
            for line in _lines(stream, timeout):
                said: Mapping[str, object] = json.loads(line)
                if "done" in said:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(10)
                    return True
                if "begun" in said:
                    begun = _short(said["begun"])
                else:
                    outcomes[_short(said["ended"])] = _outcome(said)
                    begun = ""
            late = process.poll() is None
    finally:
        _kill(process)
    if not begun:
        if not outcomes:
            raise RuntimeError(f"{module} ended without a word, status {process.returncode}")
        # Only what comes after the tests went wrong.
        return True
    why = f"no end within {timeout:g} s" if late else f"the process ended, status {process.returncode}"
    outcomes[begun] = Outcome("fail", why, -1 if ours else 0)
    return False


def _short(name: object) -> str:
    return str(name).removeprefix("test.")


def _outcome(said: Mapping[str, object]) -> Outcome:
    connections = said["connections"]
    assert isinstance(connections, int)
    return Outcome(str(said["outcome"]), str(said["why"]), connections)


def _lines(stream: IO[bytes], timeout: float) -> Iterable[bytes]:
    """Lines, until the end of the stream or until none came for `timeout` seconds."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while selector.select(timeout):
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and those that it started; what it was about to do goes to its log."""
    if process.poll() is None:
        process.send_signal(signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

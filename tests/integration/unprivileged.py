"""Runs code of ours as nobody, when the tests run as root. A library of tests/integration."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.peers import PATIENCE

NOBODY = 65534
CLONE_NEWNS = 0x00020000
DEVICE = Path("/dev/net/tun")

#: The interpreter and its modules may be in a place where nobody has no access: everything is loaded before.
PRELUDE = """
import argparse, asyncio, contextlib, ctypes, encodings.idna, hashlib, importlib, io, os, pkgutil, random, socket, sys
import concurrent.futures.thread
import synfin
from synfin.link import device
for module in pkgutil.walk_packages(synfin.__path__, "synfin."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError:  # of an extra that is not installed
            pass
device.addresses("lo")
from synfin.cli.main import main
with contextlib.redirect_stderr(io.StringIO()):
    for words in ("serve echo", "connect 10.9.0.3 7"):
        main(["tun", *words.split(), "--address", "nonsense", "--fault", "lose 2%"])
source = open(sys.argv[1]).read() if sys.argv[1:] and sys.argv[1].endswith(".py") else ""
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
assert os.geteuid() != 0
"""
COMMAND = PRELUDE + "sys.exit(main(sys.argv[1:]))\n"
SCRIPT = PRELUDE + "sys.argv[:] = sys.argv[1:]\nexec(compile(source, sys.argv[0], 'exec'), {'__name__': '__main__'})\n"
#: As `unshare --user --map-root-user --net` does it.
USER_NAMESPACE = (
    PRELUDE
    + """
libc = ctypes.CDLL(None, use_errno=True)
user = os.geteuid()
libc.prctl(4, 1)  # PR_SET_DUMPABLE: /proc/self belongs to us, although we were root
if libc.unshare(0x10000000 | 0x40000000):  # CLONE_NEWUSER | CLONE_NEWNET
    sys.exit("no user namespace: " + os.strerror(ctypes.get_errno()))
with open("/proc/self/uid_map", "w") as mapping:
    mapping.write(f"0 {user} 1")
sys.exit(main(sys.argv[1:]))
"""
)


def synfin(*arguments: str, code: str = COMMAND) -> list[str]:
    """The command line ``synfin ...``, as nobody."""
    return [sys.executable, "-c", code, *arguments]


def script(path: Path, *arguments: str) -> list[str]:
    """The command line ``python path ...``, as nobody."""
    return [sys.executable, "-c", SCRIPT, str(path), *arguments]


def complaint(command: list[str], *, fds: tuple[int, ...] = ()) -> str:
    """What a command that is wrong says, in one line; its exit code is 2."""
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=PATIENCE, pass_fds=fds, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    return done.stderr


@contextmanager
def running(command: list[str], *, fds: tuple[int, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, and the first line that it says. At the end ^C, which must end it in order."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=fds
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"it says nothing but: {process.communicate(timeout=PATIENCE)[1]}")
        yield process, line
        process.terminate()
        said = process.wait(PATIENCE), process.communicate()[1]
        assert said == (0, ""), said
    finally:
        process.kill()
        process.communicate()


def let_everybody_open_tun() -> None:
    """For this thread, and the processes that it starts: /dev/net/tun with the rights that most systems give it."""
    if DEVICE.stat().st_mode & 0o006 == 0o006:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "tmpfs", str(DEVICE.parent)],
        ["mknod", "-m", "666", str(DEVICE), "c", "10", "200"],
    ):
        subprocess.run(command, check=True, timeout=PATIENCE)
    assert stat.S_ISCHR(DEVICE.stat().st_mode)

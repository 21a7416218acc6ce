"""What these tests have in common: a network namespace with programs of others in it, which know the kernel's TCP, and
plain Python programs beside them, which ``synfin run --tun`` runs as they are.

Whose TCP carried what is read in the namespace's own counters: a connection of the kernel's to another of the kernel's
is opened actively at one end, one of synfin's is not.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ctypes import CDLL, get_errno
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

import trustme

T = TypeVar("T")

OURS: Final = "10.9.0.2"
KERNELS: Final = "10.9.0.3"
OURS_6: Final = "fd00:9::2"
KERNELS_6: Final = "fd00:9::3"
TUN: Final = ("--tun", f"{OURS}/24", "--tun", f"{OURS_6}/64")
#: The longest that anything may take, in seconds.
PATIENCE: Final = 60.0
LARGE: Final = 100_000_000

HERE: Final = Path(__file__).parent
CLONE_NEWNET: Final = 0x40000000
NOBODY: Final = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


class Opened(NamedTuple):
    """Connections of the kernel's that were opened: by its own programs, and by others."""

    actively: int
    passively: int


class Machine:
    """A network namespace, which goes with its last process. Whatever happens in it happens in one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.do(_enter_namespace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def do(self, call: Callable[[], T]) -> T:
        return self._thread.submit(call).result()

    def run(self, command: Sequence[str], data: bytes | None = None) -> str:
        """What a program that succeeds prints."""

        def run() -> str:
            done = subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, check=False)
            said = done.stderr.decode(errors="replace")[-2000:]
            assert done.returncode == 0, f"{command} ended with {done.returncode}: {said}"
            return done.stdout.decode()

        return self.do(run)

    @contextmanager
    def started(
        self,
        command: Sequence[str],
        *,
        ends: signal.Signals = signal.SIGTERM,
        stdin: int = subprocess.DEVNULL,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program that runs meanwhile, and is gone at the end, whatever happened. What it complains of, pytest shows
        where a test fails."""

        def start() -> subprocess.Popen[bytes]:
            # Its own processes go with it.
            return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, start_new_session=True)

        process = self.do(start)
        try:
            yield process
        finally:
            process.send_signal(ends)
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise

    def wait_for(self, port: int, process: subprocess.Popen[bytes], address: str = "127.0.0.1") -> None:
        """Returns when somebody listens there."""
        end = time.monotonic() + PATIENCE
        while not self.do(lambda: _answers(address, port)):
            assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
            assert time.monotonic() < end, f"after {PATIENCE} s nobody at {address}:{port}"
            time.sleep(0.02)

    def opened(self) -> Opened:
        """How many connections of this namespace's kernel were opened so far."""
        return self.do(_opened)

    def addresses(self) -> set[tuple[str, str]]:
        """The two addresses of each connection that the kernel has in this namespace, as ss prints them: the near one
        first."""
        lines = self.run(["ss", "-tanH", "state", "connected"]).splitlines()
        return {(line.split()[3].rpartition(":")[0], line.split()[4].rpartition(":")[0]) for line in lines}

    # --- plain Python programs, on synfin

    def client(self, script: str, *arguments: str) -> list[dict[str, object]]:
        """Runs a program of `clients` on synfin, and returns what it prints, a line of JSON for each thing it did. The
        kernel opened no connection meanwhile, and took some from elsewhere."""
        before = self.opened()
        said = self.run(on_synfin(HERE / "clients" / script, *arguments))
        after = self.opened()
        assert after.actively == before.actively
        assert after.passively > before.passively
        return [json.loads(line) for line in said.splitlines()]

    @contextmanager
    def server(self, script: str, port: int, *arguments: str) -> Iterator[None]:
        """Runs a program of `servers` on synfin, from when it answers at `port`. Meanwhile the kernel takes no
        connection from elsewhere, and opens some. At the end ^C, after which it has to end in order."""
        command = on_synfin(HERE / "servers" / script, OURS, str(port), *arguments)
        before = self.opened()
        with self.started(command, ends=signal.SIGINT) as process:
            assert read_line(process) == "ready"
            self.wait_for(port, process, OURS)
            ready = self.opened()
            yield
            assert process.poll() is None
            after = self.opened()
        assert after.passively == before.passively
        assert after.actively > ready.actively
        assert process.returncode == 0


def on_synfin(script: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "synfin", "run", *TUN, str(script), *arguments]


def read_line(process: subprocess.Popen[bytes]) -> str:
    """The next line that a program prints, within patience."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert readable, f"{process.args!r} says nothing"
    return process.stdout.readline().decode().strip()


def _enter_namespace() -> None:
    if CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(get_errno(), os.strerror(get_errno()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=PATIENCE)


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def _opened() -> Opened:
    lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    counters = dict(zip(names, values, strict=True))
    return Opened(int(counters["ActiveOpens"]), int(counters["PassiveOpens"]))


@contextmanager
def directory_for_nobody() -> Iterator[Path]:
    """A directory of nobody's, for servers that refuse to be root: pytest's own are closed to others."""
    made = Path(tempfile.mkdtemp(prefix="synfin-"))
    try:
        shutil.chown(made, 65534, 65534)
        yield made
    finally:
        shutil.rmtree(made)


class Certificates:
    """A certificate for both ends' addresses, and the authority that clients are to trust."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert(OURS, KERNELS, OURS_6, KERNELS_6)
        self.authority = directory / "authority.pem"
        self.chain = directory / "chain.pem"
        self.key = directory / "key.pem"
        authority.cert_pem.write_to_path(self.authority)
        issued.private_key_pem.write_to_path(self.key)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(self.chain, append=True)


class LargeFile:
    """100 MB, and their SHA-256."""

    def __init__(self, path: Path) -> None:
        self.path = path
        random = Random(1)
        total = hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(100):
                data = random.randbytes(LARGE // 100)
                total.update(data)
                file.write(data)
        self.sha256 = total.hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""``synfin tun serve http`` and ``synfin tun connect`` with curl and nc on the other side, on a network that loses,
reorders and duplicates."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from synfin.cli.main import main
from tests.integration.peers import KERNELS, OURS, PATIENCE, Run, serving, started

pytestmark = [pytest.mark.tun, pytest.mark.requires("curl", "nc", "ss")]

MEGABYTE = 1_000_000
BAD_NETWORK = ("--fault", "lose 2%", "--fault", "reorder 2% by 1ms", "--fault", "duplicate 2%")
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def write_file(path: Path, megabytes: int) -> str:
    """A file of random octets, and its SHA-256."""
    random = Random(megabytes)
    sha256 = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            data = random.randbytes(MEGABYTE)
            sha256.update(data)
            file.write(data)
    return sha256.hexdigest()


def url(version: int, name: str) -> str:
    host = OURS[version]
    return f"http://{host}/{name}" if version == 4 else f"http://[{host}]/{name}"


def curl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ["curl", "--silent", "--show-error", "--globoff", "--path-as-is", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


def hash_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.timeout(240)
def test_100_megabytes_over_a_bad_network(in_namespace: Run, root: Path, tmp_path: Path) -> None:
    """curl and nc, both IP versions at once."""
    expected = write_file(root / "file", 100)

    def body() -> None:
        with serving("http", str(root), *BAD_NETWORK):
            fetching = []
            for version in OURS:
                command = ["curl", "--silent", "--show-error", "--globoff", url(version, "file")]
                fetching.append(
                    subprocess.Popen([*command, "--output", str(tmp_path / f"got{version}")], stderr=subprocess.PIPE)
                )
            try:
                for process in fetching:
                    assert process.communicate(timeout=200)[1] == b""
                    assert process.returncode == 0
            finally:
                for process in fetching:
                    process.kill()
                    process.wait()

    in_namespace(body)
    for version in OURS:
        assert hash_of_file(tmp_path / f"got{version}") == expected


@versions
def test_nc_fetches_over_a_bad_network(in_namespace: Run, root: Path, version: int) -> None:
    expected = write_file(root / "file", 10)
    request = b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    def body() -> None:
        with serving("http", str(root), *BAD_NETWORK, "--seed", str(version)):
            done = subprocess.run(
                ["nc", OURS[version], "80"], input=request, check=True, capture_output=True, timeout=100
            )
            head, _, data = done.stdout.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert hashlib.sha256(data).hexdigest() == expected

    in_namespace(body)


@versions
def test_nc_sends_over_a_bad_network(in_namespace: Run, version: int) -> None:
    """To the echo service, and back."""
    data = Random(version).randbytes(5 * MEGABYTE)

    def body() -> None:
        with serving("echo", *BAD_NETWORK, "--seed", str(version)):
            done = subprocess.run(
                ["nc", "-N", OURS[version], "7"], input=data, check=True, capture_output=True, timeout=100
            )
            assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()

    in_namespace(body)


@versions
@pytest.mark.parametrize("faults", [(), ("--fault", "lose 0.5%")], ids=["good network", "lossy network"])
def test_our_netcat_and_theirs(in_namespace: Run, tmp_path: Path, version: int, faults: tuple[str, ...]) -> None:
    """``synfin tun connect`` to ``nc -l``: each sends what the other has to receive."""
    ours, theirs = (Random(seed).randbytes(2 * MEGABYTE) for seed in (1, 2))
    (tmp_path / "sent").write_bytes(theirs)
    addresses = ["--address", "10.9.0.2/24", "--address", "fd00:9::2/64", "--device", "lasting"]

    def body() -> None:
        for words in (
            "tuntap add dev lasting mode tun",
            f"address add {KERNELS[4]}/24 dev lasting",
            f"address add {KERNELS[6]}/64 dev lasting nodad",
            "link set lasting up",
        ):
            subprocess.run(["ip", *words.split()], check=True, timeout=PATIENCE)
        with listening(version, tmp_path) as listener:
            command = [sys.executable, "-m", "synfin", "tun", "connect", KERNELS[version], "99", *addresses, *faults]
            done = subprocess.run(command, input=ours, capture_output=True, timeout=100, check=False)
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout == theirs
            assert listener.wait(PATIENCE) == 0

    in_namespace(body)
    assert (tmp_path / "received").read_bytes() == ours


@contextmanager
def listening(version: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``nc -l`` on port 99, which sends the file `sent` and writes what it receives into `received`."""
    with (directory / "sent").open("rb") as source, (directory / "received").open("wb") as sink:
        process = subprocess.Popen(["nc", "-l", "-N", KERNELS[version], "99"], stdin=source, stdout=sink)
        try:
            while b":99 " not in subprocess.run(["ss", "-tlnH"], check=True, capture_output=True).stdout:
                assert process.poll() is None
            yield process
        finally:
            process.kill()
            process.wait()


@versions
def test_curl(in_namespace: Run, root: Path, version: int) -> None:
    (root / "a.txt").write_bytes(b"0123456789")
    (root / "sub").mkdir()

    def body() -> None:
        with serving("http", str(root)):
            assert curl(url(version, "a.txt")).stdout == b"0123456789"
            assert curl("--range", "2-4", url(version, "a.txt")).stdout == b"234"
            assert b"Content-Length: 10\r\n" in curl("--head", url(version, "a.txt")).stdout
            assert b'href="./a.txt"' in curl("--location", url(version, "sub/..%2f"), url(version, "")).stdout
            # Two on one connection.
            shown = curl("--write-out", "%{num_connects}", url(version, "a.txt"), url(version, "a.txt"))
            assert shown.stdout == b"01234567891" + b"01234567890"
            for path, status in (("nothing", 404), ("../secret", 400), ("sub", 301)):
                shown = curl("--write-out", "%{http_code}", "--output", "/dev/null", url(version, path))
                assert shown.stdout == b"%d" % status
            shown = curl("--data", "x", "--write-out", "%{http_code}", "--output", "/dev/null", url(version, "a.txt"))
            assert shown.stdout == b"405"

    in_namespace(body)


def test_a_running_server_is_looked_at_and_set(
    in_namespace: Run, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        with serving("http", str(root), "--device", "mine", "--time-wait", "1"):
            assert main(["tun", "ss"]) == 0
            heading, *rows = capfd.readouterr().out.splitlines()
            assert heading == "State  Recv-Q Send-Q Local Address:Port Peer Address:Port"
            assert [row.split()[::3] for row in rows] == [["LISTEN", "0.0.0.0:80"], ["LISTEN", "[::]:80"]]
            assert main(["tun", "sysctl", "--device", "mine", "synfin.tcp_timewait_len"]) == 0
            assert capfd.readouterr().out == "synfin.tcp_timewait_len = 1\n"
            assert main(["tun", "sysctl", "-w", "net.ipv4.tcp_sack=0"]) == 0
            capfd.readouterr()
            assert main(["tun", "sysctl", "net.ipv4.tcp_sack"]) == 0
            assert capfd.readouterr().out == "net.ipv4.tcp_sack = 0\n"

    in_namespace(body)


def test_a_slow_client_holds_up_nobody(in_namespace: Run, root: Path) -> None:
    """One who reads nothing of a large file, and one who is served meanwhile; the file is never in memory."""
    write_file(root / "large", 100)
    (root / "small").write_bytes(b"small")

    def body() -> None:
        with serving("http", str(root)) as server, started(["nc", OURS[4], "80"]):
            import socket

            with socket.create_connection((OURS[4], 80), timeout=PATIENCE) as deaf:
                deaf.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
                assert deaf.recv(1)
                assert curl(url(4, "small")).stdout == b"small"
                memory = Path(f"/proc/{server.process.pid}/status").read_text()
                peak = int(memory.partition("VmHWM:")[2].split()[0])
                assert peak < 100_000  # KiB

    in_namespace(body)

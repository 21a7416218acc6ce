"""Servers on synfin, and clients in the kernel's namespace: curl with HTTP/1.1, HTTP/2 and TLS, wrk, nc."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from tests.programs.machine import OURS, PATIENCE, Certificates, LargeFile, Machine, sha256_of

pytestmark = [pytest.mark.tun]

PLAIN = f"http://{OURS}:8080"
TLS = f"https://{OURS}:8443"


def curl(machine: Machine, *arguments: str) -> str:
    return machine.run(["curl", "--disable", "--silent", "--show-error", "--fail", "--noproxy", "*", *arguments])


@pytest.mark.requires("curl")
def test_curl_and_hypercorn(machine: Machine, large_file: LargeFile, tmp_path: Path) -> None:
    with machine.server("files.py", 8080, str(large_file.path)):
        assert curl(machine, f"{PLAIN}/small", f"{PLAIN}/small") == "HTTP/1.1HTTP/1.1"
        got = tmp_path / "got"
        curl(machine, "--output", str(got), f"{PLAIN}/large")
        assert sha256_of(got) == large_file.sha256
        assert curl(machine, "--upload-file", str(large_file.path), f"{PLAIN}/put") == large_file.sha256


@pytest.mark.requires("curl")
def test_curl_and_hypercorn_over_tls(
    machine: Machine, large_file: LargeFile, certificates: Certificates, tmp_path: Path
) -> None:
    """HTTP/2, several requests at once as streams of one connection; and HTTP/1.1."""
    trust = ["--cacert", str(certificates.authority)]
    got = tmp_path / "got"
    with machine.server("files.py", 8443, str(large_file.path), str(certificates.chain), str(certificates.key)):
        assert curl(machine, *trust, "--http2", f"{TLS}/small") == "HTTP/2"
        assert curl(machine, *trust, "--http1.1", f"{TLS}/small") == "HTTP/1.1"
        before = machine.opened().actively
        assert curl(machine, *trust, "--parallel", *[f"{TLS}/small"] * 10) == "HTTP/2" * 10
        assert machine.opened().actively - before < 10
        curl(machine, *trust, "--output", str(got), f"{TLS}/large")
        assert sha256_of(got) == large_file.sha256
        assert curl(machine, *trust, "--upload-file", str(large_file.path), f"{TLS}/put") == large_file.sha256


@pytest.mark.requires("wrk", "curl")
def test_wrk_with_100_connections(machine: Machine, large_file: LargeFile) -> None:
    """Each request that wrk counted was answered once; the last of each connection wrk may not have waited for."""
    with machine.server("files.py", 8080, str(large_file.path)):
        before = machine.opened().actively
        command = ["wrk", "--threads", "2", "--connections", "100", "--duration", "2s", "--timeout", "30s"]
        said = machine.run([*command, f"{PLAIN}/small"])
        assert machine.opened().actively - before >= 100
        assert "Socket errors" not in said
        assert "Non-2xx" not in said
        requests = re.search(r"(\d+) requests in", said)
        assert requests is not None
        counted = int(requests[1])
        assert 0 < counted <= int(curl(machine, f"{PLAIN}/count")) <= counted + 101


@pytest.mark.requires("nc")
def test_nc_and_a_server_of_threads(machine: Machine) -> None:
    """Ten at once, 5 MB each there and back."""
    sent = [Random(number).randbytes(5_000_000) for number in range(10)]

    def exchange() -> list[bytes]:
        processes = [
            subprocess.Popen(["nc", "-N", OURS, "7007"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in sent
        ]
        with ThreadPoolExecutor(len(sent)) as threads:
            return list(
                threads.map(lambda one: one[0].communicate(one[1], PATIENCE)[0], zip(processes, sent, strict=True))
            )

    with machine.server("echo_threads.py", 7007):
        assert machine.do(exchange) == sent

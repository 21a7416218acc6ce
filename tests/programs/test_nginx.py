"""nginx in the kernel's namespace; httpx and requests on synfin: HTTP/1.1, HTTP/2, TLS; 100 MB both ways."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs.machine import (
    KERNELS,
    KERNELS_6,
    OURS,
    PATIENCE,
    Certificates,
    LargeFile,
    Machine,
    on_synfin,
    read_line,
    sha256_of,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("nginx", "ss")]

PLAIN = f"http://{KERNELS}:8080"
TLS = f"https://{KERNELS}:8443"
TLS_6 = f"https://[{KERNELS_6}]:8443"

CONFIGURATION = """
daemon off; master_process off; pid {directory}/pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off; default_type application/octet-stream; client_max_body_size 0;
    client_body_temp_path {directory}/client; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{
        listen 8080; listen [::]:8080; listen 8443 ssl http2; listen [::]:8443 ssl http2;
        ssl_certificate {chain}; ssl_certificate_key {key};
        root {directory}/root;
        location /put/ {{ dav_methods PUT; }}
    }}
}}
"""


class Nginx(NamedTuple):
    root: Path
    authority: str


@pytest.fixture(scope="module")
def nginx(
    machine: Machine,
    certificates: Certificates,
    large_file: LargeFile,
    tmp_path_factory: pytest.TempPathFactory,
    require: Callable[..., None],
) -> Iterator[Nginx]:
    require("nginx")
    directory = tmp_path_factory.mktemp("nginx")
    root = directory / "root"
    (root / "put").mkdir(parents=True)
    (root / "small").write_bytes(b"small")
    (root / "large").symlink_to(large_file.path)
    (directory / "conf").write_text(
        CONFIGURATION.format(directory=directory, chain=certificates.chain, key=certificates.key)
    )
    # Written by the user that reads: nobody's nginx could not enter pytest's directories.
    command = ["nginx", "-e", "stderr", "-p", str(directory), "-c", "conf", "-g", "user root;"]
    with machine.started(command) as process:
        machine.wait_for(8080, process)
        yield Nginx(root, str(certificates.authority))


def test_httpx_fetches_from_nginx_over_tls_and_without(machine: Machine, nginx: Nginx) -> None:
    """IPv4 and IPv6. Three of each URL at once in asyncio, those over TLS as streams of HTTP/2."""
    small = hashlib.sha256(b"small").hexdigest()
    told = machine.client("fetch_httpx.py", nginx.authority, f"{PLAIN}/small", f"{TLS_6}/small", f"{TLS}/none")
    seen = sorted((one["way"], one["url"], one["version"], one["status"], one["sha256"] == small) for one in told)
    assert seen == sorted(
        [
            ("blocking", f"{PLAIN}/small", "HTTP/1.1", 200, True),
            ("blocking", f"{TLS_6}/small", "HTTP/1.1", 200, True),
            ("blocking", f"{TLS}/none", "HTTP/1.1", 404, False),
            *3 * [("asyncio", f"{PLAIN}/small", "HTTP/1.1", 200, True)],
            *3 * [("asyncio", f"{TLS_6}/small", "HTTP/2", 200, True)],
            *3 * [("asyncio", f"{TLS}/none", "HTTP/2", 404, False)],
        ]
    )


def test_requests_fetches_from_nginx_in_four_threads(machine: Machine, nginx: Nginx) -> None:
    urls = [f"{place}/{name}" for name in ("small", "none") for place in (PLAIN, TLS) for _ in range(4)]
    small = hashlib.sha256(b"small").hexdigest()
    told = machine.client("fetch_requests.py", nginx.authority, "GET", *urls)
    assert [(one["url"], one["status"], one["sha256"] == small) for one in told] == [
        (url, 200 if url.endswith("small") else 404, url.endswith("small")) for url in urls
    ]


def test_httpx_fetches_100_megabytes_from_nginx(machine: Machine, nginx: Nginx, large_file: LargeFile) -> None:
    told = machine.client("fetch_httpx_large.py", f"{PLAIN}/large")
    assert [one["sha256"] for one in told] == [large_file.sha256]


def test_requests_fetches_100_megabytes_from_nginx_over_tls(
    machine: Machine, nginx: Nginx, large_file: LargeFile
) -> None:
    told = machine.client("fetch_requests.py", nginx.authority, "GET", f"{TLS}/large")
    assert [one["sha256"] for one in told] == [large_file.sha256]


def test_requests_puts_100_megabytes_to_nginx(machine: Machine, nginx: Nginx, large_file: LargeFile) -> None:
    told = machine.client("fetch_requests.py", nginx.authority, "PUT", str(large_file.path), f"{PLAIN}/put/large")
    assert [one["status"] for one in told] == [201]
    assert sha256_of(nginx.root / "put" / "large") == large_file.sha256


def test_the_kernel_has_only_nginx_s_end(machine: Machine, nginx: Nginx) -> None:
    """While a program keeps its connection: ss shows one from the kernel's address to ours, and none the other way."""
    command = on_synfin(Path(__file__).parent / "clients" / "hold.py", KERNELS, "8080")
    with machine.started(command, stdin=subprocess.PIPE) as process:
        assert read_line(process) == "held"
        towards_us = {pair for pair in machine.addresses() if OURS in pair}
        assert towards_us == {(KERNELS, OURS)}
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0

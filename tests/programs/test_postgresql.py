"""PostgreSQL in the kernel's namespace; asyncpg and pg8000 on synfin, over TLS and without."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.programs.machine import KERNELS, NOBODY, OURS, Certificates, Machine, directory_for_nobody

pytestmark = [pytest.mark.tun]


def binaries() -> str:
    """Where Debian keeps them, the newest version last; elsewhere they are on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return os.pathsep.join([*map(str, reversed(found)), os.environ["PATH"]])


@pytest.fixture(scope="module")
def postgresql(
    machine: Machine, certificates: Certificates, require: Callable[..., None]
) -> Iterator[tuple[str, str, str]]:
    """Where PostgreSQL is, and the authority to trust. It refuses to be root."""
    places = binaries()
    programs = [shutil.which(name, path=places) or name for name in ("initdb", "postgres")]
    require("setpriv", *programs)
    with directory_for_nobody() as directory:
        data = directory / "data"
        (directory / "password").write_text("secret")
        key = directory / "key.pem"
        shutil.copy(certificates.key, key)
        shutil.copy(certificates.chain, directory / "chain.pem")
        for name in ("password", "key.pem", "chain.pem"):
            shutil.chown(directory / name, 65534, 65534)
        key.chmod(0o600)
        initdb = [*NOBODY, programs[0], "--pgdata", str(data), "--username", "tester", "--no-sync", "--no-locale"]
        machine.run([*initdb, "--auth", "scram-sha-256", "--pwfile", str(directory / "password"), "--encoding", "UTF8"])
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all 0.0.0.0/0 scram-sha-256\n")
        settings = {
            "listen_addresses": "*",
            "unix_socket_directories": str(directory),
            "fsync": "off",
            "ssl": "on",
            "ssl_key_file": str(key),
            "ssl_cert_file": str(directory / "chain.pem"),
        }
        command = [*NOBODY, programs[1], "-D", str(data)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # SIGINT: whoever is still there is cut off.
        with machine.started(command, ends=signal.SIGINT) as process:
            machine.wait_for(5432, process)
            yield KERNELS, "5432", str(certificates.authority)


def expected(names: list[str]) -> dict[str, object]:
    told: dict[str, object] = {}
    for way in ("tls", "plain"):
        told |= {f"{way}: {name}": True for name in names}
        told |= {f"{way}: encrypted": way == "tls", f"{way}: from": OURS}
    return told


def test_asyncpg(machine: Machine, postgresql: tuple[str, str, str]) -> None:
    told = machine.client("postgres_asyncpg.py", *postgresql)
    assert told == [expected(["hash", "echo", "sums", "copied", "cursor", "heard", "cancelled"])]


def test_pg8000(machine: Machine, postgresql: tuple[str, str, str]) -> None:
    told = machine.client("postgres_pg8000.py", *postgresql)
    assert told == [expected(["hash", "echo", "copied", "rows", "error"])]

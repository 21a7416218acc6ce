"""Places that cannot be written or may not be read: one line, an exit code, never a traceback, never silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from synfin.cli.errors import UsageError
from synfin.cli.http import RefusedError, find
from synfin.cli.tun_options import Setup

FULL = "/dev/full"
pytestmark = pytest.mark.skipif(not Path(FULL).exists(), reason=f"no {FULL} here")


def run(*arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synfin", *arguments]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("option", ["--pcap", "--svg", "--events"])
def test_a_full_disk_is_one_line(option: str) -> None:
    done = run("demo", option, FULL)
    assert (done.returncode, done.stderr) == (1, "synfin: cannot write: No space left on device\n")


def test_a_full_standard_output_is_one_line() -> None:
    done = run("demo", shell=f">{FULL}")
    assert (done.returncode, done.stderr) == (1, "synfin: cannot write: No space left on device\n")


def test_a_closed_standard_output_is_no_fault() -> None:
    done = run("demo", shell=">&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_index_that_leads_outside_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    served = tmp_path / "served"
    served.mkdir()
    (served / "index.html").symlink_to(tmp_path / "secret")
    for target in (b"/", b"/index.html"):
        with pytest.raises(RefusedError) as refused:
            find(served, target)
        assert refused.value.status == 403


def setup(addresses: list[str], fd: int | None = None) -> Setup:
    return Setup(addresses, None, fd, False, None, "0", None, 0, 60, None)


def test_an_address_is_given_once() -> None:
    with pytest.raises(UsageError, match="given twice"):
        setup(["10.9.0.2/24", "10.9.0.2/24"])
    setup(["10.9.0.2/24", "10.9.0.3/24", "fd00:9::2/64"])


def test_a_descriptor_that_cannot_be() -> None:
    done = run("tun", "serve", "echo", "--address", "10.9.0.2/24", "--fd", "99999999999")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no descriptor 99999999999" in done.stderr

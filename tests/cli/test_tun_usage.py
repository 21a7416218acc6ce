"""What ``synfin tun serve`` and ``connect`` say to mistakes that never reach a device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synfin.cli.main import main

ADDRESS = "--address 10.9.0.2/24"


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        (f"connect 10.9.0.3 {ADDRESS}", "missing argument 'port'", "see 'synfin tun connect --help'"),
        ("connect 10.9.0.3 7", "missing option '--address'", "see 'synfin tun connect --help'"),
        (f"connect 10.9.0.3 0 {ADDRESS}", "there is no port 0", "1 to 65535"),
        (f"connect 10.9.0.3 65536 {ADDRESS}", "there is no port 65536", "1 to 65535"),
        (f"connect fd00::1 7 {ADDRESS}", "fd00::1 and our addresses are of different IP versions", "--address"),
        (f"connect 10.9.0.999 7 {ADDRESS}", "no host '10.9.0.999'", "give an address or a name"),
        (f"connect {'x' * 70}.y 7 {ADDRESS}", f"no host '{'x' * 70}.y'", "give an address or a name"),
        (f"connect 10.9.0.3 7 {ADDRESS} --loss 2", "'2' is no share of packets to lose", "0 to 1"),
        (f"connect 10.9.0.3 7 {ADDRESS} --fd 1 --device x", "--device and --fd name two devices", "one of them"),
        (f"connect 10.9.0.3 7 {ADDRESS} --fd -1", "invalid value for '--fd'", ""),
        (f"connect 10.9.0.3 7 {ADDRESS} --fd 987", "--fd: cannot use descriptor 987: Bad file", "an open one"),
        (f"serve http {ADDRESS}", "http needs a directory to serve", "serve http DIRECTORY"),
        (f"serve http /nowhere {ADDRESS}", "there is no directory '/nowhere'", "name one that is there"),
        (f"serve echo . {ADDRESS}", "echo serves no directory", "serve http ."),
        (f"serve nonsense {ADDRESS}", "invalid value for 'service': 'nonsense'", ""),
        (f"serve echo {ADDRESS} --mtu 1279", "an MTU of 1279 octets is not usable", "1280 to 65535"),
    ],
)
def test_a_mistake_is_one_line(capfd: pytest.CaptureFixture[str], line: str, wrong: str, right: str) -> None:
    assert main(["tun", *line.split()]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"synfin: {wrong}")
    assert right in err.partition("; ")[2]


def test_a_descriptor_of_another_kind(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert main(["tun", "serve", "echo", "--address", "10.9.0.2/24", "--fd", str(fd)]) == 2
        assert capfd.readouterr().err == f"synfin: --fd: descriptor {fd} is no TUN device; hand over one that is\n"
    finally:
        os.close(fd)


def test_http_without_its_library(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "h11", None)
    monkeypatch.delitem(sys.modules, "synfin.cli.http", raising=False)
    assert main(["tun", "serve", "http", str(tmp_path), "--address", "10.9.0.2/24"]) == 2
    assert capfd.readouterr().err == "synfin: http needs the library h11; install it with 'pip install h11'\n"


@pytest.mark.parametrize("command", ["serve", "connect", "ss", "sysctl"])
def test_help(capfd: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["tun", command, "--help"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith(f"Usage: synfin tun {command} ")
    assert max(map(len, out.splitlines())) <= 80

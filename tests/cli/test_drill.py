"""``synfin drill``: exit codes, what is printed, and the JSON file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import get_args

import pytest

from synfin.cli.drill import ProfileName
from synfin.cli.main import main
from synfin.host.profiles import PROFILES
from tests.drill.running import ACCEPTED, WITH_OPTIONS

WRONG = ACCEPTED + "+0 > . 1:1(0) ack 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "right.pkt").write_text(ACCEPTED)
    return tmp_path


def test_the_profiles_are_those_that_there_are() -> None:
    assert set(get_args(ProfileName)) == set(PROFILES)


def test_all_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", str(folder), "--lang", "en"]) == 0
    assert capsys.readouterr().out == f"{folder}: 1 passed, 0 failed, 0 skipped (1 passed leniently)\n"
    assert main(["drill", str(folder), "--lang", "en", "-v"]) == 0
    assert capsys.readouterr().out.startswith(f"passed: {folder}/right.pkt\n")
    assert main(["drill", str(folder), "--compare", "lenient", "--lang", "zh"]) == 0
    assert capsys.readouterr().out == f"{folder}: 通过 1，未通过 0，跳过 0\n"


def test_one_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wrong.pkt").write_text(WRONG)
    file = folder / "results.json"
    assert main(["drill", str(folder), "-j", "2", "--json", str(file), "--lang", "en"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"FAILED: {folder}/wrong.pkt:10: no packet left\n")
    assert out.endswith(f"{folder}: 1 passed, 1 failed, 0 skipped (1 passed leniently)\n")
    assert [result["status"] for result in json.loads(file.read_text())["results"]] == ["passed", "failed"]


def test_choices_reach_the_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = folder / "x.pkt"
    script.write_text(WITH_OPTIONS + "+0 write(4, ..., 10) = 10\n+.5 %{ assert True }%")
    plain = ["drill", str(script)]
    assert main(plain) == 0
    for way in ("ipv4", "ipv6", "mapped"):
        shifted = ["--isn", "4294967290", "--remote-isn-offset", str(1 << 31)]
        assert main([*plain, "--ip", way, *shifted]) == 0
    assert main([*plain, "--strict-end"]) == 1
    assert main([*plain, "--profile", "rfc"]) == 1
    capsys.readouterr()
    assert main([*plain, "--no-code", "--lang", "en"]) == 0
    assert "1 × code is refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["/no/such/file"], "synfin: cannot use '/no/such/file'"),
        (["EMPTY"], "synfin: there is no script; name a file"),
        (["EMPTY", "--ip", "ipv5"], "synfin: invalid value"),
        (["EMPTY", "--isn", "4294967296"], "synfin: invalid value"),
        (["EMPTY", "-j", "0"], "synfin: invalid value"),
        ([], "synfin: missing argument"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tmp_path) if argument == "EMPTY" else argument for argument in arguments]
    assert main(["drill", *given]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(complaint)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_without_lark(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lark", None)
    assert main(["drill", str(folder)]) == 2
    assert capsys.readouterr().err == "synfin: scripts cannot be read without lark; pip install 'synfin[drill]'\n"


@pytest.mark.tun
def test_against_the_kernel(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--against-kernel", str(folder), "--lang", "en", "-v"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"agree: {folder}/right.pkt",
        "the kernel agrees with 1 scripts, and with 0 not; 0 skipped",
    ]
    (folder / "right.pkt").write_text(WRONG)
    assert main(["drill", "--against-kernel", str(folder), "--lang", "zh"]) == 1
    assert "内核与 0 个脚本一致，与 1 个不一致" in capsys.readouterr().out
    assert main(["drill", "--against-kernel", str(folder), "--lang", "en", "--longest", "0"]) == 1
    assert "longer than 0 s" in capsys.readouterr().out


@pytest.mark.requires("root")
def test_against_the_kernel_only_as_root(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.seteuid(65534)
    try:
        code = main(["drill", "--against-kernel", str(folder)])
    finally:
        os.seteuid(0)
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert "root" in error

"""``synfin lab claims``: F2 on the command line, in both languages, and its mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from synfin.cli.main import main
from synfin.lab.claims import catalogue, kernel


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["lab", *arguments]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


def wrong(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["lab", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_all_claims_in_three_columns(capfd: pytest.CaptureFixture[str]) -> None:
    out = said(capfd, "claims", "--lang", "en")
    for number in range(1, 29):
        assert f"\nF2.{number} " in out
    assert "✗" not in out
    assert "measured on Linux" in out
    assert said(capfd, "run", "F2", "--lang", "en") == out
    assert said(capfd, "claims", "f2", "--lang", "en") == out


def test_one_alone_shows_its_worlds(capfd: pytest.CaptureFixture[str]) -> None:
    out = said(capfd, "claims", "F2.12", "--lang", "zh")
    assert "书上说" in out
    assert "── 第一个 SYN+ACK 丢失 ──" in out
    assert "*SYN-RECEIVED" in out
    assert said(capfd, "run", "f2.12", "--lang", "zh") == out


def test_another_kernels_figures_are_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"kernel": "5.0", "figures": {"F2.1": {"defaults": {"retries": 7, "linear": 0}}}}))
    out = said(capfd, "claims", "F2.1", "--measured", str(file), "--lang", "en")
    assert "The default is 7, and 0" in out
    assert "not measured here" in out
    assert "measured on Linux 5.0" in out


def test_a_check_of_all_has_the_texts_too(capfd: pytest.CaptureFixture[str]) -> None:
    out = said(capfd, "run", "all", "--check", "--lang", "en").splitlines()
    assert sum(line.startswith("✓ F2.") for line in out) == 28
    assert out[-1].startswith("sayings of the texts: 28, ")
    assert "not so: 0" in out[-1]
    assert sum(line.startswith("experiments: 49, ") for line in out) == 1


def test_a_check_of_some(capfd: pytest.CaptureFixture[str]) -> None:
    out = said(capfd, "run", "f2.4", "F2.5", "--check", "--lang", "zh")
    assert "✓ F2.4 " in out
    assert "书上的说法 2 条，相关结论 7 条，不成立 0 条" in out
    both = said(capfd, "run", "A8", "F2.4", "--check", "--lang", "en")
    assert "✓ A8 " in both
    assert "✓ F2.4 " in both
    assert "sayings of the texts: 28," in said(capfd, "run", "F2", "--check", "--lang", "en")


def test_a_check_fails_on_a_text_that_proves_right(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    believed = replace(catalogue.claim("F2.9"), text_holds=lambda _: True)
    monkeypatch.setattr(catalogue, "claim", lambda name: believed)
    assert main(["lab", "run", "F2.9", "--check", "--lang", "en"]) == 1
    out, _ = capfd.readouterr()
    assert "✗ F2.9 " in out
    assert "not refuted here: When the third message is sent, both ends are ESTABLISHED." in out
    assert "not so: 1" in out


def test_worlds_of_one_alone_are_shown_as_one_wishes(capfd: pytest.CaptureFixture[str]) -> None:
    assert "*SYN-RECEIVED" not in said(capfd, "run", "F2.12", "--brief", "--lang", "en")
    plain = said(capfd, "run", "F2.12", "--lang", "en")
    assert " seq=0 " in plain
    assert " seq=0 " not in said(capfd, "run", "F2.12", "--absolute", "--lang", "en")
    explained = said(capfd, "run", "F2.12", "--explain", "--lang", "en")
    assert explained.count("RFC 9293 §") > plain.count("RFC 9293 §") + 5


@pytest.mark.parametrize(
    "option", ["--lose 3", "--set tcp_sack=0", "--world both", "--svg a.svg", "--pcap a.pcap", "--fault reboot"]
)
def test_what_is_for_experiments_alone_is_refused(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    name = option.split(maxsplit=1)[0]
    assert f"F2.4 takes no {name}; it takes --lang, --seed, --check" in wrong(capfd, "run", "f2.4", *option.split())


@pytest.mark.tun
@pytest.mark.requires("ss")
def test_the_kernel_is_measured_on_demand(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert main(["lab", "claims", "F2.10", "--measure", str(file), "--quick", "--lang", "en"]) == 0
    out, err = capfd.readouterr()
    assert err.startswith("measuring on this machine's kernel")
    assert "says ok, the socket is" in out
    assert list(json.loads(file.read_text())["figures"]) == ["F2.10"]


def test_mistakes_are_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no claim 'F2.29'; choose one of F2.1 to F2.28" in wrong(capfd, "claims", "F2.29")
    assert "no claim 'F2X'" in wrong(capfd, "run", "f2x")
    assert "--quick goes with --measure" in wrong(capfd, "claims", "--quick")
    assert "none.json" in wrong(capfd, "claims", "--measured", str(tmp_path / "none.json"))
    other = tmp_path / "other.json"
    other.write_text("[]")
    assert "holds no measurements" in wrong(capfd, "claims", "--measured", str(other))
    monkeypatch.setattr(kernel, "lack", lambda: "only root can make a network namespace")
    refused = wrong(capfd, "claims", "F2.10", "--measure", str(tmp_path / "figures.json"))
    assert "only root can make a network namespace" in refused
    assert not (tmp_path / "figures.json").exists()


@pytest.mark.tun
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "nothing was measured" in wrong(capfd, "claims", "F2.1", "--measure", str(tmp_path / "no" / "figures.json"))

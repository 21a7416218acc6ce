"""``synfin sysctl``: every parameter of every profile, and what it means."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest

from synfin.cli.main import main
from synfin.cli.sysctl import ProfileName
from synfin.host.parameters import PARAMETERS, text
from synfin.host.profiles import PROFILES, parameters


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["sysctl", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def test_the_profiles_are_those_that_there_are() -> None:
    assert set(get_args(ProfileName)) == set(PROFILES)


@pytest.mark.row("E1")
@pytest.mark.parametrize("profile", PROFILES)
def test_all_are_listed_with_the_values_of_a_profile(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = parameters(profile)
    lines = said(capsys, "--profile", profile)
    assert lines == [f"{name} = {text(values.get(name))}" for name in PARAMETERS]
    if profile == "linux":
        assert said(capsys) == lines
    else:
        assert said(capsys) != lines


@pytest.mark.row("E1")
def test_the_texts_spellings(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of row E1 by name, and a value to be written."""
    words = """tcp_syn_retries tcp_synack_retries tcp_fin_timeout tcp_keepalive_time tcp_keepalive_intvl
    tcp_keepalive_probes tcp_max_syn_backlog tcp_retries1 tcp_retries2 tcp_tw_reuse tcp_max_tw_buckets
    tcp_window_scaling tcp_timestamps tcp_sack ip_local_port_range tcp_congestion_control"""
    names = words.split()
    lines = said(capsys, *(f"net.ipv4.{name}" for name in names), "net.core.somaxconn")
    assert [line.partition(" = ")[0] for line in lines] == [f"net.ipv4.{name}" for name in names] + [
        "net.core.somaxconn"
    ]
    assert said(capsys, "net.ipv4.tcp_syn_retries") == ["net.ipv4.tcp_syn_retries = 6"]
    assert said(capsys, "-w", "net.ipv4.tcp_syn_retries=2") == ["net.ipv4.tcp_syn_retries = 2"]
    assert said(capsys, "net/ipv4/tcp_rmem=4096  8192 9000") == ["net.ipv4.tcp_rmem = 4096\t8192\t9000"]


def test_a_name_stands_for_all_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "net.core")
    assert len(lines) > 1
    assert all(line.startswith("net.core.") for line in lines)


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_every_parameter_is_explained(tongue: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "--explain", "--lang", tongue)
    explained = [(name, line) for name, line in pairwise(lines) if not name.startswith(" ")]
    assert len(explained) == len(PARAMETERS)
    assert all(line.startswith("    ") for _, line in explained)
    assert len({line for _, line in explained}) == len(PARAMETERS)
    assert ("取值从 1 到 127" in "".join(lines)) == (tongue == "zh")


def test_what_differs_from_linux_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    name = "net.ipv4.tcp_syn_retries"
    assert not any("Linux" in line for line in said(capsys, "--explain", "--lang", "en", name))
    assert said(capsys, "--explain", "--lang", "en", "--profile", "rfc", name)[-1] == "    on Linux: 6"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "there is no parameter 'nonsense'"),
        (["net.ipv4.tcp_syn_retrys"], "perhaps net.ipv4.tcp_syn_retries"),
        (["tcp_ecn"], "perhaps net.ipv4.tcp_ecn"),
        (["net.ipv4=3"], "more than one parameter"),
        (["=3"], "more than one parameter"),
        (["net.ipv4.tcp_rmem=3 2 1"], "3 numbers in ascending order, from 1 to 2147483647"),
        (["net.ipv4.tcp_syn_retries=0"], "a number from 1 to 127"),
        (["net.ipv4.tcp_syn_retries=many"], "a number from 1 to 127"),
        (["net.ipv4.tcp_syn_retries="], "a number from 1 to 127"),
        (["net.ipv4.tcp_congestion_control=x"], "one of: "),
        (["net.ipv4.ip_local_reserved_ports=9-1"], "such as 8080,9000-9010"),
        (["-w", "net.ipv4.tcp_ecn"], "write it as net.ipv4.tcp_ecn=VALUE"),
        (["--profile", "solaris"], "'linux', 'linux-suite', 'freebsd', 'rfc'"),
        (["--lang", "fr"], "'en', 'zh'"),
    ],
)
def test_mistakes_end_in_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sysctl", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("synfin: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err

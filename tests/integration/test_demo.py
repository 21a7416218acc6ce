"""``synfin demo``: what the ladder prints is what tshark reads from the capture of the same run."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from synfin.cli.main import main
from tests.integration import tshark

losses = pytest.mark.parametrize("lose", range(8), ids=lambda lose: f"lose {lose}" if lose else "lossless")

# Flags, numbers, window and length, as the ladder prints them, behind the message's number if it has one; then options.
SEGMENT = re.compile(
    r"(?:\[(?P<label>[^]]+)\] )?(?P<flags>[A-Z]+(?:\+[A-Z]+)*) seq=(?P<seq>\d+)(?: ack=(?P<ack>\d+))?"
    r"(?: win=(?P<win>\d+))? len=(?P<len>\d+)"
    r"(?: mss=(?P<mss>\d+) sackOK TS=(?P<ts_val>\d+)/(?P<ts_ecr>\d+) wscale=(?P<wscale>\d+))?"
)
# The time, empty on the second line of what needs two, and what stands between the two ends.
ROW = re.compile(r"(?P<time>[\d.]*) [^│]*│(?P<between>[^│]*)│")
FLAGS = {0x02: "SYN", 0x01: "FIN", 0x04: "RST", 0x08: "PSH", 0x10: "ACK", 0x20: "URG", 0x40: "ECE", 0x80: "CWR"}

TSHARK_FIELDS = {
    "seq": "tcp.seq",
    "ack": "tcp.ack",
    "raw seq": "tcp.seq_raw",
    "raw ack": "tcp.ack_raw",
    "win": "tcp.window_size",
    "len": "tcp.len",
    "flags": "tcp.flags",
    "mss": "tcp.options.mss_val",
    "ts_val": "tcp.options.timestamp.tsval",
    "ts_ecr": "tcp.options.timestamp.tsecr",
    "wscale": "tcp.options.wscale.shift",
    "time": "frame.time_epoch",
}


def demo(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command prints, in this process."""
    assert main(["demo", "--lang", "en", *map(str, arguments)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def losing(lose: int) -> list[str]:
    return ["--lose", str(lose)] if lose else []


def printed(ladder: str) -> list[dict[str, str]]:
    """The segments of a ladder, from top to bottom."""
    rows: list[list[str]] = []
    for line in ladder.splitlines():
        row = ROW.match(line.lstrip() if line.lstrip()[:1].isdigit() else line)
        if row is None:
            continue
        if row["time"]:
            rows.append([row["time"]])
        if rows:
            rows[-1] += row["between"].split()
    segments = []
    for time, *words in rows:
        found = SEGMENT.fullmatch(" ".join(words))
        if found is not None:
            segments.append({"time": time} | {name: value for name, value in found.groupdict().items() if value})
    return segments


def captured(capture: Path) -> list[dict[str, str]]:
    """The packets of a capture, under the names of `TSHARK_FIELDS`."""
    packets = tshark.fields(capture, *TSHARK_FIELDS.values())
    return [{short: packet[name] for short, name in TSHARK_FIELDS.items()} for packet in packets]


def flag_names(flags: str) -> set[str]:
    return {name for bit, name in FLAGS.items() if int(flags, 0) & bit}


@pytest.mark.row("E6")
@pytest.mark.requires("tshark")
@pytest.mark.parametrize("seed", [0, 7])
@losses
def test_the_ladder_is_what_tshark_reads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, lose: int, seed: int
) -> None:
    capture = tmp_path / "demo.pcapng"
    arguments = ["--seed", seed, *losing(lose), "--pcap", capture]
    relative = printed(demo(capsys, *arguments))
    absolute = printed(demo(capsys, *arguments, "--absolute"))
    packets = captured(capture)
    assert len(relative) == len(absolute) == len(packets) >= 11
    for shown, shown_raw, packet in zip(relative, absolute, packets, strict=True):
        assert set(shown["flags"].split("+")) == flag_names(packet["flags"])
        assert (shown["seq"], shown_raw["seq"]) == (packet["seq"], packet["raw seq"])
        if "ACK" in shown["flags"]:
            assert (shown["ack"], shown_raw["ack"]) == (packet["ack"], packet["raw ack"])
        else:
            assert "ack" not in shown
        assert (shown["len"], shown["win"]) == (packet["len"], packet["win"])
        # The capture's times are the ladder's, in seconds with nanoseconds, not milliseconds.
        assert float(shown["time"]) == round(float(packet["time"]) * 1000, 3)
        assert ("SYN" in shown["flags"]) == ("mss" in shown)
        for option in ("mss", "ts_val", "ts_ecr", "wscale"):
            assert shown.get(option, packet[option]) == packet[option]
    tshark.assert_sound(capture)
    if not lose:
        assert tshark.warnings(capture) == set()


@pytest.mark.requires("tshark")
def test_the_initial_numbers_are_those_of_the_syns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    seen = set()
    for seed in range(3):
        capture = tmp_path / f"{seed}.pcapng"
        ladder = demo(capsys, "--seed", seed, "--pcap", capture)
        x, y = (re.search(rf"{name} = (\d+)", ladder) for name in "xy")
        assert x is not None
        assert y is not None
        syn, syn_ack = captured(capture)[:2]
        assert (x[1], y[1]) == (syn["raw seq"], syn_ack["raw seq"])
        seen |= {x[1], y[1]}
    # A5: each its own, with each seed.
    assert len(seen) == 6


@pytest.mark.row("E6", "A1", "C5")
def test_the_seven_messages_in_two_languages(capsys: pytest.CaptureFixture[str]) -> None:
    english = demo(capsys)
    assert [segment["label"] for segment in printed(english) if "label" in segment] == list("1234567")
    states = [line for line in english.splitlines() if "│" in line]
    assert re.fullmatch(r" *(0.000)? *CLOSED +│ +│ +CLOSED *", states[0])
    assert re.search(r"\*CLOSED +│.*│ +CLOSED", states[-1])
    assert sum(int(segment["len"]) for segment in printed(english)) > 0
    assert main(["demo", "--lang", "zh"]) == 0
    chinese = capsys.readouterr().out
    assert re.findall(r"报文(\d)", chinese)[:7] == list("1234567")


@pytest.mark.row("A8", "A9", "A10", "C1")
@losses
def test_a_loss_changes_the_ladder_from_there_on(capsys: pytest.CaptureFixture[str], lose: int) -> None:
    if not lose:
        assert demo(capsys) == demo(capsys)
        return
    ladder = demo(capsys, "--lose", lose)
    assert re.search(r"lost: 1\b", ladder)
    assert ladder.count("✗") == 1
    before, after = printed(demo(capsys)), printed(ladder)
    position = [segment.get("label") for segment in before].index(str(lose))
    assert before[: position + 1] == after[: position + 1]
    # All but the bare acknowledgments are sent again: these are made up for by what comes after them.
    assert (before == after) == (lose in (3, 5))


def test_no_line_is_wider_than_100_cells(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--absolute"], ["--explain"], ["--lose", "6", "--absolute", "--explain"]):
        assert max(map(len, demo(capsys, *arguments).splitlines())) <= 100


def in_a_process(*arguments: str, seed: str) -> tuple[str, float]:
    """What `synfin demo` prints, and how many seconds of the processor it takes; `seed` is that of Python's own hashes,
    and so of the order of its sets."""
    command = [sys.executable, "-m", "synfin", "demo", *arguments]
    environ = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, timeout=60, env=environ, encoding="utf-8")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("arguments", [[], ["--lang", "zh"], ["--lose", "6"], ["--seed", "5", "--explain"]], ids=str)
def test_the_same_every_time_and_soon(tmp_path: Path, arguments: list[str]) -> None:
    """Under 2 seconds (of the processor's: others may want it too), and not one octet differs."""
    outputs = set()
    captures = set()
    for seed in ("0", "1", "random"):
        capture = tmp_path / f"{seed}.pcapng"
        output, seconds = in_a_process(*arguments, "--pcap", str(capture), seed=seed)
        assert seconds < 2
        outputs.add(output)
        captures.add(capture.read_bytes())
    assert len(outputs) == len(captures) == 1

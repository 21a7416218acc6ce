"""``synfin demo``: the ladder in two languages, any message lost, a capture, mistakes."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from synfin.cli.main import main
from synfin.lab import whole_life
from synfin.show.history import History
from synfin.wire.ip import parse_packet
from synfin.wire.pcapng import EnhancedPacket, read_blocks
from synfin.wire.tcp import ACK

#: How messages are numbered, and the word for what was lost.
NUMBERED = {"en": r"\[([1-7])", "zh": r"报文([1-7])"}
LOST = {"en": r"✗ lost|lost ✗", "zh": r"✗ 丢失|丢失 ✗"}
STATES = (
    "CLOSED",
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "LAST-ACK",
    "TIME-WAIT",
)


def demo(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["demo", *arguments]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


def numbered(text: str, lang: str) -> list[int]:
    return [int(number) for number in re.findall(NUMBERED[lang], text)]


@pytest.mark.row("E6")
@pytest.mark.parametrize("lang", NUMBERED)
def test_seven_numbered_messages(lang: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = demo(capfd, "--lang", lang)
    numbers = numbered(out, lang)
    assert list(dict.fromkeys(numbers)) == [1, 2, 3, 4, 5, 6, 7]
    for state in STATES:
        assert state in out
    lines = [line for line in out.splitlines() if line.strip()]
    # From CLOSED and LISTEN to CLOSED and CLOSED.
    first = next(line for line in lines if "LISTEN" in line)
    assert "CLOSED" in "".join(lines[: lines.index(first) + 1])
    last = [line for line in lines if "│" in line][-1]
    assert last.count("CLOSED") == 2


@pytest.mark.parametrize("lang", NUMBERED)
@pytest.mark.parametrize("lose", [None, 1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("more", [(), ("--absolute", "--explain")])
def test_no_line_is_over_100_cells(
    lang: str, lose: int | None, more: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [] if lose is None else ["--lose", str(lose)]
    out = demo(capfd, "--lang", lang, *arguments, *more)
    assert max(map(cell_len, out.splitlines())) <= 100
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


@pytest.mark.parametrize("lang", NUMBERED)
@pytest.mark.parametrize("lose", range(1, 8))
def test_a_lost_message_changes_the_ladder(lose: int, lang: str, capfd: pytest.CaptureFixture[str]) -> None:
    plain, forked = (
        [re.sub(r"[\s─]", "", line) for line in out.splitlines() if "│" in line]
        for out in (demo(capfd, "--lang", lang), demo(capfd, "--lang", lang, "--lose", str(lose)))
    )
    mark = re.sub(r" ", "", LOST[lang])
    assert not [line for line in plain if re.search(mark, line)]
    (there,) = [number for number, line in enumerate(forked) if re.search(mark, line)]
    # The same up to there, and it is the arrow of that very message.
    assert forked[:there] == plain[:there]
    assert numbered("\n".join(forked[:there]), lang)[-1] == lose


@pytest.mark.row("A5")
def test_the_seed_changes_the_initial_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    outs = [demo(capfd, "--lang", "en", "--absolute", "--seed", str(seed)) for seed in (0, 1, 1)]
    assert outs[0] != outs[1]
    assert outs[1] == outs[2]


def test_the_ladder_says_what_was_on_the_wire(capfd: pytest.CaptureFixture[str]) -> None:
    out = demo(capfd, "--lang", "en", "--absolute")
    for transmission in History.from_events(whole_life.run()).transmissions:
        segment = transmission.segment
        assert f"seq={segment.seq} " in out
        if segment.flags & ACK:
            assert f"seq={segment.seq} ack={segment.ack} " in out


def test_a_capture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "demo.pcapng"
    demo(capfd, "--lose", "6", "--pcap", str(file))
    blocks = [block for block in read_blocks(file.read_bytes()) if isinstance(block, EnhancedPacket)]
    transmissions = History.from_events(whole_life.run_and_lose(6)).transmissions
    assert len(blocks) == len(transmissions) > 9
    for block, transmission in zip(blocks, transmissions, strict=True):
        # Sums and all.
        assert parse_packet(block.octets).payload == transmission.segment
        assert block.time_ns == transmission.time


@pytest.mark.parametrize(
    ("arguments", "wrong", "right"),
    [
        ("--lose 0", "there is no message 0", "1 to 7"),
        ("--lose 8", "there is no message 8", "1 to 7"),
        ("--lose -3", "there is no message -3", "1 to 7"),
        ("--lose six", "--lose", ""),
        ("--lose", "requires an argument", "--help"),
        ("--lang fr", "'fr'", "--help"),
        ("--seed x", "--seed", ""),
        ("--pcap /nowhere/at/all.pcapng", "/nowhere/at/all.pcapng", "file"),
        ("--pcap /", "'/'", "file"),
        ("extra", "extra", "--help"),
    ],
)
def test_a_mistake_is_one_line(arguments: str, wrong: str, right: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *arguments.split()]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("synfin: ")
    assert err.count("\n") == 1
    said_wrong, _, said_right = err.partition("; ")
    assert wrong in said_wrong
    assert right in said_right


@pytest.mark.parametrize(("environ", "word"), [("zh_CN.UTF-8", "报文"), ("en_US.UTF-8", "octets"), ("C", "octets")])
def test_the_locale_chooses_the_language(
    environ: str, word: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", environ)
    assert word in demo(capfd)


def test_in_a_process_of_its_own() -> None:
    """Without root, without a terminal, in under 2 seconds of work, whatever else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = [sys.executable, "-m", "synfin", "demo", "--lang", "zh"]
    done = subprocess.run(argv, check=True, capture_output=True, encoding="utf-8")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    assert "报文7" in done.stdout.replace(" ", "")
    assert done.stderr == ""

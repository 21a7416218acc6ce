"""``synfin lab``: questions, worlds, what if, files, checks and mistakes, as people meet them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from synfin.cli import lab_choice
from synfin.cli.errors import UsageError
from synfin.cli.main import main
from synfin.lab.experiment import Experiment
from synfin.lab.listing import QUESTIONS
from synfin.lab.registry import SECTIONS, experiment, rows
from synfin.lab.running import run, run_world
from synfin.lab.telling.stories import captions, ending, story
from synfin.lab.words import translation
from synfin.show import words
from synfin.show.history import History
from synfin.show.trace import Trace
from synfin.wire.ip import parse_packet
from synfin.wire.pcapng import EnhancedPacket, InterfaceDescription, read_blocks

LANGUAGES = ("en", "zh")


def lab(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["lab", *arguments]) == code
    out, err = capfd.readouterr()
    assert err == ""
    return out


def claims(out: str) -> list[str]:
    """The marks of the claims, in order."""
    return re.findall(r"^  ([✓✗]) ", out, re.MULTILINE)


# --- the questions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_all_questions_by_section_and_the_common_ones_first(lang: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "--lang", lang)
    gettext = translation("zh" if lang == "zh" else "en").gettext
    joined = re.sub(r"\n {7,}", "" if lang == "zh" else " ", out)
    for row in rows():
        assert re.search(rf"^  {row} +", out, re.MULTILINE), row
        assert re.sub(" ", "", gettext(experiment(row).question)) in re.sub(" ", "", joined)
    titles = [f"{section.letter}. {gettext(section.title)}" for section in SECTIONS if rows(section)]
    at = [out.index(title) for title in (gettext("The questions"), *titles)]
    assert at == sorted(at)
    assert at[0] == 0
    assert gettext(QUESTIONS[5][0]) in out
    assert "A8" in out[: at[1]]
    lines = out.splitlines()
    assert max(map(cell_len, lines)) <= 100
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in out


@pytest.mark.parametrize("arguments", ["--help", "run --help"])
def test_help(arguments: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, *arguments.split())
    assert out.startswith("Usage: synfin lab")
    if "run" in arguments:
        for option in ("--lose", "--duplicate", "--corrupt", "--delay", "--fault", "--set", "--world", "--check"):
            assert f"  {option} " in out


def test_the_rows_of_the_common_questions_are_rows() -> None:
    for _, answers in QUESTIONS:
        assert all(re.fullmatch(r"[A-E][0-9]{1,2}", row) for row in answers)


# --- an experiment -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("more", [(), ("--stacked", "--explain", "--absolute"), ("--brief",)])
def test_an_experiment_from_the_question_to_what_to_try(
    lang: str, more: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    out = lab(capfd, "run", "A8", "--lang", lang, *more)
    one = experiment("A8")
    gettext = translation("zh" if lang == "zh" else "en").gettext
    parts = [gettext(one.question), *map(gettext, ("Predict", "Watch", "What holds", "Answer", "Source", "Try"))]
    at = [out.index(part) for part in parts]
    assert at == sorted(at)
    for each in one.tries:
        assert f"  synfin lab run {each.arguments}\n" in out
    assert claims(out) == ["✓"] * len(one.claims)
    lines = out.splitlines()
    assert max(map(cell_len, lines)) <= 100
    assert all(line == line.rstrip() for line in lines)
    # Whatever is not allowed to begin a line does not.
    assert not [line for line in lines if re.match(r" *[，。；：！？、）》”]", line)]
    assert "\x1b" not in out
    for world in one.worlds:
        assert (gettext(world.title) in out) == ("--brief" not in more)


@pytest.mark.parametrize("row", ["A8", "a8", "A08", "a008"])
def test_rows_are_named_in_any_case(row: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert lab(capfd, "run", row, "--lang", "en").startswith("A8  What happens if the SYN is lost?")


def test_several_rows_each_once(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A9", "A8", "a9", "--brief", "--lang", "en")
    assert re.findall(r"^(A[0-9]+)  ", out, re.MULTILINE) == ["A9", "A8"]


def test_two_worlds_stand_side_by_side_and_one_alone_in_full(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--lang", "en")
    assert re.search(r"The first SYN is lost {5,}Every SYN is lost", out)
    assert re.search(r"^ *│\*SYN-SENT .*\*SYN-SENT ", out, re.MULTILINE)
    alone = lab(capfd, "run", "A8", "--lang", "en", "--world", "once")
    assert "── The first SYN is lost ──" in alone
    assert "Every SYN is lost" not in alone
    assert "#2 SYN seq=0 win=64240 len=0" in alone
    stacked = lab(capfd, "run", "A8", "--lang", "en", "--stacked")
    assert "── Every SYN is lost ──" in stacked
    assert "#11 SYN seq=0 win=64240 len=0" in stacked


def test_the_numbers_are_those_by_which_segments_are_lost(capfd: pytest.CaptureFixture[str]) -> None:
    shown = lab(capfd, "run", "A8", "--lang", "en", "--world", "once")
    found = re.findall(r"#([0-9]+) ", shown)
    once = run(experiment("A8"))["once"]
    assert [int(number) for number in found] == [sent.number for sent in once.history.transmissions]


def test_what_the_programs_saw(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--lang", "en", "--world", "always")
    (table,) = re.findall(r"What the programs saw\n((?:  .*\n)+)", out)
    lines = [re.split(r" {2,}", line.strip()) for line in table.splitlines()]
    assert lines[0] == ["at (ms)", "program", "call", "took (ms)", "what came of it"]
    assert lines[2:] == [
        ["0.000", "server", "accept", "still waits"],
        ["0.000", "client", "connect", "131000.000", "ETIMEDOUT"],
    ]
    chinese = lab(capfd, "run", "A8", "--lang", "zh", "--world", "always")
    assert re.search(r"0\.000 +服务器 +accept +仍在等待\n", chinese)


def test_sequence_numbers_as_on_the_wire(capfd: pytest.CaptureFixture[str]) -> None:
    once = run(experiment("A8"))["once"]
    sent = once.history.transmissions[0]
    assert f"seq={sent.segment.seq} " in lab(capfd, "run", "A8", "--world", "once", "--absolute")
    assert f"seq={sent.segment.seq} " in lab(capfd, "run", "A8", "--absolute")


@pytest.mark.parametrize(("lang", "words"), [("en", "The client asks for a connection"), ("zh", "客户端请求建立连接")])
def test_each_step_is_told_in_short_and_in_full_if_asked(
    lang: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    short = lab(capfd, "run", "A8", "--lang", lang, "--world", "once")
    full = lab(capfd, "run", "A8", "--lang", lang, "--world", "once", "--explain")
    for out in (short, full):
        assert words in out
    assert full.count("RFC 9293 §3.10") > short.count("RFC 9293 §3.10") + 5
    assert len(full) > 1.3 * len(short)


def test_reasons(capfd: pytest.CaptureFixture[str]) -> None:
    for more in ((), ("--world", "once")):
        assert "asks for a connection" in lab(capfd, "run", "A8", "--lang", "en", "--explain", *more)


def test_another_seed_gives_other_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    outs = [lab(capfd, "run", "A8", "--absolute", "--seed", seed) for seed in ("0", "1", "1")]
    assert outs[0] != outs[1]
    assert outs[1] == outs[2]


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["tcp_syn_retries", "net.ipv4.tcp_syn_retries", "client:tcp_syn_retries", "net/ipv4/tcp_syn_retries"]
)
def test_a_parameter_by_any_of_its_names(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--lang", "en", "--world", "always", "--set", f"{name}=2", "--stacked")
    assert re.search(r"connect +7000.000  ETIMEDOUT", out)
    # What does not hold here is said as it usually is, not with figures of this world.
    assert "✗ not so here: After 11 SYNs and 131 s connect() fails" in out


def test_a_parameter_of_another_host_changes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert lab(capfd, "run", "A8", "--set", "server:tcp_syn_retries=2") == lab(capfd, "run", "A8")


def test_several_parameters(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--set", "tcp_syn_retries=1", "--set", "tcp_syn_linear_timeouts=0", "--lang", "en")
    assert re.search(r"connect +3000.000  ETIMEDOUT", out)


# --- what if -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "title", "fault"),
    [
        ("--lose 4", "#4 is lost", "lose packet 4"),
        ("--duplicate 4", "#4 arrives twice", "duplicate packet 4"),
        ("--corrupt 4", "#4 is damaged", "corrupt packet 4"),
        ("--delay 4=800ms", "#4 comes 800ms late", "delay packet 4 by 800ms"),
        ("--fault 'lose 1st FIN'", "lose 1st FIN", "lose 1st FIN"),
        ("--lose 2 --lose 5", "#2 is lost, #5 is lost", "lose packet 2; lose packet 5"),
    ],
)
def test_what_if(arguments: str, title: str, fault: str, capfd: pytest.CaptureFixture[str]) -> None:
    parts = shlex.split(arguments)
    out = lab(capfd, "run", "A8", "--world", "once", *parts, "--lang", "en")
    assert re.search(rf"As it was +{re.escape(title)}", out)
    assert "≠" in out
    changed = run_world(experiment("A8").world("once"), 0, fault.split("; "))
    came = re.search(r"  segments sent +([0-9]+) +([0-9]+)\n", out)
    assert came is not None
    assert int(came[2]) == len(changed.sent())
    ended = re.search(r"  the end of it all +([0-9.]+) s +([0-9.]+) s\n", out)
    assert ended is not None
    assert ended[2] == f"{changed.end / 1e9:.3f}"
    assert max(map(cell_len, out.splitlines())) <= 100


def test_claims_that_no_longer_hold(capfd: pytest.CaptureFixture[str]) -> None:
    assert claims(lab(capfd, "run", "A8", "--lose", "2", "--world", "once")) == ["✗", *["✓"] * 5]
    # Where every SYN is lost without that, it makes no difference.
    out = lab(capfd, "run", "A8", "--lose", "2", "--lang", "en")
    assert out.count("It makes no difference: both histories are the same.") == 2
    assert out.count("What came of it") == 2


def test_only_worlds_that_have_the_segment_are_run_again(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--delay", "11=1s", "--lang", "en")
    assert "── Every SYN is lost ──" in out
    assert "── The first SYN is lost ──" not in out


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_the_same_is_left_out_and_counted(lang: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--world", "once", "--lose", "7", "--lang", lang)
    (number,) = re.findall(r"┄ .*?([0-9]+).* ┄", out)
    assert int(number) == 5
    assert "#5 " not in out
    assert out.count("#6 ") >= 2


def test_a_narrow_what_if_in_brief(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--lose", "3", "--world", "once", "--brief", "--lang", "en")
    assert "│" not in out
    assert "What came of it" in out
    assert "segments sent" in out


@pytest.mark.row("G1")
@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_story_beside_the_messages(lang: words.Language, capfd: pytest.CaptureFixture[str]) -> None:
    """The seven messages in the words of the picture, and at last where that breaks."""
    told = story("courier")
    out = lab(capfd, "run", "E6", "--as", "courier", "--world", "four", "--lang", lang)
    sentences = captions(run(experiment("E6"))["four"].history, told, lang).values()
    assert len(sentences) == 7
    # Their beginnings: what follows may stand on the next line.
    assert [sentence for sentence in sentences if sentence[:10] not in out] == []
    assert "".join(ending(told, lang).split()) in "".join(out.split())
    assert translation(lang).gettext(told.title) in out


@pytest.mark.parametrize("other", ["--explain", "--brief", "--check", "--lose 3", "--fault 'lose 2%'"])
def test_a_story_goes_with_nothing_that_tells_otherwise(other: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", "E6", "--as", "story", *shlex.split(other)]) == 2
    assert capfd.readouterr().err.count("\n") == 1


# --- files -------------------------------------------------------------------------------------------------------


def test_a_picture_of_all_worlds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a8.svg"
    out = lab(capfd, "run", "A8", "--svg", str(file), "--lang", "en")
    assert f"written: {file}\n" in out
    said = ["".join(element.itertext()) for element in ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")]
    assert "The first SYN is lost" in said
    assert "Every SYN is lost" in said
    lab(capfd, "run", "A8", "--svg", str(file), "--lang", "zh", "--world", "once", "--lose", "2")
    said = ["".join(element.itertext()) for element in ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")]
    assert "第一个 SYN 丢失：#2 丢失" in said
    assert "第一个 SYN 丢失" in said


def test_a_capture_of_one_world(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a8.pcapng"
    lab(capfd, "run", "A8", "--world", "once", "--pcap", str(file))
    blocks = list(read_blocks(file.read_bytes()))
    packets = [block for block in blocks if isinstance(block, EnhancedPacket)]
    sent = run(experiment("A8"))["once"].history.transmissions
    assert [parse_packet(block.octets).payload for block in packets] == [one.segment for one in sent]
    assert [block.time_ns for block in packets] == [one.time for one in sent]
    assert [block.name for block in blocks if isinstance(block, InterfaceDescription)] == ["client-server"]


def test_files_for_each_world(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pcap, events = tmp_path / "a8.pcapng", tmp_path / "a8.jsonl"
    out = lab(capfd, "run", "A8", "--pcap", str(pcap), "--events", str(events), "--lang", "en")
    worlds = sorted(world.name for world in experiment("A8").worlds)
    names = [f"a8-{world}.{ending}" for world in worlds for ending in ("jsonl", "pcapng")]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(str(tmp_path / name) in out for name in names)
    for name, one in run(experiment("A8")).items():
        trace = Trace.read(tmp_path / f"a8-{name}.jsonl")
        assert len(trace) == len(one.events)
        assert len(History.from_events(trace).transmissions) == len(one.history.transmissions)


def test_a_file_of_what_became_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "a8.jsonl"
    lab(capfd, "run", "A8", "--world", "once", "--lose", "3", "--events", str(events))
    assert any(json.loads(line).get("event") == "PacketLost" for line in events.read_text().splitlines())
    assert len(History.from_events(Trace.read(events)).lost) == 2


def test_wireshark_opens_the_capture(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], require: Callable[..., None]
) -> None:
    """With tshark itself."""
    require("tshark")
    file = tmp_path / "a8.pcapng"
    lab(capfd, "run", "A8", "--world", "once", "--lose", "5", "--pcap", str(file))
    done = subprocess.run(
        ["tshark", "-r", str(file), "-T", "fields", "-e", "frame.interface_name", "-e", "tcp.flags.syn"],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == 8
    assert {name for name, _ in lines} == {"client-server"}


# --- checks ------------------------------------------------------------------------------------------------------


def test_a_check_of_several(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "A9", "--check", "--lang", "en")
    count = len(experiment("A8").claims) + len(experiment("A9").claims)
    assert out.startswith("✓ A8   What happens if the SYN is lost?\n✓ A9 ")
    assert re.search(rf"^experiments: 2, claims: {count}, not so: 0; [0-9.]+ s\n\Z", out, re.MULTILINE)


def test_a_check_that_fails(capfd: pytest.CaptureFixture[str]) -> None:
    out = lab(capfd, "run", "A8", "--check", "--set", "tcp_syn_retries=2", "--lang", "en", code=1)
    assert out.startswith("✗ A8 ")
    # Nothing of those that hold, not even the ends of their lines.
    assert "    opens." not in out
    assert "  ✗ not so here: After 11 SYNs" in out
    assert "✓" not in out
    assert "not so: 2;" in out
    assert "不成立 2 条" in lab(capfd, "run", "A8", "--check", "--lose", "2", "--lang", "zh", code=1)


@pytest.mark.parametrize("row", rows())
def test_what_it_says_to_try_works(row: str, capfd: pytest.CaptureFixture[str]) -> None:
    one: Experiment = experiment(row)
    for number, (lang, each) in enumerate(zip(LANGUAGES * len(one.tries), one.tries, strict=False)):
        # The first with its worlds, which the others show alike.
        brief = ["--brief"] if number else []
        out = lab(capfd, "run", *shlex.split(each.arguments), "--lang", lang, *brief)
        # Tables with many columns are as wide as they must be.
        assert max(map(cell_len, out.splitlines())) <= 100, each.arguments
        assert len(claims(out)) == len(one.claims)


@pytest.mark.parametrize("row", ["A7", "B5", "E6"])
def test_an_experiment_is_drawn(row: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lab(capfd, "run", row, "--brief", "--svg", str(tmp_path / "x.svg"), "--lang", "zh")
    assert ElementTree.parse(tmp_path / "x.svg").getroot().get("lang") == "zh-Hans"


# --- terminals ---------------------------------------------------------------------------------------------------


def on_a_terminal(columns: int, *arguments: str) -> tuple[int, str]:
    """The exit code and all that is written to a terminal so wide."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environ = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    argv = [sys.executable, "-m", "synfin", "lab", *arguments]
    with subprocess.Popen(argv, stdout=its, stdin=its, env={**environ, "TERM": "xterm"}) as process:
        os.close(its)
        said = b""
        while True:
            try:
                said += (part := os.read(ours, 1 << 16))
            except OSError:
                break
            if not part:
                break
        code = process.wait()
    os.close(ours)
    return code, said.decode().replace("\r\n", "\n")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_wide_terminal_has_wide_columns_and_colours() -> None:
    code, out = on_a_terminal(160, "run", "A8", "--lose", "2", "--world", "once", "--lang", "en")
    assert code == 0
    assert "\x1b[" in out
    widths = [cell_len(line) for line in plain(out).splitlines()]
    assert 140 < max(widths) <= 160
    # Text does not become wider than a page.
    text = plain(out)[plain(out).index("What came of it") :]
    assert max(map(cell_len, text.splitlines())) <= 100


def test_a_narrow_terminal_has_one_world_below_the_other() -> None:
    code, out = on_a_terminal(75, "run", "A8", "--lang", "zh")
    assert code == 0
    assert max(cell_len(line) for line in plain(out).splitlines()) <= 75
    assert "── 所有 SYN 都丢失 ──" in plain(out)


def test_a_bar_shows_how_far_a_check_is() -> None:
    code, out = on_a_terminal(100, "run", "A8", "A9", "A10", "--check", "--lang", "en")
    assert code == 0
    assert "/3" in out
    assert "✓ A10 " in plain(out)
    assert "experiments: 3" in plain(out)


# --- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "wrong", "right"),
    [
        ("run", "missing argument", "--help"),
        ("run A99", "there is no experiment 'A99'", "perhaps A"),
        ("run A0 --check", "there is no experiment 'A0'", "perhaps A"),
        ("run quack", "there is no experiment 'quack'", "'synfin lab' lists all"),
        ("run alll", "there is no experiment 'alll'", "perhaps all"),
        ("run ''", "there is no experiment ''", "'synfin lab' lists all"),
        ("run A8 A99", "there is no experiment 'A99'", "perhaps A"),
        ("run A8 --world sometimes", "A8 has no world 'sometimes'", "its worlds are once, always"),
        ("run A8 A9 --world always", "has no world 'always'", "its worlds are"),
        ("run A8 --set tcp_syn_retries", "sets nothing", "NAME=VALUE"),
        ("run A8 --set =3", "sets nothing", "NAME=VALUE"),
        ("run A8 --set :tcp_syn_retries=3", "sets nothing", "HOST:NAME=VALUE"),
        ("run A8 --set tcp_syn_retrys=3", "there is no parameter 'tcp_syn_retrys'", "perhaps tcp_syn_retries"),
        ("run A8 --set zzzz=3", "there is no parameter 'zzzz'", "see 'synfin sysctl'"),
        ("run A8 --set tcp_syn_retries=0", "'0' is no value for net.ipv4.tcp_syn_retries", "from 1 to 127"),
        ("run A8 --set tcp_syn_retries=many", "'many' is no value", "from 1 to 127"),
        ("run A8 --set tcp_congestion_control=fast", "'fast' is no value", "cubic"),
        ("run A8 --set bob:tcp_syn_retries=3", "there is no host 'bob'", "client, server"),
        ("run A8 --lose 0", "there is no segment 0", "1 to 11"),
        ("run A8 --lose 12", "there is no segment 12", "1 to 11"),
        ("run A8 --lose 8 --world once", "there is no segment 8", "1 to 7"),
        ("run A8 --duplicate -1", "there is no segment -1", "1 to 11"),
        ("run A8 --corrupt three", "--corrupt", "integer"),
        ("run A8 --delay 5", "--delay '5' delays nothing", "5=800ms"),
        ("run A8 --delay 5=800", "--delay '5=800' delays nothing", "5=800ms"),
        ("run A8 --delay five=800ms", "delays nothing", "5=800ms"),
        ("run A8 --delay 99=800ms", "there is no segment 99", "1 to 11"),
        ("run A8 --fault quack", "'quack' is no fault", "lose"),
        ("run A8 --fault ''", "a fault is missing", "lose"),
        ("run A8 --fault 'lose SYN from bob'", "no end of the wire is called bob", "the hosts are client, server"),
        ("run A8 --fault 'a-b: lose SYN'", "there is no such wire", "the wires client-server"),
        ("run A8 --fault 'reboot bob at 3s'", "there is no host of that name", "client, server"),
        ("run A8 A9 --svg x.svg", "a file holds one experiment", "one ROW"),
        ("run A8 --svg /nowhere/x.svg", "/nowhere/x.svg", "file"),
        ("run A8 --pcap /", "'/'", "file"),
        ("run A8 --events /nowhere/x", "/nowhere/x-once", "file"),
        ("run A8 --lang fr", "'fr'", "--help"),
        ("run A8 --seed x", "--seed", "integer"),
        ("quack", "no such command 'quack'", "run"),
        ("--lang fr", "'fr'", "--help"),
    ],
)
def test_a_mistake_is_one_line(arguments: str, wrong: str, right: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", *shlex.split(arguments)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("synfin: ")
    assert err.count("\n") == 1
    said_wrong, _, said_right = err.partition("; ")
    assert wrong in said_wrong
    assert right in said_right


def test_the_nearest_rows_are_those_of_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_choice, "rows", lambda: ["A1", "A7", "A8", "A9", "B1"])
    with pytest.raises(UsageError) as raised:
        lab_choice.experiments_of(["a6"])
    assert raised.value.right == "perhaps A7 or A8 or A9"

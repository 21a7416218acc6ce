"""``synfin explain``: what it prints and writes, and what it says of files that are no captures."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from synfin.cli.main import main
from synfin.wire.tcp import ACK, RST
from tests.explain.tape import Tape, pcap


def one(port: int = 40_000, reset: bool = False) -> Tape:
    tape = Tape(ports=(port, 80))
    tape.open()
    tape.exchange()
    if reset:
        tape.send(1, RST | ACK)
    else:
        tape.close()
    return tape


@pytest.fixture
def single(tmp_path: Path) -> Path:
    path = tmp_path / "one.pcap"
    path.write_bytes(one().file())
    return path


@pytest.fixture
def several(tmp_path: Path) -> Path:
    path = tmp_path / "several.pcap"
    path.write_bytes(pcap(one().packets + one(40_001, reset=True).packets + one(40_002).packets))
    return path


def test_one_connection_is_drawn(single: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(single), "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("one.pcap: pcap, packets: 8, of TCP: 8, connections: 1, 0.007 s\n")
    assert "│ [1]   #1 SYN seq=0" in out
    assert out.endswith("connection 1: 192.0.2.1:40000 → 192.0.2.2:80, closed\nnothing unusual\n")


def test_in_chinese(single: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(single), "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert "连接 1 个" in out
    assert "报文1 " in out
    assert out.endswith("连接 1：192.0.2.1:40000 → 192.0.2.2:80，正常关闭\n没有异常\n")


def test_many_are_summed_up(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(several), "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert "all 3 connections" in out
    assert "SYN seq" not in out
    assert "connection 2: 192.0.2.1:40001 → 192.0.2.2:80, reset by server" in out
    assert "server: RST, ends the connection at once (RFC 9293 §3.5.3)" in out
    assert out.endswith("--connection N draws the ladder of connection N\n")


def test_one_of_many_is_drawn(several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    svg = tmp_path / "out.svg"
    arguments = ["explain", str(several), "--connection", "2", "--svg", str(svg), "--lang", "en", "--absolute"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "RST+ACK seq=5001" in out
    picture = svg.read_text("utf-8")
    assert "Connection 2 of several.pcap" in picture
    assert "RST, ends the" in picture


def test_json_lines(several: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["explain", str(several), "--json", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [line["finding"] for line in lines if "finding" in line] == ["reset"]
    assert [line["connection"] for line in lines if "ends" in line] == [1, 2, 3]
    assert lines[-1]["capture"] == "pcap"


def test_standard_input(single: Path) -> None:
    command = [sys.executable, "-m", "synfin", "explain", "-", "--lang", "en"]
    done = subprocess.run(command, input=single.read_bytes(), capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"-: pcap, packets: 8")


def test_a_bar_shows_progress_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap([packet for _ in range(3000) for packet in one().packets]))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "synfin", "explain", str(path), "--lang", "zh"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # as the other side is closed
            pass
        assert process.wait(60) == 0
    os.close(ours)
    assert "读取中" in shown.decode("utf-8", "replace")
    assert "MB" in shown.decode("utf-8", "replace")


def test_without_a_terminal_there_is_no_bar(single: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(single)]) == 0
    assert capsys.readouterr().err == ""


def test_a_capture_without_tcp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap([]))
    assert main(["explain", str(path), "--lang", "en"]) == 0
    assert capsys.readouterr().out.endswith("no TCP connection in it\n")


WRITERS = "name a file that tcpdump, Wireshark or synfin wrote"


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (b"", [], f"'it' is no capture: it is empty; {WRITERS}"),
        (b"hello, world", [], f"'it' is no capture: it begins neither as pcap nor as pcapng; {WRITERS}"),
        (b"\x1f\x8bhello", [], f"'it' is no capture: it begins like gzip, but is not; {WRITERS}"),
        (one().file(), ["--connection", "2"], "there is no connection 2; they are numbered 1 to 1"),
        (pcap([]), ["--connection", "1"], "there is no connection 1; the capture has none"),
    ],
)
def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, arguments: list[str], says: str
) -> None:
    path = tmp_path / "it"
    path.write_bytes(content)
    assert main(["explain", str(path), *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"synfin: {says}\n")


def test_what_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path / "nothing")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert main(["explain", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("is a folder; name a capture in it\n")


def test_a_picture_that_cannot_be_written(single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(single), "--svg", str(tmp_path / "no" / "folder.svg")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_header_without_a_body(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "it"
    path.write_bytes(pcap([])[:10])
    assert main(["explain", str(path), "--lang", "en"]) == 0
    assert "the file is cut short" in capsys.readouterr().out

"""The commands that draw: ``synfin demo --svg`` and ``synfin show``."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from synfin.cli.main import main, run
from synfin.cli.show import show

app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command()(show)


@pytest.fixture
def trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "trace.jsonl"
    assert main(["demo", "--lang", "en", "--events", str(path)]) == 0
    capsys.readouterr()
    return path


def test_the_demo_draws(tmp_path: Path) -> None:
    path = tmp_path / "ladder.svg"
    assert main(["demo", "--lang", "zh", "--lose", "1", "--svg", str(path)]) == 0
    assert "报文1′" in path.read_text("utf-8")


def test_a_trace_on_the_terminal(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--lang", "en"]) == 0
    ladder = capsys.readouterr().out
    assert run(app, [str(trace), "--lang", "en"]) == 0
    assert capsys.readouterr().out == ladder


@pytest.mark.parametrize(
    ("picture", "title"),
    [
        ("ladder", "The life of a TCP connection"),
        ("states", "The states of a TCP connection"),
        ("sequence", "Sequence numbers over time"),
        ("curves", "Congestion window and round-trip time"),
    ],
)
def test_pictures_of_a_trace(trace: Path, tmp_path: Path, picture: str, title: str) -> None:
    path = tmp_path / "picture.svg"
    assert run(app, [str(trace), "--lang", "en", "--picture", picture, "--svg", str(path)]) == 0
    assert title in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--picture", "curves"], "a terminal cannot show 'curves'; give --svg FILE"),
        (["--connection", "2"], "there is no connection 2; they are numbered 1 to 1"),
        (["--connection", "0"], "there is no connection 0; they are numbered 1 to 1"),
    ],
)
def test_mistakes(trace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert run(app, [str(trace), *arguments]) == 2
    assert capsys.readouterr().err == f"synfin: {says}\n"


def test_files_that_are_no_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"\x00\xff")
    assert run(app, [str(path)]) == 2
    assert "line 1: not JSON; name a file that synfin wrote" in capsys.readouterr().err
    path.write_text('{"format": "synfin-events", "version": 1}\n')
    assert run(app, [str(path)]) == 2
    assert "has no connection that exchanged a segment" in capsys.readouterr().err
    assert run(app, [str(tmp_path / "nothing")]) == 2
    assert "No such file" in capsys.readouterr().err

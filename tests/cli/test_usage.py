"""Whatever is wrong on a command line becomes one line on standard error, and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

from synfin import __version__
from synfin.cli.errors import UsageError
from synfin.cli.main import main, run

# Commands of every kind, so that what is tested is the frame and not the commands of the day.
probe = typer.Typer(add_completion=False, rich_markup_mode=None, suggest_commands=False)
group = typer.Typer(rich_markup_mode=None)


@probe.callback()
def nothing() -> None:
    pass


@probe.command()
def count(
    upto: Annotated[int, typer.Option(min=0)] = 3,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option()] = None,
    pcap: Annotated[Path | None, typer.Option()] = None,
) -> None:
    if pcap is not None:
        pcap.write_bytes(b"")
    for number in range(upto):
        print("报文" if lang == "zh" else "message", number)


@group.command()
def serve(
    what: Annotated[Literal["echo", "discard"], typer.Argument()],
    address: Annotated[str, typer.Option()],
) -> None:
    raise UsageError(f"{what} at {address}:\nonly root may make a TUN device", "run it with sudo")


@group.command()
def interrupted() -> None:
    raise KeyboardInterrupt


@group.command()
def refused() -> int:
    return 7


probe.add_typer(group, name="group")


def the_line(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    return err.removesuffix("\n")


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        ("cuont", "no such command 'cuont'", "choose one of: count, group"),
        ("", "missing command", "choose one of: count, group"),
        ("--bad", "no such option: --bad", "see 'synfin --help'"),
        ("count --bad", "no such option: --bad", "see 'synfin count --help'"),
        ("count --upot 3", "no such option: --upot", "perhaps --upto"),
        ("count -9", "no such option: -9", "see 'synfin count --help'"),
        ("count --upto", "option '--upto' requires an argument", "see 'synfin"),
        ("count --upto ten", "invalid value for '--upto'", ""),
        ("count --upto=", "invalid value for '--upto'", ""),
        ("count --upto -1", "invalid value for '--upto'", ""),
        ("count --lang fr", "invalid value for '--lang': 'fr' is not one of 'en', 'zh'", "see 'synfin count --help'"),
        ("count extra", "got unexpected extra argument(s) (extra)", "see 'synfin count --help'"),
        ("count --pcap /nowhere/file", "cannot use '/nowhere/file'", "name a file that can be opened"),
        ("group", "missing command", "choose one of: serve, interrupted, refused"),
        ("group --bad", "no such option: --bad", "see 'synfin group --help'"),
        ("group serve", "missing argument 'what'", "choose one of: echo, discard"),
        ("group serve echo", "missing option '--address'", "see 'synfin group serve --help'"),
        ("group serve hello --address ::", "invalid value for 'what': 'hello' is not one of 'echo', 'discard'", "see"),
        ("group serve echo --address ::", "echo at ::: only root may make a TUN device", "run it with sudo"),
    ],
)
def test_a_mistake_is_one_line(line: str, wrong: str, right: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(probe, line.split()) == 2
    said = the_line(capfd)
    assert said.startswith(f"synfin: {wrong}")
    said_wrong, _, said_right = said.partition("; ")
    assert said_wrong
    assert right in said_right
    assert said_right


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "\udcff", "a\u2028b"])
def test_what_a_terminal_would_obey_is_escaped(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    for argv in ([name], ["group", "serve", "echo", "--address", name]):
        assert run(probe, argv) == 2
        assert the_line(capfd).isprintable()


@pytest.mark.parametrize("argv", [["nonsense"], ["--nonsense"], ["nonsense", "--help"]], ids=" ".join)
def test_the_real_command_complains_likewise(argv: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "nonsense" in the_line(capfd)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help(argv: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out, err = capfd.readouterr()
    assert out.startswith("Usage: synfin ")
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr() == (f"synfin {__version__}\n", "")


def test_a_command_may_return_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(probe, ["count"]) == 0
    assert capfd.readouterr() == ("message 0\nmessage 1\nmessage 2\n", "")
    assert run(probe, ["group", "refused"]) == 7
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(probe, ["group", "interrupted"]) == 130
    assert capfd.readouterr() == ("", "")


def test_faults_of_our_own_are_not_hidden() -> None:
    faulty = typer.Typer()

    @faulty.command()
    def divide() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(faulty, [])


def in_a_process(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that prints lines of Chinese, run by a shell that does something to its standard output."""
    program = (
        "import sys, typer\n"
        "from synfin.cli.main import run\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def shout(lines: int) -> None:\n"
        "    for number in range(lines): print('报文', number)\n"
        "sys.exit(run(app, sys.argv[1:]))\n"
    )
    shell = f'"$@" {redirection}'
    argv = ["bash", "-c", shell, "bash", sys.executable, "-c", program, *arguments]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(argv, check=False, capture_output=True, encoding="utf-8", env=environ)


@pytest.mark.parametrize("lines", ["1", "100000"])
@pytest.mark.requires("bash")
def test_a_closed_pipe_is_quiet(lines: str) -> None:
    # `true` reads nothing, and has ended before the command begins to print.
    done = in_a_process("| true; echo ${PIPESTATUS[0]}", lines)
    assert done.stderr == ""
    assert done.stdout == "141\n"


@pytest.mark.requires("bash")
def test_no_standard_output_at_all() -> None:
    done = in_a_process(">&-", "3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.requires("bash")
def test_a_terminal_without_chinese_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = in_a_process("", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "?? 0\n", "")

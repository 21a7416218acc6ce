"""The command `synfin`, and the one place where whatever goes wrong on a command line becomes one line.

Every mistake of the user's, found by Typer or by a command (`UsageError`), ends in a single line on standard error,
``synfin: what was wrong; what would be right``, and exit code 2. A closed pipe and ^C end quietly.
"""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper
from typing import Annotated, Final

import typer
import typer.main

from synfin import __version__
from synfin.cli import lab, tun
from synfin.cli import run as scripts
from synfin.cli.demo import demo
from synfin.cli.drill import drill
from synfin.cli.errors import UsageError
from synfin.cli.explain import explain
from synfin.cli.show import show
from synfin.cli.sysctl import sysctl

USAGE: Final = 2
FAILED: Final = 1
#: What writing to a file that was opened well may end in.
WRITE_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
INTERRUPTED: Final = 130  # as a shell reports SIGINT
BROKEN_PIPE: Final = 141  # as a shell reports SIGPIPE

app = typer.Typer(
    name="synfin",
    help="TCP, from SYN to FIN: watch it, and run it against real kernels.",
    add_completion=False,
    rich_markup_mode=None,
    suggest_commands=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(drill)
app.command()(explain)
app.command(context_settings=scripts.SETTINGS)(scripts.run)
app.command()(show)
app.command()(sysctl)
app.add_typer(lab.commands)
app.add_typer(tun.commands)


@app.callback(invoke_without_command=True)
def synfin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"synfin {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(argv: list[str] | None = None) -> int:
    """Run `synfin` with these arguments (those of the process if None), and return its exit code."""
    return run(app, sys.argv[1:] if argv is None else argv)


def run(commands: typer.Typer, argv: list[str]) -> int:
    """Run one of the `commands`. A command returns None or its exit code, and raises `UsageError` for the user's
    mistakes; any other exception is a fault of synfin's own, and passes through."""
    # A terminal that cannot show a character shows a question mark; it does not end the program.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            return _invoke(commands, argv)
        finally:
            if sys.stdout is not None:  # as it is when the caller closed it
                sys.stdout.flush()
    except typer.TyperException as error:
        return _complain(*_in_words(error))
    except UsageError as error:
        return _complain(error.wrong, error.right)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has nowhere to go, and the interpreter would complain of it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is None and error.errno in WRITE_ERRORS:
            # What is still buffered would fail again as the interpreter ends.
            if sys.stdout is not None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            print(f"synfin: cannot write: {error.strerror}", file=sys.stderr)
            return FAILED
        if error.filename is None:
            raise
        return _complain(f"cannot use {error.filename!r}: {error.strerror}", "name a file that can be opened")


def _invoke(commands: typer.Typer, argv: list[str]) -> int:
    command = typer.main.get_command(commands)
    try:
        # Not command.main(), which catches some of the exceptions itself and prints them its own way.
        with command.make_context("synfin", list(argv)) as context:
            result = command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else 0


def _complain(wrong: str, right: str) -> int:
    print(f"synfin: {_one_line(wrong)}; {_one_line(right)}", file=sys.stderr)
    return USAGE


def _in_words(error: typer.TyperException) -> tuple[str, str]:
    """What Typer found wrong, and what would be right. Its kinds of errors have no public names (but for
    BadParameter), so they are told apart by what they carry."""
    context = getattr(error, "ctx", None)
    right = f"see '{'synfin' if context is None else context.command_path} --help'"
    wrong = " ".join(error.format_message().split())
    choices = getattr(context.command, "list_commands", None) if context is not None else None
    if hasattr(error, "possibilities"):  # no such option
        wrong = error.message  # without the list of possible options
        if error.possibilities:
            right = f"perhaps {' or '.join(sorted(error.possibilities))}"
    elif isinstance(error, typer.BadParameter):
        wrong = wrong.replace(": Value error, ", ": ", 1)
        for between, say in ((": Input should be ", "it should be "), (". Choose from: ", "choose one of: ")):
            start, found, expected = wrong.partition(between)
            if found:
                wrong, right = start, say + expected.partition(", unable to")[0]
    elif choices is not None and choices(context):  # no such command, or none at all
        right = f"choose one of: {', '.join(choices(context))}"
    wrong = wrong.rstrip(".")
    return wrong[:1].lower() + wrong[1:], right


def _one_line(text: str) -> str:
    """The text in one line of printable characters, whatever the user's arguments brought into it."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in words)

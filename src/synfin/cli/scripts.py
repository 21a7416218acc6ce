"""Runs a script as ``python script.py`` would, in this process, in a world that was made for it."""

from __future__ import annotations

import runpy
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType

from synfin.cli.errors import UsageError

FAILED = 1
INTERRUPTED = 130  # as a shell reports SIGINT


def check_script(script: Path) -> None:
    """Raises UsageError for what is no script."""
    if not script.is_file():
        raise UsageError(f"there is no script {str(script)!r}", "name a Python file")


def run_script(script: Path, arguments: list[str]) -> int:
    """The exit code of the script, whose errors are printed as Python prints them. Returns when its threads have ended,
    but for those that are daemons."""
    argv, path = sys.argv, sys.path[:]
    before = set(threading.enumerate())
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    code = 0
    try:
        try:
            runpy.run_path(str(script), run_name="__main__")
        finally:
            # As the interpreter does at its end.
            for thread in threading.enumerate():
                if thread not in before and not thread.daemon:
                    thread.join()
    except SystemExit as end:
        code = _code(end)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException as error:
        traceback.print_exception(error.with_traceback(_own(error.__traceback__, str(script))))
        code = FAILED
    finally:
        sys.argv, sys.path[:] = argv, path
    return code


def _code(end: SystemExit) -> int:
    """As the interpreter has it: a number is the code, anything else is printed, and the code is 1."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return FAILED


def _own(trace: TracebackType | None, script: str) -> TracebackType | None:
    """The traceback from where the script begins; all of it where it never did (a syntax error)."""
    one = trace
    while one is not None:
        if one.tb_frame.f_code.co_filename == script:
            return one
        one = one.tb_next
    return None

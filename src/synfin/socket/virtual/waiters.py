"""Who waits for what: for people, when a run ends before its programs do."""

from __future__ import annotations

import asyncio
import re
import sys
import sysconfig
import threading
from asyncio.base_events import BaseEventLoop
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from synfin.socket.virtual.baton import Baton, Strand
from synfin.tcp.timers import NEVER

_OURS: Final = str(Path(__file__).parent.parent.parent)
_STANDARD: Final = tuple(
    dict.fromkeys([sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen", "<string>"])
)
_THREADS: Final = frozenset({threading.__file__})
_SITE: Final = "site-packages"
_NUMBER: Final = re.compile(r"(\d+)")


class Waiter(NamedTuple):
    """A thread or a task that waits: on which host, of which program; where in it (a file and a line); what it called;
    what for; until when (nanoseconds; NEVER: for ever)."""

    host: str
    program: str
    name: str
    where: str
    call: str
    waits_for: str
    deadline: int


def waiters(baton: Baton) -> list[Waiter]:
    """All who wait now, in the order in which they began."""
    frames = sys._current_frames()
    return [waiter for strand in list(baton.strands) for waiter in _of(strand, frames)]


def _of(strand: Strand, frames: dict[int, FrameType]) -> Iterator[Waiter]:
    program = strand.program
    thread = strand.thread
    frame = frames.get(thread.ident) if thread is not None and thread.ident is not None else None
    script = program.script
    stack = list(_stack(frame))
    loop = next((one.f_locals.get("self") for one in stack if one.f_code.co_name == "run_forever"), None)
    if isinstance(loop, BaseEventLoop):
        # The names of tasks count them.
        for task in sorted(asyncio.all_tasks(loop), key=_natural):
            chain = list(_awaiting(task.get_coro()))
            where, call = _place(chain, script)
            yield Waiter(program.node.name, program.name, task.get_name(), where, call, _future(task), NEVER)
        return
    where, call = _place([(one.f_code, one.f_lineno) for one in stack], script)
    name = thread.name if thread is not None else ""
    yield Waiter(program.node.name, program.name, name, where, call, strand.waits_for(), strand.deadline)


def _natural(task: asyncio.Task[Any]) -> list[object]:
    return [int(part) if part.isdigit() else part for part in _NUMBER.split(f" {task.get_name()}")]


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _awaiting(coroutine: Any) -> Iterator[tuple[CodeType, int]]:
    """What a coroutine awaits, innermost first."""
    found = []
    while coroutine is not None:
        for kind in ("cr", "gi", "ag"):
            code = getattr(coroutine, f"{kind}_code", None)
            if code is not None:
                frame = getattr(coroutine, f"{kind}_frame")
                found.append((code, frame.f_lineno if frame is not None else 0))
                coroutine = getattr(coroutine, f"{kind}_await" if kind != "gi" else "gi_yieldfrom")
                break
        else:
            break
    yield from reversed(found)


def _future(task: asyncio.Task[Any]) -> str:
    waiter = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        return f"the task {waiter.get_name()}"
    return "the event loop" if waiter is None else "a future"


def _place(stack: list[tuple[CodeType, int]], script: Path | None) -> tuple[str, str]:
    """Where in the program the wait is, and the call that it made there: the innermost line of the script's, or else
    of what is neither ours nor the standard library's."""
    folder = str(script.parent.absolute()) if script is not None else None
    for test in (lambda name: folder is not None and _under(name, folder), _is_foreign):
        call = ""
        for code, line in stack:
            if test(code.co_filename):
                return f"{Path(code.co_filename).name}:{line}", call
            # What stands in the place of a call of the standard library goes by its name.
            call = code.co_name if _is_ours(code) else code.co_qualname
    # A thread that runs nothing of the program's, such as an executor's.
    calls = [code.co_qualname for code, _ in stack if code.co_filename not in _THREADS and not _is_ours(code)]
    return "", calls[-1] if calls else call


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_OURS)


def _under(name: str, folder: str) -> bool:
    return str(Path(name).absolute()).startswith(folder) and not _is_standard(name)


def _is_standard(name: str) -> bool:
    return _SITE in name or name.startswith((_OURS, *_STANDARD))


def _is_foreign(name: str) -> bool:
    return _SITE in name or not _is_standard(name)

"""Scripts played to the Linux kernel, and to synfin: who does what the script says, and who does not.

The kernel has a namespace of its own for each script, and is told to behave as synfin does (`bench.as_synfin`): with
the profile's parameters, Reno, and without what synfin does not have. Its time is that of the clock on the wall. As one
does with packetdrill on slow machines, the tolerance in microseconds is widened, to `TOLERANCE`; that in percent stays,
since the wheel of the kernel's timers is as coarse as that. As packetdrill does, we ask for a scheduling of real time.
A machine that is busy may be late all the same: then the script is played again, whatever came of it, up to
`LATE_ATTEMPTS` times; and one counts as contradicted only if it was so `ATTEMPTS` times.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from synfin.drill.bench.bench import SECOND
from synfin.drill.commands.code import Snippets
from synfin.drill.commands.commands import Commands
from synfin.drill.kernel.bench import KernelBench, KernelControl
from synfin.drill.kernel.sockets import HANDLERS
from synfin.drill.kernel.work import KernelCalls
from synfin.drill.language.definitions import with_definitions
from synfin.drill.language.parser import parse
from synfin.drill.language.script import Script, ScriptError
from synfin.drill.options import MICROSECOND, Choices, Settings
from synfin.drill.outcome import FAILED, PASSED, SKIPPED, Result, Skipped
from synfin.drill.run.runner import Run, run
from synfin.drill.run.stand import Stand
from synfin.drill.suite import LONGEST as LONGEST_FILE

#: How much earlier or later than the script says the kernel may be, in nanoseconds.
TOLERANCE: Final = 20_000 * MICROSECOND
#: Scripts that take longer are skipped: nanoseconds.
LONGEST: Final = 10 * SECOND
#: How often a script is played before it counts as contradicted.
ATTEMPTS: Final = 3
#: If we were late by more nanoseconds than this, what came says nothing; so many times at most.
LATE: Final = 5_000 * MICROSECOND
LATE_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of a script on the kernel and on synfin. `line`, `text`: the first on which they are not at one."""

    path: str
    kernel: Result
    synfin: Result

    @property
    def agrees(self) -> bool:
        """Whether the kernel does what the script says."""
        return self.kernel.status == PASSED

    @property
    def skipped(self) -> bool:
        return self.kernel.status == SKIPPED


def duration(script: Script) -> int:
    """How long a script takes at least, in nanoseconds."""
    time = end = 0
    for event in script.events:
        when = event.when
        if when.any_time:
            continue
        base = time if when.relative else 0
        time = max(time, base + when.start)
        end = max(end, time, base + when.until if when.until is not None and when.blocking else 0)
    return end


def play(script: Script, choices: Choices, longest: int = LONGEST) -> Result:
    """Plays a script to the kernel, once. Raises PermissionError without the rights of root."""
    return _play(script, choices, longest)[0]


def _play(script: Script, choices: Choices, longest: int) -> tuple[Result, int]:
    """Plays a script; with the result, by how much we were late."""
    taken: list[KernelCalls] = []

    def stand(profile: str, settings: Settings, chosen: Choices) -> Stand:
        settings.tolerance = max(settings.tolerance, TOLERANCE)
        bench = KernelBench(profile, settings, chosen)
        calls = KernelCalls(bench, HANDLERS)
        taken.append(calls)
        commands = Commands(KernelControl(bench.kernel), settings, bench.settle)
        return Stand(bench, calls, Snippets(calls.info, chosen.code), commands, str, longest)

    try:
        length = duration(with_definitions(script, {}))
        if length > longest:
            raise Skipped(f"it takes longer than {longest / SECOND:g} s")
        with _real_time():
            result = Run(script, choices, stand).result()
        return result, max((calls.bench.late for calls in taken), default=0)
    except Skipped as skipped:
        return Result(script.name, SKIPPED, skipped.reason), 0
    except ScriptError as error:
        return Result(script.name, FAILED, f"{error.found}, where {error.wanted}", error.place.line), 0
    finally:
        for calls in taken:
            calls.close()


@contextmanager
def _real_time() -> Iterator[None]:
    """Has the scheduler prefer this process, where it may."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def compare(script: Script, choices: Choices, longest: int = LONGEST, attempts: int = ATTEMPTS) -> Comparison:
    """Plays a script to both. Raises PermissionError without the rights of root."""
    synfin = run(script, choices)
    played = 0
    for _ in range(max(attempts, LATE_ATTEMPTS)):
        kernel, late = _play(script, choices, longest)
        if late > LATE:
            continue
        played += 1
        if kernel.status != FAILED or played >= attempts:
            break
    return Comparison(script.name, kernel, synfin)


def compare_file(path: Path, choices: Choices, longest: int = LONGEST, attempts: int = ATTEMPTS) -> Comparison:
    """As `compare`, for a file."""
    name = str(path)
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise ValueError(f"the file is longer than {LONGEST_FILE} octets")
        script = parse(path.read_text("utf-8", errors="replace"), name)
    except ScriptError as error:
        bad = Result(
            name, FAILED, f"column {error.place.column}: {error.found}, where {error.wanted}", error.place.line
        )
        return Comparison(name, bad, bad)
    except ValueError as error:
        bad = Result(name, SKIPPED, str(error))
        return Comparison(name, bad, bad)
    return compare(script, choices, longest, attempts)


def compare_all(
    paths: list[tuple[Path, Choices]], longest: int = LONGEST, jobs: int = 1, attempts: int = ATTEMPTS
) -> Iterator[Comparison]:
    """The comparisons in the order of `paths`, as they come; `jobs` processes play at a time, mostly waiting."""
    work = partial(_compare_one, longest=longest, attempts=attempts)
    if jobs <= 1 or len(paths) < 2:
        yield from map(work, paths)
        return
    with ProcessPoolExecutor(min(jobs, len(paths)), get_context("spawn")) as pool:
        yield from pool.map(work, paths)


def _compare_one(chosen: tuple[Path, Choices], longest: int, attempts: int) -> Comparison:
    path, choices = chosen
    return compare_file(path, choices, longest, attempts)

"""Many scripts: found in files and folders, run by several processes, summed up by folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from synfin.drill.language.parser import parse
from synfin.drill.language.script import ScriptError
from synfin.drill.options import LENIENT, STRICT, Choices
from synfin.drill.outcome import FAILED, SKIPPED, Result
from synfin.drill.run.runner import run
from synfin.drill.tally import Tally

SUFFIX: Final = ".pkt"
#: A longer file is no script, in octets.
LONGEST: Final = 4 << 20


def scripts(paths: Iterable[Path]) -> list[Path]:
    """The files among `paths`, and all scripts in the folders among them, sorted. Raises FileNotFoundError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(each for each in path.rglob(f"*{SUFFIX}") if each.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(2, "No such file or directory", str(path))
    return list(dict.fromkeys(found))


def run_text(text: str, name: str, choices: Choices) -> Result:
    """What becomes of a script. A text that cannot be read fails.

    `lenient` of the result is the status under the lenient comparison, for which a script is run once more if it
    fails under the strict one.
    """
    try:
        script = parse(text, name)
    except ScriptError as error:
        reason = f"column {error.place.column}: {error.found}, where {error.wanted}"
        return Result(name, FAILED, reason, error.place.line, lenient=FAILED)
    except Exception as error:
        if choices.debug:
            raise
        return Result(name, FAILED, f"internal error: {type(error).__name__}: {error}", lenient=FAILED)
    result = run(script, choices)
    lenient = result.status
    if result.status == FAILED and choices.compare == STRICT:
        lenient = run(script, replace(choices, compare=LENIENT)).status
    return replace(result, lenient=lenient)


def run_file(path: Path, choices: Choices) -> Result:
    """As `run_text`, for a file."""
    try:
        if path.stat().st_size > LONGEST:
            return Result(str(path), SKIPPED, f"the file is longer than {LONGEST} octets", lenient=SKIPPED)
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        return Result(str(path), FAILED, f"the file cannot be read: {error.strerror}", lenient=FAILED)
    return run_text(text, str(path), choices)


def run_all(paths: list[Path], choices: Choices, jobs: int = 1) -> Iterator[Result]:
    """The results of `paths` in their order, as they come; `jobs` processes work on them."""
    work = partial(run_file, choices=choices)
    if jobs <= 1 or len(paths) < 2:
        yield from map(work, paths)
        return
    with ProcessPoolExecutor(min(jobs, len(paths))) as pool:
        chunk = max(1, min(16, len(paths) // (jobs * 4)))
        yield from pool.map(work, paths, chunksize=chunk)


def as_json(results: list[Result], choices: Choices) -> str:
    """The results as JSON: for each script its path, status, reason and line."""
    total = Tally()
    for result in results:
        total.add(result)
    value = {
        "compare": choices.compare,
        "passed": total.passed,
        "failed": total.failed,
        "skipped": total.skipped.total(),
        "passed_leniently": total.lenient,
        "results": [
            {
                "path": result.path,
                "status": result.status,
                "reason": result.reason,
                "line": result.line,
                "lenient": result.lenient,
            }
            for result in results
        ],
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"

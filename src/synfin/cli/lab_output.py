"""What the lab tells: reports, checks of many experiments, and files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

from synfin.cli.lab_choice import changed, check_hosts
from synfin.events import Event, PacketTransmitted
from synfin.lab.experiment import Experiment
from synfin.lab.layout import hanging
from synfin.lab.report import Report, Wishes, judged, summary, written
from synfin.lab.running import Run, run
from synfin.lab.what_if import Change
from synfin.lab.words import translation

__all__ = ["Files", "check_all", "page", "tell"]

_PAGE: Final = 100
_WIDEST: Final = 200


def page() -> int:
    """How wide the page is, in cells: the terminal's width, within reason."""
    if sys.stdout is None or not sys.stdout.isatty():
        return _PAGE
    return max(40, min(shutil.get_terminal_size((_PAGE, 24)).columns, _WIDEST))


class Files:
    """The files to be written, if any."""

    def __init__(self, svg: Path | None, pcap: Path | None, events: Path | None) -> None:
        self.svg = svg
        self.pcap = pcap
        self.events = events

    def __bool__(self) -> bool:
        return any(path is not None for path in (self.svg, self.pcap, self.events))

    def write(self, report: Report) -> list[Path]:
        """Writes them, and returns which they were. With changes, worlds are written as they became."""
        paths = []
        if self.svg is not None:
            from synfin.lab.drawn import drawn

            self.svg.write_text(drawn(report), encoding="utf-8")
            paths.append(self.svg)
        worlds = {name: report.judged_in[name] for name in report.shown if not report.changes or name in report.changed}
        for name, one in worlds.items():
            if self.pcap is not None:
                paths.append(_of_world(self.pcap, name, len(worlds)))
                _write_packets(paths[-1], one)
            if self.events is not None:
                from synfin.show.trace import Trace

                paths.append(_of_world(self.events, name, len(worlds)))
                Trace(one.events).write(paths[-1])
        return paths


def _of_world(path: Path, world: str, several: int) -> Path:
    """One file for each world: connections of two worlds may have the same addresses and ports."""
    return path if several == 1 or not path.name else path.with_name(f"{path.stem}-{world}{path.suffix}")


def _write_packets(path: Path, one: Run) -> None:
    """Each packet as it is sent, on an interface of its wire's name; where there are several wires, of its sender's."""
    from synfin.link.capture import PcapngWriter

    wires = list(one.world.network.wires)
    with PcapngWriter(path) as writer:
        event: Event
        for event in one.of(PacketTransmitted):
            writer.write_packet(event.time, event.packet, wires[0] if len(wires) == 1 else event.host)


def _made(
    one: Experiment,
    worlds: Sequence[str],
    changes: Sequence[Change],
    values: Mapping[str, str],
    seed: int,
    wishes: Wishes,
) -> Report:
    runs = run(one, seed, values)
    check_hosts(values, runs)
    return Report(one, runs, worlds, wishes, changes, changed(runs, worlds, changes), seed)


def tell(
    one: Experiment,
    worlds: Sequence[str],
    changes: Sequence[Change],
    values: Mapping[str, str],
    seed: int,
    wishes: Wishes,
    files: Files,
) -> None:
    """Runs an experiment, and prints all of it."""
    report = _made(one, worlds, changes, values, seed, wishes)
    paths = files.write(report)
    for line in report.lines():
        print(line)
    if paths:
        print(written([str(path) for path in paths], wishes.language))


def check_all(
    found: Sequence[Experiment],
    worlds: Mapping[str, Sequence[str]],
    changes: Sequence[Change],
    values: Mapping[str, str],
    seed: int,
    wishes: Wishes,
    files: Files,
) -> int:
    """Runs experiments, and prints which of their claims do not hold. Returns the exit code."""
    gettext = translation(wishes.language).gettext
    began = perf_counter()
    claims = failed = 0
    with _progress(len(found), wishes) as step:
        for one in found:
            report = _made(one, worlds[one.row], changes, values, seed, wishes)
            files.write(report)
            wrong = judged(one, report.judged_in)
            claims += len(one.claims)
            failed += wrong
            mark = "✗" if wrong else "✓"
            lines = [*hanging(f"{mark} {one.row:4} ", gettext(one.question), min(wishes.width, _PAGE))]
            if wrong:
                lines += report.claims(failed=True)
            step(one.row, lines)
    print(summary(len(found), claims, failed, perf_counter() - began, wishes.language))
    return 1 if failed else 0


class _Steps:
    """Prints what each step came to, above a bar if there is one."""

    def __call__(self, row: str, lines: Sequence[str]) -> None:
        print("\n".join(lines))


@contextmanager
def _progress(steps: int, wishes: Wishes) -> Iterator[_Steps]:
    """On a terminal a bar shows how far it is, if there are many steps."""
    if steps < 3 or sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield _Steps()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(no_color=not wishes.color)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=steps)

        class Bar(_Steps):
            def __call__(self, row: str, lines: Sequence[str]) -> None:
                progress.update(task, advance=1, description=row)
                for line in lines:
                    console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield Bar()

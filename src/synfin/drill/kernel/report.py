"""What is told of scripts that were played to the kernel: where script, kernel and synfin are not at one."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from synfin.drill.kernel.comparison import Comparison
from synfin.drill.outcome import FAILED, SKIPPED, Result
from synfin.show.words import Language, translation

_WIDTH = 140


def told_comparison(comparison: Comparison, language: Language = "en", width: int = _WIDTH) -> str:
    """One line if kernel and synfin both do what the script says, or if the script was skipped; else a table of the
    lines on which one of them did not: line, script, kernel, synfin."""
    gettext = translation(language).gettext
    kernel, synfin = comparison.kernel, comparison.synfin
    if kernel.status == SKIPPED:
        return gettext("skipped: {path}: {reason}").format(path=comparison.path, reason=kernel.reason)
    if FAILED not in (kernel.status, synfin.status):
        return gettext("agree: {path}").format(path=comparison.path)
    table = Table(box=SIMPLE, pad_edge=False)
    for name in (gettext("line"), gettext("script"), gettext("kernel"), "synfin"):
        table.add_column(name, justify="left", overflow="fold")
    failed = sorted({each.line for each in (kernel, synfin) if each.status == FAILED})
    for line in failed:
        script = next(each.text for each in (kernel, synfin) if each.status == FAILED and each.line == line)
        cells = (str(line), script, *(_cell(each, line, language) for each in (kernel, synfin)))
        table.add_row(*map(Text, cells))
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    lines = [each.rstrip() for each in capture.get().splitlines() if each.strip()]
    head = gettext("they differ: {path}").format(path=comparison.path)
    return "\n".join([head, *(f"  {each}" for each in lines)])


def _cell(result: Result, line: int, language: Language) -> str:
    gettext = translation(language).gettext
    if result.status != FAILED or line < result.line:
        return gettext("as the script")
    if line > result.line:
        return gettext("not reached")
    return f"{result.actual}\n({result.reason})" if result.actual else result.reason


def summed_comparisons(comparisons: list[Comparison], language: Language = "en") -> str:
    """How many scripts the kernel agrees with, and why others were skipped."""
    gettext = translation(language).gettext
    skipped = [each.kernel.reason for each in comparisons if each.skipped]
    agree = sum(each.agrees for each in comparisons)
    lines = [f"    {skipped.count(reason)} × {reason}" for reason in dict.fromkeys(skipped)]
    text = gettext("the kernel agrees with {agree} scripts, and with {differ} not; {skipped} skipped")
    lines.append(text.format(agree=agree, differ=len(comparisons) - agree - len(skipped), skipped=len(skipped)))
    return "\n".join(lines)

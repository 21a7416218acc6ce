"""What is told of scripts: a failure with the script's line, what was expected and what came; sums by folder."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len

from synfin.drill.outcome import FAILED, PASSED, Result
from synfin.drill.tally import Tally
from synfin.show.words import Language, translation


def told(result: Result, language: Language = "en") -> str:
    """A result in lines: one for what passed or was skipped, all that is known for a failure."""
    gettext = translation(language).gettext
    place = f"{result.path}:{result.line}" if result.line else result.path
    if result.status == PASSED:
        lines = [gettext("passed: {path}").format(path=result.path)]
    elif result.status == FAILED:
        lines = [gettext("FAILED: {place}: {reason}").format(place=place, reason=result.reason)]
        lines += _beside(result, language)
    else:
        lines = [gettext("skipped: {place}: {reason}").format(place=place, reason=result.reason)]
    lines += [gettext("forgiven: {warning}").format(warning=warning) for warning in result.warnings]
    if result.ladder:
        lines += ["", result.ladder, ""]
    return "\n".join(lines)


def _beside(result: Result, language: Language) -> list[str]:
    """The script's line, what was expected and what came, one under the other."""
    gettext = translation(language).gettext
    rows = [
        (gettext("script"), result.text if result.expected != result.text else ""),
        (gettext("expected"), result.expected),
        (gettext("actual"), result.actual),
    ]
    rows = [(label, text) for label, text in rows if text]
    width = max((cell_len(label) for label, _ in rows), default=0)
    lines = []
    for label, text in rows:
        first, *rest = text.splitlines()
        lines.append(f"  {label}{' ' * (width - cell_len(label))}  {first}")
        lines += [f"  {' ' * width}  {line}" for line in rest]
    return lines


def summed(tallies: Mapping[str, Tally], strict: bool, language: Language = "en") -> str:
    """The numbers of each folder, why scripts were skipped there, and the numbers of all."""
    gettext = translation(language).gettext
    lines = []
    total = Tally()
    for folder, tally in tallies.items():
        lines.append(f"{folder}: {_numbers(tally, strict, language)}")
        lines += [f"    {number} × {reason}" for reason, number in tally.skipped.most_common()]
        total.passed += tally.passed
        total.failed += tally.failed
        total.lenient += tally.lenient
        total.skipped += tally.skipped
    if len(tallies) != 1:
        everything = gettext("all")
        lines.append(f"{everything}: {_numbers(total, strict, language)}")
    return "\n".join(lines)


def _numbers(tally: Tally, strict: bool, language: Language) -> str:
    gettext = translation(language).gettext
    said = gettext("{passed} passed, {failed} failed, {skipped} skipped").format(
        passed=tally.passed, failed=tally.failed, skipped=tally.skipped.total()
    )
    if strict:
        said += gettext(" ({lenient} passed leniently)").format(lenient=tally.lenient)
    return said

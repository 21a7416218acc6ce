"""What ``synfin explain`` prints: the capture in a few lines, the table of its connections, and what was unusual."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from synfin.explain import kinds
from synfin.explain.sentences import ending, endpoint, left_end, note_sentences, whole_sentence
from synfin.explain.values import seconds
from synfin.show.ladder_text import printable, wrapped_text
from synfin.show.words import Language, translation

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.explanation import Explanation
    from synfin.explain.kinds import Finding

__all__ = ["WIDTH", "findings_text", "heading", "summary_table"]

WIDTH: Final = 100
#: Connections in the table, unless more are asked for.
MOST_ROWS: Final = 40
_COLUMNS: Final = (kinds.RETRANSMISSION, kinds.DUPLICATE_ACK, kinds.ZERO_WINDOW, kinds.RESET)
#: Findings of one kind that are listed, of each connection.
_MOST_LISTED: Final = 4
_MOST_REMARKS: Final = 1
_ONE_LINE: Final = 27
_KILO: Final = 1000


def heading(explanation: Explanation, name: str, language: Language) -> str:
    """The capture: how much there is in it, and what is to be said of it as a whole."""
    gettext = translation(language).gettext
    text = gettext("{name}: {kind}, packets: {packets}, of TCP: {segments}, connections: {connections}, {seconds} s")
    lines = wrapped_text(
        text.format(
            name=printable(name),
            kind=explanation.kind,
            packets=explanation.packets,
            segments=explanation.flows.packets,
            connections=explanation.flows.connections,
            seconds=seconds(explanation.last_time - explanation.first_time),
        ),
        WIDTH,
    )
    lines += _bullets(note_sentences(explanation.notes, language))
    return "\n".join(lines)


def summary_table(
    explanation: Explanation, connections: Sequence[Connection], language: Language, most: int = MOST_ROWS
) -> str:
    """One line or two for each connection; of more than `most` the most unusual ones."""
    gettext = translation(language).gettext
    shown = sorted(connections, key=_unusual)[:most]
    shown.sort(key=lambda connection: connection.number)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(gettext("No."), justify="right", no_wrap=True)
    table.add_column(gettext("client → server"), overflow="fold", ratio=1)
    for name in (gettext("packets"), gettext("octets →"), gettext("octets ←"), gettext("s")):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(gettext("end"), overflow="fold", max_width=14)
    for name in (gettext("again"), gettext("dup."), gettext("zero"), "RST"):
        table.add_column(name, justify="right", no_wrap=True)
    for connection in shown:
        left = left_end(connection)
        names = [endpoint(connection, end).name for end in (left, 1 - left)]
        ends = [connection.ends[end] for end in (left, 1 - left)]
        table.add_row(
            str(connection.number),
            _both(*names),
            str(connection.packets),
            *(amount(end.octets) for end in ends),
            seconds(connection.last_time - connection.first_time),
            ending(connection, language),
            *(str(connection.count(column) or "") for column in _COLUMNS),
        )
    flows = explanation.flows
    if flows.connections > 1:
        table.add_section()
        table.add_row(
            "",
            gettext("all {count} connections").format(count=flows.connections),
            str(flows.packets),
            "",
            amount(flows.octets),
            seconds(explanation.last_time - explanation.first_time),
            "",
            *(str(flows.columns.get(column, "")) for column in _COLUMNS),
        )
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, legacy_windows=False).print(table)
    lines = [line.rstrip() for line in out.getvalue().split("\n")]
    if len(connections) > len(shown):
        left_out = gettext("the {shown} most unusual of {count} connections are shown; --all shows more")
        lines += wrapped_text(left_out.format(shown=len(shown), count=len(connections)), WIDTH)
    return "\n".join(lines).strip("\n")


def findings_text(
    explanation: Explanation, connections: Iterable[Connection], language: Language, alone: bool = False
) -> str:
    """What was unusual on each of these connections, in the order of time; `alone`: there is but one."""
    gettext = translation(language).gettext
    lines: list[str] = []
    for connection in connections:
        if lines:
            lines.append("")
        if not alone:
            left = left_end(connection)
            lines.append(
                gettext("connection {number}: {left} → {right}, {end}").format(
                    number=connection.number,
                    left=endpoint(connection, left).name,
                    right=endpoint(connection, 1 - left).name,
                    end=ending(connection, language),
                )
            )
        lines += _findings(explanation, connection, language)
    return "\n".join(lines)


def _findings(explanation: Explanation, connection: Connection, language: Language) -> list[str]:
    gettext = translation(language).gettext
    if not connection.findings:
        return [gettext("nothing unusual")]
    found: list[tuple[Finding, int]] = []
    for kind, some in connection.findings.items():
        some = some[: _MOST_REMARKS if kind.weight == kinds.REMARK else _MOST_LISTED]
        more = connection.counts[kind] - len(some)
        found += [(finding, 0) for finding in some[:-1]]
        found.append((some[-1], more))
    found.sort(key=_when)
    heads = [_head(explanation, finding) for finding, _ in found]
    width = max(map(cell_len, heads))
    lines = []
    for head, (finding, more) in zip(heads, found, strict=True):
        text = f"{whole_sentence(connection, finding, language)} ({finding.kind.clause})"
        if more:
            text += gettext(", and {count} more like this").format(count=more)
        for at, line in enumerate(wrapped_text(printable(text), WIDTH - width - 4)):
            lines.append(f"  {head if not at else '':<{width}}  {line}")
    return lines


def _head(explanation: Explanation, finding: Finding) -> str:
    if not finding.number:
        return "—"
    return f"#{finding.number}  {(finding.time - explanation.first_time) / 1e9:.6f} s"


def _when(found: tuple[Finding, int]) -> tuple[bool, int]:
    return not found[0].number, found[0].number


def _both(left: str, right: str) -> str:
    """Both ends, on two lines if one is too short."""
    together = f"{left} → {right}"
    return together if cell_len(together) <= _ONE_LINE else f"{left}\n→ {right}"


def _unusual(connection: Connection) -> tuple[int, int]:
    return -connection.weight, connection.number


def unusual(connections: Iterable[Connection], most: int) -> list[Connection]:
    """The most unusual ones, but none about which there is but a remark."""
    found = [connection for connection in connections if any(kind.weight > kinds.REMARK for kind in connection.counts)]
    return sorted(found, key=_unusual)[:most]


def amount(octets: int) -> str:
    """A number of octets in at most five places: 999, 12.3k, 4.56M."""
    value = float(octets)
    if octets < _KILO:
        return str(octets)
    for unit in ("k", "M", "G", "T"):
        value /= _KILO
        if value < _KILO or unit == "T":
            break
    return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}" if value >= 10 else f"{value:.2f}{unit}"


def _bullets(texts: Iterable[str]) -> list[str]:
    lines = []
    for text in texts:
        for at, line in enumerate(wrapped_text(printable(text), WIDTH - 2)):
            lines.append(("  " if at else "* ") + line)
    return lines

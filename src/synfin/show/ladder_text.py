"""The texts of the ladder: what one segment says, names that are safe to print, times, and lines of limited width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from rich.cells import cell_len, set_cell_size

from synfin.show.history import Endpoint, History, Transmission
from synfin.show.reason_words import N_
from synfin.wire.tcp import ACK, RST, SYN, URG, flag_names

# A text and the name of its style; "" is none.
Piece: TypeAlias = tuple[str, str]

CHANGED: Final = "changed"
DIM: Final = "dim"
LABEL: Final = "label"
LOST: Final = "lost"
REMARK: Final = "remark"
REPEATED: Final = "repeated"
SENTENCE: Final = "sentence"

_COLORS: Final = {CHANGED: "1;32", DIM: "2", LABEL: "1;36", LOST: "1;31", REMARK: "33", REPEATED: "33", SENTENCE: "3"}
_TIME_WIDTH: Final = 12


# Calls that change nothing which the ladder shows.
QUIET_CALLS: Final = frozenset({"RECEIVE", "STATUS"})


def painted(pieces: Iterable[Piece], color: bool) -> str:
    """The pieces in one string, with ANSI sequences if `color` is true."""
    if not color:
        return "".join(text for text, _ in pieces)
    return "".join(f"\x1b[{_COLORS[style]}m{text}\x1b[0m" if style else text for text, style in pieces)


def printable(text: str) -> str:
    """`text` with escapes for what could move the cursor, turn the line around or take no cell."""
    return "".join(
        char if char.isprintable() and (char == " " or cell_len(char)) else char.encode("unicode_escape").decode()
        for char in text
    )


def cropped(text: str, width: int) -> str:
    """`text` in at most `width` cells; an ellipsis stands for what was cut off."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def filled(pieces: Sequence[Piece], width: int, *, right: bool = False) -> list[Piece]:
    """The pieces with spaces after them (before them if `right`), `width` cells in all."""
    gap: Piece = (" " * (width - sum(cell_len(text) for text, _ in pieces)), "")
    return [gap, *pieces] if right else [*pieces, gap]


def wrapped(pieces: Sequence[Piece], width: int, gap: int = 1) -> list[list[Piece]]:
    """The pieces, `gap` spaces between each two, on as many lines of at most `width` cells as it takes.

    Only a piece that is longer than a whole line is broken.
    """
    lines: list[list[Piece]] = [[]]
    used = 0
    for text, style in pieces:
        rest = text
        if used and used + gap + cell_len(rest) > width:
            lines.append([])
            used = 0
        while cell_len(rest) > width:
            at = _fitting(rest, width)
            lines[-1].append((rest[:at], style))
            lines.append([])
            rest = rest[at:]
        if used:
            lines[-1].append((" " * gap, ""))
            used += gap
        lines[-1].append((rest, style))
        used += cell_len(rest)
    return lines


_NEVER_FIRST: Final = frozenset("，。；：！？、）》”’…")
_NEVER_LAST: Final = frozenset("（《“‘")


def unbreakable(text: str) -> list[str]:
    """The pieces of `text` between which a line may end, at spaces and between Han characters; each ends with its
    spaces."""
    pieces: list[str] = []
    for char in text:
        last = pieces[-1] if pieces else ""
        wide = cell_len(char) != 1
        joined = last and not last.endswith(" ") and not wide and cell_len(last[-1]) == 1
        # The clause of an RFC stays in one piece.
        clause = last.endswith("RFC ") or (char == "§" and last.startswith(("RFC ", "(RFC ", "（RFC ")))
        if last and (char == " " or char in _NEVER_FIRST or last[-1] in _NEVER_LAST or joined or clause):
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


def wrapped_text(text: str, width: int) -> list[str]:
    """A sentence on as many lines of at most `width` cells as it takes. Only a word longer than a line is broken."""
    lines = [""]
    for piece in unbreakable(text):
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
        while cell_len(lines[-1].rstrip()) > width:
            at = _fitting(lines[-1], width)
            lines[-1:] = [lines[-1][:at], lines[-1][at:]]
    return [line.rstrip() for line in lines]


def _fitting(text: str, width: int) -> int:
    """How many characters of `text` fit into `width` cells, at least one."""
    used = 0
    for at, char in enumerate(text):
        used += cell_len(char)
        if used > width:
            return max(at, 1)
    return len(text)


def words(text: str) -> list[Piece]:
    """The words of a sentence, as pieces."""
    return [(word, DIM) for word in text.split()]


def end_name(history: History, endpoint: Endpoint, gettext: Callable[[str], str]) -> str:
    """What an end is called: its host's name, and its part if the two ends' parts differ."""
    role = N_("client") if endpoint is history.left else N_("server")
    part = gettext(role) if history.left.opened != history.right.opened else ""
    name = printable(endpoint.host)
    if not name:
        return part or gettext("peer")
    if part and name == role:
        return part
    return gettext("{name} ({role})").format(name=name, role=part) if part else name


class Clock:
    """Turns times into texts of one width, in milliseconds, or in seconds where those would be too long."""

    __slots__ = ("seconds", "start", "width")

    def __init__(self, times: Sequence[int]) -> None:
        self.start = times[0] if times else 0
        self.seconds = False
        longest = max((len(self.text(time)) for time in times), default=1)
        if longest > _TIME_WIDTH:
            self.seconds = True
            longest = max(len(self.text(time)) for time in times)
        self.width = max(7, min(longest, _TIME_WIDTH))

    def text(self, time: int) -> str:
        """`time`, in nanoseconds, as it is shown: since the first row."""
        elapsed = time - self.start
        if self.seconds:
            elapsed //= 1000
        sign = "-" if elapsed < 0 else ""
        whole, rest = divmod(abs(elapsed) // 1000, 1000)
        return f"{sign}{whole}.{rest:03}"


def as_before(gettext: Callable[[str], str], title: str, clock: Clock, time: int) -> str:
    """That up to this time all was as in the history of that title; as in the first one, if it is empty."""
    text = (
        gettext("as in “{title}”, up to {time} {unit}")
        if title
        else gettext("as in the first world, up to {time} {unit}")
    )
    unit = gettext("s") if clock.seconds else gettext("ms")
    return text.format(title=printable(title), time=clock.text(time), unit=unit)


def segment_words(transmission: Transmission, relative: bool) -> list[list[Piece]]:
    """What the segment says: flags, numbers, window and length; then, if it has any, the options worth showing."""
    segment = transmission.segment
    sender, receiver = transmission.sender, transmission.receiver
    flags = segment.flags
    # A RST from a CLOSED port is no part of its sender's numbers (RFC 9293 §3.10.7.1), even if it opens later.
    counted = relative and not (flags & RST and flags & ACK and segment.seq == 0)
    texts = [flag_names(flags).replace(",", "+"), f"seq={_number(segment.seq, sender, counted)}"]
    if flags & ACK:
        texts.append(f"ack={_number(segment.ack, receiver, relative)}")
    if not flags & RST:
        texts.append(f"win={transmission.window}")
    texts.append(f"len={segment.payload_length}")
    if flags & URG:
        texts.append(f"up={segment.up}")
    options = segment.options
    shown = []
    if flags & SYN:
        if options.mss is not None:
            shown.append(f"mss={options.mss}")
        if options.sack_permitted:
            shown.append("sackOK")
        if options.ts_val is not None:
            shown.append(f"TS={options.ts_val}/{options.ts_ecr}")
        if options.window_scale is not None:
            shown.append(f"wscale={options.window_scale}")
    shown += [
        f"sack={_number(start, receiver, relative)}-{_number(end, receiver, relative)}" for start, end in options.sack
    ]
    return [[(text, "") for text in part] for part in (texts, shown) if part]


def _number(number: int, owner: Endpoint, relative: bool) -> int:
    return owner.relative(number) if relative else number

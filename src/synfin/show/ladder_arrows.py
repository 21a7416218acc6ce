"""The arrows of the ladder: pieces of text that fill the room between its rails."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len

from synfin.show.ladder_text import DIM, LOST, REPEATED, Piece, cropped, filled

_DRAWING: Final = frozenset("─┄►✗ ")


class Arrows:
    """Arrows for a room of `width` cells. Each points right, or left if `rightwards` is false."""

    __slots__ = ("_width",)

    def __init__(self, width: int) -> None:
        self._width = width

    def whole(self, rightwards: bool, note: str) -> list[Piece]:
        """From rail to rail, with a note in its middle."""
        return self._directed([*_shaft(self._width - 1, note), ("►", "")], rightwards)

    def lost(self, rightwards: bool, note: str, end: str) -> list[Piece]:
        """One that breaks off at a cross, with `end` after it."""
        shaft = [(drawn, style or LOST) for drawn, style in _shaft(self._width // 2, note)]
        return self._directed([*shaft, (" ✗ ", LOST), (cropped(end, self._width // 3), LOST)], rightwards)

    def leaving(self, rightwards: bool, note: str, end: str) -> list[Piece]:
        """The first half of one that arrives on a later line, or of which nothing more is known, as `end` says."""
        pieces: list[Piece] = [*_shaft(self._width // 2, note), ("┄┄┄", "")]
        if end:
            pieces += [(f" {cropped(end, self._width // 2 - 5)} ", DIM)]
        return self._directed(pieces, rightwards)

    def coming(self, rightwards: bool, note: Piece) -> list[Piece]:
        """The second half of one that left on an earlier line."""
        pieces, rest = self._coming(note, "")
        return self._directed([*pieces, ("─" * (rest - 1) + "►", "")], rightwards)

    def coming_lost(self, rightwards: bool, note: str) -> list[Piece]:
        """The end of one that left on an earlier line and never arrives."""
        return self._directed(self._coming((note, LOST), LOST)[0], rightwards)

    def _coming(self, note: Piece, style: str) -> tuple[list[Piece], int]:
        """The beginning of a second half, with its note, and the cells left for its end.

        It begins in the middle, or before that if the note is long.
        """
        text = cropped(note[0], self._width - 12)
        before = max(2, min(self._width // 2, self._width - 10 - cell_len(text)))
        pieces: list[Piece] = [(" " * before, ""), ("┄┄┄───", style), (f" {text} ", note[1])]
        return pieces, self._width - before - 8 - cell_len(text)

    def _directed(self, pieces: list[Piece], rightwards: bool) -> list[Piece]:
        """Pieces drawn from left to right, turned around if they have to be."""
        if rightwards:
            return filled(pieces, self._width)
        turned = [
            (text[::-1].replace("►", "◄") if _DRAWING.issuperset(text) else text, style)
            for text, style in reversed(pieces)
        ]
        return filled(turned, self._width, right=True)


def _shaft(length: int, note: str) -> list[Piece]:
    """A line with a note in its middle, `length` cells in all."""
    if not note:
        return [("─" * length, "")]
    note = cropped(note, length - 6)
    before = (length - cell_len(note)) // 2 - 1
    after = length - cell_len(note) - before - 2
    return [("─" * before, ""), (f" {note} ", REPEATED), ("─" * after, "")]

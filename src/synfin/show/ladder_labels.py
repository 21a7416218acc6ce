"""What is written on the arrows of a ladder that is drawn: which message it is, its number, what it says."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

from synfin.show.canvas import AGAIN, LEFT, MUTED, RIGHT, Run, pill_width
from synfin.show.history import Arrival, History, Loss, Transmission
from synfin.show.ladder_layout import LABEL_SIZE, LOST_AT, NOTE_SIZE
from synfin.show.ladder_text import segment_words
from synfin.show.text_width import fitted, text_width
from synfin.show.words import Language, explain, translation

__all__ = ["Labels"]


class Labels:
    """The words of one picture. `late` has the ids of arrivals that are drawn away from their beginnings; `room` is
    how far apart the lifelines stand."""

    def __init__(
        self,
        history: History,
        language: Language,
        relative: bool,
        numbers: Callable[[Transmission], int | None] | None,
        late: Container[int],
        room: float,
    ) -> None:
        self._history: Final = history
        self._language: Final = language
        self._gettext: Final = translation(language).gettext
        self._relative: Final = relative
        self._numbers: Final = numbers
        self._late: Final = late
        self._room: Final = room

    def color(self, sent: Transmission) -> str:
        """That of the end that sent it."""
        return LEFT if sent.sender is self._history.left else RIGHT

    def pill(self, sent: Transmission) -> str:
        """Which of the seven messages it is; empty for others."""
        if not sent.label:
            return ""
        return self._gettext("[{number}]").format(number=sent.label).strip("[]")

    def number(self, sent: Transmission) -> int | None:
        """Its number in a capture, or else what `numbers` calls it."""
        return sent.packet or (self._numbers(sent) if self._numbers is not None else None)

    def label(self, sent: Transmission) -> list[Run]:
        """What is written on the arrow: flags, numbers and length."""
        flags, *numbers = (text for text, _ in segment_words(sent, self._relative)[0])
        texts = [text for text in numbers if not text.startswith("win=")]
        blocks = sent.segment.options.sack
        if blocks:
            texts.append(segment_words(sent, self._relative)[-1][-len(blocks)][0])
            if len(blocks) > 1:
                texts[-1] += f" +{len(blocks) - 1}"
        runs = [Run(flags, bold=True, color=self.color(sent))]
        if number := self.number(sent):
            runs.insert(0, Run(f"#{number}  ", color=MUTED))
        again = [Run(f"  {self._gettext('retransmission')}", bold=True, color=AGAIN)] if sent.retransmission else []
        room = self._room - 60 - pill_width(self.pill(sent), LABEL_SIZE)
        room -= sum(run.width(LABEL_SIZE) for run in runs + again)
        return [*runs, Run(fitted("  " + " ".join(texts), room, LABEL_SIZE)), *again]

    def width(self, sent: Transmission) -> float:
        """How long the label is, with its pill, in pixels."""
        width = sum(run.width(LABEL_SIZE) for run in self.label(sent))
        pill = self.pill(sent)
        return width + (pill_width(pill, LABEL_SIZE) + 6 if pill else 0)

    def note(self, ending: Arrival | Loss) -> str:
        """What is written at an arrow's end; where its beginning is far, which one it is."""
        if isinstance(ending, Arrival) and id(ending) in self._late:
            return f"{self._short(ending.transmission)} {self._fate(ending)}".rstrip()
        if isinstance(ending, Loss):
            # Behind the cross there is little room.
            room = (self._room) * (1 - LOST_AT) - 30
            words = explain(ending.reason, self._language)
            return words if text_width(words, NOTE_SIZE, True) <= room else self._gettext("lost")
        return self._fate(ending)

    def _fate(self, arrival: Arrival) -> str:
        if arrival.duplicate:
            return self._gettext("arrives again, dropped") if arrival.dropped else self._gettext("arrives again")
        return self._gettext("dropped") if arrival.dropped else ""

    def _short(self, sent: Transmission) -> str:
        """Enough to know a segment again."""
        number = self.number(sent)
        known = [text for text in (self.pill(sent), f"#{number}" if number else "") if text]
        return " ".join(known or [text for text, _ in segment_words(sent, self._relative)[0][:2]])

    def tip(self, sent: Transmission) -> str:
        """Everything that the segment says, and why it was sent, for whoever points at it."""
        lines = [" ".join(text for text, _ in part) for part in segment_words(sent, self._relative)]
        if sent.reason is not None:
            lines.append(f"{explain(sent.reason, self._language)} ({sent.reason.clause})")
        lines += [explain(arrival.reason, self._language) for arrival in sent.arrivals if arrival.reason is not None]
        return "\n".join(lines)

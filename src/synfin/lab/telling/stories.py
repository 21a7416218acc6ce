"""Everyday pictures of the seven messages (row G1): captions beside a ladder, and where each picture breaks.

A picture helps to remember who says what, and in which order. None of them has anything for a message that is lost,
late or sent again; where a history has such a thing, the caption says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from synfin.lab.experiment import N_
from synfin.lab.words import translation
from synfin.show.history import Arrival, History, Loss, Row, Transmission
from synfin.show.words import Language
from synfin.wire.tcp import RST

__all__ = ["STORIES", "Story", "StoryName", "captions", "ending", "story"]

StoryName: TypeAlias = Literal["pairing", "table", "courier"]


@dataclass(frozen=True, slots=True)
class Story:
    """A picture: what is said with messages 1 to 7, if the end that opens closes first too, and where it breaks."""

    name: StoryName
    title: str
    messages: tuple[str, str, str, str, str, str, str]
    breaks: str


STORIES: Final = (
    Story(
        "pairing",
        N_("Two people, pairing and parting"),
        (
            N_("He says that he likes her, and asks whether she has heard."),
            N_("She has heard, and likes him too. Has he heard that?"),
            N_("He has. From now on she knows it as well: they are a couple."),
            N_("He says that it is over: from him no further word will come."),
            N_("She has heard it. But she still has things to say, and he listens."),
            N_("Now she has said everything: for her too it is over."),
            N_("He nods. When she sees that, she goes; he stays a while, lest she missed it."),
        ),
        N_(
            "People see whether they were heard. Here nobody does: a message may be lost, late, or come twice, and the "
            "picture has nothing for any of that, though it is the reason for all this asking back. Nor do lovers "
            "count: SYN and ACK agree on the numbers from which octets are counted. And who stays behind at the end "
            "does so for a fixed time, not from sorrow."
        ),
    ),
    Story(
        "table",
        N_("A table booked by telephone, and the guest leaving"),
        (
            N_("The guest rings up: is there a table tonight?"),
            N_("The restaurant has one, under that name. Will the guest really come?"),
            N_("The guest will. Only now is the table laid."),
            N_("The guest has had enough and orders nothing more."),
            N_("The waiter has understood. But a dessert is still to come."),
            N_("The last dish and the bill: the kitchen, too, has nothing more."),
            N_("The guest says good night. The table is cleared at once; the guest lingers at the door."),
        ),
        N_(
            "The telephone is a connection already; below TCP there is none, only packets of which each finds its own "
            "way. On the telephone one hears that the other is silent, and asks again. A segment that is lost makes no "
            "sound: only a timer notices, and the picture has none. And a guest who does not come costs a table for an "
            "evening; a SYN that nobody meant would cost the server its memory a thousand times a second."
        ),
    ),
    Story(
        "courier",
        N_("A courier collects parcels"),
        (
            N_("The courier asks at the door: is anything to be collected here?"),
            N_("Yes, says the house. And is it really the courier?"),
            N_("It is. The door opens, and parcels and receipts change hands."),
            N_("The courier has handed over everything that was brought."),
            N_("The house signs for it. But it still has parcels to give."),
            N_("That was the last one: the house, too, has nothing more."),
            N_("The courier signs. The door closes at once; the courier waits before it for a while."),
        ),
        N_(
            "A parcel is there once; of octets the sender keeps a copy until they are acknowledged, and if they are "
            "lost it sends them again. The picture has nothing for that: a lost parcel is gone. The courier also sees "
            "the door close; who waits in TIME-WAIT sees nothing, and only knows that no FIN has come again."
        ),
    ),
)

_AGAIN: Final = N_("The same once more. The picture has nothing for that: in it everybody is heard the first time.")
_LOST: Final = N_("This never arrives. The picture has nothing for that.")
_COPY: Final = N_("This arrives a second time. The picture has nothing for that.")
_BOTH: Final = N_("Both at once. The picture has nothing for that: in it they take turns.")
_OTHER_FIRST: Final = N_("Here the other end closes first. The picture has nothing for that.")
_RESET: Final = N_("RST: the talk is broken off. The picture has nothing for that.")
_BREAKS: Final = N_("Where the picture breaks: {breaks}")


def story(name: str) -> Story:
    """The picture of that name; "story" is the first. Raises KeyError if there is none."""
    for one in STORIES:
        if name in (one.name, "story"):
            return one
    raise KeyError(name)


def captions(history: History, told: Story, language: Language) -> Mapping[Row, str]:
    """What is written beside the rows of `history` (`narrate` of `render_ladder`): beside its seven messages, and
    beside whatever the picture has nothing for."""
    gettext = translation(language).gettext
    found: dict[Row, str] = {}
    first, fourth = history.message(1), history.message(4)
    turned = first is not None and fourth is not None and fourth.sender is not first.sender
    for row in history.rows:
        if isinstance(row, Transmission):
            if row.segment.flags & RST:
                found[row] = gettext(_RESET)
            elif row.retransmission or row.repeat:
                found[row] = gettext(_AGAIN)
            elif any(message[-1:] in "ab" for message in row.messages):
                found[row] = gettext(_BOTH)
            elif turned and row.messages > ("4",):
                continue
            elif turned and "4" in row.messages:
                found[row] = gettext(_OTHER_FIRST)
            elif row.messages:
                said = [gettext(told.messages[int(message) - 1]) for message in row.messages]
                found[row] = ("" if language == "zh" else " ").join(said)
        elif isinstance(row, Loss):
            found[row] = gettext(_LOST)
        elif isinstance(row, Arrival) and row.duplicate:
            found[row] = gettext(_COPY)
    return found


def ending(told: Story, language: Language) -> str:
    """The closing words: where the picture breaks."""
    gettext = translation(language).gettext
    return gettext(_BREAKS).format(breaks=gettext(told.breaks))

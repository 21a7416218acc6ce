"""A history told in sentences: who does what, and what that means; in full, why as well, and where the RFC says so.

Sentences are made from the rows alone. What no row proves is not said: of a host that told nothing, only what its
segments say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Final, Literal, TypeAlias

from synfin.reasons import Reason
from synfin.show.history import Arrival, Endpoint, History, Loss, Remark, Row, StateChange, Transmission, UserCall
from synfin.show.ladder_text import cropped, printable
from synfin.show.narration_arrived import ARRIVED, LOST, REACHED
from synfin.show.narration_changes import (
    ACK_WITH_FIN,
    CALLED,
    CHANGED,
    ENDED,
    MOVES,
    MOVES_WITH_DATA,
    NOW,
    OTHER_CALL,
    SOMEBODY_NOW,
)
from synfin.show.narration_sent import SENT, UNTOLD, Telling
from synfin.show.words import N_, Language, explain, translation
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, RST, SYN, flag_names

__all__ = ["Narrate", "Narrator", "sentences"]

#: How a ladder tells its rows: not at all, each in a sentence, in full, or as a mapping from rows to sentences says.
Narrate: TypeAlias = Literal["no", "short", "full"] | Mapping[Row, str]

_LONGEST_NAME: Final = 24
_SECOND: Final = 1_000_000_000
_ROLES: Final = {"client": N_("the client"), "server": N_("the server")}
#: A happening that no table has a sentence for.
_OTHERWISE: Final = Telling(N_("{who}, about {what}: {why}."), "")
_CHANGED_OTHERWISE: Final = Telling(N_("{who}: {why}."), "")
_ANOTHER_COPY: Final = N_("Another copy arrives. {told}")
# The reasons of segments whose senders told none, by what they are.
_USUAL: Final = {"3": "syn-ack-answered", "5": "ack-of-fin", "7": "ack-of-fin", "5a": "ack-of-fin", "5b": "ack-of-fin"}
_AT_START: Final = re.compile(r"(?:^|(?<=[.?!] ))the (?=client\b|server\b|peer\b)")
_HAN_THEN_LATIN: Final = re.compile(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])")


def sentences(
    history: History,
    narrate: Narrate,
    language: Language,
    relative: bool = True,
    rows: Iterable[Row] | None = None,
) -> Mapping[Row, str]:
    """What is said of each row, or of each of `rows`; of a row that the mapping lacks nothing is.

    `narrate` and `relative` as in `render_ladder`.
    """
    if not isinstance(narrate, str):
        return narrate
    if narrate == "no":
        return {}
    narrator = Narrator(history, language, relative)
    tell = narrator.full if narrate == "full" else narrator.short
    return {row: tell(row) for row in (history.rows if rows is None else rows)}


@dataclass(frozen=True, slots=True)
class _Told:
    """The sentence for a row, the reason that it rests on, and whether it names the new state."""

    telling: Telling
    reason: Reason | None
    names_state: bool = False


class Narrator:
    """Tells the rows of one history, in one language. With `relative`, numbers count from x and y."""

    def __init__(self, history: History, language: Language, relative: bool = True) -> None:
        self._history = history
        self._language = language
        self._gettext = translation(language).gettext
        self._relative = relative
        self._before: dict[int, list[Transmission]] = {}
        self._note_repetitions()
        left, right = self._name(history.left), self._name(history.right)
        if left == right:
            left, right = cropped(history.left.name, 48), cropped(history.right.name, 48)
        self._names = {id(history.left): left, id(history.right): right}

    def short(self, row: Row) -> str:
        """Who does what, and what that means: one sentence, or two short ones."""
        if isinstance(row, Remark):
            return row.text
        return self._put(self._short(row))

    def full(self, row: Row) -> str:
        """The same, and why, what follows, and the RFC's section."""
        if isinstance(row, Remark):
            return f"{row.text} ({row.clause})" if row.clause else row.text
        parts = [self._short(row), *(self._filled(more, row) for more in self._more(row))]
        told = self._told(row)
        clause = told.telling.clause or (told.reason.clause if told.reason is not None else "")
        if self._language == "zh":
            return self._put("".join(parts) + (f"（{clause}）" if clause else ""))
        return self._put(" ".join(parts) + (f" ({clause})" if clause else ""))

    # --- which sentence ------------------------------------------------------------------------------------------

    def _told(self, row: Row) -> _Told:
        if isinstance(row, Transmission):
            return _Told(self._of_sent(row), row.reason)
        if isinstance(row, Loss):
            return _Told(LOST.get(row.reason.name, _OTHERWISE), row.reason)
        if isinstance(row, Arrival):
            return self._of_move(row, row.reason) or _Told(_of_arrival(row), row.reason)
        if isinstance(row, StateChange):
            return self._of_move(row, row.reason) or _Told(_of_change(row.reason), row.reason)
        if isinstance(row, UserCall):
            return self._of_call(row)
        raise TypeError(row)

    def _of_sent(self, sent: Transmission) -> Telling:
        name = _why_sent(sent)
        special = []
        if sent.segment.flags & FIN and sent.segment.payload_length:
            special.append(f"{name}:fin")
        if not sent.repeat and not sent.retransmission:
            special.append(f"{name}:{sent.label}")
        elif id(sent) in self._before or not sent.segment.length:
            special.append(f"{name}:again")
        if name in ("retransmission-timeout", "syn-repeated") and id(sent) not in self._before:
            return Telling(UNTOLD["data again"].short, SENT[name].more)
        for key in (*special, name):
            telling = SENT.get(key) or UNTOLD.get(key)
            if telling is not None:
                return telling
        return _OTHERWISE

    def _of_call(self, row: UserCall) -> _Told:
        called = CALLED.get(row.call, OTHER_CALL)
        if row.change is None:
            return _Told(called, None)
        reason = row.change.reason
        move = self._of_move(row.change, reason)
        if move is not None:
            return _Told(Telling(move.telling.short, called.more, called.clause), reason, names_state=True)
        plain = reason.name.startswith(("user-", "active-", "passive-"))
        return _Told(called if plain else CHANGED.get(reason.name, called), reason)

    def _of_move(self, row: Arrival | StateChange, reason: Reason | None) -> _Told | None:
        """The sentence for a change of state, if it was made for a reason that the sentence gives."""
        pair = (row.old_state or "", row.new_state or "")
        names, telling = MOVES.get(pair, (frozenset(), None))
        if telling is None or (reason is not None and reason.name not in names):
            return None
        if isinstance(row, Arrival):
            if row.transmission.segment.payload_length and pair in MOVES_WITH_DATA:
                telling = Telling(MOVES_WITH_DATA[pair], telling.more)
            elif pair == ("FIN-WAIT-1", "TIME-WAIT") and "5" not in row.transmission.messages:
                telling = ACK_WITH_FIN
        return _Told(telling, reason, names_state=True)

    def _short(self, row: Row) -> str:
        told = self._told(row)
        text = self._filled(told.telling.short, row)
        old, new = _change(row)
        # Where a connection is gone the listener answers, which was there all the time.
        listened = isinstance(row, Arrival) and new == "LISTEN" and old == "CLOSED"
        if old != new and new is not None and not told.names_state and not listened:
            template = NOW if isinstance(row, Transmission) else SOMEBODY_NOW
            text = self._filled(template, row, told=text.rstrip(".。"))
        if isinstance(row, Arrival) and row.duplicate:
            text = self._filled(_ANOTHER_COPY, row, told=text)
        return text

    def _more(self, row: Row) -> list[str]:
        """What more there is to say, of what happened and of the new state."""
        told = self._told(row)
        found = [told.telling.more] if told.telling.more else []
        old, new = _change(row)
        if old != new and old is not None and new is not None and told.telling is not ACK_WITH_FIN:
            _, move = MOVES.get((old, new), (None, None))
            if move is not None and move.more not in found:
                found.append(move.more)
            elif move is None and new == "CLOSED":
                found.append(ENDED)
        return found

    # --- what stands in the gaps ---------------------------------------------------------------------------------

    def _filled(self, text: str, row: Row, **more: str) -> str:
        return self._gettext(text).format(**{**self._gaps(row), **more})

    def _gaps(self, row: Row) -> dict[str, str]:
        gaps = {"who": "", "other": "", "why": "", "what": ""}
        sent: Transmission | None = None
        reason: Reason | None = None
        if isinstance(row, Transmission):
            sent, who, other, reason = row, row.sender, row.receiver, row.reason
        elif isinstance(row, Loss):
            sent, reason = row.transmission, row.reason
            who, other = sent.sender, sent.receiver
        elif isinstance(row, Arrival):
            sent, reason = row.transmission, row.reason
            who, other = sent.receiver, sent.sender
        elif isinstance(row, StateChange | UserCall):
            who = row.endpoint
            other = self._history.right if who is self._history.left else self._history.left
            if isinstance(row, StateChange):
                reason = row.reason
            else:
                gaps |= {"call": cropped(printable(row.call), 16), "octets": str(row.octets)}
        else:
            return gaps
        old, new = _change(row)
        gaps |= {"who": self._names[id(who)], "other": self._names[id(other)]}
        gaps |= {"old": old or "?", "new": new or "?"}
        if reason is not None:
            gaps["why"] = explain(reason, self._language)
        return gaps if sent is None else gaps | self._of_segment(sent)

    def _of_segment(self, sent: Transmission) -> dict[str, str]:
        segment = sent.segment
        acked = sent.receiver.initial_numbers
        expects = self._number(segment.ack, sent.receiver)
        if acked and segment.ack == (acked[0] + 1) & MASK:
            expects = f"{self._letter(sent.receiver)}+1"
        # x and y are the first; when a connection is opened again its numbers begin elsewhere.
        start = str(segment.seq)
        if sent.sender.initial_numbers and segment.seq == sent.sender.initial_numbers[0]:
            start = self._letter(sent.sender)
        gaps = {
            "what": self._what(sent),
            "flags": flag_names(segment.flags).replace(",", "+"),
            "seq": self._number(segment.seq, sent.sender),
            "ack": self._number(segment.ack, sent.receiver),
            "window": str(sent.window),
            "octets": str(segment.payload_length),
            "start": start,
            "expects": expects,
        }
        before = self._before.get(id(sent))
        if before:
            # A SYN+ACK that answered a SYN that came again left the timer alone.
            timed = [one for one in before if not one.retransmission or _why_sent(one) != "syn-answered"]
            gaps |= {"waited": self._duration(sent.time - timed[-1].time), "times": str(len(before))}
        return gaps

    def _what(self, sent: Transmission) -> str:
        """The segment, by the most important that it has."""
        segment, gettext = sent.segment, self._gettext
        if segment.payload_length and not segment.flags & RST:
            after_syn = 1 if segment.flags & SYN else 0
            first = self._number(segment.seq + after_syn & MASK, sent.sender)
            last = self._number(segment.seq + after_syn + segment.payload_length - 1 & MASK, sent.sender)
            text = gettext("octets {first} to {last}") if first != last else gettext("octet {first}")
            text = text.format(first=first, last=last)
            return gettext("{octets} with FIN").format(octets=text) if segment.flags & FIN else text
        for flag, words in ((RST, N_("the RST")), (SYN, N_("the SYN")), (FIN, N_("the FIN")), (ACK, N_("the ACK"))):
            if segment.flags & flag:
                both = flag == SYN and segment.flags & ACK
                return gettext(N_("the SYN+ACK")) if both else gettext(words)
        return gettext("the segment")

    def _number(self, number: int, owner: Endpoint) -> str:
        return str(owner.relative(number) if self._relative else number)

    def _letter(self, endpoint: Endpoint) -> str:
        return "x" if endpoint is self._history.left else "y"

    def _duration(self, time: int) -> str:
        number, unit = (time / _SECOND, "s") if time >= _SECOND else (time / 1_000_000, "ms")
        return f"{round(number, 3):.10g} {self._gettext(unit)}"

    def _name(self, endpoint: Endpoint) -> str:
        """What an end is called in a sentence, as in the ladder's head but without its part beside its name."""
        history = self._history
        role = "client" if endpoint is history.left else "server"
        parts = history.left.opened != history.right.opened
        name = cropped(printable(endpoint.host), _LONGEST_NAME)
        if parts and name in ("", role):
            return self._gettext(_ROLES[role])
        if not parts and name in _ROLES:
            return self._gettext(_ROLES[name])
        return name or self._gettext("the peer")

    def _note_repetitions(self) -> None:
        """For each segment that had left before, at least in part: its earlier transmissions."""
        earlier: dict[int, list[Transmission]] = {}
        alike: dict[tuple[int, int], list[Transmission]] = {}
        for sent in self._history.transmissions:
            if not sent.segment.length:
                continue
            seq = sent.segment.seq
            mine = earlier.setdefault(id(sent.sender), [])
            same = alike.setdefault((id(sent.sender), seq), [])
            if sent.retransmission:
                if same:
                    found = [*self._before.get(id(same[0]), ()), *same]
                else:
                    # It may be a part of what left.
                    found = [one for one in mine if (seq - one.segment.seq) & MASK < one.segment.length]
                if found:
                    self._before[id(sent)] = found
            mine.append(sent)
            same.append(sent)

    # --- how it is written ---------------------------------------------------------------------------------------

    def _put(self, text: str) -> str:
        if self._language == "zh":
            return _HAN_THEN_LATIN.sub(" ", text)
        return _AT_START.sub(lambda found: found[0].capitalize(), text)


def _of_arrival(arrival: Arrival) -> Telling:
    if arrival.reason is None:
        return REACHED
    name = arrival.reason.name
    if _why_sent(arrival.transmission) in ("window-probe", "keep-alive-probe"):
        return ARRIVED.get(f"{name}:probe") or ARRIVED.get(name, _OTHERWISE)
    return ARRIVED.get(name, _OTHERWISE)


def _of_change(reason: Reason) -> Telling:
    found = CHANGED.get(reason.name) or ARRIVED.get(reason.name, _CHANGED_OTHERWISE)
    # There is no segment of which to speak.
    names = {name for text in (found.short, found.more) for _, name, _, _ in Formatter().parse(text)}
    return found if names <= {None, "who", "other", "why"} else _CHANGED_OTHERWISE


def _why_sent(sent: Transmission) -> str:
    """The name of the reason, or what its sender would have said."""
    if sent.reason is not None:
        return sent.reason.name
    flags = sent.segment.flags
    if flags & RST:
        return "RST"
    if sent.retransmission:
        return "data again"
    if flags & SYN:
        return "syn-answered" if flags & ACK else "syn-sent"
    if sent.segment.payload_length:
        return "new-data"
    if flags & FIN:
        return "fin-sent"
    return _USUAL.get(sent.label, "ACK" if flags & ACK else "other")


def _change(row: Row) -> tuple[str | None, str | None]:
    if isinstance(row, UserCall):
        return (row.change.old_state, row.change.new_state) if row.change is not None else (None, None)
    if isinstance(row, Transmission | Arrival | StateChange):
        return row.old_state, row.new_state
    return None, None

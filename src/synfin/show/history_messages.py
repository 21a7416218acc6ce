"""The seven messages of a connection's life, found among the segments that were sent, and the retransmissions.

1 SYN, 2 SYN+ACK, 3 the ACK that completes the opening; 4 the first FIN, 5 its ACK, 6 the other end's FIN, 7 its ACK.
Where both ends open or close at once, each message is told apart by its sender: "1a" and "1b", "4a" and "4b".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from synfin.show.history_rows import Arrival, Endpoint, Row, Transmission
from synfin.wire.sequence import HALF, MASK, unwrap
from synfin.wire.tcp import ACK, FIN, RST, SYN


class _Sent:
    """The sequence numbers that one end has sent, as disjoint ranges of unwrapped numbers."""

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, seq: int, length: int) -> bool:
        """Add a range of at least one number. Tell whether any of it was there already."""
        start = unwrap(seq, self.ends[-1]) if self.ends else seq
        end = start + length
        # The ranges that touch or overlap the new one are joined with it.
        first = bisect_left(self.ends, start)
        last = bisect_right(self.starts, end)
        overlap = any(self.starts[at] < end and self.ends[at] > start for at in range(first, last))
        if first < last:
            start = min(start, self.starts[first])
            end = max(end, self.ends[last - 1])
        self.starts[first:last] = [start]
        self.ends[first:last] = [end]
        return overlap


class _End:
    """What the numbering knows of one end: the sequence numbers after its SYN and its FIN, and what it has named."""

    __slots__ = ("after_fin", "after_syn", "answers", "fin", "letter", "named", "sent", "syn")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin a new connection."""
        self.sent = _Sent()
        self.named: dict[tuple[str, ...], list[Transmission]] = {}
        self.syn: Transmission | None = None
        self.fin: Transmission | None = None
        self.after_syn = 0
        self.after_fin = 0
        # Of a SYN that has a twin.
        self.letter = ""
        # A SYN or a FIN of the peer's arrived (or may have), and no ACK has answered it yet.
        self.answers = False


def number_messages(rows: Sequence[Row]) -> Numbering:
    """Fill in `messages`, `repeat` and `retransmission` of the transmissions in `rows`; note the ends' numbers."""
    numbering = Numbering()
    for row in rows:
        if isinstance(row, Transmission):
            numbering.sent(row)
        elif isinstance(row, Arrival):
            numbering.arrived(row)
    return numbering


class Numbering:
    """What is known of the connection so far: `opener` sent its first SYN; `together` if the other end did too."""

    __slots__ = ("_ends", "_opened", "opener", "together")

    def __init__(self) -> None:
        self._ends: dict[int, _End] = {}
        self.opener: Endpoint | None = None
        # Both ends sent a SYN without ACK.
        self.together = False
        # The third message was seen.
        self._opened = False

    def _end(self, endpoint: Endpoint) -> _End:
        return self._ends.setdefault(id(endpoint), _End())

    def arrived(self, arrival: Arrival) -> None:
        transmission = arrival.transmission
        if transmission.segment.flags & (SYN | FIN):
            self._end(transmission.receiver).answers = True

    def sent(self, transmission: Transmission) -> None:
        segment = transmission.segment
        flags = segment.flags
        mine = self._end(transmission.sender)
        if flags & SYN and not flags & (ACK | RST):
            self._start_again(transmission)
        if segment.length:
            again = mine.sent.add(segment.seq, segment.length)
            # In a simultaneous open SYN+ACK has the number of the SYN before, but says something new.
            answers_syn = flags & (SYN | ACK) == SYN | ACK and ("2" + mine.letter,) not in mine.named
            transmission.retransmission = again and not answers_syn
        if not transmission.receiver.traced and flags & (SYN | FIN):
            # Whether it arrived is not known: what follows from the other side may answer it.
            self._end(transmission.receiver).answers = True
        if flags & RST:
            return
        if flags & SYN:
            self._syn(transmission)
        elif flags & FIN:
            self._fin(transmission)
        elif flags & ACK:
            self._ack(transmission)

    def _start_again(self, transmission: Transmission) -> None:
        """Forget everything if this SYN opens the same connection anew."""
        mine = self._end(transmission.sender)
        other = self._end(transmission.receiver)
        # After a FIN even the same number begins anew: the clock of initial numbers goes round.
        anew = mine.syn is not None and (mine.fin is not None or mine.syn.segment.seq != transmission.segment.seq)
        if anew or (mine.syn is None and self._opened):
            mine.forget()
            other.forget()
            self.opener = None
            self.together = False
            self._opened = False

    def _name(self, transmission: Transmission, *messages: str) -> None:
        """Give the transmission its name, counting those that had the same."""
        so_far = self._end(transmission.sender).named.setdefault(messages, [])
        transmission.messages = messages
        transmission.repeat = len(so_far)
        so_far.append(transmission)
        if len(messages) > 1:
            # A part of it that is sent again alone is a repetition too.
            for message in messages:
                self._end(transmission.sender).named.setdefault((message,), []).append(transmission)

    def _pair(self, first: Transmission, message: str) -> None:
        """Both ends sent this message at once: rename what the first end has sent of it."""
        named = self._end(first.sender).named
        old = first.messages
        new = tuple(f"{name}a" if name == message else name for name in old)
        named[new] = named.pop(old, [])
        for transmission in named[new]:
            transmission.messages = new

    def _syn(self, transmission: Transmission) -> None:
        sender, receiver = transmission.sender, transmission.receiver
        segment = transmission.segment
        mine, other = self._end(sender), self._end(receiver)
        sender.add_initial_number(segment.seq)
        if not mine.syn:
            mine.syn = transmission
            sender.window_scale = segment.options.window_scale
        mine.after_syn = (segment.seq + 1) & MASK
        if segment.flags & ACK:
            mine.answers = False
            if self.opener is None:
                self.opener = receiver
            self._name(transmission, f"2{mine.letter}")
            return
        if self.opener is None:
            self.opener = sender
        elif self.opener is receiver and not self.together and other.syn:
            self.together = True
            other.letter = "a"
            mine.letter = "b"
            self._pair(other.syn, "1")
        self._name(transmission, f"1{mine.letter}")

    def _completes_opening(self, transmission: Transmission) -> bool:
        """Whether it acknowledges the other end's SYN for the first time, from the end that opened."""
        other = self._end(transmission.receiver)
        return (
            self.opener is transmission.sender
            and not self.together
            and not self._opened
            and other.syn is not None
            and _reaches(transmission.segment.ack, other.after_syn)
        )

    def _fin(self, transmission: Transmission) -> None:
        segment = transmission.segment
        mine, other = self._end(transmission.sender), self._end(transmission.receiver)
        mine.answers = False
        if mine.fin is not None:
            self._name(transmission, *mine.fin.messages)
            return
        made_up = not transmission.sender.traced and all(arrival.dropped for arrival in transmission.arrivals)
        if made_up and not transmission.packet:
            # Anyone may have made it up. Of a capture nobody knows what was dropped.
            return
        names = []
        if self._completes_opening(transmission):
            self._opened = True
            names.append("3")
        mine.fin = transmission
        mine.after_fin = (segment.seq + segment.length) & MASK
        if other.fin is None:
            names.append("4")
        elif segment.flags & ACK and _reaches(segment.ack, other.after_fin):
            if ("5",) not in mine.named:
                names.append("5")
            names.append("6")
        else:
            self._pair(other.fin, "4")
            names.append("4b")
        self._name(transmission, *names)

    def _ack(self, transmission: Transmission) -> None:
        segment = transmission.segment
        mine, other = self._end(transmission.sender), self._end(transmission.receiver)
        answers = mine.answers and not segment.payload_length
        mine.answers = False
        if other.fin is not None and _reaches(segment.ack, other.after_fin):
            name = _ACK_OF.get(other.fin.messages[-1])
            if name is not None and (answers or (name,) not in mine.named):
                self._name(transmission, name)
            return
        if self._completes_opening(transmission):
            self._opened = True
            self._name(transmission, "3")
        elif answers and ("3",) in mine.named and segment.ack == other.after_syn and other.fin is None:
            self._name(transmission, "3")


_ACK_OF: Final = {"4": "5", "6": "7", "4a": "5b", "4b": "5a"}


def _reaches(ack: int, number: int) -> bool:
    """Whether `ack` acknowledges everything before `number`."""
    return (ack - number) & MASK < HALF

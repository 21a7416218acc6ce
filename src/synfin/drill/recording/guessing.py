"""The calls that a capture does not show, guessed from the packets."""

from __future__ import annotations

from collections.abc import Sequence as Many

from synfin.drill.bench.numbers import signed
from synfin.drill.recording.happenings import Called, Happening, Seen, segment_of
from synfin.wire.sequence import wrap
from synfin.wire.tcp import FIN, PSH, RST, SYN


def with_calls(seen: list[Happening]) -> list[Happening]:
    """The packets with the calls between them: data were written just before they left, read when they arrived, and a
    FIN was asked for just before it left."""
    found: list[Happening] = []
    written = read = None
    for place, each in enumerate(seen):
        assert isinstance(each, Seen)
        segment = segment_of(each)
        end = wrap(segment.seq + segment.payload_length)
        if each.inbound:
            found.append(each)
            if segment.flags & SYN:
                read = wrap(segment.seq + 1)
            elif read is not None and segment.payload_length:
                filled = _filled(seen, place, read)
                if filled:
                    found.append(Called(each.time, "RECEIVE", filled))
                    read = wrap(read + filled)
            continue
        if segment.flags & SYN:
            found.append(Called(each.time, "OPEN"))
            written = wrap(segment.seq + 1)
        elif written is not None and signed(wrap(end - written)) > 0:
            size = _burst(seen[place:], written)
            found.append(Called(each.time, "SEND", size))
            written = wrap(written + size)
        if segment.flags & FIN and written is not None and signed(wrap(end - written)) == 0:
            found.append(Called(each.time, "CLOSE"))
            written = wrap(end + 1)
        found.append(each)
    return found


def _burst(following: Many[Happening], written: int) -> int:
    """How many new octets leave from here on until one says that the user's are at their end, or something arrives."""
    end = written
    for each in following:
        assert isinstance(each, Seen)
        if each.inbound:
            break
        segment = segment_of(each)
        last = wrap(segment.seq + segment.payload_length)
        if signed(wrap(last - end)) > 0:
            end = last
        if segment.flags & (PSH | FIN):
            break
    return wrap(end - written)


def _filled(seen: Many[Happening], place: int, read: int) -> int:
    """How many octets in order there are to read, behind `read`, once the packet at `place` arrived."""
    arrived = []
    for each in seen[: place + 1]:
        assert isinstance(each, Seen)
        segment = segment_of(each)
        if each.inbound and segment.payload_length and not segment.flags & (SYN | RST):
            start = signed(wrap(segment.seq - read))
            arrived.append((start, start + segment.payload_length))
    end = 0
    for start, stop in sorted(arrived):
        if start <= end:
            end = max(end, stop)
    return end

"""From the packets that were kept of a connection to a history that can be drawn."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from synfin.explain.kinds import RETRANSMISSION
from synfin.explain.sentences import endpoint, left_end, sentence
from synfin.explain.values import parsed
from synfin.show.history import History
from synfin.show.history_messages import number_messages
from synfin.show.history_rows import Arrival, Remark, Row, Transmission
from synfin.show.words import Language, translation
from synfin.tcp.states import NAMES
from synfin.wire.tcp import Segment

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.dissect import Seen
    from synfin.explain.observer import Step


def history(connection: Connection, language: Language) -> History:
    """The history of a connection whose packets were kept, with remarks in that language."""
    kept = connection.kept
    if kept is None:
        raise ValueError("the packets of this connection were not kept")
    gettext = translation(language).gettext
    ends = (endpoint(connection, 0), endpoint(connection, 1))
    left = left_end(connection)
    firsts = connection.observer.firsts
    for end, state in zip(ends, firsts, strict=True):
        end.first_state = None if state is None else NAMES[state]
    if connection.opener is not None:
        ends[left].opened = "active"
        ends[1 - left].opened = "active" if _both_opened(connection) else "passive"
    changes = deque(connection.observer.replayed())
    states = [end.first_state for end in ends]
    rows: list[Row] = []
    sent_by_number: dict[int, Transmission] = {}
    for kept_row in kept.rows():
        seen, at = kept_row.seen, kept_row.end
        if kept_row.gap:
            text = gettext("left out: {count} segments, {octets} octets")
            octets = kept_row.gap_octets
            rows.append(Remark(seen.time, None, text.format(count=kept_row.gap, octets=octets), ""))
        # What was left out may have changed a state too.
        while changes and changes[0][0].number < seen.number:
            step, new = changes.popleft()
            carrier = sent_by_number.get(step.cause)
            if carrier is not None and carrier.sender is not ends[step.end]:
                rows.append(_arrival(seen.time, carrier, states[step.end], NAMES[new]))
            states[step.end] = NAMES[new]
        old = states[at]
        arrivals: list[tuple[int, Step, str | None, str]] = []
        while changes and changes[0][0].number == seen.number:
            step, new = changes.popleft()
            if step.cause:
                arrivals.append((step.cause, step, states[step.end], NAMES[new]))
            elif step.end != at:
                arrivals.append((seen.number, step, states[step.end], NAMES[new]))
            states[step.end] = NAMES[new]
        mine = [before for _, step, before, _ in arrivals if step.end == at]
        # What arrived after this was sent is told behind it.
        sent = Transmission(
            seen.time,
            ends[at],
            ends[1 - at],
            _segment(seen),
            old,
            mine[0] if mine else states[at],
            None,
            packet=seen.number,
        )
        sent_by_number[seen.number] = sent
        rows.append(sent)
        for cause, step, before, after in arrivals:
            carrier = sent_by_number.get(cause, sent)
            if carrier.sender is ends[step.end]:
                continue
            last = carrier.arrivals[-1] if carrier.arrivals else None
            if last is not None and rows[-1] is last:
                last.new_state = after
                continue
            rows.append(_arrival(seen.time, carrier, before, after))
        for finding in kept_row.findings:
            side = ends[at if finding.sender is None else finding.sender]
            rows.append(Remark(seen.time, side, sentence(connection, finding, language), finding.kind.clause))
    number_messages(rows)
    again = {
        row.seen.number for row in kept.rows() if any(finding.kind.column == RETRANSMISSION for finding in row.findings)
    }
    for row in rows:
        if isinstance(row, Transmission):
            row.retransmission = row.packet in again
    return History(ends[left], ends[1 - left], rows)


def _arrival(time: int, carrier: Transmission, before: str | None, after: str) -> Arrival:
    """The arrival of what had been sent, which changes the state of the end that it arrives at."""
    arrival = Arrival(time, carrier, before, after, told=True, duplicate=bool(carrier.arrivals))
    carrier.arrivals.append(arrival)
    return arrival


def _both_opened(connection: Connection) -> bool:
    """Both ends sent a SYN without ACK."""
    return all(first is not None and NAMES[first] == "CLOSED" for first in connection.observer.firsts) and all(
        end.syns for end in connection.ends
    )


def _segment(seen: Seen) -> Segment:
    ports = seen.flow[-4:]
    return Segment(
        int.from_bytes(ports[:2], "big"),
        int.from_bytes(ports[2:], "big"),
        seen.seq,
        seen.ack,
        seen.flags,
        seen.wnd,
        parsed(seen.options),
        up=seen.up,
        payload_length=seen.payload,
    )

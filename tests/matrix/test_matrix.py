"""Every state meets every segment: each cell of `tests.matrix.cells` against RFC 9293's text (`tests.matrix.rfc`)."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from synfin.events import SegmentDropped, SegmentReceived
from synfin.wire.tcp import RST
from tests.matrix import cells, rfc
from tests.matrix.cells import IP_VERSIONS, KINDS, SITUATIONS, Cell
from tests.matrix.deviations import DEVIATIONS, done, steps
from tests.matrix.outcome import ACCEPTED, Outcome
from tests.matrix.walk import EARLIER, LATER, NO_TIMESTAMPS
from tests.matrix.worlds import Seen, World

#: Both lists of cells, by situation and kind.
GROUPS: dict[tuple[str, str, int], list[Cell]] = {}
for _version in IP_VERSIONS:
    for _cell in (*cells.cells(_version), *cells.more_cells(_version)):
        GROUPS.setdefault((_cell.situation, _cell.kind, _version), []).append(_cell)

WITH_WINDOW = [situation for situation in SITUATIONS if situation not in cells.WITHOUT_WINDOW]


def meet(cell: Cell, timestamp: str) -> Seen:
    world = World(cell.situation, cell.version, timestamp != NO_TIMESTAMPS)
    return world.meets(cell, timestamp)


def differs(cell: Cell, timestamp: str) -> str:
    """What is wrong in `cell`, empty if nothing is."""
    wanted = done(cell, timestamp)
    seen = meet(cell, timestamp)
    outcome = seen.outcome
    if wanted.reply is not None and wanted.reply.may_wait and outcome.reply is not None:
        outcome = outcome._replace(reply=outcome.reply._replace(may_wait=True))
    wrong = invariants(cell, seen, timestamp)
    if outcome != wanted:
        wrong.append(f"wanted: {wanted}; seen: {outcome}")
    if not wrong:
        return ""
    clauses = "; ".join(rule.clause for rule in rfc.expected(cell, timestamp)[1])
    names = [deviation.name for deviation, _, _ in steps(cell, timestamp)]
    return f"\n{cell.name} ({clauses}){' with ' + ', '.join(names) if names else ''}: " + "; ".join(wrong)


def invariants(cell: Cell, seen: Seen, timestamp: str) -> list[str]:
    """What holds for every cell. `World` has seen to the replies' addresses, ports, lengths and checksums."""
    wrong = []
    if len(seen.replies) > 1:
        wrong.append(f"{len(seen.replies)} replies: {seen.replies}")
    if any(reply.payload_length for reply in seen.replies):
        wrong.append(f"a reply with data: {seen.replies}")
    counted = (seen.counted["TcpInSegs"], seen.counted.get("TcpOutSegs", 0), seen.counted.get("TcpOutRsts", 0))
    resets = sum(reply.flags & RST != 0 for reply in seen.replies)
    if counted != (1, len(seen.replies), resets):
        wrong.append(f"counted {counted} segments in, out, resets out")
    judged = [event for event in seen.events if isinstance(event, (SegmentReceived, SegmentDropped))]
    if len(judged) != 1:
        wrong.append(f"judged {len(judged)} times")
    elif not list(steps(cell, timestamp)):
        outcome, rules = rfc.expected(cell, timestamp)
        used = not outcome.dropped or (cell.flags & RST and outcome.state != cell.situation.removesuffix(" (active)"))
        if (rules[-1].drops and isinstance(judged[0], SegmentReceived)) or (
            used and isinstance(judged[0], SegmentDropped)
        ):
            wrong.append(f"the trace says {judged[0].reason}")
    return wrong


def check(group: list[Cell], timestamp: str) -> None:
    wrong = [text for cell in group if (text := differs(cell, timestamp))]
    assert not wrong, f"{len(wrong)} of {len(group)} cells, {timestamp}:" + "".join(wrong)


@pytest.mark.parametrize(
    ("situation", "kind", "version"), GROUPS, ids=lambda value: f"IPv{value}" if isinstance(value, int) else value
)
def test_every_state_meets_every_segment(situation: str, kind: str, version: int) -> None:
    check(GROUPS[situation, kind, version], NO_TIMESTAMPS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("situation", WITH_WINDOW)
def test_with_timestamps(situation: str, kind: str) -> None:
    # RFC 7323: they pass PAWS, and change nothing, save in TIME-WAIT (RFC 6191).
    check(GROUPS[situation, kind, 4], LATER)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("situation", WITH_WINDOW)
def test_with_timestamps_from_the_past(situation: str, kind: str) -> None:
    check(GROUPS[situation, kind, 6], EARLIER)


@pytest.mark.parametrize("delays", [1, 0])
@pytest.mark.parametrize("situation", WITH_WINDOW)
def test_when_a_fin_is_acknowledged(situation: str, delays: int) -> None:
    """`differs` lets an ACK wait or not where the RFC leaves the choice; here `tcp_delay_fin_ack` makes it."""
    found = 0
    for cell in (*GROUPS[situation, "FIN+ACK", 4], *GROUPS[situation, "FIN+ACK", 6]):
        wanted = done(cell)
        if not wanted.fin_taken or wanted.reply is None:
            continue
        found += 1
        reply = World(situation, cell.version, delay_fin_ack=delays).meets(cell).outcome.reply
        assert reply is not None
        waits = delays == 1 and wanted.state == cells.CLOSE_WAIT
        assert reply.may_wait == waits, cell.name
        assert wanted.reply.may_wait == (wanted.state == cells.CLOSE_WAIT), cell.name
    after_the_fin = situation in (cells.CLOSE_WAIT, cells.CLOSING, cells.LAST_ACK, cells.TIME_WAIT)
    assert (found > 0) == (not after_the_fin)


# --- the matrix itself


def test_no_cell_is_empty_and_each_has_a_name_of_its_own() -> None:
    everything = []
    for version in IP_VERSIONS:
        plain = list(cells.cells(version))
        # Five kinds have no ACK; the five with one meet four acknowledgments.
        assert len(plain) == len(SITUATIONS) * 2 * len(cells.PLACES) * (5 + 5 * len(cells.ACKS)) == 3000
        everything += plain + list(cells.more_cells(version))
    assert len({cell.name for cell in everything}) == len(everything)
    for cell, timestamp in product(everything, (NO_TIMESTAMPS, LATER, EARLIER)):
        outcome, rules = rfc.expected(cell, timestamp)
        assert rules, cell.name
        assert outcome.state in SITUATIONS
    assert cells.find("ESTABLISHED / FIN+ACK+data / inside / ack new / IPv4").length == cells.DATA + 1
    for cell in list(cells.cells(6))[::97] + list(cells.more_cells(4))[::97]:
        assert cells.find(cell.name) == cell


def test_every_rule_decides_something() -> None:
    used: Counter[rfc.Rule] = Counter()
    for group in GROUPS.values():
        for cell, timestamp in product(group, (NO_TIMESTAMPS, LATER, EARLIER)):
            used.update(rfc.expected(cell, timestamp)[1])
    assert set(rfc.RULES) == set(used)


def test_every_deviation_makes_a_difference_wherever_it_applies() -> None:
    applied: Counter[str] = Counter()
    for group in GROUPS.values():
        for cell, timestamp in product(group, (NO_TIMESTAMPS, LATER, EARLIER)):
            for deviation, before, after in steps(cell, timestamp):
                applied[deviation.name] += 1
                assert before != after, (deviation.name, cell.name, timestamp)
    assert set(applied) == {deviation.name for deviation in DEVIATIONS}


def test_the_oracle_knows_nothing_of_synfin() -> None:
    for name in ("cells", "outcome", "walk", "rfc"):
        text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        assert "import synfin" not in text
        assert "from synfin" not in text


def test_a_difference_is_seen() -> None:
    # What `differs` compares, and that it says so: the RFC's outcome where a deviation applies.
    cell = cells.find("SYN-RECEIVED / SYN / left / no ack / IPv4")
    assert meet(cell, NO_TIMESTAMPS).outcome != rfc.expected(cell)[0]
    cell = cells.find("SYN-RECEIVED / ACK+data / left edge / ack new / IPv6")
    outcome = meet(cell, NO_TIMESTAMPS).outcome
    assert isinstance(outcome, Outcome)
    assert ACCEPTED in outcome.heard
    assert outcome.delivered == cells.DATA

"""What the pictures say: the ladder's arrows and states, the diagram's paths, the curves' points; and the trace that
shows itself."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from xml.etree import ElementTree

import pytest

from synfin.lab import whole_life
from synfin.show.axes import Scale, number_text, steps
from synfin.show.canvas import AGAIN, LEFT, LOST, RIGHT, Canvas
from synfin.show.curves import render_curves
from synfin.show.history import History
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.state_diagram import path_of, render_state_diagram
from synfin.show.time_sequence import busier_end, render_time_sequence
from synfin.show.trace import Trace
from synfin.tcp.states import NAMES, TRANSITIONS
from synfin.wire.tcp import ACK, PSH, RST, Options

if TYPE_CHECKING:
    from tests.show.conftest import World

    Worlds: TypeAlias = type[World]

SVG = "{http://www.w3.org/2000/svg}"
TABLE = [(NAMES[old], event, NAMES[new]) for (old, event), new in TRANSITIONS.items()]
MILLISECOND = 1_000_000


def said(picture: str) -> list[str]:
    """All texts, in the order of the file."""
    root = ElementTree.fromstring(picture)
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def shapes(picture: str, tag: str, **attributes: str) -> list[ElementTree.Element]:
    return [
        element
        for element in ElementTree.fromstring(picture).iter(SVG + tag)
        if all(element.get(name.replace("_", "-")) == value for name, value in attributes.items())
    ]


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?[0-9.]+", element.get("d", ""))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def arrows(picture: str) -> list[tuple[float, float]]:
    """Where each arrow begins and ends, vertically."""
    found = []
    for group in shapes(picture, "g"):
        if group.find(f"{SVG}title") is None:
            continue
        line = group.find(f"{SVG}path")
        assert line is not None
        found.append((points(line)[0][1], points(line)[-1][1]))
    return found


def whole(made: World) -> History:
    made.open()
    made.exchange()
    made.close()
    return History.from_events(made.events)


# --- the ladder --------------------------------------------------------------------------------------------------


def test_the_ladder_says_what_happened(world: Worlds) -> None:
    picture = render_ladder_svg(whole(world(x=1000, y=5000)))
    texts = said(picture)
    for number in "1234567":
        assert number in texts
    assert "SYN+ACK  seq=0 ack=1 len=0" in texts
    assert "FIN+ACK  seq=101 ack=1 len=0" in texts
    for state in ("LISTEN", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "LAST-ACK"):
        assert state in texts
    assert texts.count("ESTABLISHED") == 2
    assert "192.0.2.1:49152   x = 1000" in texts
    assert "SYN+ACK  seq=5000 ack=1001 len=0" in said(render_ladder_svg(whole(world(1000, 5000)), relative=False))


def test_the_ladder_in_chinese(world: Worlds) -> None:
    texts = said(render_ladder_svg(whole(world()), language="zh"))
    assert [f"报文{number}" in texts for number in range(1, 8)] == [True] * 7
    assert {"客户端", "服务器", "FIN-WAIT-2 终止等待 2", "一条 TCP 连接的一生"} <= set(texts)


def test_arrows_fall_in_the_true_order(world: Worlds) -> None:
    made = world()
    made.open()
    packets = [made.packet(0, PSH | ACK, 100) for _ in range(3)]
    numbers = [made.send(0, packet) for packet in packets]
    # The first is overtaken by the third.
    for at in (2, 1, 0):
        made.time += MILLISECOND
        made.arrive(1, packets[at], numbers[at])
    third, second, first = arrows(render_ladder_svg(History.from_events(made.events)))[-3:]
    assert first[0] < second[0] < third[0] < third[1] < second[1] < first[1]


def test_arrows_fall_even_without_any_delay(world: Worlds) -> None:
    made = world()
    for _ in range(3):
        packet = made.packet(0, ACK)
        made.arrive(1, packet, made.send(0, packet))
    found = arrows(render_ladder_svg(History.from_events(made.events)))
    assert len(found) == 3
    assert all(end - start > 15 for start, end in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))


def test_a_canvas_writes_only_what_can_be_printed() -> None:
    canvas = Canvas(10, 10, "\x00", "en")
    canvas.text((0, 0), "\x1b<&\ud800\u202e", 12)
    with canvas.group("a\nb\x00"):
        canvas.circle((1, 1), 1, LEFT)
    root = ElementTree.fromstring(canvas.svg())
    assert [element.text for element in root.iter(f"{SVG}title")] == [r"\x00", "a\nb\\x00"]
    assert said(canvas.svg()) == [r"\x1b<&\ud800\u202e"]


def test_what_is_lost_ends_at_a_cross(world: Worlds) -> None:
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    made.lose(0, packet, made.send(0, packet))
    made.time += 200 * MILLISECOND
    repeated = made.packet(0, PSH | ACK, 100, seq=made.next[0] - 100)
    made.arrive(1, repeated, made.send(0, repeated))
    picture = render_ladder_svg(History.from_events(made.events))
    (dashes,) = shapes(picture, "path", stroke=LOST, stroke_dasharray="9 4")[:1]
    # It ends on its way, and the two strokes of the cross meet there.
    (x1, y1), (x2, y2) = points(dashes)
    strokes = [points(line) for line in shapes(picture, "path", stroke=LOST, stroke_width="3")[:2]]
    middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in strokes]
    assert middles == [pytest.approx((x2, y2), abs=0.1)] * 2
    assert x2 - x1 < 600
    assert y1 < y2
    assert "lost on request" in said(picture)
    assert len([text for text in said(picture) if text.endswith("retransmission")]) == 2
    assert shapes(picture, "polygon", fill=AGAIN)


def test_long_waits_are_torn_out(world: Worlds) -> None:
    quick = world()
    quick.open()
    assert not shapes(render_ladder_svg(History.from_events(quick.events)), "polygon", fill="#ffffff")
    # 2MSL: a minute, torn out of both lifelines.
    picture = render_ladder_svg(whole(world()))
    assert len(shapes(picture, "polygon", fill="#ffffff")) == 2
    assert "60090" in said(picture)


def test_a_part_of_a_history(world: Worlds) -> None:
    history = whole(world())
    texts = said(render_ladder_svg(history, between=(50 * MILLISECOND, 70 * MILLISECOND)))
    assert "4" in texts
    assert "3" not in texts
    # What went before is known: both ends are open.
    assert texts.count("ESTABLISHED") == 2
    assert "segments not shown: 6" in texts
    assert "segments not shown: 7" in said(render_ladder_svg(history, most=2))


# --- the diagram -------------------------------------------------------------------------------------------------


def test_every_transition_of_the_table_is_drawn() -> None:
    texts = said(render_state_diagram(TABLE))
    assert texts.count("CLOSED") == 2
    assert {name for name in NAMES.values() if name not in texts} == set()
    drawn = [(old, event, new) for old, event, new in TABLE if event not in ("ABORT", "rcv RST", "give up")]
    assert len(shapes(render_state_diagram(TABLE), "polygon")) == len(drawn)
    for event in {event for _, event, _ in TABLE}:
        assert event in texts


def test_a_transition_without_a_place() -> None:
    with pytest.raises(ValueError, match="no place for a transition from LISTEN to TIME-WAIT"):
        render_state_diagram([*TABLE, ("LISTEN", "time travel", "TIME-WAIT")])


def test_the_paths_of_both_ends(world: Worlds) -> None:
    history = whole(world())
    client = ["CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    server = ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    assert path_of(history, history.left) == list(pairwise(client))
    assert path_of(history, history.right) == list(pairwise(server))
    picture = render_state_diagram(TABLE, history)
    for color in (LEFT, RIGHT):
        assert len(shapes(picture, "circle", fill=color)) == 6
        assert len(shapes(picture, "polygon", fill=color)) == 6


def test_an_end_by_a_reset_is_told_in_the_list(world: Worlds) -> None:
    made = world()
    made.open()
    made.carry(0, RST, 0, "CLOSED", "CLOSED")
    picture = render_state_diagram(TABLE, History.from_events(made.events))
    # Both end so: beside the two boxes, the first and the last of both lists.
    assert said(picture).count("CLOSED") == 6


# --- curves ------------------------------------------------------------------------------------------------------


def test_the_time_sequence_picture(world: Worlds) -> None:
    made = world()
    made.open()
    sent = [made.packet(1, PSH | ACK, 1000) for _ in range(3)]
    numbers = [made.send(1, packet) for packet in sent]
    made.lose(1, sent[0], numbers[0])
    made.time += 10 * MILLISECOND
    made.arrive(0, sent[1], numbers[1])
    start = made.next[1] - 2000
    answer = made.packet(0, ACK, ack=start - 1000, options=Options(sack=((start, start + 1000),)))
    made.arrive(1, answer, made.send(0, answer))
    made.time += 10 * MILLISECOND
    repeated = made.packet(1, PSH | ACK, 1000, seq=start - 1000)
    made.arrive(0, repeated, made.send(1, repeated))
    history = History.from_events(made.events)
    assert busier_end(history) is history.right
    picture = render_time_sequence(history)
    assert "Sequence numbers over time: server" in said(picture)
    (bars,) = shapes(picture, "path", stroke=LEFT, stroke_width="2.5")[:1]
    # Message 2, and three segments.
    assert bars.get("d", "").count("M") == 4
    assert len(shapes(picture, "circle", fill=AGAIN)) == 1 + 3  # and the legend's
    assert len(shapes(picture, "path", stroke=LOST)) == 2 + 2
    (block,) = shapes(picture, "path", stroke="#e39a2d", stroke_width="1.5")
    assert block.get("d", "").count("M") == 1


def test_curves_of_a_host_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no end at a host named 'nobody'"):
        render_curves(whole_life.run(), sender="nobody")


def test_a_window_that_does_not_change_any_more_holds_to_the_end() -> None:
    picture = render_curves(whole_life.run(), sender="client")
    cwnd = max(shapes(picture, "path", stroke=LEFT, stroke_width="2.5"), key=lambda path: len(path.get("d", "")))
    axis = max(x for path in shapes(picture, "path") for x, _ in points(path))
    assert max(x for x, _ in points(cwnd)) == axis


def test_curves() -> None:
    picture = render_curves(whole_life.run(), sender="client")
    assert {"cwnd", "ssthresh", "in flight", "SRTT", "RTO", "kB", "ms"} <= set(said(picture))
    assert "Congestion window and round-trip time: server" in said(render_curves(whole_life.run(), sender="server"))


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0, 100, 6, [0, 20, 40, 60, 80, 100]),
        (0, 99, 6, [0, 20, 40, 60, 80]),
        (3, 7.5, 6, [3, 4, 5, 6, 7]),
        (0, 0.05, 6, [0, 0.01, 0.02, 0.03, 0.04, 0.05]),
        (5, 5, 3, [5, 5.5, 6]),
        (-1, 1, 3, [-1, 0, 1]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, ticks: list[float]) -> None:
    assert Scale(low, high, 0, 1).ticks(most) == pytest.approx(ticks)


def test_numbers_and_steps() -> None:
    assert [number_text(value) for value in (0, 20.0, 0.30000000000000004, 1e30)] == ["0", "20", "0.3", "1e+30"]
    assert Scale(0, 10, 100, 0)(2.5) == 75
    assert steps([(0, 1), (2, 1), (3, 5), (9, 5)]) == [(0, 1), (3, 1), (3, 5), (9, 5)]
    assert steps([]) == []


# --- the trace ---------------------------------------------------------------------------------------------------


def test_a_notebook_shows_a_trace_and_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    trace = Trace(whole_life.run())
    assert "报文7" in said(trace._repr_html_())
    (history,) = trace.histories()
    assert history._repr_svg_() == trace._repr_html_()
    monkeypatch.setenv("LC_ALL", "C")
    assert "The life of a TCP connection" in said(history._repr_svg_())


def test_a_notebook_shows_the_first_of_many_connections(world: Worlds) -> None:
    trace = Trace()
    for port in range(6):
        made = world(ports=(50000 + port, 80))
        made.open()
        trace += made.events
    html = trace.html()
    assert html.startswith("<p>connections: 6 (the first 4 are shown)</p>\n<svg ")
    assert html.count("<svg ") == 4
    assert Trace().html() == "<p>connections: 0</p>"


def test_a_long_connection_is_shown_as_curves(world: Worlds) -> None:
    made = world()
    made.open()
    for _ in range(50):
        made.exchange()
    html = Trace(made.events).html()
    assert "Sequence numbers over time" in html
    assert "segments not shown: 79" in html


def test_a_trace_is_written_and_read(tmp_path: Path) -> None:
    trace = Trace(whole_life.run())
    trace.write(tmp_path / "trace.jsonl")
    assert Trace.read(tmp_path / "trace.jsonl").html() == trace.html()
    trace.write(tmp_path / "short.jsonl", payloads=False)
    assert (tmp_path / "short.jsonl").stat().st_size < (tmp_path / "trace.jsonl").stat().st_size
    (tmp_path / "bad").write_bytes(b"\xff\n")
    with pytest.raises(ValueError, match=r"^line 1: not JSON$"):
        Trace.read(tmp_path / "bad")


def test_segments_are_called_by_their_numbers_in_the_picture(world: Worlds) -> None:
    texts = said(render_ladder_svg(whole(world()), numbers=lambda sent: sent.number + 7))
    assert "#9  SYN+ACK  seq=0 ack=1 len=0" in texts

"""What every picture keeps: texts that do not overlap and stay inside, characters that the fonts have, sound XML."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.events import CongestionChanged, RoundTripMeasured, WindowChanged
from synfin.lab import whole_life
from synfin.reasons import all_reasons
from synfin.show.canvas import Box, text_box
from synfin.show.curves import render_curves
from synfin.show.history import History, flows
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.ladder_text import printable
from synfin.show.side_by_side_svg import ladder_panel, render_panels, render_side_by_side_svg
from synfin.show.state_diagram import render_state_diagram
from synfin.show.text_width import broken, fitted, text_width
from synfin.show.time_sequence import render_time_sequence
from synfin.show.words import LANGUAGES, Language
from synfin.tcp.states import NAMES, TRANSITIONS
from synfin.wire.tcp import ACK, FIN, PSH, SYN
from tests.show.reading import check, font, texts

if TYPE_CHECKING:
    from tests.show.conftest import World

    Worlds: TypeAlias = type[World]

SVG = "{http://www.w3.org/2000/svg}"
TABLE = [(NAMES[old], event, NAMES[new]) for (old, event), new in TRANSITIONS.items()]
MILLISECOND = 1_000_000
# What every font that is drawn with must have besides the texts of the catalogue.
LATIN = "".join(map(chr, range(0x20, 0x7F))) + "…′×"


# --- worlds to draw ----------------------------------------------------------------------------------------------


def whole(made: World) -> World:
    made.open()
    made.exchange()
    made.close()
    return made


def burst(made: World) -> World:
    """Twelve segments at once; the third is lost, the fourth arrives twice, the rest is acknowledged on the way."""
    made.open()
    made.call(0, "SEND", 12_000)
    sent = []
    for _ in range(12):
        packet = made.packet(0, PSH | ACK, 1000)
        sent.append((packet, made.send(0, packet)))
    made.lose(0, *sent[2])
    for at, (packet, number) in enumerate(sent):
        made.time += MILLISECOND
        if at != 2:
            made.arrive(1, packet, number)
            answer = made.packet(1, ACK)
            answered = made.send(1, answer)
        if at == 3:
            made.arrive(1, packet, number, dropped=True)
    made.time += 10 * MILLISECOND
    made.arrive(0, answer, answered)
    return made


def crossing(made: World) -> World:
    """Both ends close at once."""
    made.open()
    mine, other = made.packet(0, FIN | ACK), made.packet(1, FIN | ACK)
    numbers = made.send(0, mine, "FIN-WAIT-1"), made.send(1, other, "FIN-WAIT-1")
    made.time += 10 * MILLISECOND
    made.arrive(1, mine, numbers[0], "CLOSING")
    made.arrive(0, other, numbers[1], "CLOSING")
    return made


def at_once(made: World) -> World:
    """A wire without delay."""
    made.listen()
    for end, flags in ((0, SYN), (1, SYN | ACK), (0, ACK), (0, PSH | ACK), (1, ACK)):
        packet = made.packet(end, flags, 100 if flags & PSH else 0)
        made.arrive(1 - end, packet, made.send(end, packet))
    return made


def curves(made: World) -> World:
    """With events for the curves."""
    burst(made)
    flow, host = made.flow(0), made.names[0]
    for at, reason in enumerate(all_reasons()):
        time = at * 3 * MILLISECOND
        made.events += [
            CongestionChanged(
                time, host, flow, 14_480 + at * 1448, (1 << 31) - 1 if at < 9 else 20_000, at * 900, reason
            ),
            WindowChanged(time, host, flow, at * 1000, 65_535),
            RoundTripMeasured(time, host, flow, (40 + at % 7) * MILLISECOND, 42 * MILLISECOND, 5, 240 * MILLISECOND),
        ]
    return made


SCENES = (whole, burst, crossing, at_once, curves)
LONG_NAMES = ("长" * 60, "W" * 200)


def every_picture(made: World, language: Language) -> dict[str, str]:
    history = History.from_events(made.events)
    return {
        "ladder": render_ladder_svg(history, language=language),
        "absolute": render_ladder_svg(history, language=language, relative=False, most=7),
        "states": render_state_diagram(TABLE, history, language=language),
        "sequence": render_time_sequence(history, language=language),
        "curves": render_curves(made.events, language=language),
        "side by side": beside_its_beginning(made, language),
    }


def beside_its_beginning(made: World, language: Language) -> str:
    """The history, and what it would be if its last third had not happened and a segment had no number."""
    history = History.from_events(made.events)
    part = made.events[: len(made.events) * 2 // 3]
    other = History.from_events(part, history.left.flow) if history.left.flow in flows(part) else history
    numbers = (lambda sent: sent.number, lambda sent: sent.number * 100 or None)
    titles = ("as it was", "长" * 80)
    return render_side_by_side_svg(
        history, other, titles=titles, title="W" * 200, language=language, numbers=numbers, before=2
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("names", [("client", "server"), LONG_NAMES], ids=["short", "long"])
@pytest.mark.parametrize("scene", SCENES)
def test_no_texts_overlap(
    world: Worlds, scene: Callable[[World], World], names: tuple[str, str], language: Language
) -> None:
    for picture in every_picture(scene(world(names=names)), language).values():
        check(picture)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lost", range(8))
def test_no_texts_overlap_whichever_message_is_lost(lost: int, language: Language) -> None:
    events = whole_life.run_and_lose(lost) if lost else whole_life.run()
    check(render_ladder_svg(History.from_events(events), language=language))


@pytest.mark.parametrize(("old", "event", "new"), TABLE)
def test_no_texts_overlap_whatever_transition_both_ends_make(world: Worlds, old: str, event: str, new: str) -> None:
    made = world()
    made.carry(0, ACK)
    made.states = [old, old]
    for end in (0, 1):
        made.change(end, new)
    for language in LANGUAGES:
        check(render_state_diagram(TABLE, History.from_events(made.events), language=language))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lost", range(1, 8))
@pytest.mark.parametrize("before", [None, 4])
def test_no_texts_overlap_side_by_side(lost: int, before: int | None, language: Language) -> None:
    histories = [History.from_events(events) for events in (whole_life.run(), whole_life.run_and_lose(lost))]
    numbers = (lambda sent: sent.number, lambda sent: sent.number)
    picture = render_side_by_side_svg(
        *histories, titles=("one", "two"), language=language, before=before, numbers=numbers, title="a question"
    )
    check(picture)
    said = [text for text, _ in texts(picture)]
    assert any("≠" in text for text in said)
    for history in histories:
        shown = [sent for sent in history.transmissions if before is None or sent.loss is not None]
        for sent in shown:
            assert any(f"#{sent.number} " in text for text in said)


def test_what_happens_at_one_time_stands_side_by_side() -> None:
    histories = [History.from_events(events) for events in (whole_life.run(), whole_life.run_and_lose(5))]
    picture = render_side_by_side_svg(*histories, titles=("one", "two"))
    heights: dict[str, set[float]] = {}
    for text, corners in texts(picture):
        if re.fullmatch("[0-9]+", text) and text not in "1234567":
            heights.setdefault(text, set()).add(round(corners[0][1]))
    assert all(len(found) == 1 for found in heights.values()), heights
    assert len(heights) > 10
    # Later is lower.
    assert [min(heights[time]) for time in sorted(heights, key=int)] == sorted(min(at) for at in heights.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_in_rows(world: Worlds, language: Language) -> None:
    histories = [History.from_events(scene(world()).events) for scene in (whole, burst, crossing, at_once)]
    panels = [ladder_panel(history, f"world {at}", language) for at, history in enumerate(histories)]
    picture = render_panels([panels[:3], panels[3:]], title="four worlds", language=language, note="说明 a note")
    check(picture)
    said = [text for text, _ in texts(picture)]
    assert [text for text in said if text.startswith("world ")] == [f"world {at}" for at in range(4)]


def test_a_long_ipv6_connection(world: Worlds) -> None:
    address = "2001:db8:1111:2222:3333:4444:5555:666"
    for picture in every_picture(whole(world(addresses=(f"{address}6", f"{address}7"))), "zh").values():
        check(picture)


def test_only_what_one_end_saw(world: Worlds) -> None:
    made = whole(world(wire=False))
    made.events = [event for event in made.events if event.host == "server"]
    for picture in every_picture(made, "en").values():
        check(picture)


@settings(max_examples=40)
@given(data=st.data(), language=st.sampled_from(LANGUAGES))
def test_nothing_overlaps_whatever_happens(
    any_world: st.SearchStrategy[World], data: st.DataObject, language: Language
) -> None:
    made = data.draw(any_world)
    if not flows(made.events):
        return
    for picture in every_picture(made, language).values():
        check(picture)
        assert all(char.isprintable() for text, _ in texts(picture) for char in text)


@pytest.mark.parametrize("name", ["<script>alert('&')</script>", '"]]>', "\x1b[31m\x00\ud800\uffff", "\u202e\u200b"])
def test_hostile_names_are_escaped(world: Worlds, name: str) -> None:
    made = whole(world(names=(name, "server")))
    made.call(0, name, 3)
    made.carry(0, ACK, 0, name)
    for picture in every_picture(made, "en").values():
        picture.encode()
        root = ElementTree.fromstring(picture)
        tags = {element.tag for element in root.iter()}
        assert tags <= {
            SVG + tag for tag in ("svg", "title", "g", "rect", "path", "polygon", "circle", "text", "tspan")
        }


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_are_of_the_shape_of_a_slide_and_light(language: Language) -> None:
    made = History.from_events(whole_life.run())
    for picture in (render_ladder_svg(made, language=language), render_state_diagram(TABLE, made, language=language)):
        root = ElementTree.fromstring(picture)
        assert (root.get("width"), root.get("height")) == ("1280", "720")
        assert len(picture.encode()) < 40_000
        # Paper of its own, under everything else.
        paper = root.find(f"{SVG}rect")
        assert paper is not None
        assert (paper.get("width"), paper.get("height"), paper.get("fill")) == ("1280", "720", "#ffffff")
        assert min(float(text.get("font-size", "0")) for text in root.iter(f"{SVG}text")) >= 12


def test_the_same_history_gives_the_same_picture(world: Worlds) -> None:
    assert every_picture(curves(world()), "zh") == every_picture(curves(world()), "zh")


# --- fonts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["DejaVu Sans", "DejaVu Sans:bold", "Noto Sans CJK SC", "Noto Sans CJK SC:bold"])
def test_widths_are_bounds_of_the_fonts(family: str, require: Callable[..., None]) -> None:
    known = font(family, require)
    bold = family.endswith(":bold")
    for char in LATIN[:-3]:
        assert text_width(char, 100, bold) >= known.width(char) - 0.01, char
    if "CJK" in family:
        assert text_width("汉", 100, bold) >= known.width("汉")


def characters() -> set[str]:
    """All that is drawn in any picture of the scenes, besides what the user's own names bring in."""
    found = set(LATIN)
    unlost = History.from_events(whole_life.run())
    for lost in range(8):
        events = whole_life.run_and_lose(lost) if lost else whole_life.run()
        history = History.from_events(events)
        for language in LANGUAGES:
            for picture in (
                render_ladder_svg(history, language=language),
                render_state_diagram(TABLE, history, language=language),
                render_time_sequence(history, language=language),
                render_curves(events, language=language),
                render_side_by_side_svg(history, unlost, titles=("", ""), language=language),
            ):
                found |= {char for text, _ in texts(picture) for char in text}
    return found


def test_the_first_font_has_every_character(require: Callable[..., None]) -> None:
    known = font("Noto Sans CJK SC", require)
    assert [char for char in sorted(characters()) if not known.glyph(char)] == []


def test_the_last_font_has_every_character_that_is_not_han(require: Callable[..., None]) -> None:
    known = font("DejaVu Sans", require)
    wide = {char for char in characters() if text_width(char, 100) == 100 and ord(char) > 0x2E7F}
    assert [char for char in sorted(characters() - wide) if not known.glyph(char)] == []


# --- measuring ---------------------------------------------------------------------------------------------------


def test_boxes() -> None:
    level = text_box((10, 100), 50, 20)
    assert (level.top, level.bottom) == pytest.approx((82.8, 104.4))
    assert not level.overlaps(text_box((60.5, 100), 50, 20))
    assert level.overlaps(text_box((59, 100), 50, 20))
    assert level.overlaps(text_box((90, 100), 50, 20, "end"))
    assert not level.overlaps(text_box((10, 122), 50, 20))
    # Turned by a right angle it stands on its end, to the right of its baseline's beginning.
    upright = text_box((100, 0), 50, 20, angle=90)
    assert (upright.top, upright.bottom) == pytest.approx((0, 50))
    assert upright.overlaps(Box([(90, 25), (140, 26)]))
    assert not upright.overlaps(Box([(90, 55), (140, 56)]))


@given(st.text(max_size=60), st.integers(0, 400))
def test_fitted_texts_fit(text: str, width: int) -> None:
    cut = fitted(text, width, 16)
    assert text_width(cut, 16) <= width
    assert cut == printable(text) or printable(text).startswith(cut.removesuffix("…"))


@given(st.text("ab 汉字，。 x", max_size=60), st.integers(40, 400))
def test_broken_texts_fit_and_keep_their_words(text: str, width: int) -> None:
    lines = broken(text, width, 16, most=100)
    assert all(text_width(line, 16) <= width for line in lines)
    if not any("…" in line for line in lines):
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert len(broken(text, width, 16, most=2)) <= 2

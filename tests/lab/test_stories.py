"""G1: everyday pictures of the seven messages, and what they have nothing for."""

from __future__ import annotations

from functools import partial

import pytest
from rich.cells import cell_len

from synfin.cli.main import main
from synfin.lab import whole_life
from synfin.lab.bench import MS, PORT, pair
from synfin.lab.programs.e06_whole_life import ending as ends
from synfin.lab.telling.stories import STORIES, Story, captions, ending, story
from synfin.lab.words import translation
from synfin.show.history import History
from synfin.show.ladder import render_ladder
from synfin.show.words import LANGUAGES, Language
from synfin.sim import Network, Program, Scenario, Steps, World, start
from synfin.wire.tcp import RST

both = pytest.mark.parametrize("language", LANGUAGES)
each = pytest.mark.parametrize("told", STORIES, ids=lambda told: told.name)


def history_of(scenario: Scenario) -> History:
    return History.from_events(World(scenario).events)


@pytest.mark.row("G1")
@both
@each
def test_every_message_has_its_words(told: Story, language: Language) -> None:
    history = History.from_events(whole_life.run())
    said = captions(history, told, language)
    gettext = translation(language).gettext
    assert len(said) == 7
    assert len(set(said.values())) == 7
    for number in range(1, 8):
        message = history.message(number)
        assert message is not None
        assert said[message] == gettext(told.messages[number - 1])
    text = render_ladder(history, language=language, narrate=said)
    assert max(map(cell_len, text.split("\n"))) <= 100


@pytest.mark.row("G1")
@both
@each
def test_each_says_where_it_breaks_and_that_it_has_no_loss(told: Story, language: Language) -> None:
    text = ending(told, language)
    assert {"en": "lost", "zh": "丢"}[language] in text
    assert {"en": "Where the picture breaks: ", "zh": "比喻到此为止："}[language] in text


def test_the_pictures_differ_and_so_do_the_languages() -> None:
    texts = [text for told in STORIES for text in (told.title, told.breaks, *told.messages)]
    assert len(set(texts)) == len(texts) == 27
    gettext = translation("zh").gettext
    assert all(gettext(text) != text for text in texts)


@both
@pytest.mark.parametrize("lose", range(1, 8))
def test_of_a_loss_and_what_follows_the_story_says_that_it_has_nothing(lose: int, language: Language) -> None:
    history = History.from_events(whole_life.run_and_lose(lose))
    said = captions(history, STORIES[0], language)
    nothing = {"en": "The picture has nothing for that", "zh": "这个比喻里没有这种事"}[language]
    (lost,) = history.lost
    assert lost.loss is not None
    assert nothing in said[lost.loss]
    for sent in history.transmissions:
        if sent.repeat or (sent.retransmission and sent.messages):
            assert nothing in said[sent]
    # 3 and 5 need not come again: data and the FIN acknowledge too.
    assert bool(history.retransmissions) == (lose not in (3, 5))


def test_two_messages_in_one_segment_have_the_words_of_both() -> None:
    history = history_of(ends(0))
    said = captions(history, STORIES[1], "en")
    (both_in_one,) = [sent for sent in history.transmissions if sent.messages == ("5", "6")]
    assert said[both_in_one] == f"{STORIES[1].messages[4]} {STORIES[1].messages[5]}"


def test_of_a_simultaneous_close_it_says_that_it_has_nothing() -> None:
    history = history_of(ends(None))
    fins = [sent for sent in history.transmissions if sent.label in ("4a", "4b")]
    assert len(fins) == 2
    for sent in fins:
        assert captions(history, STORIES[0], "en")[sent].startswith("Both at once.")


def closes_first(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(50 * MS)
    sock.close()


def closes_second(port: int, program: Program) -> Steps[None]:
    sock = yield from program.connected("server", port)
    yield from sock.receive_all()
    yield from program.sleep(100 * MS)
    sock.close()


def test_where_the_server_closes_first_nobody_says_the_others_words() -> None:
    def scenario(network: Network) -> list[Program]:
        here, there = pair(network)
        return [start(network, there, closes_first), start(network, here, partial(closes_second, PORT))]

    history = history_of(scenario)
    said = captions(history, STORIES[0], "en")
    fourth = history.message(4)
    assert fourth is not None
    assert fourth.sender is history.right
    assert said[fourth].startswith("Here the other end closes first.")
    assert not set(said.values()) & set(STORIES[0].messages[3:])


def test_of_a_refusal_it_says_that_it_has_nothing() -> None:
    def scenario(network: Network) -> list[Program]:
        here, _ = pair(network)
        return [start(network, here, partial(closes_second, PORT))]

    history = history_of(scenario)
    (reset,) = [sent for sent in history.transmissions if sent.segment.flags & RST]
    assert captions(history, STORIES[2], "en")[reset].startswith("RST: the talk is broken off.")


@both
@pytest.mark.parametrize("name", ["pairing", "table", "courier", "story"])
def test_the_demo_tells_it(name: str, language: Language, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--as", name, "--lang", language]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    gettext = translation(language).gettext
    assert out.startswith(gettext(story(name).title))
    assert max(map(cell_len, out.split("\n"))) <= 100
    assert "".join(out.split()).endswith("".join(ending(story(name), language).split()))


def test_story_is_the_first() -> None:
    assert story("story") is story("pairing")
    with pytest.raises(KeyError):
        story("weather")


@pytest.mark.parametrize("arguments", ["--as weather", "--as", "--as table --explain"])
def test_a_mistake_is_one_line(arguments: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *arguments.split()]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("synfin: ")
    assert err.count("\n") == 1

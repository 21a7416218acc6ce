"""G2: the glossary is whole, the texts use its words, and it can be looked up in either language."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from rich.cells import cell_len

import synfin
from synfin.cli.main import main
from synfin.lab.telling.glossary import OWN_WORDS, SECTIONS, Entry, alike, entries, lookup, table, whole_entry
from synfin.lab.telling.glossary_protocol import FLAGS, MESSAGES, STATES, TIMERS
from synfin.lab.words import translation
from synfin.show import words
from synfin.show.words import LANGUAGES, Language
from synfin.tcp import states, timers
from synfin.wire.tcp import flag_names

SOURCE = Path(synfin.__file__).parent
ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("docs/**/*.zh.md")), *ROOT.glob("README.zh-CN.md"), *ROOT.glob("examples/README.zh-CN.md")]
#: Terms that have one word in Chinese, whatever the sentence.
ONE_WORD = (
    "accept queue",
    "acknowledgment number",
    "active open",
    "checksum",
    "congestion avoidance",
    "congestion window",
    "duplicate ACK",
    "fast recovery",
    "fast retransmit",
    "half-closed",
    "initial sequence number",
    "keep-alive",
    "passive open",
    "sequence number",
    "slow start",
    "SYN queue",
    "three-way handshake",
    "window scale",
    "zero-window probe",
)
both = pytest.mark.parametrize("language", LANGUAGES)


def texts() -> list[tuple[str, str]]:
    """What all catalogues say, in English and Chinese."""
    found = []
    for path in sorted(SOURCE.rglob("*.po")):
        with path.open("rb") as file:
            found += [(str(message.id), str(message.string)) for message in read_po(file) if message.id]
    return found


@pytest.mark.row("G2")
def test_it_has_every_state_flag_message_and_timer() -> None:
    assert {entry.term for entry in STATES} == set(states.NAMES.values())
    assert {entry.term for entry in FLAGS} == set(flag_names(0xFF).split(","))
    assert [entry.term for entry in MESSAGES] == [f"message {number}" for number in range(1, 8)]
    known = {entry.term for entry in TIMERS}
    for name in timers.NAMES:
        assert f"{name.replace(' ', '-')} timer" in known


@pytest.mark.row("G2")
def test_states_are_called_as_in_the_ladder() -> None:
    gettext = words.translation("zh").gettext
    for entry in STATES:
        assert entry.chinese == gettext(entry.term) != entry.term
        assert lookup(entry.chinese) == [entry]


@pytest.mark.row("G2")
def test_the_texts_use_the_words_of_the_glossary() -> None:
    """Of a term that has one word in Chinese, every text that names it uses that word."""
    chosen = [entry for entry in entries() if entry.term in ONE_WORD]
    assert len(chosen) == len(ONE_WORD)
    named = Counter[str]()
    for english, chinese in texts():
        for entry in chosen:
            if re.search(rf"(?<![\w-]){re.escape(entry.term)}s?(?![\w-])", english, re.IGNORECASE):
                named[entry.term] += 1
                assert entry.chinese in chinese, (english, chinese)
    assert len(named) > len(ONE_WORD) * 0.8


@pytest.mark.row("G2")
def test_no_text_uses_a_word_that_the_glossary_avoids() -> None:
    avoided = [(word, entry) for entry in entries() for word in entry.avoided]
    assert len(avoided) > 50
    for _, chinese in texts():
        for word, entry in avoided:
            assert word not in chinese, f"{word}: say {entry.chinese} ({entry.term}) in {chinese}"


def test_the_lab_has_one_word_for_each_thing_of_its_own() -> None:
    """A "world" that a reader meets is 情形 everywhere; so with the other things that the lab has of its own."""
    named = Counter[str]()
    for english, chinese in texts():
        for term, own, avoided in OWN_WORDS:
            assert not [word for word in avoided if word in chinese], f"say {own} ({term}) in {chinese}"
            named[term] += bool(re.search(rf"\b{term}s?\b", english, re.IGNORECASE) and own in chinese)
    assert all(named[term] for term, _, _ in OWN_WORDS)


def test_the_seven_messages_have_one_name() -> None:
    """ "Message 3" is 报文3 in every text, as in the ladder, and a message is not called a segment."""
    numbered = 0
    for english, chinese in texts():
        assert not re.search("报文 [1-7]", chinese), chinese
        if re.search(r"\b(third|last) message\b", english):
            assert not re.search("(第三|最后一)个报文段", chinese), chinese
        for number in re.findall(r"\bmessages? ([1-7])\b", english, re.IGNORECASE):
            numbered += 1
            assert f"报文{number}" in chinese, (english, chinese)
    assert numbered > 20


def test_the_site_uses_the_same_words() -> None:
    """The Chinese pages, outside of their programs and tables of other programs' words."""
    avoided = [word for entry in entries() for word in entry.avoided]
    avoided += [word for _, _, words_ in OWN_WORDS for word in words_]
    for page in PAGES:
        text = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"))
        assert not [word for word in avoided if word in text], page


def test_what_is_avoided_is_nobodys_own_word() -> None:
    own = {entry.chinese for entry in entries()} | {entry.term for entry in entries()}
    for entry in entries():
        assert not set(entry.avoided) & own
        assert set(entry.also).isdisjoint({entry.term, entry.chinese})
        assert not [word for word in entry.avoided if word in entry.chinese]


def test_each_term_stands_there_once_in_each_language() -> None:
    for names in ([entry.term for entry in entries()], [entry.chinese for entry in entries()]):
        assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.term)
def test_an_entry_is_a_sentence_with_its_source(entry: Entry) -> None:
    chinese = translation("zh").gettext(entry.definition)
    assert entry.definition[-1] in ".?"
    assert entry.definition.isascii()
    assert chinese != entry.definition
    assert chinese.endswith("。")
    assert re.fullmatch(r"RFC [0-9]+ §[0-9.]*[0-9]", entry.clause)


@both
def test_the_table_has_every_entry_and_fits(language: Language) -> None:
    lines = list(table(language))
    assert max(map(cell_len, lines)) <= 100
    assert sum(len(part) for _, part in SECTIONS) == len(entries()) > 90
    for entry in entries():
        first, second = (entry.chinese, entry.term) if language == "zh" else (entry.term, entry.chinese)
        assert [line for line in lines if re.match(rf"{re.escape(first)} +{re.escape(second)}  ", line)]


@pytest.mark.parametrize(
    ("word", "term"),
    [
        ("TIME-WAIT", "TIME-WAIT"),
        ("time_wait", "TIME-WAIT"),
        ("SYN_RECV", "SYN-RECEIVED"),
        ("同步已接收", "SYN-RECEIVED"),
        ("分节", "segment"),
        ("三报文握手", "three-way handshake"),
        ("半打开", "half-open"),
        ("半关闭", "half-closed"),
        ("Slow Start", "slow start"),
        ("慢启动", "slow start"),
        ("cwnd", "congestion window"),
        ("报文7", "message 7"),
        ("第四次挥手", "message 7"),
    ],
)
def test_a_word_is_found_in_either_language(word: str, term: str) -> None:
    assert [entry.term for entry in lookup(word)] == [term]


@both
def test_one_entry_names_the_other_words(language: Language) -> None:
    (entry,) = lookup("segment")
    text = "\n".join(whole_entry(entry, language))
    assert "分节" in text
    assert "RFC 9293 §4" in text
    assert translation(language).gettext(entry.definition) in text


def test_a_word_that_is_nearly_there_is_offered() -> None:
    assert "TIME-WAIT" in alike("TIMEWAIT")
    assert "three-way handshake" in alike("handshake")
    assert alike("zzzz") == []


def test_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "glossary", "--lang", "zh"]) == 0
    assert capfd.readouterr().out.rstrip("\n") == "\n".join(table("zh")).rstrip("\n")
    assert main(["lab", "glossary", "rto", "--lang", "en"]) == 0
    assert "超时重传时间" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("word", "right"), [("handshak", "three-way handshake"), ("zzzz", "'synfin lab glossary' lists all")]
)
def test_an_unknown_word_is_one_line(word: str, right: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "glossary", word]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"the glossary has no term '{word}'" in err
    assert right in err

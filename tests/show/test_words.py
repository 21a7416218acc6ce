"""The two languages: every text has both, and the right one is chosen."""

from __future__ import annotations

import gettext
import io
import unicodedata
from itertools import pairwise
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from synfin.reasons import Reason, all_reasons
from synfin.show.reason_words import REASON_WORDS
from synfin.show.words import DOMAIN, LANGUAGES, explain, language, translation

SOURCE = Path(__file__).parents[2] / "src" / "synfin"
CATALOGUE = SOURCE / "show" / "locale" / "zh" / "LC_MESSAGES" / f"{DOMAIN}.po"


def chinese() -> Catalog:
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="zh", abort_invalid=True)


def texts_in_source() -> set[str]:
    # Of a parameter, the third argument says what it means.
    of_parameters = {"Parameter": (3,), "_tcp": (3,), "_own": (3,)}
    keywords = {**DEFAULT_KEYWORDS, "_gettext": None, **of_parameters}
    # The lab has catalogues of its own.
    methods = [("lab/**.py", "ignore"), ("**.py", "python")]
    found = extract_from_dir(SOURCE, method_map=methods, keywords=keywords)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def is_latin(character: str) -> bool:
    return character.isascii() and character.isalpha()


def is_han(character: str) -> bool:
    return unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH")


@pytest.mark.parametrize("reason", all_reasons(), ids=lambda reason: reason.name)
def test_every_reason_has_a_few_words_in_both_languages(reason: Reason) -> None:
    english, other = explain(reason, "en"), explain(reason, "zh")
    assert 0 < len(english) <= 60
    assert english.isascii()
    assert english != other
    assert 0 < sum(map(is_han, other)) <= 24
    assert len(other) <= 30


def test_the_words_of_reasons_are_those_of_all_reasons_and_differ() -> None:
    assert list(REASON_WORDS) == [reason.name for reason in all_reasons()]
    for tongue in LANGUAGES:
        said = [explain(reason, tongue) for reason in all_reasons()]
        assert sorted(said) == sorted(set(said))


def test_the_catalogue_holds_the_texts_of_the_source_and_no_others() -> None:
    translated = {message.id for message in chinese() if message.id}
    assert translated == texts_in_source()


def test_the_catalogue_is_whole() -> None:
    catalogue = chinese()
    assert not catalogue.fuzzy
    assert not catalogue.obsolete
    for message in catalogue:
        assert message.string, message.id
        assert not message.fuzzy, message.id
        assert not list(message.check(catalogue)), message.id


def test_chinese_leaves_a_space_between_han_and_latin() -> None:
    for message in chinese():
        text = str(message.string) if message.id else ""
        for left, right in pairwise(text):
            assert not (is_han(left) and is_latin(right)), text
            assert not (is_latin(left) and is_han(right)), text


def test_chinese_fills_the_same_gaps() -> None:
    for message in filter(lambda message: message.id, chinese()):
        assert gaps(str(message.id)) == gaps(str(message.string)), message.id


def test_the_installed_words_are_those_of_the_catalogue() -> None:
    compiled = io.BytesIO()
    write_mo(compiled, chinese())
    compiled.seek(0)
    expected = gettext.GNUTranslations(compiled)
    # The header, whose id is empty, has the time of day.
    for message in filter(lambda message: message.id, chinese()):
        assert translation("zh").gettext(str(message.id)) == expected.gettext(str(message.id))


def test_english_is_the_source_itself() -> None:
    assert translation("en").gettext("a text that no catalogue holds") == "a text that no catalogue holds"


@pytest.mark.parametrize(
    ("choice", "environ", "expected"),
    [
        ("zh", {}, "zh"),
        ("en", {"LC_ALL": "zh_CN.UTF-8"}, "en"),
        ("zh", {"LC_ALL": "de_DE.UTF-8"}, "zh"),
        (None, {}, "en"),
        (None, {"LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LANG": "zh_TW"}, "zh"),
        (None, {"LANG": "zh"}, "zh"),
        (None, {"LANG": "zh-Hans"}, "zh"),
        (None, {"LANG": "zh.GBK"}, "zh"),
        (None, {"LANG": "zha_CN"}, "en"),
        (None, {"LANG": "de_DE.UTF-8"}, "en"),
        (None, {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        (None, {"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LC_ALL": "zh_CN.UTF-8", "LC_MESSAGES": "C", "LANG": "C"}, "zh"),
        (None, {"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        (None, {"LC_MESSAGES": "en_US.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
    ],
)
def test_language(choice: str | None, environ: dict[str, str], expected: str) -> None:
    assert language(choice, environ) == expected


@pytest.mark.parametrize("choice", ["fr", "", "ZH", "zh_CN"])
def test_a_language_that_synfin_does_not_speak(choice: str) -> None:
    with pytest.raises(ValueError, match="choose en or zh") as raised:
        language(choice, {"LANG": "zh_CN.UTF-8"})
    assert "\n" not in str(raised.value)

"""The lab's catalogues: each holds the texts of its room and no others, and all of them."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

from synfin.lab.words import DOMAINS, FOLDER, translation

LAB = FOLDER.parent
each = pytest.mark.parametrize("domain", DOMAINS)


def catalogue(domain: str) -> Catalog:
    with (FOLDER / "zh" / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
        return read_po(file, locale="zh", abort_invalid=True)


def texts_of(domain: str) -> set[str]:
    """What the source of a room says; "lab" is what lies beside the rooms."""
    folder = LAB if domain == "lab" else LAB / domain
    others = [(f"{room}/**.py", "ignore") for room in DOMAINS] if domain == "lab" else []
    keywords = {**DEFAULT_KEYWORDS, "_gettext": None}
    found = extract_from_dir(folder, method_map=[*others, ("**.py", "python")], keywords=keywords)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def is_latin(character: str) -> bool:
    return character.isascii() and character.isalpha()


def is_han(character: str) -> bool:
    return unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH")


@each
def test_it_holds_the_texts_of_its_room_and_no_others(domain: str) -> None:
    assert {message.id for message in catalogue(domain) if message.id} == texts_of(domain)


@each
def test_it_is_whole(domain: str) -> None:
    found = catalogue(domain)
    assert not found.fuzzy
    assert not found.obsolete
    for message in found:
        assert message.string, message.id
        assert not message.fuzzy, message.id
        assert not list(message.check(found)), message.id
        assert gaps(str(message.id)) == gaps(str(message.string)) or not message.id, message.id


@each
def test_chinese_leaves_a_space_between_han_and_latin(domain: str) -> None:
    for message in catalogue(domain):
        text = str(message.string) if message.id else ""
        for left, right in pairwise(text):
            assert not (is_han(left) and is_latin(right)), text
            assert not (is_latin(left) and is_han(right)), text


@each
def test_a_text_has_one_meaning(domain: str) -> None:
    """Of two catalogues with the same English text, both say the same in Chinese."""
    for message in catalogue(domain):
        if message.id:
            assert translation("zh").gettext(str(message.id)) == message.string, message.id

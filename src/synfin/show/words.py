"""Words in two languages, by gettext: English stands in the source, Chinese in a catalogue.

A text to be translated is written `translation(language).gettext("...")`, or, where it stands in a table that is
made before the language is known, `N_("...")`. Chinese is Simplified Chinese, in
``locale/zh/LC_MESSAGES/synfin.po``.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final, Literal, TypeAlias

from synfin.reasons import Reason
from synfin.show.reason_words import N_, REASON_WORDS

__all__ = ["DOMAIN", "LANGUAGES", "N_", "Language", "catalogue", "explain", "language", "translation"]

Language: TypeAlias = Literal["en", "zh"]

LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
DOMAIN: Final = "synfin"

_LOCALE: Final = Path(__file__).parent / "locale"


def language(choice: str | None, environ: Mapping[str, str]) -> Language:
    """The language to speak: `choice` if one was made, else the one that the environment names (POSIX: the first
    of LC_ALL, LC_MESSAGES and LANG that is set and not empty). Every Chinese locale means Chinese, all others English.

    Raises ValueError, with one line for the user, when `choice` is a language that synfin does not speak.
    """
    if choice is not None:
        for known in LANGUAGES:
            if choice == known:
                return known
        raise ValueError(f"{choice!r} is not a language that synfin speaks; choose {' or '.join(LANGUAGES)}")
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        locale = environ.get(variable)
        if locale:
            tongue = locale.replace("-", "_").partition(".")[0].partition("@")[0].partition("_")[0]
            return "zh" if tongue.lower() == "zh" else "en"
    return "en"


@functools.cache
def translation(language: Language) -> NullTranslations:
    """The catalogue of a language; English needs none, and gets one that returns each text as it is.

    Raises FileNotFoundError when synfin runs from a checkout that was never installed, without Babel.
    """
    return NullTranslations() if language == "en" else catalogue(_LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po")


def catalogue(path: Path) -> GNUTranslations:
    """The catalogue whose source is the file `path` (.po), or, where that was not installed, what the build made of
    it (.mo). Raises FileNotFoundError as `translation` does."""
    fresh = _compiled(path)
    if fresh is not None:
        return GNUTranslations(fresh)
    with path.with_suffix(".mo").open("rb") as file:
        return GNUTranslations(file)


def explain(reason: Reason, language: Language) -> str:
    """A few words on why: at most 60 characters of English, or 24 of Chinese."""
    return translation(language).gettext(REASON_WORDS[reason.name])


def _compiled(path: Path) -> io.BytesIO | None:
    """The catalogue of a checkout, compiled in memory and so never out of date; None where only the build's is."""
    if not path.is_file():
        return None
    try:
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po
    except ImportError:
        return None
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, abort_invalid=True))
    compiled.seek(0)
    return compiled

"""What an entry of the glossary is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A term in both languages: a glossary is the one place where Chinese stands in the source.

    `definition` is one sentence, whose Chinese is in the catalogue; `clause` the RFC's section. `also`: other words for
    it, in either language. `avoided`: those Chinese words, and spellings, that no text of synfin uses for it.
    """

    term: str
    chinese: str
    definition: str
    clause: str
    also: tuple[str, ...] = ()
    avoided: tuple[str, ...] = ()

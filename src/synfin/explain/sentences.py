"""Findings, notes and ends in words, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synfin.explain.ending import outcome
from synfin.explain.flows import mirrored
from synfin.show.history_rows import Endpoint
from synfin.show.words import Language, translation

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.kinds import Finding
    from synfin.explain.notes import Notes


def left_end(connection: Connection) -> int:
    """Which end stands on the left: the one that opened, or else the one with the larger port, else the first one."""
    if connection.opener is not None:
        return connection.opener
    ports = connection.flow[-4:-2], connection.flow[-2:]
    return 1 if ports[1] > ports[0] else 0


def endpoint(connection: Connection, end: int) -> Endpoint:
    """That end, with its address and its port."""
    return Endpoint(connection.flow if end else mirrored(connection.flow))


def end_name(connection: Connection, end: int, language: Language) -> str:
    """What an end is called in a sentence: client or server, or its address if it is not known who opened."""
    if connection.opener is None:
        return endpoint(connection, end).name
    gettext = translation(language).gettext
    return gettext("client") if end == connection.opener else gettext("server")


def sentence(connection: Connection, finding: Finding, language: Language) -> str:
    """What was found, without who did it."""
    gettext = translation(language).gettext
    # An ICMP report has words of its own to be translated.
    values: Mapping[str, int | str] = finding.values
    if "what" in values:
        values = {**values, "what": gettext(str(values["what"])).format(**values)}
    return gettext(finding.kind.text).format(**values)


def whole_sentence(connection: Connection, finding: Finding, language: Language) -> str:
    """Who did what."""
    what = sentence(connection, finding, language)
    if finding.sender is None:
        return what
    who = end_name(connection, finding.sender, language)
    return translation(language).gettext("{who}: {what}").format(who=who, what=what)


def ending(connection: Connection, language: Language) -> str:
    """How the connection ended, in a word or two."""
    text, end = outcome(connection)
    gettext = translation(language).gettext
    return gettext(text).format(who="" if end is None else end_name(connection, end, language))


def note_sentences(notes: Notes, language: Language) -> list[str]:
    """What is to be said of the capture as a whole."""
    gettext = translation(language).gettext
    return [gettext(text).format(**values) for text, values in notes.said()]

"""Who waited for what, when a run ended before its programs: a table, in two languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from synfin.show.words import N_, Language, translation
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.socket.virtual import Outcome, Waiter

_HEADINGS = (
    N_("host"),
    N_("program"),
    N_("thread or task"),
    N_("where"),
    N_("call"),
    N_("waits for"),
    N_("until"),
)
#: What the waits say of themselves, before what they name.
_PURPOSES = (
    N_("a lock"),
    N_("a notification"),
    N_("a lock of {}"),
    N_("the time"),
    N_("a socket"),
    N_("a future"),
    N_("the event loop"),
    N_("a connection to {}"),
    N_("the handshake of {}"),
    N_("data on {}"),
    N_("room to send on {}"),
    N_("something on {}"),
    N_("the thread {}"),
    N_("the task {}"),
)


def told(outcome: Outcome, language: Language) -> str:
    """Why the run ended, and a line for each thread and task that waited."""
    gettext = translation(language).gettext
    time = _seconds(outcome.time)
    if outcome.ending == "stuck":
        text = gettext("synfin: nothing is left to happen at {time}, and programs still wait:").format(time=time)
    else:
        text = gettext("synfin: the time limit has come at {time}, and programs still run:").format(time=time)
    rows = [[gettext(heading) for heading in _HEADINGS]]
    rows += [_row(waiter, language) for waiter in outcome.waiters]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = (
        "  ".join(word + " " * (width - cell_len(word)) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join((text, *lines))


def _row(waiter: Waiter, language: Language) -> list[str]:
    gettext = translation(language).gettext
    until = gettext("for ever") if waiter.deadline >= NEVER else _seconds(waiter.deadline)
    return [
        waiter.host,
        waiter.program,
        waiter.name,
        waiter.where,
        waiter.call,
        _purpose(waiter.waits_for, language),
        until,
    ]


def _purpose(text: str, language: Language) -> str:
    """The words, with what they name in its place."""
    gettext = translation(language).gettext
    for words in _PURPOSES:
        before, hole, _ = words.partition("{}")
        if text == words or (hole and text.startswith(before)):
            return gettext(words).format(text[len(before) :]) if hole else gettext(words)
    return text


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / SECOND:.6f}".rstrip("0").rstrip(".") + " s"

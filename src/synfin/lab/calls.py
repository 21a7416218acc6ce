"""What the programs saw: their calls, and what came of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import errorcode
from typing import Final

from synfin.lab.running import Run
from synfin.show.ladder_text import Clock, printable
from synfin.sim import Program
from synfin.sim.programs import Call

__all__ = ["call_rows", "ending"]

#: Calls of which nobody need be told when they went well.
_QUIET: Final = frozenset({"bind", "listen", "setsockopt"})
#: How many calls are told of at most, and how many of these are the last ones.
_MOST: Final = 24
_LAST: Final = 6
_LONGEST_DATA: Final = 24
_SECOND: Final = 1_000_000_000


def call_rows(run: Run, gettext: Callable[[str], str]) -> list[Sequence[str]]:
    """The rows of a table, its head first: when, who, which call, how long it took, what came of it; none if there
    were no calls."""
    calls = [
        (program, call)
        for program in run.programs
        for call in program.calls
        if call.name not in _QUIET or call.error is not None
    ]
    if not calls:
        return []
    calls.sort(key=lambda pair: pair[1].began)
    clock = Clock([0, *(call.began if call.ended is None else call.ended for _, call in calls)])
    unit = gettext("s") if clock.seconds else gettext("ms")
    rows: list[Sequence[str]] = [
        (
            gettext("at ({unit})").format(unit=unit),
            gettext("program"),
            gettext("call"),
            gettext("took ({unit})").format(unit=unit),
            gettext("what came of it"),
        )
    ]
    shown = calls if len(calls) <= _MOST else calls[: _MOST - _LAST] + calls[-_LAST:]
    for at, (program, call) in enumerate(shown):
        if len(shown) < len(calls) and at == _MOST - _LAST:
            rows.append(("", "", gettext("… {number} more").format(number=len(calls) - len(shown)), "", ""))
        took = "" if call.ended is None or call.ended == call.began else clock.text(call.ended - call.began)
        outcome = gettext("its host went down") if call.waits and program.gone else _outcome(call, gettext)
        rows.append((clock.text(call.began), _name(program, gettext), call.name, took, outcome))
    return rows


def ending(program: Program, gettext: Callable[[str], str]) -> str:
    """What became of a program, in a few words."""
    failed = [call for call in program.calls if call.error is not None and call.ended is not None]
    waiting = [call for call in program.calls if call.waits]
    said = []
    for call in failed[-1:]:
        if call.error is not None and call.ended is not None:
            error = f"{call.name}(): {error_name(call.error)}"
            said.append(gettext("{error} at {seconds} s").format(error=error, seconds=_seconds(call.ended)))
    if program.gone:
        said.append(gettext("its host went down"))
    elif waiting:
        said.append(gettext("still waits in {call}()").format(call=waiting[-1].name))
    elif not program.done:
        said.append(gettext("still runs"))
    elif program.error is None:
        ended = max((call.ended for call in program.calls if call.ended is not None), default=0)
        said.append(gettext("ended at {seconds} s").format(seconds=_seconds(ended)))
    return gettext(", ").join(said)


def _seconds(time: int) -> str:
    return f"{time / _SECOND:.3f}"


def error_name(error: OSError) -> str:
    """An error by its errno's name."""
    return errorcode.get(error.errno or 0, "") or str(error) or type(error).__name__


def _name(program: Program, gettext: Callable[[str], str]) -> str:
    # The hosts' names as in the ladder.
    return gettext(program.name) if program.name else program.node.name


def _outcome(call: Call, gettext: Callable[[str], str]) -> str:
    if call.waits:
        return gettext("still waits")
    if call.error is not None:
        return error_name(call.error)
    result = call.result
    if isinstance(result, bytes):
        if not result:
            return gettext("end of the stream") if call.name == "recv" else gettext("nothing")
        return gettext("{octets} octets: {data}").format(octets=len(result), data=_data(result))
    if isinstance(result, int) and call.name in ("send", "sendall"):
        return gettext("{octets} octets").format(octets=result)
    return gettext("done")


def _data(octets: bytes) -> str:
    """The beginning of some data, as text if it is text."""
    text = octets[:_LONGEST_DATA].decode("latin-1")
    if all(" " <= char <= "~" or char in "\r\n\t" for char in text):
        return f'"{printable(text)}{"…" if len(octets) > _LONGEST_DATA else ""}"'
    shown = octets[: _LONGEST_DATA // 3]
    return shown.hex(" ") + ("…" if len(octets) > len(shown) else "")

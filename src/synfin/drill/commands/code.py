"""Python snippets in a script, run over what TCP_INFO tells."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from types import CodeType

from synfin.drill.bench.machine import Machine
from synfin.drill.calls.constants import TCP_INFO_NAMES
from synfin.drill.language.script import Code
from synfin.drill.outcome import Failed, Skipped
from synfin.tcp import states
from synfin.tcp.info import NAMES, TcpInfo, listener_info, tcp_info

_PARTS = ("tcpi_snd_wscale", "tcpi_rcv_wscale", "tcpi_delivery_rate_app_limited", "tcpi_fastopen_client_fail")
_TIME_WAIT = TCP_INFO_NAMES["TCP_TIME_WAIT"]
_CLOSE = TCP_INFO_NAMES["TCP_CLOSE"]


class Snippets:
    """All snippets of a script, in one namespace. They are Python of the script's author, run as it stands, with all
    that Python may do; `allowed` says whether that is wanted."""

    __slots__ = ("_allowed", "_info", "_namespace")

    def __init__(self, info: Callable[[], TcpInfo], allowed: bool) -> None:
        self._info = info
        self._allowed = allowed
        self._namespace: dict[str, object] = {"__name__": "script", **TCP_INFO_NAMES}

    def run(self, code: Code, line: int) -> None:
        """Runs one, with TCP_INFO of now. Raises Failed if it fails in any way, Skipped if code is refused."""
        if not self._allowed:
            raise Skipped("code is refused (--no-code)")
        info = self._info()
        for name in (*NAMES, *_PARTS):
            self._namespace[name] = info[name]
        text = dedented(code.text)
        try:
            compiled = compile(text, f"line {line}", "exec")
            _execute(compiled, self._namespace)
        except AssertionError as error:
            said = f" ({error})" if error.args else ""
            raise Failed(f"the assertion does not hold{said}", text.strip(), self._values(text), "code") from None
        except (Exception, SystemExit) as error:
            raise Failed(f"the snippet raised {type(error).__name__}: {error}", text.strip(), "", "code") from None

    def _values(self, text: str) -> str:
        """The values that a snippet speaks of."""
        spoken = [name for name in (*NAMES, *_PARTS) if name in text]
        return ", ".join(f"{name} = {self._namespace[name]}" for name in spoken)


def info_under_test(machine: Machine) -> TcpInfo:
    """TCP_INFO of the connection under test, as its socket tells it."""
    info = TcpInfo()
    numbers = machine.numbers
    if numbers is None:
        for listener in machine.host.transport.all_listeners():
            return listener_info(listener)
        info.set("tcpi_state", _CLOSE)
        return info
    connection = machine.host.transport.connections.get(numbers.flow)
    if connection is None:
        for sock in machine.host.transport.sockets.values():
            held = sock.connection
            if held is not None and held.identity.flow == numbers.flow:
                connection = held
    if connection is not None and connection.state != states.TIME_WAIT:
        return tcp_info(connection, machine.now)
    waiting = numbers.flow in machine.host.transport.time_waits
    info.set("tcpi_state", _TIME_WAIT if waiting else _CLOSE)
    return info


def _execute(compiled: CodeType, namespace: dict[str, object]) -> None:
    exec(compiled, namespace)


def dedented(text: str) -> str:
    """A snippet without the indentation that all its lines have; a first line beside ``%{`` has none."""
    first, newline, rest = text.partition("\n")
    if not newline:
        return text.strip() + "\n"
    if first.strip():
        return first.strip() + "\n" + textwrap.dedent(rest)
    return textwrap.dedent(rest)

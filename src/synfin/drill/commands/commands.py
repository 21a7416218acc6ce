"""Commands in backticks: the few that scripts use, mapped to the host. No shell ever runs.

A line is cut at newlines, ``;`` and ``&&``. What is not known raises Skipped.
"""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from synfin.drill.bench.machine import ROOM, Machine
from synfin.drill.commands import sysctls
from synfin.drill.commands.counted import grep
from synfin.drill.options import IPV6, Settings
from synfin.drill.outcome import Failed, Skipped
from synfin.tcp import states

#: What states are called by sockstat and ss.
_STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ESTABLISHED": "ESTABLISHED",
        "SYN_SENT": "SYN-SENT",
        "SYN_RCVD": "SYN-RECEIVED",
        "FIN_WAIT_1": "FIN-WAIT-1",
        "FIN_WAIT_2": "FIN-WAIT-2",
        "TIME_WAIT": "TIME-WAIT",
        "CLOSED": "CLOSED",
        "CLOSE_WAIT": "CLOSE-WAIT",
        "LAST_ACK": "LAST-ACK",
        "LISTEN": "LISTEN",
        "CLOSING": "CLOSING",
    }
)
_COUNTED: Final = re.compile(r"(?:\[|test)\s+\"?\$\((.*)\)\"?\s+(?:-eq|=|==)\s+\"?(\d+)\"?\s*\]?")
_ROUTE_NUMBERS: Final = frozenset({"mtu", "advmss", "initcwnd"})
_PREFIXES: Final = frozenset({"source", "sudo", "sh", "bash", "python", "python3"})
_SEGMENTATION: Final = frozenset({"gso", "generic-segmentation-offload"})
_QUEUES: Final = frozenset({"pfifo", "pfifo_fast", "bfifo", "fq", "fq_codel", "noqueue", "mq"})


class Control(ABC):
    """What commands ask of a host. All may raise Skipped for what the host has not."""

    __slots__ = ()

    @abstractmethod
    def set(self, name: str, value: str) -> Mapping[str, str]:
        """Sets a parameter; returns the values before of all that were changed."""

    @abstractmethod
    def restore(self, values: Mapping[str, str]) -> None:
        """Sets what `set` had changed."""

    @abstractmethod
    def take_profile(self, name: str) -> None:
        """Sets the values of a profile."""

    @abstractmethod
    def change_route(self, network: str, source: str, values: Mapping[str, int]) -> None:
        """Changes a route; 0 stands for what is not said. Raises ValueError."""

    @abstractmethod
    def segment(self, on: bool) -> None:
        """Whether the host may hand over superpackets (generic segmentation offload)."""

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """All counters by nstat's names."""

    @abstractmethod
    def connections(self) -> list[tuple[str, str, str]]:
        """Local and remote address, and the state, of all there are."""

    @abstractmethod
    def drop(self, ports: tuple[str, str] | None) -> None:
        """Resets the connections between two ports, the local one first; all for None."""


class HostControl(Control):
    """That of synfin's host."""

    __slots__ = ("_machine",)

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def set(self, name: str, value: str) -> Mapping[str, str]:
        return sysctls.assign(self._machine.host.parameters, name, value)

    def restore(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._machine.host.parameters.set(name, value)

    def take_profile(self, name: str) -> None:
        sysctls.take_profile(self._machine.host.parameters, name)

    def change_route(self, network: str, source: str, values: Mapping[str, int]) -> None:
        machine = self._machine
        mtu, advmss, initcwnd = (values[name] for name in ("mtu", "advmss", "initcwnd"))
        host, now = machine.host, machine.now
        try:
            host.change_route(network, now, source=source, mtu=mtu, advmss=advmss, initcwnd=initcwnd)
        except KeyError:
            host.add_route(network, machine.interface, source=source, mtu=mtu, advmss=advmss, initcwnd=initcwnd)

    def segment(self, on: bool) -> None:
        interface = self._machine.interface
        interface.room = ROOM if on else interface.mtu

    def counters(self) -> dict[str, int]:
        return dict(self._machine.host.counters.items())

    def connections(self) -> list[tuple[str, str, str]]:
        return [(str(row.local), str(row.remote), row.state) for row in self._machine.host.connections()]

    def drop(self, ports: tuple[str, str] | None) -> None:
        host = self._machine.host
        for connection in list(host.transport.connections.values()):
            identity = connection.identity
            if ports is not None and (str(identity.local_port), str(identity.remote_port)) != ports:
                continue
            if connection.state not in (states.CLOSED, states.TIME_WAIT):
                host.abort(connection, self._machine.now)


class Commands:
    """The commands of one run. Counters are compared with those at the last ``nstat``, as that command does it.

    `settle` is called behind each, for what the host sends because of it.
    """

    __slots__ = ("_control", "_counted", "_saved", "_settings", "_settle")

    def __init__(self, control: Control, settings: Settings, settle: Callable[[], None]) -> None:
        self._control = control
        self._settings = settings
        self._settle = settle
        self._saved: dict[str, str] = {}
        self._counted: dict[str, int] = {}

    def run(self, text: str) -> None:
        """Does what a command says. Raises Skipped for what is not known, Failed if it ends with an error."""
        text = text.replace("\\\n", " ")
        for line in text.splitlines():
            for part in re.split(r";|&&", _without_comment(line)):
                if part.strip():
                    self._one(part.strip())

    def _one(self, text: str) -> None:
        counted = _COUNTED.fullmatch(text)
        if counted is not None:
            found = self._count(counted[1])
            if found != int(counted[2]):
                raise Failed(f"`{counted[1].strip()}` counts {found}", counted[2], str(found), "code")
            return
        if "|" in text:
            if not self._count(text):
                raise Failed(f"`{text}` finds nothing", "a match", self._shown(text), "code")
            return
        text = re.sub(r"\s*\d?>>?\s*(/dev/null|&\d)|\s*&>\s*/dev/null", "", text)
        if re.search(r"[<>`$()&]", re.sub(r"\$\{?PPID\}?", "", text)):
            raise Skipped(f"the command `{text}` is not known")
        words = _words(text)
        name = PurePosixPath(words[0]).name if words else ""
        if len(words) > 1 and (words[0] == "." or name in _PREFIXES):
            words = words[1:]
            name = PurePosixPath(words[0]).name
        handler = _COMMANDS.get(name)
        if handler is None and name.startswith("sysctl_restore"):
            handler = Commands._restore
        if handler is None:
            raise Skipped(f"the command `{_shortened(text)}` is not known")
        handler(self, words[1:])
        self._settle()

    # --- parameters

    def _sysctl(self, words: list[str]) -> None:
        for word in words:
            if word.startswith("-"):
                if set(word[1:]) - set("qwne"):
                    raise Skipped(f"sysctl {word} is not known")
                continue
            name, equals, value = word.partition("=")
            if equals:
                self._set(name, value)

    def _set_sysctls(self, words: list[str]) -> None:
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise Skipped(f"set_sysctls.py {word} is not known")
            self._set(name, value)

    def _set(self, name: str, value: str) -> None:
        before = self._control.set(name, value)
        for changed, old in before.items():
            self._saved.setdefault(changed, old)

    def _restore(self, words: list[str]) -> None:
        self._control.restore(self._saved)
        self._saved.clear()

    def _defaults(self, words: list[str]) -> None:
        self._control.take_profile("linux-suite")

    # --- the network

    def _ip(self, words: list[str]) -> None:
        words = [word for word in words if word not in ("-4", "-6")]
        if words[:1] == ["tcp_metrics"] and words[1:2] in (["flush"], ["del"], ["delete"]):
            return
        if words[:1] not in (["route"], ["ro"], ["r"]) or words[1:2] not in (["change"], ["replace"], ["chg"]):
            raise Skipped(f"the command `ip {' '.join(words)}` is not known")
        if len(words) < 3:
            raise Skipped("ip route change needs a network")
        self._change_route(words[2], words[3:])

    def _change_route(self, network: str, words: list[str]) -> None:
        values = dict.fromkeys(_ROUTE_NUMBERS, 0)
        source = ""
        rest = iter(words)
        for word in rest:
            value = next(rest, "")
            if word in _ROUTE_NUMBERS:
                if not value.isdecimal() or len(value) > 9:
                    raise Skipped(f"ip route change with {word} {value} is not known")
                values[word] = int(value)
            elif word == "src":
                source = value
            elif word not in ("via", "dev", "proto", "scope", "metric"):
                raise Skipped(f"ip route change with {word} is not known")
        whole = "::/0" if self._settings.ip == IPV6 else "0.0.0.0/0"
        target = whole if network == "default" else network
        try:
            self._control.change_route(target, source, values)
        except ValueError as error:
            raise Skipped(f"ip route change: {error}") from None

    def _tc(self, words: list[str]) -> None:
        # There is no queue behind the host, so that one which only orders or paces changes nothing.
        kinds = set(words) & _QUEUES
        if words[:1] not in (["qdisc"], ["q"]) or (words[1:2] not in (["del"], ["delete"], ["show"]) and not kinds):
            raise Skipped(f"the command `tc {' '.join(words)}` is not known")

    def _ethtool(self, words: list[str]) -> None:
        if words[:1] not in (["-K"], ["--features"], ["--offload"]):
            raise Skipped(f"the command `ethtool {' '.join(words)}` is not known")
        for feature, state in zip(words[2::2], words[3::2], strict=False):
            if feature in _SEGMENTATION:
                self._control.segment(state == "on")

    # --- counting

    def _nstat(self, words: list[str]) -> None:
        if "-s" not in words and "--noupdate" not in words:
            self._counted = self._control.counters()

    def _nothing(self, words: list[str]) -> None:
        """It says something, or succeeds."""

    def _count(self, text: str) -> int:
        """How many lines go through a pipe of grep."""
        first, *filters = _pipe(text)
        words = _words(first)
        if not words:
            raise Skipped(f"the command `{_shortened(text)}` is not known")
        name, arguments = PurePosixPath(words[0]).name, words[1:]
        if name == "nstat":
            lines = self._counters(arguments)
        elif name in ("sockstat", "netstat", "ss"):
            lines = self._states()
        else:
            raise Skipped(f"the command `{_shortened(text)}` is not known")
        for each in filters:
            lines = grep(lines, _words(each))
        return len(lines)

    def _counters(self, arguments: list[str]) -> list[str]:
        before = {} if "-a" in arguments else self._counted
        after = self._control.counters()
        lines = [f"{name:<32}{value - before.get(name, 0):<16}0.0" for name, value in after.items()]
        lines = [line for line in lines if "-z" in arguments or line.split()[1] != "0"]
        self._nstat(arguments)
        return lines

    def _states(self) -> list[str]:
        lines = []
        for local, remote, ours in self._control.connections():
            state = next((name for name, other in _STATES.items() if other == ours), ours)
            lines.append(f"root     script     1     3  tcp4   {local}     {remote}     {state}")
        return lines

    def _shown(self, text: str) -> str:
        if "nstat" in text:
            return ", ".join(f"{name} {value}" for name, value in self._control.counters().items())
        return ", ".join(state for _, _, state in self._control.connections())

    def _tcpdrop(self, words: list[str]) -> None:
        """Resets connections: those of the addresses and ports given, or with ``-a`` all."""
        if "-a" in words:
            self._control.drop(None)
        elif len(words) == 4:
            self._control.drop((words[1], words[3]))
        else:
            raise Skipped(f"the command `tcpdrop {' '.join(words)}` is not known")


_COMMANDS: Final[Mapping[str, Callable[[Commands, list[str]], None]]] = MappingProxyType(
    {
        "sysctl": Commands._sysctl,
        "set_sysctls.py": Commands._set_sysctls,
        "defaults.sh": Commands._defaults,
        "ip": Commands._ip,
        "tc": Commands._tc,
        "ethtool": Commands._ethtool,
        "nstat": Commands._nstat,
        "tcpdrop": Commands._tcpdrop,
        "true": Commands._nothing,
        ":": Commands._nothing,
        "echo": Commands._nothing,
    }
)


def _pipe(text: str) -> list[str]:
    """The parts of a pipe; a ``|`` in quotes is none."""
    parts = [""]
    quote = ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        if character == "|" and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise Skipped(f"the command `{_shortened(text)}` is not known") from None


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line)


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"

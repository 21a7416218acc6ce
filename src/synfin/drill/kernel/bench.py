"""The kernel under test as the runner sees it: its packets and its time, which is that of the clock on the wall."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping
from typing import Final

from synfin.drill.bench.bench import SECOND, START, Bench
from synfin.drill.bench.numbers import Numbers
from synfin.drill.commands import sysctls
from synfin.drill.commands.commands import Control
from synfin.drill.options import IPV6, Choices, Settings
from synfin.drill.outcome import Skipped
from synfin.host.parameters import text
from synfin.host.profiles import PROFILES, parameters
from synfin.link.kernel import KernelHost, change_route

#: The profiles that a kernel of Linux can be.
OF_LINUX: Final = frozenset({"linux", "linux-suite"})
#: Reno is the one of synfin's that a namespace may choose: others are restricted to the machine's own.
_CONGESTION: Final = "net.ipv4.tcp_congestion_control"
_PAUSE: Final = SECOND // 1000


def as_synfin(profile: str) -> dict[str, str]:
    """The parameters with which a kernel behaves as synfin does under a profile, by sysctl's names.

    They are the profile's own, those of loss recovery with them, Reno, and the values at which what synfin does not do
    is switched off: Fast Open, compressed ACKs and the like.
    """
    chosen = parameters(profile)
    values = {name: min(every) for name, every in sysctls.NATURE.items()}
    values |= {name: text(chosen.get(name)) for name in chosen.names()}
    return {**values, _CONGESTION: "reno"}


class KernelBench(Bench):
    """A kernel in a namespace of its own. `wake` is a descriptor by which calls under way tell that they are over.
    `late` is by how much we have been late at worst, in nanoseconds, because the machine was busy."""

    __slots__ = ("_began", "kernel", "late", "wake")

    def __init__(self, profile: str, settings: Settings, choices: Choices) -> None:
        if profile not in OF_LINUX:
            raise Skipped(f"the kernel cannot be '{profile}'")
        super().__init__(profile, settings, choices)
        own = f"{settings.local_ip}/{64 if settings.ip == IPV6 else 16}"
        self.kernel = KernelHost({}, settings.mtu, [own])
        self._began = time.monotonic_ns()
        self.late = 0
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for name, value in as_synfin(profile).items():
            # Some are the machine's and not the namespace's, some are of another version.
            write(self.kernel, name, value)

    def close(self, awaited: bool = False) -> None:
        """Ends the namespace with all that is in it. `awaited`: a call may yet tell that it is over."""
        self.kernel.close()
        if not awaited:
            os.close(self.wake)

    def begin(self) -> None:
        self.settle()
        self._began = time.monotonic_ns()
        self.now = START

    def is_known(self, numbers: Numbers) -> bool:
        if numbers.local_isn is None and numbers.remote_isn is None:
            return False
        return (numbers.local[1], numbers.remote[1]) in self.kernel.states()

    def listens(self, port: int) -> bool:
        return (port, 0) in self.kernel.states()

    # --- packets

    def arrive(self, packet: bytes, segment_size: int = 0) -> None:
        """Gives the kernel a packet, which it takes whole however large it is."""
        self.kernel.send_octets(packet)
        self.settle()

    def settle(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Takes what the kernel has sent; whether there was something."""
        found = False
        while (frame := self.kernel.link.receive()) is not None:
            self._look_at_the_clock()
            self.left(bytes(frame.data))
            found = True
        self._look_at_the_clock()
        return found

    # --- time

    def _look_at_the_clock(self) -> None:
        self.now = START + time.monotonic_ns() - self._began

    def advance(self, limit: int) -> bool:
        if self._read():
            return True
        if self._wait(limit - self.now):
            return True
        self.late = max(self.late, self.now - limit)
        return False

    def pause(self) -> None:
        """Gives a call under way a moment to be over."""
        self._wait(_PAUSE)

    def _wait(self, duration: int) -> bool:
        ready, _, _ = select.select([self.kernel.link.fileno(), self.wake], [], [], max(duration, 0) / SECOND)
        if self.wake in ready:
            os.eventfd_read(self.wake)
        self._read()
        return bool(ready)


class KernelControl(Control):
    """What commands ask of a kernel."""

    __slots__ = ("_kernel",)

    def __init__(self, kernel: KernelHost) -> None:
        self._kernel = kernel

    def set(self, name: str, value: str) -> Mapping[str, str]:
        name = sysctls.dotted(name)
        if name in sysctls.IDLE:
            return {}
        if not name.startswith("net."):
            raise Skipped("the kernel does not have synfin's own parameters")
        before = read(self._kernel, name)
        if before is None or not write(self._kernel, name, sysctls.plain(value)):
            raise Skipped(f"the kernel has no parameter {name} = {value}")
        return {name: before}

    def restore(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            write(self._kernel, name, value)

    def take_profile(self, name: str) -> None:
        for parameter, value in PROFILES[name].values.items():
            write(self._kernel, parameter, text(value))

    def segment(self, on: bool) -> None:
        """The kernel's device offers none; what the kernel cuts itself looks the same."""

    def change_route(self, network: str, source: str, values: Mapping[str, int]) -> None:
        kernel = self._kernel
        metrics = {name: value for name, value in values.items() if value}
        kernel.inside(lambda: change_route(kernel.link.name, network, "replace", source, metrics))

    def counters(self) -> dict[str, int]:
        return self._kernel.counters()

    def connections(self) -> list[tuple[str, str, str]]:
        return [(f"*.{local}", f"*.{remote}", state) for (local, remote), state in self._kernel.states().items()]

    def drop(self, ports: tuple[str, str] | None) -> None:
        raise Skipped("the kernel has no tcpdrop")


def read(kernel: KernelHost, name: str) -> str | None:
    """The value of a parameter by sysctl's name; None if the namespace has none."""
    try:
        return kernel.sysctl(name.removeprefix("net.").replace(".", "/"))
    except OSError:
        return None


def write(kernel: KernelHost, name: str, value: str) -> bool:
    """Sets a parameter by sysctl's name; False if the namespace has none, or not with that value."""
    try:
        kernel.sysctl(name.removeprefix("net.").replace(".", "/"), value)
    except (OSError, ValueError):
        return False
    return True

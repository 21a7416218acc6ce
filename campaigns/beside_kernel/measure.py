"""One run: two namespaces, a forwarder between them, a sender, a receiver, and what came of it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.context import ForkProcess
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from campaigns.beside_kernel import ends
from campaigns.beside_kernel.cells import KERNEL, RATE, Result, Run, Settings
from campaigns.beside_kernel.forwarder import Forwarded, forward
from campaigns.beside_kernel.meter import Meter
from campaigns.beside_kernel.namespace import new_namespace
from campaigns.beside_kernel.way import Way

MILLISECOND: Final = 1_000_000
#: How long a process may take to begin, and to end, in seconds.
READY: Final = 30.0
#: With loss, runs are so much longer: at 100 ms a sender loses one packet a second, and takes seconds to grow again.
LOSSY_FACTOR: Final = 3

#: A run does not count when more of the packets were written over 1 ms late, in percent, or one so many milliseconds,
#: or when a process used more of its core, in percent, or waited longer for one, in percent of the time.
LATE_LIMIT: Final = 1.0
WORST_LIMIT: Final = 20.0
CPU_LIMIT: Final = 90.0
WAITED_LIMIT: Final = 25.0

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_fork = multiprocessing.get_context("fork")


_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class FailedError(Exception):
    """A process of the run did not do its part."""


def _begin(target: Callable[..., None], *arguments: object) -> None:
    """What a process does first: it ends with the campaign, whatever becomes of that, and leaves Ctrl-C to it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target(*arguments)


class Part:
    """A process of a run. A context manager, which waits until it is ready, and ends it.

    `target` is given a pipe and the `arguments`. Raises FailedError if it never becomes ready.
    """

    def __init__(self, name: str, target: Callable[..., None], *arguments: object) -> None:
        self.name = name
        self.pipe, theirs = _fork.Pipe()
        self._process: ForkProcess = _fork.Process(target=_begin, args=(target, theirs, *arguments), daemon=True)
        self._process.start()
        # Else the end of the process would not be the end of the pipe.
        theirs.close()

    def __enter__(self) -> Part:
        try:
            self.hear(READY)
        except FailedError:
            self.close()
            raise
        self._began = monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.join()
        self.pipe.close()

    def hear(self, seconds: float) -> object:
        """What the process says next. Raises FailedError if it says nothing in that time."""
        try:
            if self.pipe.poll(seconds):
                said: object = self.pipe.recv()
                return said
        except EOFError:
            pass
        raise FailedError(f"the {self.name} said nothing")

    def shares(self) -> tuple[float, float]:
        """Percent of the time since it was ready that the process ran, and that it waited for a core."""
        took = (monotonic() - self._began) / 100
        process = Path(f"/proc/{self._process.pid}")
        # proc(5): utime and stime are fields 14 and 15, counted from the name's parenthesis.
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        schedule = process / "schedstat"
        waited = int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0
        return (int(fields[11]) + int(fields[12])) / _TICKS / took, waited / took


def ways(run: Run) -> tuple[Way, Way]:
    """The direction of the data and that of the acknowledgments, of which none are lost at random."""
    cell = run.cell
    delay = cell.rtt * MILLISECOND // 2
    random = Random(run.seed)
    return Way(RATE, cell.queue, delay, cell.loss / 100, random), Way(RATE, cell.queue, delay, 0.0, random)


def seconds_of(run: Run, settings: Settings) -> float:
    """How long the run is measured."""
    return settings.seconds * (LOSSY_FACTOR if run.cell.loss else 1)


def measure(run: Run, settings: Settings) -> Result:
    """Does the run. Raises FailedError."""
    cell = run.cell
    meter = Meter(settings.warm_up, seconds_of(run, settings))
    with ExitStack() as opened:
        namespaces = [new_namespace() for _ in range(2)]
        for namespace in namespaces:
            opened.callback(os.close, namespace)
        forwarder = opened.enter_context(Part("forwarder", forward, namespaces, ways(run)))
        there = ends.address(cell.receiver, ends.RECEIVER)
        receive = ends.kernel_receive if cell.receiver == KERNEL else ends.synfin_receive
        receiver = opened.enter_context(
            Part("receiver", receive, _end(cell.receiver, namespaces[ends.RECEIVER], settings), meter)
        )
        send = ends.kernel_send if cell.sender == KERNEL else ends.synfin_send
        sender = opened.enter_context(Part("sender", send, _end(cell.sender, namespaces[ends.SENDER], settings), there))
        octets = receiver.hear(2 * ends.PATIENCE + meter.lasts)
        parts = (forwarder, sender, receiver)
        shares = {part.name: part.shares() for part in parts}
        forwarder.pipe.send("end")
        forwarded = forwarder.hear(READY)
    if not isinstance(octets, int) or not isinstance(forwarded, Forwarded):
        raise FailedError("nothing arrived")
    late = 100 * forwarded.late / max(forwarded.written, 1)
    cpu = {name: round(ran, 1) for name, (ran, _) in shares.items()}
    waited = {name: round(share, 1) for name, (_, share) in shares.items()}
    return Result(
        rate=round(octets * 8 / seconds_of(run, settings) / 1e6, 3),
        packets=forwarded.arrived,
        lost=forwarded.lost,
        dropped=forwarded.dropped,
        late=round(late, 3),
        worst=round(forwarded.worst, 1),
        cpu=cpu,
        waited=waited,
        invalid=complaint(forwarded, late, cpu, waited),
    )


def _end(kind: str, namespace: int, settings: Settings) -> ends.End:
    return ends.End(namespace, "cubic" if kind == KERNEL else settings.congestion)


def complaint(forwarded: Forwarded, late: float, cpu: dict[str, float], waited: dict[str, float]) -> str:
    """Why the run does not count; nothing if it does."""
    if forwarded.device_drops:
        return f"the devices dropped {forwarded.device_drops} packets"
    if late > LATE_LIMIT or forwarded.worst > WORST_LIMIT:
        return f"{late:.1f} % of the packets were late, the worst {forwarded.worst:.0f} ms"
    for name, share in cpu.items():
        if share > CPU_LIMIT:
            return f"the {name} used {share:.0f} % of a core"
    for name, share in waited.items():
        if share > WAITED_LIMIT:
            return f"the {name} waited {share:.0f} % of the time for a core"
    return ""

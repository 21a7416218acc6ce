"""Programs on the hosts of a simulated network, run unmodified and in virtual time.

network = Network(seed=1)
...
programs = Programs(network)
programs.add("server", Path("server.py"), background=True)
programs.add("client", main)
outcome = programs.run()
"""

from __future__ import annotations

import concurrent.futures.thread as executors
import gc
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from synfin.sim.network import Network
from synfin.sim.node import Node
from synfin.socket.virtual import chance
from synfin.socket.virtual.baton import Baton, Ending, here
from synfin.socket.virtual.order import counted
from synfin.socket.virtual.outputs import Label, outputs
from synfin.socket.virtual.program import Body, Program
from synfin.socket.virtual.replacing import replaced
from synfin.socket.virtual.waiters import Waiter, waiters
from synfin.socket.virtual.waiting import VirtualWaiting
from synfin.socket.ways_to_wait import use
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER

#: 2026-01-01 00:00 UTC, in nanoseconds since 1970.
EPOCH: Final = 1_767_225_600 * SECOND

#: Programs of one network at a time have the standard library of a process.
_alone: Final = threading.Lock()


class Outcome:
    """How a run ended: `ending`, at the time `time` (nanoseconds). `waiters` are those who waited then."""

    def __init__(self, ending: Ending, time: int, waiting: list[Waiter], programs: Sequence[Program]) -> None:
        self.ending: Ending = ending
        self.time = time
        self.waiters = waiting
        self.programs = programs

    @property
    def exit_code(self) -> int:
        """0 if all went well; 1 if the run was stuck or came to its limit; else what the first program that failed
        said."""
        failed = next((one.exit_code for one in self.programs if one.exit_code), 0)
        return failed or int(self.ending != "ended")

    def __repr__(self) -> str:
        return f"Outcome({self.ending} at {self.time} ns, exit code {self.exit_code})"


class Programs:
    """What runs on the hosts of `network`, from `add` to `run`.

    Nothing happens after `limit`. When all programs but those in the background have ended, the rest goes on for
    `settle`, so that connections can end. `epoch` is the time of day at the beginning. All in nanoseconds. `failed` is
    called with each program that raised something, when it did. `label` gives what stands before each line of a
    program's.
    """

    def __init__(
        self,
        network: Network,
        *,
        limit: int = NEVER,
        settle: int = SECOND,
        epoch: int = EPOCH,
        failed: Callable[[Program], object] | None = None,
        label: Label | None = None,
    ) -> None:
        self.network = network
        self.baton = Baton(network, limit)
        self.programs: list[Program] = []
        self._settle = settle
        self._epoch = epoch
        self._failed = failed
        self._label = label
        self._starts: list[tuple[int, Program]] = []
        #: Those that count and have not ended.
        self._awaited = 0

    def add(
        self,
        host: str,
        body: Body,
        argv: Sequence[str] = (),
        *,
        name: str = "",
        start: int = 0,
        background: bool = False,
        restart: bool = False,
    ) -> Program:
        """A program to be started at the time `start`; see `Program`. Raises KeyError if there is no such host."""
        node = self.network.nodes[host]
        number = len(self.programs)
        plain = name or getattr(body, "name", "") or getattr(body, "__name__", "program")
        program = Program(
            self.baton, node, plain, number, body, argv, self._epoch, self._program_ended, background, restart
        )
        self.programs.append(program)
        self._starts.append((start, program))
        if not background:
            self._awaited += 1
        return program

    @contextmanager
    def on(self, host: str) -> Iterator[VirtualWaiting]:
        """Sockets that the calling program makes in this context, and in the tasks made in it, belong to `host`: one
        event loop for many hosts."""
        strand = here()
        if strand is None:
            raise RuntimeError("only a program of the network has a place in it")
        made = strand.program.elsewhere
        if host not in made:
            made[host] = VirtualWaiting(self.baton, self.network.nodes[host])
        with use(made[host]):
            yield made[host]

    def run(self) -> Outcome:
        """Runs it all, in threads of their own, and returns when it has ended. The standard library is as before then,
        whatever happened.

        Raises RuntimeError within another run, and whatever went wrong in the network itself.
        """
        if here() is not None or not _alone.acquire(blocking=False):
            raise RuntimeError("programs of another network run in this process")
        try:
            return self._run()
        finally:
            _alone.release()

    def _run(self) -> Outcome:
        baton = self.baton
        with ExitStack() as stack:
            stack.enter_context(_process_kept())
            stack.enter_context(counted())
            stack.enter_context(replaced())
            stack.enter_context(outputs(self._label))
            stack.enter_context(chance.seeded(self.network))
            for node in self.network.nodes.values():
                self._serve(node)
            for start, program in self._starts:
                self.network.at(start, partial(self._launch, program))
            if not self._awaited:
                # Nobody whose end could be waited for: all the time that there is.
                baton.closing_time = min(baton.limit, NEVER - 1)
            try:
                baton.run()
                found = waiters(baton)
            finally:
                self._end()
        if baton.failure is not None:
            raise baton.failure
        return Outcome(baton.ending, self.network.now, found, self.programs)

    def _end(self) -> None:
        """Ends what still runs. What it leaves open is no concern of whoever listens to warnings."""
        for program in self.programs:
            program.end()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            if not self.baton.is_given_up:
                self.baton.end()
            gc.collect()

    def _launch(self, program: Program) -> None:
        if program.node.up:
            program.start()
        elif not program.restart:
            # Nobody is there to start it.
            self._program_ended(program)

    # --- hosts

    def _serve(self, node: Node) -> None:
        def changed(entry: Connection | Listener) -> None:
            for program in self.programs:
                for waiting in (program.waiting, *program.elsewhere.values()):
                    if waiting.node is node:
                        waiting.tell(entry)

        def booted(_: Node) -> None:
            node.changed = changed
            for program in self.programs:
                if program.node is node and program.restart:
                    self._restart(program)

        def halted(_: Node) -> None:
            for program in self.programs:
                if program.node is node:
                    program.kill()

        node.changed = changed
        node.booted = booted
        node.halted = halted

    def _restart(self, program: Program) -> None:
        if program.running:
            # It was told to end, and has yet to.
            program.again = True
        elif program.started:
            self._awaited += not program.background
            self.baton.closing_time = NEVER if self._awaited else self.baton.closing_time
            program.start()

    def _program_ended(self, program: Program) -> None:
        if program.error is not None and self._failed is not None:
            self._failed(program)
        if not program.background:
            self._awaited -= 1
            if not self._awaited and not program.again:
                self.baton.closing_time = self.network.now + self._settle
        if program.again:
            program.again = False
            self._restart(program)


@contextmanager
def _process_kept() -> Iterator[None]:
    """What programs share with the process comes back. What is in cycles is collected when the baton says so, because
    when the interpreter does it depends on what it did before."""
    argv, path, main = sys.argv, sys.path, sys.modules["__main__"]
    shutdown = executors._shutdown
    collects = gc.isenabled()
    gc.disable()
    # What was there before is none of ours.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
        sys.argv, sys.path = argv, path
        sys.modules["__main__"] = main
        executors._shutdown = shutdown

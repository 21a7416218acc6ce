"""A program on a host of the simulated network: a script or a function, with what a process has of its own."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures.thread as executors
import inspect
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from synfin.sim.node import Node
from synfin.socket.virtual.baton import Baton, Ended, Strand
from synfin.socket.virtual.threads import start_strand, strand_of
from synfin.socket.virtual.waiting import VirtualWaiting

#: Process numbers begin above any that Linux gives, so that none is that of a real process.
FIRST_PID: Final = (1 << 22) + 1
_start: Final = threading.Thread.start

#: What a program may be: the path of a script, or a function, which may be a coroutine function.
Body = Path | Callable[[], object]


class Program:
    """A program called `name` on `node`.

    A script finds `argv` in sys.argv, its folder first in sys.path, and itself as ``__main__``. `background`: the run
    does not wait for it. `restart`: it is started again when its host is. `epoch` is the time of day when the network
    began (nanoseconds since 1970).
    """

    def __init__(
        self,
        baton: Baton,
        node: Node,
        name: str,
        number: int,
        body: Body,
        argv: Sequence[str],
        epoch: int,
        ended: Callable[[Program], object],
        background: bool = False,
        restart: bool = False,
    ) -> None:
        self.baton = baton
        self.node = node
        self.name = name
        self.number = FIRST_PID + number
        self.body = body
        self.epoch = epoch
        self.background = background
        self.restart = restart
        self.random = baton.network.random(f"program {number} on {node.name}")
        self._ended = ended
        self._folder = f"{body.parent.absolute()}{os.sep}" if isinstance(body, Path) else ""
        self._words = [str(body) if isinstance(body, Path) else name, *argv]
        #: Threads that have not ended.
        self.strands: dict[Strand, None] = {}
        self.main: Strand | None = None
        #: What signal.signal was told.
        self.handlers: dict[int, Any] = {}
        #: What atexit.register was told.
        self.at_exit: list[partial[object]] = []
        self.waiting = VirtualWaiting(baton, node)
        #: Also on other hosts: the ways to wait that `Programs.on` made.
        self.elsewhere: dict[str, VirtualWaiting] = {}
        #: What it raised, if it did.
        self.error: BaseException | None = None
        self.exit_code = 0
        #: What the function returned.
        self.result: Any = None
        #: Whether it runs; whether it ever did; whether it is to start again when it has ended.
        self.running = self.started = self.again = False
        self._exiting = False
        self._begin()

    def _begin(self) -> None:
        """What a new process has."""
        self._argv = list(self._words)
        self._path = [str(self.body.parent.absolute()), *sys.path] if isinstance(self.body, Path) else list(sys.path)
        self._module = ModuleType("__main__")
        self._module.__dict__["__builtins__"] = builtins
        if isinstance(self.body, Path):
            self._module.__file__ = str(self.body)
        self._exiting = False
        #: What it imported from beside the script, by name; and how many modules there were when it went on.
        self._modules: dict[str, ModuleType] = {}
        self._known = 0

    @property
    def script(self) -> Path | None:
        return self.body if isinstance(self.body, Path) else None

    # --- its life

    def start(self) -> None:
        """Begins, on a host that is up."""
        self._begin()
        self.handlers.clear()
        self.at_exit.clear()
        self.waiting = VirtualWaiting(self.baton, self.node)
        self.elsewhere.clear()
        thread = threading.Thread(target=self._run, name="MainThread", daemon=False)
        self.main = Strand(self.baton, self, thread)
        self.strands = {self.main: None}
        self.running = self.started = True
        start_strand(thread, self.main, _start)

    def kill(self) -> None:
        """Its host was switched off: its threads end where they wait."""
        self._let_go(True)
        self.baton.dismiss(list(self.strands))

    def _let_go(self, down: bool) -> None:
        for waiting in (self.waiting, *self.elsewhere.values()):
            waiting.abandoned = True
            waiting.down |= down

    def end(self) -> None:
        """The network stands still."""
        self._let_go(True)

    def lost(self, strand: Strand) -> None:
        """One of its threads has ended."""
        self.strands.pop(strand, None)

    def _run(self) -> None:
        try:
            self.result = self._work()
        except Ended:
            pass
        except SystemExit as end:
            self.exit_code = _exit_code(end.code)
        except BaseException as error:
            self.error = error
            self.exit_code = 1
        try:
            self._exit()
        finally:
            self.running = False
            self._ended(self)

    def _work(self) -> object:
        body = self.body
        if not isinstance(body, Path):
            if inspect.iscoroutinefunction(body):
                return asyncio.run(body())
            return body()
        code = compile(body.read_bytes(), str(body), "exec", dont_inherit=True)
        exec(code, self._module.__dict__)
        return None

    def _exit(self) -> None:
        """What the interpreter does when the main thread is through, and then the system."""
        me = self.main
        with suppress(Ended):
            self._exiting = True
            if not self.baton.is_given_up:
                self.enter()
            for thread, work in list(executors._threads_queues.items()):
                if strand_of(thread) in self.strands:
                    work.put(None)
            for strand in [one for one in self.strands if not one.daemon and one is not me]:
                self.baton.wait_for_end(strand)
            while self.at_exit:
                self.at_exit.pop()()
        rest = [one for one in self.strands if one is not me]
        self._let_go(False)
        with suppress(Ended):
            self.baton.dismiss(rest)
            for strand in rest:
                self._wait_until_gone(strand)
        for waiting in (self.waiting, *self.elsewhere.values()):
            with suppress(Ended):
                waiting.close_all()

    def _wait_until_gone(self, strand: Strand) -> None:
        while not strand.done and not strand.left_behind:
            self.baton.give_way()

    # --- what it has for itself, although all programs are one process

    def enter(self) -> None:
        """One of its threads goes on."""
        sys.argv, sys.path = self._argv, self._path
        sys.modules["__main__"] = self._module
        sys.modules.update(self._modules)
        self._known = len(sys.modules)
        # What the threads of executors look at when they have nothing to do.
        executors._shutdown = self._exiting

    def leave(self) -> None:
        """A thread of another program goes on."""
        self._argv, self._path = sys.argv, sys.path
        if self._folder and len(sys.modules) != self._known:
            self._modules.update((name, one) for name, one in sys.modules.items() if self._is_own(one))
        for name in self._modules:
            sys.modules.pop(name, None)

    def _is_own(self, module: ModuleType) -> bool:
        """Whether it belongs to the script: another program has its own copy, as another process has."""
        file = getattr(module, "__file__", None)
        return (
            isinstance(file, str)
            and module is not self._module
            and file.startswith(self._folder)
            and "site-packages" not in file
        )

    def __repr__(self) -> str:
        return f"<Program {self.name} on {self.node.name}>"


def _exit_code(code: object) -> int:
    """As the interpreter takes what sys.exit was given."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1

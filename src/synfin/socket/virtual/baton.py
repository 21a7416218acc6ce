"""The baton: of all threads of all programs in a simulated network exactly one runs, the one that holds it.

It changes hands only where the holder waits, and then to whoever has been ready for longest. When nobody is ready, time
jumps to what happens next: an event of the network, or a deadline of somebody who waits. So a run is a function of the
programs, the network and its seed, whatever the system's scheduler does.
"""

from __future__ import annotations

import _thread
import gc
import selectors
import threading
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from synfin.sim.network import Network
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.socket.virtual.program import Program

#: Of the system's, also while ours is in its place.
allocate_lock: Final = _thread.allocate_lock

#: How a run may end: all programs that count have ended; nothing is ready and no deadline is left; the limit has come.
Ending: TypeAlias = Literal["ended", "stuck", "limit"]

#: What a busy loop may do before its host's time moves on, in looks that cost nothing.
GLANCES: Final = 100_000
#: By how much it then does, in nanoseconds.
GLANCED: Final = 1_000_000
#: How often a thread is told that it has ended, before it is left behind.
PATIENCE: Final = 100
#: After this many turns what is in cycles is collected, and never at another time: files close when it is.
TURNS_TO_COLLECT: Final = 50_000


class Ended(BaseException):
    """The program of this thread has ended, or its host was switched off: raised by whatever would wait."""


class Strand:
    """A thread of a program, as the baton knows it.

    `waits_for` says what it waits for, for people; `deadline` until when (nanoseconds; NEVER: for ever). `purpose` is
    what the next waits are for, where who waits does not know.
    """

    __slots__ = (
        "baton",
        "deadline",
        "done",
        "ended",
        "ending",
        "gate",
        "glances",
        "left_behind",
        "parked",
        "program",
        "purpose",
        "refusals",
        "system",
        "thread",
        "wait_number",
        "waits_for",
    )

    def __init__(self, baton: Baton, program: Program, thread: threading.Thread | None) -> None:
        self.baton = baton
        self.program = program
        self.thread = thread
        self.gate = allocate_lock()
        self.gate.acquire()
        self.waits_for: Callable[[], str] = str
        self.purpose: Callable[[], str] | None = None
        self.deadline = NEVER
        #: Whether it waits to be woken.
        self.parked = False
        #: A number for each wait, by which a deadline knows that it came too late.
        self.wait_number = 0
        #: Descriptors of the system's that wake it too.
        self.system: selectors.BaseSelector | None = None
        self.glances = 0
        #: Whether it has been told to end, and how often it did not.
        self.ending = False
        self.refusals = 0
        self.left_behind = False
        self.done = False
        #: Who waits for its end.
        self.ended: list[Strand] = []

    @property
    def daemon(self) -> bool:
        """Whether its program ends without waiting for it."""
        return self.thread is None or self.thread.daemon


class _Here(threading.local):
    strand: Strand | None = None


_here: Final = _Here()


def here() -> Strand | None:
    """The strand that makes this call; None for a thread that takes no part."""
    return _here.strand


class Baton:
    """Says whose turn it is on the hosts of `network`. `limit` is the time beyond which nothing happens."""

    def __init__(self, network: Network, limit: int = NEVER) -> None:
        self.network = network
        self.limit = limit
        #: When the last program that counts ended, and with it the run soon does; NEVER: one still runs.
        self.closing_time = NEVER
        #: All that have not ended, in the order in which they began.
        self.strands: dict[Strand, None] = {}
        self.ending: Ending = "ended"
        #: What went wrong in the network itself.
        self.failure: BaseException | None = None
        #: Whether nothing more is to happen.
        self._over = False
        self._interrupted = False
        self._holder: Strand | None = None
        self._ready: deque[Strand] = deque()
        self._sleeping: list[tuple[int, int, Strand, int]] = []
        self._count = 0
        #: Whether a program ran since descriptors of the system's were looked at: nobody else changes them.
        self._ran = True
        self._turns = 0
        self._program: Program | None = None
        self._outside = allocate_lock()
        self._outside.acquire()

    # --- from outside

    def run(self) -> None:
        """Gives the baton away, and returns when it comes back: at the end. `ending` says which."""
        self._hand_over(self._next())
        try:
            self._outside.acquire()
        except KeyboardInterrupt:
            # Whoever runs comes to an end of its turn first; a second interrupt does not wait for that.
            self._interrupted = True
            self._outside.acquire()
            self._interrupted = False
            raise
        except BaseException:
            # A time-out of somebody's, which would not come again.
            self._interrupted = True
            raise

    @property
    def is_given_up(self) -> bool:
        """Whether somebody still runs who was interrupted in vain."""
        return self._interrupted

    def end(self) -> bool:
        """Ends every strand, each by an `Ended` out of what it waits in; the network stands still. Whether all did:
        some may refuse."""
        self._over = True
        self.dismiss(list(self.strands))
        self.run()
        return not self.strands

    def dismiss(self, strands: list[Strand]) -> None:
        """Tells these to end."""
        for strand in strands:
            strand.ending = True
            self.wake(strand)

    # --- threads begin and end

    def spawn(self, strand: Strand) -> None:
        """A new strand, which gets its turn after those that are ready now."""
        self.strands[strand] = None
        self._ready.append(strand)

    def begin(self, strand: Strand) -> None:
        """To be called by the thread itself, first: returns when it is its turn."""
        strand.gate.acquire()
        _here.strand = strand
        if strand.ending:
            raise Ended

    def finish(self, strand: Strand) -> None:
        """The thread ends, and gives the baton away for good."""
        del self.strands[strand]
        strand.done = True
        for other in strand.ended:
            self.wake(other)
        strand.program.lost(strand)
        _here.strand = None
        self._ran = True
        self._hand_over(self._next())

    # --- waiting

    def wait(
        self, deadline: int, waits_for: Callable[[], str] = str, system: selectors.BaseSelector | None = None
    ) -> None:
        """Whoever holds the baton waits to be woken, or for `deadline`. Raises `Ended`."""
        strand = self._mine()
        if strand.ending:
            self._refuse(strand)
        strand.waits_for, strand.deadline, strand.system = waits_for, deadline, system
        strand.glances = 0
        strand.wait_number += 1
        strand.parked = True
        if deadline < NEVER:
            self._count += 1
            heappush(self._sleeping, (deadline, self._count, strand, strand.wait_number))
        self._pass_on(strand)
        strand.system = None
        if strand.ending:
            raise Ended

    def wait_for_end(self, strand: Strand, deadline: int = NEVER) -> bool:
        """Waits until `strand` has ended; whether it did before `deadline`."""
        me = self._mine()
        if not strand.done:
            strand.ended.append(me)
            try:
                while not strand.done and self.network.now < deadline:
                    self.wait(deadline, lambda: f"the thread {strand.thread.name}" if strand.thread else "")
            finally:
                strand.ended.remove(me)
        return strand.done

    def give_way(self) -> None:
        """All who are ready have a turn before the holder goes on."""
        strand = self._mine()
        if strand.ending:
            self._refuse(strand)
        strand.glances = 0
        self._ready.append(strand)
        self._pass_on(strand)
        if strand.ending:
            raise Ended

    def wake(self, strand: Strand) -> None:
        """Makes a strand ready that waits; harmless for any other."""
        if strand.parked:
            strand.parked = False
            self._ready.append(strand)

    def glance(self, weight: int = 1) -> None:
        """The holder looks at something, and does not wait. Who does nothing else for long finds that time goes on."""
        strand = self._mine()
        strand.glances += weight
        if strand.glances >= GLANCES:
            self.wait(self.network.now + GLANCED)

    def _mine(self) -> Strand:
        strand = self._holder
        if strand is None or strand is not _here.strand:
            raise RuntimeError("a thread that is none of a program's waits in virtual time")
        return strand

    def _refuse(self, strand: Strand) -> None:
        """It was told to end, and waits again. One that never heeds it is left behind."""
        strand.refusals += 1
        if strand.refusals < PATIENCE:
            raise Ended
        strand.left_behind = True
        for other in strand.ended:
            self.wake(other)
        self._hand_over(self._next())
        while True:
            strand.gate.acquire()

    # --- whose turn it is

    def _pass_on(self, strand: Strand) -> None:
        self._ran = True
        following = self._next()
        if following is not strand:
            self._hand_over(following)
            strand.gate.acquire()

    def _hand_over(self, strand: Strand | None) -> None:
        self._holder = strand
        if strand is None:
            if self._program is not None:
                self._program.leave()
                self._program = None
            self._outside.release()
            return
        if strand.program is not self._program:
            if self._program is not None:
                self._program.leave()
            self._program = strand.program
            strand.program.enter()
        strand.gate.release()

    def _next(self) -> Strand | None:
        """Whose turn it is now, after time went on if it has to; None: the end."""
        if self._interrupted:
            return None
        self._turns += 1
        if self._turns % TURNS_TO_COLLECT == 0:
            gc.collect()
        try:
            while not self._ready:
                if self._over or not self._go_on():
                    return None
        except BaseException as error:
            self.failure = error
            self._over = True
            return None
        return self._ready.popleft()

    def _go_on(self) -> bool:
        """Whether anything more happened."""
        if self._ran:
            self._ran = False
            if self._look_at_descriptors():
                return True
        network = self.network
        deadline = self._next_deadline()
        event = network.next_time()
        if event is None and deadline >= NEVER:
            self.ending = "ended" if self.closing_time < NEVER else "stuck"
            return False
        time = deadline if event is None else min(event, deadline)
        last = min(self.limit, self.closing_time)
        if time > last:
            self.ending = "ended" if self.closing_time <= self.limit else "limit"
            network.run(last)
            return False
        if event is not None and event <= deadline:
            network.step()
        else:
            network.run(deadline)
            self.wake(heappop(self._sleeping)[2])
        return True

    def _next_deadline(self) -> int:
        sleeping = self._sleeping
        while sleeping:
            deadline, _, strand, number = sleeping[0]
            if strand.parked and strand.wait_number == number:
                return max(deadline, self.network.now)
            heappop(sleeping)
        return NEVER

    def _look_at_descriptors(self) -> bool:
        found = False
        for strand in self.strands:
            system = strand.system
            if strand.parked and system is not None and system.select(0):
                self.wake(strand)
                found = True
        return found

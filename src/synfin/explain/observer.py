"""Both ends' states, inferred from what passed.

An observer sees segments pass and knows nothing of what the ends do besides. So an end that sends a SYN, a FIN or an
RST changes its state there. An end that receives one changes its state when it proves, by what it sends, that it
did: an acknowledgment of a SYN or a FIN. That change is dated back to the segment that caused it, or, if the end sent
something else in between, to just after that. What needs no answer (the ACK of a SYN or of a FIN, an RST) is taken to
arrive. All changes go through the table of `synfin.tcp.states`; where packets are missing, a state is set.
"""

from __future__ import annotations

from typing import Final

from synfin.tcp.states import (
    ABORT,
    ACTIVE_OPEN,
    CLOSE,
    CLOSED,
    ESTABLISHED,
    LISTEN,
    RCV_ACK_OF_FIN,
    RCV_ACK_OF_SYN,
    RCV_FIN,
    RCV_RST,
    RCV_SYN,
    RCV_SYN_ACK,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    TRANSITIONS,
)

__all__ = ["Observer", "Step"]

#: A connection has about ten; resets and lost packets may bring more.
_MOST_STEPS: Final = 64


class Step:
    """A change of one end's state, at packet `number`: an `event` of the table, or a `state` that is set. `cause`: the
    packet that arrived, 0 if the end did it by itself; it may be an earlier one than `number`."""

    __slots__ = ("cause", "end", "event", "number", "state")

    def __init__(self, number: int, cause: int, end: int, event: str, state: int) -> None:
        self.number = number
        self.cause = cause
        self.end = end
        self.event = event
        self.state = state


class Observer:
    """The states of two ends, 0 and 1; None while nothing is known. `firsts`: what they were before the first
    packet."""

    __slots__ = ("firsts", "last_sent", "states", "steps")

    def __init__(self) -> None:
        self.states: list[int | None] = [None, None]
        self.firsts: list[int | None] = [None, None]
        self.steps: list[Step] = []
        #: The number of the last packet of each end before the present one.
        self.last_sent = [0, 0]

    # --- what the sender does ------------------------------------------------------------------------------------

    def syn_sent(self, end: int, number: int) -> None:
        """A SYN without ACK."""
        if self.states[end] is None:
            self.firsts[end] = self.states[end] = CLOSED
        self._happens(end, ACTIVE_OPEN, number, 0)

    def syn_ack_sent(self, end: int, number: int, syn: int) -> None:
        """A SYN+ACK, which proves that SYN, packet `syn` (0 if that was not seen), arrived."""
        if self.states[end] is None:
            self.firsts[end] = self.states[end] = LISTEN
        if not self._proved(end, RCV_SYN, syn or number) and self.states[end] in (LISTEN, CLOSED):
            self._set(end, SYN_RECEIVED, number)

    def fin_sent(self, end: int, number: int) -> None:
        """The first FIN."""
        if self.states[end] in (None, SYN_SENT, LISTEN, CLOSED):
            self._synchronized(end, number)
        self._happens(end, CLOSE, number, 0)

    def reset_sent(self, end: int, number: int) -> None:
        """An RST, which is taken to arrive."""
        if self.states[end] is None:
            self.firsts[end] = self.states[end] = CLOSED
        self._happens(end, ABORT, number, 0)
        self._happens(1 - end, RCV_RST, number, number)

    def text_sent(self, end: int, number: int) -> None:
        """A segment of an open connection: if the beginning was not seen, it is open."""
        if self.states[end] is None:
            self._synchronized(end, number)

    def goes_on(self, number: int) -> None:
        """An RST had no effect."""
        for end in (0, 1):
            self._set(end, ESTABLISHED, number)

    # --- what is proved to have arrived ----------------------------------------------------------------------------

    def syn_acknowledged(self, by: int, number: int, syn: int) -> None:
        """`by` acknowledges the other end's SYN (packet `syn`), in packet `number`."""
        if self.states[by] == SYN_SENT:
            self._proved(by, RCV_SYN_ACK, syn or number)
        self._happens(1 - by, RCV_ACK_OF_SYN, number, number)

    def fin_acknowledged(self, by: int, number: int, fin: int) -> None:
        """`by` acknowledges the other end's FIN (packet `fin`), in packet `number`."""
        if self.states[by] is None:
            self._synchronized(by, number)
        self._proved(by, RCV_FIN, fin or number)
        self._happens(1 - by, RCV_ACK_OF_FIN, number, number)

    # --- the table -----------------------------------------------------------------------------------------------

    def _happens(self, end: int, event: str, number: int, cause: int) -> bool:
        state = self.states[end]
        new = None if state is None else TRANSITIONS.get((state, event))
        if new is None:
            return False
        self.states[end] = new
        if len(self.steps) < _MOST_STEPS:
            self.steps.append(Step(number, cause, end, event, new))
        return True

    def _proved(self, end: int, event: str, number: int) -> bool:
        return self._happens(end, event, max(number, self.last_sent[end]), number)

    def _set(self, end: int, state: int, number: int) -> None:
        self.states[end] = state
        if len(self.steps) < _MOST_STEPS:
            self.steps.append(Step(number, 0, end, "", state))

    def _synchronized(self, end: int, number: int) -> None:
        if self.firsts[end] is None:
            self.firsts[end] = self.states[end] = ESTABLISHED
        else:
            self._set(end, ESTABLISHED, number)

    # --- what became of it ---------------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Neither end will send anything new."""
        return self.states != [None, None] and all(state in (CLOSED, TIME_WAIT, None) for state in self.states)

    def is_open(self, end: int) -> bool:
        """Whether that end holds a connection that is not over."""
        return self.states[end] not in (None, CLOSED, LISTEN, SYN_SENT, TIME_WAIT)

    def replayed(self) -> list[tuple[Step, int]]:
        """Every change in the order of the packets, with the state that it leads to."""
        states = list(self.firsts)
        changes: list[tuple[Step, int] | None] = []
        # The cause of each end's last change, and its place.
        latest: dict[int, tuple[int, int]] = {}
        for step in sorted(self.steps, key=_order):
            old = states[step.end]
            new = step.state
            if step.event and old is not None:
                # Dated back, it may have come before something that was seen to happen first.
                new = TRANSITIONS.get((old, step.event), step.state)
            if new == old:
                continue
            states[step.end] = new
            if step.cause and latest.get(step.end, (0, 0))[0] == step.cause:
                # One segment did both: a FIN that acknowledges a FIN.
                changes[latest[step.end][1]] = None
            latest[step.end] = step.cause, len(changes)
            changes.append((step, new))
        return [change for change in changes if change is not None]


def _order(step: Step) -> tuple[int, bool]:
    # What is sent is sent before it, or anything later, arrives.
    return step.number, bool(step.cause)

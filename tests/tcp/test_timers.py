"""Timers: an array of deadlines and its minimum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synfin.tcp import timers
from synfin.tcp.timers import NEVER, Timers

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "stop", "expired", "all"]), st.integers(0, timers.COUNT - 1), st.integers(0, 20)
    )
)


@given(STEPS)
def test_against_a_dictionary(steps: list[tuple[str, int, int]]) -> None:
    real = Timers()
    model: dict[int, int] = {}
    for what, timer, time in steps:
        if what == "start":
            real.start(timer, time)
            model[timer] = time
        elif what == "stop":
            real.stop(timer)
            model.pop(timer, None)
        elif what == "all":
            real.stop_all()
            model.clear()
        else:
            due = sorted(each for each, deadline in model.items() if deadline <= time)
            assert real.expired(time) == (due[0] if due else -1)
            if due:
                del model[due[0]]
        assert real.earliest == min(model.values(), default=NEVER)
        assert [real.running(each) for each in range(timers.COUNT)] == [each in model for each in range(timers.COUNT)]


def test_timers_that_expire_at_once_come_in_the_order_of_the_enumeration() -> None:
    real = Timers()
    for timer in (timers.FIN_WAIT_2, timers.DELAYED_ACK, timers.RETRANSMISSION):
        real.start(timer, 5)
    assert [real.expired(5) for _ in range(4)] == [timers.RETRANSMISSION, timers.DELAYED_ACK, timers.FIN_WAIT_2, -1]
    assert real.earliest == NEVER
    assert len(timers.NAMES) == timers.COUNT

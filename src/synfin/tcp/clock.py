"""The timestamp clock of RFC 7323 §5.4: one tick a millisecond, as Linux has it."""

from __future__ import annotations

from typing import Final

from synfin.tcp.parameters import MILLISECOND
from synfin.wire.sequence import MASK

#: RFC 7323 §5.5: a TS.Recent older than 24 days says nothing any more.
TS_RECENT_LIFE: Final = 24 * 24 * 3600 * 1000 * MILLISECOND


def timestamp(now: int, offset: int) -> int:
    """The TSval at time `now` for a connection with that offset."""
    return (now // MILLISECOND + offset) & MASK

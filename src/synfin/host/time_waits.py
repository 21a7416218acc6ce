"""The table of TIME-WAIT: packed values, first in first out, bounded by ``tcp_max_tw_buckets``."""

from __future__ import annotations

from collections import OrderedDict

from synfin.tcp import time_wait
from synfin.tcp.timers import NEVER


class TimeWaits:
    """TIME-WAIT values by flow, in the order in which they end."""

    __slots__ = ("_packed",)

    def __init__(self) -> None:
        self._packed: OrderedDict[bytes, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, flow: bytes) -> bool:
        return flow in self._packed

    def get(self, flow: bytes) -> bytes | None:
        return self._packed.get(flow)

    def put(self, flow: bytes, packed: bytes, restarted: bool) -> None:
        """Keeps `packed`; `restarted` says that its 2 MSL start now, so that it ends last."""
        self._packed[flow] = packed
        if restarted:
            self._packed.move_to_end(flow)

    def remove(self, flow: bytes) -> None:
        del self._packed[flow]

    def flows(self) -> list[bytes]:
        return list(self._packed)

    def next_deadline(self) -> int:
        for packed in self._packed.values():
            return time_wait.expiry(packed)
        return NEVER

    def pop_expired(self, now: int) -> bytes | None:
        """Removes the first value if it has ended by `now`, and returns its flow."""
        if self.next_deadline() > now:
            return None
        return self._packed.popitem(last=False)[0]

"""What is remembered of destinations between connections (RFC 9040): a bounded table, each entry for an hour."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from synfin.host import addresses
from synfin.host.addresses import Network
from synfin.tcp import metrics
from synfin.tcp.metrics import Metrics
from synfin.tcp.parameters import SECOND, TcpParameters
from synfin.tcp.tcb import Tcb

#: Destinations remembered at most; the one that taught us nothing for longest makes room.
CAPACITY: Final = 1024
#: How long what was learned holds, as on Linux.
LIFETIME: Final = 3600 * SECOND


class MetricsRow:
    """What ``ip tcp_metrics`` would print of a destination: addresses as text, the age in nanoseconds."""

    __slots__ = ("age", "destination", "metrics", "source")

    def __init__(self, destination: str, source: str, age: int, known: Metrics) -> None:
        self.destination = destination
        self.source = source
        self.age = age
        self.metrics = known


class MetricsTable:
    """What connections learned of the way between two addresses, until ``tcp_no_metrics_save`` is set.

    Nothing that a single packet could bring about gets in: only a connection that ended in order teaches.
    """

    __slots__ = ("_known", "parameters")

    def __init__(self, parameters: TcpParameters) -> None:
        self.parameters = parameters
        # By destination and source: when it was last learned, and what. The oldest first.
        self._known: OrderedDict[tuple[bytes, bytes], tuple[int, Metrics]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def _find(self, key: tuple[bytes, bytes], now: int) -> Metrics | None:
        entry = self._known.get(key)
        if entry is None:
            return None
        if now - entry[0] > LIFETIME:
            del self._known[key]
            return None
        return entry[1]

    def apply(self, tcb: Tcb, now: int) -> bool:
        """Gives a connection that is now ESTABLISHED what is known of its way. Whether anything is."""
        if not self._known or self.parameters.tcp_no_metrics_save:
            return False
        identity = tcb.identity
        known = self._find((identity.remote_address, identity.local_address), now)
        if known is None:
            return False
        metrics.apply(tcb, known)
        return True

    def learn(self, tcb: Tcb, now: int) -> None:
        """A connection ended in order."""
        if self.parameters.tcp_no_metrics_save:
            return
        key = (tcb.identity.remote_address, tcb.identity.local_address)
        known = self._find(key, now)
        if not metrics.learns(tcb):
            # It could not tell how long a round trip takes: perhaps what is known is wrong.
            if known is not None:
                known.rtt = 0
            return
        if known is None:
            known = Metrics()
        metrics.learn(known, tcb)
        self._known[key] = (now, known)
        self._known.move_to_end(key)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)

    def forget(self, network: Network | None = None) -> None:
        """Nothing is known any more of what lies in `network`, or of anything."""
        for key in list(self._known):
            if network is None or network.contains(key[0]):
                del self._known[key]

    def rows(self, now: int) -> list[MetricsRow]:
        """All that is known and still holds, the oldest first."""
        return [
            MetricsRow(addresses.text(destination), addresses.text(source), now - learned, known)
            for (destination, source), (learned, known) in self._known.items()
            if now - learned <= LIFETIME
        ]

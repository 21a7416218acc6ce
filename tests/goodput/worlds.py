"""The simulations behind the goodput table: a sender, a receiver, and one wire with all that is wrong with the path.

Everything random follows from seeds that depend on the path alone. So the n-th packet of the sender is lost or not
whatever its congestion control and its recovery are, and the cells of one path can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.events import Sink
from synfin.host.parameters import Parameters
from synfin.link.faults import Rate
from synfin.link.queues import CoDel, Discipline, DropTail
from synfin.sim import Network
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from tests.goodput.arithmetic import bits_a_second, jain, mean, percentile
from tests.goodput.cells import (
    CODEL,
    MILLISECOND,
    MSS,
    PACKET,
    RATES,
    SECOND,
    SHARED_RTT,
    Cell,
    Sharing,
    Short,
    Transfer,
    parameters,
)

#: What was measured in a cell, by name.
Row = dict[str, int | float]

PORT: Final = 5001
CHUNK: Final = bytes(1 << 16)
#: A queue that is never full: it takes more than buffers hold at their largest.
ENDLESS: Final = DropTail(100_000)

#: Of acknowledgments, where flows share a bottleneck: what a packet takes on the slowest one.
JITTER: Final = "jitter 2ms from receiver"
#: With losses a queue holds so many bandwidth-delay products, and at least so many packets.
ROOM: Final = 4
LEAST_ROOM: Final = 200


class Path:
    """Two hosts on a wire. The receiver reads at once; `received` has the octets of each flow, in the order in which
    they were accepted. `rtt` in milliseconds, `rate` in bits a second, `loss` in per cent; `sink` receives the
    trace, if it is given."""

    __slots__ = ("_flows", "_left", "_listener", "network", "opened", "received", "receiver", "sender", "total", "wire")

    def __init__(
        self,
        both: Parameters,
        seed: int,
        rtt: int,
        rate: int,
        loss: float = 0,
        queue: Discipline = ENDLESS,
        sink: Sink | None = None,
    ) -> None:
        network = self.network = Network(seed, sink)
        self.sender = network.host("sender", both)
        self.receiver = network.host("receiver", both)
        self.wire = network.wire(
            self.sender,
            "10.0.0.1/24",
            self.receiver,
            "10.0.0.2/24",
            delay=rtt * MILLISECOND // 2,
        )
        network.apply(Rate(rate, queue))
        if loss:
            network.apply(f"lose {loss:g}% from sender")
        #: The sender's ends, in the order in which they were opened.
        self.opened: list[Connection] = []
        self.received: list[int] = []
        self.total = 0
        self._flows: dict[Connection, int] = {}
        self._left: dict[Connection, int] = {}
        self._listener = self.receiver.listen("10.0.0.2", PORT)
        self.receiver.changed = self._arrived
        self.sender.changed = self._writable

    def open(self, octets: int) -> Connection:
        """Opens a flow of `octets`, which stays open when they are sent."""
        connection = self.sender.connect("10.0.0.2", PORT)
        self.opened.append(connection)
        self._left[connection] = octets
        return connection

    def run_to(self, octets: int) -> int:
        """Runs until so many octets have arrived altogether; the time then, in nanoseconds. Raises RuntimeError if
        they never do, and the error that ended a connection."""
        self.network.run_while(lambda: self.total < octets)
        if self.total < octets:
            raise RuntimeError(f"the transfer ended after {self.total} of {octets} octets")
        return self.network.now

    def _writable(self, entry: Connection | Listener) -> None:
        if not isinstance(entry, Connection):
            return
        left = self._left.get(entry, 0)
        try:
            while left:
                left -= self.sender.send(entry, CHUNK[: min(left, len(CHUNK))])
        except BlockingIOError:
            pass
        self._left[entry] = left

    def _arrived(self, entry: Connection | Listener) -> None:
        if isinstance(entry, Listener):
            self._accept()
            return
        flow = self._flows.get(entry)
        # Data may come before the program was told to accept.
        if flow is not None:
            self._read(entry, flow)

    def _accept(self) -> None:
        while True:
            try:
                connection = self.receiver.accept(self._listener)
            except BlockingIOError:
                return
            flow = self._flows[connection] = len(self.received)
            self.received.append(0)
            self._read(connection, flow)

    def _read(self, connection: Connection, flow: int) -> None:
        while connection.receive_queue.octets:
            octets = len(self.receiver.receive(connection))
            self.received[flow] += octets
            self.total += octets


# --- a long transfer


def _transfer(cell: Transfer) -> tuple[Path, int, Row]:
    """The first quarter: the path as it then is, the octets of the whole, and what can be said already."""
    rate = RATES[cell.rtt]
    # Where packets are lost by chance, the first slow start is not to fill a queue that the windows of minutes to come
    # would have to empty.
    room = max(LEAST_ROOM, ROOM * rate * cell.rtt // (8 * PACKET * 1000))
    path = Path(parameters(cell), cell.rtt, cell.rtt, rate, cell.loss, DropTail(room) if cell.loss else ENDLESS)
    octets = cell.segments * MSS
    path.open(octets)
    return path, octets, {"quarter": path.run_to(octets // 4)}


def _begin_transfer(cell: Transfer) -> Row:
    return _transfer(cell)[2]


def _whole_transfer(cell: Transfer) -> Row:
    path, octets, row = _transfer(cell)
    begun = path.network.now
    first = path.total
    time = path.run_to(octets)
    counts = path.opened[0].counts
    return row | {
        "time": time,
        "goodput": bits_a_second(octets, time),
        "steady": bits_a_second(octets - first, time - begun),
        "lost": path.wire.lost,
        "resent": counts.total_retrans,
        "timeouts": counts.rto_count,
    }


# --- several on one bottleneck


def _sharing(cell: Sharing) -> tuple[Path, Row]:
    """The first quarter of the time, in which the flows find their shares."""
    queue = CoDel() if cell.queue == CODEL else DropTail(cell.rate * SHARED_RTT // 1000 // (8 * PACKET))
    path = Path(parameters(cell), cell.flows, SHARED_RTT, cell.rate, queue=queue)
    # Two flows in a world without chance may fall into step, so that the full queue always hits the same one.
    path.network.apply(JITTER)
    starts = path.network.random("starts")
    for _ in range(cell.flows):
        # More than is sent in the time that it is watched.
        path.network.at(starts.randrange(SHARED_RTT * MILLISECOND), lambda: path.open(1 << 40))
    path.network.run(cell.seconds * SECOND // 4)
    return path, {"quarter_least": min(path.received), "quarter_most": max(path.received)}


def _begin_sharing(cell: Sharing) -> Row:
    return _sharing(cell)[1]


def _whole_sharing(cell: Sharing) -> Row:
    path, row = _sharing(cell)
    before = list(path.received)
    begun = path.network.now
    path.network.run(cell.seconds * SECOND)
    time = path.network.now - begun
    shares = [after - before for before, after in zip(before, path.received, strict=True)]
    return row | {
        "goodput": bits_a_second(sum(shares), time),
        "least": bits_a_second(min(shares), time),
        "most": bits_a_second(max(shares), time),
        "jain": round(jain(shares), 4),
        "lost": path.wire.lost,
        "resent": sum(connection.counts.total_retrans for connection in path.opened),
        "timeouts": sum(connection.counts.rto_count for connection in path.opened),
    }


# --- short ones


def _times(cell: Short, runs: int) -> list[int]:
    """From connect to the last octet in the receiver's hands, in nanoseconds."""
    times = []
    for seed in range(runs):
        path = Path(parameters(cell), seed, cell.rtt, RATES[cell.rtt], cell.loss)
        path.open(cell.size)
        times.append(path.run_to(cell.size))
    return times


def _quarter(cell: Short) -> int:
    return -(-cell.runs // 4)


def _begin_short(cell: Short) -> Row:
    return {"quarter": mean(_times(cell, _quarter(cell)))}


def _whole_short(cell: Short) -> Row:
    times = _times(cell, cell.runs)
    return {"quarter": mean(times[: _quarter(cell)]), "mean": mean(times), "p90": percentile(times, 90)}


# --- all


def measure(cell: Cell) -> Row:
    """Plays the whole cell: a row of its table."""
    return _play(cell, _whole_transfer, _whole_sharing, _whole_short)


def begin(cell: Cell) -> Row:
    """Plays the first quarter of the cell: that part of what `measure` returns. What changes a sender's behaviour
    changes this too, in a quarter of the time."""
    return _play(cell, _begin_transfer, _begin_sharing, _begin_short)


def _play(
    cell: Cell,
    transfer: Callable[[Transfer], Row],
    sharing: Callable[[Sharing], Row],
    short: Callable[[Short], Row],
) -> Row:
    if isinstance(cell, Transfer):
        return transfer(cell)
    return sharing(cell) if isinstance(cell, Sharing) else short(cell)

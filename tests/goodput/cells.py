"""The cells of the goodput table: which transfers are simulated, over which paths, with which parameters.

Three tables. `Transfer`: one long flow, by loss and round trip. `Sharing`: several flows on one bottleneck. `Short`:
how long small transfers take. Each is played by every congestion control with every loss recovery.
"""

from __future__ import annotations

from itertools import product
from typing import Final, NamedTuple

from synfin.host.parameters import Parameters

#: MTU 1500 less IPv4's header, TCP's, and timestamps.
MSS: Final = 1448
PACKET: Final = 1500
SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000

CONTROLS: Final = ("reno", "cubic")
SACK_OFF: Final = "SACK off"
SACK: Final = "SACK"
RACK_TLP: Final = "RACK-TLP"
#: Each loss recovery, by the parameters that select it.
RECOVERIES: Final[dict[str, dict[str, str]]] = {
    # RFC 6582
    SACK_OFF: {"net.ipv4.tcp_sack": "0"},
    # RFC 6675
    SACK: {"net.ipv4.tcp_sack": "1", "net.ipv4.tcp_recovery": "0", "net.ipv4.tcp_early_retrans": "0"},
    # RFC 8985
    RACK_TLP: {"net.ipv4.tcp_sack": "1", "net.ipv4.tcp_recovery": "1", "net.ipv4.tcp_early_retrans": "3"},
}

#: Of the packets with data, in per cent.
LOSSES: Final = (0, 0.1, 1, 3, 10)
#: Round trips without a queue, in milliseconds, and how fast the path is, in bits a second: slower where it is longer,
#: so that a window that fills it (9 to 129 segments) is reached in a few per cent of a transfer; and, but for the
#: shortest, at least twice as fast as Reno is with the least loss.
RATES: Final = {1: 100_000_000, 20: 50_000_000, 100: 10_000_000, 300: 5_000_000}
#: How long transfers are, in segments: without loss, so that slow start is a small part of it; with loss, 40 losses at
#: least where they decide how fast it is.
WITHOUT_LOSS: Final = {1: 8_000, 20: 20_000, 100: 20_000, 300: 32_000}
WITH_LOSS: Final = {0.1: 40_000, 1: 8_000, 3: 4_000, 10: 2_000}
#: As WITH_LOSS, where the rate decides.
WITH_LITTLE_LOSS_BY_RATE: Final = 10_000

DROP_TAIL: Final = "drop-tail"
CODEL: Final = "CoDel"
#: How many flows share a bottleneck, behind which queue, and how long they are watched, in seconds.
SHARINGS: Final = {(2, DROP_TAIL): 40, (8, DROP_TAIL): 40, (8, CODEL): 40, (32, DROP_TAIL): 20}
#: The bottleneck's bits a second for each of them, and its round trip in milliseconds.
SHARE: Final = 3_000_000
SHARED_RTT: Final = 20

#: Small transfers in octets, and how often each is played where packets are lost.
SIZES: Final = {10_000: 200, 100_000: 100, 1_000_000: 40}
SHORT_RTTS: Final = (20, 100)
SHORT_LOSSES: Final = (0, 1)


class Transfer(NamedTuple):
    """One flow alone, over a path that loses `loss` per cent of its data; `rtt` in milliseconds."""

    loss: float
    rtt: int
    control: str
    recovery: str

    @property
    def segments(self) -> int:
        if not self.loss:
            return WITHOUT_LOSS[self.rtt]
        if self.rtt == min(RATES):
            return min(WITH_LOSS[self.loss], WITH_LITTLE_LOSS_BY_RATE)
        return WITH_LOSS[self.loss]

    @property
    def work(self) -> int:
        """About how many packets it takes."""
        return self.segments

    def __str__(self) -> str:
        return f"transfer: loss {self.loss:g} %, RTT {self.rtt} ms, {self.control}, {self.recovery}"


class Sharing(NamedTuple):
    """`flows` at a time on one bottleneck. Its `queue` is drop-tail, of one bandwidth-delay product, or CoDel."""

    flows: int
    queue: str
    control: str
    recovery: str

    @property
    def rate(self) -> int:
        """The bottleneck's, in bits a second."""
        return SHARE * self.flows

    @property
    def seconds(self) -> int:
        """How long it is watched."""
        return SHARINGS[self.flows, self.queue]

    @property
    def work(self) -> int:
        return self.seconds * self.rate // (8 * PACKET)

    def __str__(self) -> str:
        return f"sharing: {self.flows} flows, {self.queue}, {self.control}, {self.recovery}"


class Short(NamedTuple):
    """A transfer of `size` octets, many times; `loss` and `rtt` as in `Transfer`."""

    size: int
    loss: float
    rtt: int
    control: str
    recovery: str

    @property
    def runs(self) -> int:
        """Without loss, nothing is left to chance."""
        return SIZES[self.size] if self.loss else 1

    @property
    def work(self) -> int:
        return self.runs * (self.size // MSS + 10)

    def __str__(self) -> str:
        size = f"{self.size // 1000} kB"
        return f"short: {size}, loss {self.loss:g} %, RTT {self.rtt} ms, {self.control}, {self.recovery}"


Cell = Transfer | Sharing | Short
#: The tables by name.
TABLES: Final[dict[str, type[Cell]]] = {"transfer": Transfer, "sharing": Sharing, "short": Short}


def all_cells() -> list[Cell]:
    """Every cell of the three tables, in their order."""
    ways = list(product(CONTROLS, RECOVERIES))
    return [
        *(Transfer(loss, rtt, *way) for way in ways for loss in LOSSES for rtt in RATES),
        *(Sharing(flows, queue, *way) for way in ways for flows, queue in SHARINGS),
        *(
            Short(size, loss, rtt, *way)
            for way in ways
            for size in SIZES
            for loss in SHORT_LOSSES
            for rtt in SHORT_RTTS
        ),
    ]


def parameters(cell: Cell) -> Parameters:
    """What both hosts of the cell are set to. All else is the default: buffers grow by themselves."""
    made = Parameters()
    made.set("net.ipv4.tcp_congestion_control", cell.control)
    for name, value in RECOVERIES[cell.recovery].items():
        made.set(name, value)
    return made

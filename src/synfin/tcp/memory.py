"""What all connections of a host hold, and how much that may be (``tcp_mem``)."""

from __future__ import annotations

from typing import Final

from synfin.tcp.parameters import TcpParameters

#: Octets of a page, in which ``tcp_mem`` counts and memory is charged.
PAGE: Final = 4096
#: A connection stays charged with at most so much more than it holds, so that not every segment is booked. That it
#: costs about a page itself, when it holds nothing, is not booked otherwise.
SLACK: Final = 2 * PAGE


class Memory:
    """The account of a host: `held` octets, in pages, of data that wait to be read, acknowledged or put in order.

    Above the second number of ``tcp_mem`` it is under `pressure`, until it is below the first: buffers grow no more and
    windows become small. Above the third it is `exhausted`: only what a connection needs to go on is taken. A
    connection refers to the account, which knows of no connection.
    """

    __slots__ = ("exhausted", "held", "parameters", "pressure", "pruned")

    def __init__(self, parameters: TcpParameters) -> None:
        self.parameters = parameters
        self.held = 0
        self.pressure = False
        self.exhausted = False
        #: What waited out of order has been given up since there was last no pressure.
        self.pruned = False

    def change(self, octets: int) -> None:
        """Books so many octets more, or fewer."""
        self.held += octets
        low, pressure, most = self.parameters.tcp_mem
        pages = self.held // PAGE
        self.exhausted = pages > most
        if pages > pressure:
            self.pressure = True
        elif pages <= low:
            self.pressure = False
            self.pruned = False


def pages(octets: int) -> int:
    """The octets of the pages that `octets` fill."""
    return -(-octets // PAGE) * PAGE

"""Which connection: the four-tuple, and how tables are keyed by it."""

from __future__ import annotations


class Identity:
    """Which connection: addresses (4 or 16 octets) and ports of both ends, as seen from this one.

    `flow` is what its packets that arrive bear: remote address, local address, remote port, local port.
    """

    __slots__ = ("flow", "local_address", "local_port", "remote_address", "remote_port")

    def __init__(self, local_address: bytes, local_port: int, remote_address: bytes, remote_port: int) -> None:
        self.local_address = local_address
        self.local_port = local_port
        self.remote_address = remote_address
        self.remote_port = remote_port
        self.flow = remote_address + local_address + remote_port.to_bytes(2, "big") + local_port.to_bytes(2, "big")

    @staticmethod
    def from_flow(flow: bytes) -> Identity:
        """The identity whose arriving packets bear `flow`."""
        half = (len(flow) - 4) // 2
        return Identity(
            flow[half : 2 * half],
            int.from_bytes(flow[-2:], "big"),
            flow[:half],
            int.from_bytes(flow[-4:-2], "big"),
        )

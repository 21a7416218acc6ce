"""What a sender is doing about losses, under Linux's names (tcpi_ca_state), in ascending order of trouble."""

from __future__ import annotations

from typing import Final

#: Nothing unusual.
TCP_CA_OPEN: Final = 0
#: Something arrived out of order.
TCP_CA_DISORDER: Final = 1
#: A router marked a packet: the window is on its way down.
TCP_CA_CWR: Final = 2
#: A loss is being mended.
TCP_CA_RECOVERY: Final = 3
#: What the retransmission timer found is being mended.
TCP_CA_LOSS: Final = 4

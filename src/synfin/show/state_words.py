"""The eleven states as they are shown: their colours, and their names for languages that have words for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from synfin.show.reason_words import N_

# Grey without a connection, yellow while it opens, green when open; blue for the end that closes first, purple for
# the other. The names stand beside the colours.
STATE_COLORS: Final[Mapping[str, str]] = {
    N_("CLOSED"): "#b4bbc3",
    N_("LISTEN"): "#e8dc8a",
    N_("SYN-SENT"): "#f2c230",
    N_("SYN-RECEIVED"): "#e69f00",
    N_("ESTABLISHED"): "#009e73",
    N_("FIN-WAIT-1"): "#8fd0f5",
    N_("FIN-WAIT-2"): "#56b4e9",
    N_("CLOSE-WAIT"): "#dba5c6",
    N_("CLOSING"): "#2f7fbf",
    N_("LAST-ACK"): "#b0619a",
    N_("TIME-WAIT"): "#0b5a8a",
}

# The events of the RFC's figure.
EVENT_WORDS: Final[Mapping[str, str]] = {
    "passive OPEN": N_("passive OPEN"),
    "active OPEN": N_("active OPEN"),
    "CLOSE": N_("CLOSE"),
    "ABORT": N_("ABORT"),
    "rcv SYN": N_("rcv SYN"),
    "rcv SYN,ACK": N_("rcv SYN,ACK"),
    "rcv ACK of SYN": N_("rcv ACK of SYN"),
    "rcv FIN": N_("rcv FIN"),
    "rcv ACK of FIN": N_("rcv ACK of FIN"),
    "rcv FIN,ACK of FIN": N_("rcv FIN,ACK of FIN"),
    "rcv RST": N_("rcv RST"),
    "timeout=2MSL": N_("timeout=2MSL"),
    "timeout in FIN-WAIT-2": N_("timeout in FIN-WAIT-2"),
    "give up": N_("give up"),
}

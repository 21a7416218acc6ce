"""The closed list of what a capture may show to be unusual: each with a word, a clause and a sentence."""

from __future__ import annotations

from typing import Final

from synfin.show.reason_words import N_

# How much a finding speaks for looking at its connection.
FAULT: Final = 100
TROUBLE: Final = 10
REMARK: Final = 1

# What the table counts a finding as.
RETRANSMISSION: Final = "retransmission"
DUPLICATE_ACK: Final = "duplicate-ack"
ZERO_WINDOW: Final = "zero-window"
RESET: Final = "reset"
OTHER: Final = "other"


class Kind:
    """A kind of finding. `name`: its word. `clause`: the source, such as ``RFC 6298 §5.4``. `text`: a sentence with
    gaps, to be translated. `weight`: FAULT, TROUBLE or REMARK. `column`: what the table counts it as."""

    __slots__ = ("clause", "column", "name", "text", "weight")

    def __init__(self, name: str, clause: str, weight: int, text: str, column: str = OTHER) -> None:
        self.name = name
        self.clause = clause
        self.weight = weight
        self.text = text
        self.column = column

    def __repr__(self) -> str:
        return f"<{self.name}: {self.clause}>"


# --- something is sent again -------------------------------------------------------------------------------------
FAST: Final = Kind(
    "fast-retransmission",
    "RFC 5681 §3.2",
    TROUBLE,
    N_("fast retransmission of #{first}, after {duplicates} duplicate ACKs"),
    RETRANSMISSION,
)
SACK_RECOVERY: Final = Kind(
    "sack-retransmission",
    "RFC 8985 §6.2",
    TROUBLE,
    N_("retransmission of #{first}, since SACK reports later data"),
    RETRANSMISSION,
)
RECOVERY: Final = Kind(
    "recovery-retransmission",
    "RFC 6675 §5",
    TROUBLE,
    N_("retransmission of #{first}, the same recovery goes on"),
    RETRANSMISSION,
)
TIMEOUT: Final = Kind(
    "retransmission-timeout",
    "RFC 6298 §5.4",
    TROUBLE,
    N_("retransmission of #{first}, timed out after {elapsed} ms"),
    RETRANSMISSION,
)
LOSS_PROBE: Final = Kind(
    "tail-loss-probe",
    "RFC 8985 §7.3",
    TROUBLE,
    N_("tail loss probe, repeats the last segment #{first} after {elapsed} ms"),
    RETRANSMISSION,
)
SPURIOUS: Final = Kind(
    "spurious-retransmission",
    "RFC 3522 §1",
    TROUBLE,
    N_("needless retransmission, #{by} had acknowledged it already"),
    RETRANSMISSION,
)
UNSEEN: Final = Kind(
    "unseen-retransmission",
    "RFC 5681 §3.2",
    TROUBLE,
    N_("retransmission of data lost before it came to where the capture was taken"),
    RETRANSMISSION,
)
UNEXPLAINED: Final = Kind(
    "retransmission",
    "RFC 9293 §3.8.1",
    TROUBLE,
    N_("retransmission after {elapsed} ms, for no reason to be seen"),
    RETRANSMISSION,
)
SYN_AGAIN: Final = Kind("syn-repeated", "RFC 6298 §5.7", TROUBLE, N_("SYN again, after {elapsed} ms"), RETRANSMISSION)
SYN_ACK_AGAIN: Final = Kind(
    "syn-ack-repeated", "RFC 9293 §3.8.1", TROUBLE, N_("SYN+ACK again, after {elapsed} ms"), RETRANSMISSION
)
FIN_AGAIN: Final = Kind("fin-repeated", "RFC 9293 §3.8.1", TROUBLE, N_("FIN again, after {elapsed} ms"), RETRANSMISSION)
OUT_OF_ORDER: Final = Kind(
    "out-of-order", "RFC 9293 §3.10.7.4", REMARK, N_("out of order, overtaken on the way by later segments")
)
KEEP_ALIVE: Final = Kind("keep-alive", "RFC 9293 §3.8.4", REMARK, N_("keep-alive probe after {elapsed} ms"))
ZERO_WINDOW_PROBE: Final = Kind(
    "zero-window-probe", "RFC 9293 §3.8.6.1", REMARK, N_("zero-window probe: is there room now?")
)

# --- acknowledgments and windows ---------------------------------------------------------------------------------
REPEATED_ACK: Final = Kind("duplicate-ack", "RFC 5681 §2", REMARK, N_("duplicate ACK, number {count}"), DUPLICATE_ACK)
D_SACK: Final = Kind("d-sack", "RFC 2883 §4", REMARK, N_("D-SACK, some data arrived twice"))
CLOSED_WINDOW: Final = Kind(
    "zero-window", "RFC 9293 §3.8.6", TROUBLE, N_("zero window, its receive buffer is full"), ZERO_WINDOW
)
WINDOW_OPEN: Final = Kind(
    "window-open", "RFC 9293 §3.8.6.2.2", REMARK, N_("the window is open again, after {elapsed} ms")
)
NAGLE_STALL: Final = Kind(
    "nagle-stall",
    "RFC 9293 §3.7.4",
    TROUBLE,
    N_("Nagle's algorithm waited {elapsed} ms for a delayed ACK; TCP_NODELAY, or fewer small writes, avoid it"),
)
DELAYED_ACK_STALL: Final = Kind(
    "delayed-ack-stall",
    "RFC 9293 §3.8.6.3",
    TROUBLE,
    N_("could not go on for {elapsed} ms until a delayed ACK came"),
)
UNSEEN_ACKED: Final = Kind(
    "missed-by-capture",
    "RFC 9293 §3.10.7.4",
    REMARK,
    N_("acknowledges {octets} octets that are not in the capture, which missed packets"),
)

# --- opening -----------------------------------------------------------------------------------------------------
NO_ANSWER: Final = Kind(
    "no-answer",
    "RFC 9293 §3.8.3",
    FAULT,
    N_("{count} SYN in {seconds} s, and no answer: lost, dropped by a firewall, or nobody there"),
)
REFUSED: Final = Kind("refused", "RFC 9293 §3.10.7.1", FAULT, N_("refuses the connection, RST answers SYN"), RESET)
SYN_ACK_UNANSWERED: Final = Kind(
    "syn-ack-unanswered",
    "RFC 9293 §3.5",
    FAULT,
    N_("SYN+ACK {count} times, and no ACK: the handshake fails at its third message"),
)
SYN_ACK_REJECTED: Final = Kind(
    "syn-ack-rejected",
    "RFC 9293 §3.5.1",
    FAULT,
    N_("RST answers SYN+ACK, it had not asked for this connection or no longer wants it"),
    RESET,
)
TIME_WAIT_REUSED: Final = Kind(
    "time-wait-reuse",
    "RFC 6191 §2",
    REMARK,
    N_("opens again between the same ports, {seconds} s into TIME-WAIT of connection {connection}"),
)
PORTS_REUSED: Final = Kind(
    "ports-reused",
    "RFC 9293 §3.4.1",
    REMARK,
    N_("opens again between the same ports, {seconds} s after the last segment of connection {connection}"),
)
SYN_INTO_CONNECTION: Final = Kind(
    "half-open-discovered",
    "RFC 9293 §3.5.1",
    FAULT,
    N_("a new SYN, while connection {connection} is open at the other end: it lost its memory of that"),
)
MSS_MISSING: Final = Kind(
    "mss-missing", "RFC 9293 §3.7.1", REMARK, N_("SYN without MSS option, 536 octets (IPv6: 1220) are assumed")
)
WINDOW_SCALE_REFUSED: Final = Kind(
    "window-scale-refused",
    "RFC 7323 §2.2",
    REMARK,
    N_("window scale was offered, and is not in the SYN+ACK: windows stay below 64 KiB"),
)
SACK_REFUSED: Final = Kind(
    "sack-refused", "RFC 2018 §2", REMARK, N_("SACK was offered, and is not in the SYN+ACK: losses cost more time")
)
TIMESTAMPS_REFUSED: Final = Kind(
    "timestamps-refused", "RFC 7323 §3.2", REMARK, N_("timestamps were offered, and are not in the SYN+ACK")
)
ECN_REFUSED: Final = Kind("ecn-refused", "RFC 3168 §6.1.1", REMARK, N_("ECN was offered, and is not in the SYN+ACK"))
TIMESTAMPS_LOST: Final = Kind(
    "timestamps-lost",
    "RFC 7323 §3.2",
    TROUBLE,
    N_("a segment without the timestamps agreed on, something on the way took them out"),
)
SACK_UNASKED: Final = Kind("sack-unasked", "RFC 2018 §4", TROUBLE, N_("SACK blocks, though SACK was not agreed on"))
SYN_STRIPPED: Final = Kind(
    "options-given-up", "RFC 9293 §3.8.1", REMARK, N_("SYN again with fewer options than before")
)

# --- congestion --------------------------------------------------------------------------------------------------
CONGESTION_MARKED: Final = Kind(
    "congestion-marked", "RFC 3168 §5", TROUBLE, N_("a router marked its segment (CE): congestion")
)
CONGESTION_ECHOED: Final = Kind(
    "congestion-echoed", "RFC 3168 §6.1.3", REMARK, N_("ECE, tells of congestion on the way to it")
)

# --- ending ------------------------------------------------------------------------------------------------------
RESET_SENT: Final = Kind("reset", "RFC 9293 §3.5.3", FAULT, N_("RST, ends the connection at once"), RESET)
RESET_FORGOTTEN: Final = Kind(
    "reset-unknown-connection",
    "RFC 9293 §3.5.2",
    FAULT,
    N_("RST, it knows no such connection: the other end is half-open"),
    RESET,
)
RESET_AFTER_CLOSE: Final = Kind(
    "reset-after-close",
    "RFC 9293 §3.6.1",
    TROUBLE,
    N_("RST, data came after it had closed, and nobody reads it"),
    RESET,
)
RESET_AGAIN: Final = Kind(
    "reset-repeated", "RFC 9293 §3.5.2", REMARK, N_("RST, when the connection was over already"), RESET
)
RESET_IGNORED: Final = Kind(
    "reset-ignored",
    "RFC 5961 §3.2",
    TROUBLE,
    N_("goes on after RST #{first}: that did not arrive, or was not believed"),
)
RESET_FOREIGN: Final = Kind(
    "reset-foreign",
    "RFC 5961 §3",
    FAULT,
    N_("goes on after its own RST #{first}: somebody else made that up"),
)
SILENT: Final = Kind(
    "half-open-silent",
    "RFC 9293 §3.8.3",
    FAULT,
    N_("silent since #{first}, while {count} segments ask for an answer: dead or cut off, the other end half-open"),
)
HALF_CLOSED: Final = Kind(
    "half-closed",
    "RFC 9293 §3.6",
    REMARK,
    N_("has not closed its side in the {seconds} s since the other end's FIN"),
)
UNREACHABLE: Final = Kind("icmp-error", "RFC 9293 §3.9.2.2", FAULT, N_("{address} reports by ICMP: {what}"))
MID_STREAM: Final = Kind(
    "mid-stream",
    "RFC 9293 §3.5",
    REMARK,
    N_("the capture begins after this connection: options and scales are unknown"),
)
UNFINISHED: Final = Kind("unfinished", "RFC 9293 §3.6", REMARK, N_("the capture ends before this connection"))
STRANGE: Final = Kind(
    "outside-window", "RFC 9293 §3.10.7.4", TROUBLE, N_("a sequence number far outside of every window")
)

KINDS: Final[tuple[Kind, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Kind))

# What ICMP reports: RFC 792 and RFC 4443, by version, type and code.
ICMP_WORDS: Final[dict[tuple[int, int, int], str]] = {
    (4, 3, 0): N_("network unreachable"),
    (4, 3, 1): N_("host unreachable"),
    (4, 3, 3): N_("port unreachable"),
    (4, 3, 4): N_("too big for the path, and not to be fragmented"),
    (4, 3, 13): N_("administratively prohibited"),
    (4, 11, 0): N_("TTL ran out on the way"),
    (6, 1, 0): N_("network unreachable"),
    (6, 1, 1): N_("administratively prohibited"),
    (6, 1, 3): N_("host unreachable"),
    (6, 1, 4): N_("port unreachable"),
    (6, 2, 0): N_("too big for the path, and not to be fragmented"),
    (6, 3, 0): N_("TTL ran out on the way"),
}
OTHER_ICMP: Final = N_("type {type}, code {code}")


class Finding:
    """One thing that was unusual: at packet `number` (0: nowhere in particular), at `time`, what fills its gaps.

    `sender`: which end of the connection (0: left, 1: right) did it, None if that makes no sense.
    """

    __slots__ = ("connection", "kind", "number", "sender", "time", "values")

    def __init__(
        self, kind: Kind, connection: int, number: int, time: int, sender: int | None, values: dict[str, int | str]
    ) -> None:
        self.kind = kind
        self.connection = connection
        self.number = number
        self.time = time
        self.sender = sender
        self.values = values

    def __repr__(self) -> str:
        return f"<Finding {self.kind.name} connection={self.connection} packet={self.number}>"

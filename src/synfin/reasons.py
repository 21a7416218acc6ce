"""Why something happened: the closed list of reasons that trace events carry.

A reason has a name, which `synfin.show` turns into words in each language, and the clause that asks for what was
done. The list is closed, so that a test can hold the catalogues of words against it.
"""

from __future__ import annotations

from typing import Final


class Reason:
    """Why: `name` is the key of the catalogue of words, `clause` the source, such as ``RFC 9293 §3.10.7.4``."""

    __slots__ = ("clause", "name")

    def __init__(self, name: str, clause: str) -> None:
        self.name = name
        self.clause = clause

    def __repr__(self) -> str:
        return f"<{self.name}: {self.clause}>"


# --- the user's calls --------------------------------------------------------------------------------------------
PASSIVE_OPEN: Final = Reason("passive-open", "RFC 9293 §3.10.1")
ACTIVE_OPEN: Final = Reason("active-open", "RFC 9293 §3.10.1")
USER_CLOSED: Final = Reason("user-closed", "RFC 9293 §3.10.4")
USER_ABORTED: Final = Reason("user-aborted", "RFC 9293 §3.10.5")
CLOSED_WITH_DATA_UNREAD: Final = Reason("closed-with-data-unread", "RFC 9293 §3.6.1")

# --- opening -----------------------------------------------------------------------------------------------------
SYN_SENT: Final = Reason("syn-sent", "RFC 9293 §3.10.1")
SYN_RECEIVED: Final = Reason("syn-received", "RFC 9293 §3.10.7.2")
SYN_ANSWERED: Final = Reason("syn-answered", "RFC 9293 §3.10.7.2")
SYN_ACK_RECEIVED: Final = Reason("syn-ack-received", "RFC 9293 §3.10.7.3")
SYN_ACK_ANSWERED: Final = Reason("syn-ack-answered", "RFC 9293 §3.10.7.3")
SIMULTANEOUS_SYN: Final = Reason("simultaneous-syn", "RFC 9293 §3.5")
ACK_OF_SYN_RECEIVED: Final = Reason("ack-of-syn-received", "RFC 9293 §3.10.7.4")
WRONG_ACK_OF_SYN: Final = Reason("wrong-ack-of-syn", "RFC 9293 §3.10.7.3")
SYN_REPEATED: Final = Reason("syn-repeated", "RFC 9293 §3.8.1")
SYN_COOKIE: Final = Reason("syn-cookie", "RFC 4987 §3.6")
SYN_QUEUE_FULL: Final = Reason("syn-queue-full", "RFC 4987 §1")
ACCEPT_QUEUE_FULL: Final = Reason("accept-queue-full", "RFC 9293 §3.9.1.1")
WAITS_FOR_DATA: Final = Reason("waits-for-data", "RFC 9293 §3.9.1.1")

# --- what a segment was good for ---------------------------------------------------------------------------------
ACCEPTED: Final = Reason("accepted", "RFC 9293 §3.10.7.4")
ACKNOWLEDGES_NEW: Final = Reason("acknowledges-new", "RFC 9293 §3.10.7.4")
DUPLICATE_ACKNOWLEDGMENT: Final = Reason("duplicate-acknowledgment", "RFC 5681 §2")
MTU_PROBE_ARRIVED: Final = Reason("mtu-probe-arrived", "RFC 4821 §7.6.1")
IN_ORDER_DATA: Final = Reason("in-order-data", "RFC 9293 §3.10.7.4")
OUT_OF_ORDER_DATA: Final = Reason("out-of-order-data", "RFC 9293 §3.10.7.4")
DUPLICATE_DATA: Final = Reason("duplicate-data", "RFC 9293 §3.10.7.4")
FIN_RECEIVED: Final = Reason("fin-received", "RFC 9293 §3.10.7.4")
ACK_OF_FIN_RECEIVED: Final = Reason("ack-of-fin-received", "RFC 9293 §3.10.7.4")
RESET_RECEIVED: Final = Reason("reset-received", "RFC 9293 §3.5.3")
REFUSED: Final = Reason("refused", "RFC 9293 §3.10.7.3")

# --- why a segment was dropped -----------------------------------------------------------------------------------
OUTSIDE_WINDOW: Final = Reason("outside-window", "RFC 9293 §3.10.7.4")
OLD_TIMESTAMP: Final = Reason("old-timestamp", "RFC 7323 §5.3")
RESET_NOT_EXACT: Final = Reason("reset-not-exact", "RFC 5961 §3.2")
NO_TIMESTAMPS: Final = Reason("no-timestamps", "RFC 7323 §3.2")
SYN_IN_CONNECTION: Final = Reason("syn-in-connection", "RFC 5961 §4.2")
ACK_NOT_ACCEPTABLE: Final = Reason("ack-not-acceptable", "RFC 5961 §5.2")
NO_ACK: Final = Reason("no-ack", "RFC 9293 §3.10.7.4")
NO_SYN: Final = Reason("no-syn", "RFC 9293 §3.10.7.3")
NOTHING_FOR_LISTEN: Final = Reason("nothing-for-listen", "RFC 9293 §3.10.7.2")
REASSEMBLY_FULL: Final = Reason("reassembly-full", "RFC 9293 §3.10.7.4")
NO_MEMORY: Final = Reason("no-memory", "RFC 9293 §3.8.6")
DATA_AFTER_CLOSE: Final = Reason("data-after-close", "RFC 9293 §3.6.1")
TEXT_AFTER_FIN: Final = Reason("text-after-fin", "RFC 9293 §3.10.7.4")
NOBODY_HOME: Final = Reason("nobody-home", "RFC 9293 §3.10.7.1")
DAMAGED: Final = Reason("damaged", "RFC 9293 §3.1")

# --- why a segment was sent --------------------------------------------------------------------------------------
NEW_DATA: Final = Reason("new-data", "RFC 9293 §3.10.2")
FIN_SENT: Final = Reason("fin-sent", "RFC 9293 §3.10.4")
ACK_AT_ONCE: Final = Reason("ack-at-once", "RFC 5681 §4.2")
ACK_EVERY_SECOND: Final = Reason("ack-every-second", "RFC 9293 §3.8.6.3")
ACK_DELAYED: Final = Reason("ack-delayed", "RFC 9293 §3.8.6.3")
ACK_OF_FIN: Final = Reason("ack-of-fin", "RFC 9293 §3.10.7.4")
ACK_OF_FIN_DELAYED: Final = Reason("ack-of-fin-delayed", "RFC 9293 §3.8.6.3")
ACK_OF_CE: Final = Reason("ack-of-ce", "RFC 3168 §6.1.3")
ACK_OUT_OF_ORDER: Final = Reason("ack-out-of-order", "RFC 5681 §4.2")
ACK_FILLS_GAP: Final = Reason("ack-fills-gap", "RFC 5681 §4.2")
ACK_OF_UNACCEPTABLE: Final = Reason("ack-of-unacceptable", "RFC 9293 §3.10.7.4")
CHALLENGE_ACK: Final = Reason("challenge-ack", "RFC 5961 §3.2")
WINDOW_UPDATE: Final = Reason("window-update", "RFC 9293 §3.8.6.2.2")
WINDOW_PROBE: Final = Reason("window-probe", "RFC 9293 §3.8.6.1")
PROBE_OVERRIDE: Final = Reason("probe-override", "RFC 9293 §3.8.6.2.1")
RETRANSMISSION_TIMEOUT: Final = Reason("retransmission-timeout", "RFC 6298 §5.4")
FAST_RETRANSMIT: Final = Reason("fast-retransmit", "RFC 5681 §3.2")
SACK_SHOWS_LOSS: Final = Reason("sack-shows-loss", "RFC 6675 §4")
RESCUE: Final = Reason("rescue", "RFC 6675 §4")
RACK_SHOWS_LOSS: Final = Reason("rack-shows-loss", "RFC 8985 §6.2")
LOSS_PROBE: Final = Reason("loss-probe", "RFC 8985 §7.3")
PARTIAL_ACKNOWLEDGMENT: Final = Reason("partial-acknowledgment", "RFC 6582 §3.2")
KEEP_ALIVE_PROBE: Final = Reason("keep-alive-probe", "RFC 9293 §3.8.4")
PATH_MTU_REDUCED: Final = Reason("path-mtu-reduced", "RFC 8201 §5.4")
MTU_PROBE: Final = Reason("mtu-probe", "RFC 4821 §7.5")
MTU_PROBE_LOST: Final = Reason("mtu-probe-lost", "RFC 4821 §7.6.2")
BLACK_HOLE: Final = Reason("black-hole", "RFC 4821 §7.7")
RESET_NO_CONNECTION: Final = Reason("reset-no-connection", "RFC 9293 §3.10.7.1")
RESET_ABORT: Final = Reason("reset-abort", "RFC 9293 §3.10.5")

# --- congestion control ------------------------------------------------------------------------------------------
INITIAL_WINDOW: Final = Reason("initial-window", "RFC 6928 §2")
IDLE_RESTART: Final = Reason("idle-restart", "RFC 5681 §4.1")
SLOW_START: Final = Reason("slow-start", "RFC 5681 §3.1")
CONSERVATIVE_SLOW_START: Final = Reason("conservative-slow-start", "RFC 9406 §4.2")
SLOW_START_LEFT: Final = Reason("slow-start-left", "RFC 9406 §4.2")
CONGESTION_AVOIDANCE: Final = Reason("congestion-avoidance", "RFC 5681 §3.1")
CUBIC_RENO_FRIENDLY: Final = Reason("cubic-reno-friendly", "RFC 9438 §4.3")
CUBIC_CONCAVE: Final = Reason("cubic-concave", "RFC 9438 §4.4")
CUBIC_CONVEX: Final = Reason("cubic-convex", "RFC 9438 §4.5")
WINDOW_UNUSED: Final = Reason("window-unused", "RFC 7661 §4.4.3")
WINDOW_NOT_VALIDATED: Final = Reason("window-not-validated", "RFC 7661 §4.4.1")
ECN_ECHO: Final = Reason("ecn-echo", "RFC 3168 §6.1.2")
FAST_RECOVERY: Final = Reason("fast-recovery", "RFC 5681 §3.2")
RATE_REDUCTION: Final = Reason("rate-reduction", "RFC 9937 §6.2")
UNDONE_BY_TIMESTAMP: Final = Reason("undone-by-timestamp", "RFC 3522 §3.2")
UNDONE_BY_DSACK: Final = Reason("undone-by-dsack", "RFC 2883 §5")
SPURIOUS_TIMEOUT: Final = Reason("spurious-timeout", "RFC 5682 §3.1")
LOSS_PROBE_MENDED: Final = Reason("loss-probe-mended", "RFC 8985 §7.4.2")
SACK_RENEGED: Final = Reason("sack-reneged", "RFC 2018 §8")
SACK_DISCARDED: Final = Reason("sack-discarded", "RFC 2018 §5")
DSACK_RECEIVED: Final = Reason("dsack-received", "RFC 2883 §4")
DSACK_IGNORED: Final = Reason("dsack-ignored", "RFC 2883 §4")
REORDERING_SEEN: Final = Reason("reordering-seen", "RFC 8985 §6.2")
FULL_ACKNOWLEDGMENT: Final = Reason("full-acknowledgment", "RFC 6582 §3.2")

# --- time --------------------------------------------------------------------------------------------------------
TWO_MSL_OVER: Final = Reason("two-msl-over", "RFC 9293 §3.10.8")
TIME_WAIT_RESTARTED: Final = Reason("time-wait-restarted", "RFC 9293 §3.10.7.4")
NOTHING_FOR_TIME_WAIT: Final = Reason("nothing-for-time-wait", "RFC 9293 §3.10.7.4")
TIME_WAIT_OVERFLOW: Final = Reason("time-wait-overflow", "RFC 9293 §3.6.1")
TIME_WAIT_REOPENED: Final = Reason("time-wait-reopened", "RFC 9293 §3.6.1")
FIN_WAIT_2_OVER: Final = Reason("fin-wait-2-over", "RFC 9293 §3.6.1")
GAVE_UP: Final = Reason("gave-up", "RFC 9293 §3.8.3")
USER_TIMEOUT_OVER: Final = Reason("user-timeout-over", "RFC 5482 §1")
UNREACHABLE: Final = Reason("unreachable", "RFC 9293 §3.9.2.2")
TOO_MANY_ORPHANS: Final = Reason("too-many-orphans", "")
KEEP_ALIVE_UNANSWERED: Final = Reason("keep-alive-unanswered", "RFC 9293 §3.8.4")

# --- what a wire does --------------------------------------------------------------------------------------------
LOST_BY_CHANCE: Final = Reason("lost-by-chance", "")
LOST_BY_REQUEST: Final = Reason("lost-by-request", "")
QUEUE_FULL: Final = Reason("queue-full", "")
LOST_IN_BURST: Final = Reason("lost-in-burst", "")
PARTITIONED: Final = Reason("partitioned", "")
DROPPED_BY_QUEUE: Final = Reason("dropped-by-queue", "RFC 7567 §4.2")

# --- what machines in the middle do, and hosts that go down ------------------------------------------------------
TTL_OVER: Final = Reason("ttl-over", "RFC 1812 §5.3.1")
NO_ROUTE: Final = Reason("no-route", "RFC 1812 §4.3.3.1")
NOBODY_AT_ADDRESS: Final = Reason("nobody-at-address", "RFC 1812 §4.3.3.1")
TOO_BIG: Final = Reason("too-big", "RFC 1191 §4")
NOT_FORWARDED: Final = Reason("not-forwarded", "RFC 1812 §5.3.7")
NOT_TRANSLATED: Final = Reason("not-translated", "RFC 3022 §4")
CONVERSATION_UNKNOWN: Final = Reason("conversation-unknown", "RFC 5382 §5")
CONVERSATIONS_FULL: Final = Reason("conversations-full", "RFC 5382 §5")
FIREWALL_DROPPED: Final = Reason("firewall-dropped", "RFC 2979 §2")
FIREWALL_REJECTED: Final = Reason("firewall-rejected", "RFC 2979 §2")
HOST_DOWN: Final = Reason("host-down", "RFC 9293 §3.5.1")

# --- what the laboratory does, and no host -----------------------------------------------------------------------
TWO_WAY_OPEN: Final = Reason("two-way-open", "")


#: Verdicts that mean: nothing of the segment was used.
DROPS: Final = frozenset(
    {
        WRONG_ACK_OF_SYN,
        SYN_QUEUE_FULL,
        ACCEPT_QUEUE_FULL,
        WAITS_FOR_DATA,
        DUPLICATE_DATA,
        OUTSIDE_WINDOW,
        OLD_TIMESTAMP,
        RESET_NOT_EXACT,
        NO_TIMESTAMPS,
        SYN_IN_CONNECTION,
        ACK_NOT_ACCEPTABLE,
        NO_ACK,
        NO_SYN,
        NOTHING_FOR_LISTEN,
        REASSEMBLY_FULL,
        NO_MEMORY,
        DATA_AFTER_CLOSE,
        TEXT_AFTER_FIN,
        NOBODY_HOME,
        DAMAGED,
        NOTHING_FOR_TIME_WAIT,
    }
)


def all_reasons() -> list[Reason]:
    """Every reason there is, in the order of this file."""
    return [value for value in globals().values() if isinstance(value, Reason)]

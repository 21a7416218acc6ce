"""Each reason of `synfin.reasons` in a few English words; the catalogues translate them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def N_(text: str) -> str:  # noqa: N802 (gettext's name for it)
    """Marks a text for the catalogues where it stands; it is translated where it is used."""
    return text


REASON_WORDS: Final[Mapping[str, str]] = {
    # the user's calls
    "passive-open": N_("the application listens (passive open)"),
    "active-open": N_("the application connects (active open)"),
    "user-closed": N_("the application closed its side"),
    "user-aborted": N_("the application aborted the connection"),
    "closed-with-data-unread": N_("closed with data still unread"),
    # opening
    "syn-sent": N_("SYN sent: asks for a connection"),
    "syn-received": N_("SYN received: the peer asks for a connection"),
    "syn-answered": N_("answers SYN with SYN+ACK"),
    "syn-ack-received": N_("SYN+ACK received: our SYN is acknowledged"),
    "syn-ack-answered": N_("answers SYN+ACK: third message of the handshake"),
    "simultaneous-syn": N_("both ends sent SYN at once (simultaneous open)"),
    "ack-of-syn-received": N_("ACK of our SYN received: the connection is open"),
    "wrong-ack-of-syn": N_("acknowledges a SYN that was never sent"),
    "syn-repeated": N_("the same SYN again"),
    "syn-cookie": N_("the SYN queue is full: the number itself remembers the SYN"),
    "syn-queue-full": N_("the SYN queue is full"),
    "accept-queue-full": N_("the accept queue is full"),
    "waits-for-data": N_("the listener waits for data before it accepts"),
    # what a segment was good for
    "accepted": N_("acceptable segment"),
    "acknowledges-new": N_("acknowledges new data"),
    "duplicate-acknowledgment": N_("duplicate ACK: acknowledges nothing new"),
    "in-order-data": N_("data in order: exactly what was expected next"),
    "out-of-order-data": N_("data out of order: kept until the gap is filled"),
    "duplicate-data": N_("duplicate: this data was already received"),
    "fin-received": N_("FIN received: the peer will send no more data"),
    "ack-of-fin-received": N_("ACK of our FIN received"),
    "reset-received": N_("RST received: the connection ends at once"),
    "refused": N_("RST in answer to SYN: connection refused"),
    # why a segment was dropped
    "outside-window": N_("sequence number outside the receive window"),
    "old-timestamp": N_("timestamp too old: an old duplicate (PAWS)"),
    "reset-not-exact": N_("RST in the window, but not exactly at rcv_nxt"),
    "no-timestamps": N_("without the timestamps that were agreed on"),
    "syn-in-connection": N_("SYN on a connection that is already open"),
    "ack-not-acceptable": N_("ACK too old, or of data never sent"),
    "no-ack": N_("a segment without ACK is of no use here"),
    "no-syn": N_("no SYN, though SYN+ACK is awaited"),
    "nothing-for-listen": N_("no SYN: nothing that a listener could use"),
    "reassembly-full": N_("no room left for data out of order"),
    "no-memory": N_("no memory left: TCP has all that it may have"),
    "data-after-close": N_("data after close: nobody is left to read it"),
    "text-after-fin": N_("data after the peer's own FIN: ignored"),
    "nobody-home": N_("no connection and no listener for this segment"),
    "damaged": N_("damaged: the checksum is wrong"),
    # why a segment was sent
    "new-data": N_("new data"),
    "fin-sent": N_("FIN: all data has been sent"),
    "ack-at-once": N_("ACK sent at once"),
    "ack-every-second": N_("ACK of every second full-sized segment"),
    "ack-delayed": N_("delayed ACK: its timer expired"),
    "ack-of-fin": N_("acknowledges the peer's FIN"),
    "ack-out-of-order": N_("duplicate ACK: a segment before it is missing"),
    "ack-fills-gap": N_("ACK sent at once: a gap is being filled"),
    "ack-of-unacceptable": N_("unacceptable segment: ACK says what is expected"),
    "challenge-ack": N_("challenge ACK: was that really the peer?"),
    "window-update": N_("window update: there is room again"),
    "window-probe": N_("zero-window probe: is there room now?"),
    "probe-override": N_("waited long enough: sent, though small"),
    "retransmission-timeout": N_("no ACK within the RTO: sent again"),
    "fast-retransmit": N_("three duplicate ACKs: sent again at once"),
    "partial-acknowledgment": N_("partial ACK: the next missing segment again"),
    "keep-alive-probe": N_("long silence: are you still there?"),
    "path-mtu-reduced": N_("too big for the path: sent again in smaller segments"),
    "reset-no-connection": N_("RST: there is no such connection"),
    "reset-abort": N_("RST: the application aborted"),
    # congestion control
    "initial-window": N_("initial congestion window"),
    "idle-restart": N_("idle for an RTO: cwnd begins anew"),
    "slow-start": N_("slow start: cwnd grows with every ACK"),
    "congestion-avoidance": N_("congestion avoidance: one MSS per round trip"),
    "fast-recovery": N_("fast recovery: repairs a loss without slow start"),
    "full-acknowledgment": N_("full ACK: the loss is repaired, recovery ends"),
    # time
    "two-msl-over": N_("2MSL are over"),
    "time-wait-restarted": N_("the FIN came again: 2MSL begin anew"),
    "nothing-for-time-wait": N_("TIME-WAIT has no use for it"),
    "time-wait-overflow": N_("too many in TIME-WAIT: this one ends at once"),
    "time-wait-reopened": N_("a new SYN: TIME-WAIT makes way for it"),
    "fin-wait-2-over": N_("the peer's FIN did not come in time"),
    "gave-up": N_("sent again too often without an answer: given up"),
    "user-timeout-over": N_("no ACK within the time the application set: given up"),
    "unreachable": N_("the network reports that the peer cannot be reached"),
    "too-many-orphans": N_("gave up: no room for more connections without a user"),
    "keep-alive-unanswered": N_("no keep-alive probe was answered"),
    # what a wire does
    "lost-by-chance": N_("lost by chance"),
    "lost-by-request": N_("lost on request"),
    "queue-full": N_("the queue at the wire is full"),
    "lost-in-burst": N_("lost in a burst of losses"),
    "partitioned": N_("the network is partitioned"),
    "dropped-by-queue": N_("dropped by the queue, to warn of congestion"),
    # what machines in the middle do, and hosts that go down
    "ttl-over": N_("the TTL ran out on the way"),
    "no-route": N_("a router knows no way to that network"),
    "nobody-at-address": N_("nobody has that address on the last network"),
    "too-big": N_("too big for the next hop, and not to be fragmented"),
    "not-forwarded": N_("routers pass on only what goes from one host to one"),
    "not-translated": N_("nothing that this NAT can translate"),
    "conversation-unknown": N_("the NAT or firewall knows no such connection any more"),
    "conversations-full": N_("the table of the NAT or firewall is full"),
    "firewall-dropped": N_("dropped by a firewall, in silence"),
    "firewall-rejected": N_("rejected by a firewall, which says so"),
    "host-down": N_("the host went down and forgot everything"),
}

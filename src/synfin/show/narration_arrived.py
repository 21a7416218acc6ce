"""What is said of a segment that arrives, and of one that is lost, by the reason.

Of an arrival {who} is the receiver and {other} the sender, of a loss {who} is the sender. The other gaps are those of
`narration_sent`; ":probe" is the special case of a probe that arrives. An arrival that changes a state is told by
`narration_changes`, where that has a sentence for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from synfin.show.narration_sent import Telling
from synfin.show.reason_words import N_

__all__ = ["ARRIVED", "LOST", "REACHED"]

#: An arrival of which the receiver told nothing.
REACHED: Final = Telling(
    N_("Arrival of {what} at {who}, which tells nothing of it."),
    N_("It may be down, or nobody watches it."),
)

ARRIVED: Final[Mapping[str, Telling]] = {
    # opening
    "syn-received": Telling(
        N_("{who} sees the SYN: {other} asks for a connection."),
        N_("From this SYN it knows where the numbers of {other} begin."),
    ),
    "syn-ack-received": Telling(
        N_("{who} sees that its SYN has arrived, and where the numbers of {other} begin."),
        N_("Both directions are agreed on, as far as {who} can know."),
    ),
    "simultaneous-syn": Telling(
        N_("{who} sees a SYN where it expected SYN+ACK: both ends asked at once."),
        N_("Their SYNs crossed on the way. That is rare, but lawful."),
    ),
    "ack-of-syn-received": Telling(
        N_("{who} learns that its SYN has arrived."),
        N_("The handshake is complete at both ends."),
    ),
    "wrong-ack-of-syn": Telling(
        N_("{who} drops it: ack={ack} confirms no SYN of its own."),
        N_("It belongs to another connection, past or made up. The opening goes on."),
    ),
    "syn-repeated": Telling(
        N_("{who} sees the same SYN again: {other} has had no answer."),
        N_("It notes no second request; the one that it has is answered again."),
    ),
    "syn-cookie": Telling(
        N_("The SYN queue is full: {who} will answer and keep nothing."),
        N_("All that it would have to remember goes into the number of its SYN+ACK, a SYN cookie."),
    ),
    "syn-queue-full": Telling(
        N_("The SYN queue is full: {who} drops the SYN in silence."),
        N_("{other} will send it again; perhaps there is room by then."),
    ),
    "accept-queue-full": Telling(
        N_("The accept queue is full: {who} drops it."),
        N_("The program accepts too slowly. {other} gets no word of that, and goes on trying."),
    ),
    "waits-for-data": Telling(
        N_("{who} drops the bare ACK: it waits for the first data (TCP_DEFER_ACCEPT)."),
        N_("Its program wants to wake only when there is something to read."),
    ),
    # what it was good for
    "accepted": Telling(
        N_("{who} takes it: its number is within the window."),
        N_("It has passed all checks."),
    ),
    "acknowledges-new": Telling(
        N_("{who} learns that {other} has all before {ack}."),
        N_("It can forget its copies of those octets, and the window moves on."),
    ),
    "duplicate-acknowledgment": Telling(
        N_("{who} hears again that {other} expects {ack}: a duplicate ACK."),
        N_("Something that it sent later has arrived, but not that; it may be lost, or only late."),
    ),
    "mtu-probe-arrived": Telling(
        N_("The large segment has arrived: {who} may send such segments now."),
        N_("The path takes more than was known."),
    ),
    "mtu-probe-lost": Telling(
        N_("{who} learns that its large segment was lost, and it alone."),
        N_("So the path does not take that size; this was no congestion."),
    ),
    "in-order-data": Telling(
        N_("{who} gets {what}, just what it expected next."),
        N_("The order is right, so its program can read at once."),
    ),
    "out-of-order-data": Telling(
        N_("{who} sets {what} aside: something before is missing."),
        N_("Its program gets octets in their order only, so what came early waits until the gap is filled."),
    ),
    "duplicate-data": Telling(
        N_("{who} has {what} already, and drops the copy."),
        N_("Thanks to the numbers it can tell. An ACK says so, lest {other} sends it yet again."),
    ),
    "fin-received": Telling(
        N_("{who} sees the FIN: {other} will send no more."),
        N_("Its program reads what is left, and then the end of file."),
    ),
    "ack-of-fin-received": Telling(
        N_("{who} learns that its FIN has arrived, and all data before it."),
        N_("It will not have to send the FIN again."),
    ),
    "reset-received": Telling(
        N_("RST: for {who} the connection ends at once."),
        N_("A program that still uses it gets ECONNRESET; what was not delivered is lost. A RST is not answered."),
    ),
    "refused": Telling(
        N_("RST in answer to the SYN: {who} is refused."),
        N_("Its connect() fails with ECONNREFUSED: at that port nobody takes connections."),
    ),
    "time-wait-restarted": Telling(
        N_("The FIN again: {who} will answer, and its 2MSL begin anew."),
        N_("The last ACK was lost or late. After this one too, there must be time for another FIN."),
    ),
    "time-wait-reopened": Telling(
        N_("A new SYN, beyond all old numbers: {who} ends TIME-WAIT for it."),
        N_("No old segment can be mistaken for one of the new connection, so there is no reason to wait."),
    ),
    # why it was dropped
    "outside-window": Telling(
        N_("{who} drops it: seq={seq} lies outside its window."),
        N_("It is an old duplicate, or somebody's guess. An ACK says what is expected."),
    ),
    "outside-window:probe": Telling(
        N_("{who} gets the probe: it has an old number, and only asks for an ACK."),
        N_("Nothing of it is used. The ACK tells what is expected next, and how large the window is."),
    ),
    "old-timestamp": Telling(
        N_("{who} drops it: by its timestamp it is an old duplicate."),
        N_("Even when the numbers have gone around and fit again, the timestamp tells old from new (PAWS)."),
    ),
    "reset-not-exact": Telling(
        N_("{who} does not believe the RST: seq={seq} is not exactly what it expects."),
        N_("Anyone could guess a number somewhere in the window. So it asks with an ACK."),
    ),
    "no-timestamps": Telling(
        N_("{who} drops it: it bears no timestamp, though both had agreed on that."),
        N_("Without it nobody can tell whether it is an old duplicate."),
    ),
    "syn-in-connection": Telling(
        N_("{who} drops it: a SYN on a connection that exists already."),
        N_("It may be an old duplicate, or {other} has restarted and remembers nothing."),
    ),
    "ack-not-acceptable": Telling(
        N_("{who} drops it: ack={ack} is too old, or of what was never sent."),
        N_("Whoever knows the connection does not acknowledge such numbers."),
    ),
    "no-ack": Telling(
        N_("{who} drops it: it bears no ACK."),
        N_("After the first SYN every segment of a connection acknowledges."),
    ),
    "no-syn": Telling(
        N_("{who} drops it: it awaits SYN+ACK, and this is none."),
        N_("Before the SYN of {other} nothing that it sends has a number to go by."),
    ),
    "nothing-for-listen": Telling(
        N_("{who} drops it: it only listens, and this is no SYN."),
        N_("A connection begins with a SYN."),
    ),
    "reassembly-full": Telling(
        N_("{who} drops {what}: no room for data out of order."),
        N_("{other} still has a copy, and will send it again."),
    ),
    "no-memory": Telling(
        N_("{who} drops {what}: its TCP has used all the memory that it may have."),
        N_("{other} still has a copy, and will send it again."),
    ),
    "data-after-close": Telling(
        N_("{who} drops {what}: its program has closed, nobody is left to read."),
        N_("{other} must learn that its data are lost. So a RST answers."),
    ),
    "text-after-fin": Telling(
        N_("{who} drops {what}: beyond the FIN of {other} there is nothing."),
        N_("Whoever sent a FIN has said that no data follow."),
    ),
    "nobody-home": Telling(
        N_("{who} has no connection and no listener for it."),
        N_("It drops it; unless it is a RST itself, a RST answers as a rule."),
    ),
    "damaged": Telling(
        N_("{who} drops it in silence: its checksum is wrong."),
        N_("Not even its sender's address can be trusted. For {other} it is as good as lost."),
    ),
    "nothing-for-time-wait": Telling(
        N_("{who} has no use for it in TIME-WAIT, and drops it."),
        N_("Everything was received long ago; only a FIN that comes again would matter."),
    ),
}

LOST: Final[Mapping[str, Telling]] = {
    "lost-by-chance": Telling(
        N_("The network loses {what} from {who}, by chance."),
        N_("Nobody tells {who}. Only the missing ACK will."),
    ),
    "lost-by-request": Telling(
        N_("The network loses {what} from {who}, as it was told to."),
        N_("{other} knows nothing of it, and nobody tells {who}. Only the missing answer will."),
    ),
    "queue-full": Telling(
        N_("The queue at the wire is full: no room for {what} from {who}."),
        N_("More is sent than the wire can carry. Loss is how most networks say so."),
    ),
    "lost-in-burst": Telling(
        N_("A burst of losses takes {what} from {who}."),
        N_("Losses seldom come alone: a bad radio link loses whatever passes for a while."),
    ),
    "partitioned": Telling(
        N_("The network is cut in two: it loses {what} from {who}."),
        N_("Neither end is told. A network that is dead sends no RST."),
    ),
    "dropped-by-queue": Telling(
        N_("The queue drops {what} from {who} to warn of congestion."),
        N_("It does so before it is full, so that senders slow down early."),
    ),
    "damaged": Telling(
        N_("Noise damages {what} from {who} on the way."),
        N_("The checksum will not fit. To {who} it looks like any other loss."),
    ),
    "ttl-over": Telling(
        N_("A router drops {what} from {who}: its TTL ran out."),
        N_("Every router takes one off, so that nothing goes in circles for ever."),
    ),
    "no-route": Telling(
        N_("A router drops {what} from {who}: it knows no way there."),
        N_("It reports that by ICMP; to TCP this is only a hint, since routes may come back."),
    ),
    "nobody-at-address": Telling(
        N_("The last router drops {what} from {who}: nobody has that address."),
        N_("It reports by ICMP that the host is unreachable."),
    ),
    "too-big": Telling(
        N_("A router drops {what} from {who}: too big for the next hop."),
        N_("It reports the MTU of that hop, and {who} can cut its segments smaller."),
    ),
    "not-forwarded": Telling(
        N_("A router does not pass on {what} from {who}."),
        N_("It forwards only what goes from one host to one."),
    ),
    "not-translated": Telling(
        N_("The NAT drops {what} from {who}: it cannot translate it."),
        N_("A NAT understands few protocols."),
    ),
    "conversation-unknown": Telling(
        N_("The NAT or firewall drops {what} from {who}: it knows no such connection."),
        N_("It forgets connections that are silent for too long, and those that it knew before it restarted."),
    ),
    "conversations-full": Telling(
        N_("The NAT or firewall drops {what} from {who}: its table is full."),
        N_("Every connection takes a place in its table until it has been silent for long."),
    ),
    "firewall-dropped": Telling(
        N_("A firewall drops {what} from {who} in silence."),
        N_("{who} cannot tell this from a loss, and tries on until its time is over."),
    ),
    "firewall-rejected": Telling(
        N_("A firewall rejects {what} from {who}, and says so."),
        N_("So {who} need not wait for a time-out."),
    ),
}

"""What is said when a state changes: by the pair of states, by the reason of a change without a segment, and by the
call of a user.

{who} is the end whose state it is, {other} its peer; {old} and {new} are the states. The other gaps are those of
`narration_sent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from synfin.show.narration_sent import Telling
from synfin.show.reason_words import N_

__all__ = [
    "ACK_WITH_FIN",
    "CALLED",
    "CHANGED",
    "ENDED",
    "MOVES",
    "MOVES_WITH_DATA",
    "NOW",
    "OTHER_CALL",
    "SOMEBODY_NOW",
]

#: What is put behind a sentence that does not name the new state: where its subject is that end, and where not.
NOW: Final = N_("{told}; it is now {new}.")
SOMEBODY_NOW: Final = N_("{told}; {who} is now {new}.")

_REQUESTED: Final = Telling(
    N_("The SYN of {other} reaches {who}, which is now SYN-RECEIVED."),
    N_(
        "It notes the request, and waits for the ACK of its own SYN. Until then nothing is sure: the SYN may be old or "
        "forged."
    ),
)

#: For each pair of states the reasons for which it is told like this, and the telling. `short` tells an arrival, or a
#: change without a segment; `more` says what it means to be in the new state, however it was reached.
MOVES: Final[Mapping[tuple[str, str], tuple[frozenset[str], Telling]]] = {
    # opening
    ("CLOSED", "LISTEN"): (
        frozenset({"passive-open"}),
        Telling(
            N_("{who} listens: it waits for a SYN, whoever may send one."),
            N_("Nothing is sent for that. A listener remembers its port, and no peer yet."),
        ),
    ),
    ("CLOSED", "SYN-SENT"): (
        frozenset({"active-open", "syn-sent"}),
        Telling(
            N_("{who} opens a connection to {other}, and is in SYN-SENT."),
            N_("It has made a TCB for the connection. In SYN-SENT it waits for an answer to its SYN."),
        ),
    ),
    ("LISTEN", "SYN-SENT"): (
        frozenset({"active-open", "syn-sent"}),
        Telling(
            N_("{who} listened, but now asks by itself: it is in SYN-SENT."),
            N_("In SYN-SENT it waits for an answer to its SYN."),
        ),
    ),
    ("LISTEN", "SYN-RECEIVED"): (
        frozenset({"syn-received"}),
        _REQUESTED,
    ),
    ("CLOSED", "SYN-RECEIVED"): (frozenset({"syn-received"}), _REQUESTED),
    ("TIME-WAIT", "SYN-RECEIVED"): (frozenset({"syn-received"}), _REQUESTED),
    ("SYN-RECEIVED", "LISTEN"): (
        frozenset({"reset-received"}),
        Telling(
            N_("RST: {who} forgets the request, and is in LISTEN as before."),
            N_("Nothing had been opened, and its program learns nothing of it."),
        ),
    ),
    ("SYN-SENT", "SYN-RECEIVED"): (
        frozenset({"simultaneous-syn"}),
        Telling(
            N_("A SYN, not SYN+ACK: both asked at once, and {who} is now SYN-RECEIVED."),
            N_("Their SYNs crossed. What is missing is the ACK of its own SYN."),
        ),
    ),
    ("SYN-SENT", "ESTABLISHED"): (
        frozenset({"syn-ack-received"}),
        Telling(
            N_("{who} sees its SYN confirmed and knows the number of {other}: ESTABLISHED."),
            N_("It knows now that both directions work; {other} does not know that yet. Its connect() is done."),
        ),
    ),
    ("SYN-RECEIVED", "ESTABLISHED"): (
        frozenset({"ack-of-syn-received"}),
        Telling(
            N_("Only now does {who} know that its own SYN arrived: it is ESTABLISHED."),
            N_("Both ends are open, and a program can accept the connection. An old SYN would not have come this far."),
        ),
    ),
    ("LISTEN", "ESTABLISHED"): (
        frozenset({"ack-of-syn-received"}),
        Telling(
            N_("The ACK brings the cookie back: {who} believes it, and is ESTABLISHED."),
            N_("From the cookie it knows what it had not kept."),
        ),
    ),
    # closing, the end that closes first
    ("ESTABLISHED", "FIN-WAIT-1"): (
        frozenset({"user-closed", "fin-sent"}),
        Telling(
            N_("{who} closes its direction and is in FIN-WAIT-1."),
            N_("In FIN-WAIT-1 it waits for two things, the ACK of its FIN and the FIN of {other}, in whatever order."),
        ),
    ),
    ("SYN-RECEIVED", "FIN-WAIT-1"): (
        frozenset({"user-closed", "fin-sent"}),
        Telling(
            N_("{who} closes before its SYN is confirmed, and is in FIN-WAIT-1."),
            N_("The FIN must wait its turn behind the SYN. Then the close goes on like any other."),
        ),
    ),
    ("FIN-WAIT-1", "FIN-WAIT-2"): (
        frozenset({"ack-of-fin-received"}),
        Telling(
            N_("{other} has the FIN of {who}, which is now in FIN-WAIT-2: half-closed."),
            N_("Its own direction is closed. The other one is open until the FIN of {other} comes, however late."),
        ),
    ),
    ("FIN-WAIT-1", "CLOSING"): (
        frozenset({"fin-received"}),
        Telling(
            N_("A FIN, but no ACK of its own: both closed at once, and {who} is CLOSING."),
            N_("The FINs crossed. What is missing is the ACK of its own FIN."),
        ),
    ),
    ("FIN-WAIT-1", "TIME-WAIT"): (
        frozenset({"fin-received"}),
        Telling(
            N_("FIN and ACK in one, three messages were enough: {who} is in TIME-WAIT."),
            N_(
                "It skips FIN-WAIT-2, and waits 2MSL in TIME-WAIT: the last ACK may be lost, and old segments must die "
                "out before the same ports are used again."
            ),
        ),
    ),
    ("FIN-WAIT-2", "TIME-WAIT"): (
        frozenset({"fin-received"}),
        Telling(
            N_("{other} has no more to send either: {who} now waits 2MSL in TIME-WAIT."),
            N_(
                "The last ACK may be lost, and then the FIN comes again and must be answered. And old segments must "
                "die out before the same ports are used again."
            ),
        ),
    ),
    ("CLOSING", "TIME-WAIT"): (
        frozenset({"ack-of-fin-received"}),
        Telling(
            N_("{other} has the FIN of {who} too, which now waits 2MSL in TIME-WAIT."),
            N_("After a simultaneous close each end sent a last ACK, so both wait here."),
        ),
    ),
    ("TIME-WAIT", "CLOSED"): (
        frozenset({"two-msl-over"}),
        Telling(
            N_("2MSL are over: {who} forgets the connection and is CLOSED."),
            N_("The ports are free again. That {other} got the last ACK is not proved by the silence."),
        ),
    ),
    # closing, the other end
    ("ESTABLISHED", "CLOSE-WAIT"): (
        frozenset({"fin-received"}),
        Telling(
            N_("The FIN of {other} says that no more will come: {who} is in CLOSE-WAIT."),
            N_(
                "Its program reads what is left and then the end of file. In CLOSE-WAIT it may send as long as it "
                "likes; only its own close() leads on."
            ),
        ),
    ),
    ("SYN-RECEIVED", "CLOSE-WAIT"): (
        frozenset({"fin-received"}),
        Telling(
            N_("{who} learns that its SYN arrived, and sees a FIN at once: CLOSE-WAIT."),
            N_("The connection is open in one direction only; {who} may send until its program closes."),
        ),
    ),
    ("CLOSE-WAIT", "LAST-ACK"): (
        frozenset({"user-closed", "fin-sent"}),
        Telling(
            N_("{who} closes the second direction and is in LAST-ACK."),
            N_("In LAST-ACK it waits for one thing, the ACK of its FIN, and sends the FIN again until that comes."),
        ),
    ),
    ("LAST-ACK", "CLOSED"): (
        frozenset({"ack-of-fin-received"}),
        Telling(
            N_("{other} has the last FIN: both directions are closed, and {who} is CLOSED."),
            N_("It need not wait: nobody expects anything more of it. So the end that closes second is done first."),
        ),
    ),
    # before anything was open
    ("LISTEN", "CLOSED"): (
        frozenset({"user-closed", "user-aborted"}),
        Telling(
            N_("{who} no longer listens: its program closed, and it is CLOSED."),
            N_("From now on a SYN to that port is answered with RST."),
        ),
    ),
    ("SYN-SENT", "CLOSED"): (
        frozenset({"user-closed"}),
        Telling(
            N_("The program of {who} closes before any answer came: CLOSED."),
            N_("There is nothing to take leave of. A SYN+ACK that comes now meets RST."),
        ),
    ),
}

#: The same where the segment that arrives has data too; what it means to be in the new state is above.
MOVES_WITH_DATA: Final[Mapping[tuple[str, str], str]] = {
    ("SYN-RECEIVED", "ESTABLISHED"): N_("{who} gets {what} with the ACK of its SYN: it is ESTABLISHED."),
    ("ESTABLISHED", "CLOSE-WAIT"): N_("{who} gets {what}, the last: it is in CLOSE-WAIT."),
    ("FIN-WAIT-1", "CLOSING"): N_("{who} gets {what}, but no ACK of its own FIN: it is CLOSING."),
    ("FIN-WAIT-1", "TIME-WAIT"): N_("{who} gets {what}, and the ACK of its own FIN: it is in TIME-WAIT."),
    ("FIN-WAIT-2", "TIME-WAIT"): N_("{who} gets {what}, the last: it now waits 2MSL in TIME-WAIT."),
}

#: FIN-WAIT-1 to TIME-WAIT where the ACK of the FIN had left alone before, and did not arrive.
ACK_WITH_FIN: Final = Telling(
    N_("The FIN of {other} confirms that of {who} too, which is now in TIME-WAIT."),
    N_("No ACK had come before, but every segment acknowledges. So {who} skips FIN-WAIT-2, and waits 2MSL."),
)

#: What it means to be CLOSED for reasons that may end any connection.
ENDED: Final = N_(
    "The TCB is gone, and with it all that {who} knew of the connection; what still comes belongs to no connection."
)

#: Changes of state without a segment, by their reasons.
CHANGED: Final[Mapping[str, Telling]] = {
    "passive-open": Telling(N_("The program of {who} listens."), N_("It waits for whoever connects.")),
    "active-open": Telling(N_("The program of {who} connects."), N_("A SYN follows.")),
    "syn-received": Telling(N_("{who} notes the request of {other}."), N_("It has answered the SYN.")),
    "user-closed": Telling(N_("The program of {who} closes its side."), N_("What it has handed over is still sent.")),
    "user-aborted": Telling(N_("The program of {who} aborts the connection."), N_("What was not delivered is lost.")),
    "closed-with-data-unread": Telling(
        N_("The program of {who} closes with data unread."),
        N_("Those data are lost, and {other} must learn it: RST takes the place of FIN."),
    ),
    "syn-cookie": Telling(
        N_("{who} believes the cookie that came back."), N_("It knows the request from it, as if it had kept it.")
    ),
    "accept-queue-full": Telling(
        N_("No room in the accept queue of {who}."), N_("The host is set to refuse such a client with RST.")
    ),
    "two-msl-over": Telling(N_("2MSL are over for {who}."), N_("Old segments have died out by now.")),
    "time-wait-overflow": Telling(
        N_("Too many TIME-WAITs at {who}: this one ends early."),
        N_("What TIME-WAIT guards against can now happen; tcp_max_tw_buckets sets how many there may be."),
    ),
    "time-wait-reopened": Telling(
        N_("A new connection replaces the one in TIME-WAIT."),
        N_("Its numbers or timestamps are beyond all old ones, so nothing old can be mistaken for new."),
    ),
    "fin-wait-2-over": Telling(
        N_("The FIN of {other} did not come in time."),
        N_("No program holds this end any more, and {other} might never close; tcp_fin_timeout bounds the wait."),
    ),
    "gave-up": Telling(
        N_("{who} gives up after many tries without an answer."),
        N_(
            "A program that waits gets an error, mostly ETIMEDOUT. Whether {other} or the network is dead, nobody can "
            "tell."
        ),
    ),
    "user-timeout-over": Telling(
        N_("No ACK within the time that the program of {who} allowed."),
        N_("It gets an error, mostly ETIMEDOUT, at the time that it chose and not at that of the host."),
    ),
    "unreachable": Telling(
        N_("The network says that {other} cannot be reached."),
        N_("An ICMP error tells sooner than time would."),
    ),
    "too-many-orphans": Telling(
        N_("{who} has too many connections without a program."),
        N_("They take memory and nobody waits for them; tcp_max_orphans bounds their number."),
    ),
    "keep-alive-unanswered": Telling(
        N_("No keep-alive answer: {who} takes {other} for dead."),
        N_("Its program gets an error, mostly ETIMEDOUT. Without keep-alive it would have waited for ever."),
    ),
    "two-way-open": Telling(
        N_("Laboratory variant: two messages are enough for {who}."),
        N_("No TCP does this. The third message, which tells an old SYN from a new one, is not waited for."),
    ),
    "host-down": Telling(
        N_("The machine of {who} goes down and forgets everything."),
        N_("No FIN and no RST leaves. If {other} still holds the connection, that is half-open now."),
    ),
}

#: The calls of a user (RFC 9293 §3.9.1).
CALLED: Final[Mapping[str, Telling]] = {
    "LISTEN": Telling(
        N_("The program of {who} listens."),
        N_("This is the passive open: it waits for whoever connects."),
        "RFC 9293 §3.10.1",
    ),
    "OPEN": Telling(
        N_("The program of {who} connects to {other}."),
        N_("This is the active open: connect() waits for the handshake."),
        "RFC 9293 §3.10.1",
    ),
    "SEND": Telling(
        N_("The program of {who} hands {octets} octets to its TCP."),
        N_("When they leave, and in what pieces, is for TCP to decide; the octets have no boundaries."),
        "RFC 9293 §3.10.2",
    ),
    "RECEIVE": Telling(
        N_("The program of {who} reads {octets} octets."),
        N_("That makes room in the buffer, and the window grows."),
        "RFC 9293 §3.10.3",
    ),
    "CLOSE": Telling(
        N_("The program of {who} closes its side."),
        N_("What it has handed over is still sent, and the FIN behind it."),
        "RFC 9293 §3.10.4",
    ),
    "ABORT": Telling(
        N_("The program of {who} aborts the connection."),
        N_("What was not delivered is lost; RST tells {other}."),
        "RFC 9293 §3.10.5",
    ),
    "STATUS": Telling(
        N_("The program of {who} asks about the connection."), N_("Nothing changes by that."), "RFC 9293 §3.10.6"
    ),
}
OTHER_CALL: Final = Telling(N_("The program of {who} calls {call}."), N_("That is no call of RFC 9293."))

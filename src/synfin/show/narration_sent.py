"""What is said of a segment that is sent, by its reason.

`short` says who does what, `more` why, and what follows from it. Gaps: {who} and {other}, the sender and the receiver;
{what}, the segment; {seq}, {ack} and {window}; {start}, the number of its SYN; {expects}, ack as x+1 or y+1; {octets};
{waited}, how long ago the same left before; {times}, how often it had left before.

A key with a colon is a special case: ":4" for a message of the seven by that name, ":again" for what left before,
":fin" for data with a FIN behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from synfin.show.reason_words import N_

__all__ = ["SENT", "UNTOLD", "Telling"]


@dataclass(frozen=True, slots=True)
class Telling:
    """A sentence, what more there is to say, and the RFC's section where no reason brings one."""

    short: str
    more: str
    clause: str = ""


SENT: Final[Mapping[str, Telling]] = {
    # opening
    "syn-sent": Telling(
        N_("{who} asks for a connection: its numbers begin at {start}."),
        N_(
            "The SYN takes a number of its own, so that it can be acknowledged like an octet, and sent again if no ACK "
            "comes. Where the numbers begin is new for each connection and hard to guess."
        ),
    ),
    "syn-answered": Telling(
        N_("{who} agrees: its own numbers begin at {start}, and it expects {expects} next."),
        N_(
            "One segment says two things: its ACK confirms the SYN of {other}, and its SYN asks for the same in the "
            "other direction. Whether that arrives {who} cannot know yet."
        ),
    ),
    "syn-answered:again": Telling(
        N_("{who} sends its SYN+ACK again, since the SYN came again."),
        N_("Whoever repeats a SYN has not seen the answer. Number and ACK are those of the first SYN+ACK."),
    ),
    "syn-ack-answered": Telling(
        N_("{who} confirms the SYN of {other}: it expects {expects} next."),
        N_(
            "Only an ACK tells {other} that its SYN arrived. This one takes no number and no timer guards it: if it is "
            "lost, data may bring the ACK along, or the SYN+ACK comes again."
        ),
    ),
    "syn-ack-answered:again": Telling(
        N_("{who} confirms the SYN of {other} once more."),
        N_("The SYN+ACK came again, so the ACK before may be lost. For {who} nothing changes."),
    ),
    "simultaneous-syn": Telling(
        N_("{who} had asked too: it confirms the SYN of {other} with SYN+ACK."),
        N_("Its SYN keeps its number {start}. Both ends answer like this, and there will be one connection, not two."),
    ),
    "syn-cookie": Telling(
        N_("{who} keeps nothing of the request: its number {start} is a cookie."),
        N_(
            "Its SYN queue is full. All that it must remember is hidden in the number; the ACK will bring it back, and "
            "who forged the SYN will never send that ACK."
        ),
    ),
    "syn-repeated": Telling(
        N_("No answer for {waited}: {who} sends {what} again (retransmission {times})."),
        N_(
            "Number and text are the same, so an answer to either will do. The timer starts anew, and after some tries "
            "the opening fails."
        ),
    ),
    # data
    "new-data": Telling(
        N_("{who} sends {what}."),
        N_("Each octet has its number. {who} keeps a copy until {other} acknowledges it, and starts a timer."),
    ),
    "new-data:fin": Telling(
        N_("{who} sends {what}, its last."),
        N_(
            "The FIN rides on the last data and takes the number behind them. It closes this direction alone; {who} "
            "may still receive."
        ),
    ),
    "probe-override": Telling(
        N_("{who} has waited for a larger window long enough, and sends {what}."),
        N_("Small segments are better avoided, but to wait for ever would be a deadlock."),
    ),
    "window-probe": Telling(
        N_("{who} asks: does {other} have room by now?"),
        N_(
            "The window of {other} is closed. It will say when it opens, but that ACK may get lost, and then both "
            "would wait for ever. So {who} asks from time to time."
        ),
    ),
    "mtu-probe": Telling(
        N_("{who} tries the path with a large segment of {octets} octets."),
        N_("If it arrives, the path takes such segments; if it alone is lost, it does not. No router need tell."),
    ),
    "keep-alive-probe": Telling(
        N_("There was silence for long: {who} asks whether {other} is still there."),
        N_(
            "The probe has a number that was used before, so a living TCP answers with an ACK. One that has restarted "
            "answers with RST, one that is gone not at all."
        ),
    ),
    # closing
    "fin-sent": Telling(
        N_("{who} has no more to send: its FIN takes number {seq}."),
        N_(
            "The FIN takes a number, so that it can be acknowledged, and sent again. It closes one direction alone: "
            "{who} may still receive."
        ),
    ),
    "fin-sent:4": Telling(
        N_("{who} has no more to send: FIN, seq=u={seq}."),
        N_(
            "u is the number behind its last octet; the FIN takes it, so that it can be acknowledged, and sent again. "
            "It closes one direction alone: {other} may still send."
        ),
    ),
    "fin-sent:6": Telling(
        N_("{who} has no more to send either: FIN, seq=w={seq}."),
        N_(
            "Now the second direction closes too. It could not close before, since only the program of {who} knows "
            "when it has said everything."
        ),
    ),
    "fin-sent:5+6": Telling(
        N_("{who} acknowledges the FIN and sends its own, in one segment."),
        N_(
            "Its program closed before the ACK had to leave, so the ACK rides on the FIN. The connection closes with "
            "three messages instead of four."
        ),
    ),
    # acknowledging
    "ack-at-once": Telling(
        N_("{who} acknowledges at once: it has all before {ack}."),
        N_(
            "ack is the number that it expects next. It speaks for the TCP of {who}, and not for its program, which "
            "need not have read any of it."
        ),
    ),
    "ack-every-second": Telling(
        N_("Two full segments have come: {who} acknowledges all before {ack}."),
        N_("One ACK for every second full segment is enough, and halves the number of ACKs."),
    ),
    "ack-delayed": Telling(
        N_("{who} waits no longer to acknowledge: it has all before {ack}."),
        N_(
            "It had waited a little, in case its program had data on which the ACK could ride. The timer of the "
            "delayed ACK bounds that wait."
        ),
    ),
    "ack-of-fin": Telling(
        N_("{who} acknowledges the FIN of {other}: ack={ack}."),
        N_("The FIN took a number too, so the ACK is one more than that."),
    ),
    "ack-of-fin:5": Telling(
        N_("{who} acknowledges the FIN: ack=u+1={ack}. It may still send."),
        N_(
            "The ACK does not wait for the program of {who}, which may have much to say yet. So the close takes four "
            "messages: a FIN and an ACK for each direction."
        ),
    ),
    "ack-of-fin:7": Telling(
        N_("{who} acknowledges the last FIN: ack=w+1={ack}."),
        N_(
            "No timer guards this ACK. If it is lost, {other} sends its FIN again, and somebody must be there to "
            "answer it again."
        ),
    ),
    "ack-of-fin:again": Telling(
        N_("{who} acknowledges the FIN of {other} once more."),
        N_("The FIN came again, so the ACK before was lost, or is late."),
    ),
    "ack-of-fin-delayed": Telling(
        N_("{who} acknowledges the FIN of {other} alone: ack={ack}."),
        N_("It had waited a little, in case its own FIN came, which could have taken the ACK along."),
    ),
    "ack-of-fin-delayed:5": Telling(
        N_("{who} waits no longer for its own FIN: ack=u+1={ack}. It may still send."),
        N_(
            "It had waited a little for a FIN of its own that could take the ACK along, but its program is not done. "
            "So the close takes four messages and not three."
        ),
    ),
    "ack-of-ce": Telling(
        N_("A router marked congestion: {who} tells {other} with ECE."),
        N_("The mark came from the network; only {other}, who sends too fast for it, can do something about that."),
    ),
    "ack-out-of-order": Telling(
        N_("{who} says again that it expects {ack}: a duplicate ACK."),
        N_(
            "Something later has come, but not that. The ACK cannot go on before the gap is filled, and repeating it "
            "tells {other} of the gap."
        ),
    ),
    "ack-fills-gap": Telling(
        N_("A gap is being filled: {who} acknowledges at once all before {ack}."),
        N_("{other} repairs a loss just now, and should learn without delay how far it has come."),
    ),
    "ack-of-unacceptable": Telling(
        N_("What came is of no use: {who} says that it expects {ack}."),
        N_("If {other} is behind, that sets it right; if the segment was an old or a forged one, nothing is harmed."),
    ),
    "challenge-ack": Telling(
        N_("{who} is not convinced: with an ACK it asks whether {other} meant it."),
        N_(
            "Whoever forges a segment from afar does not see this ACK. The real {other} does, and if it meant it, it "
            "answers with an exact RST."
        ),
    ),
    "window-update": Telling(
        N_("{who} has room again: it offers a window of {window} octets."),
        N_("Its program has read what filled the buffer. Without this word {other} would go on waiting."),
    ),
    "time-wait-restarted": Telling(
        N_("{who} acknowledges the last FIN once more: ack={ack}."),
        N_("This is what TIME-WAIT is for: who had forgotten the connection would have answered with RST."),
    ),
    # again
    "retransmission-timeout": Telling(
        N_("No ACK for {waited}: {who} sends {what} again (retransmission {times})."),
        N_(
            "Its retransmission timer (RTO) ran out. Was the segment lost, or the ACK? That it cannot know; to send "
            "again mends both. The next wait is twice as long, up to a limit."
        ),
    ),
    "fast-retransmit": Telling(
        N_("Duplicate ACKs: {who} sends {what} again, and waits for no timer."),
        N_("Each duplicate ACK says that something later has arrived. Three of them are hardly mere reordering."),
    ),
    "sack-shows-loss": Telling(
        N_("SACK shows the gap: {who} sends {what} again."),
        N_("Enough beyond it has arrived. What SACK reports as received need not be sent again."),
    ),
    "rescue": Telling(
        N_("{who} sends the last segment again, in case it is lost too: {what}."),
        N_("Nothing behind it could show its loss, and a time-out would cost much more than one segment."),
    ),
    "rack-shows-loss": Telling(
        N_("What left later has arrived: {who} sends {what} again."),
        N_("RACK judges by time: what is overtaken by more than the network reorders is taken for lost."),
    ),
    "loss-probe": Telling(
        N_("No ACK comes: {who} sends {what} as a probe, before its RTO is over."),
        N_("If the tail was lost, nothing behind it would show that. The answer to the probe does."),
    ),
    "loss-probe:again": Telling(
        N_("No ACK for {waited}: {who} sends {what} again, as a probe before its RTO."),
        N_("If the tail was lost, nothing behind it would show that. The answer to the probe does."),
    ),
    "partial-acknowledgment": Telling(
        N_("The ACK fills only part of the gap: {who} sends {what} again."),
        N_("More than one segment of the same window was lost; each partial ACK shows the next."),
    ),
    "path-mtu-reduced": Telling(
        N_("The segment was too large for the path: {who} sends {what} again."),
        N_("A router reported its MTU, and from now on segments are cut to fit."),
    ),
    "mtu-probe-lost": Telling(
        N_("The large segment was lost, it alone: {who} sends {what} again."),
        N_("The path does not take that size. As it was a probe, the congestion window need not shrink."),
    ),
    "black-hole": Telling(
        N_("Do large segments vanish? {who} sends {what} again, as a smaller one."),
        N_("Some path drops what is too large and reports nothing. If smaller ones arrive, that was it."),
    ),
    # RST
    "reset-no-connection": Telling(
        N_("{who} knows of no such connection, and answers with RST."),
        N_("So {other} need not go on trying. A RST is not acknowledged, and never answered."),
    ),
    "closed-with-data-unread": Telling(
        N_("{who} closes with data unread: it sends RST, and no FIN."),
        N_("Those data are lost, and {other} must learn that. A FIN would say that all is well."),
    ),
    "reset-abort": Telling(
        N_("{who} ends the connection at once, with RST."),
        N_("Data that were not delivered are lost. {other} need not answer; its program learns of a reset."),
    ),
}

#: Segments of which their senders told nothing, by what they are.
UNTOLD: Final[Mapping[str, Telling]] = {
    "data again": Telling(N_("{who} sends {what} again."), N_("All of it or a part had left before.")),
    "ACK": Telling(
        N_("{who} acknowledges all before {ack}."),
        N_("ack is the number that it expects next."),
    ),
    "RST": Telling(
        N_("{who} sends RST: there shall be no connection."),
        N_("It ends a connection at once, or refuses one. It is not acknowledged."),
    ),
    "other": Telling(N_("{who} sends a segment with the flags {flags}."), N_("No TCP has a use for such a segment.")),
}

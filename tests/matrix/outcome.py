"""What can come of a cell: the reply, the next state, what the user hears, and what became of the segment."""

from __future__ import annotations

from typing import Final, NamedTuple

# What the user hears.
READABLE: Final = "readable"
END_OF_FILE: Final = "end of file"
ACCEPTED: Final = "accepted"
CONNECTED: Final = "connected"
ECONNREFUSED: Final = "ECONNREFUSED"
ECONNRESET: Final = "ECONNRESET"
EPIPE: Final = "EPIPE"


class Reply(NamedTuple):
    """A segment that answers, its numbers in the RFC's words; `acknowledges` is empty without the ACK flag.

    `may_wait`: it may be delayed (RFC 9293 §3.8.6.3). Of what was seen: it was.
    """

    flags: str
    seq: str
    acknowledges: str = ""
    may_wait: bool = False

    def __str__(self) -> str:
        ack = f"<ACK={self.acknowledges}>" if self.acknowledges else ""
        return f"<SEQ={self.seq}>{ack}<CTL={self.flags}>"


ACK_REPLY: Final = Reply("ACK", "SND.NXT", "RCV.NXT")
DELAYED_ACK_REPLY: Final = ACK_REPLY._replace(may_wait=True)
SYN_ACK_REPLY: Final = Reply("SYN+ACK", "ISS", "SEG.SEQ+1")
RESET_OF_ACK: Final = Reply("RST", "SEG.ACK")
RESET_OF_OTHER: Final = Reply("RST+ACK", "0", "SEG.SEQ+SEG.LEN")


class Outcome(NamedTuple):
    """What came of a segment.

    `delivered`: octets of its data that the user can read now. `held`: octets of it that are kept until what lies
    before them has come; `fin_held` the same of its FIN. What is neither was dropped. `acknowledged`: it moved SND.UNA
    to SEG.ACK. `fin_taken`: RCV.NXT moved over its FIN. `restarted`: 2 MSL began anew.
    """

    reply: Reply | None
    state: str
    heard: frozenset[str] = frozenset()
    delivered: int = 0
    held: int = 0
    fin_taken: bool = False
    fin_held: bool = False
    acknowledged: bool = False
    restarted: bool = False

    def __str__(self) -> str:
        words = [str(self.reply) if self.reply else "no reply", self.state, *sorted(self.heard)]
        if self.delivered:
            words.append(f"{self.delivered} octets delivered")
        if self.held:
            words.append(f"{self.held} octets held")
        words += [name.replace("_", " ") for name in self._fields[5:] if getattr(self, name)]
        return ", ".join(words)

    @property
    def dropped(self) -> bool:
        """Nothing of the segment was used, unless for a change of state."""
        return not (
            self.delivered or self.held or self.fin_taken or self.fin_held or self.acknowledged or self.restarted
        )

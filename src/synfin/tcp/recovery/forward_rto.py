"""F-RTO (RFC 5682): was the retransmission time-out spurious? New data are sent, and what comes back tells.

In the form for SACK where it is in use (§3), and Linux's of the basic one (§2) where it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.recovery.loss_recovery import LossRecovery
    from synfin.tcp.tcb import Tcb

# What `process` comes to.
MEND: Final = 0
SPURIOUS: Final = 1
RECOVERED: Final = 2
NEW_DATA: Final = 3


def begins(tcb: Tcb, new: bool) -> bool:
    """Whether to ask at all: `new`, no loss was being mended before (§2.1, step 1), or it is the same time-out."""
    probing = tcb.mtu_search is not None and tcb.mtu_search.probe_size > 0
    return tcb.parameters.tcp_frto != 0 and (new or tcb.retransmissions > 1) and not probing


def process(recovery: LossRecovery, tcb: Tcb, delivery: Delivery, now: int) -> int:
    """What an acknowledgment says after the time-out."""
    recovered = tcb.snd_una >= recovery.recover
    if delivery.advanced and recovery.undo_loss(tcb, delivery, False, now):
        return SPURIOUS
    if recovery.frto:
        # §3.1, step 3b: not all was lost, as what was never sent again has arrived.
        if 0 <= delivery.original_end <= recovery.recover and recovery.undo_loss(tcb, delivery, True, now):
            return SPURIOUS
        if tcb.snd_nxt > recovery.recover:
            if delivery.sacked or delivery.duplicate:
                # §3.1, step 3a: the loss was real.
                recovery.frto = False
        elif delivery.advanced and not recovered:
            recovery.recover = tcb.snd_nxt
            # §2.1, step 2b: new data, if there are any and the window allows.
            if tcb.unsent > 0 and tcb.snd_una + tcb.snd_wnd > tcb.snd_nxt:
                return NEW_DATA
            recovery.frto = False
    return RECOVERED if recovered else MEND

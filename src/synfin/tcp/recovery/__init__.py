"""Loss recovery: what is lost, and what may be sent while it is mended. One small class each, chosen by name."""

from synfin.tcp.recovery.loss_recovery import LossRecovery
from synfin.tcp.recovery.newreno import NewReno
from synfin.tcp.recovery.rack import RackTlp
from synfin.tcp.recovery.registry import available_recoveries, choose, loss_recovery, preferred, register_recovery
from synfin.tcp.recovery.sack import SackRecovery

__all__ = [
    "LossRecovery",
    "NewReno",
    "RackTlp",
    "SackRecovery",
    "available_recoveries",
    "choose",
    "loss_recovery",
    "preferred",
    "register_recovery",
]

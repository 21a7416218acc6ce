"""The loss recoveries by their names, and which one a connection has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from synfin.tcp.recovery.loss_recovery import LossRecovery
from synfin.tcp.recovery.newreno import NewReno
from synfin.tcp.recovery.rack import RACK_LOSS_DETECTION, RackTlp
from synfin.tcp.recovery.sack import SackRecovery

if TYPE_CHECKING:
    from synfin.tcp.parameters import TcpParameters
    from synfin.tcp.tcb import Tcb

_REGISTRY: Final[dict[str, Callable[[int, int], LossRecovery]]] = {
    NewReno.name: NewReno,
    SackRecovery.name: SackRecovery,
    RackTlp.name: RackTlp,
}


def loss_recovery(name: str, iss: int, reordering: int) -> LossRecovery:
    """A new strategy of that name. Raises KeyError if there is none."""
    return _REGISTRY[name](iss, reordering)


def register_recovery(name: str, make: Callable[[int, int], LossRecovery]) -> None:
    """Makes a strategy of the user's available as `name`. Raises ValueError if the name is taken."""
    if name in _REGISTRY:
        raise ValueError(f"a loss recovery named {name!r} exists already")
    _REGISTRY[name] = make


def available_recoveries() -> list[str]:
    """The names of all strategies, sorted."""
    return sorted(_REGISTRY)


def choose(tcb: Tcb) -> LossRecovery:
    """The strategy of a connection whose handshake is over: what its user named, what its host names
    (``tcp_loss_recovery``), else as ``tcp_recovery`` says. One that reads SACK blocks needs a peer that sends them."""
    parameters = tcb.parameters
    name = tcb.settings.loss_recovery or preferred(parameters)
    recovery = loss_recovery(name, tcb.iss, parameters.tcp_reordering)
    if recovery.selective and not tcb.sack_permitted:
        return NewReno(tcb.iss, parameters.tcp_reordering)
    return recovery


def preferred(parameters: TcpParameters) -> str:
    """The name of the strategy of a host's connections, where peers send SACK blocks."""
    if parameters.tcp_loss_recovery:
        return parameters.tcp_loss_recovery
    return RackTlp.name if parameters.tcp_recovery & RACK_LOSS_DETECTION else SackRecovery.name

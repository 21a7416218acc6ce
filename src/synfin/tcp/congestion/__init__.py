"""Congestion control: how much may be in flight. One small class each, chosen by name."""

from synfin.tcp.congestion.control import INFINITE_SSTHRESH, INITIAL_WINDOW, CongestionControl
from synfin.tcp.congestion.cubic import Cubic
from synfin.tcp.congestion.registry import available, congestion_control, register
from synfin.tcp.congestion.reno import Reno

__all__ = [
    "INFINITE_SSTHRESH",
    "INITIAL_WINDOW",
    "CongestionControl",
    "Cubic",
    "Reno",
    "available",
    "congestion_control",
    "register",
]

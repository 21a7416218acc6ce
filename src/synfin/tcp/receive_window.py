"""How large a window may be, from the size of the buffer behind it (RFC 9293 §3.8.6, RFC 7323 §2)."""

from __future__ import annotations

from typing import Final

from synfin.tcp.parameters import TcpParameters
from synfin.tcp.settings import Settings

#: RFC 7323 §2.3
MAX_WINDOW_SHIFT: Final = 14
#: The largest window that a SYN can offer (RFC 7323 §2.2).
MAX_UNSCALED_WINDOW: Final = 65535
#: FreeBSD works its shift out from the largest socket buffer, 2 MiB.
FREEBSD_SHIFT: Final = 6


def window_space(buffer: int, parameters: TcpParameters, settings: Settings) -> int:
    """The most octets that a buffer of so many lets a window offer: what keeping them costs besides is left out, as
    ``tcp_adv_win_scale`` says."""
    scale = parameters.tcp_adv_win_scale
    space = buffer - (buffer >> scale) if scale > 0 else buffer >> -scale
    return min(space, settings.window_clamp) if settings.window_clamp else space


def buffer_for(window: int, parameters: TcpParameters) -> int:
    """The buffer of which `window_space` is `window`, or a little more."""
    scale = parameters.tcp_adv_win_scale
    return (window << scale) // ((1 << scale) - 1) + 1 if scale > 0 else window << -scale


def initial_window(space: int, mss: int, parameters: TcpParameters) -> int:
    """The window of a SYN, which is never scaled (RFC 7323 §2.2): full segments, as many as fit.

    With ``tcp_round_window`` the whole buffer: that is rounded up later.
    """
    if space > mss and not parameters.tcp_round_window:
        space -= space % mss
    return min(space, MAX_UNSCALED_WINDOW)


def window_shift(parameters: TcpParameters, settings: Settings) -> int:
    """The shift that lets a window be as large as the buffer may become (RFC 7323 §2.3)."""
    if parameters.tcp_freebsd_options:
        return FREEBSD_SHIFT
    most = parameters.tcp_rmem[2]
    if settings.rcv_buf:
        # The user's size holds, and does not grow.
        most = window_space(settings.rcv_buf, parameters, settings)
    if settings.window_clamp:
        most = min(most, settings.window_clamp)
    return min(max(most.bit_length() - 16, 0), MAX_WINDOW_SHIFT)

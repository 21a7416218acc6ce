"""SYN cookies: when the queue of requests is full, the SYN,ACK itself remembers the SYN (RFC 4987 §3.6).

The initial sequence number carries a keyed hash of the four-tuple and the peer's initial number, the minute in which
it was made and an index into a short table of segment sizes. Where the peer sent timestamps, the low bits of ours
carry window scale, SACK-permitted and ECN, as Linux does, so that nothing else is lost.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import Final

from synfin.tcp.clock import timestamp
from synfin.tcp.parameters import SECOND, TcpParameters
from synfin.tcp.receive_window import window_shift
from synfin.tcp.request import Request, new_request
from synfin.tcp.settings import Settings
from synfin.wire.sequence import MASK
from synfin.wire.tcp import Segment
from synfin.wire.tcp_options import NO_OPTIONS, Options

#: How long a tick of the cookies' counter lasts (nanoseconds), and how many ticks a cookie lives.
TICK: Final = 60 * SECOND
LIFE: Final = 2
#: The segment sizes that a cookie can remember; the largest that is not above the peer's is taken.
SIZES_IPV4: Final = (536, 1300, 1440, 1460)
SIZES_IPV6: Final = (1220, 1420, 1440, 8940)

_DATA_BITS: Final = 24
_DATA_MASK: Final = (1 << _DATA_BITS) - 1
#: The low bits of a timestamp: four of window scale (15: none), one of SACK-permitted, one of ECN.
_OPTION_BITS: Final = 6
_NO_WINDOW_SCALE: Final = 15
_SACK_BIT: Final = 1 << 4
_ECN_BIT: Final = 1 << 5


class SynCookies:
    """Makes and checks cookies under a secret of 16 octets or more."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:32]

    def _hash(self, flow: bytes, count: int, purpose: bytes) -> int:
        octets = flow + count.to_bytes(8, "big")
        return int.from_bytes(blake2s(octets, digest_size=4, key=self._secret, person=purpose).digest(), "big")

    def make(self, request: Request, now: int) -> int:
        """The initial sequence number that remembers `request`."""
        count = now // TICK
        sizes = SIZES_IPV4 if len(request.flow) == 12 else SIZES_IPV6
        index = max((i for i, size in enumerate(sizes) if size <= request.peer_mss), default=0)
        hidden = (self._hash(request.flow, count, b"hidden") + index) & _DATA_MASK
        return (self._hash(_known(request.flow, request.irs), 0, b"cookie") + (count << _DATA_BITS) + hidden) & MASK

    def check(self, flow: bytes, irs: int, iss: int, now: int) -> int:
        """The segment size that the cookie `iss` remembers, or -1 if it is none of ours, or too old."""
        latest = now // TICK
        rest = (iss - self._hash(_known(flow, irs), 0, b"cookie")) & MASK
        age = (latest - (rest >> _DATA_BITS)) & (MASK >> _DATA_BITS)
        if age >= LIFE or age > latest:
            return -1
        index = (rest - self._hash(flow, latest - age, b"hidden")) & _DATA_MASK
        sizes = SIZES_IPV4 if len(flow) == 12 else SIZES_IPV6
        return sizes[index] if index < len(sizes) else -1


def _known(flow: bytes, irs: int) -> bytes:
    """What both the SYN and the ACK that answers the cookie tell."""
    return flow + irs.to_bytes(4, "big")


def timestamp_with_options(request: Request, now: int) -> int:
    """A timestamp, not later than now, whose low bits remember the options of `request`."""
    latest = timestamp(now, request.ts_offset)
    bits = request.peer_wscale if request.peer_wscale >= 0 else _NO_WINDOW_SCALE
    if request.sack_permitted:
        bits |= _SACK_BIT
    if request.ecn:
        bits |= _ECN_BIT
    value = (latest >> _OPTION_BITS << _OPTION_BITS) | bits
    return value if value <= latest else (value - (1 << _OPTION_BITS)) & MASK


def restored(
    flow: bytes,
    irs: int,
    iss: int,
    mss: int,
    options: Options,
    path_mss: int,
    offset: int,
    now: int,
    parameters: TcpParameters,
    settings: Settings,
    metrics: tuple[int, int] = (0, 0),
) -> Request:
    """The request of which nothing was kept but the cookie `iss`, from the `options` of the ACK that brought it."""
    request = new_request(flow, irs, iss, path_mss, offset, now, metrics)
    request.peer_mss = mss
    request.sent_at = -1
    if options.ts_val is not None and options.ts_ecr is not None and parameters.tcp_timestamps:
        request.ts_recent = options.ts_val
        bits = options.ts_ecr & ((1 << _OPTION_BITS) - 1)
        shift = bits & _NO_WINDOW_SCALE
        request.peer_wscale = shift if shift != _NO_WINDOW_SCALE and parameters.tcp_window_scaling else -1
        request.rcv_wscale = window_shift(parameters, settings) if request.peer_wscale >= 0 else 0
        request.sack_permitted = bits & _SACK_BIT != 0 and parameters.tcp_sack != 0
        request.ecn = bits & _ECN_BIT != 0 and parameters.tcp_ecn != 0
    return request


def shorten(reply: Segment, octets: int) -> None:
    """Leaves out options of a cookie until they take no more than `octets`, what the SYN had beside its header.

    The source of a SYN may be forged, and whoever it names must not get more from us than the forger sent: else we
    multiply what he can do, and no state is kept by which to limit it. The first to go is the MSS: without it a peer
    sends 536 octets at a time, and one that cares has told its own. Then what remains.
    """
    options = reply.options
    if options.encoded_length <= octets:
        return
    without_mss = Options(
        window_scale=options.window_scale,
        sack_permitted=options.sack_permitted,
        ts_val=options.ts_val,
        ts_ecr=options.ts_ecr,
    )
    reply.options = without_mss if without_mss.encoded_length <= octets else NO_OPTIONS

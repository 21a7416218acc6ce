"""TCP options: RFC 9293 §3.2, RFC 7323 (window scale, timestamps), RFC 2018 (SACK)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from synfin.wire.errors import TCP_OPTIONS, WireError

END_OF_LIST: Final = 0
NO_OPERATION: Final = 1
MAXIMUM_SEGMENT_SIZE: Final = 2
WINDOW_SCALE: Final = 3
SACK_PERMITTED: Final = 4
SACK: Final = 5
TIMESTAMPS: Final = 8

MAX_OPTIONS_LENGTH: Final = 40

_TIMESTAMPS_LENGTH: Final = 12
# NOP, NOP, kind 8, length 10: RFC 7323 appendix A.
TIMESTAMPS_WORD: Final = 0x0101080A
TIMESTAMPS_LAYOUT: Final[tuple[int, ...]] = (NO_OPERATION, NO_OPERATION, TIMESTAMPS)

_aligned_timestamps = Struct("!III")
_two_words = Struct("!II")
_half_word = Struct("!H")


class Options:
    """The options of one segment. Treat it as a value: nothing changes one once it is made.

    `mss`: octets. `window_scale`: the shift as received, even above 14. `ts_val` and `ts_ecr`: both set or both None.
    `sack`: (left edge, right edge) pairs in the order on the wire. `others`: (kind, data) of every option that is
    unknown, repeated, or of a kind known here with a length that is not its own.

    `layout`: kinds in the order on the wire with NOP (1) and EOL (0). `encode` follows it and sends nothing that it
    does not name. The first occurrence of a known kind is the field's if the field is set; all others come, in
    their order, from `others`. An empty layout means the default: Linux's order (`default_layout`).

    Equality is that of meaning: layouts are not compared.
    """

    __slots__ = ("layout", "mss", "others", "sack", "sack_permitted", "ts_ecr", "ts_val", "window_scale")

    def __init__(
        self,
        mss: int | None = None,
        window_scale: int | None = None,
        sack_permitted: bool = False,
        ts_val: int | None = None,
        ts_ecr: int | None = None,
        sack: tuple[tuple[int, int], ...] = (),
        others: tuple[tuple[int, bytes], ...] = (),
        layout: tuple[int, ...] = (),
    ) -> None:
        self.mss = mss
        self.window_scale = window_scale
        self.sack_permitted = sack_permitted
        self.ts_val = ts_val
        self.ts_ecr = ts_ecr
        self.sack = sack
        self.others = others
        self.layout = layout

    @property
    def default_layout(self) -> tuple[int, ...]:
        """The order in which Linux sends the options that are set.

        On a SYN: mss, sackOK, TS, nop, wscale; without TS: mss, nop, nop, sackOK, nop, wscale.
        On other segments: nop, nop, TS, nop, nop, sack. `others` come last.
        """
        kinds: list[int] = []
        if self.mss is not None:
            kinds.append(MAXIMUM_SEGMENT_SIZE)
        if self.ts_val is not None:
            kinds += (SACK_PERMITTED, TIMESTAMPS) if self.sack_permitted else TIMESTAMPS_LAYOUT
        elif self.sack_permitted:
            kinds += (NO_OPERATION, NO_OPERATION, SACK_PERMITTED)
        if self.window_scale is not None:
            kinds += (NO_OPERATION, WINDOW_SCALE)
        if self.sack:
            kinds += (NO_OPERATION, NO_OPERATION, SACK)
        for kind, _ in self.others:
            kinds.append(kind)
        return tuple(kinds)

    @property
    def encoded_length(self) -> int:
        """Octets that `encode` returns: a multiple of 4."""
        if self.layout or self.others:
            return len(self.encode())
        length = 0 if self.mss is None else 4
        if self.ts_val is not None:
            length += _TIMESTAMPS_LENGTH
        elif self.sack_permitted:
            length += 4
        if self.window_scale is not None:
            length += 4
        if self.sack:
            length += 4 + 8 * len(self.sack)
        return length

    def encode(self) -> bytes:
        """Return the octets, padded with zeros to a multiple of 4 (RFC 9293 MUST-69).

        Raises ValueError if the layout names an option that is not set, or more than 40 octets come out.
        """
        layout = self.layout
        ts_val = self.ts_val
        ts_ecr = self.ts_ecr
        if layout is TIMESTAMPS_LAYOUT and ts_val is not None and ts_ecr is not None:
            return _aligned_timestamps.pack(TIMESTAMPS_WORD, ts_val, ts_ecr)
        if not layout:
            layout = self.default_layout
            if layout == TIMESTAMPS_LAYOUT and ts_val is not None and ts_ecr is not None:
                return _aligned_timestamps.pack(TIMESTAMPS_WORD, ts_val, ts_ecr)
            if not layout:
                return b""
        others = list(self.others)
        used: set[int] = set()
        octets = bytearray()
        for kind in layout:
            if kind == NO_OPERATION:
                octets.append(NO_OPERATION)
                continue
            if kind == END_OF_LIST:
                octets.append(END_OF_LIST)
                break
            data = None if kind in used else self._field_data(kind)
            used.add(kind)
            if data is None:
                data = _take(others, kind)
            octets.append(kind)
            octets.append(len(data) + 2)
            octets += data
        octets += bytes(-len(octets) % 4)
        if len(octets) > MAX_OPTIONS_LENGTH:
            raise ValueError(f"{len(octets)} octets of TCP options: at most {MAX_OPTIONS_LENGTH} fit")
        return bytes(octets)

    def _field_data(self, kind: int) -> bytes | None:
        """Return the data of the field that `kind` names, None if it is not set."""
        if kind == TIMESTAMPS and self.ts_val is not None and self.ts_ecr is not None:
            return _two_words.pack(self.ts_val, self.ts_ecr)
        if kind == SACK and self.sack:
            return b"".join([_two_words.pack(left, right) for left, right in self.sack])
        if kind == MAXIMUM_SEGMENT_SIZE and self.mss is not None:
            return _half_word.pack(self.mss)
        if kind == WINDOW_SCALE and self.window_scale is not None:
            return bytes((self.window_scale,))
        if kind == SACK_PERMITTED and self.sack_permitted:
            return b""
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Options):
            return NotImplemented
        return (
            self.mss == other.mss
            and self.window_scale == other.window_scale
            and self.sack_permitted == other.sack_permitted
            and self.ts_val == other.ts_val
            and self.ts_ecr == other.ts_ecr
            and self.sack == other.sack
            and self.others == other.others
        )

    def __repr__(self) -> str:
        parts: list[str] = []
        if self.mss is not None:
            parts.append(f"mss={self.mss}")
        if self.window_scale is not None:
            parts.append(f"window_scale={self.window_scale}")
        if self.sack_permitted:
            parts.append("sack_permitted=True")
        if self.ts_val is not None:
            parts.append(f"ts_val={self.ts_val}, ts_ecr={self.ts_ecr}")
        if self.sack:
            parts.append(f"sack={self.sack}")
        if self.others:
            parts.append(f"others={self.others}")
        if self.layout:
            parts.append(f"layout={self.layout}")
        return f"Options({', '.join(parts)})"


NO_OPTIONS: Final = Options()


def timestamp_options(ts_val: int, ts_ecr: int) -> Options:
    """Return the options of an ordinary segment: nop, nop, TS. `encode` knows these at sight."""
    return Options(None, None, False, ts_val, ts_ecr, (), (), TIMESTAMPS_LAYOUT)


def parse_options(data: memoryview) -> Options:
    """Parse the octets between the fixed header and the payload.

    Raises WireError ("tcp-options") for an option whose length is under 2 or runs past the header. Octets after an
    EOL are not looked at.
    """
    size = len(data)
    if not size:
        return NO_OPTIONS
    if size == _TIMESTAMPS_LENGTH:
        word, val, ecr = _aligned_timestamps.unpack(data)
        if word == TIMESTAMPS_WORD:
            return Options(None, None, False, val, ecr, (), (), TIMESTAMPS_LAYOUT)
    return _parse_each(bytes(data))


def _parse_each(data: bytes) -> Options:
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted = False
    ts_val: int | None = None
    ts_ecr: int | None = None
    sack: tuple[tuple[int, int], ...] = ()
    others: list[tuple[int, bytes]] = []
    layout: list[int] = []
    size = len(data)
    at = 0
    while at < size:
        kind = data[at]
        if kind == END_OF_LIST:
            layout.append(END_OF_LIST)
            break
        if kind == NO_OPERATION:
            layout.append(NO_OPERATION)
            at += 1
            continue
        # RFC 9293 MUST-7: a length that makes no sense is an error with a name, never a crash.
        if at + 1 >= size:
            raise WireError(TCP_OPTIONS, f"kind {kind} has no length")
        length = data[at + 1]
        end = at + length
        if length < 2 or end > size:
            raise WireError(TCP_OPTIONS, f"kind {kind} has length {length}")
        # RFC 9293 MUST-6: what is not understood is stepped over. That includes all but the first of a kind, and
        # known kinds with another length than theirs.
        first = kind not in layout
        layout.append(kind)
        if first and kind == MAXIMUM_SEGMENT_SIZE and length == 4:
            mss = (data[at + 2] << 8) | data[at + 3]
        elif first and kind == WINDOW_SCALE and length == 3:
            window_scale = data[at + 2]
        elif first and kind == SACK_PERMITTED and length == 2:
            sack_permitted = True
        elif first and kind == TIMESTAMPS and length == 10:
            ts_val, ts_ecr = _two_words.unpack_from(data, at + 2)
        elif first and kind == SACK and length >= 10 and length % 8 == 2:
            sack = tuple([_two_words.unpack_from(data, edge) for edge in range(at + 2, end, 8)])
        else:
            others.append((kind, data[at + 2 : end]))
        at = end
    return Options(mss, window_scale, sack_permitted, ts_val, ts_ecr, sack, tuple(others), tuple(layout))


def _take(others: list[tuple[int, bytes]], kind: int) -> bytes:
    """Remove the first option of this kind from `others` and return its data."""
    for index, (other_kind, data) in enumerate(others):
        if other_kind == kind:
            del others[index]
            return data
    raise ValueError(f"the layout names option kind {kind}, which is not set")

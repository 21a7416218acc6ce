"""What is to be said of a capture as a whole, each thing once: counts, and where it first was so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from synfin.show.reason_words import N_
from synfin.wire.errors import WireError

#: Kinds of links that were not known, of which each is named.
_MOST_LINKS: Final = 8

CUT_OFF: Final = N_("the file is cut short: its last record, after packet #{last}, is not whole")
BROKEN_OFF: Final = N_("the file makes no sense after packet #{last}: what follows cannot be read")
BROKEN_RECORDS: Final = N_("records of the file that make no sense, passed over: {count} (the first after #{first})")
WITHOUT_TIME: Final = N_("packets without a time, taken to have passed with the one before: {count}")
DROPPED: Final = N_("the capture itself dropped packets, by its own count: {count}")
BACKWARDS: Final = N_("times that go backwards: {count} (the first at #{first}); the order of the file counts")
UNKNOWN_LINKS: Final = N_("packets of links of unknown type ({types}), passed over: {count}")
UNREADABLE: Final = N_("packets whose headers make no sense, passed over: {count} (the first: #{first})")
CUT_SHORT: Final = N_("packets cut before the end of the TCP header, passed over: {count} (the first: #{first})")
SNAPPED: Final = N_("packets cut short by the snap length, of which the headers say enough: {count}")
OFFLOADED: Final = N_(
    "checksums left to the network card, hence wrong in the capture: {count} (the first: #{first}); this is no fault"
)
DAMAGED: Final = N_("segments with a wrong checksum, which the receiver drops: {count} (the first: #{first})")
SUPERPACKETS: Final = N_(
    "segments larger than the MSS: {count} (the first: #{first}); the network card cuts or merges them (TSO, GRO)"
)
DUPLICATES: Final = N_(
    "copies of packets captured before, passed over: {count} (the first: #{first}); they were seen at two places"
)
FRAGMENTS: Final = N_("IP fragments: {count}; whole again: {whole}, never whole: {lost}")
FORGOTTEN: Final = N_("too many connections at once: of {count} the end is told before it was seen")
LEFT_OUT: Final = N_("connections beyond the {most} most unusual ones, of which only the sums are told: {count}")


class Count:
    """How often something was so, and the number of the first packet."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first = 0

    def add(self, number: int) -> None:
        """Once more, at packet `number`."""
        if not self.count:
            self.first = number
        self.count += 1

    def join(self, other: Count) -> None:
        """All those that `other` counted too."""
        if other.count:
            self.first = min(self.first, other.first) if self.count else other.first
            self.count += other.count


class Notes:
    """Counts while the capture is read; `said` tells them as texts of the catalogues with what fills their gaps."""

    __slots__ = (
        "backwards",
        "broken",
        "cut_short",
        "damaged",
        "dropped",
        "duplicates",
        "forgotten",
        "fragments",
        "fragments_lost",
        "fragments_whole",
        "left_out",
        "most_connections",
        "number",
        "off",
        "offloaded",
        "snapped",
        "superpackets",
        "unknown_links",
        "unreadable",
        "without_time",
    )

    def __init__(self) -> None:
        #: The number of the packet that is looked at, counted from 1.
        self.number = 0
        self.off: WireError | None = None
        self.broken = Count()
        self.without_time = 0
        self.dropped = 0
        self.backwards = Count()
        self.unknown_links: dict[int, int] = {}
        self.unreadable = Count()
        self.cut_short = Count()
        self.snapped = 0
        self.offloaded = Count()
        self.damaged = Count()
        self.superpackets = Count()
        self.duplicates = Count()
        self.fragments = 0
        self.fragments_whole = 0
        self.fragments_lost = 0
        self.forgotten = 0
        self.left_out = 0
        self.most_connections = 0

    def broken_off(self, error: WireError) -> None:
        """The file makes no sense from here on."""
        self.off = error

    def broken_packet(self, error: WireError) -> None:
        """One record of the file makes no sense."""
        self.broken.add(self.number)

    def unknown_link(self, link: int) -> None:
        """A packet of a link of this type cannot be read."""
        if link not in self.unknown_links and len(self.unknown_links) >= _MOST_LINKS:
            link = -1
        self.unknown_links[link] = self.unknown_links.get(link, 0) + 1

    def said(self) -> Iterator[tuple[str, dict[str, int | str]]]:
        """What there is to say: texts to be translated, and what fills their gaps."""
        if self.off is not None:
            yield CUT_OFF if str(self.off).endswith("cut short") else BROKEN_OFF, {"last": self.number}
        if self.unknown_links:
            types = ", ".join("…" if link < 0 else str(link) for link in self.unknown_links)
            yield UNKNOWN_LINKS, {"types": types, "count": sum(self.unknown_links.values())}
        for count, text in ((self.without_time, WITHOUT_TIME), (self.dropped, DROPPED), (self.snapped, SNAPPED)):
            if count:
                yield text, {"count": count}
        for counted, text in (
            (self.broken, BROKEN_RECORDS),
            (self.backwards, BACKWARDS),
            (self.unreadable, UNREADABLE),
            (self.cut_short, CUT_SHORT),
            (self.offloaded, OFFLOADED),
            (self.damaged, DAMAGED),
            (self.superpackets, SUPERPACKETS),
            (self.duplicates, DUPLICATES),
        ):
            if counted.count:
                yield text, {"count": counted.count, "first": counted.first}
        if self.fragments:
            numbers = {"whole": self.fragments_whole, "lost": self.fragments_lost}
            yield FRAGMENTS, {"count": self.fragments, **numbers}
        if self.forgotten:
            yield FORGOTTEN, {"count": self.forgotten}
        if self.left_out:
            yield LEFT_OUT, {"count": self.left_out, "most": self.most_connections}

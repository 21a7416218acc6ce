"""Captures in pcapng files: of a link, or of anything that has packets and times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from synfin.link.link import Frame, Link, WrappedLink
from synfin.link.segmentation import cut
from synfin.wire.checksum import finish, ones_complement_sum, pseudo_header_sum
from synfin.wire.errors import WireError
from synfin.wire.ip import PROTOCOL_TCP, PROTOCOL_UDP, Packet, octets, parse_packet
from synfin.wire.pcapng import enhanced_packet, interface_description, section_header

if TYPE_CHECKING:
    from types import TracebackType

CHECKSUM_OFFSET: Final = {PROTOCOL_TCP: 16, PROTOCOL_UDP: 6}


class PcapngWriter:
    """Writes packets into a pcapng file, each on one of several interfaces, which are known by their names.

    `file` is a path, or a file opened for writing octets, which is then the caller's to close. Superpackets are
    written whole, as tcpdump would show them, or with `cut_superpackets` as the packets that they stand for.
    Times are nanoseconds since the epoch (of simulated time: since its beginning). Errors are OSError.
    """

    __slots__ = ("_cut_superpackets", "_file", "_interfaces", "_owned")

    def __init__(self, file: str | Path | BinaryIO, *, cut_superpackets: bool = False) -> None:
        self._owned = isinstance(file, (str, Path))
        self._file: BinaryIO = Path(file).open("wb") if isinstance(file, (str, Path)) else file  # noqa: SIM115
        self._cut_superpackets = cut_superpackets
        self._interfaces: dict[str, int] = {}
        self._file.write(section_header())

    def __enter__(self) -> PcapngWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def write_packet(
        self, time: int, packet: Packet, interface: str, *, inbound: bool | None = None, comment: str | None = None
    ) -> None:
        """Write `packet`, with its checksums complete."""
        for part in cut(packet) if self._cut_superpackets else (packet,):
            self._write(time, octets(part), interface, inbound, comment)

    def write_frame(
        self, time: int, frame: Frame, interface: str, *, inbound: bool | None = None, comment: str | None = None
    ) -> None:
        """Write what a link received. Checksums that the link vouches for may be partial and are completed; others
        are written as they came, right or wrong."""
        if not frame.checksum_verified and not (frame.segment_size and self._cut_superpackets):
            self._write(time, frame.data, interface, inbound, comment)
            return
        try:
            packet = parse_packet(frame.data, checksum_verified=True, segment_size=frame.segment_size)
        except WireError:
            self._write(time, frame.data, interface, inbound, comment)
            return
        if self._cut_superpackets and frame.segment_size:
            self.write_packet(time, packet, interface, inbound=inbound, comment=comment)
        else:
            self._write(time, _completed(frame.data, packet), interface, inbound, comment)

    def _write(
        self, time: int, data: bytes | bytearray | memoryview, interface: str, inbound: bool | None, comment: str | None
    ) -> None:
        number = self._interfaces.get(interface)
        if number is None:
            number = self._interfaces[interface] = len(self._interfaces)
            self._file.write(interface_description(interface))
        self._file.write(enhanced_packet(number, time, data, inbound=inbound, comment=comment))

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._file.flush()

    def close(self) -> None:
        """Flush, and close the file if it was opened here. Closing twice is harmless."""
        if self._file.closed:
            return
        if self._owned:
            self._file.close()
        else:
            self._file.flush()


def _completed(data: bytes | memoryview, packet: Packet) -> bytes | bytearray | memoryview:
    """`data`, which was parsed into `packet`, with the whole checksum of its TCP or UDP in place of a partial one."""
    offset = CHECKSUM_OFFSET.get(packet.protocol)
    start, end = packet.header_length, packet.total_length
    if offset is None or packet.is_fragment or start + offset + 2 > end:
        return data
    field = start + offset
    patched = bytearray(data)
    patched[field : field + 2] = b"\0\0"
    total = pseudo_header_sum(packet.source, packet.destination, packet.protocol, end - start)
    total += ones_complement_sum(memoryview(patched)[start:end])
    checksum = finish(total)
    # RFC 768: a UDP checksum of zero means that there is none.
    if not checksum and packet.protocol == PROTOCOL_UDP:
        checksum = 0xFFFF
    patched[field : field + 2] = checksum.to_bytes(2, "big")
    return patched


class Capture(WrappedLink):
    """A link that writes every packet that passes, both ways, with the time that `clock` tells in nanoseconds.

    A file that cannot be written (a full disk) does not disturb the link: the capture ends, and `error` says why.
    Closing the link closes the writer.
    """

    __slots__ = ("_clock", "_interface", "_writer", "error")

    def __init__(self, inner: Link, writer: PcapngWriter, clock: Callable[[], int], interface: str = "synfin") -> None:
        super().__init__(inner)
        self._writer = writer
        self._clock = clock
        self._interface = interface
        self.error: OSError | None = None

    def receive(self) -> Frame | None:
        frame = self.inner.receive()
        if frame is not None and self.error is None:
            try:
                self._writer.write_frame(self._clock(), frame, self._interface, inbound=True)
            except OSError as error:
                self.error = error
        return frame

    def send(self, packet: Packet) -> bool:
        # The other side may act on the packet before `send` returns.
        time = self._clock()
        if not self.inner.send(packet):
            return False
        if self.error is None:
            try:
                self._writer.write_packet(time, packet, self._interface, inbound=False)
            except OSError as error:
                self.error = error
        return True

    def close(self) -> None:
        self.inner.close()
        try:
            self._writer.close()
        except OSError as error:
            if self.error is None:
                self.error = error

"""Linux TUN devices, plain or with checksum and segmentation offload, and the kernel's side of them.

With offload every packet carries a `struct virtio_net_hdr` (Virtual I/O Device (VIRTIO) 1.2 §5.1.6), and a TCP packet
of up to 64 KB crosses the device whole, either way: see `include/uapi/linux/if_tun.h` and `virtio_net.h` in Linux.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import time
from collections.abc import Iterable
from os import read, write, writev
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from synfin.link.link import MAXIMUM_PACKET, Frame, Link
from synfin.link.segmentation import Unsent, cut, is_superpacket
from synfin.wire.ip import Packet, encode_packet
from synfin.wire.tcp import CWR, Segment

if TYPE_CHECKING:
    from types import TracebackType

    from pyroute2 import IPRoute

Interface: TypeAlias = "ipaddress.IPv4Interface | ipaddress.IPv6Interface"

# linux/if_tun.h, with the ioctl numbers of asm-generic (x86, Arm, RISC-V, LoongArch, s390).
TUNSETIFF: Final = 0x400454CA
TUNSETOFFLOAD: Final = 0x400454D0
TUNGETIFF: Final = 0x800454D2
TUNSETVNETHDRSZ: Final = 0x400454D8
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
IFF_VNET_HDR: Final = 0x4000
TUN_F_CSUM: Final = 0x01
TUN_F_TSO4: Final = 0x02
TUN_F_TSO6: Final = 0x04
TUN_F_TSO_ECN: Final = 0x08
INTERFACE_REQUEST: Final = struct.Struct("16sH22x")
INTERFACE_NAME_LIMIT: Final = 15
IFA_F_NODAD: Final = 0x02  # linux/if_addr.h
RTN_LOCAL: Final = 2  # linux/rtnetlink.h
#: How long the kernel may take to install a route, in seconds; then it is not waited for.
ROUTE_TIMEOUT: Final = 1.0

# linux/virtio_net.h
VIRTIO_NET_HDR_F_NEEDS_CSUM: Final = 1
VIRTIO_NET_HDR_F_DATA_VALID: Final = 2
VIRTIO_NET_HDR_GSO_NONE: Final = 0
VIRTIO_NET_HDR_GSO_TCPV4: Final = 1
VIRTIO_NET_HDR_GSO_TCPV6: Final = 4
VIRTIO_NET_HDR_GSO_ECN: Final = 0x80
VIRTIO_NET_HEADER: Final = struct.Struct("=BBHHHH")
VIRTIO_NET_HEADER_LENGTH: Final = VIRTIO_NET_HEADER.size
NO_OFFLOAD_HEADER: Final = bytes(VIRTIO_NET_HEADER_LENGTH)
IP_VERSION_OF_GSO: Final = {VIRTIO_NET_HDR_GSO_TCPV4: 4, VIRTIO_NET_HDR_GSO_TCPV6: 6}

TCP_CHECKSUM_OFFSET: Final = 16
MINIMUM_PACKET: Final = 20
MINIMUM_SEGMENT_SIZE: Final = 8
"""The least that Linux gives (TCP_MIN_GSO_SIZE); it bounds how many packets a superpacket can be cut into."""
MAXIMUM_READ: Final = VIRTIO_NET_HEADER_LENGTH + MAXIMUM_PACKET + 54
PIECE_LIMIT: Final = 64
"""More pieces than this are joined before they are written: by then the copy costs less than the pieces do."""
UNUSABLE_FRAME_LIMIT: Final = 64
"""How many unusable frames one `receive` passes over before it says that there is nothing to read."""

DEVICE: Final = Path("/dev/net/tun")


class Tun(Link):
    """A TUN device. Made by `open` or `from_fd`; a context manager, which closes it.

    `name` is the device's name, empty if the descriptor is none of a TUN. `offload` says whether superpackets cross
    the device whole; without it `send` cuts them. `counters` counts, under Linux's names (`ip -s -s link`), what was
    not carried: `rx_length_errors` (no whole packet), `rx_frame_errors` (a header that makes no sense),
    `tx_errors` (refused by the kernel), `tx_carrier_errors` (the kernel's side is down).
    """

    __slots__ = ("_fd", "_header_length", "_unsent", "counters", "mtu", "name", "offload", "room")

    mtu: int
    room: int

    def __init__(self, fd: int, name: str, *, vnet_header: bool, offload: bool, mtu: int) -> None:
        self._fd = fd
        self._header_length = VIRTIO_NET_HEADER_LENGTH if vnet_header else 0
        self._unsent = Unsent()
        self.name = name
        self.offload = offload
        self.mtu = mtu
        self.room = MAXIMUM_PACKET
        self.counters = {"rx_length_errors": 0, "rx_frame_errors": 0, "tx_errors": 0, "tx_carrier_errors": 0}

    @classmethod
    def open(cls, name: str | None = None, offload: bool = True, mtu: int = 1500) -> Tun:
        """Make the device called `name` (the kernel chooses one if None), or attach to a persistent one.

        `mtu` is what the kernel's side has, or will be given by `configure`. A device made here goes when it is
        closed. Raises ValueError for what cannot be a name, FileNotFoundError where the system has no TUN,
        PermissionError without CAP_NET_ADMIN (and no device of one's own), and OSError with EBUSY if the name is
        taken.
        """
        import fcntl

        request = _interface_request("synfin%d" if name is None else name, vnet_header=offload)
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            try:
                answer = fcntl.ioctl(fd, TUNSETIFF, request)
            except OSError as error:
                # An interface of another kind has that name.
                if error.errno == errno.EINVAL and name is not None and _interface_exists(name):
                    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name) from None
                raise
            _set_offload(fd, vnet_header=offload, offload=offload)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, _interface_name(answer), vnet_header=offload, offload=offload, mtu=mtu)

    @classmethod
    def from_fd(cls, fd: int, offload: bool = True, mtu: int = 1500) -> Tun:
        """Use `fd`, which somebody else opened; it belongs to the link from now on.

        A TUN must be without packet information (IFF_NO_PI), and with IFF_VNET_HDR if `offload` is asked for;
        otherwise ValueError. Any other descriptor that keeps the bounds of packets will do: with `offload` each
        packet has the 10 octets of a virtio_net_hdr in front, without it none.
        """
        import fcntl

        vnet_header = offload
        name = ""
        try:
            answer = fcntl.ioctl(fd, TUNGETIFF, bytes(INTERFACE_REQUEST.size))
        except OSError as error:
            if error.errno == errno.EBADF:
                raise
        else:
            name = _interface_name(answer)
            _, flags = INTERFACE_REQUEST.unpack(answer)
            if not flags & IFF_TUN or not flags & IFF_NO_PI:
                raise ValueError(f"{name or 'the descriptor'} is not attached as a TUN device with IFF_NO_PI")
            vnet_header = bool(flags & IFF_VNET_HDR)
            if offload and not vnet_header:
                raise ValueError(f"{name} was opened without IFF_VNET_HDR, which offload needs")
            _set_offload(fd, vnet_header=vnet_header, offload=offload)
        os.set_blocking(fd, False)
        return cls(fd, name, vnet_header=vnet_header, offload=offload, mtu=mtu)

    def __enter__(self) -> Tun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def aggregates(self) -> bool:
        return self.offload

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def receive(self) -> Frame | None:
        header_length = self._header_length
        for _ in range(UNUSABLE_FRAME_LIMIT):
            try:
                data = read(self._fd, MAXIMUM_READ)
            except BlockingIOError:
                return None
            except OSError as error:
                raise _device_error(error) from None
            if len(data) < header_length + MINIMUM_PACKET:
                if not data:
                    # A TUN has no end; a descriptor of another kind has come to its own.
                    raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
                self.counters["rx_length_errors"] += 1
                continue
            if not header_length:
                return Frame(data)
            frame = _frame(data)
            if frame is not None:
                return frame
            self.counters["rx_frame_errors"] += 1
        return None

    def send(self, packet: Packet) -> bool:
        unsent = self._unsent
        if unsent.packet is None and (self.offload or not is_superpacket(packet)):
            return self._write(packet)
        return unsent.send(packet, cut, self._write)

    def _write(self, packet: Packet) -> bool:
        pieces: list[bytes | memoryview]
        if self.offload and isinstance(packet.payload, Segment):
            pieces = encode_packet(packet, partial_checksum=True)
            pieces.insert(0, _offload_header(packet, packet.payload, pieces))
        else:
            pieces = encode_packet(packet)
            if self._header_length:
                pieces.insert(0, NO_OFFLOAD_HEADER)
        try:
            if len(pieces) > PIECE_LIMIT:
                write(self._fd, b"".join(pieces))
            else:
                writev(self._fd, pieces)
        except BlockingIOError:
            return False
        except OSError as error:
            # EIO: the kernel's side is down, which may pass, as when a cable is pulled.
            if error.errno == errno.EIO:
                self.counters["tx_carrier_errors"] += 1
            elif error.errno in (errno.EINVAL, errno.EMSGSIZE, errno.ENOMEM, errno.ENOBUFS):
                self.counters["tx_errors"] += 1
            else:
                raise _device_error(error) from None
        return True


def _frame(data: bytes) -> Frame | None:
    """What stands behind a virtio_net_hdr, or None if the header makes no sense.

    Of the header only what is used is believed: hdr_len is a hint (VIRTIO 1.2 §5.1.6.4) and is not read.
    """
    flags, gso_type, _, gso_size, csum_start, csum_offset = VIRTIO_NET_HEADER.unpack_from(data)
    packet = memoryview(data)[VIRTIO_NET_HEADER_LENGTH:]
    if flags & VIRTIO_NET_HDR_F_NEEDS_CSUM and csum_start + csum_offset + 2 > len(packet):
        return None
    if gso_type == VIRTIO_NET_HDR_GSO_NONE:
        gso_size = 0
    # A superpacket without NEEDS_CSUM breaks VIRTIO 1.2 §5.1.6.4.1, but is no less legible.
    elif gso_size < MINIMUM_SEGMENT_SIZE or IP_VERSION_OF_GSO.get(gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != packet[0] >> 4:
        return None
    # A partial sum means that the packet has been in no medium that could have damaged it.
    verified = flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID) != 0
    return Frame(packet, gso_size, verified)


def _offload_header(packet: Packet, segment: Segment, pieces: list[bytes | memoryview]) -> bytes:
    """The virtio_net_hdr for a TCP packet that was encoded into `pieces` with a partial checksum."""
    header_length = len(pieces[0])
    csum_start = packet.header_length
    gso_type = VIRTIO_NET_HDR_GSO_NONE
    gso_size = 0
    if is_superpacket(packet):
        gso_type = VIRTIO_NET_HDR_GSO_TCPV4 if packet.version == 4 else VIRTIO_NET_HDR_GSO_TCPV6
        if segment.flags & CWR:
            gso_type |= VIRTIO_NET_HDR_GSO_ECN
        gso_size = segment.segment_size
    return VIRTIO_NET_HEADER.pack(
        VIRTIO_NET_HDR_F_NEEDS_CSUM, gso_type, header_length, gso_size, csum_start, TCP_CHECKSUM_OFFSET
    )


def _device_error(error: OSError) -> OSError:
    # EBADFD is what Linux says once the device was deleted under the descriptor.
    if error.errno == errno.EBADFD:
        return OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
    return error


def _interface_request(name: str, *, vnet_header: bool) -> bytes:
    octets = name.encode()
    if not octets or len(octets) > INTERFACE_NAME_LIMIT or name in {".", ".."}:
        raise ValueError(f"not a device name: {name!r} (1 to {INTERFACE_NAME_LIMIT} octets)")
    if any(character in "/:\0" or character.isspace() for character in name):
        raise ValueError(f"not a device name: {name!r} (no '/', no ':', no white space)")
    return INTERFACE_REQUEST.pack(octets, IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if vnet_header else 0))


def _interface_name(request: bytes) -> str:
    name: bytes = INTERFACE_REQUEST.unpack(request)[0]
    return name.partition(b"\0")[0].decode(errors="replace")


def _interface_exists(name: str) -> bool:
    import socket

    return any(existing == name for _, existing in socket.if_nameindex())


def _set_offload(fd: int, *, vnet_header: bool, offload: bool) -> None:
    import fcntl

    # A persistent device keeps what its last user had set.
    if vnet_header:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("=i", VIRTIO_NET_HEADER_LENGTH))
    fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN if offload else 0)


def kernel_address(address: str, taken: Iterable[str] = ()) -> Interface:
    """The address for the kernel's side of a device whose other side is `address`, written ``10.9.0.2/24``.

    It is the next host address of the prefix that is not among `taken` (same notation), beginning anew at the end;
    never the network's own nor the broadcast address (RFC 4291 §2.6.1, RFC 3021). Raises ValueError, whose text is
    one line, when `address` cannot be a host's or its prefix has no room for a second.
    """
    ours = _host_interface(address)
    first, last = _host_range(ours)
    if not first <= int(ours.ip) <= last:
        raise ValueError(f"{address} is the address of the network or its broadcast address, not of a host")
    occupied = {int(ours.ip)}
    for text in taken:
        other = _host_interface(text)
        if other.version == ours.version:
            occupied.add(int(other.ip))
    candidate = int(ours.ip)
    for _ in range(min(len(occupied), last - first) + 1):
        candidate = first if candidate == last else candidate + 1
        if candidate not in occupied:
            return type(ours)((candidate, ours.network.prefixlen))
    raise ValueError(f"{ours.network} has no free address for the kernel's side")


def _host_interface(address: str) -> Interface:
    if "/" not in address:
        raise ValueError(f"{address} lacks the length of its prefix, such as in 10.9.0.2/24 or fd00:9::2/64")
    interface = ipaddress.ip_interface(address)
    ip = interface.ip
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback or "%" in address:
        raise ValueError(f"{address} cannot be the address of a host on a link")
    return interface


def _host_range(interface: Interface) -> tuple[int, int]:
    network = interface.network
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.num_addresses == 1:
        raise ValueError(f"{interface} leaves no address for the kernel's side: take a shorter prefix")
    if network.num_addresses > 2:
        first += 1
        if interface.version == 4:
            last -= 1
    return first, last


def configure(name: str, addresses: Iterable[str | Interface], mtu: int = 1500) -> None:
    """Give the kernel's side of the device called `name` its MTU and `addresses`, and bring it up.

    IPv6 addresses are usable at once: no duplicate address detection (RFC 4862 §5.4), for nobody else is on the
    link. An address that the device has already is left as it is. Waits for the kernel (0.1 s, mostly imports); may
    be called while an event loop runs. Raises OSError: PermissionError without CAP_NET_ADMIN, ENODEV if there is no
    such device; ValueError for what is no address.
    """
    from concurrent.futures import ThreadPoolExecutor

    interfaces = [ipaddress.ip_interface(address) for address in addresses]
    # pyroute2 runs an event loop of its own, which cannot be done where one is running already.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(_configure, name, interfaces, mtu).result()


def _configure(name: str, interfaces: list[Interface], mtu: int) -> None:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as route:
            indices = route.link_lookup(ifname=name)
            if not indices:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)
            index = indices[0]
            route.link("set", index=index, mtu=mtu, state="up")
            for interface in interfaces:
                length = interface.network.prefixlen
                flags = IFA_F_NODAD if interface.version == 6 else 0
                try:
                    route.addr("add", index=index, address=str(interface.ip), prefixlen=length, flags=flags)
                except NetlinkError as error:
                    if error.code != errno.EEXIST:
                        raise
                if interface.version == 6:
                    _await_local_route(route, str(interface.ip))
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code), name) from None


def _await_local_route(route: IPRoute, address: str) -> None:
    """The kernel installs the local route of an IPv6 address a moment after it has taken the address; packets for it
    that come before are dropped."""
    deadline = time.monotonic() + ROUTE_TIMEOUT
    while time.monotonic() < deadline:
        if any(found["type"] == RTN_LOCAL for found in route.route("get", family=socket.AF_INET6, dst=address)):
            return
        time.sleep(0.001)

"""ECN between synfin and the Linux kernel: who agrees, and what each does about marks that a link puts on packets."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from pathlib import Path

import pytest

from synfin.host.parameters import Parameters
from synfin.link.link import Frame, Link, WrappedLink
from synfin.tcp.congestion import INFINITE_SSTHRESH
from synfin.tcp.connection import Connection
from synfin.wire.checksum import ones_complement_sum
from synfin.wire.ip import CE, NOT_ECT, Packet, Segment
from synfin.wire.tcp import CWR, ECE, SYN
from tests.integration.peers import (
    OURS,
    PATIENCE,
    Run,
    Sender,
    becomes,
    digest,
    kernel_listener,
    octets,
    read_all,
    send_all,
    stack_on_tun,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("ss")]

offloads = pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
MUCH = 20_000_000
EVERY = 50


class Marking(WrappedLink):
    """Puts CE on one of `EVERY` packets that may be marked: of those that we send, or of those that the kernel does."""

    def __init__(self, inner: Link, ours: bool = False, kernels: bool = False) -> None:
        super().__init__(inner)
        self.ours = ours
        self.kernels = kernels
        self.seen = 0
        self.marked = 0
        # Flags of what we sent, SYNs apart.
        self.sent_cwr = 0
        self.sent_echo = 0
        self._again: Packet | None = None

    def _marks(self, codepoint: int) -> bool:
        if codepoint == NOT_ECT:
            return False
        self.seen += 1
        if self.seen % EVERY:
            return False
        self.marked += 1
        return True

    def send(self, packet: Packet) -> bool:
        if packet is not self._again:
            if isinstance(packet.payload, Segment) and not packet.payload.flags & SYN:
                self.sent_cwr += packet.payload.flags & CWR != 0
                self.sent_echo += packet.payload.flags & ECE != 0
            if self.ours and self._marks(packet.ecn):
                packet.traffic_class |= CE
        sent = self.inner.send(packet)
        self._again = None if sent else packet
        return sent

    def receive(self) -> Frame | None:
        frame = self.inner.receive()
        if frame is None or not self.kernels:
            return frame
        data = bytearray(frame.data)
        if data[0] >> 4 == 4:
            if self._marks(data[1] & CE):
                data[1] |= CE
                data[10:12] = bytes(2)
                data[10:12] = (65535 - (ones_complement_sum(data[:20]) % 65535 or 65535)).to_bytes(2, "big")
        elif self._marks(data[1] >> 4 & CE):
            data[1] |= CE << 4
        return Frame(bytes(data), frame.segment_size, frame.checksum_verified)


def set_kernel(mode: int) -> None:
    """Sets `tcp_ecn`, and a congestion control that reacts to marks by halving its window."""
    Path("/proc/sys/net/ipv4/tcp_ecn").write_text(str(mode))
    Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text("reno")


def kernel_connection() -> str:
    """What the kernel knows of its connection."""
    return subprocess.run(["ss", "-tinoH"], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def our_parameters(mode: int) -> Parameters:
    parameters = Parameters()
    parameters.tcp.tcp_ecn = mode
    return parameters


def only_connection(stack: object) -> Connection:
    (connection,) = stack.host.transport.connections.values()  # type: ignore[attr-defined]
    assert isinstance(connection, Connection)
    return connection


@versions
@pytest.mark.parametrize(("ours", "kernels", "agreed"), [(1, 2, True), (1, 0, False), (2, 2, False), (0, 2, False)])
def test_we_ask(in_namespace: Run, version: int, ours: int, kernels: int, agreed: bool) -> None:
    async def body() -> None:
        set_kernel(kernels)
        async with stack_on_tun(parameters=our_parameters(ours)) as stack:
            with kernel_listener(version) as listener:
                _, writer = await stack.open_connection(*listener.getsockname()[:2])
                peer, _ = listener.accept()
                with peer:
                    assert (only_connection(stack).ecn is not None) == agreed
                    assert (" ecn " in kernel_connection()) == agreed
                writer.close()

    in_namespace(lambda: asyncio.run(body()))


@versions
@pytest.mark.parametrize(("kernels", "ours", "agreed"), [(1, 2, True), (1, 1, True), (1, 0, False), (2, 1, False)])
def test_the_kernel_asks(in_namespace: Run, version: int, ours: int, kernels: int, agreed: bool) -> None:
    async def body() -> None:
        set_kernel(kernels)
        async with stack_on_tun(parameters=our_parameters(ours)) as stack:
            server = await stack.start_server(lambda reader, writer: None, OURS[version], 80)
            peer = await asyncio.to_thread(socket.create_connection, (OURS[version], 80), PATIENCE)
            with peer:
                await becomes(lambda: len(stack.host.transport.connections) == 1, stack.connections)
                assert (only_connection(stack).ecn is not None) == agreed
                assert (" ecn " in kernel_connection()) == agreed
            server.close()

    in_namespace(lambda: asyncio.run(body()))


@offloads
@versions
def test_we_back_off_for_marks(in_namespace: Run, version: int, offload: bool) -> None:
    data = octets(MUCH)
    marking: list[Marking] = []

    def wrap(link: Link) -> Link:
        marking.append(Marking(link, ours=True))
        return marking[0]

    async def body() -> None:
        set_kernel(2)
        async with stack_on_tun(offload=offload, parameters=our_parameters(1), wrap=wrap) as stack:
            with kernel_listener(version) as listener:
                _, writer = await stack.open_connection(*listener.getsockname()[:2])
                peer, _ = listener.accept()
                connection = only_connection(stack)
                with peer:
                    reading = asyncio.create_task(asyncio.to_thread(receive_digest, peer))
                    await send_all(writer, data)
                    assert await reading == digest(data)
                    shown = kernel_connection()
                writer.close()
        (link,) = marking
        assert link.marked > 5
        # The kernel saw ECT, and its echo reached us, for we reduced the window and said so.
        assert "ecnseen" in shown
        assert connection.ssthresh < INFINITE_SSTHRESH
        assert 0 < link.sent_cwr <= link.marked

    in_namespace(lambda: asyncio.run(body()))


def receive_digest(peer: socket.socket) -> str:
    pieces = []
    while piece := peer.recv(1 << 18):
        pieces.append(piece)
    return digest(b"".join(pieces))


@offloads
@versions
def test_the_kernel_backs_off_for_marks(in_namespace: Run, version: int, offload: bool) -> None:
    data = octets(MUCH)
    marking: list[Marking] = []

    def wrap(link: Link) -> Link:
        marking.append(Marking(link, kernels=True))
        return marking[0]

    async def body() -> None:
        set_kernel(2)
        async with stack_on_tun(offload=offload, parameters=our_parameters(1), wrap=wrap) as stack:
            with kernel_listener(version) as listener:
                reader, writer = await stack.open_connection(*listener.getsockname()[:2], limit=1 << 20)
                peer, _ = listener.accept()
                with peer:
                    sender = Sender(peer, data)
                    assert await read_all(reader) == (digest(data), MUCH)
                    sender.join()
                    shown = kernel_connection()
                writer.close()
        (link,) = marking
        assert link.marked > 5
        # We told of the marks, and the kernel believed us.
        assert link.sent_echo > 0
        delivered = re.search(r"delivered_ce:(\d+)", shown)
        assert delivered is not None
        assert int(delivered[1]) > 0
        assert "ssthresh:" in shown

    in_namespace(lambda: asyncio.run(body()))

"""TCP_INFO of a connection of ours and of one of the Linux kernel's, after the same transfer over TUN, slowed down."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from synfin.host.parameters import Parameters
from synfin.link.faults import parse_fault
from synfin.link.impaired import Impaired
from synfin.link.link import Link
from synfin.socket.stack import Stack
from synfin.tcp import changing
from synfin.tcp.info import TcpInfo, tcp_info
from tests.integration.peers import OURS, Run, becomes, kernel_listener, octets, stack_on_tun

pytestmark = [pytest.mark.tun, pytest.mark.row("E3")]

MUCH = 600_000
RATE = 2_000_000
#: In the kernel since long, in Python's socket not yet.
SO_MAX_PACING_RATE = 47

#: What both must tell alike: it follows from what was agreed on and transferred.
ALIKE = (
    *("tcpi_state", "tcpi_ca_state", "tcpi_retransmits", "tcpi_probes", "tcpi_backoff", "tcpi_options"),
    *("tcpi_snd_mss", "tcpi_rcv_mss", "tcpi_advmss", "tcpi_pmtu"),
    *("tcpi_unacked", "tcpi_sacked", "tcpi_lost", "tcpi_retrans", "tcpi_fackets", "tcpi_total_retrans"),
    *("tcpi_snd_ssthresh", "tcpi_reordering", "tcpi_max_pacing_rate", "tcpi_notsent_bytes"),
    *("tcpi_bytes_acked", "tcpi_bytes_received", "tcpi_bytes_sent", "tcpi_bytes_retrans"),
    *("tcpi_delivered_ce", "tcpi_dsack_dups", "tcpi_reord_seen", "tcpi_rcv_ooopack"),
    *("tcpi_total_rto", "tcpi_total_rto_recoveries", "tcpi_total_rto_time"),
)


def slow(link: Link) -> Link:
    return Impaired(link, [parse_fault("delay packet by 20ms")], 1)


def reno() -> Parameters:
    parameters = Parameters()
    parameters.tcp.tcp_congestion_control = "reno"
    # A machine that is late by two round trips would be asked by a probe, and one of the two hosts would count it.
    parameters.tcp.tcp_early_retrans = 0
    return parameters


def info_of_kernel(sock: socket.socket) -> TcpInfo:
    return TcpInfo.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1000))


def receive(sock: socket.socket, octets_wanted: int) -> None:
    while octets_wanted:
        octets_wanted -= len(sock.recv(1 << 20))


async def to_kernel(stack: Stack, rate: int = 0) -> tuple[TcpInfo, TcpInfo]:
    """We send. What we tell, and what the kernel does, which received."""
    with kernel_listener(4) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        reader, writer = await stack.open_connection(*listener.getsockname()[:2])
        accepted, _ = await asyncio.to_thread(listener.accept)
        (connection,) = stack.host.transport.connections.values()
        if rate:
            changing.set_max_pacing_rate(connection, rate, stack._driver.now())
        with accepted:
            writer.write(octets(MUCH))
            await asyncio.to_thread(receive, accepted, MUCH)
            await becomes(lambda: connection.snd_una == connection.send_buffer.end, connection.status)
            infos = tcp_info(connection, stack._driver.now()), info_of_kernel(accepted)
        writer.close()
        await reader.read()
    return infos


async def from_kernel(stack: Stack, rate: int = 0) -> tuple[TcpInfo, TcpInfo]:
    """The kernel sends. What it tells, and what we do, who received."""
    done: asyncio.Future[TcpInfo] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (connection,) = stack.host.transport.connections.values()
        await reader.readexactly(MUCH)
        await asyncio.sleep(0.2)
        done.set_result(tcp_info(connection, stack._driver.now()))
        await reader.read()
        writer.close()

    server = await stack.start_server(serve, port=5001, limit=1 << 20)
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        if rate:
            client.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate)
        await asyncio.to_thread(client.connect, (OURS[4], 5001))
        await asyncio.to_thread(client.sendall, octets(MUCH))
        received = await done
        infos = info_of_kernel(client), received
    server.close()
    return infos


def compare(in_namespace: Run, rate: int, check: Callable[[list[tuple[TcpInfo, TcpInfo]]], None]) -> None:
    async def body() -> None:
        async with stack_on_tun(wrap=slow, parameters=reno()) as stack:
            ours = await to_kernel(stack, rate)
        async with stack_on_tun(wrap=slow, parameters=reno()) as stack:
            kernels = await from_kernel(stack, rate)
        # The senders, the receivers: each of ours and of the kernel's.
        check([(ours[0], kernels[0]), (kernels[1], ours[1])])

    in_namespace(lambda: asyncio.run(body()))


def check_alike(pairs: list[tuple[TcpInfo, TcpInfo]]) -> None:
    for ours, kernels in pairs:
        found = {name: (ours[name], kernels[name]) for name in ALIKE if ours[name] != kernels[name]}
        assert found == {}
        # Times that the same delay makes, within what a busy machine adds.
        for name in ("tcpi_rtt", "tcpi_min_rtt", "tcpi_rto"):
            assert ours[name] == pytest.approx(kernels[name], rel=0.5), name
        # Where a stream is cut into segments depends a little on when it was written.
        for name in ("tcpi_delivered", "tcpi_data_segs_in", "tcpi_data_segs_out"):
            assert ours[name] == pytest.approx(kernels[name], abs=5), name


def test_after_the_same_transfer_both_tell_the_same(in_namespace: Run) -> None:
    def check(pairs: list[tuple[TcpInfo, TcpInfo]]) -> None:
        check_alike(pairs)
        senders, receivers = pairs
        for info in (*senders, *receivers):
            # 200 % of a window in each round trip, in slow start.
            rate = 2 * info["tcpi_snd_cwnd"] * info["tcpi_snd_mss"] * 1_000_000 // info["tcpi_rtt"]
            assert info["tcpi_pacing_rate"] == pytest.approx(rate, rel=0.01)
        for info in senders:
            # 600 kB in slow start and 40 ms.
            assert 1_000_000 < info["tcpi_delivery_rate"] < 20_000_000
            assert 150_000 < info["tcpi_busy_time"] < 3_000_000
            assert info["tcpi_rcv_rtt"] == 0
        for info in receivers:
            assert 40_000 <= info["tcpi_rcv_rtt"] < 200_000
            assert info["tcpi_delivery_rate"] == info["tcpi_busy_time"] == 0
            assert 20_000 < info["tcpi_rcv_space"] < MUCH
            assert 100_000 < info["tcpi_rcv_ssthresh"] < 10 * MUCH

    compare(in_namespace, 0, check)


def test_what_is_paced_has_the_same_rate(in_namespace: Run) -> None:
    def check(pairs: list[tuple[TcpInfo, TcpInfo]]) -> None:
        check_alike(pairs)
        for info in pairs[0]:
            assert info["tcpi_pacing_rate"] == RATE
            # So long the last nine tenths take at least.
            assert MUCH * 9 // 10 * 1_000_000 // RATE < info["tcpi_busy_time"] < 3_000_000
            assert RATE // 2 < info["tcpi_delivery_rate"] < RATE * 5 // 4

    compare(in_namespace, RATE, check)

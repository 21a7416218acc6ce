"""TCP_INFO: Linux's names, units and layout, against what is known of a connection and against a kernel's own."""

from __future__ import annotations

import socket
import sys

import pytest

from synfin.tcp.info import NAMES, TcpInfo, listener_info, tcp_info
from tests.tcp.world import MS, SECOND, World, by_client, data, everything


def test_of_a_short_exchange() -> None:
    w = World(start=SECOND)
    w.connect()
    w.server.reading = True
    w.client.send(b"hello")
    w.run_for(SECOND)
    info = tcp_info(w.client.tcb, w.now)
    # As a kernel has it after the same calls (measured on Linux 6.18): the SYN counts among octets and segments.
    assert info["tcpi_state"] == 1
    assert info["tcpi_options"] == 7
    assert (info["tcpi_bytes_acked"], info["tcpi_bytes_sent"]) == (6, 5)
    assert (info["tcpi_segs_out"], info["tcpi_segs_in"], info["tcpi_delivered"]) == (3, 2, 2)
    assert (info["tcpi_data_segs_out"], info["tcpi_data_segs_in"]) == (1, 0)
    assert (info["tcpi_unacked"], info["tcpi_lost"], info["tcpi_retrans"]) == (0, 0, 0)
    assert info["tcpi_rtt"] == 20_000
    assert info["tcpi_rto"] == 20_000 + 200_000
    assert info["tcpi_busy_time"] == 20_000
    assert info["tcpi_snd_mss"] == 1448
    # What the option tells, less the timestamps.
    assert info["tcpi_advmss"] == 1448
    assert info["tcpi_snd_cwnd"] >= 10
    assert info["tcpi_snd_ssthresh"] == 0x7FFFFFFF
    assert info["tcpi_last_data_sent"] == 1000
    info = tcp_info(w.server.tcb, w.now)
    assert (info["tcpi_segs_out"], info["tcpi_segs_in"], info["tcpi_delivered"]) == (1, 3, 1)
    assert (info["tcpi_bytes_received"], info["tcpi_bytes_acked"]) == (5, 0)
    assert (info["tcpi_data_segs_in"], info["tcpi_data_segs_out"]) == (1, 0)
    assert info["tcpi_last_data_recv"] == 990
    # It never sent any: since the handshake.
    assert info["tcpi_last_data_sent"] == 1000
    w.client.close()
    w.run_for(SECOND)
    assert tcp_info(w.client.tcb, w.now)["tcpi_bytes_acked"] == 7
    assert tcp_info(w.server.tcb, w.now)["tcpi_bytes_received"] == 6


def test_of_losses() -> None:
    w = World()
    w.connect()
    w.lose(by_client(everything), count=1000)
    w.client.send(b"x" * 3000)
    w.run_for(SECOND)
    info = tcp_info(w.client.tcb, w.now)
    # After 2 * 20 + 8 ms a tail-loss probe, the last of the three segments (104 octets); from there on the RTO, 220 ms,
    # then 440: two time-outs, after which the first segment is out again.
    assert info["tcpi_retransmits"] == 2
    assert info["tcpi_backoff"] == 2
    assert info["tcpi_ca_state"] == 4
    assert (info["tcpi_unacked"], info["tcpi_lost"], info["tcpi_retrans"]) == (3, 3, 1)
    assert (info["tcpi_total_retrans"], info["tcpi_bytes_retrans"]) == (3, 104 + 2 * 1448)
    assert info["tcpi_bytes_sent"] == 3000 + 104 + 2 * 1448
    assert (info["tcpi_total_rto"], info["tcpi_total_rto_recoveries"]) == (2, 0)
    w.heal()
    w.run_for(3 * SECOND)
    info = tcp_info(w.client.tcb, w.now)
    assert (info["tcpi_unacked"], info["tcpi_ca_state"], info["tcpi_total_rto_recoveries"]) == (0, 0, 1)
    assert info["tcpi_delivered"] == 4
    # The third time-out came 48 + 220 + 440 + 880 ms after the data, and its segment was answered 20 ms later.
    assert info["tcpi_total_rto_time"] == 440 + 880 + 20
    assert info["tcpi_busy_time"] >= (48 + 220 + 440 + 880 + 20) * 1000


def test_of_a_window_that_holds_back() -> None:
    w = World()
    w.connect()
    w.client.write(b"x" * 200_000)
    w.run_for(2 * SECOND)
    info = tcp_info(w.client.tcb, w.now)
    assert info["tcpi_snd_wnd"] == 0
    assert info["tcpi_notsent_bytes"] > 0
    limited = info["tcpi_rwnd_limited"]
    assert 1_500_000 < limited < 2_000_000
    w.server.reading = True
    w.server.work()
    w.run_for(3 * SECOND)
    info = tcp_info(w.client.tcb, w.now)
    assert limited < info["tcpi_rwnd_limited"] < info["tcpi_busy_time"] < 4_000_000
    assert info["tcpi_notsent_bytes"] == 0


def test_what_arrives_out_of_order_is_counted() -> None:
    w = World()
    w.connect()
    w.hold(data, 5 * MS)
    w.client.tcb.settings.nodelay = True
    w.client.send(b"a")
    w.flush()
    w.client.send(b"b")
    w.run_for(SECOND)
    assert tcp_info(w.server.tcb, w.now)["tcpi_rcv_ooopack"] == 1


def test_of_a_listener() -> None:
    w = World()
    w.connect()
    assert w.server.listener is not None
    info = listener_info(w.server.listener)
    assert (info["tcpi_state"], info["tcpi_unacked"], info["tcpi_sacked"]) == (10, 1, 5)


def test_packed_and_unpacked_it_is_the_same() -> None:
    info = TcpInfo()
    for number, name in enumerate(NAMES):
        info.set(name, number)
    info.set("tcpi_wscales", 7 | 9 << 4)
    again = TcpInfo.unpack(info.pack())
    assert again.items() == info.items()
    assert (again["tcpi_snd_wscale"], again["tcpi_rcv_wscale"]) == (7, 9)
    # A structure of an older kernel ends sooner.
    assert TcpInfo.unpack(info.pack()[:104])["tcpi_bytes_received"] == 0
    assert TcpInfo.unpack(info.pack()[:104])["tcpi_total_retrans"] == NAMES.index("tcpi_total_retrans")
    info.set("tcpi_total_rto", 1 << 20)
    assert TcpInfo.unpack(info.pack())["tcpi_total_rto"] == 0xFFFF
    with pytest.raises(KeyError):
        info.set("tcpi_nonsense", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="asks a Linux kernel")
def test_the_layout_is_the_kernels() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"x" * 321)
            received = 0
            while received < 321:
                received += len(accepted.recv(1000))
            sent = TcpInfo.unpack(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1000))
            other = TcpInfo.unpack(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1000))
            mss = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    assert (sent["tcpi_state"], sent["tcpi_snd_mss"], sent["tcpi_bytes_sent"]) == (1, mss, 321)
    assert (other["tcpi_bytes_received"], other["tcpi_data_segs_in"], other["tcpi_total_rto"]) == (321, 1, 0)
    assert sent["tcpi_snd_wnd"] == other["tcpi_rcv_wnd"] or other["tcpi_rcv_wnd"] == 0

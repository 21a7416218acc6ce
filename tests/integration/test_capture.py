"""Captures of ``synfin tun serve --pcap`` against the Linux kernel over TUN, as tshark reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from socket import SHUT_WR

import pytest

from synfin.wire.tcp import ACK, FIN, RST, SYN
from tests.integration import tshark
from tests.integration.peers import (
    KERNELS,
    OURS,
    PATIENCE,
    Run,
    digest,
    exchange,
    give_room,
    kernel_client,
    octets,
    serving,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("tshark")]

offloads = pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])

PORT = 7
SOME = 5_000_000
#: What tshark warns of although nobody did wrong: a sender that fills a window, a reader that is slower than it.
FLOW_CONTROL = {
    "TCP window specified by the receiver is now completely full",
    "TCP Zero Window segment",
}
#: What the kernel does where it computes a checksum in software: a zero becomes its other form, as UDP wants it.
OTHER_ZERO = {"TCP Checksum 0xffff instead of 0x0000 (see RFC 1624)"}


def set_parameters(device: str, *settings: str) -> None:
    """Those of the server on a device."""
    command = [sys.executable, "-m", "synfin", "tun", "sysctl", "--device", device, *settings]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


@pytest.mark.row("E5")
@offloads
@versions
def test_a_lossless_transfer(in_namespace: Run, tmp_path: Path, offload: bool, version: int) -> None:
    capture = tmp_path / "echo.pcapng"
    data = octets(SOME)

    # A name of its own, by which "tun sysctl" finds it among those that run elsewhere at the same time.
    device = f"roomy{version}{offload:d}"

    def body() -> None:
        with serving("echo", "--device", device, "--pcap", str(capture), offload=offload):
            give_room(device)
            # What is not lost but late, because nobody gave the processor in time, is not sent again by us.
            set_parameters(device, "net.ipv4.tcp_early_retrans=0", "net.ipv4.tcp_rto_min_us=30000000")
            with kernel_client(version, PORT) as client:
                assert exchange(client, data) == (digest(data), SOME)

    in_namespace(body)
    tshark.assert_sound(capture)
    names = ("ip.src", "ipv6.src", "tcp.nxtseq", "tcp.len", "tcp.flags", "tcp.analysis.retransmission")
    packets = tshark.fields(capture, *names, only=f"tcp.port == {PORT}")
    ours, kernels = (
        [packet for packet in packets if source[version] in (packet["ip.src"], packet["ipv6.src"])]
        for source in (OURS, KERNELS)
    )
    # All of it is there, and from us once: with a SYN and a FIN.
    for of_one in (ours, kernels):
        assert max(int(packet["tcp.nxtseq"]) for packet in of_one) == SOME + 2
        assert not any(int(packet["tcp.flags"], 0) & RST for packet in of_one)
    assert sum(int(packet["tcp.len"]) for packet in ours) == SOME
    for flag in (SYN, FIN):
        assert sum(int(packet["tcp.flags"], 0) & flag != 0 for packet in ours) == 1
    if sum(int(packet["tcp.len"]) for packet in kernels) == SOME:
        assert tshark.warnings(capture, only=f"tcp.srcport == {PORT}") <= FLOW_CONTROL
        assert tshark.warnings(capture) <= FLOW_CONTROL | OTHER_ZERO
    else:
        # Where we do not get the processor in time, the kernel repeats what was not lost, and we have to tell it so.
        assert tshark.warnings(capture, only=f"tcp.srcport == {PORT}") <= FLOW_CONTROL | {"D-SACK Sequence"}


@offloads
@versions
def test_a_transfer_with_losses(in_namespace: Run, tmp_path: Path, offload: bool, version: int) -> None:
    """What the capture shows of cut superpackets and of everything sent again is as sound as the rest."""
    capture = tmp_path / "echo.pcapng"
    data = octets(300_000)

    def body() -> None:
        options = ["--pcap", str(capture), "--loss", "2%", "--seed", "1"]
        with serving("echo", *options, offload=offload), kernel_client(version, PORT) as client:
            assert exchange(client, data) == (digest(data), len(data))

    in_namespace(body)
    tshark.assert_sound(capture)
    assert tshark.fields(capture, "frame.number", only="tcp.analysis.retransmission")


@pytest.mark.row("E4", "E5")
@versions
def test_http_in_clear(in_namespace: Run, tmp_path: Path, version: int) -> None:
    """From the first SYN to the last ACK, each segment with its flags and numbers."""
    capture, root = tmp_path / "http.pcapng", tmp_path / "root"
    root.mkdir()
    (root / "page").write_text("Hello!")

    def body() -> None:
        with serving("http", str(root), "--pcap", str(capture)), kernel_client(version, 80) as client:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: ours\r\nConnection: close\r\n\r\n")
            while client.recv(4096):
                pass
            client.shutdown(SHUT_WR)

    in_namespace(body)
    tshark.assert_sound(capture)
    names = ("tcp.flags", "tcp.seq", "tcp.ack", "tcp.nxtseq", "tcp.dstport", "http.request.uri", "tcp.payload")
    packets = tshark.fields(capture, *names, only="tcp.port == 80")
    flags = [int(packet["tcp.flags"], 0) & (SYN | FIN | RST | ACK) for packet in packets]
    assert flags[:3] == [SYN, SYN | ACK, ACK]
    assert flags.count(FIN | ACK) == 2
    assert RST not in [each & RST for each in flags]
    assert flags[-1] == ACK
    asked = [packet for packet in packets if packet["tcp.dstport"] == "80"]
    assert [packet["http.request.uri"] for packet in asked if packet["http.request.uri"]] == ["/page"]
    said = b"".join(bytes.fromhex(packet["tcp.payload"].replace(":", "")) for packet in packets)
    assert said.startswith(b"GET /page HTTP/1.1\r\n")
    assert said.endswith(b"Hello!")
    # Each has acknowledged all that the other sent, the FIN too.
    for mine, others in ((True, False), (False, True)):
        sent = max(int(packet["tcp.nxtseq"]) for packet in packets if (packet["tcp.dstport"] == "80") is mine)
        heard = max(int(packet["tcp.ack"]) for packet in packets if (packet["tcp.dstport"] == "80") is others)
        assert sent == heard


@versions
def test_a_refusal(in_namespace: Run, tmp_path: Path, version: int) -> None:
    """What is not of a connection."""
    capture = tmp_path / "rest.pcapng"

    def body() -> None:
        with serving("echo", "--pcap", str(capture)), pytest.raises(ConnectionRefusedError):
            kernel_client(version, 99)

    in_namespace(body)
    tshark.assert_sound(capture)
    (reset,) = tshark.fields(capture, "tcp.flags", "tcp.seq", "tcp.ack", only="tcp.flags.reset == 1")
    assert (int(reset["tcp.flags"], 0), reset["tcp.ack"]) == (0x14, "1")

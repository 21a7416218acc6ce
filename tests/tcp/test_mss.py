"""How large a segment may be: Eff.snd.MSS of RFC 9293 §3.7.1 (row A6)."""

from __future__ import annotations

import pytest

from synfin.tcp.identity import Identity
from synfin.tcp.parameters import TcpParameters
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.tcp.test_acceptance import established
from tests.tcp.world import SECOND, World, make_connection

V6 = Identity(bytes(15) + b"\1", 1, bytes(15) + b"\2", 2)


def opened_with(options: Options, identity: Identity | None = None, mss: int = 1460) -> int:
    if identity is None:
        return established(options).mss
    c = make_connection(identity, mss=mss)
    c.open(0)
    c.poll_transmit(0, 1500)
    c.segment_arrives(Segment(2, 1, 5, 1001, SYN | ACK, 9000, options), 0)
    assert c.status().state == "ESTABLISHED"
    return c.mss


@pytest.mark.row("A6")
@pytest.mark.requirement("MUST-15", "MUST-16")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(mss=1460), 1460),
        (Options(mss=9000), 1460),  # the path's is smaller
        (Options(mss=1000), 1000),
        (Options(), 536),  # MUST-15
        (Options(mss=1460, ts_val=1, ts_ecr=0), 1448),  # MUST-16: options deducted
        (Options(ts_val=1, ts_ecr=0), 524),
        (Options(mss=47), 48),  # tcp_min_snd_mss
        (Options(mss=0), 48),
        (Options(mss=0, ts_val=1, ts_ecr=0), 36),
    ],
)
def test_ipv4(options: Options, expected: int) -> None:
    assert opened_with(options) == expected


@pytest.mark.requirement("MUST-15")
@pytest.mark.parametrize(
    ("options", "expected"), [(Options(mss=1440), 1440), (Options(), 1220), (Options(ts_val=1, ts_ecr=0), 1208)]
)
def test_ipv6(options: Options, expected: int) -> None:
    assert opened_with(options, V6, 1440) == expected


def test_tcp_min_snd_mss_is_a_parameter() -> None:
    parameters = TcpParameters()
    parameters.tcp_min_snd_mss = 500
    assert established(Options(mss=100), parameters).mss == 500


@pytest.mark.row("A6")
@pytest.mark.requirement("MUST-14", "MUST-16")
@pytest.mark.parametrize(("client_mss", "server_mss"), [(1460, 536), (536, 1460), (9000, 1460)])
def test_neither_end_sends_more_than_the_other_takes(client_mss: int, server_mss: int) -> None:
    w = World(room=65_000)
    w.client.mss, w.server.mss = client_mss, server_mss
    w.connect()
    assert w.messages[0].segment.options.mss == client_mss
    assert w.messages[1].segment.options.mss == server_mss
    w.client.write(bytes(30_000))
    w.server.write(bytes(30_000))
    w.client.reading = w.server.reading = True
    w.run_for(10 * SECOND)
    least = min(client_mss, server_mss)
    for message in w.messages:
        options = message.segment.options.encoded_length
        assert message.segment.payload_length + options <= least + (40 if message.segment.flags & SYN else 0)
    assert max(m.segment.payload_length for m in w.messages) == least - 12
    assert len(w.client.received) == len(w.server.received) == 30_000

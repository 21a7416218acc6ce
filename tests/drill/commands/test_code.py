"""Python snippets over TCP_INFO."""

from __future__ import annotations

import pytest

from synfin.tcp.info import NAMES
from tests.drill.running import ACCEPTED, fails, passes, skips


@pytest.mark.parametrize(
    "code",
    [
        "assert tcpi_state == TCP_ESTABLISHED, tcpi_state",
        "assert tcpi_ca_state == TCP_CA_Open",
        "assert tcpi_snd_cwnd == 10 and tcpi_snd_mss == 1000",
        "assert tcpi_rtt == 100000, tcpi_rtt",
        "assert not tcpi_options & TCPI_OPT_SACK",
        "assert (tcpi_snd_wscale, tcpi_rcv_wscale) == (0, 0)",
        "\nif tcpi_state == TCP_ESTABLISHED:\n    pass\nelse:\n    assert False\n",
        "\n    x = 1\n    assert x == 1\n",
        "x = 1\n    assert x == 1\n",
        "import math; assert math.pi > 3",
    ],
)
def test_a_snippet_sees_tcp_info(code: str) -> None:
    passes(f"{ACCEPTED}+0 %{{ {code} }}%")


def test_every_field_is_there() -> None:
    passes(f"{ACCEPTED}+0 %{{ [{', '.join(NAMES)}] }}%")


def test_a_snippet_that_fails() -> None:
    result = fails(ACCEPTED + "+0 %{ assert tcpi_snd_cwnd == 11, 'no' }%", "the assertion does not hold (no)")
    assert result.actual == "tcpi_snd_cwnd = 10"
    assert result.line == 10
    fails(ACCEPTED + "+0 %{ no_such_name }%", "NameError")
    fails(ACCEPTED + "+0 %{ if }%", "SyntaxError")
    fails(ACCEPTED + "+0 %{ raise SystemExit(0) }%", "SystemExit")


def test_all_snippets_share_a_namespace_and_the_time_is_theirs() -> None:
    passes(
        ACCEPTED
        + "+0 %{ before = tcpi_unacked }%\n+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n"
        + "+0 %{ assert (before, tcpi_unacked) == (0, 1) }%\n+.1 < . 1:1(0) ack 1001 win 99\n"
        + "+0 %{ assert tcpi_unacked == 0 }%"
    )


def test_code_is_refused_where_that_is_asked_for() -> None:
    skips(ACCEPTED + "+0 %{ assert True }%", "code is refused", code=False)
    passes(ACCEPTED, code=False)


def test_the_states_of_what_is_no_connection() -> None:
    passes("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 %{ assert tcpi_state == TCP_CLOSE, tcpi_state }%")
    listening = ACCEPTED.partition("+0 < S")[0]
    passes(listening + "+0 %{ assert tcpi_state == TCP_LISTEN, tcpi_state }%")
    passes(ACCEPTED + "+0 < R 1:1(0) win 0\n+0 %{ assert tcpi_state == TCP_CLOSE, tcpi_state }%")
    closing = "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1\n+.1 < F. 1:1(0) ack 2 win 9\n+0 > . 2:2(0) ack 2\n"
    passes(ACCEPTED + closing + "+0 %{ assert tcpi_state == TCP_TIME_WAIT, tcpi_state }%")


def test_an_assertion_may_be_forgiven() -> None:
    result = passes("--non_fatal=code\n" + ACCEPTED + "+0 %{ assert False }%\n+0 close(4) = 0")
    assert result.warnings == ("11: the assertion does not hold",)
    fails("--non_fatal=packet\n" + ACCEPTED + "+0 %{ assert False }%")
    passes("--non_fatal=packet,syscall\n" + ACCEPTED + "+0 > . 1:1(0) ack 1\n+0 close(4) = 77")

"""The calls of a script: arguments, results, waiting."""

from __future__ import annotations

import pytest

from tests.drill.running import ACCEPTED, fails, passes, skips

DATA = "+.1 < P. 1:101(100) ack 1 win 32792\n+0 > . 1:1(0) ack 101\n"
NONBLOCKING = ACCEPTED + "+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"


@pytest.mark.parametrize(
    ("call", "right", "wrong"),
    [
        ("fcntl(4, F_GETFL)", "0x2 (flags O_RDWR)", "0x802 (flags O_RDWR|O_NONBLOCK)"),
        ("write(4, ..., 10)", "10", "9"),
        ("send(4, ..., 10, 0)", "10", "-1 EPIPE (Broken pipe)"),
        ("send(4, ..., 10, MSG_MORE|MSG_NOSIGNAL)", "10", "0"),
        ("sendto(4, ..., 10, 0, ..., ...)", "10", "11"),
        ("writev(4, [{..., 5}, {..., 6}], 2)", "11", "5"),
        ("sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 5}, {..., 6}], msg_flags=0}, 0)", "11", "5"),
        ("recv(4, ..., 10, MSG_DONTWAIT)", "-1 EAGAIN (Resource temporarily unavailable)", "0"),
        ("recvfrom(4, ..., 10, MSG_DONTWAIT, ..., ...)", "-1 EAGAIN", "-1 ENOTCONN"),
        ("read(3, ..., 10)", "-1 ENOTCONN", "-1 EAGAIN"),
        ("shutdown(4, SHUT_WR)", "0", "-1 ENOTCONN"),
        ("shutdown(3, 3)", "-1 EINVAL", "0"),
        ("listen(4, 1)", "-1 EINVAL", "0"),
        ("bind(3, ..., ...)", "-1 EINVAL", "0"),
        ("connect(4, ..., ...)", "-1 EISCONN", "0"),
        ("accept(4, ..., ...)", "-1 EINVAL", "5"),
        ("close(4)", "0", "-1 EBADF"),
        ("close(9)", "-1 EBADF", "0"),
        ("socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP)", "5", "-1 EINVAL"),
        ("setsockopt(4, SOL_SOCKET, SO_SNDBUF, [5000], 4)", "0", "-1 EINVAL"),
        ("setsockopt(4, IPPROTO_TCP, TCP_MAXSEG, [0x7FFFFFFF], 4)", "-1 EINVAL", "0"),
        ('setsockopt(4, IPPROTO_TCP, TCP_CONGESTION, "reno", 4)', "0", "-1 ENOENT"),
        ("setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8)", "0", "-1 EINVAL"),
        ("setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 4)", "-1 EINVAL", "0"),
        ("getsockopt(9, SOL_SOCKET, SO_ERROR, [0], [4])", "-1 EBADF", "0"),
        ("ioctl(4, SIOCATMARK, [0])", "0", "-1 ENOTTY"),
        ("ioctl(4, 1, [0])", "-1 ENOTTY", "0"),
        ("epoll_create(1)", "5", "-1 EINVAL"),
        ("epoll_create(0)", "-1 EINVAL", "5"),
        ("epoll_create1(0)", "5", "-1 EINVAL"),
    ],
)
def test_a_result_is_compared(call: str, right: str, wrong: str) -> None:
    passes(f"{ACCEPTED}+0 {call} = {right}")
    passes(f"{ACCEPTED}+0 {call} = ...")
    fails(f"{ACCEPTED}+0 {call} = {wrong}", "returned")


@pytest.mark.parametrize(
    ("call", "right", "wrong"),
    [
        ("getsockopt(4, IPPROTO_TCP, TCP_MAXSEG, {}, [4]) = 0", "[1000]", "[1001]"),
        ("getsockopt(4, SOL_SOCKET, SO_TYPE, {}, [4]) = 0", "[SOCK_STREAM]", "[SOCK_DGRAM]"),
        ("getsockopt(4, SOL_SOCKET, SO_ERROR, {}, [4]) = 0", "[0]", "[ECONNRESET]"),
        ("getsockopt(4, SOL_SOCKET, SO_LINGER, {}, [8]) = 0", "{onoff=0, linger=0}", "{onoff=1, linger=0}"),
        ("getsockopt(4, SOL_SOCKET, SO_RCVTIMEO, {}, [16]) = 0", "{tv_sec=0, tv_usec=0}", "{tv_sec=1, tv_usec=0}"),
        ("getsockopt(4, IPPROTO_TCP, TCP_CONGESTION, {}, [16]) = 0", '"cubic"', '"reno"'),
        ("ioctl(4, SIOCINQ, {}) = 0", "[100]", "[99]"),
        ("poll([{{fd=4, events=POLLIN|POLLOUT, revents={}}}], 1, 0) = 1", "POLLIN|POLLOUT", "POLLIN"),
        ("poll([{{fd=77, events=POLLIN, revents={}}}], 1, 0) = 1", "POLLNVAL", "POLLIN"),
        ("read(4, {}, 100) = 100", "...", '"a"'),
    ],
)
def test_what_a_call_stores_is_compared(call: str, right: str, wrong: str) -> None:
    passes(f"{ACCEPTED}{DATA}+0 {call.format(right)}")
    if "..." not in right:
        passes(f"{ACCEPTED}{DATA}+0 {call.format('...')}")
    fails(f"{ACCEPTED}{DATA}+0 {call.format(wrong)}", "other" if "poll" in call or "read" in call else "another value")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("splice(4, 5, 6) = 0", "the call splice"),
        ("setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=4294967296}, 8) = 0", "does not fit"),
        (
            'bind(3, {sa_family = AF_INET, sin_port = htons(70000), sin_addr = inet_addr("192.168.0.1")}, ...) = 0',
            "bind: ",
        ),
        ('bind(3, {sa_family = AF_INET, sin_port = htons(7), sin_addr = inet_addr("nowhere")}, ...) = 0', "bind: "),
        ("socket(..., SOCK_DGRAM, IPPROTO_UDP) = 5", "only sockets of TCP"),
        ("socket(..., SOCK_STREAM, IPPROTO_MPTCP) = 5", "only sockets of TCP"),
        ("setsockopt(4, IPPROTO_TCP, TCP_FASTOPEN, [1], 4) = 0", "TCP_FASTOPEN"),
        ("setsockopt(4, IPPROTO_TCP, TCP_NO_SUCH_NAME, [1], 4) = 0", "TCP_NO_SUCH_NAME is not known"),
        ("sendto(4, ..., 1, MSG_FASTOPEN, ..., ...) = 1", "Fast Open"),
        ("send(4, ..., 1, MSG_ZEROCOPY) = 1", "MSG_ZEROCOPY"),
        ("recvmsg(4, {msg_iov(1)=[{..., 1}], msg_control=[{cmsg_level=1}]}, 0) = 1", "control messages"),
        ("write(4, ...) = 1", "write with 2 arguments"),
        ('listen(3, "x") = 0', "is no number"),
    ],
)
def test_what_is_not_supported_is_skipped(line: str, reason: str) -> None:
    skips(f"{ACCEPTED}+0 {line}", reason)


def test_an_option_that_fails_as_the_script_says_passes() -> None:
    passes(ACCEPTED + "+0 setsockopt(4, IPPROTO_TCP, TCP_FASTOPEN, [1], 4) = -1 ENOPROTOOPT")


def test_names_that_are_defined() -> None:
    passes("-D SIZE=10\n-D LEVEL=IPPROTO_TCP\n" + ACCEPTED + "+0 write(4, ..., SIZE) = SIZE")
    passes("-D LEVEL=IPPROTO_TCP\n" + ACCEPTED + "+0 setsockopt(4, LEVEL, TCP_NODELAY, [1], 4) = 0")
    fails("-D SIZE=10\n" + ACCEPTED + "+0 write(4, ..., SIZE) = 11", "returned 10")


# --- waiting


def test_a_call_waits_while_packets_come() -> None:
    reading = ACCEPTED + "+0...{} read(4, ..., 1000) = 100\n" + DATA
    passes(reading.format("0.1"))
    fails(reading.format("0.3"), "read returned at another time")
    fails(reading.format("0.05"), "read returned at another time")
    fails(reading.format("0.1").replace("= 100\n", "= 99\n"), "read returned 100")


def test_a_call_that_never_returns_fails() -> None:
    fails(ACCEPTED + "+0...0.1 read(4, ..., 1000) = 100", "read did not return")
    fails(ACCEPTED + "+0 read(4, ..., 1000) = 100", "read does not return")


def test_a_call_may_wait_for_a_timer_alone() -> None:
    """Nothing says that connect waits; it does until the SYN was sent often enough."""
    passes(
        "`sysctl -q net.ipv4.tcp_syn_retries=1`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
        "+0 connect(3, ..., ...) = -1 ETIMEDOUT\n3 close(3) = 0"
    )


def test_a_second_call_waits_for_the_first() -> None:
    script = ACCEPTED + "+0 setsockopt(4, SOL_SOCKET, SO_RCVTIMEO, {tv_sec=1, tv_usec=0}, 16) = 0\n"
    script += "+0...1 read(4, ..., 10) = -1 EAGAIN\n+0...1 read(4, ..., 10) = -1 EAGAIN\n"
    passes(script)
    fails(
        script.replace("+0...1 read(4, ..., 10) = -1 EAGAIN\n", "+0...1 read(4, ..., 10) = 0\n"), "returned -1 EAGAIN"
    )
    # Calls that do not wait are made all the while.
    passes(script + "+.5 fcntl(4, F_GETFL) = 2")


def test_time_outs() -> None:
    limit = "+0 setsockopt(4, SOL_SOCKET, {}, {{tv_sec=1, tv_usec=500000}}, 16) = 0\n"
    passes(ACCEPTED + limit.format("SO_RCVTIMEO") + "+0...1.5 read(4, ..., 10) = -1 EAGAIN")
    fails(ACCEPTED + limit.format("SO_RCVTIMEO") + "+0...1 read(4, ..., 10) = -1 EAGAIN", "did not return")
    full = ACCEPTED + limit.format("SO_SNDTIMEO") + "+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [5000], 4) = 0\n"
    passes(full + "+0...1.5 write(4, ..., 100000) = 10000")
    accepting = ACCEPTED + limit.format("SO_RCVTIMEO").replace("(4", "(3") + "+0...1.5 accept(3, ..., ...) = -1 EAGAIN"
    passes(accepting)
    connecting = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n" + limit.format("SO_SNDTIMEO")
    passes(connecting + "+0...1.5 connect(4, ..., ...) = -1 EINPROGRESS")


def test_all_that_is_waited_for_is_read() -> None:
    reading = ACCEPTED + "+0...{} recv(4, ..., 150, {}) = {}\n" + DATA + "+.1 < P. 101:201(100) ack 1 win 9\n"
    passes(reading.format("0.2", "MSG_WAITALL", 150))
    passes(reading.format("0.1", "0", 100))
    passes(NONBLOCKING + DATA + "+0 recv(4, ..., 150, MSG_WAITALL) = 100\n+0 read(4, ..., 1) = -1 EAGAIN")


def test_writing_waits_for_room() -> None:
    script = "+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [5000], 4) = 0\n+0{} write(4, ..., 15000) = {}\n"
    script += "+0 > P. 1:10001(10000) ack 1\n+.1 < . 1:1(0) ack 10001 win 32792\n"
    passes(ACCEPTED + script.format("...0.1", 15000) + "+0 > P. 10001:15001(5000) ack 1")
    passes(NONBLOCKING + script.format("", 10000))


def test_the_end_of_the_stream_and_its_errors() -> None:
    passes(ACCEPTED + "+0...0.1 read(4, ..., 10) = 0\n+.1 < F. 1:1(0) ack 1 win 9")
    passes(ACCEPTED + "+0...0.1 read(4, ..., 10) = -1 ECONNRESET\n+.1 < R. 1:1(0) ack 1 win 9")
    passes(ACCEPTED + "+.1 < R. 1:1(0) ack 1 win 9\n+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0")


def test_close_waits_with_so_linger() -> None:
    lingering = ACCEPTED + "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=1}, 8) = 0\n"
    passes(lingering + "+0...0.2 close(4) = 0\n+0 > F. 1:1(0) ack 1\n+.2 < . 1:1(0) ack 2 win 9")
    passes(lingering + "+0...1 close(4) = 0\n+0 > F. 1:1(0) ack 1")
    fails(lingering + "+0...0.2 close(4) = 0\n+0 > F. 1:1(0) ack 1", "close did not return")


# --- poll and epoll


def test_poll_waits() -> None:
    waiting = "+0...{} poll([{{fd=4, events=POLLIN, revents={}}}], 1, {}) = {}\n"
    passes(ACCEPTED + waiting.format("0.1", "POLLIN", 1000, 1) + DATA)
    passes(ACCEPTED + waiting.format("0.1", "POLLIN", -1, 1) + DATA)
    passes(ACCEPTED + waiting.format("0.3", "0", 300, 0))
    passes(ACCEPTED + waiting.format("0.1", "POLLIN|POLLERR|POLLHUP", -1, 1) + "+.1 < R. 1:1(0) ack 1 win 9")


EPOLL = ACCEPTED + "+0 epoll_create(1) = 5\n+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {{events={}, fd=4}}) = 0\n"
WAIT = "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = "


def test_epoll_tells_what_is() -> None:
    script = EPOLL.format("EPOLLIN") + WAIT + "0\n" + DATA + WAIT + "1\n" + WAIT + "1\n"
    passes(script)
    fails(EPOLL.format("EPOLLIN") + WAIT + "1", "epoll_wait returned 0")
    fails(EPOLL.format("EPOLLIN|EPOLLOUT") + DATA + WAIT + "1", "other events")
    fails(EPOLL.format("EPOLLIN").replace("fd=4}", "u32=6}") + DATA + WAIT + "1", "other events")
    passes(EPOLL.format("EPOLLIN") + "+0...0.1 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 500) = 1\n" + DATA)


def test_epoll_tells_edges() -> None:
    edges = EPOLL.format("EPOLLIN|EPOLLET") + DATA + WAIT + "1\n" + WAIT + "0\n"
    passes(edges + "+0 < P. 101:201(100) ack 1 win 9\n" + WAIT + "1\n" + WAIT + "0")


def test_epoll_tells_once() -> None:
    once = EPOLL.format("EPOLLIN|EPOLLONESHOT") + DATA + WAIT + "1\n" + WAIT + "0\n"
    passes(
        once
        + "+0 epoll_ctl(5, EPOLL_CTL_MOD, 4, {events=EPOLLIN|EPOLLONESHOT, fd=4}) = 0\n"
        + WAIT
        + "1\n"
        + WAIT
        + "0"
    )


def test_epoll_watches_what_it_was_told_to() -> None:
    passes(EPOLL.format("EPOLLIN") + "+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = -1 EEXIST")
    gone = EPOLL.format("EPOLLIN") + "+0 epoll_ctl(5, EPOLL_CTL_DEL, 4, {events=EPOLLIN}) = 0\n"
    passes(gone + DATA + WAIT + "0\n+0 epoll_ctl(5, EPOLL_CTL_DEL, 4, {events=EPOLLIN}) = -1 ENOENT")
    passes(EPOLL.format("EPOLLIN") + DATA + "+0 close(4) = 0\n" + WAIT + "0")
    passes(
        ACCEPTED + "+0 epoll_wait(4, ..., 1, 0) = -1 EINVAL\n+0 epoll_create(1) = 5\n+0 read(5, ..., 1) = -1 ENOTSOCK"
    )

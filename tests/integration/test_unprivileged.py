"""TUN for people without root: a device of one's own, a descriptor handed over, a user namespace; docs/tun.md."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from synfin.link import device
from synfin.link.tun import Tun, configure
from tests.integration.peers import OURS, PATIENCE, Run, digest, exchange, octets
from tests.integration.unprivileged import (
    NOBODY,
    USER_NAMESPACE,
    complaint,
    let_everybody_open_tun,
    running,
    synfin,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("mount")]

ADDRESSES = ("--address", "10.9.0.2/24", "--address", "fd00:9::2/64")
ECHO = ("tun", "serve", "echo")


@pytest.fixture(autouse=True)
def run_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets of the processes that run are nobody's, and are gone with the test. (Where pytest has its directories,
    nobody has no access.)"""
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, NOBODY, NOBODY)
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=PATIENCE)


def make_device(*, user: int = NOBODY, mtu: int = 1500, up: bool = True) -> None:
    """What docs/tun.md tells root to do, once."""
    ip("tuntap", "add", "dev", "lasting", "mode", "tun", "user", str(user))
    ip("address", "add", "10.9.0.7/24", "dev", "lasting")
    ip("address", "add", "fd00:9::7/64", "dev", "lasting", "nodad")
    if up:
        ip("link", "set", "lasting", "mtu", str(mtu), "up")


def echoed(version: int, port: int = 7) -> None:
    data = octets(1_000_000)
    with socket.create_connection((OURS[version], port), timeout=PATIENCE) as client:
        assert exchange(client, data) == (digest(data), len(data))


def mss_told(name: str) -> int:
    """The MSS that the server on the device tells a client: by the MTU that it read, not guessed. (The kernel's side
    gets a larger MTU, so as not to be what bounds it.)"""
    ip("link", "set", name, "mtu", "9000")
    with socket.create_connection((OURS[4], 7), timeout=PATIENCE) as client:
        timestamps = 12
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + timestamps


def test_a_device_of_ones_own(in_namespace: Run) -> None:
    def body() -> None:
        let_everybody_open_tun()
        make_device(mtu=1400)
        for _ in range(2):  # and it is still there afterwards
            with running(synfin(*ECHO, *ADDRESSES, "--device", "lasting")) as (_, line):
                assert line == (
                    "echo ready on 10.9.0.2 port 7, fd00:9::2 port 7"
                    " (device lasting, kernel's side 10.9.0.7/24, fd00:9::7/64)\n"
                )
                for version in OURS:
                    echoed(version)
                assert mss_told("lasting") == 1400 - 40
                ip("link", "set", "lasting", "mtu", "1400")

    in_namespace(body)


def test_both_sides_of_a_device_of_ones_own(in_namespace: Run) -> None:
    """`connect` as nobody, to a server of the kernel's."""

    def body() -> None:
        let_everybody_open_tun()
        make_device()
        with socket.create_server(("10.9.0.7", 0)) as server:
            server.settimeout(PATIENCE)
            command = synfin("tun", "connect", "10.9.0.7", str(server.getsockname()[1]), *ADDRESSES[:2])
            with subprocess.Popen(
                [*command, "--device", "lasting"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"question")
                    connection.shutdown(socket.SHUT_WR)
                    assert process.communicate(b"answer", timeout=PATIENCE)[0] == b"question"
                    assert connection.recv(100) == b"answer"
            assert process.returncode == 0

    in_namespace(body)


def test_a_device_of_somebody_elses(in_namespace: Run) -> None:
    def body() -> None:
        let_everybody_open_tun()
        make_device(user=0)
        said = complaint(synfin(*ECHO, *ADDRESSES, "--device", "lasting"))
        assert said == "synfin: the device lasting is not yours; see docs/tun.md for one that is\n"

    in_namespace(body)


@pytest.mark.parametrize("lack", ["it is down", "no IPv6 address", "another MTU"])
def test_a_device_that_is_not_configured(in_namespace: Run, lack: str) -> None:
    def body() -> None:
        let_everybody_open_tun()
        make_device(up=lack != "it is down")
        if lack == "no IPv6 address":
            ip("address", "del", "fd00:9::7/64", "dev", "lasting")
        more = ["--mtu", "1400"] if lack == "another MTU" else []
        said = complaint(synfin(*ECHO, *ADDRESSES, "--device", "lasting", *more))
        assert said.startswith("synfin: the device lasting is not configured for us; run 'ip address add 10.9.0.3/24 ")
        assert said.endswith(f"ip link set lasting mtu {1400 if more else 1500} up' as root\n")

    in_namespace(body)


def test_an_address_that_is_the_kernels(in_namespace: Run) -> None:
    def body() -> None:
        let_everybody_open_tun()
        make_device()
        said = complaint(synfin(*ECHO, "--address", "10.9.0.7/24", "--device", "lasting"))
        assert said == "synfin: 10.9.0.7 is the kernel's own address on lasting; choose another in 10.9.0.0/24\n"

    in_namespace(body)


def test_no_access_to_the_device_file(in_namespace: Run) -> None:
    def body() -> None:
        make_device()
        said = complaint(synfin(*ECHO, *ADDRESSES, "--device", "lasting"))
        assert said == "synfin: no access to /dev/net/tun; run 'chmod 666 /dev/net/tun' as root\n"

    if Path("/dev/net/tun").stat().st_mode & 0o006:
        pytest.skip("everybody may open /dev/net/tun")
    in_namespace(body)


@pytest.mark.parametrize("offload", [True, False], ids=["offload", "plain"])
def test_a_descriptor_handed_over(in_namespace: Run, offload: bool) -> None:
    """Root opens and configures, nobody runs; whether packets have a header is seen on the descriptor."""

    def body() -> None:
        with Tun.open("given", offload, 1400) as given:
            configure(given.name, ["10.9.0.7/24", "fd00:9::7/64"], 1400)
            fd = given.fileno()
            with running(synfin(*ECHO, *ADDRESSES, "--fd", str(fd)), fds=(fd,)) as (_, line):
                assert line == "echo ready on 10.9.0.2 port 7, fd00:9::2 port 7 (device given)\n"
                for version in OURS:
                    echoed(version)
                assert mss_told("given") == 1400 - 40

    in_namespace(body)


@pytest.mark.requires("nsenter", "nc")
def test_a_user_namespace(in_namespace: Run) -> None:
    """Root inside, nobody outside: a device, addresses and all, and nothing of it is seen from outside."""

    def body() -> None:
        let_everybody_open_tun()
        command = synfin(*ECHO, *ADDRESSES, code=USER_NAMESPACE)
        try:
            with running(command) as (process, line):
                assert line.endswith("(device synfin0, kernel's side 10.9.0.3/24, fd00:9::3/64)\n")
                assert not device.exists("synfin0")
                for address in OURS.values():
                    inside = ["nsenter", "--target", str(process.pid), "--net", "nc", "-N", address, "7"]
                    said = subprocess.run(inside, input=b"hello", check=True, capture_output=True, timeout=PATIENCE)
                    assert said.stdout == b"hello"
        except AssertionError as error:
            if "no user namespace" in str(error):
                pytest.skip("this machine lets nobody make user namespaces")
            raise

    in_namespace(body)


def test_what_is_known_of_a_device(in_namespace: Run) -> None:
    def body() -> None:
        assert not device.exists("lasting")
        assert device.addresses("lasting") == []
        for question in (device.mtu, device.is_up):
            with pytest.raises(OSError, match="No such device"):
                question("lasting")
        make_device(mtu=1400, up=False)
        assert device.exists("lasting")
        assert not device.is_up("lasting")
        assert device.mtu("lasting") == 1500
        ip("link", "set", "lasting", "mtu", "1400", "up")
        assert device.is_up("lasting")
        assert device.mtu("lasting") == 1400
        assert [str(one) for one in device.addresses("lasting")][:2] == ["10.9.0.7/24", "fd00:9::7/64"]
        with Tun.open("lasting", offload=False) as tun:
            flags = device.tun_flags(tun.fileno())
            assert flags is not None
            assert flags & 0x5001 == 0x1001  # IFF_TUN and IFF_NO_PI, not IFF_VNET_HDR
        assert device.tun_flags(0) is None
        with pytest.raises(OSError, match="Bad file descriptor"):
            device.tun_flags(987)

    in_namespace(body)

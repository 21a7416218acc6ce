"""The command ``synfin tun serve`` as people meet it, with the Linux kernel over TUN: what it says, how ^C ends it, and
the one line for whatever is wrong. Most mistakes never reach the kernel; a taken name and the lack of a right do."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from synfin.cli.main import main
from tests.integration.peers import (
    OURS,
    PATIENCE,
    Run,
    digest,
    exchange,
    kernel_client,
    kernel_states,
    octets,
    receive_all,
    receive_exactly,
    serve_command,
    serving,
    started,
    until,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("ss")]

versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])

ADDRESS = ("--address", "10.9.0.2/24")


def devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def test_it_says_when_and_where_it_is_ready(in_namespace: Run) -> None:
    def body() -> None:
        with serving("echo", "--device", "mine", "--port", "7007", "--mtu", "1400") as echo:
            assert echo.line == (
                "echo ready on 10.9.0.2 port 7007, fd00:9::2 port 7007"
                " (device mine, kernel's side 10.9.0.3/24, fd00:9::3/64)\n"
            )
            # And so it is.
            assert devices() == {"lo", "mine"}
            assert {"10.9.0.3/24", "fd00:9::3/64"} < set(ip("-o", "address", "show", "mine").split())
            assert "mtu 1400" in ip("link", "show", "mine")
            for version in OURS:
                with kernel_client(version, 7007) as client:
                    assert exchange(client, b"hello")[1] == 5
        # Without a name the kernel gives the first that is free.
        with serving("discard") as first, serving("echo") as second:
            for number, said in enumerate((first.line, second.line)):
                assert f"(device synfin{number}," in said

    in_namespace(body)


@pytest.mark.row("C1")
@versions
def test_hello_closes_first(in_namespace: Run, version: int) -> None:
    def body() -> None:
        with serving("hello", "--time-wait", "1"):
            with kernel_client(version, 8080) as client:
                assert client.recv(100) == b"Hello, Client!"
                assert client.recv(100) == b""
                assert kernel_states() == {"CLOSE-WAIT": 1}
            until(lambda: not kernel_states(), "all gone")

    in_namespace(body)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["^C", "SIGTERM"])
def test_an_interrupt_closes_in_order(in_namespace: Run, number: signal.Signals) -> None:
    """Established connections hear the end of the stream, and no reset."""

    def body() -> None:
        with serving("echo") as echo, kernel_client(4, 7) as first, kernel_client(6, 7) as second:
            first.sendall(b"hello")
            assert receive_exactly(first, 5) == b"hello"
            echo.process.send_signal(number)
            for client in (first, second):
                assert client.recv(1) == b""
                client.close()
            assert echo.process.wait(PATIENCE) == 0
            assert echo.process.communicate() == ("", "")
            assert devices() == {"lo"}
            assert kernel_states() == {}

    in_namespace(body)


def test_an_interrupt_does_not_wait_for_ever(in_namespace: Run) -> None:
    """One client keeps its half open, the other reads nothing of what it is sent."""

    def body() -> None:
        with (
            serving("chargen") as chargen,
            kernel_client(4, 19) as deaf,
            kernel_client(4, 19) as open_half,
        ):
            assert open_half.recv(1)
            assert chargen.interrupt() == (0, "")
            assert devices() == {"lo"}
            assert kernel_states().keys() <= {"ESTAB", "CLOSE-WAIT"}
            assert deaf.recv(1)

    in_namespace(body)


def test_what_was_written_arrives_before_the_end(in_namespace: Run) -> None:
    data = octets(100_000)

    def body() -> None:
        with serving("echo") as echo, kernel_client(4, 7) as client:
            client.sendall(data)
            # What comes last has been read by the server: all is on its way back, or here.
            until(lambda: client.recv(len(data), socket.MSG_PEEK)[-1:] == data[-1:], "all of it here")
            echo.process.send_signal(signal.SIGINT)
            assert receive_all(client) == (digest(data), len(data))
            client.close()
            assert echo.process.wait(PATIENCE) == 0

    in_namespace(body)


def test_the_same_name_and_addresses_again(in_namespace: Run) -> None:
    """Nothing is left behind that could stand in the way of the next."""

    def body() -> None:
        for _ in range(3):
            with serving("echo", "--device", "mine"), kernel_client(4, 7) as client:
                assert exchange(client, b"hello")[1] == 5

    in_namespace(body)


def the_line(said: str) -> str:
    """What stands on standard error: one line, of the form "synfin: what is wrong; what to do"."""
    assert re.fullmatch(r"synfin: [^\n;]+; [^\n]+\n", said), said
    return said.removesuffix("\n")


@pytest.mark.parametrize("name", ["mine", "lo"])
def test_a_taken_name(in_namespace: Run, name: str) -> None:
    def body() -> None:
        with (
            serving("echo", "--device", "mine"),
            started(serve_command("echo", "--address", "10.8.0.2/24", "--device", name)) as second,
        ):
            out, complaint = second.communicate(timeout=PATIENCE)
            assert (second.returncode, out) == (2, "")
            assert the_line(complaint) == f"synfin: the device {name} is taken; choose another name with --device"
            assert devices() == {"lo", "mine"}

    in_namespace(body)


AS_NOBODY = (
    "import contextlib, io, os, sys\n"
    "import synfin.link.tun, synfin.socket.stack, fcntl\n"
    "from synfin.cli.main import main\n"
    # Nobody may not read where this interpreter's modules are: one run before loads them.
    "with contextlib.redirect_stderr(io.StringIO()): main(['tun', 'serve', 'echo', '--address', 'nonsense'])\n"
    "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    "sys.exit(main())\n"
)


@pytest.mark.requires("setpriv")
@pytest.mark.parametrize("who", ["nobody", "root without CAP_NET_ADMIN"])
def test_without_the_right(in_namespace: Run, who: str) -> None:
    arguments = serve_command("echo", *ADDRESS)[3:]
    if who == "nobody":
        command = [sys.executable, "-c", AS_NOBODY, *arguments]
    else:
        drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
        command = [*drop, sys.executable, "-m", "synfin", *arguments]

    def body() -> None:
        with started(command) as process:
            out, complaint = process.communicate(timeout=PATIENCE)
            assert (process.returncode, out) == (2, "")
            assert the_line(complaint) == (
                "synfin: making a TUN device takes root (CAP_NET_ADMIN); run the command with sudo"
            )
            assert devices() == {"lo"}

    in_namespace(body)


@pytest.mark.parametrize(
    ("arguments", "wrong", "right"),
    [
        ("--address 10.9.0.0/24", "10.9.0.0/24 is the address of the network", "such as 10.9.0.2/24"),
        ("--address 10.9.0.255/24", "10.9.0.255/24 is the address of the network or its broadcast", "such as"),
        ("--address 10.9.0.2", "10.9.0.2 lacks the length of its prefix", "such as 10.9.0.2/24"),
        ("--address 10.9.0.2/32", "leaves no address for the kernel's side", "such as"),
        ("--address fd00:9::2/128", "leaves no address for the kernel's side", "such as"),
        ("--address 10.9.0.2/33", "10.9.0.2/33", "such as"),
        ("--address 10.9.0.256/24", "10.9.0.256/24", "such as"),
        ("--address nonsense", "nonsense", "such as"),
        ("--address nonsense/24", "nonsense/24", "such as"),
        ("--address /24", "/24", "such as"),
        ("--address=", "lacks the length of its prefix", "such as"),
        ("--address 127.0.0.2/8", "127.0.0.2/8 cannot be the address of a host", "such as"),
        ("--address 224.0.0.2/24", "224.0.0.2/24 cannot be the address of a host", "such as"),
        ("--address ::/64", "::/64 cannot be the address of a host", "such as"),
        ("--address 10.9.0.1/30 --address 10.9.0.2/30", "10.9.0.0/30 has no free address", "such as"),
        ("", "missing option '--address'", "see 'synfin tun serve --help'"),
        ("--address 10.9.0.2/24 --port 0", "there is no port 0", "1 to 65535"),
        ("--address 10.9.0.2/24 --port 65536", "there is no port 65536", "1 to 65535"),
        ("--address 10.9.0.2/24 --port -1", "there is no port -1", "1 to 65535"),
        ("--address 10.9.0.2/24 --port http", "invalid value for '--port'", ""),
        ("--address 10.9.0.2/24 --loss 100%", "'100%' is no share of packets to lose", "0 to 1"),
        ("--address 10.9.0.2/24 --loss -1%", "'-1%' is no share", "0 to 1"),
        ("--address 10.9.0.2/24 --loss 2", "'2' is no share", "0 to 1"),
        ("--address 10.9.0.2/24 --loss much", "'much' is no share", "0 to 1"),
        ("--address 10.9.0.2/24 --loss nan", "'nan' is no share", "0 to 1"),
        ("--address 10.9.0.2/24 --time-wait -1", "TIME-WAIT cannot last -1 seconds", "0 or more"),
        ("--address 10.9.0.2/24 --mtu 500", "an MTU of 500 octets", "1280 to 65535"),
        ("--address 10.9.0.2/24 --device a/b", "not a device name: 'a/b'", "choose another name"),
        ("--address 10.9.0.2/24 --device sixteen-and-more", "not a device name", "choose another name"),
        ("--address 10.9.0.2/24 --device=", "not a device name: ''", "choose another name"),
        ("--address 10.9.0.2/24 --pcap /nowhere/file", "cannot use '/nowhere/file'", "name a file"),
    ],
)
def test_a_mistake_is_one_line(
    in_namespace: Run, capfd: pytest.CaptureFixture[str], arguments: str, wrong: str, right: str
) -> None:
    def body() -> None:
        assert main(["tun", "serve", "echo", *arguments.split()]) == 2
        assert devices() == {"lo"}

    in_namespace(body)
    out, complaint = capfd.readouterr()
    assert out == ""
    said = the_line(complaint)
    assert wrong in said.partition("; ")[0]
    assert right in said.partition("; ")[2]


def test_a_capture_that_cannot_be_written_to_the_end(in_namespace: Run, tmp_path: Path) -> None:
    """A full disk does not disturb the connections; at the end one line says that the file is not complete."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    data = octets(1_000_000)

    def body() -> None:
        with serving("echo", "--pcap", "/dev/full") as server:
            with kernel_client(4, 7) as client:
                assert exchange(client, data)[1] == len(data)
            told = "synfin: the capture /dev/full is not complete: No space left on device\n"
            assert server.interrupt() == (1, told)

    in_namespace(body)

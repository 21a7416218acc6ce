"""``synfin tun ss`` and ``sysctl``: they find the processes that run, and nobody else can."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from synfin.cli import control
from synfin.cli.control import Control, Json
from synfin.cli.main import main
from synfin.link.channel import channel_pair
from synfin.socket import Stack

pytestmark = pytest.mark.timeout(60)

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "synfin"


async def command(*arguments: str) -> int:
    """``synfin tun`` in a thread: it waits for an answer, which comes from this one."""
    return await asyncio.to_thread(main, ["tun", *arguments])


def with_control(test: Callable[[Stack, Stack], Awaitable[None]]) -> None:
    """Runs `test` with two connected stacks, on the devices left and right, of which each can be asked."""

    async def body() -> None:
        left, right = channel_pair()
        async with (
            Stack(left, ["10.0.0.1/24"]) as client,
            Stack(right, ["10.0.0.2/24"]) as server,
            Control(client, "left") as one,
            Control(server, "right") as two,
        ):
            assert one.error is None
            assert two.error is None
            await test(client, server)

    asyncio.run(body())


@pytest.mark.row("E5")
def test_the_table(capfd: Capture, run_directory: Path) -> None:
    async def test(client: Stack, server: Stack) -> None:
        accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        listening = await server.start_server(lambda _, writer: accepted.set_result(writer), "10.0.0.2", 80)
        _, writer = await client.open_connection("10.0.0.2", 80, local_addr=("10.0.0.1", 4000))
        await accepted
        assert await command("ss") == 0
        out, err = capfd.readouterr()
        assert err == ""
        assert out.splitlines() == [
            "Device State       Recv-Q Send-Q Local Address:Port Peer Address:Port",
            "left   ESTABLISHED      0      0 10.0.0.1:4000      10.0.0.2:80",
            "right  LISTEN           0    100 10.0.0.2:80        *:*",
            "right  ESTABLISHED      0      0 10.0.0.2:80        10.0.0.1:4000",
        ]
        assert await command("ss", "--device", "right") == 0
        assert capfd.readouterr().out.splitlines() == [
            "State       Recv-Q Send-Q Local Address:Port Peer Address:Port",
            "LISTEN           0    100 10.0.0.2:80        *:*",
            "ESTABLISHED      0      0 10.0.0.2:80        10.0.0.1:4000",
        ]
        assert await command("ss", "--json", "--device", "left") == 0
        assert json.loads(capfd.readouterr().out) == [
            {
                "device": "left",
                "pid": os.getpid(),
                "state": "ESTABLISHED",
                "recv_q": 0,
                "send_q": 0,
                "local": "10.0.0.1:4000",
                "peer": "10.0.0.2:80",
            }
        ]
        writer.transport.abort()
        listening.close()

    with_control(test)
    # Nothing is left behind.
    assert not run_directory.exists()


def test_parameters(capfd: Capture) -> None:
    async def test(client: Stack, server: Stack) -> None:
        assert await command("sysctl", "--device", "left") == 0
        lines = capfd.readouterr().out.splitlines()
        assert [line.partition(" = ")[0] for line in lines] == client.host.parameters.names()
        assert await command("sysctl", "--device", "left", "net.ipv4.tcp_rmem", "net.ipv4.tcp_sack") == 0
        assert capfd.readouterr().out == "net.ipv4.tcp_rmem = 4096\t131072\t33554432\nnet.ipv4.tcp_sack = 1\n"
        assert await command("sysctl", "--device", "left", "-w", "net.ipv4.tcp_fin_timeout=30") == 0
        assert capfd.readouterr().out == "net.ipv4.tcp_fin_timeout = 30\n"
        assert client.host.parameters.tcp.tcp_fin_timeout == 30
        assert server.host.parameters.tcp.tcp_fin_timeout == 60
        assert await command("sysctl", "--device", "left", "net.ipv4.tcp_rmem=1 2 3") == 0
        assert client.host.parameters.tcp.tcp_rmem == (1, 2, 3)

    with_control(test)


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        ("sysctl", "several run: left (process", "--device"),
        ("sysctl --device left net.ipv4.nonsense", "there is no parameter 'net.ipv4.nonsense'", "synfin tun sysctl"),
        ("sysctl --device left tcp_sack", "there is no parameter 'tcp_sack'", "synfin tun sysctl"),
        ("sysctl --device left net.ipv4.tcp_sack=yes", "'yes' is no value for net.ipv4.tcp_sack", "like '1'"),
        ("sysctl --device left net.ipv4.tcp_sack=", "'' is no value for net.ipv4.tcp_sack", "like '1'"),
        ("sysctl --device left net.ipv4.tcp_rmem=1", "'1' is no value for net.ipv4.tcp_rmem", "like"),
        ("sysctl --device left net.ipv4.tcp_congestion_control=none", "'none' is no value", "like 'cubic'"),
        ("sysctl --device left -w net.ipv4.tcp_sack", "no value for net.ipv4.tcp_sack", "=VALUE"),
        ("sysctl --device middle", "no synfin tun command of yours runs on the device middle", "start one"),
        ("ss --device middle", "no synfin tun command of yours runs on the device middle", "start one"),
        ("ss --nonsense", "no such option", ""),
        ("ss more", "got unexpected extra argument", ""),
    ],
)
def test_a_mistake_is_one_line(capfd: Capture, line: str, wrong: str, right: str) -> None:
    async def test(client: Stack, server: Stack) -> None:
        before = [client.host.parameters.get(name) for name in client.host.parameters.names()]
        assert await command(*line.split()) == 2
        assert [client.host.parameters.get(name) for name in client.host.parameters.names()] == before

    with_control(test)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"synfin: {wrong}")
    assert right in err.partition("; ")[2]


def test_nothing_runs(capfd: Capture, run_directory: Path) -> None:
    for arguments in (["tun", "ss"], ["tun", "sysctl"]):
        assert main(arguments) == 2
        assert capfd.readouterr().err.startswith("synfin: no synfin tun command of yours runs; start one")
    assert not run_directory.exists()


def sockets(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def leave_behind(directory: Path) -> Path:
    """A socket on which nobody listens."""
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / "dead.99999999.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    return path


def test_what_a_dead_process_left_behind(capfd: Capture, run_directory: Path) -> None:
    leave_behind(run_directory)
    assert main(["tun", "ss"]) == 2
    assert not run_directory.exists()

    async def test(client: Stack, server: Stack) -> None:
        # The next to begin clears up as well, and takes nothing from those that run.
        path = leave_behind(run_directory)
        async with Control(server, "third"):
            assert not path.exists()
            assert await command("ss") == 0
            assert len(sockets(run_directory)) == 3

    with_control(test)
    assert not run_directory.exists()
    capfd.readouterr()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_can_enter(capfd: Capture, run_directory: Path, mode: int) -> None:
    async def body() -> None:
        async with Stack(channel_pair()[0], ["10.0.0.1/24"]) as stack, Control(stack, "left") as one:
            assert isinstance(one.error, PermissionError)

    run_directory.mkdir()
    run_directory.chmod(mode)
    asyncio.run(body())
    assert main(["tun", "ss"]) == 2
    assert "not a directory for its owner alone" in capfd.readouterr().err
    assert list(run_directory.iterdir()) == []


def test_a_link_to_elsewhere_is_no_directory(run_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    run_directory.symlink_to("elsewhere")
    with pytest.raises(PermissionError):
        control.directory(make=True)


def test_where_root_and_others_have_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert control.directory(make=True) == tmp_path / f"synfin-{os.geteuid()}"
    assert (tmp_path / f"synfin-{os.geteuid()}").stat().st_mode & 0o777 == 0o700


def only_socket(directory: Path) -> Path:
    (found,) = (path for path in directory.iterdir() if path.name.startswith("left."))
    return found


async def say(path: Path, line: bytes) -> bytes:
    return await say_to(*await asyncio.open_unix_connection(path, limit=1 << 20), line)


async def say_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    try:
        writer.write(line)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:  # closed with what we said unread
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b"null\n",
        b'{"call":"stop"}\n',
        b"[" * 4000 + b"\n",
        b'{"call":"ss"',
        b"\xff\n",
    ],
)
def test_callers_that_make_no_sense(run_directory: Path, line: bytes) -> None:
    async def test(client: Stack, server: Stack) -> None:
        assert b'"wrong": "no such call"' in await say(only_socket(run_directory), line) or line == b'{"call":"ss"'
        assert len(control_rows(await say(only_socket(run_directory), b'{"call":"ss"}\n'))) == 0

    with_control(test)


def control_rows(said: bytes) -> list[Json]:
    rows = json.loads(said)["rows"]
    assert isinstance(rows, list)
    return rows


def test_a_request_that_is_too_long(run_directory: Path) -> None:
    async def test(client: Stack, server: Stack) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(control, "PATIENCE", 0.01)
            for line in (bytes(1 << 17), b" " * (1 << 17) + b"\n"):
                assert await say(only_socket(run_directory), line) == b""

    with_control(test)


def test_a_caller_that_says_nothing_is_left(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.01)

    async def test(client: Stack, server: Stack) -> None:
        reader, writer = await asyncio.open_unix_connection(only_socket(run_directory))
        assert await reader.read() == b""
        writer.close()

    with_control(test)


def test_too_many_callers(run_directory: Path) -> None:
    async def test(client: Stack, server: Stack) -> None:
        path = only_socket(run_directory)
        waiting = [await asyncio.open_unix_connection(path) for _ in range(control.CALLER_LIMIT)]
        assert await say(path, b'{"call":"ss"}\n') == b""
        for _, one in waiting:
            one.close()
        # They are gone: others have their turn again.
        said = [await say(path, b'{"call":"ss"}\n') for _ in range(100)]
        assert control_rows(said[-1]) == []

    with_control(test)


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch, run_directory: Path, capfd: Capture) -> None:
    monkeypatch.setattr(control, "ROW_LIMIT", 3)

    async def test(client: Stack, server: Stack) -> None:
        servers = [await client.start_server(lambda _, __: None, "10.0.0.1", port) for port in range(1, 6)]
        said = json.loads(await say(only_socket(run_directory), b'{"call":"ss"}\n'))
        assert (len(said["rows"]), said["omitted"]) == (3, 2)
        assert await command("ss", "--device", "left") == 0
        assert capfd.readouterr().err == "synfin: 2 more on left\n"
        for one in servers:
            one.close()

    with_control(test)


@pytest.mark.requires("root")
def test_others_get_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rights of the directory did not keep them out, their user id does."""

    async def test(client: Stack, server: Stack) -> None:
        path = only_socket(Path(open_to_all, "synfin"))
        assert await say(path, b'{"call":"ss"}\n') != b""
        for one in (path.parents[1], path.parent, path):
            one.chmod(0o777)
        calling = socket.socket(socket.AF_UNIX)
        calling.setblocking(False)
        os.seteuid(65534)
        try:
            calling.connect(str(path))
        finally:
            os.seteuid(0)
        reader, writer = await asyncio.open_unix_connection(sock=calling)
        assert await say_to(reader, writer, b'{"call":"ss"}\n') == b""

    # Not where pytest has its directories, into which nobody else may look.
    with tempfile.TemporaryDirectory() as open_to_all:
        monkeypatch.setenv("XDG_RUNTIME_DIR", open_to_all)
        with_control(test)

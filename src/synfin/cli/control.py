"""How `synfin tun ss` and `synfin tun sysctl` reach the `synfin tun` processes that run: a Unix socket for each.

The sockets are in a directory that only its owner can enter, and whoever calls must have the owner's user id, or be
root. A request and its reply are one line of JSON each, both of bounded length.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType

    from synfin.socket.stack import Stack
    from synfin.tcp.parameters import Value

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | None"

REQUEST_LIMIT: Final = 4096
REPLY_LIMIT: Final = 1 << 24
#: Rows of the table of connections in one reply, at most.
ROW_LIMIT: Final = 50_000
#: Callers at one time.
CALLER_LIMIT: Final = 8
#: Seconds that a caller may take, and that we wait for an answer.
PATIENCE: Final = 5.0
PEER_CREDENTIALS: Final = struct.Struct("3i")


class ControlError(Exception):
    """What a caller asked for cannot be: `wrong` says what, `right` what to do instead."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(wrong, right)
        self.wrong = wrong
        self.right = right


def directory(*, make: bool) -> Path:
    """Where the sockets of this user are: in XDG_RUNTIME_DIR, for root in /run, otherwise where temporary files are.

    Raises OSError: with EPERM if somebody else could have put something into it, with ENOENT if it is not there and
    is not to be made.
    """
    user = os.geteuid()
    run = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    if run.is_dir() and run.stat().st_uid == user:
        place = run / "synfin"
    elif user == 0 and os.access("/run", os.W_OK):
        place = Path("/run/synfin")
    else:
        place = Path(tempfile.gettempdir()) / f"synfin-{user}"
    if make:
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077:
        raise PermissionError(1, "not a directory for its owner alone", str(place))
    return place


class Control:
    """Answers for `stack`, on `device`, from `start` to `close`. An asynchronous context manager.

    Where the socket cannot be made, `error` says why, and the stack runs without.
    """

    def __init__(self, stack: Stack, device: str) -> None:
        self._stack = stack
        self._device = device
        self._path: Path | None = None
        self._server: asyncio.Server | None = None
        self._callers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.error: OSError | None = None

    async def __aenter__(self) -> Control:
        try:
            try:
                await self._listen()
            except FileNotFoundError:  # another process has just removed the directory
                await self._listen()
        except OSError as error:
            self.error = error
        return self

    async def _listen(self) -> None:
        place = directory(make=True)
        _remove_what_the_dead_left(place)
        path = place / f"{self._device or 'fd'}.{os.getpid()}.sock"
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._called, path, limit=REQUEST_LIMIT)
        self._path = path

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._callers:
            task.cancel()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            # Nothing is left behind, unless others are there.
            with suppress(OSError):
                self._path.parent.rmdir()

    def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._callers[task] = writer
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Here, and not in the task: one that is cancelled early has never begun.
        self._callers.pop(task).close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._callers) > CALLER_LIMIT or not _may_call(writer):
            return
        # OSError, ValueError: a caller that went away, or a line that is too long.
        with suppress(OSError, ValueError):
            async with asyncio.timeout(PATIENCE):
                line = await reader.readline()
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()

    def _answer(self, line: bytes) -> dict[str, Json]:
        try:
            try:
                request = json.loads(line)
            except (ValueError, RecursionError):
                request = None
            match request:
                case {"call": "ss"}:
                    reply: dict[str, Json] = self._rows()
                case {"call": "sysctl", "name": str(name), "value": str(value)}:
                    reply = self._set(name, value)
                case {"call": "sysctl", "name": str(name)}:
                    reply = {"parameters": {name: _as_json(self._get(name))}}
                case {"call": "sysctl"}:
                    parameters = self._stack.host.parameters
                    reply = {"parameters": {name: _as_json(parameters.get(name)) for name in parameters.names()}}
                case _:
                    raise ControlError("no such call", "both sides must be of one version of synfin")
        except ControlError as error:
            reply = {"wrong": error.wrong, "right": error.right}
        who: dict[str, Json] = {"device": self._device, "pid": os.getpid()}
        return who | reply

    def _rows(self) -> dict[str, Json]:
        rows = self._stack.connections()
        table: list[Json] = [
            [row.state, row.receive_queue, row.send_queue, row.local, row.remote] for row in rows[:ROW_LIMIT]
        ]
        return {"rows": table, "omitted": max(len(rows) - ROW_LIMIT, 0)}

    def _get(self, name: str) -> Value:
        try:
            return self._stack.host.parameters.get(name)
        except KeyError:
            raise ControlError(f"there is no parameter {name!r}", "see 'synfin tun sysctl' for their names") from None

    def _set(self, name: str, value: str) -> dict[str, Json]:
        old = self._get(name)
        try:
            self._stack.host.parameters.set(name, value)
        except ValueError:
            raise ControlError(
                f"{value!r} is no value for {name}", f"give something like {_in_words(_as_json(old))!r}"
            ) from None
        return {"parameters": {name: _as_json(self._get(name))}}


def _may_call(writer: asyncio.StreamWriter) -> bool:
    """Whether the caller has our user id, or is root."""
    connected: socket.socket = writer.get_extra_info("socket")
    octets = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    return PEER_CREDENTIALS.unpack(octets)[1] in (0, os.geteuid())


def _as_json(value: Value) -> Json:
    return list(value) if isinstance(value, tuple) else value


def _in_words(value: Json) -> str:
    """A parameter's value as sysctl(8) prints it."""
    return "\t".join(map(str, value)) if isinstance(value, list) else str(value)


def _remove_what_the_dead_left(place: Path) -> None:
    """A process that was killed could not remove its socket, nor the directory after the last."""
    for path in place.glob("*.sock"):
        if Path("/proc", path.name.rsplit(".", 2)[-2]).exists():
            continue
        with socket.socket(socket.AF_UNIX) as calling:
            calling.setblocking(False)
            try:
                calling.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:  # busy, or gone by now
                continue


# --- the callers' side


def ask(request: dict[str, Json], device: str | None = None) -> list[dict[str, Json]]:
    """The replies of all processes of this user's that run, or of the one on `device`.

    Sockets whose process is gone are removed. Raises OSError if the directory cannot be used, ControlError for what
    a process says is wrong.
    """
    try:
        place = directory(make=False)
    except FileNotFoundError:
        return []
    _remove_what_the_dead_left(place)
    with suppress(OSError):  # others are there
        place.rmdir()
    replies = []
    for path in sorted(place.glob("*.sock")):
        if device is not None and path.name.rsplit(".", 2)[0] != device:
            continue
        reply = _ask(path, request)
        if reply is not None:
            replies.append(reply)
    return replies


def _ask(path: Path, request: dict[str, Json]) -> dict[str, Json] | None:
    with socket.socket(socket.AF_UNIX) as calling:
        calling.settimeout(PATIENCE)
        try:
            calling.connect(str(path))
            calling.sendall(json.dumps(request).encode() + b"\n")
            with calling.makefile("rb") as answers:
                reply = json.loads(answers.readline(REPLY_LIMIT))
        except (OSError, ValueError):
            return None
    if not isinstance(reply, dict):
        return None
    match reply:
        case {"wrong": str(wrong), "right": str(right)}:
            raise ControlError(wrong, right)
    return reply


def table(replies: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """The rows of all replies to ``ss``, as `ss --json` prints them."""
    names = ("state", "recv_q", "send_q", "local", "peer")
    return [
        {"device": reply["device"], "pid": reply["pid"]} | dict(zip(names, row, strict=True))
        for reply in replies
        for row in _list(reply.get("rows"))
        if isinstance(row, list)
    ]


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def table_text(rows: list[dict[str, Json]]) -> str:
    """The rows as ss -tan prints them: in columns, with a line above. One more says which device, if there are
    several."""
    columns = [("State", "state"), ("Recv-Q", "recv_q"), ("Send-Q", "send_q")]
    columns += [("Local Address:Port", "local"), ("Peer Address:Port", "peer")]
    if len({(row["device"], row["pid"]) for row in rows}) > 1:
        columns.insert(0, ("Device", "device"))
    lines = [[title for title, _ in columns]] + [[str(row[key]) for _, key in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = {index for index, (_, key) in enumerate(columns) if key in ("recv_q", "send_q")}
    return "\n".join(
        " ".join(
            word.rjust(width) if index in right else word.ljust(width)
            for index, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def parameters_text(reply: dict[str, Json]) -> str:
    """The parameters of a reply to ``sysctl``, a line for each."""
    parameters = reply.get("parameters")
    if not isinstance(parameters, dict):
        return ""
    return "\n".join(f"{name} = {_in_words(value)}" for name, value in parameters.items())

"""``synfin tun serve http``: the files of a directory over HTTP/1.1 (RFC 9110, RFC 9112), on asyncio's streams.

h11 reads and writes the messages; here is what they say. GET and HEAD, single ranges, directories as listings; nothing
outside of the directory, nothing that is not a regular file, and of no file more than a chunk in memory.
"""

from __future__ import annotations

import asyncio
import html
import mimetypes
import os
import re
import stat
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import quote, unquote_to_bytes

import h11

from synfin import __version__

#: Octets read from a file at once.
CHUNK: Final = 1 << 18
#: Octets of a request's body that are read and thrown away; with more the connection ends.
BODY_LIMIT: Final = 1 << 16
#: Seconds that a client may stay silent, before a request or in the midst of one.
IDLE_TIMEOUT: Final = 60.0
#: Seconds that a chunk may take to leave.
WRITE_TIMEOUT: Final = 300.0
#: Seconds in which a client may still send what nobody wants, before the connection is reset.
LINGER: Final = 2.0
#: Entries of a directory that are listed.
LISTING_LIMIT: Final = 10_000
#: RFC 9110 §14.1.2, a single range.
RANGE: Final = re.compile(rb"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE)

Headers: TypeAlias = list[tuple[str, str]]


class RefusedError(Exception):
    """The answer is an error: its status, and further headers."""

    def __init__(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = list(headers)


class Answer:
    """A status, headers, and a body: `text`, or `length` octets of `file` from where it stands."""

    def __init__(
        self, status: HTTPStatus, headers: Headers, length: int, text: bytes = b"", file: BinaryIO | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self.length = length
        self.text = text
        self.file = file


async def serve(root: Path, reader: StreamReader, writer: StreamWriter) -> None:
    """Answers the requests of one connection with the files under `root`."""
    connection = h11.Connection(h11.SERVER)
    try:
        while await _exchange(root, connection, reader, writer):
            connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await _answer(connection, writer, _refused(RefusedError(HTTPStatus(error.error_status_hint))), closing=True)
        await _linger(reader, writer)
    except TimeoutError:
        writer.transport.abort()


async def _exchange(root: Path, connection: h11.Connection, reader: StreamReader, writer: StreamWriter) -> bool:
    """One request and its answer. Whether the connection goes on."""
    request = await _event(connection, reader)
    if not isinstance(request, h11.Request):
        return False  # the client is done
    head = request.method == b"HEAD"
    try:
        if request.method not in (b"GET", b"HEAD"):
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))
        answer = find(root, request.target, _header(request, b"range") if not head else None, _conditional(request))
    except RefusedError as refusal:
        answer = _refused(refusal)
    octets = 0
    # RFC 9110 §10.1.1: who waits for 100 (Continue) gets the final answer instead, and keeps the body.
    wanted = not connection.they_are_waiting_for_100_continue
    try:
        while wanted and octets <= BODY_LIMIT:
            event = await _event(connection, reader)
            if event is None or isinstance(event, h11.EndOfMessage):
                break
            octets += len(event.data) if isinstance(event, h11.Data) else 0
        closing = not wanted or octets > BODY_LIMIT
        await _answer(connection, writer, answer, closing=closing, head=head)
    finally:
        if answer.file is not None:
            answer.file.close()
    if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
        await _linger(reader, writer)
        return False
    return True


async def _event(connection: h11.Connection, reader: StreamReader) -> h11.Event | None:
    """The next event, None when nothing more comes on this connection."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Event):
            return event
        if event is h11.PAUSED:
            return None
        async with asyncio.timeout(IDLE_TIMEOUT):
            connection.receive_data(await reader.read(CHUNK))


async def _answer(
    connection: h11.Connection, writer: StreamWriter, answer: Answer, *, closing: bool = False, head: bool = False
) -> None:
    headers = [("Date", formatdate(usegmt=True)), ("Server", f"synfin/{__version__}")]
    headers += [*answer.headers, ("Content-Length", str(answer.length))]
    if closing:
        headers.append(("Connection", "close"))
    start = h11.Response(status_code=answer.status.value, reason=answer.status.phrase, headers=headers)
    await _write(writer, connection.send(start))
    if not head:
        if answer.text:
            await _write(writer, connection.send(h11.Data(data=answer.text)))
        left = answer.length if answer.file is not None else 0
        while left and answer.file is not None:
            data = read_file(answer.file, min(left, CHUNK))
            if not data:
                # The file has become shorter. Only the end of the connection can tell.
                writer.transport.abort()
                return
            left -= len(data)
            await _write(writer, connection.send(h11.Data(data=data)))
    await _write(writer, connection.send(h11.EndOfMessage()))


def read_file(file: BinaryIO, count: int) -> bytes:
    """Up to `count` octets of `file`; none at its end."""
    return file.read(count)


async def _write(writer: StreamWriter, data: bytes | None) -> None:
    if data:
        writer.write(data)
        async with asyncio.timeout(WRITE_TIMEOUT):
            await writer.drain()


async def _linger(reader: StreamReader, writer: StreamWriter) -> None:
    """RFC 9112 §9.6: what the client still sends is read for a while, so that no RST overtakes the answer."""
    with suppress(TimeoutError, RuntimeError):
        writer.write_eof()
        async with asyncio.timeout(LINGER):
            while await reader.read(CHUNK):
                pass


def _header(request: h11.Request, name: bytes) -> bytes | None:
    return next((value for key, value in request.headers if key == name), None)


def _conditional(request: h11.Request) -> bool:
    """Whether a range is wanted of one version only (RFC 9110 §13.1.5). We have none to tell apart."""
    return _header(request, b"if-range") is not None


def _refused(refusal: RefusedError) -> Answer:
    text = f"{refusal.status.value} {refusal.status.phrase}\n".encode()
    headers = [*refusal.headers, ("Content-Type", "text/plain; charset=utf-8")]
    return Answer(refusal.status, headers, len(text), text)


# --- what is in the directory


def find(root: Path, target: bytes, wanted: bytes | None = None, conditional: bool = False) -> Answer:
    """What `target`, of a request, is under `root`; of it the range `wanted`, unless `conditional`.

    Raises RefusedError.
    """
    segments = _segments(target)
    path = root.joinpath(*segments)
    try:
        # Links that lead outside are no way out.
        if not path.resolve().is_relative_to(root.resolve()):
            raise RefusedError(HTTPStatus.FORBIDDEN)
        if path.is_dir():
            if not target.partition(b"?")[0].endswith(b"/"):
                raise RefusedError(HTTPStatus.MOVED_PERMANENTLY, ("Location", _link(segments) + "/"))
            index = path / "index.html"
            if not index.is_file():
                return _listing(path, segments)
            if not index.resolve().is_relative_to(root.resolve()):
                raise RefusedError(HTTPStatus.FORBIDDEN)
            path = index
        elif target.partition(b"?")[0].endswith(b"/"):
            raise RefusedError(HTTPStatus.NOT_FOUND)
        return _file(path, None if conditional else wanted)
    except PermissionError:
        raise RefusedError(HTTPStatus.FORBIDDEN) from None
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        raise RefusedError(HTTPStatus.NOT_FOUND) from None


def _segments(target: bytes) -> list[str]:
    """The names on the way to what is asked for."""
    if target[:7].lower() == b"http://":
        # RFC 9112 §3.2.2
        target = b"/" + target[7:].partition(b"/")[2]
    path = target.partition(b"?")[0]
    octets = unquote_to_bytes(path)
    names = octets.split(b"/")
    if not path.startswith(b"/") or b"\0" in octets or b".." in names:
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    return [os.fsdecode(name) for name in names if name not in (b"", b".")]


def _link(segments: list[str]) -> str:
    return "".join("/" + quote(os.fsencode(name), safe="") for name in segments)


def _file(path: Path, wanted: bytes | None) -> Answer:
    # O_NONBLOCK: opening a FIFO must not wait for a writer.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(fd, "rb", buffering=0)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        file.close()
        raise RefusedError(HTTPStatus.FORBIDDEN)
    kind, encoding = mimetypes.guess_type(path.name)
    headers = [
        ("Content-Type", kind if kind is not None and encoding is None else "application/octet-stream"),
        ("Last-Modified", formatdate(found.st_mtime, usegmt=True)),
        ("Accept-Ranges", "bytes"),
    ]
    size = found.st_size
    match = RANGE.fullmatch(wanted) if wanted is not None else None
    # RFC 9110 §14.2: what is no range that we know is as if it were not there.
    if match is None or match[1] == match[2] == b"" or (match[1] and match[2] and int(match[1]) > int(match[2])):
        return Answer(HTTPStatus.OK, headers, size, file=file)
    first = int(match[1]) if match[1] else max(size - int(match[2]), 0)
    last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
    if first > last:
        file.close()
        raise RefusedError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, ("Content-Range", f"bytes */{size}"))
    file.seek(first)
    headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    return Answer(HTTPStatus.PARTIAL_CONTENT, headers, last - first + 1, file=file)


def _listing(path: Path, segments: list[str]) -> Answer:
    names: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            names.append(entry.name + ("/" if entry.is_dir() else ""))
            if len(names) == LISTING_LIMIT:
                break
    title = html.escape("/" + "/".join(segments))
    lines = ["<!DOCTYPE html>", f"<title>{title}</title>", f"<h1>{title}</h1>", "<ul>"]
    if segments:
        lines.append('<li><a href="../">../</a>')
    for name in sorted(names):
        link = quote(os.fsencode(name.rstrip("/")), safe="") + ("/" if name.endswith("/") else "")
        lines.append(f'<li><a href="./{link}">{html.escape(name)}</a>')
    lines.append("</ul>\n")
    text = "\n".join(lines).encode("utf-8", "replace")
    return Answer(HTTPStatus.OK, [("Content-Type", "text/html; charset=utf-8")], len(text), text)

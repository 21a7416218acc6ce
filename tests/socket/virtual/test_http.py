"""An HTTP exchange of the standard library's client and server, from the first SYN to CLOSED."""

from __future__ import annotations

import pytest

from synfin.events import StateChanged
from synfin.show.history import History, flows
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN
from tests.socket.virtual.worlds import run

FLAGS = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"))
PAGE = b"<p>Hello!</p>"


def serve() -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, form: str, *args: object) -> None: ...

    HTTPServer(("", 80), Handler).serve_forever()


def ask() -> list[bytes]:
    from http.client import HTTPConnection

    answers = []
    for _ in range(2):
        connection = HTTPConnection("server")
        connection.request("GET", "/")
        answers.append(connection.getresponse().read())
        connection.close()
    return answers


@pytest.mark.row("E4")
def test_http_from_the_first_syn_to_closed_in_clear_and_without_state() -> None:
    world, client = run(ask, serve)
    assert client.result == [PAGE, PAGE]
    # The server's TIME-WAIT is over.
    world.network.run()
    said = []
    for flow in flows(world.events):
        history = History.from_events(world.events, flow)
        labelled, octets = [], {"client": b"", "server": b""}
        for one in history.transmissions:
            segment = one.segment
            flags = "+".join(name for flag, name in FLAGS if segment.flags & flag)
            ack = one.receiver.relative(segment.ack) if segment.flags & ACK else None
            labelled.append((one.sender.host, flags, one.sender.relative(segment.seq), ack))
            octets[one.sender.host] += segment.payload_bytes()
        request, answer = (len(octets[host]) for host in ("client", "server"))
        assert labelled[:4] == [
            ("client", "SYN", 0, None),
            ("server", "SYN+ACK", 0, 1),
            ("client", "ACK", 1, 1),
            ("client", "PSH+ACK", 1, 1),
        ]
        # HTTP/1.0: the server closes first, behind all that it said; the FIN may ride on the last of it.
        fins = [one for one in history.transmissions if one.segment.flags & FIN]
        assert [
            (one.sender.host, one.sender.relative(one.segment.seq) + one.segment.payload_length) for one in fins
        ] == [("server", 1 + answer), ("client", 1 + request)]
        assert fins[1].receiver.relative(fins[1].segment.ack) == 2 + answer
        assert labelled[-1] == ("server", "ACK", 2 + answer, 2 + request)
        for end in (history.left, history.right):
            changes = [event for event in world.events if isinstance(event, StateChanged) and event.flow == end.flow]
            assert changes[-1].new == "CLOSED"
        # In clear.
        assert octets["client"].startswith(b"GET / HTTP/1.1\r\n")
        assert octets["server"].startswith(b"HTTP/1.0 200 OK\r\n")
        assert octets["server"].endswith(PAGE)
        said.append(octets["client"])
    # Without state: the same once more, on a connection of its own.
    assert len(said) == 2
    assert said[0] == said[1]

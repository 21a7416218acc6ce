"""The examples: two stacks in one process, and the UDP tunnel between two processes, as an unprivileged user."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.peers import PATIENCE
from tests.integration.unprivileged import script

pytestmark = pytest.mark.timeout(120)

EXAMPLES = Path(__file__).parents[2] / "examples"


def free_ports() -> list[int]:
    """Two UDP ports of this machine's that nobody has."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], two.getsockname()[1]]


def test_a_page_and_100_megabytes_through_udp() -> None:
    here, there = (f"127.0.0.1:{port}" for port in free_ports())
    tunnel = EXAMPLES / "udp_tunnel.py"
    server = subprocess.Popen(script(tunnel, "serve", there, here), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        # The client may begin first: its SYN is lost, and sent again.
        client = subprocess.run(
            script(tunnel, "fetch", here, there), check=False, capture_output=True, text=True, timeout=100
        )
        assert client.stderr == ""
        lines = client.stdout.splitlines()
        assert len(lines) == 2
        for line, host in zip(lines, ["10.8.0.1", "fd00:8::1"], strict=True):
            match = re.fullmatch(rf"{host} says ([0-9a-f]{{64}}), sent \1 in [0-9.]+ s", line)
            assert match, line
            # SHA-256 of the 100 MiB that random.Random(0) yields, MiB by MiB.
            assert match[1] == "8e83a7387324acdcaef766878bcde5c6868805aedf00dbf629dbb229a91d1c3c"
        assert client.returncode == 0
        assert server.poll() is None
    finally:
        server.kill()
        server.communicate()


def test_two_stacks() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "two_stacks.py"], check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout == "10.0.0.2 says Hello, world!\nfd00::2 says Hello, world!\n"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 120

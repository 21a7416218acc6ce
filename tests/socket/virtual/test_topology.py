"""Networks in TOML: what docs/virtual-time.md shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synfin.sim import Router
from synfin.socket.virtual import Programs
from synfin.socket.virtual.fields import TopologyError, duration
from synfin.socket.virtual.topology import Topology
from tests.socket.virtual.worlds import MS, SECOND

DOCUMENT = Path(__file__).parents[3] / "docs" / "virtual-time.md"

SERVER = """
import socket
with socket.create_server(("", 80)) as listener:
    connection, peer = listener.accept()
    with connection:
        connection.sendall(peer[0].encode())
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 80)) as connection:
    sys.exit(connection.recv(100).decode())
"""


@pytest.fixture
def documented(tmp_path: Path) -> Path:
    """The file that the document shows."""
    found = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    path = tmp_path / "net.toml"
    path.write_text(found[1])
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "client.py").write_text(CLIENT)
    return path


def test_the_documented_file_says_what_its_comments_say(documented: Path) -> None:
    topology = Topology(documented)
    assert (topology.seed, topology.limit, topology.settle) == (7, 2 * 3600 * SECOND, SECOND)
    assert topology.epoch == 1767225600 * SECOND
    (line,) = topology.programs
    assert (line.host, line.script.name, line.argv) == ("server", "server.py", ["--port", "80"])
    assert (line.start, line.background, line.restart) == (SECOND, True, True)
    network = topology.build()
    assert list(network.nodes) == ["client", "server", "home"]
    assert list(network.switches) == ["office"]
    uplink = network.wires["uplink"]
    assert uplink.delay == 10 * MS
    assert [str(fault) for fault in uplink.faults] == ["rate 10Mbit queue 100", "lose 2%", "partition from 60s to 90s"]
    client, home = network.nodes["client"], network.nodes["home"]
    assert client.parameters.get("net.ipv4.tcp_syn_retries") == 3
    assert client.parameters.get("synfin.tcp_timewait_len") == 10
    assert isinstance(home, Router)
    assert home.nat is not None
    assert home.firewall is not None
    assert home.nat.forwards[8080][1] == 80
    assert home.nat.timeouts.established == 300 * SECOND
    assert home.firewall.rules[0].direction == "out"


def test_the_documented_network_works(documented: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through a NAT and a firewall, to a server that has one address and two names."""
    for name in ("server", "www.example.org"):
        programs = Programs(Topology(documented).build())
        programs.add("server", documented.parent / "server.py", background=True)
        client = programs.add("client", documented.parent / "client.py", [name], start=SECOND)
        outcome = programs.run()
        assert outcome.ending == "ended"
        # sys.exit prints what the server saw: the address of the NAT.
        assert capsys.readouterr().err == "203.0.113.1\n"
        assert client.error is None


def test_a_topology_can_be_built_again_with_another_seed_and_faults(documented: Path) -> None:
    topology = Topology(documented)
    first, second = topology.build(), topology.build(8, faults=["uplink: lose 3rd data"])
    assert first.octets_for("x") != second.octets_for("x")
    assert len(second.faults) == len(first.faults) + 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10ms", 10 * MS),
        ("1.5s", 1500 * MS),
        ("5min", 300 * SECOND),
        ("2h", 7200 * SECOND),
        ("2h 4min 1s", 7441 * SECOND),
    ],
)
def test_durations(text: str, value: int) -> None:
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "h", "2", "2 h", "-2h", "2h 5", "1e3s", "2d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)


def test_an_empty_file_has_no_host(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text("")
    with pytest.raises(TopologyError, match="there is no host; write a table"):
        Topology(path)

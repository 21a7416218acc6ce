"""Parameters under the names that sysctl(8) knows."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import pytest

import synfin
from synfin.host.parameters import HOST_PARAMETERS, Parameters, parse
from synfin.tcp.parameters import TCP_PARAMETERS, TcpParameters

# Sizes that Linux works out from the machine's memory when it boots.
OF_THE_MACHINE = {
    # Other kernels have other constants.
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_congestion_control",
}


def test_names() -> None:
    names = Parameters().names()
    assert names == sorted(names)
    assert "net.ipv4.tcp_syn_retries" in names
    assert {"net.ipv4.ip_default_ttl", "net.ipv4.ip_local_port_range", "net.core.somaxconn"} <= set(names)
    assert len(names) == len(TCP_PARAMETERS) + len(HOST_PARAMETERS)


def test_each_is_typed_and_has_bounds_that_its_default_keeps() -> None:
    """What is declared for the type checker is what the table makes, and every value is of the declared kind."""
    for owner, table in ((TcpParameters, TCP_PARAMETERS), (Parameters, HOST_PARAMETERS)):
        declared = {name for name in get_type_hints(owner) if name not in ("profile", "tcp")}
        assert declared == {parameter.attribute for parameter in table}
    for parameter in TCP_PARAMETERS + HOST_PARAMETERS:
        text = " ".join(map(str, v)) if isinstance(v := parameter.default, tuple) else str(v)
        assert parse(parameter, text) == parameter.default, parameter.name


def test_each_has_an_effect() -> None:
    """A parameter that nothing reads would be a promise that nobody keeps."""
    source = "".join(
        path.read_text()
        for path in Path(synfin.__file__).parent.rglob("*.py")
        if path.name not in ("parameters.py", "profiles.py")
    )
    unread = [p.name for p in TCP_PARAMETERS + HOST_PARAMETERS if f".{p.attribute}" not in source]
    assert not unread


def test_each_can_be_read_and_written_back() -> None:
    parameters = Parameters()
    for name in parameters.names():
        value = parameters.get(name)
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        parameters.set(name, f"  {text}\n")
        assert parameters.get(name) == value
        assert type(parameters.get(name)) is type(value)


def test_set_reaches_what_connections_read() -> None:
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_syn_retries", "2")
    parameters.set("net.ipv4.tcp_rmem", "4096 8192\t16384")
    parameters.set("net.ipv4.ip_local_port_range", "1024 65535")
    assert parameters.tcp.tcp_syn_retries == 2
    assert parameters.tcp.tcp_rmem == (4096, 8192, 16384)
    assert parameters.ip_local_port_range == (1024, 65535)
    for recovery in ("rack", "sack", "newreno", ""):
        parameters.set("synfin.tcp_loss_recovery", f" {recovery}\n")
        assert parameters.tcp.tcp_loss_recovery == recovery
    # Another host has its own.
    assert Parameters().tcp.tcp_syn_retries == 6


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("net.ipv4.tcp_syn_retries", "many"),
        ("net.ipv4.tcp_syn_retries", "1.5"),
        ("net.ipv4.tcp_syn_retries", ""),
        ("net.ipv4.tcp_syn_retries", "1 2"),
        ("net.ipv4.tcp_syn_retries", "-1"),
        ("net.ipv4.tcp_rmem", "1 2"),
        ("net.ipv4.tcp_rmem", "3 2 1"),
        ("net.ipv4.ip_local_port_range", "60000 40000"),
    ],
)
def test_values_that_do_not_fit(name: str, text: str) -> None:
    parameters = Parameters()
    before = parameters.get(name)
    with pytest.raises(ValueError):
        parameters.set(name, text)
    assert parameters.get(name) == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("net.ipv4.tcp_congestion_control", "nonsense"),
        ("net.ipv4.tcp_congestion_control", ""),
        ("net.ipv4.tcp_congestion_control", "rack"),
        ("synfin.tcp_loss_recovery", "nonsense"),
        ("synfin.tcp_loss_recovery", "reno"),
        ("net.ipv4.ip_local_port_range", "0 99999"),
        ("net.ipv4.ip_default_ttl", "0"),
        ("net.ipv4.ip_default_ttl", "256"),
        ("net.ipv4.tcp_min_snd_mss", "0"),
        ("net.ipv4.ip_local_reserved_ports", "80-"),
        ("net.ipv4.ip_local_reserved_ports", "70000"),
        ("net.ipv4.tcp_wmem", "0 0 0"),
        ("net.ipv4.tcp_rmem", "0 0 0"),
    ],
)
def test_values_that_would_break_the_host(name: str, text: str) -> None:
    """Linux refuses each of them: EINVAL, ENOENT for an unknown congestion control."""
    with pytest.raises(ValueError):
        Parameters().set(name, text)


@pytest.mark.parametrize("name", ["", "tcp_syn_retries", "net.ipv4.", "net.ipv4.nonsense", "net.ipv4.__init__"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(KeyError):
        Parameters().get(name)
    with pytest.raises(KeyError):
        Parameters().set(name, "1")


def test_the_names_and_defaults_are_those_of_this_kernel() -> None:
    parameters = Parameters()
    compared = 0
    for name in parameters.names():
        path = Path("/proc/sys", *name.split("."))
        if not path.exists():
            continue
        compared += 1
        if name in OF_THE_MACHINE:
            continue
        value = parameters.get(name)
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert path.read_text().split() == text.split(), name
    if not compared:
        pytest.skip("no kernel to compare with")

"""Hosts, worlds and connections under a profile: what the table calls met is met under each, or the profile says
that it is not."""

from __future__ import annotations

import pytest

from synfin.host import profiles
from synfin.host.profiles import PROFILES
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.wire.tcp import Options
from tests.host.machine import Machine
from tests.tcp.test_acceptance import established
from tests.tcp.world import MS, World

every_profile = pytest.mark.parametrize("profile", tuple(PROFILES))


def deviates(profile: str, requirement: str) -> bool:
    """Whether the profile lists the requirement among its deviations."""
    return any(deviation.requirement == requirement for deviation in PROFILES[profile].deviations)


def tcp_of(profile: str) -> TcpParameters:
    """New parameters of TCP."""
    return profiles.parameters(profile).tcp


def machine(profile: str, mtu: int = 1500) -> Machine:
    return Machine(profiles.parameters(profile), mtu)


def world(profile: str, delay: int = 10 * MS) -> World:
    """Two ends under the same profile."""
    return World(client=tcp_of(profile), server=tcp_of(profile), delay=delay)


def opened(profile: str, options: Options | None = None) -> Connection:
    """A client in ESTABLISHED; see `established`."""
    return established(options, tcp_of(profile))

"""Small versions of the campaign `campaigns/hostile.py`, which says what is judged."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from tests.attacks import siege, siege_tun
from tests.attacks.hostile import KINDS, Attacker, Own, Victim, kind_of


@pytest.mark.parametrize("seed", [1, 2])
def test_a_siege_in_the_simulator(seed: int) -> None:
    world = siege.Siege(seed, 4000)
    # What other tests left is not looked through while packets are timed.
    gc.collect()
    gc.freeze()
    try:
        world.run()
    finally:
        gc.unfreeze()
    assert siege.complaints(world) == [], siege.report(world)
    assert all(tally.packets_in > 100 for tally in world.tallies.values())
    # The long transfer was under way all the time, and 50 other clients came.
    assert len(world.customers) >= siege.VISITS + 1
    assert world.server.host.transport.orphans == set()


@pytest.mark.tun
def test_a_siege_over_tun(in_namespace: Callable[[Callable[[], None]], None]) -> None:
    outcomes: list[siege_tun.Outcome] = []
    in_namespace(lambda: outcomes.append(siege_tun.besiege(1, 3000)))
    (outcome,) = outcomes
    assert siege_tun.complaints(outcome) == [], str(outcome)
    assert sum(tally.packets_in for tally in outcome.tallies.values()) >= 2900


def test_complaints_are_heard() -> None:
    """The judge judges: an amplifier, a double answer, a lost client and a leak would each be told."""
    world = siege.Siege(1, 200)
    world.run()
    assert "nobody was served" in " ".join(siege.complaints(world)) or siege.complaints(world) == []
    tally = world.tallies["stray"]
    tally.most_at_once, tally.late_octets = 2, 1 << 30
    tally.nanoseconds = 1 << 60
    world.memory[1] += 1 << 30
    next(iter(world.customers.values())).answer = b"something else"
    told = " ".join(siege.complaints(world))
    for words in ("2 answers to one packet", "octets out for", "ns each", "memory grew", "did not complete"):
        assert words in told
    outcome = siege_tun.Outcome(100)
    outcome.raised.append("an exception")
    outcome.tallies["stray"].octets_out = outcome.tallies["stray"].packets_out = 1
    outcome.lost, outcome.grown, outcome.cpu_seconds = 100, 1 << 30, 10.0
    told = " ".join(siege_tun.complaints(outcome))
    for words in ("an exception", "octets out", "packets out", "did not arrive", "were served", "even arrive", "grew"):
        assert words in told


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_a_function_of_its_seed(name: str) -> None:
    def some() -> list[bytes]:
        attacker = Attacker(7, "10.0.0.2", "fd00::2")
        attacker.kind = 3
        attacker.victim = Victim("10.0.0.1", 5000, lambda: (1, 1000, 1))
        attacker.own = Own(attacker.source(), 5, 6, 7, 8)
        return [KINDS[name](attacker) for _ in range(200)]

    assert some() == some()
    assert len(set(some())) > 100
    assert all(len(data) <= 1500 for data in some())


def test_forged_sources_tell_their_kind() -> None:
    attacker = Attacker(1, "10.0.0.2", "fd00::2")
    attacker.kind = 9
    assert [kind_of(attacker.source(4)), kind_of(attacker.source(6)), kind_of(bytes((10, 9, 0, 2)))] == [9, 9, -1]

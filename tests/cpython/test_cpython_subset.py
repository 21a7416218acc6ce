"""Some of CPython's own tests on our sockets, from every module of the campaign (campaigns/cpython_tests.py): the
standard library's programs and servers meet over a stack of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest

from tests.cpython import runs


class Part(NamedTuple):
    """Classes of a module, or single tests, and in how many of their tests connections are made."""

    module: str
    chosen: Sequence[str]
    connecting: int


#: What takes no seconds of waiting, and does not depend on who is quicker.
PARTS: Final = (Part("test_socket", ["BasicTCPTest"], 1),)


@pytest.mark.requires("cpython-tests")
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.module)
def test_cpythons_own_tests_pass_on_our_sockets(part: Part) -> None:
    names = [f"{part.module}.{one}" for one in part.chosen]
    outcomes = runs.run(part.module, True, names)
    failed = {name: outcome.why for name, outcome in outcomes.items() if outcome.outcome == "fail"}
    assert not failed
    passed = [name for name, outcome in outcomes.items() if outcome.outcome == "pass" and outcome.connections]
    assert len(passed) >= part.connecting


def test_the_parts_are_of_every_module_and_make_a_sample() -> None:
    assert {part.module for part in PARTS} == set(runs.MODULES)
    assert sum(part.connecting for part in PARTS) >= 150

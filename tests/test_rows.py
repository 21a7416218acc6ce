"""Every row of the mission that the stack claims so far is named by a test that shows it."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
#: The rows that hold as behaviour of the stack.
CLAIMED = {
    *(f"A{number}" for number in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15)),
    *(f"B{number}" for number in (1, 2, 3, 4, 8, 9)),
    *(f"C{number}" for number in (1, 2, 3, 4, 5, 6, 7, 12)),
    "D1",
    "D2",
    "D3",
    "D4",
    "D5",
    "E1",
    "E3",
    "E6",
    "E7",
}


def test_every_claimed_row_has_a_test() -> None:
    named: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for names in re.findall(r"mark\.row\(([^)]*)\)", path.read_text(encoding="utf-8")):
            named |= set(re.findall(r'"([A-G][0-9]+)"', names))
    assert CLAIMED - named == set()

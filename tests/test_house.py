"""The rules of the house that no tool checks: docs/architecture.md says why they are there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "src" / "synfin").rglob("*.py"))
CORE = [
    path
    for path in MODULES
    if {"wire", "tcp", "host"} & set(path.parts[len(ROOT.parts) :]) or path.stem in ("events", "reasons")
]
LONGEST = 500
TEST_COMMAND = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def mutable_state(source: str) -> list[str]:
    """The lines of a module in which it keeps, outside any function, something that could change: a container that
    is not declared Final (at module level or in a class), and every `global` statement."""
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    statements = [statement for body in bodies for statement in body]
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in [*found, *filter(_keeps_a_container, statements)]
        if not _is_slots(node)
    ]


def _keeps_a_container(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AnnAssign):
        return statement.value is not None and _is_container(statement.value) and not _is_final(statement.annotation)
    return isinstance(statement, ast.Assign) and _is_container(statement.value)


def _is_container(value: ast.expr) -> bool:
    displays = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    makers = {"list", "dict", "set", "bytearray", "array", "deque", "defaultdict", "OrderedDict", "Counter", "count"}
    if isinstance(value, ast.Call):
        maker = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return maker in makers
    return isinstance(value, displays)


def _is_final(annotation: ast.expr) -> bool:
    return "Final" in {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(annotation)}


def _is_slots(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__slots__", "__all__", "__match_args__")


def test_there_is_a_core() -> None:
    assert len(CORE) > 10
    assert set(CORE) < set(MODULES)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_holds_two_ideas(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_has_no_globals(path: Path) -> None:
    assert mutable_state(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "seen = []",
        "seen: list[int] = []",
        "seen = {}",
        "seen = {1}",
        "seen = dict(a=1)",
        "seen = collections.deque()",
        "seen = [n for n in range(3)]",
        "seen: bytearray = bytearray(3)",
        "class Host:\n    ports = set()",
        "number = 0\ndef following():\n    global number\n    number += 1",
    ],
)
def test_globals_are_seen(source: str) -> None:
    assert len(mutable_state(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "seen: Final = {}",
        "seen: typing.Final[dict[str, int]] = {'a': 1}",
        "seen = (1, 2)",
        "seen = frozenset({1})",
        "class Host:\n    __slots__ = ['ports']\n    def __init__(self):\n        self.ports = set()",
        "def tally():\n    seen = []\n    return seen",
    ],
)
def test_what_is_no_global_is_let_be(source: str) -> None:
    assert mutable_state(source) == []


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_one_command_runs_the_tests(path: str) -> None:
    assert TEST_COMMAND in (ROOT / path).read_text("utf-8").splitlines()

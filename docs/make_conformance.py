"""Writes docs/conformance.md: every numbered requirement of RFC 9293, the verdict on it, and the tests that show it.

    python docs/make_conformance.py            writes the file
    python docs/make_conformance.py --check    exits 1 if the file is stale or the table contradicts itself

The verdicts are in tests/conformance/requirements.toml, what single profiles do otherwise in synfin.host.profiles. The
tests name their requirements with the marker ``requirement``, which is read from the source, so that nothing is run. A
test that is expected to fail, or skipped wherever it runs, shows nothing.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from pathlib import Path
from typing import Any

from synfin.host.profiles import PROFILES

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "tests" / "conformance" / "requirements.toml"
DOCUMENT = ROOT / "docs" / "conformance.md"
MUTANTS = ROOT / "tests" / "mutants"

#: How many requirements of each kind there are, and what the kinds mean.
KINDS = {"MUST": 69, "SHLD": 31, "MAY": 18, "REC": 1}
WORDS = {"MUST": "MUST", "SHLD": "SHOULD", "MAY": "MAY", "REC": "RECOMMENDED"}
IDS = tuple(f"{kind}-{number}" for kind, last in KINDS.items() for number in range(1, last + 1))

MET = "met"
NOT_MET = "not met"
NOT_APPLICABLE = "not applicable"
DECIDED_OTHERWISE = "decided otherwise"
VERDICTS = (MET, NOT_MET, NOT_APPLICABLE, DECIDED_OTHERWISE)

#: The profile that a verdict is about: it follows the RFC wherever hosts differ.
STRICT = "rfc"


class Requirement:
    """One entry of the data file: `note` is the reason of a verdict other than met, or a remark."""

    __slots__ = ("id", "note", "section", "verdict", "what")

    def __init__(self, name: str, entry: dict[str, str]) -> None:
        self.id = name
        self.section = entry.get("section", "")
        self.what = entry.get("what", "")
        self.verdict = entry.get("verdict", "")
        self.note = entry.get("note", "")


def read_requirements(path: Path = REQUIREMENTS) -> dict[str, Requirement]:
    """All entries of the data file, in its order."""
    entries: dict[str, dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))["requirement"]
    return {name: Requirement(name, entry) for name, entry in entries.items()}


def read_deviations() -> dict[str, dict[str, str]]:
    """For each profile, what it does otherwise than RFC 9293: requirement and reason."""
    return {
        profile.name: {deviation.requirement: deviation.reason for deviation in profile.deviations}
        for profile in PROFILES.values()
    }


def count_mutants(folder: Path = MUTANTS) -> tuple[int, int]:
    """How many mutants there are, and of how many requirements."""
    mutants: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.toml")):
        mutants += tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    return len(mutants), len({name for mutant in mutants for name in mutant["requirements"]})


# --- the markers ----------------------------------------------------------------------------------------------------


def _marker(node: ast.expr) -> str:
    """The name of a marker, "" for what is none: ``pytest.mark.NAME`` or a call of it."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "mark":
        return node.attr
    return ""


def _named(markers: list[ast.expr]) -> list[str]:
    """The requirements that these markers name. Raises ValueError if one is not written out as a string."""
    named: list[str] = []
    for marker in markers:
        if _marker(marker) == "requirement" and isinstance(marker, ast.Call):
            for argument in marker.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise ValueError(f"line {marker.lineno}: requirements are named by strings")
                named.append(argument.value)
    return named


def _of_module(tree: ast.Module) -> list[ast.expr]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            return list(node.value.elts) if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value]
    return []


def named_in(source: str) -> list[tuple[str, list[str]]]:
    """The tests of a file that name requirements, as (test, requirements), in their order."""
    tree = ast.parse(source)
    whole = _of_module(tree)
    found: list[tuple[str, list[str]]] = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
            markers = node.decorator_list + whole
            if any(_marker(marker) in ("xfail", "skip") for marker in markers):
                continue
            named = _named(markers)
            if named:
                found.append((node.name, named))
    return found


def collect(root: Path = ROOT) -> dict[str, list[str]]:
    """For each requirement that a test names, the tests: ``tests/tcp/test_mss.py::test_ipv4``."""
    tests: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        try:
            found = named_in(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        for test, named in found:
            for name in named:
                tests.setdefault(name, []).append(f"{path.relative_to(root).as_posix()}::{test}")
    return tests


# --- what is wrong --------------------------------------------------------------------------------------------------


def problems(
    requirements: dict[str, Requirement], deviations: dict[str, dict[str, str]], tests: dict[str, list[str]]
) -> list[str]:
    """What the table contradicts itself in, a line each."""
    wrong: list[str] = []
    for name in IDS:
        requirement = requirements.get(name)
        if requirement is None or requirement.verdict not in VERDICTS:
            wrong.append(f"{name} has no verdict")
            continue
        if not (requirement.section and requirement.what):
            wrong.append(f"{name} has no section or no words")
        if requirement.verdict == MET and not tests.get(name):
            wrong.append(f"{name} is said to be met, and no test shows it")
        if requirement.verdict != MET and not requirement.note:
            wrong.append(f"{name} is {requirement.verdict}, and no reason is given")
        if requirement.verdict != MET and tests.get(name):
            wrong.append(f"{name} is {requirement.verdict}, and {tests[name][0]} claims to show it")
    for name in [*requirements, *tests]:
        if name not in IDS:
            wrong.append(f"{name} is no requirement of RFC 9293")
    for name, requirement in requirements.items():
        differing = [profile for profile, names in deviations.items() if name in names]
        if requirement.verdict == MET and STRICT in differing:
            wrong.append(f"{name} is said to be met, but the profile {STRICT} lists it as a deviation")
        if requirement.verdict == DECIDED_OTHERWISE and not name.startswith("MAY") and len(differing) < len(deviations):
            wrong.append(f"{name} is {requirement.verdict}, but not every profile lists it as a deviation")
    for profile, names in deviations.items():
        wrong += [f"profile {profile}: {name} is no requirement of RFC 9293" for name in names if name not in IDS]
    return wrong


# --- the document ---------------------------------------------------------------------------------------------------

INTRODUCTION = """\
# Conformance to RFC 9293

<!-- Made by docs/make_conformance.py from tests/conformance/requirements.toml and the tests' markers. -->

RFC 9293 numbers its requirements. This table says for each what synfin does, and which test shows it: one that fails
when the requirement is broken. `python docs/make_conformance.py` makes this file; a test fails when a requirement has
no verdict, when one that is said to be met has no test, or when this file is stale.
"""


def document(
    requirements: dict[str, Requirement],
    deviations: dict[str, dict[str, str]],
    tests: dict[str, list[str]],
    mutants: tuple[int, int],
) -> str:
    """The text of docs/conformance.md."""
    lines = [INTRODUCTION, *_summary(requirements, mutants), ""]
    lines += ["## How the profiles differ", ""]
    lines += ["A requirement that is met is met under every profile, but for these.", ""]
    lines += ["| profile | requirement | what it does instead, and why |", "|---|---|---|"]
    for profile, names in deviations.items():
        differing = [name for name in IDS if name in names and requirements[name].verdict == MET]
        lines += [f"| `{profile}` | {name} | {names[name]} |" for name in differing]
        if not differing:
            lines.append(f"| `{profile}` | | nothing |")
    for kind in KINDS:
        lines += ["", f"## {WORDS[kind]}", "", "| id | clause | what | verdict | tests |", "|---|---|---|---|---|"]
        for name in IDS:
            if name.startswith(kind + "-"):
                lines.append(_row(requirements[name], deviations, tests.get(name, [])))
    return "\n".join(lines) + "\n"


def _summary(requirements: dict[str, Requirement], mutants: tuple[int, int]) -> list[str]:
    judged = [requirement for requirement in requirements.values() if requirement.verdict in VERDICTS]
    musts = [requirement for requirement in judged if requirement.id.startswith("MUST-")]
    met = sum(requirement.verdict == MET for requirement in musts)
    lines = [
        f"**{len(judged)} of {len(IDS)} requirements have a verdict.** Under the profile `{STRICT}`, which follows the",
        f"RFC where hosts differ, {met} of the {KINDS['MUST']} MUSTs are met:",
        "",
    ]
    lines += ["| | " + " | ".join(VERDICTS) + " | in all |", "|---|" + "---|" * (len(VERDICTS) + 1)]
    for kind, last in KINDS.items():
        counts = dict.fromkeys(VERDICTS, 0)
        for requirement in judged:
            if requirement.id.startswith(kind + "-"):
                counts[requirement.verdict] += 1
        numbers = " | ".join(str(counts[verdict]) for verdict in VERDICTS)
        lines.append(f"| {WORDS[kind]} | {numbers} | {last} |")
    lines += [
        "",
        f"{mutants[0]} changes of a line of the source, which break {mutants[1]} of the requirements, are kept in",
        "`tests/mutants/`; `python tests/mutants/run.py` shows that the tests named there die of them.",
    ]
    return lines


def _row(requirement: Requirement, deviations: dict[str, dict[str, str]], tests: list[str]) -> str:
    verdict = requirement.verdict
    differing = [f"`{profile}`" for profile, names in deviations.items() if requirement.id in names]
    if differing and requirement.verdict == MET:
        verdict += f", but for {', '.join(differing)}"
    if requirement.note:
        verdict += f": {requirement.note}"
    links = [f"[{test.removeprefix('tests/')}](../{test.partition('::')[0]})" for test in tests]
    return f"| {requirement.id} | §{requirement.section} | {requirement.what} | {verdict} | {'<br>'.join(links)} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Writes docs/conformance.md, or checks it.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is wrong")
    check = parser.parse_args(arguments).check
    requirements = read_requirements()
    deviations = read_deviations()
    tests = collect()
    wrong = problems(requirements, deviations, tests)
    for line in wrong:
        print(line, file=sys.stderr)
    if any(name not in requirements for name in IDS):
        return 1
    text = document(requirements, deviations, tests, count_mutants())
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        print("docs/conformance.md is stale: run python docs/make_conformance.py", file=sys.stderr)
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

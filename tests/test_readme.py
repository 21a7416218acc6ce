"""The README's programs run as they stand there, in both languages."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from synfin.cli.main import main

ROOT = Path(__file__).parent.parent
READMES = ["README.md", "README.zh-CN.md"]


def programs(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_the_program_in_virtual_time_prints_what_the_server_received(name: str) -> None:
    run = subprocess.run([sys.executable, "-c", programs(name)[0]], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("b'hello' [<LISTEN")
    assert "ESTABLISHED" in run.stdout


@pytest.mark.parametrize("name", READMES)
def test_the_program_on_a_link_compiles_and_names_what_exists(name: str) -> None:
    program = programs(name)[1]
    compile(program, name, "exec")
    imports = "\n".join(line for line in program.splitlines() if line.startswith(("import", "from")))
    run = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def commands(name: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]


def test_both_readmes_have_the_same_commands() -> None:
    english, chinese = ({line.replace(" --lang zh", "") for line in commands(name)} for name in READMES)
    assert english == chinese


@pytest.mark.parametrize(
    "line",
    sorted({line for name in READMES for line in commands(name) if line.startswith(("synfin demo", "synfin lab"))}),
)
def test_what_shows_something_does(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[1:]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) > 3
    assert said.err == ""

"""``synfin run``: mistakes on its command line, and what the script and its caller see of one another."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from synfin.cli.main import main
from synfin.cli.scripts import run_script

TUN = "--tun 10.9.0.2/24"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        ("", "missing argument 'script'", "see 'synfin run --help'"),
        ("{script}", "nothing says where the script is to run", "give --tun with an address"),
        (f"{TUN} nowhere.py", "there is no script 'nowhere.py'", "name a Python file"),
        ("--tun 10.9.0.2 {script}", "--address: ", "give an address with its prefix"),
        (f"{TUN} --mtu 1 {{script}}", "an MTU of 1 octets is not usable", "1280 to 65535"),
        (f"{TUN} --fault nonsense {{script}}", "--fault: ", "'lose 2%'"),
    ],
)
def test_a_mistake_is_one_line(
    line: str, wrong: str, right: str, script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script.write_text("print('never')")
    assert main(["run", *line.format(script=script).split()]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"synfin: {wrong}")
    assert right in err


def test_a_script_is_main_and_has_its_arguments(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (script.parent / "beside.py").write_text("word = 'beside'")
    script.write_text("import sys, beside\nprint(__name__, sys.argv[1:], beside.word, sys.argv[0] == __file__)")
    argv, path = sys.argv, sys.path[:]
    assert run_script(script, ["--tun", "-x"]) == 0
    assert capfd.readouterr().out == "__main__ ['--tun', '-x'] beside True\n"
    assert (sys.argv, sys.path) == (argv, path)
    del sys.modules["beside"]


@pytest.mark.parametrize(
    ("text", "code", "err"),
    [
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('what was wrong')", 1, "what was wrong\n"),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_the_exit_code_is_the_scripts(
    text: str, code: int, err: str, script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script.write_text(text)
    assert run_script(script, []) == code
    assert capfd.readouterr().err == err


def test_an_error_is_printed_as_python_does(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script.write_text("def f():\n    raise ValueError('x')\nf()\n")
    assert run_script(script, []) == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{script}", line 3, in <module>'
    assert lines[-1] == "ValueError: x"
    script.write_text("this is no Python")
    assert run_script(script, []) == 1
    assert "SyntaxError" in capfd.readouterr().err


def test_threads_that_a_script_left_behind_are_waited_for(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script.write_text("import threading\nthreading.Timer(0.05, lambda: print('later')).start()\n")
    before = threading.active_count()
    assert run_script(script, []) == 0
    assert capfd.readouterr().out == "later\n"
    assert threading.active_count() == before

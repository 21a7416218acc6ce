"""What the pages of docs/ say to do is done, and does what they say.

A comment before a fenced block says what it is:

    <!-- test: python -->        a program, run in the page's folder
    <!-- test: file NAME -->     a file, for the blocks behind it
    <!-- test: sh -->            commands, run in the page's folder; all must succeed
    <!-- test: sh 1 -->          the same; the exit code is to be 1, and errors are printed, too
    <!-- test: output -->        what the block before printed; "..." stands for anything
    <!-- test: root -->          commands for root, run in a network namespace of their own
    <!-- test: install -->       the README's command, which CI runs
    <!-- test: none: REASON -->  why it cannot be run
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in (*DOCS.glob("five-minutes*.md"), *DOCS.glob("index*.md"), *(DOCS / "guides").glob("*.md"))
)
BLOCK = re.compile(r"(?:^<!-- test: (?P<kind>.*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
#: Ports of this machine that a page names. Pages are tested side by side, so each test has others.
PORT = re.compile(r"(?<=127\.0\.0\.1:)90[0-9]{2}")
LONGEST = 60.0
#: A reader waits a second for the device; a loaded machine may take longer.
PATIENT = "for i in $(seq 400); do ip -o address | grep -q 10.9.0. && break; sleep 0.1; done; sleep 1"


class Block(NamedTuple):
    kind: str
    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    text = (DOCS / page).read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        yield Block(match["kind"] or "", match["language"], match["text"], text.count("\n", 0, match.start()) + 1)


class Shell:
    """A folder for one page, with `synfin`, `python` and `sudo` on the path, and the examples beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "page"
        self.folder.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        self._program(programs / "synfin", f'exec {sys.executable} -m synfin "$@"')
        self._program(programs / "python", f'exec {sys.executable} "$@"')
        self._program(programs / "pytest", f'exec {sys.executable} -m pytest -p no:cacheprovider "$@"')
        self._program(programs / "sudo", 'exec "$@"')
        for name in "examples", "tests", "docs":
            (self.folder / name).symlink_to(ROOT / name)
        place = self.folder / ".venv"
        place.mkdir()
        (place / "bin").symlink_to(programs)
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SYNFIN"))},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONIOENCODING": "utf-8",
            "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(folder),
        }

    @staticmethod
    def _program(path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def run(self, *command: str, code: int = 0) -> str:
        """What it prints. What it leaves running is stopped; another exit code fails the test."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if code else subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=LONGEST)
        finally:
            self._stop(process)
        assert process.returncode == code, f"{out}\n{err}"
        return out

    @staticmethod
    def _stop(process: subprocess.Popen[str]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


@pytest.fixture
def free_port() -> Callable[[int], str]:
    """A port that nobody uses, always the same for the same one of a page."""
    chosen: dict[int, str] = {}

    def choose(number: int) -> str:
        if number not in chosen:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind(("127.0.0.1", 0))
                chosen[number] = str(free.getsockname()[1])
        return chosen[number]

    return choose


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def shown(text: str) -> re.Pattern[str]:
    """What a page shows as output, as a pattern: "..." on a line stands for anything there, alone for any lines."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "..." else ".*?".join(map(re.escape, line.rstrip().split("..."))) + r" *\n"
        for line in text.splitlines()
    ]
    return re.compile("".join(lines))


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_how_it_is_tested(page: str) -> None:
    for block in blocks(page):
        word, _, rest = block.kind.partition(" ")
        assert word in {"python", "file", "sh", "output", "root", "install", "none:"}, f"{page}:{block.line}"
        assert bool(rest) == (word in {"file", "none:"}) or rest == "1", f"{page}:{block.line}"


@pytest.mark.parametrize("page", [page for page in PAGES if any(True for _ in blocks(page))])
def test_what_it_says_to_do_does_what_it_says(
    page: str, shell: Shell, require: Callable[..., None], free_port: Callable[[int], str]
) -> None:
    printed = ""
    left_out = []
    for block in blocks(page):
        kind, _, name = block.kind.partition(" ")
        if kind == "file":
            target = shell.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif kind == "python":
            printed = shell.run(sys.executable, "-c", block.text)
        elif kind == "sh":
            text = PORT.sub(lambda match: free_port(int(match[0])), block.text)
            printed = shell.run("sh", "-ec", text, code=int(name or 0))
        elif kind == "root":
            # A machine without the means to run these still runs the others.
            if os.environ.get("SYNFIN_REQUIRE") != "all" and not (os.geteuid() == 0 and shutil.which("nc")):
                left_out.append(block.line)
                continue
            require("root", "tun", "netns", "ip", "nc", "curl")
            text = block.text.replace("sleep 1\n", f"{PATIENT}\n")
            printed = shell.run("unshare", "--net", "sh", "-ec", f"ip link set lo up\n{text}")
        elif kind == "output":
            assert shown(block.text).fullmatch(printed.rstrip("\n") + "\n"), (
                f"{page}:{block.line}: it prints\n{printed}"
            )
        elif kind == "install":
            assert block.text in (ROOT / "README.md").read_text(encoding="utf-8")
    if left_out:
        pytest.skip(f"without root and nc, the commands for root did not run: lines {left_out}")


def pairs() -> list[str]:
    return [page for page in PAGES if not page.endswith(".zh.md")]


@pytest.mark.parametrize("page", pairs())
def test_both_languages_do_the_same(page: str) -> None:
    """Block by block the same kinds, and the same commands and programs but for words and comments."""

    def bare(block: Block) -> tuple[str, str, str]:
        if block.kind == "output":
            return block.kind, block.language, ""
        text = re.sub(r"(?:#|^//).*|\"\"\".*?\"\"\"", "", block.text.replace(" --lang zh", ""))
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        return block.kind.partition(":")[0], block.language, "\n".join(lines)

    chinese = page.removesuffix(".md") + ".zh.md"
    assert [bare(block) for block in blocks(page)] == [bare(block) for block in blocks(chinese)]

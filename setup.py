"""The one step that pyproject.toml cannot name: compiling the catalogues of words (.po to .mo) with Babel."""

from __future__ import annotations

from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from setuptools import Command, setup
from setuptools.command.build import build

SOURCE = Path("src")
CATALOGUES = sorted(SOURCE.glob("synfin/*/locale/*/LC_MESSAGES/*.po"))


class BuildCatalogues(Command):
    """A step of `build`: in a wheel the .mo stand in the package, in an editable install beside the .po."""

    description = "compile the catalogues of words"
    user_options: list[tuple[str, str | None, str]] = []  # noqa: RUF012 (distutils asks for this name)

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        for source, target in self._pairs():
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as po, target.open("wb") as mo:
                write_mo(mo, read_po(po, abort_invalid=True))

    def get_source_files(self) -> list[str]:
        return [str(path) for path in CATALOGUES]

    def get_outputs(self) -> list[str]:
        return [str(target) for _, target in self._pairs()]

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def _pairs(self) -> list[tuple[Path, Path]]:
        root = SOURCE if self.editable_mode or self.build_lib is None else Path(self.build_lib)
        return [(path, root / path.relative_to(SOURCE).with_suffix(".mo")) for path in CATALOGUES]


build.sub_commands = [*build.sub_commands, ("build_catalogues", None)]

setup(cmdclass={"build_catalogues": BuildCatalogues})

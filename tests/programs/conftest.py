"""Machines of the kernel's for these tests, certificates, and a large file; and `tests.programs.machine` importable,
however pytest was started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

if TYPE_CHECKING:
    from tests.programs.machine import Certificates, LargeFile, Machine


@pytest.fixture(scope="module")
def machine(require: Callable[..., None]) -> Iterator[Machine]:
    from tests.programs.machine import Machine

    require("root", "tun", "netns", "ip")
    with Machine() as made:
        yield made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    from tests.programs.machine import Certificates

    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> LargeFile:
    from tests.programs.machine import LargeFile

    return LargeFile(tmp_path_factory.mktemp("large") / "large")

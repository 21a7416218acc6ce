"""Two more things that ``synfin drill`` does: it plays scripts to the kernel, and makes a script of a capture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from synfin.cli.errors import UsageError

if TYPE_CHECKING:
    from synfin.drill.options import Choices


def require_kernel() -> None:
    """Complains where no kernel can be put to the test."""
    if os.geteuid() != 0:
        raise UsageError("the kernel can be put to the test by root only", "run it with sudo")
    if not Path("/dev/net/tun").exists():
        raise UsageError("this system has no /dev/net/tun", "load the module tun")


def against_kernel(paths: list[Path], choices: Choices, longest: float, jobs: int, verbose: bool) -> int:
    """Plays scripts to the kernel and to synfin; 1 if kernel or synfin does not do what one says."""
    from synfin.drill.bench.bench import SECOND
    from synfin.drill.kernel.comparison import compare_all
    from synfin.drill.kernel.report import summed_comparisons, told_comparison
    from synfin.drill.outcome import FAILED

    comparisons = []
    differ = False
    for each in compare_all([(path, choices) for path in paths], round(longest * SECOND), jobs):
        comparisons.append(each)
        failed = FAILED in (each.kernel.status, each.synfin.status)
        differ |= failed
        if failed or verbose:
            print(told_comparison(each, choices.language), flush=True)
    print(summed_comparisons(comparisons, choices.language))
    return int(differ)


def record(out: Path, captures: list[Path], connection: int, host: str | None, profile: str | None) -> int:
    """Writes the script of a connection in a capture."""
    from synfin.drill.language.notation import script_text
    from synfin.drill.recording.captured import connections, read_capture, seen_by
    from synfin.drill.recording.record import record_packets, sysctls_of
    from synfin.host.addresses import packed
    from synfin.host.profiles import parameters

    if len(captures) != 1:
        raise UsageError("--record takes one capture", "name one file")
    capture = captures[0]
    try:
        packets = read_capture(capture)
    except ValueError as error:
        raise UsageError(f"{str(capture)!r} cannot be read: {error}", "name a capture in pcapng") from None
    found = connections(packets)
    if not found:
        raise UsageError(f"{str(capture)!r} has no connection with its beginning", "name another capture")
    if not 1 <= connection <= len(found):
        raise UsageError(f"there is no connection {connection}", f"they are numbered 1 to {len(found)}")
    flow = found[connection - 1]
    if host is not None:
        try:
            flow = seen_by(flow, packed(host))
        except ValueError as error:
            raise UsageError(f"--host {host}: {error}", "name the address of one of its ends") from None
    sysctls = {} if profile is None else sysctls_of(parameters(profile))
    out.write_text(script_text(record_packets(packets, flow, out.name, sysctls)), encoding="utf-8")
    return 0

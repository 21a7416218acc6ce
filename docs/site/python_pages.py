"""The pages of the Python interface: which modules are public. mkdocstrings writes them from the docstrings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: The public modules, by the page that tells of them.
PUBLIC: Final[Mapping[str, tuple[str, ...]]] = {
    "synfin": ("synfin", "synfin.events", "synfin.reasons"),
    "sim": ("synfin.sim", "synfin.link.faults.grammar", "synfin.link.faults"),
    "socket": ("synfin.socket", "synfin.socket.virtual", "synfin.socket.ways_to_wait"),
    "link": (
        "synfin.link.link",
        "synfin.link.channel",
        "synfin.link.tun",
        "synfin.link.capture",
        "synfin.link.impaired",
    ),
    "host": ("synfin.host.host", "synfin.host.parameters", "synfin.host.profiles", "synfin.host.calls"),
    "tcp": (
        "synfin.tcp.connection",
        "synfin.tcp.states",
        "synfin.tcp.parameters",
        "synfin.tcp.congestion",
        "synfin.tcp.recovery",
        "synfin.tcp.snapshot",
    ),
    "show": (
        "synfin.show.trace",
        "synfin.show.trace_file",
        "synfin.show.history",
        "synfin.show.ladder",
        "synfin.show.ladder_svg",
        "synfin.show.curves",
        "synfin.show.time_sequence",
        "synfin.show.state_diagram",
    ),
    "drill": ("synfin.drill.language.parser", "synfin.drill.language.notation", "synfin.drill.recording.record"),
    "lab": ("synfin.lab.experiment", "synfin.lab.running", "synfin.lab.registry", "synfin.sim.programs"),
}

NAMES: Final = tuple(f"reference/python/{page}" for page in PUBLIC)


def files() -> dict[str, str]:
    """The pages by their path below docs/. They are in English, as the docstrings are."""
    made = {}
    for page, modules in PUBLIC.items():
        lines = [f"# {modules[0] if page == 'synfin' else f'synfin.{page}'}", ""]
        for module in modules:
            lines += [f"::: {module}", ""]
        made[f"reference/python/{page}.md"] = "\n".join(lines)
    return made

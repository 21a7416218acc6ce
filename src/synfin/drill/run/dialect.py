"""Which host a script was written for."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Final

from synfin.drill.language.script import Command, Script, TcpPacket
from synfin.host.profiles import PROFILES

_FREEBSD: Final = re.compile(r"\bnet\.inet\.|\bsockstat\b|\btcpdrop\b|\bkldload\b")


def dialect_profile(script: Script) -> str:
    """The profile for a script: that of its folder ``profiles/NAME``; ``freebsd`` for FreeBSD's dialect; else
    ``linux-suite``. The dialect is FreeBSD's in a folder whose name has FreeBSD in it, and where a script uses
    FreeBSD's commands and parameters, or writes sequence numbers in its way (``...(0)``, ``1:1(0)!``, md5 valid)."""
    folders = Path(script.name).parts[:-1]
    for above, folder in pairwise(folders):
        if above == "profiles" and folder in PROFILES:
            return folder
    if any("freebsd" in folder.lower() for folder in folders):
        return "freebsd"
    commands = [command.text for command in (script.prologue, script.epilogue) if command is not None]
    commands += [event.action.text for event in script.events if isinstance(event.action, Command)]
    if any(_FREEBSD.search(command) for command in commands):
        return "freebsd"
    packets = [event.action for event in script.events if isinstance(event.action, TcpPacket)]
    if any(packet.md5_valid or packet.sequence.absolute or packet.sequence.start is None for packet in packets):
        return "freebsd"
    return "linux-suite"

"""What a command line asks of the lab: experiments, worlds, parameters and faults, by their names; and what is wrong
with names that nothing has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from synfin.cli.errors import UsageError
from synfin.cli.sysctl import expected
from synfin.host.parameters import PARAMETERS, parse
from synfin.lab.experiment import Experiment
from synfin.lab.registry import experiment, rows
from synfin.lab.running import Run
from synfin.lab.what_if import Change, Deed, NoSuchSegmentError, all_again
from synfin.link.quantities import read_duration
from synfin.sim.placing import parse_network_fault

__all__ = ["changed", "changes_of", "check_hosts", "chosen_worlds", "experiments_of", "settings_of"]

ALL: Final = "all"
_ROW: Final = re.compile(r"([A-Za-z])0*([0-9]{1,3})")


def experiments_of(names: Sequence[str]) -> list[Experiment]:
    """The experiments of those rows, each once, in this order."""
    known = rows()
    chosen: dict[str, None] = {}
    for name in names:
        if name.lower() == ALL:
            chosen |= dict.fromkeys(known)
            continue
        found = _ROW.fullmatch(name)
        row = f"{found[1].upper()}{found[2]}" if found is not None else name.upper()
        if row not in known:
            raise UsageError(f"there is no experiment {name!r}", _nearest_rows(row, known))
        chosen[row] = None
    return [experiment(row) for row in chosen]


def _nearest_rows(row: str, known: Sequence[str]) -> str:
    """Those of its section that are nearest by number, or else those that read alike."""
    found = _ROW.fullmatch(row)
    section = [other for other in known if found is not None and other[0] == found[1].upper()]
    if found is not None and section:
        near = sorted(section, key=lambda other: abs(int(other[1:]) - int(found[2])))[:3]
        return f"perhaps {' or '.join(sorted(near, key=known.index))}"
    near = get_close_matches(row, [*known, ALL.upper()], 3)
    near = [ALL if name == ALL.upper() else name for name in near]
    return f"perhaps {' or '.join(near)}" if near else "'synfin lab' lists all"


def chosen_worlds(one: Experiment, names: Sequence[str]) -> list[str]:
    """The worlds of an experiment that were asked for, in its own order; all if none was."""
    known = [world.name for world in one.worlds]
    for name in names:
        if name not in known:
            raise UsageError(f"{one.row} has no world {name!r}", f"its worlds are {', '.join(known)}")
    return [name for name in known if not names or name in names]


def settings_of(texts: Sequence[str]) -> dict[str, str]:
    """Settings of a network: parameters by their full names, with a host's name before if it is for that host alone."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        host, colon, short = name.rpartition(":")
        if not equals or not short or (colon and not host):
            raise UsageError(f"--set {text!r} sets nothing", "write NAME=VALUE or HOST:NAME=VALUE")
        full = _parameter(short.strip())
        try:
            parse(PARAMETERS[full], value.strip())
        except ValueError:
            right = expected(PARAMETERS[full])
            raise UsageError(f"{value.strip()!r} is no value for {full}", f"give {right}") from None
        values[f"{host}:{full}" if host else full] = value.strip()
    return values


def _parameter(name: str) -> str:
    """The full name of a parameter, which may be given without what stands before its last dot."""
    name = name.replace("/", ".")
    if name in PARAMETERS:
        return name
    # Of two that end alike the first is meant.
    short: dict[str, str] = {}
    for full in PARAMETERS:
        short.setdefault(full.rpartition(".")[2], full)
    if name in short:
        return short[name]
    near = get_close_matches(name.rpartition(".")[2], short, 3, 0.5)
    right = f"perhaps {' or '.join(near)}" if near else "see 'synfin sysctl' for their names"
    raise UsageError(f"there is no parameter {name!r}", right)


def check_hosts(values: Mapping[str, str], runs: Mapping[str, Run]) -> None:
    """Whether the hosts of the settings are there, in one of the worlds at least."""
    known = list(dict.fromkeys(name for run in runs.values() for name in run.world.network.nodes))
    for key in values:
        host, colon, _ = key.rpartition(":")
        if colon and host not in known:
            raise UsageError(f"there is no host {host!r}", f"the hosts are {', '.join(known)}")


def changes_of(
    lose: Sequence[int], duplicate: Sequence[int], corrupt: Sequence[int], delay: Sequence[str], faults: Sequence[str]
) -> list[Change]:
    """What is to be otherwise."""
    by_number: tuple[tuple[Deed, Sequence[int]], ...] = (
        ("lose", lose),
        ("duplicate", duplicate),
        ("corrupt", corrupt),
    )
    changes = [Change(deed, number) for deed, numbers in by_number for number in numbers]
    for text in delay:
        number, _, time = text.partition("=")
        try:
            changes.append(Change("delay", int(number), read_duration(time)))
        except ValueError:
            raise UsageError(f"--delay {text!r} delays nothing", "write N=TIME, such as 5=800ms") from None
    for fault in faults:
        try:
            parse_network_fault(fault)
        except ValueError as error:
            wrong, _, right = str(error).partition(": ")
            raise UsageError(f"--fault {fault!r}: {wrong}", right or "such as 'lose 2nd SYN+ACK'") from None
        changes.append(Change("fault", fault=fault))
    return changes


def changed(runs: Mapping[str, Run], worlds: Sequence[str], changes: Sequence[Change]) -> Mapping[str, Run]:
    """What those of the worlds become in which the changes can be made."""
    if not changes:
        return {}
    try:
        return all_again(runs, worlds, changes)
    except NoSuchSegmentError as error:
        right = f"they are numbered 1 to {error.most}" if error.most else "none was sent"
        raise UsageError(f"there is no segment {error.number}", right) from None
    except ValueError as error:
        networks = [runs[name].world.network for name in worlds]
        hosts = dict.fromkeys(host for network in networks for host in network.nodes)
        wires = dict.fromkeys(wire for network in networks for wire in network.wires)
        right = f"the hosts are {', '.join(hosts)}, the wires {', '.join(wires)}"
        raise UsageError(f"that fault has no place: {error}", right) from None

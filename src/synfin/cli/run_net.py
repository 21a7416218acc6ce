"""``synfin run --net``: programs on the hosts of the simulated network that a TOML file describes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from synfin.cli.errors import UsageError
from synfin.cli.run_report import told
from synfin.cli.scripts import check_script, own_traceback
from synfin.events import Event, PacketTransmitted
from synfin.socket.virtual.fields import TopologyError, duration
from synfin.socket.virtual.programs import Programs
from synfin.socket.virtual.topology import Topology

if TYPE_CHECKING:
    from synfin.show.words import Language
    from synfin.socket.virtual.program import Program


def run(
    net: Path,
    script: Path | None,
    arguments: Sequence[str],
    host: str | None,
    seed: int | None,
    faults: Sequence[str],
    limit: str | None,
    pcap: Path | None,
    events_to: Path | None,
    label: bool | None,
    language: Language,
) -> int:
    """Runs it all, and returns the exit code."""
    with ExitStack() as stack:
        try:
            topology = Topology(net)
            sinks: list[Callable[[Event], object]] = []
            network = topology.build(seed, _all(sinks) if pcap is not None or events_to is not None else None, faults)
            last = topology.limit if limit is None else duration(limit)
        except TopologyError as mistake:
            raise UsageError(mistake.wrong, mistake.right) from None
        except ValueError as error:
            raise UsageError(f"--limit: {error}", "such as 2h") from None
        place = topology.host if host is None else host
        if place not in topology.hosts:
            raise UsageError(f"there is no host {place!r}", f"the hosts are {', '.join(topology.hosts)}")
        if script is None and not topology.programs:
            raise UsageError("there is nothing to run", "name a script, or programs in the topology")
        several = len(topology.programs) + (script is not None) > 1
        width = max(map(len, topology.hosts))
        programs = Programs(
            network,
            limit=last,
            settle=topology.settle,
            epoch=topology.epoch,
            failed=_failed,
            label=(lambda program: f"{program.node.name:{width}} | ")
            if (several if label is None else label)
            else None,
        )
        for line in topology.programs:
            check_script(line.script)
            programs.add(
                line.host,
                line.script,
                line.argv,
                name=line.name,
                start=line.start,
                background=line.background,
                restart=line.restart,
            )
        if script is not None:
            check_script(script)
            programs.add(place, script, arguments)
        if pcap is not None:
            sinks.append(_capture(pcap, stack))
        events: list[Event] = []
        if events_to is not None:
            events_to.write_bytes(b"")
            sinks.append(events.append)
        outcome = programs.run()
        if events_to is not None:
            from synfin.show.trace import Trace

            Trace(events).write(events_to)
    sys.stdout.flush()
    if outcome.ending != "ended":
        print(told(outcome, language), file=sys.stderr)
    return outcome.exit_code


def _all(sinks: list[Callable[[Event], object]]) -> Callable[[Event], None]:
    def sink(event: Event) -> None:
        for one in sinks:
            one(event)

    return sink


def _capture(path: Path, stack: ExitStack) -> Callable[[Event], object]:
    """Writes each packet as it is sent, on an interface of the name of whoever sends it."""
    from synfin.link.capture import PcapngWriter

    writer = stack.enter_context(PcapngWriter(path))

    def sink(event: Event) -> None:
        if isinstance(event, PacketTransmitted):
            writer.write_packet(event.time, event.packet, event.host, inbound=False)

    return sink


def _failed(program: Program) -> None:
    """Tells what a program raised, from where its script begins."""
    error = program.error
    if error is None:
        return
    print(f"{program.name} on {program.node.name} failed:", file=sys.stderr)
    one: BaseException | None = error
    while one is not None:
        if isinstance(one.__context__, BlockingIOError):
            # That the stack would have to wait, which it then did.
            one.__context__ = None
        one = one.__context__
    traceback.print_exception(error.with_traceback(own_traceback(error.__traceback__, str(program.script))))

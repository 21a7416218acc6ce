"""``synfin run``: a Python script as it is, on synfin."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from synfin.cli.errors import UsageError
from synfin.cli.scripts import FAILED, check_script, run_script
from synfin.cli.tun_options import (
    DeviceOption,
    FaultOption,
    FdOption,
    LossOption,
    MtuOption,
    NoOffloadOption,
    PcapOption,
    Setup,
    TimeWaitOption,
)

#: What stands behind the script is the script's own.
SETTINGS = {"allow_interspersed_args": False, "ignore_unknown_options": True}


def run(
    script: Annotated[Path | None, typer.Argument(help="The script.")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments.")] = None,
    tun: Annotated[
        list[str] | None,
        typer.Option("--tun", metavar="ADDRESS", help="On a TUN device, as this address (10.9.0.2/24); repeatable."),
    ] = None,
    device: DeviceOption = None,
    fd: FdOption = None,
    no_offload: NoOffloadOption = False,
    mtu: MtuOption = None,
    loss: LossOption = "0",
    fault: FaultOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Chooses what is left to chance.")] = None,
    time_wait: TimeWaitOption = 60,
    pcap: PcapOption = None,
    net: Annotated[
        Path | None,
        typer.Option("--net", metavar="TOPOLOGY", help="In virtual time, on the simulated network of this TOML file."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="With --net: on which host; else the file says.")] = None,
    limit: Annotated[str | None, typer.Option(metavar="TIME", help="With --net: end then, such as 2h.")] = None,
    events_to: Annotated[
        Path | None, typer.Option("--events", help="With --net: write the trace to this file, as JSON lines.")
    ] = None,
    label: Annotated[
        bool | None, typer.Option("--label/--no-label", help="With --net: say who printed each line.")
    ] = None,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
) -> int:
    """Run a Python script as it is: its TCP is synfin's.

    On a TUN device, sockets, asyncio and whatever is built on them use synfin for every address but this machine's own
    loopback. On a simulated network scripts run in virtual time, with what the file says runs beside; a --fault names
    its wire ('client-server: lose 2%'). The exit code is the script's; with --net it is 1 if a script raised something
    or waits for ever.
    """
    if net is not None:
        return _on_network(net, tun, script, arguments, host, seed, fault, limit, pcap, events_to, label, lang)
    if not tun:
        raise UsageError(
            "nothing says where the script is to run",
            "give --tun with an address, such as 10.9.0.2/24, or --net with a file",
        )
    if script is None:
        raise UsageError("there is no script", "name a Python file")
    check_script(script)
    setup = Setup(tun, device, fd, no_offload, mtu, loss, fault, seed or 0, time_wait, pcap)
    from synfin.socket.stack import Stack

    with ExitStack() as resources:
        link = setup.open(resources)
        addresses = list(map(str, setup.addresses))
        with Stack(link, addresses, parameters=setup.parameters()) as stack, stack.installed():
            code = run_script(script, arguments or [])
            error = stack.waiting.error
    if error is not None:
        reason = getattr(error, "strerror", None) or str(error)
        print(f"synfin: {setup.place().partition(',')[0]} is gone: {reason}", file=sys.stderr)
        code = code or FAILED
    if setup.capture is not None and setup.capture.error is not None:
        print(f"synfin: the capture {setup.pcap} is not complete: {setup.capture.error.strerror}", file=sys.stderr)
        code = code or FAILED
    return code


def _on_network(
    net: Path,
    tun: list[str] | None,
    script: Path | None,
    arguments: list[str] | None,
    host: str | None,
    seed: int | None,
    faults: list[str] | None,
    limit: str | None,
    pcap: Path | None,
    events_to: Path | None,
    label: bool | None,
    lang: Literal["en", "zh"] | None,
) -> int:
    if tun:
        raise UsageError("--tun and --net are two places", "give one of them")
    from synfin.cli import run_net
    from synfin.show.words import language

    return run_net.run(
        net,
        script,
        arguments or [],
        host,
        seed,
        faults or [],
        limit,
        pcap,
        events_to,
        label,
        language(lang, os.environ),
    )

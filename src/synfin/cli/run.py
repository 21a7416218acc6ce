"""``synfin run``: a Python script as it is, on synfin."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

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
    SeedOption,
    Setup,
    TimeWaitOption,
)

#: What stands behind the script is the script's own.
SETTINGS = {"allow_interspersed_args": False, "ignore_unknown_options": True}


def run(
    script: Annotated[Path, typer.Argument(help="The script.")],
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
    seed: SeedOption = 0,
    time_wait: TimeWaitOption = 60,
    pcap: PcapOption = None,
) -> int:
    """Run a Python script as it is: its TCP is synfin's.

    Sockets, asyncio and whatever is built on them use synfin for every address but this machine's own loopback. The
    exit code is the script's.
    """
    if not tun:
        raise UsageError("nothing says where the script is to run", "give --tun with an address, such as 10.9.0.2/24")
    check_script(script)
    setup = Setup(tun, device, fd, no_offload, mtu, loss, fault, seed, time_wait, pcap)
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

"""``synfin tun``: synfin on a TUN device, with the kernel as its peer."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synfin.cli.errors import UsageError
from synfin.cli.services import SERVICES, Service

if TYPE_CHECKING:
    from ipaddress import IPv4Interface, IPv6Interface

    from synfin.host.parameters import Parameters
    from synfin.link.link import Link

commands = typer.Typer(
    name="tun", help="Run synfin on a TUN device, against the kernel.", rich_markup_mode=None, no_args_is_help=False
)


@commands.callback()
def tun() -> None:
    """Run synfin on a TUN device, against the kernel."""


@commands.command()
def serve(
    service: Annotated[Literal["echo", "discard", "chargen", "hello"], typer.Argument(help="What to serve.")],
    address: Annotated[list[str], typer.Option(help="Our address with its prefix, such as 10.9.0.2/24; repeatable.")],
    device: Annotated[str | None, typer.Option(help="The device's name; the kernel chooses if not given.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; the service's own if not given.")] = None,
    mtu: Annotated[int, typer.Option(help="The device's MTU in octets.")] = 1500,
    no_offload: Annotated[bool, typer.Option("--no-offload", help="One packet per read and write.")] = False,
    loss: Annotated[str, typer.Option(help="Lose packets both ways: 0.02 or 2%.")] = "0",
    seed: Annotated[int, typer.Option(help="Chooses which packets are lost.")] = 0,
    time_wait: Annotated[int, typer.Option(help="Seconds of TIME-WAIT.")] = 60,
    pcap: Annotated[Path | None, typer.Option(help="Write all packets to this pcapng file.")] = None,
) -> int:
    """Make a device, and serve on it until ^C."""
    from synfin.host.parameters import Parameters

    chosen = SERVICES[service]
    number = chosen.port if port is None else port
    if not 1 <= number <= 65535:
        raise UsageError(f"there is no port {number}", "ports are numbered 1 to 65535")
    if not 1280 <= mtu <= 65535:
        raise UsageError(f"an MTU of {mtu} octets is not usable", "choose 1280 to 65535")
    if time_wait < 0:
        raise UsageError(f"TIME-WAIT cannot last {time_wait} seconds", "give 0 or more seconds")
    probability = _probability(loss)
    kernel = _kernel_addresses(address)
    parameters = Parameters()
    parameters.tcp.tcp_timewait_len = time_wait
    with ExitStack() as resources:
        link, name = _open(device, not no_offload, mtu, kernel, resources)
        if pcap is not None:
            from synfin.link.capture import Capture, PcapngWriter

            writer = resources.enter_context(PcapngWriter(pcap))
            link = Capture(link, writer, time.time_ns, name)
        if probability:
            from synfin.link.faults import Loss, RandomLoss

            link = Loss(link, RandomLoss(probability, Random(seed)))
        return asyncio.run(_serve(link, name, address, kernel, service, chosen, number, parameters))


def _probability(text: str) -> float:
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1:
        raise UsageError(f"{text!r} is no share of packets to lose", "give a number from 0 to 1, or one with %")
    return value


def _kernel_addresses(ours: list[str]) -> list[IPv4Interface | IPv6Interface]:
    from synfin.link.tun import kernel_address

    try:
        kernel: list[IPv4Interface | IPv6Interface] = []
        for address in ours:
            kernel.append(kernel_address(address, [*ours, *map(str, kernel)]))
    except ValueError as error:
        raise UsageError(f"--address: {error}", "give an address with its prefix, such as 10.9.0.2/24") from error
    return kernel


def _open(
    device: str | None, offload: bool, mtu: int, kernel: list[IPv4Interface | IPv6Interface], resources: ExitStack
) -> tuple[Link, str]:
    """The device, made and configured, and its name."""
    from synfin.link.tun import Tun, configure

    try:
        tun = resources.enter_context(Tun.open(device, offload, mtu))
        configure(tun.name, kernel, mtu)
    except PermissionError as error:
        raise UsageError("making a TUN device takes root (CAP_NET_ADMIN)", "run the command with sudo") from error
    except FileNotFoundError as error:
        raise UsageError("this machine has no /dev/net/tun", "load the module with 'modprobe tun'") from error
    except ValueError as error:
        raise UsageError(f"--device: {error}", "choose another name") from error
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise UsageError(f"the device {device} is taken", "choose another name with --device") from error
        if error.errno in (errno.EEXIST, errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            raise UsageError(f"--address: {error.strerror}", "choose another address") from error
        raise UsageError(f"cannot make the device: {error.strerror}", "see whether the machine has TUN") from error
    return tun, tun.name


async def _serve(
    link: Link,
    device: str,
    ours: list[str],
    kernel: list[IPv4Interface | IPv6Interface],
    what: str,
    service: Service,
    port: int,
    parameters: Parameters,
) -> int:
    from synfin.cli.services import CHUNK
    from synfin.socket.stack import Stack

    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    async with Stack(link, ours, parameters=parameters) as stack:
        await stack.start_server(service.serve, None, port, limit=CHUNK)
        places = ", ".join(f"{address.partition('/')[0]} port {port}" for address in ours)
        print(f"{what} ready on {places} (device {device}, kernel's side {', '.join(map(str, kernel))})", flush=True)
        stack.when_closed(lambda error: interrupted.set())
        await interrupted.wait()
        if stack.error is None:
            return 0
        print(f"synfin: the device {device} is gone: {stack.error.strerror}", file=sys.stderr)
    return 1

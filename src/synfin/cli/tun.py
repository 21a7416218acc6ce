"""``synfin tun``: synfin on a TUN device, with the kernel as its peer."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synfin.cli.errors import UsageError
from synfin.cli.services import SERVICES, Service
from synfin.cli.tun_options import (
    AddressOption,
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
    TraceOption,
    check_port,
)

if TYPE_CHECKING:
    from synfin.cli.control import Json
    from synfin.link.link import Link
    from synfin.socket.stack import Stack

FAILED = 1
INTERRUPTED = 130  # as a shell reports SIGINT
HTTP_PORT = 80

commands = typer.Typer(
    name="tun", help="Run synfin on a TUN device, against the kernel.", rich_markup_mode=None, no_args_is_help=False
)


@commands.callback()
def tun() -> None:
    """Run synfin on a TUN device, against the kernel."""


@commands.command()
def serve(
    service: Annotated[Literal["echo", "discard", "chargen", "hello", "http"], typer.Argument(help="What to serve.")],
    address: AddressOption,
    directory: Annotated[Path | None, typer.Argument(help="The directory whose files http serves.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; the service's own if not given.")] = None,
    device: DeviceOption = None,
    fd: FdOption = None,
    no_offload: NoOffloadOption = False,
    mtu: MtuOption = None,
    loss: LossOption = "0",
    fault: FaultOption = None,
    seed: SeedOption = 0,
    time_wait: TimeWaitOption = 60,
    pcap: PcapOption = None,
    trace: TraceOption = None,
) -> int:
    """Serve on a device until ^C: echo, discard, chargen, hello, or http with a directory."""
    chosen = _service(service, directory)
    number = check_port(chosen.port if port is None else port)
    setup = Setup(address, device, fd, no_offload, mtu, loss, fault, seed, time_wait, pcap, trace)

    async def work(stack: Stack) -> int:
        from synfin.cli.services import CHUNK

        await stack.start_server(chosen.serve, None, number, limit=4 * CHUNK, backlog=4096)
        places = ", ".join(f"{own.ip} port {number}" for own in setup.addresses)
        print(f"{service} ready on {places} ({setup.place()})", flush=True)
        await asyncio.get_running_loop().create_future()  # for ever
        return 0

    return _run(setup, work, 0)


@commands.command()
def connect(
    host: Annotated[str, typer.Argument(help="The peer's address, or its name.")],
    port: Annotated[int, typer.Argument(help="The peer's port.")],
    address: AddressOption,
    device: DeviceOption = None,
    fd: FdOption = None,
    no_offload: NoOffloadOption = False,
    mtu: MtuOption = None,
    loss: LossOption = "0",
    fault: FaultOption = None,
    seed: SeedOption = 0,
    time_wait: TimeWaitOption = 60,
    pcap: PcapOption = None,
    trace: TraceOption = None,
) -> int:
    """Connect to a port: standard input goes there, what comes back to standard output.

    At the end of standard input the connection is half closed. The exit code is 0, or 1 if the connection failed.
    """
    check_port(port)
    setup = Setup(address, device, fd, no_offload, mtu, loss, fault, seed, time_wait, pcap, trace)
    places = _places(host, {own.version for own in setup.addresses})

    async def work(stack: Stack) -> int:
        from synfin.cli import netcat

        try:
            # Whoever types at a terminal is done when the peer is.
            await netcat.connect(stack, places, port, stays=not _is_terminal())
        except netcat.OutputError as error:
            if isinstance(error.error, BrokenPipeError):
                raise error.error from None
            return _failed(f"cannot write standard output: {error.error.strerror}")
        except OSError as error:
            if stack.error is not None:
                raise
            return _failed(f"{host} port {port}: {(error.strerror or str(error)).lower()}")
        return 0

    return _run(setup, work, INTERRUPTED)


@commands.command()
def ss(
    device: Annotated[str | None, typer.Option(help="Only the process on this device.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Print the table of connections of the synfin tun commands that run."""
    from json import dumps

    from synfin.cli.control import table, table_text

    replies = _ask({"call": "ss"}, device)
    rows = table(replies)
    print(dumps(rows) if json else table_text(rows))
    for reply in replies:
        if reply.get("omitted"):
            print(f"synfin: {reply['omitted']} more on {reply['device']}", file=sys.stderr)


@commands.command()
def sysctl(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME[=VALUE]]...", help="All if not given.")] = None,
    device: Annotated[str | None, typer.Option(help="The process on this device; needed if there are several.")] = None,
    write: Annotated[bool, typer.Option("-w", help="As sysctl(8) has it; not needed.")] = False,
) -> None:
    """Print or set the parameters of a synfin tun command that runs, such as net.ipv4.tcp_fin_timeout=30."""
    from synfin.cli.control import parameters_text

    requests: list[dict[str, Json]] = []
    for one in names or []:
        name, equals, value = one.partition("=")
        if write and not equals:
            raise UsageError(f"no value for {name}", f"write it as {name}=VALUE")
        request: dict[str, Json] = {"call": "sysctl", "name": name.strip()}
        if equals:
            request["value"] = value.strip()
        requests.append(request)
    for request in requests or [{"call": "sysctl"}]:
        # Asked of all before anything is set: which one is meant must be clear.
        running = _ask({"call": "sysctl", "name": "net.ipv4.ip_default_ttl"}, device)
        if len(running) > 1:
            found = ", ".join(f"{reply['device']} (process {reply['pid']})" for reply in running)
            raise UsageError(f"several run: {found}", "choose one with --device")
        for reply in _ask(request, device):
            print(parameters_text(reply))


def _service(name: str, directory: Path | None) -> Service:
    if name != "http":
        if directory is not None:
            raise UsageError(f"{name} serves no directory", f"write 'serve {name}', or 'serve http {directory}'")
        return SERVICES[name]
    if directory is None:
        raise UsageError("http needs a directory to serve", "write 'serve http DIRECTORY'")
    if not directory.is_dir():
        raise UsageError(f"there is no directory {str(directory)!r}", "name one that is there")
    try:
        from synfin.cli.http import serve as serve_files
    except ModuleNotFoundError as error:
        raise UsageError(
            f"http needs the library {error.name}", f"install it with 'pip install {error.name}'"
        ) from None
    return Service(partial(serve_files, directory), HTTP_PORT)


def _places(host: str, versions: set[int]) -> list[str]:
    """The addresses of `host` to which ours can speak. Raises UsageError."""
    import socket

    families = {socket.AF_INET: 4, socket.AF_INET6: 6}
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"no host {host!r}: {reason}", "give an address or a name") from error
    places = [str(place[0]) for family, _, _, _, place in found if families.get(family) in versions]
    if not places:
        raise UsageError(f"{host} and our addresses are of different IP versions", "give an --address of its version")
    return places


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _failed(what: str) -> int:
    print(f"synfin: {what}", file=sys.stderr)
    return FAILED


def _run(setup: Setup, work: Callable[[Stack], Awaitable[int]], interrupted: int) -> int:
    """Does `work` with the stack that `setup` asks for, until it is done, the device is gone, or a signal comes, for
    which the exit code is `interrupted`."""
    with ExitStack() as resources:
        code = asyncio.run(_with_stack(setup, setup.open(resources), work, interrupted))
    if setup.capture is not None and setup.capture.error is not None:
        return _failed(f"the capture {setup.pcap} is not complete: {setup.capture.error.strerror}")
    if setup.sink is not None and setup.sink.error is not None:
        return _failed(f"the trace {setup.trace} is not complete: {setup.sink.error.strerror}")
    return code


async def _with_stack(setup: Setup, link: Link, work: Callable[[Stack], Awaitable[int]], interrupted: int) -> int:
    from synfin.cli.control import Control
    from synfin.socket.stack import Stack

    loop = asyncio.get_running_loop()
    addresses = list(map(str, setup.addresses))
    made = Stack(link, addresses, parameters=setup.parameters(), sink=setup.sink)
    async with made as stack, Control(stack, setup.device) as control:
        if control.error is not None:
            print(f"synfin: 'synfin tun ss' cannot look at this: {control.error.strerror}", file=sys.stderr)
        task = asyncio.ensure_future(work(stack))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        stack.when_closed(lambda _: task.cancel())
        try:
            return await task
        except asyncio.CancelledError:
            if stack.error is None:
                return interrupted
        except Exception:
            if stack.error is None:
                raise
        reason = getattr(stack.error, "strerror", None) or str(stack.error)
        print(f"synfin: {setup.place().partition(',')[0]} is gone: {reason}", file=sys.stderr)
    return FAILED


def _ask(request: dict[str, Json], device: str | None) -> list[dict[str, Json]]:
    """What the processes that run, or the one on `device`, answer. Raises UsageError."""
    from synfin.cli.control import ControlError, ask

    try:
        replies = ask(request, device)
    except ControlError as error:
        raise UsageError(error.wrong, error.right) from error
    except OSError as error:
        raise UsageError(f"cannot use {error.filename}: {error.strerror}", "see whose it is") from error
    if not replies:
        where = f" on the device {device}" if device is not None else ""
        raise UsageError(f"no synfin tun command of yours runs{where}", "start one, such as 'synfin tun serve echo'")
    return replies

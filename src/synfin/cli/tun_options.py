"""What the commands under ``synfin tun`` that run a stack have in common: their options, and the link that these ask
for."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from synfin.cli.errors import UsageError

if TYPE_CHECKING:
    from synfin.host.parameters import Parameters
    from synfin.link.capture import Capture
    from synfin.link.faults import Fault
    from synfin.link.link import Link
    from synfin.link.tun import Interface, Tun
    from synfin.show.trace_file import TraceFile

MINIMUM_MTU = 1280
DEFAULT_MTU = 1500
#: What faults call our side of the device and the other one.
FAULT_ENDS = ("synfin", "kernel")

AddressOption: TypeAlias = Annotated[
    list[str], typer.Option("--address", help="Our address with its prefix, such as 10.9.0.2/24; repeatable.")
]
DeviceOption: TypeAlias = Annotated[
    str | None, typer.Option("--device", help="The device's name, new or existing; the kernel chooses if not given.")
]
FdOption: TypeAlias = Annotated[
    int | None, typer.Option("--fd", min=0, help="Use this open descriptor of a TUN device instead.")
]
NoOffloadOption: TypeAlias = Annotated[bool, typer.Option("--no-offload", help="One packet per read and write.")]
MtuOption: TypeAlias = Annotated[
    int | None, typer.Option("--mtu", help="The device's MTU in octets; an existing device's own, or 1500.")
]
LossOption: TypeAlias = Annotated[str, typer.Option("--loss", help="Lose packets both ways: 0.02 or 2%.")]
FaultOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--fault", metavar="TEXT", help="A fault, such as 'lose 2nd SYN+ACK'; repeatable.")
]
SeedOption: TypeAlias = Annotated[int, typer.Option("--seed", help="Chooses what faults leave to chance.")]
TimeWaitOption: TypeAlias = Annotated[int, typer.Option("--time-wait", help="Seconds of TIME-WAIT.")]
TraceOption: TypeAlias = Annotated[
    Path | None, typer.Option("--trace", help="Write what happens to this file, for 'synfin show'.")
]
PcapOption: TypeAlias = Annotated[Path | None, typer.Option("--pcap", help="Write all packets to this pcapng file.")]


def check_port(number: int) -> int:
    """`number`, if a port has it. Raises UsageError."""
    if not 1 <= number <= 65535:
        raise UsageError(f"there is no port {number}", "ports are numbered 1 to 65535")
    return number


class Setup:
    """A stack that was asked for on the command line: made from the options, which are checked here (UsageError).

    After `open`, `device` is the device's name (empty for a descriptor without one), and `kernel` the kernel's
    addresses on it, as far as they are known.
    """

    def __init__(
        self,
        address: list[str],
        device: str | None,
        fd: int | None,
        no_offload: bool,
        mtu: int | None,
        loss: str,
        fault: list[str] | None,
        seed: int,
        time_wait: int,
        pcap: Path | None,
        trace: Path | None = None,
    ) -> None:
        from ipaddress import ip_interface

        if mtu is not None and not MINIMUM_MTU <= mtu <= 65535:
            raise UsageError(f"an MTU of {mtu} octets is not usable", f"choose {MINIMUM_MTU} to 65535")
        if time_wait < 0:
            raise UsageError(f"TIME-WAIT cannot last {time_wait} seconds", "give 0 or more seconds")
        if device is not None and fd is not None:
            raise UsageError("--device and --fd name two devices", "give one of them")
        self.faults = _faults(_probability(loss), fault or [])
        #: The addresses that the kernel's side gets if the device has none yet.
        self.kernel = _kernel_addresses(address)
        self.addresses = [ip_interface(one) for one in address]
        self.wanted = device
        self.device = ""
        self.fd = fd
        self.offload = not no_offload
        self.mtu = mtu
        self.seed = seed
        self.time_wait = time_wait
        self.pcap = pcap
        self.capture: Capture | None = None
        self.trace = trace
        self.sink: TraceFile | None = None

    def parameters(self) -> Parameters:
        from synfin.host.parameters import Parameters

        parameters = Parameters()
        parameters.tcp.tcp_timewait_len = self.time_wait
        return parameters

    def open(self, resources: ExitStack) -> Link:
        """The link, with all that is wrapped around it. Raises UsageError."""
        tun = _handed_over(self) if self.fd is not None else _opened(self, resources)
        resources.callback(tun.close)
        self.device = tun.name
        link: Link = tun
        if self.pcap is not None:
            from synfin.link.capture import Capture, PcapngWriter

            writer = resources.enter_context(PcapngWriter(self.pcap))
            link = self.capture = Capture(link, writer, time.time_ns, tun.name or "synfin")
        if self.trace is not None:
            from synfin.show.trace_file import TraceFile

            try:
                self.sink = resources.enter_context(TraceFile(self.trace))
            except OSError as error:
                wrong = f"cannot write the trace {self.trace}: {error.strerror}"
                raise UsageError(wrong, "name another file") from error
        if self.faults:
            from synfin.link.impaired import Impaired

            link = Impaired(link, self.faults, self.seed, names=FAULT_ENDS)
        return link

    def place(self) -> str:
        """Where the stack is, in words: ``device synfin0, kernel's side 10.9.0.3/24``."""
        words = f"device {self.device}" if self.device else f"descriptor {self.fd}"
        return words + (f", kernel's side {', '.join(map(str, self.kernel))}" if self.kernel else "")


def _probability(text: str) -> float:
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1:
        raise UsageError(f"{text!r} is no share of packets to lose", "give a number from 0 to 1, or one with %")
    return value


def _faults(probability: float, texts: list[str]) -> list[Fault]:
    """The faults that were asked for, which are known to suit a link. Raises UsageError."""
    if not probability and not texts:
        return []
    from synfin.link.channel import Channel
    from synfin.link.faults import Lose, Share, parse_fault
    from synfin.link.impaired import Impaired

    faults: list[Fault] = [Lose(Share(probability))] if probability else []
    try:
        faults += map(parse_fault, texts)
        Impaired(Channel(), faults, names=FAULT_ENDS)
    except ValueError as error:
        raise UsageError(
            f"--fault: {error}", "give one such as 'lose 2%' or 'delay 3rd data by 800ms from kernel'"
        ) from error
    return faults


def _kernel_addresses(ours: list[str]) -> list[Interface]:
    from synfin.link.tun import kernel_address

    try:
        kernel: list[Interface] = []
        for number, address in enumerate(ours):
            if address.partition("/")[0] in [other.partition("/")[0] for other in ours[:number]]:
                raise UsageError(f"--address: {address} is given twice", "give each address once")
            kernel.append(kernel_address(address, [*ours, *map(str, kernel)]))
    except ValueError as error:
        raise UsageError(f"--address: {error}", "give an address with its prefix, such as 10.9.0.2/24") from error
    return kernel


def _handed_over(setup: Setup) -> Tun:
    """The link on a descriptor that somebody else opened and configured."""
    from synfin.link import device
    from synfin.link.tun import IFF_VNET_HDR, Tun

    fd = setup.fd
    assert fd is not None
    try:
        flags = device.tun_flags(fd)
        if flags is None and not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise UsageError(f"--fd: descriptor {fd} is no TUN device", "hand over one that is")
        tun = Tun.from_fd(fd, setup.offload and flags is not None and bool(flags & IFF_VNET_HDR))
    except OverflowError as error:
        raise UsageError(f"--fd: there is no descriptor {fd}", "hand over an open one") from error
    except ValueError as error:
        raise UsageError(f"--fd: {error}", "open it with IFF_TUN | IFF_NO_PI") from error
    except OSError as error:
        raise UsageError(f"--fd: cannot use descriptor {fd}: {error.strerror}", "hand over an open one") from error
    # The device is in the network namespace of whoever opened it, which need not be ours.
    known = setup.mtu is None and tun.name and device.exists(tun.name)
    tun.mtu = setup.mtu or (device.mtu(tun.name) if known else DEFAULT_MTU)
    setup.kernel = []
    return tun


def _opened(setup: Setup, resources: ExitStack) -> Tun:
    """The device that was asked for: attached to if it is there, otherwise made; and configured unless it is."""
    from synfin.link import device
    from synfin.link.tun import Tun, configure

    name = setup.wanted
    there = name is not None and device.exists(name)
    try:
        mtu = setup.mtu or (device.mtu(name) if name is not None and there else DEFAULT_MTU)
        if mtu < MINIMUM_MTU and any(one.version == 6 for one in setup.addresses):
            raise UsageError(f"the device {name} has an MTU of {mtu} octets", f"IPv6 takes {MINIMUM_MTU} or more")
        tun = Tun.open(name, setup.offload, mtu)
    except OSError as error:
        raise _in_words(error, setup, there) from error
    except ValueError as error:
        raise UsageError(f"--device: {error}", "choose another name") from error
    resources.callback(tun.close)
    if there and _is_configured(tun.name, setup, mtu):
        return tun
    try:
        configure(tun.name, setup.kernel, mtu)
    except PermissionError as error:
        commands = [f"ip address add {one} dev {tun.name}" for one in setup.kernel]
        commands.append(f"ip link set {tun.name} mtu {mtu} up")
        raise UsageError(
            f"the device {tun.name} is not configured for us", f"run '{' && '.join(commands)}' as root"
        ) from error
    except OSError as error:
        raise _in_words(error, setup, there) from error
    return tun


def _is_configured(name: str, setup: Setup, mtu: int) -> bool:
    """Whether the device is up with this MTU, and for each address of ours has one in the same network; if so, these
    are `setup.kernel` from now on. Raises UsageError if it has one of ours itself."""
    from synfin.link import device

    theirs = device.addresses(name)
    neighbours: list[Interface] = []
    for own in setup.addresses:
        if any(one.ip == own.ip for one in theirs):
            raise UsageError(f"{own.ip} is the kernel's own address on {name}", f"choose another in {own.network}")
        neighbours.extend(one for one in theirs if one.version == own.version and own.ip in one.network)
    complete = all(any(own.ip in one.network for one in neighbours) for own in setup.addresses)
    if not complete or not device.is_up(name) or device.mtu(name) != mtu:
        return False
    setup.kernel = list(dict.fromkeys(neighbours))
    return True


def _in_words(error: OSError, setup: Setup, there: bool) -> UsageError:
    """What went wrong with the device, and what to do."""
    name = setup.wanted
    if isinstance(error, PermissionError):
        if error.filename is not None and (there or os.geteuid() == 0):
            return UsageError(f"no access to {error.filename}", f"run 'chmod 666 {error.filename}' as root")
        if there:
            return UsageError(f"the device {name} is not yours", "see docs/tun.md for one that is")
        return UsageError("making a TUN device takes root (CAP_NET_ADMIN)", "run the command with sudo")
    if isinstance(error, FileNotFoundError):
        return UsageError("this machine has no /dev/net/tun", "load the module with 'modprobe tun'")
    if error.errno == errno.EBUSY:
        return UsageError(f"the device {name} is taken", "choose another name with --device")
    if error.errno in (errno.EEXIST, errno.EADDRINUSE, errno.EADDRNOTAVAIL):
        return UsageError(f"--address: {error.strerror}", "choose another address")
    return UsageError(f"cannot make the device: {error.strerror}", "see whether the machine has TUN")

"""How fast and in how much memory a capture is explained: one of a given size is made, read and deleted.

python benchmarks/explain.py [--megabytes N] [--snap N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import resource
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from synfin.explain.explanation import explain
from synfin.wire.ip import PROTOCOL_TCP, Packet, octets
from synfin.wire.tcp import ACK, FIN, PSH, SYN, Options, Segment, timestamp_options

MSS = 1448
AT_ONCE = 50
ROUNDS = 40
DATA = bytes(MSS)
SERVER = bytes((192, 168, 0, 1))
ETHERNET = bytes(12) + b"\x08\x00"


class Flow:
    """One connection in the making; the client reads 2 segments in each round."""

    def __init__(self, number: int) -> None:
        self.client = (0x0A000000 + number % 60_000).to_bytes(4, "big")
        self.port = 1024 + number // 60_000
        self.numbers = [1000 * number, 77 * number]

    def segment(self, end: int, flags: int, length: int = 0, back: int = 0) -> Packet:
        mine, other = self.numbers[end], self.numbers[1 - end]
        options = Options(1460, 7, True, 1, 0) if flags & SYN else timestamp_options(1, 1)
        ports = (self.port, 80) if end == 0 else (80, self.port)
        segment = Segment(
            *ports,
            (mine - back) & 0xFFFFFFFF,
            other & 0xFFFFFFFF if flags & ACK else 0,
            flags,
            500,
            options,
            (DATA[:length],) if length else (),
        )
        if not back:
            self.numbers[end] += segment.length
        addresses = (self.client, SERVER) if end == 0 else (SERVER, self.client)
        return Packet(*addresses, PROTOCOL_TCP, segment)


def packets() -> Iterator[Packet]:
    """Connections without end, `AT_ONCE` of them at a time; one segment in 194 is sent again."""
    number = 0
    while True:
        flows = [Flow(number + at) for at in range(AT_ONCE)]
        number += AT_ONCE
        for end, flags in ((0, SYN), (1, SYN | ACK), (0, ACK)):
            for flow in flows:
                yield flow.segment(end, flags)
        for round in range(ROUNDS):
            for at, flow in enumerate(flows):
                yield flow.segment(1, ACK, MSS)
                yield flow.segment(1, ACK | PSH, MSS)
                if (round * AT_ONCE + at) % 97 == 0:
                    yield flow.segment(1, ACK | PSH, MSS, back=MSS)
                yield flow.segment(0, ACK)
        for end, flags in ((1, FIN | ACK), (0, FIN | ACK), (1, ACK)):
            for flow in flows:
                yield flow.segment(end, flags)


def make(path: Path, size: int, snap: int) -> None:
    """Write a capture of at least `size` octets."""
    with path.open("wb", buffering=1 << 20) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snap or 262144, 1))
        written, time = 24, 10**18
        for number, packet in enumerate(packets()):
            packet.identification = number & 0xFFFF
            time += 20_000
            whole = ETHERNET + octets(packet)
            kept = whole[:snap] if snap else whole
            file.write(struct.pack("<IIII", time // 10**9, time % 10**9, len(kept), len(whole)) + kept)
            written += 16 + len(kept)
            if written >= size:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--snap", type=int, default=0, help="octets kept of each packet; 0: all")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "made.pcap"
        make(path, options.megabytes * 1_000_000, options.snap)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = perf_counter()
        with path.open("rb", buffering=1 << 20) as file:
            found = explain(file)
        seconds = perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{path.stat().st_size / 1e6:.0f} MB, {found.packets} packets, {found.flows.connections} connections")
        print(f"{seconds:.1f} s, {seconds / found.packets * 1e6:.1f} µs a packet; resident {before} to {after} KiB")


if __name__ == "__main__":
    main()

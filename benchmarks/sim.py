"""Data segments a second in the simulator: one transfer of MSS-size packets, in virtual time.

python benchmarks/sim.py [--megabytes N] [--runs N] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from statistics import median
from time import perf_counter

from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener

MILLISECOND = 1_000_000
CHUNK = bytes(1 << 16)


def transfer(octets: int, window: int) -> tuple[float, int]:
    """Sends `octets` over 1 Gbit/s with 10 ms each way; seconds taken, and data segments."""
    parameters = Parameters()
    parameters.tcp.tcp_rmem = (4096, 2 * window, 2 * window)
    parameters.tcp.tcp_wmem = (4096, window, window)
    network = Network(1)
    sender = network.host("sender", parameters)
    receiver = network.host("receiver", parameters)
    network.wire(sender, "10.0.0.1/24", receiver, "10.0.0.2/24", delay=5 * MILLISECOND, rate=10**9, queue=10_000)
    received = 0
    listener = receiver.listen("10.0.0.2", 5001)
    left = octets

    def arrived(entry: Connection | Listener) -> None:
        nonlocal received
        if entry is listener:
            receiver.accept(listener)
        elif isinstance(entry, Connection):
            while entry.receive_queue.octets:
                received += len(receiver.receive(entry))
            if entry.fin_received:
                receiver.release(entry)

    def writable(entry: Connection | Listener) -> None:
        nonlocal left
        try:
            while left:
                left -= sender.send(connection, CHUNK[: min(left, len(CHUNK))])
        except BlockingIOError:
            return
        sender.release(connection)

    receiver.changed = arrived
    sender.changed = writable
    connection = sender.connect("10.0.0.2", 5001)
    began = perf_counter()
    network.run_while(lambda: received < octets)
    return perf_counter() - began, octets // connection.mss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    octets = arguments.megabytes * 1_000_000
    if arguments.profile:
        with cProfile.Profile() as profile:
            transfer(octets, 1 << 20)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    print("window      data segments a second (median, least, most)")
    for window in (128 << 10, 1 << 20, 3 << 20):
        rates = []
        for _ in range(arguments.runs):
            seconds, segments = transfer(octets, window)
            rates.append(segments / seconds)
        print(f"{window >> 10:6} KiB  {median(rates):10,.0f} {min(rates):10,.0f} {max(rates):10,.0f}")


if __name__ == "__main__":
    main()

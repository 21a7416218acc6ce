"""Sends a server hostile packets, in the simulator or over TUN, and judges what came of it.

    python campaigns/hostile.py [sim | tun] [--segments N] [--seed S]

The packets are those of tests/attacks/hostile.py: forged SYNs, blind resets, lengths and options that contradict
themselves, fragments, lies of ICMP, nonsense on connections of the attacker's own. Meanwhile clients send megabytes and
make new connections. The end is 1 if anything was raised, a packet was answered twice, more octets went out than came
in (of any kind), a segment cost too much time or memory, or a client was disturbed or not served; the table goes to
standard output. By default 1,000,000 packets in virtual time, or 100,000 over TUN, which takes root and makes a network
namespace of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.attacks import siege, siege_tun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", nargs="?", choices=["sim", "tun"], default="sim")
    parser.add_argument("--segments", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.where == "tun":
        if not asked.inside:
            os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv, "--inside"])
        outcome = siege_tun.besiege(asked.seed, asked.segments or 100_000)
        print(outcome)
        wrong = siege_tun.complaints(outcome)
    else:
        world = siege.Siege(asked.seed, asked.segments or 1_000_000)
        world.run()
        print(siege.report(world))
        wrong = siege.complaints(world)
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Plays all scripts of tests/drill/scripts to the Linux kernel of this machine, and says where it does otherwise.

    python campaigns/drill_kernel.py [--ip ipv4|ipv6|mapped ...] [--longest SECONDS] [--jobs N]

Takes root. What disagrees and is not in tests/drill/kernel/differences.py, and what is there and agrees, are told; the
exit code is 1 for either. Scripts mostly wait: --jobs may be several times the number of cores.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from synfin.drill.kernel.report import summed_comparisons, told_comparison
from tests.drill.kernel.against import KNOWN, play_all, playable


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Our scripts, played to the Linux kernel.")
    parser.add_argument("--ip", nargs="+", choices=["ipv4", "ipv6", "mapped"], default=["ipv4"])
    parser.add_argument("--longest", type=float, default=10.0, metavar="SECONDS", help="skip scripts that take longer")
    parser.add_argument("--jobs", type=int, default=6, metavar="N", help="processes at a time")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    wrong = False
    for ip in asked.ip:
        begin = time.monotonic()
        played = play_all(playable(), ip, asked.longest, asked.jobs)
        for name, comparison in played.items():
            if not comparison.skipped and not comparison.agrees and name not in KNOWN:
                print(told_comparison(comparison))
                wrong = True
            elif comparison.agrees and name in KNOWN:
                print(f"{name}: the kernel agrees, and the list of differences says that it does not")
                wrong = True
        print(f"Linux {platform.release()}, {ip}, {time.monotonic() - begin:.1f} s")
        print(summed_comparisons(list(played.values())))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())

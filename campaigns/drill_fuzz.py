"""Feeds synfin's packetdrill scripts that are wrong: whatever they hold, it must say so and never fall over.

    python campaigns/drill_fuzz.py [--scripts N] [--seed S] [--run]

Scripts are made of one that has something of every form: pieces are taken out, put in, doubled, exchanged and cut off,
characters changed, lines shuffled. Each is parsed, and with --run also run as `synfin drill` would, without code. The
end is 1 if anything but a ScriptError was raised, or what was parsed and written down was read as something else; the
seed of each such script is told. By default 100,000 scripts.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.drill.language import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scripts", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--run", action="store_true", help="run what can be parsed")
    asked = parser.parse_args()
    run = fuzz.run_it if asked.run else None
    outcomes = dict.fromkeys(fuzz.Outcome, 0)
    began = time.monotonic()
    for number in range(asked.scripts):
        try:
            outcomes[fuzz.try_script(fuzz.mutant(asked.seed, number), run)] += 1
        except Exception:
            print(f"script {number} of seed {asked.seed}:", file=sys.stderr)
            traceback.print_exc()
            outcomes[fuzz.Outcome.BROKEN] += 1
    print(f"{asked.scripts} scripts in {time.monotonic() - began:.0f} s, seed {asked.seed}")
    for outcome, count in outcomes.items():
        print(f"{count:8} {outcome.value}")
    return 1 if outcomes[fuzz.Outcome.BROKEN] else 0


if __name__ == "__main__":
    sys.exit(main())

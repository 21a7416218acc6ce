"""Builds the site. Every warning is an error; so is anything that a browser would fetch from elsewhere."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.site import elsewhere, tree


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.site", description="Build the documentation as a site.")
    parser.add_argument("directory", type=Path, help="where the site is to be; what is in it will be gone")
    site: Path = parser.parse_args(argv).directory.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree.write(folder)
        # jieba leaves a cache in the folder for temporary files.
        environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "TMPDIR": name}
        # English first: building removes what lies in the directory.
        for language, place in ("en", site), ("zh", site / "zh"):
            command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
            command += ["--config-file", str(folder / f"{language}.yml"), "--site-dir", str(place)]
            done = subprocess.run(command, env=environ, check=False)
            if done.returncode:
                return done.returncode
    elsewhere.cut(site)
    found = elsewhere.fetched(site)
    for one in found:
        print(f"fetched from elsewhere: {one}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

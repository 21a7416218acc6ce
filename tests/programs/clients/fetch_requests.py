"""Fetches with requests, some in threads: AUTHORITY GET URL... or AUTHORITY PUT FILE URL. For each, a line of JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

TIMEOUT = 60.0


def get(session: requests.Session, url: str) -> str:
    total = hashlib.sha256()
    with session.get(url, stream=True, timeout=TIMEOUT) as response:
        for data in response.iter_content(1 << 18):
            total.update(data)
    return json.dumps({"url": url, "status": response.status_code, "sha256": total.hexdigest()})


def put(session: requests.Session, path: Path, url: str) -> str:
    with path.open("rb") as file:
        response = session.put(url, data=file, timeout=TIMEOUT)
    return json.dumps({"url": url, "status": response.status_code})


if __name__ == "__main__":
    _, authority, method, *words = sys.argv
    with requests.Session() as made:
        # Neither proxies nor authorities of the environment's.
        made.trust_env = False
        made.verify = authority
        if method == "PUT":
            print(put(made, Path(words[0]), words[1]))
        else:
            with ThreadPoolExecutor(4) as threads:
                for line in threads.map(lambda url: get(made, url), words):
                    print(line)

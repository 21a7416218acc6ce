"""Statements of pg8000, over TLS and without: HOST PORT AUTHORITY. What came, as a line of JSON."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
import sys

import pg8000.native

LARGE = bytes(range(256)) * 40_000


def main(host: str, port: int, authority: str) -> None:
    told: dict[str, object] = {}
    for name, tls in (("tls", ssl.create_default_context(cafile=authority)), ("plain", False)):
        with pg8000.native.Connection(
            "tester", host=host, port=port, password="secret", database="postgres", ssl_context=tls, timeout=30
        ) as connection:
            told[f"{name}: hash"] = connection.run("select encode(sha256(:large), 'hex')", large=LARGE) == [
                [hashlib.sha256(LARGE).hexdigest()]
            ]
            told[f"{name}: echo"] = connection.run("select cast(:large as bytea)", large=LARGE) == [[LARGE]]
            copied = io.BytesIO()
            connection.run("copy (select generate_series(1, 50000)) to stdout", stream=copied)
            told[f"{name}: copied"] = copied.getvalue() == b"".join(b"%d\n" % i for i in range(1, 50001))
            connection.run("create temporary table words (word text)")
            lines = io.BytesIO(b"".join(b"word %d\n" % i for i in range(20_000)))
            connection.run("copy words from stdin", stream=lines)
            told[f"{name}: rows"] = connection.run("select count(*), max(length(word)) from words") == [[20_000, 10]]
            try:
                connection.run("select nonsense")
            except pg8000.native.DatabaseError as error:
                told[f"{name}: error"] = "nonsense" in str(error)
            [[encrypted]] = connection.run("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
            [[address]] = connection.run("select host(inet_client_addr())")
            told |= {f"{name}: encrypted": encrypted, f"{name}: from": address}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])

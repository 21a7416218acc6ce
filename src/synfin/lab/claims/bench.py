"""What most claims stand on: that of the experiments, and plain programs."""

from __future__ import annotations

from synfin.lab.bench import CLIENT, DELAY, HOUR, MINUTE, MS, PORT, SECOND, SERVER, pair, tuned
from synfin.sim import Program, Steps

__all__ = [
    "CLIENT",
    "DELAY",
    "HOUR",
    "MINUTE",
    "MS",
    "PORT",
    "SECOND",
    "SERVER",
    "connects",
    "pair",
    "serves",
    "tuned",
]


def connects(program: Program) -> Steps[None]:
    """Connects, and no more."""
    yield from program.connected("server", PORT)
    yield from program.sleep(HOUR)


def serves(program: Program) -> Steps[None]:
    """Accepts one connection, reads it to its end, and closes."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()

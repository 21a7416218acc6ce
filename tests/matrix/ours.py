"""synfin in every cell, observed as `kernel` observes the Linux kernel."""

from __future__ import annotations

from typing import Final

from synfin.tcp import readiness
from synfin.tcp.connection import Connection
from synfin.wire.tcp import Segment
from tests.matrix import cells
from tests.matrix.cells import Cell, acknowledgment_number, sequence_number
from tests.matrix.observed import PATIENCE, Observation, hears_text, reply_text, state_text
from tests.matrix.worlds import SECOND, World

_OPENING: Final = frozenset({cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE})


def observe(cell: Cell) -> Observation:
    """What synfin does in the cell, under its default profile and without limits on how often it answers."""
    world = World(cell.situation, cell.version)
    variables = world.variables()
    seq, ack = sequence_number(cell, variables), acknowledgment_number(cell, variables)
    replies = world.arrives(world.packet(cell.flags, bytes(cell.octets), seq, ack))
    later = _later(world)
    return Observation(
        tuple(reply_text(each, cell, variables) for each in replies),
        tuple(reply_text(each, cell, variables) for each in later),
        # World says LISTEN where only the listener is left.
        state_text(cell, world.state()),
        _heard(cell, world),
    )


def _later(world: World) -> list[Segment]:
    """What timers send within `PATIENCE`."""
    end = world.now + int(PATIENCE * SECOND)
    sent = []
    while (deadline := world.host.next_deadline()) <= end:
        world.now = max(world.now, deadline)
        world.host.deadline_reached(world.now)
        sent += world.poll()
    world.now = end
    return sent


def _heard(cell: Cell, world: World) -> str:
    connection = world.connection
    accepts = connection is None and world.listener is not None and len(world.listener.accept_queue) > 0
    if accepts and world.listener is not None:
        connection = world.host.accept(world.listener)
    if connection is None:
        return ""
    bits = connection.readiness()
    opening = cell.situation in _OPENING
    connects = opening and bits & (readiness.POLLOUT | readiness.POLLERR) == readiness.POLLOUT
    octets, eof, error = _read(world, connection)
    return hears_text(
        cell,
        accepts=accepts,
        connects=connects,
        error=error,
        octets=octets,
        eof=eof and (connects or not opening),
        urgent=bits & readiness.POLLPRI != 0,
    )


def _read(world: World, connection: Connection) -> tuple[int, bool, int]:
    """How much can be read, whether the end of the stream can, and the error that comes instead."""
    octets = 0
    try:
        while pieces := world.host.receive(connection, 1 << 20, world.now):
            octets += sum(map(len, pieces))
    except BlockingIOError:
        return octets, False, 0
    except OSError as error:
        return octets, False, error.errno or 0
    return octets, True, 0

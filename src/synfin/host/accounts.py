"""The account of memory: what each connection holds, and what gives way when it is too much (``tcp_mem``)."""

from __future__ import annotations

from synfin.host.tables import Tables
from synfin.tcp.connection import Connection
from synfin.tcp.memory import PAGE, SLACK, pages
from synfin.tcp.receive_tuning import shrink_buffer


class Accounts(Tables):
    """The tables, and the memory that the connections in them take."""

    __slots__ = ()

    def account(self, connection: Connection) -> None:
        """Charges the account with what the connection holds now. Most calls find nothing to do."""
        buffer = connection.send_buffer
        held = connection.receive_queue.charge + connection.reassembly.charge + buffer.end - buffer.start
        if not 0 <= connection.charged - held <= SLACK:
            self._charge(connection, held)

    def _charge(self, connection: Connection, held: int) -> None:
        charged = connection.charged
        if charged < 0:
            return
        memory = self.memory
        pressure, exhausted = memory.pressure, memory.exhausted
        connection.charged = max(pages(held), PAGE)
        memory.change(connection.charged - charged)
        if not memory.pressure:
            return
        if not pressure:
            self.counters.add("TcpExtTCPMemoryPressures")
        if connection.charged > charged:
            shrink_buffer(connection)
        if memory.exhausted and not exhausted and not memory.pruned:
            memory.pruned = True
            self._prune()

    def _prune(self) -> None:
        """Gives up all that waits out of order, which a receiver may do (RFC 2018 §8): the peers have it still.

        It looks at every connection, so it is done once, until there was memory again.
        """
        for connection in self.connections.values():
            if len(connection.reassembly):
                connection.reassembly.clear()
                connection.fin_sequence = -1
                self.counters.add("TcpExtOfoPruned")
                self.account(connection)

    def _starves(self, connection: Connection) -> bool:
        """Whether an orphan holds data for which there is no memory."""
        return self.memory.exhausted and len(connection.send_buffer) > self.parameters.tcp.tcp_wmem[0]

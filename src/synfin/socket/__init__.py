"""Ways to wait. `Stack` is a host, a link and the asyncio driver that serves both."""

from synfin.socket.server import Server
from synfin.socket.stack import Stack

__all__ = ["Server", "Stack"]

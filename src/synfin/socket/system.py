"""What the standard modules offer for waiting, kept from before anything is replaced."""

from __future__ import annotations

import select as module
import selectors
import time
from typing import Any, Final

select: Final = module.select
poll: Final[Any] = getattr(module, "poll", None)
epoll: Final[Any] = getattr(module, "epoll", None)
sleep: Final = time.sleep


class SystemSelector(selectors.DefaultSelector):
    """The best selector of the system, whatever is in place of its parts now."""

    _selector_cls: Final = getattr(selectors.DefaultSelector, "_selector_cls", None)

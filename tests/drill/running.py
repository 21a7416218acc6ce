"""Small scripts for the tests of the runner, and what should become of them."""

from __future__ import annotations

from typing import Any

from synfin.drill.bench.machine import Machine
from synfin.drill.options import Choices
from synfin.drill.outcome import FAILED, PASSED, SKIPPED, Result
from synfin.drill.report import told
from synfin.drill.run.runner import Run
from synfin.drill.suite import run_text

#: A listener, and a connection to it as descriptor 4; the round trip takes 100 ms. Without options but the MSS.
ACCEPTED = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
"""

#: The same with all options of Linux.
WITH_OPTIONS = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,TS val 100 ecr 0,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 500 ecr 100,nop,wscale 8>
+.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 200 ecr 500>
+0 accept(3, ..., ...) = 4
"""

#: A receiver with room for two segments: the first is acknowledged at once, the second is not.
SMALL_WINDOW = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [4000], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 win 2920 <mss 1460>
+0.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
+0 < . 1:1461(1460) ack 1 win 65535
+0 > . 1:1(0) ack 1461
+0 < P. 1461:2921(1460) ack 1 win 65535
+0.04 > . 1:1(0) ack 2921
"""


def machine_of(run: Run) -> Machine:
    """synfin's host under test."""
    assert isinstance(run.machine, Machine)
    return run.machine


def play(text: str, name: str = "script.pkt", **choices: Any) -> Result:
    """What becomes of a script; an error of the runner's own is raised."""
    return run_text(text, name, Choices(debug=True, **choices))


def passes(text: str, **choices: Any) -> Result:
    """The script passes."""
    result = play(text, **choices)
    assert result.status == PASSED, told(result)
    return result


def fails(text: str, reason: str = "", **choices: Any) -> Result:
    """The script fails, and `reason` is among the words that say why."""
    result = play(text, **choices)
    assert result.status == FAILED, result
    assert reason in result.reason, result.reason
    return result


def skips(text: str, reason: str = "", **choices: Any) -> Result:
    """The script is skipped, and `reason` is among the words that say why."""
    result = play(text, **choices)
    assert result.status == SKIPPED, told(result)
    assert reason in result.reason, result.reason
    return result

"""docs/goodput.md: the goodput table as people read it, made from the recorded one alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.goodput.arithmetic import expected_of_reno
from tests.goodput.cells import (
    CONTROLS,
    LOSSES,
    RATES,
    RECOVERIES,
    SHARE,
    SHARED_RTT,
    SHARINGS,
    SHORT_LOSSES,
    SHORT_RTTS,
    SIZES,
    Sharing,
    Short,
    Transfer,
)
from tests.goodput.recorded import Rows
from tests.goodput.verdicts import follows_formula

PATH: Final = Path(__file__).parents[2] / "docs" / "goodput.md"
#: The heading above the names of recoveries.
FOUND_BY: Final = "losses found by"

INTRODUCTION: Final = f"""\
# Goodput

<!-- Made by campaigns/goodput.py from tests/data/goodput.jsonl. -->

What arrives, in the simulator, by congestion control and by how losses are found: {", ".join(RECOVERIES)}. They are
selected by parameters: `tcp_congestion_control`; `tcp_sack`; `tcp_recovery` and `tcp_early_retrans`, both 0 for SACK
alone (RFC 6675). All else is the default; buffers grow by themselves. Packets of 1500 octets, 1448 of which are data.
All that is random has a seed, which depends on the path alone: the same packets are lost whoever sends them, and the
same table comes out each time.

`python campaigns/goodput.py` makes it anew in some minutes, `--check` compares. The tests play the first quarter of
every cell and compare that. They also hold the table to this:

- without loss, at least 0.93 of the rate, counted from connect to the last octet, and on every shared bottleneck;
- Reno within 30 % of 1.22·MSS/(RTT·√p), where p is 0.1 or 1 % and the path at least twice as fast as that: at 1 ms it
  is not. That is a formula for congestion avoidance, so the first quarter, with slow start, does not count;
- Jain's index of shared bottlenecks at least 0.9;
- RACK-TLP never slower than no SACK: transfers by their goodput, short ones by their mean time.
"""


def text(rows: Rows) -> str:
    """The whole document."""
    return "\n".join((INTRODUCTION, *_transfers(rows), *_formula(rows), *_sharing(rows), *_short(rows)))


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in body:
        yield f"| {' | '.join(row)} |"
    yield ""


def _megabits(value: float) -> str:
    return f"{value / 1e6:.3g}"


def _milliseconds(value: float) -> str:
    return f"{value / 1e6:,.0f}"


def _transfers(rows: Rows) -> Iterator[str]:
    yield "## One flow"
    yield ""
    yield "Goodput in Mbit/s, and the share of the rate, from connect to the last octet. Packets to the receiver are"
    yield "lost, each with the same chance; acknowledgments are not. Without loss the queue is never full; with it it"
    yield "holds four bandwidth-delay products, and at least 200 packets."
    yield ""
    head = [f"{rtt} ms, {_megabits(rate)} Mbit/s" for rtt, rate in RATES.items()]

    def cell(key: Transfer) -> str:
        row = rows.get(key)
        if row is None:
            return ""
        return f"{_megabits(row['goodput'])} ({row['goodput'] / RATES[key.rtt]:.2g})"

    def body() -> Iterator[list[str]]:
        for control in CONTROLS:
            for loss in LOSSES:
                for recovery in RECOVERIES:
                    values = [cell(Transfer(loss, rtt, control, recovery)) for rtt in RATES]
                    if any(values):
                        yield [control, f"{loss:g} %", recovery, *values]

    yield from _table(["", "loss", FOUND_BY, *head], body())


def _formula(rows: Rows) -> Iterator[str]:
    yield "### Against the formula"
    yield ""
    yield "The formula takes it that packets are lost independently, and acknowledgments not at all; that nothing else"
    yield "limits the window, neither the rate nor the receiver; that octets are counted, so that delayed"
    yield "acknowledgments do not slow its growth; and that no time-out is needed. Here all but the last is so, or"
    yield "nearly."
    yield ""
    yield "Reno without its first quarter, in Mbit/s; in parentheses, measured by expected. Losses and time-outs are"
    yield "those of the whole transfer."
    yield ""

    def body() -> Iterator[list[str]]:
        for key, row in rows.items():
            if isinstance(key, Transfer) and follows_formula(key):
                expected = expected_of_reno(key.loss, key.rtt)
                yield [
                    f"{key.loss:g} %",
                    f"{key.rtt} ms",
                    key.recovery,
                    _megabits(expected),
                    f"{_megabits(row['steady'])} ({row['steady'] / expected:.2f})",
                    f"{row['lost']} of {key.segments:,}",
                    str(row["timeouts"]),
                ]

    yield from _table(["loss", "RTT", FOUND_BY, "expected", "measured", "lost", "time-outs"], body())


def _sharing(rows: Rows) -> Iterator[str]:
    yield "## Several flows on one bottleneck"
    yield ""
    yield f"{_megabits(SHARE)} Mbit/s for each, RTT {SHARED_RTT} ms; a drop-tail queue of one bandwidth-delay product,"
    yield "or CoDel. The flows begin within a round trip, and the first quarter of the time does not count."
    yield "Acknowledgments are up to 2 ms late, by chance: in a world without chance two flows fall into step, and a"
    yield "full queue always hits the same one."
    yield ""

    def body() -> Iterator[list[str]]:
        for control in CONTROLS:
            for (flows, queue), seconds in SHARINGS.items():
                for recovery in RECOVERIES:
                    key = Sharing(flows, queue, control, recovery)
                    row = rows.get(key)
                    if row is not None:
                        yield [
                            control,
                            str(flows),
                            queue,
                            f"{seconds} s",
                            recovery,
                            f"{row['goodput'] / key.rate:.3f}",
                            f"{row['jain']:.3f}",
                            f"{_megabits(row['least'])} to {_megabits(row['most'])}",
                            str(row["timeouts"]),
                        ]

    yield from _table(
        ["", "flows", "queue", "watched", FOUND_BY, "of the rate", "Jain's index", "Mbit/s each", "time-outs"], body()
    )


def _short(rows: Rows) -> Iterator[str]:
    yield "## Short flows"
    yield ""
    runs = ", ".join(map(str, SIZES.values()))
    yield "Milliseconds from connect to the last octet: mean, and what nine of ten do not exceed. The paths are those"
    yield f"of one flow. With loss there are {runs} runs of the sizes; without, all are alike."
    yield ""
    paths = [(rtt, loss) for rtt in SHORT_RTTS for loss in SHORT_LOSSES]

    def cell(key: Short) -> str:
        row = rows.get(key)
        if row is None:
            return ""
        mean = _milliseconds(row["mean"])
        return f"{mean}, {_milliseconds(row['p90'])}" if key.loss else mean

    def body() -> Iterator[list[str]]:
        for control in CONTROLS:
            for size in SIZES:
                for recovery in RECOVERIES:
                    values = [cell(Short(size, loss, rtt, control, recovery)) for rtt, loss in paths]
                    if any(values):
                        yield [control, f"{size // 1000:,} kB", recovery, *values]

    head = [f"{rtt} ms, loss {loss:g} %" for rtt, loss in paths]
    yield from _table(["", "size", FOUND_BY, *head], body())

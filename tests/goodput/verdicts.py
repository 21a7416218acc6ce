"""What the goodput table must hold, each as a function that names the cells in which it does not."""

from __future__ import annotations

from typing import Final

from tests.goodput.arithmetic import expected_of_reno
from tests.goodput.cells import RACK_TLP, RATES, SACK_OFF, Cell, Sharing, Short, Transfer
from tests.goodput.recorded import Rows

#: Of the rate, headers included: so 0.965 is the most that there can be.
LEAST_OF_RATE: Final = 0.93
#: How far from the formula Reno may be.
TOLERANCE: Final = 0.3
#: In per cent: with more, time-outs decide, of which the formula knows nothing.
MOST_LOSS: Final = 1
LEAST_JAIN: Final = 0.9


def slow_without_loss(rows: Rows) -> list[str]:
    """Transfers without loss, from connect to the last octet, and shared bottlenecks: below 0.93 of the rate."""
    wrong = []
    for cell, row in rows.items():
        if isinstance(cell, Transfer) and not cell.loss:
            rate = RATES[cell.rtt]
        elif isinstance(cell, Sharing):
            rate = cell.rate
        else:
            continue
        if row["goodput"] < LEAST_OF_RATE * rate:
            wrong.append(f"{cell}: {row['goodput'] / rate:.3f} of the rate")
    return wrong


def follows_formula(cell: Cell) -> bool:
    """Whether the formula says how fast this cell should be: Reno, 0.1 or 1 % lost, and a path at least twice as fast
    as that, so that the rate is no limit. At 1 ms it is; and there a time-out of 200 ms would be 200 round trips."""
    return (
        isinstance(cell, Transfer)
        and cell.control == "reno"
        and 0 < cell.loss <= MOST_LOSS
        and 2 * expected_of_reno(cell.loss, cell.rtt) <= RATES[cell.rtt]
    )


def far_from_formula(rows: Rows) -> list[str]:
    """Where Reno, without the first quarter that slow start began, is not within 30 % of the formula."""
    wrong = []
    for cell, row in rows.items():
        if isinstance(cell, Transfer) and follows_formula(cell):
            share = row["steady"] / expected_of_reno(cell.loss, cell.rtt)
            if abs(share - 1) > TOLERANCE:
                wrong.append(f"{cell}: {share:.2f} of the formula")
    return wrong


def unfair(rows: Rows) -> list[str]:
    """Where flows that share a bottleneck get shares that are too unequal."""
    return [
        f"{cell}: Jain's index is {row['jain']}"
        for cell, row in rows.items()
        if isinstance(cell, Sharing) and row["jain"] < LEAST_JAIN
    ]


def worse_with_rack(rows: Rows) -> list[str]:
    """Where RACK-TLP is slower than no SACK at all: transfers by their goodput, short ones by their mean time."""
    wrong = []
    for cell, row in rows.items():
        if isinstance(cell, Sharing) or cell.recovery != RACK_TLP:
            continue
        without = rows.get(cell._replace(recovery=SACK_OFF))
        if without is None:
            continue
        if isinstance(cell, Short):
            if row["mean"] > without["mean"]:
                wrong.append(f"{cell}: {row['mean'] / 1e6:.3f} ms, with {SACK_OFF} {without['mean'] / 1e6:.3f} ms")
        elif row["goodput"] < without["goodput"]:
            share = row["goodput"] / without["goodput"]
            wrong.append(f"{cell}: {share:.4f} of the goodput with {SACK_OFF}")
    return wrong


def all_wrong(rows: Rows) -> list[str]:
    """Everything that does not hold, a line each."""
    return [*slow_without_loss(rows), *far_from_formula(rows), *unfair(rows), *worse_with_rack(rows)]

"""What the results say: a table in Markdown, and the verdict on the requirement."""

from __future__ import annotations

from statistics import median
from typing import Final

from campaigns.beside_kernel.cells import ENDS, LOSSES, RATE, RTTS, Cell, Result, Run, of_cell

#: The share of the rate that two kernels reach without loss, at least, for the path to count.
SATURATED: Final = 0.95
#: What synfin reaches of the kernel, at least, in the cells of one loss (percent) and one round-trip time (ms).
NAMED: Final = 0.9
NAMED_LOSS: Final = 1.0
NAMED_RTT: Final = 20
#: And how many of all cells may have less than this.
LOW: Final = 0.8
LOW_CELLS: Final = 3

HEAD: Final = """\
| RTT, ms | loss, % | kernel to kernel, Mbit/s | synfin sends, Mbit/s | ratio | synfin receives, Mbit/s | ratio |
|---|---|---|---|---|---|---|
"""


class Summary:
    """The results of one table, cell by cell. Of a cell only those runs count whose reference ran too."""

    def __init__(self, results: dict[Run, Result]) -> None:
        self._rates: dict[Cell, list[float]] = {}
        self._paired: dict[Cell, list[float]] = {}
        for rtt in RTTS:
            for loss in LOSSES:
                reference = Cell(*ENDS[0], rtt, loss)
                self._rates[reference] = of_cell(results, reference)
                numbers = {run.number for run in results if run.cell == reference}
                for ends in ENDS[1:]:
                    cell = Cell(*ends, rtt, loss)
                    self._rates[cell] = of_cell(results, cell, numbers)
                    both = {run.number for run in results if run.cell == cell} & numbers
                    self._paired[cell] = of_cell(results, reference, both)

    def ratio(self, cell: Cell) -> float | None:
        """synfin's median by the kernel's, of the runs that both have; None if there are none."""
        if not self._paired[cell]:
            return None
        reference = median(self._paired[cell])
        return median(self._rates[cell]) / reference if reference else None

    def markdown(self) -> str:
        """The table. Behind each median stand the least and the greatest, and how many runs there were."""
        lines = []
        for rtt in RTTS:
            for loss in LOSSES:
                words = [str(rtt), f"{loss:g}", self._spread(Cell(*ENDS[0], rtt, loss))]
                for ends in ENDS[1:]:
                    cell = Cell(*ends, rtt, loss)
                    ratio = self.ratio(cell)
                    words += [self._spread(cell), "" if ratio is None else f"{ratio:.2f}"]
                lines.append(f"| {' | '.join(words)} |\n")
        return HEAD + "".join(lines)

    def _spread(self, cell: Cell) -> str:
        rates = self._rates[cell]
        if not rates:
            return ""
        return f"{median(rates):.3g} ({min(rates):.3g}–{max(rates):.3g}; {len(rates)})"

    def verdict(self) -> tuple[bool, list[str]]:
        """Whether the requirement is met, and what is to be said of each part of it."""
        parts: list[tuple[bool, str]] = []
        for rtt in RTTS:
            rates = self._rates[Cell(*ENDS[0], rtt, 0.0)]
            share = median(rates) * 1e6 / RATE if rates else 0.0
            said = f"{share:.1%} of the rate" if rates else "not measured"
            parts.append(
                (share >= SATURATED, f"kernel to kernel, {rtt} ms, no loss: {said} (at least {SATURATED:.0%})")
            )
        ratios = {cell: self.ratio(cell) for cell in self._paired}
        for cell, ratio in ratios.items():
            if (cell.rtt, cell.loss) == (NAMED_RTT, NAMED_LOSS):
                said = "not measured" if ratio is None else f"{ratio:.2f}"
                parts.append((ratio is not None and ratio >= NAMED, f"{cell}: {said} (at least {NAMED})"))
        low = [str(cell) for cell, ratio in ratios.items() if ratio is not None and ratio < LOW]
        missing = sum(ratio is None for ratio in ratios.values())
        said = f"{len(low)} of {len(ratios)} cells under {LOW} (at most {LOW_CELLS})"
        said += f": {', '.join(low)}" if low else ""
        said += f"; {missing} not measured" if missing else ""
        parts.append((len(low) <= LOW_CELLS and not missing, said))
        return all(met for met, _ in parts), [f"{'met' if met else 'NOT MET'}: {said}" for met, said in parts]

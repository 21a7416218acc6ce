"""What the campaign measures: its cells, and the results with their file of JSON lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

KERNEL: Final = "kernel"
SYNFIN: Final = "synfin"
#: Sender and receiver, each round beginning with the reference.
REFERENCE: Final = (KERNEL, KERNEL)
ENDS: Final = (REFERENCE, (SYNFIN, KERNEL), (KERNEL, SYNFIN))

#: Round-trip times in milliseconds and losses in percent.
RTTS: Final = (20, 100)
LOSSES: Final = (0.0, 0.1, 1.0, 3.0, 10.0)

#: Bits a second, each way; octets of IP packets count.
RATE: Final = 100_000_000
#: A queue holds what the rate carries in one RTT, in packets of 1500 octets, and so many at least.
LEAST_QUEUE: Final = 100


@dataclass(frozen=True)
class Cell:
    """`sender` and `receiver` are "kernel" or "synfin", `rtt` is in milliseconds, `loss` in percent."""

    sender: str
    receiver: str
    rtt: int
    loss: float

    def __str__(self) -> str:
        """As `--only` has it: "synfin-kernel/20/0.1"."""
        return f"{self.sender}-{self.receiver}/{self.rtt}/{self.loss:g}"

    @property
    def reference(self) -> Cell:
        return Cell(*REFERENCE, self.rtt, self.loss)

    @property
    def queue(self) -> int:
        """Packets that wait in front of the rate at most."""
        return max(LEAST_QUEUE, RATE * self.rtt // 1000 // 8 // 1500)


@dataclass(frozen=True)
class Run:
    """One run of a cell. Runs of one number share the seed of the losses, whichever the ends are."""

    cell: Cell
    number: int

    @property
    def seed(self) -> str:
        return f"{self.cell.rtt}/{self.cell.loss:g}/{self.number}"


@dataclass(frozen=True)
class Settings:
    """What all results of one table must share. Times are in seconds; `congestion` is synfin's congestion control
    (the kernel's is cubic); `synfin` a digest of its source."""

    seconds: float
    warm_up: float
    congestion: str
    kernel: str
    synfin: str


@dataclass(frozen=True)
class Result:
    """What came of a run. `rate` is in Mbit/s of the application's octets, `late` in percent of the packets, `worst` in
    milliseconds; `lost` and `dropped` (at random, by the queue) are packets of the data's direction. `cpu` and
    `waited` give for each process the percent of a core that it used, and of the time that it waited for one. A run
    that counts has no words in `invalid`."""

    rate: float
    packets: int
    lost: int
    dropped: int
    late: float
    worst: float
    cpu: dict[str, float]
    waited: dict[str, float]
    invalid: str = ""


def all_runs(numbers: int) -> list[Run]:
    """Round by round: what is compared runs one after another."""
    return [
        Run(Cell(*ends, rtt, loss), number)
        for number in range(numbers)
        for rtt in RTTS
        for loss in LOSSES
        for ends in ENDS
    ]


def digest(folder: Path) -> str:
    """Tells one source from another."""
    octets = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        octets.update(f"{path.relative_to(folder)}\0".encode())
        octets.update(path.read_bytes())
    return octets.hexdigest()[:12]


def line(settings: Settings, run: Run, result: Result) -> str:
    """One line of the file."""
    return json.dumps({**asdict(run.cell), "run": run.number, **asdict(settings), **asdict(result)})


def load(path: Path, settings: Settings) -> tuple[dict[Run, Result], int]:
    """The runs in the file that count and were made with these settings, and how many there are of others.

    Raises ValueError, with the line's number, for a file that is none of this campaign, and OSError for one that
    cannot be read.
    """
    found: dict[Run, Result] = {}
    others = 0
    for number, text in enumerate(path.read_text().splitlines(), 1):
        try:
            fields = json.loads(text)
            run = Run(Cell(*(fields.pop(name) for name in ("sender", "receiver", "rtt", "loss"))), fields.pop("run"))
            of = Settings(*(fields.pop(name) for name in Settings.__dataclass_fields__))
            result = Result(**fields)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path}, line {number}: not a result of this campaign") from None
        if of != settings:
            others += 1
        elif not result.invalid:
            found[run] = result
    return found, others


def of_cell(results: dict[Run, Result], cell: Cell, numbers: Iterable[int] | None = None) -> list[float]:
    """The rates of the runs of a cell, in order, only those of `numbers` if given."""
    wanted = None if numbers is None else set(numbers)
    runs = sorted((run.number, result.rate) for run, result in results.items() if run.cell == cell)
    return [rate for number, rate in runs if wanted is None or number in wanted]

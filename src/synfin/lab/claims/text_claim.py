"""What a claim of the texts is: their sentence, the RFCs', Linux's, and worlds where the sentence is put to the test.

Nothing is only said here either. In the simulator the truth must hold and the texts' sentence must not; what Linux
does is measured on the kernel of a machine, kept with its version (`synfin.lab.claims.measured`) and measured again by
the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from synfin.lab.experiment import N_, Claim, World, holds

if TYPE_CHECKING:
    from synfin.lab.running import Run, Runs

__all__ = ["N_", "Figures", "Measured", "TextClaim"]

#: What a measurement found, by the names of the gaps in its sentence.
Figures: TypeAlias = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Measured:
    """A sentence about Linux whose figures are measured.

    `name` tells it from the claim's others. `measure` makes a network namespace, measures in it, and returns the
    figures, which fill the gaps of `text`: counts, states, errnos, and times so rounded that they come out equal each
    time. `holds`: whether figures bear the sentence out. `slow`: takes longer than about two seconds, so that
    the tests leave it to ``synfin lab claims --measure``.
    """

    name: str
    text: str
    measure: Callable[[], Figures]
    holds: Callable[[Figures], bool]
    slow: bool = False


@dataclass(frozen=True, slots=True)
class TextClaim:
    """One claim of the texts.

    `name`: its number, such as "F2.4". `text`: what the texts say. `rfc` and `clauses`: what the RFCs say, and where.
    `linux`: what Linux does. `worlds`: where it is put to the test, and `claims`: what is true there. `text_holds`:
    the texts' sentence as something that can be seen in those worlds; it must come out false.
    """

    name: str
    text: str
    rfc: str
    clauses: tuple[str, ...]
    linux: tuple[Measured, ...]
    worlds: tuple[World, ...]
    claims: tuple[Claim, ...]
    text_holds: Callable[[Runs], bool]

    def failed(self, runs: Mapping[str, Run]) -> list[str]:
        """What is wrong: the claims that do not hold, and the texts' sentence if it does, or if it cannot be judged."""
        wrong = [claim.text for claim in self.claims if not holds(claim, runs)]
        try:
            refuted = not self.text_holds(runs)
        except (LookupError, ValueError):
            refuted = False
        return wrong if refuted else [*wrong, self.text]

"""Operators among values: C's order of precedence, and results where all is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from synfin.drill.language.script import Either, Expression, Number, Operation

_BINDS: Final[Mapping[str, int]] = MappingProxyType({"<<": 4, ">>": 4, "&": 3, "^": 2, "|": 1})
_MOST_SHIFT: Final = 63
#: How many operators other than ``|`` may stand side by side: each makes a value of values.
_MOST_OPERATORS: Final = 4
_Operator = TypeVar("_Operator", bound=str)


def joined(
    parts: Sequence[Expression | _Operator], operated: Callable[[_Operator, tuple[Expression, ...]], Expression]
) -> Expression:
    """``A | B << 1``, given as values and operators by turns, as one value. Raises ValueError if there are too many."""
    if sum(isinstance(part, str) and part != "|" for part in parts) > _MOST_OPERATORS:
        raise ValueError(f"{_MOST_OPERATORS} operators other than '|' could stand")
    values: list[Expression] = []
    operators: list[_Operator] = []

    def apply() -> None:
        right, left = values.pop(), values.pop()
        values.append(operated(operators.pop(), (left, right)))

    for part in parts:
        if not isinstance(part, str):
            values.append(part)
            continue
        while operators and _BINDS[operators[-1]] >= _BINDS[part]:
            apply()
        # Alternatives lie side by side in one Either.
        if part != "|":
            operators.append(part)
    while operators:
        apply()
    return values[0] if len(values) == 1 else Either(tuple(values))


def operate(operator: str, operands: tuple[Expression, ...]) -> Expression:
    """The result of an operator of C, or an Operation where a name is among the operands. Raises ValueError."""
    numbers = [each.value for each in operands if isinstance(each, Number)]
    if len(numbers) < len(operands) or (operator == "&" and len(operands) == 1):
        return Operation(str(operator), operands)
    if operator == "~":
        return Number(~numbers[0])
    left, right = numbers
    if operator == "&":
        return Number(left & right)
    if operator == "^":
        return Number(left ^ right)
    if not 0 <= right <= _MOST_SHIFT:
        raise ValueError(f"a shift by 0 to {_MOST_SHIFT} could stand")
    return Number(left << right if operator == "<<" else left >> right)

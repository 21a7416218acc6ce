"""Puts what ``-D NAME=value`` defines in the place of the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from synfin.drill.language.arithmetic import operate
from synfin.drill.language.packets import read_option
from synfin.drill.language.parser import parse_expression
from synfin.drill.language.script import (
    Array,
    Call,
    Either,
    Event,
    Expression,
    Function,
    Operation,
    Place,
    Script,
    ScriptError,
    Structure,
    TcpOption,
    TcpPacket,
    Word,
)


def with_definitions(script: Script, given: Mapping[str, str]) -> Script:
    """`script` with values for the names that it or `given` defines, which has the last word. Names among a call's
    arguments and results become values, those of a TCP option octets; others stay. Raises ScriptError."""
    definitions: dict[str, tuple[str, Place]] = {}
    for option in script.options:
        if option.name in ("D", "define"):
            name, equal, value = (option.value or "").partition("=")
            if not name or not equal:
                raise ScriptError(script.name, option.place, repr(option.value), "NAME=value could stand")
            definitions[name] = (value, option.place)
    definitions |= {name: (value, Place(1, 1)) for name, value in given.items()}
    if not definitions:
        return script
    return _Defining(script.name, definitions).script(script)


class _Defining:
    def __init__(self, name: str, definitions: Mapping[str, tuple[str, Place]]) -> None:
        self.name = name
        self.definitions = definitions
        self.values: dict[str, Expression] = {}
        self.place = Place(1, 1)

    def script(self, script: Script) -> Script:
        return replace(script, events=tuple(self._event(event) for event in script.events))

    def _event(self, event: Event) -> Event:
        action = event.action
        self.place = event.place
        if isinstance(action, Call):
            arguments = tuple(map(self._value, action.arguments))
            result = None if action.result is None else self._value(action.result)
            return replace(event, action=replace(action, arguments=arguments, result=result))
        if isinstance(action, TcpPacket) and any(option.word in self.definitions for option in action.options or ()):
            options = tuple(self._option(option) for option in action.options or ())
            return replace(event, action=replace(action, options=options))
        return event

    def _option(self, option: TcpOption) -> TcpOption:
        if option.word is None or option.word not in self.definitions:
            return option
        value, _ = self.definitions[option.word]
        try:
            return read_option(f"{option.name} {value}")
        except ValueError as wrong:
            raise ScriptError(self.name, self.place, f"{option.word}={value!r}", str(wrong)) from None

    def _value(self, value: Expression) -> Expression:
        if isinstance(value, Word):
            return self._word(value)
        if isinstance(value, Either):
            return Either(tuple(map(self._value, value.parts)))
        if isinstance(value, Operation):
            return self._operation(value)
        if isinstance(value, Function):
            return Function(value.name, tuple(map(self._value, value.arguments)))
        if isinstance(value, Array):
            return Array(tuple(map(self._value, value.items)))
        if isinstance(value, Structure):
            return Structure(tuple((name, self._value(each)) for name, each in value.members))
        return value

    def _operation(self, value: Operation) -> Expression:
        try:
            return operate(value.operator, tuple(map(self._value, value.operands)))
        except ValueError as wrong:
            raise ScriptError(self.name, self.place, f"an operand of {value.operator!r}", str(wrong)) from None

    def _word(self, word: Word) -> Expression:
        defined = self.definitions.get(word.name)
        if defined is None:
            return word
        if word.name not in self.values:
            text, place = defined
            try:
                self.values[word.name] = parse_expression(text)
            except ScriptError as wrong:
                raise ScriptError(self.name, place, f"{wrong.found} in {word.name}", wrong.wanted) from None
        return self.values[word.name]

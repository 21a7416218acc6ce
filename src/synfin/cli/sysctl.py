"""``synfin sysctl``: the parameters of the stack, their values in each profile, and what they mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synfin.cli.errors import UsageError

if TYPE_CHECKING:
    from synfin.host.parameters import Parameters
    from synfin.show.words import Language
    from synfin.tcp.parameters import Parameter

ProfileName = Literal["linux", "linux-suite", "freebsd", "rfc"]


def sysctl(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME[=VALUE]]...", help="All if not given.")] = None,
    profile: Annotated[ProfileName, typer.Option(help="Whose values.")] = "linux",
    explain: Annotated[bool, typer.Option("--explain", help="Say what each means, and what it may be.")] = False,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
    write: Annotated[bool, typer.Option("-w", help="As sysctl(8) has it; not needed.")] = False,
) -> None:
    """Print the parameters of a profile. NAME=VALUE checks a value; 'synfin tun sysctl' sets it where a stack runs."""
    from synfin.host.parameters import text
    from synfin.host.profiles import parameters
    from synfin.show.words import language

    values = parameters(profile)
    chosen = language(lang, os.environ)
    shown: list[Parameter] = []
    for word in names or [""]:
        name, equals, value = word.partition("=")
        if write and not equals:
            raise UsageError(f"no value for {name!r}", f"write it as {name or 'NAME'}=VALUE")
        found = _found(name)
        if equals:
            _assign(values, found, name, value)
        shown += found
    for parameter in shown:
        print(f"{parameter.name} = {text(values.get(parameter.name))}")
        if explain:
            for line in _explanation(parameter, values, chosen):
                print(f"    {line}")


def _found(name: str) -> list[Parameter]:
    """The parameter of that name, or all whose names begin with it, as sysctl(8) has it."""
    from difflib import get_close_matches

    from synfin.host.parameters import PARAMETERS

    name = name.strip().replace("/", ".")
    if name in PARAMETERS:
        return [PARAMETERS[name]]
    below = [parameter for other, parameter in PARAMETERS.items() if not name or other.startswith(f"{name}.")]
    if not below:
        likely = get_close_matches(name, PARAMETERS, 1) or [
            other for other in PARAMETERS if other.rpartition(".")[2] == name
        ]
        right = f"perhaps {likely[0]}" if likely else "see 'synfin sysctl' for their names"
        raise UsageError(f"there is no parameter {name!r}", right)
    return below


def _assign(values: Parameters, found: list[Parameter], name: str, value: str) -> None:
    if len(found) != 1 or not name.strip():
        raise UsageError(f"{name!r} is more than one parameter", "give the whole name of one")
    (parameter,) = found
    try:
        values.set(parameter.name, value)
    except ValueError:
        raise UsageError(f"{value!r} is no value for {parameter.name}", f"give {expected(parameter)}") from None


def expected(parameter: Parameter) -> str:
    """What a parameter may be."""
    from synfin.tcp.congestion import available

    if parameter.name == "net.ipv4.tcp_congestion_control":
        return f"one of: {', '.join(available())}"
    if isinstance(parameter.default, str):
        return "ports and ranges of ports, such as 8080,9000-9010"
    bounds = f"from {parameter.least} to {parameter.most}"
    if isinstance(parameter.default, tuple):
        return f"{len(parameter.default)} numbers in ascending order, {bounds}"
    return f"a number {bounds}"


def _explanation(parameter: Parameter, values: Parameters, language: Language) -> list[str]:
    from synfin.host.parameters import text
    from synfin.show.words import translation

    gettext = translation(language).gettext
    lines = [gettext(parameter.meaning)]
    if not isinstance(parameter.default, str):
        lines.append(gettext("from {least} to {most}").format(least=parameter.least, most=parameter.most))
    if values.get(parameter.name) != parameter.default:
        lines.append(gettext("on Linux: {value}").format(value=text(parameter.default)))
    return lines

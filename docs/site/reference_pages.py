"""The pages of the reference that are made from the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from errno import ENOPROTOOPT, EOPNOTSUPP
from functools import cache
from pathlib import Path
from socket import AF_INET6
from struct import pack
from typing import Final

import typer
from typer.testing import CliRunner

import synfin
from docs.site.markdown import cell, table
from docs.site.option_words import OPTION_WORDS
from synfin import reasons
from synfin.cli.main import app
from synfin.host import calls, socket_option_numbers, socket_options
from synfin.host.counters import BY_CAUSE, BY_CAUSE_IPV6, BY_EVENT, BY_REASON, BY_VERDICT
from synfin.host.host import Host
from synfin.host.parameters import PARAMETERS, text
from synfin.host.profiles import PROFILES, parameters
from synfin.host.sockets import Socket
from synfin.reasons import Reason
from synfin.show.words import LANGUAGES, Language, explain, translation
from synfin.tcp.parameters import INT_MAX, UINT_MAX, Parameter

_WORDS: Final[Mapping[str, str]] = {
    "Parameters": "参数",
    "Profiles": "配置",
    "Socket options": "套接字选项",
    "Counters": "计数器",
    "Reasons": "原因",
    "Commands": "命令",
    "parameter": "参数",
    "meaning": "含义",
    "bounds": "范围",
    "requirement": "要求",
    "deviation": "不同之处",
    "option": "选项",
    "level": "层",
    "get": "读",
    "set": "写",
    "number": "编号",
    "counter": "计数器",
    "counts when": "何时计数",
    "name": "名称",
    "clause": "条款",
    "as Linux counts it": "与 Linux 相同",
    "Values that differ from Linux's": "与 Linux 不同的值",
    "What it does not meet of RFC 9293": "不符合 RFC 9293 之处",
}

_INTRODUCTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "Parameters": (
        "Every parameter of a host under Linux's name, with its value in each [profile](profiles.md). `synfin sysctl` "
        "prints them, `synfin sysctl --explain` says what they mean, `--set NAME=VALUE` of `synfin lab run` and "
        "`sysctl` in a topology change them. Names below `synfin.` are behaviours that on Linux, or on another host, "
        "are constants or nature. A value that differs from Linux's is in bold.",
        "主机的全部参数，名称与 Linux 相同，并列出在每种[配置](profiles.md)中的值。`synfin sysctl` 打印参数，"
        "`synfin sysctl --explain --lang zh` 说明含义；用 `synfin lab run` 的 `--set 名称=值` 或拓扑文件中的 `sysctl` "
        "修改。以 `synfin.` 开头的，在 Linux 或其他主机上是常量或固有行为。与 Linux 不同的值用粗体。",
    ),
    "Profiles": (
        "A profile is a named set of parameter values, for the points on which hosts differ. `linux` is the default.",
        "配置是一组有名字的参数值，对应各种主机做法不同的地方。默认是 `linux`。",
    ),
    "Socket options": (
        "The options that `getsockopt` and `setsockopt` know, with Linux's numbers. The table was made by asking a "
        "socket.",
        "`getsockopt` 和 `setsockopt` 认识的选项，编号与 Linux 相同。下表是逐一询问套接字得出的。",
    ),
    "Counters": (
        "What a host counts (`Host.counters`), under the names of nstat(8). Where a counter follows from a reason of "
        "the trace, that is named.",
        "主机的计数器（`Host.counters`），名称与 nstat(8) 相同。由跟踪记录中的原因得出的，注明是哪些原因。",
    ),
    "Reasons": (
        "Each segment that is sent, received or dropped, and each transition, carries one of these reasons in the "
        "trace. The list is closed.",
        "跟踪记录中，报文段的发送、接收、丢弃以及每次状态转换，都带有下列原因之一。此外没有别的原因。",
    ),
    "Commands": ("What `--help` says of each command.", "各命令的 `--help`（英文）。"),
}


#: Characters of a line of help.
WIDTH: Final = 100


def files() -> dict[str, str]:
    """The pages by their path below docs/."""
    made = {}
    for name, (title, lines) in _PAGES.items():
        for language in LANGUAGES:
            head = [f"# {_word(title, language)}", "", _INTRODUCTIONS[title][LANGUAGES.index(language)], ""]
            path = f"reference/{name}{'.zh' if language == 'zh' else ''}.md"
            made[path] = "\n".join([*head, *lines(language)]) + "\n"
    return made


def _word(text: str, language: Language) -> str:
    return _WORDS[text] if language == "zh" else text


def _words(language: Language, *texts: str) -> list[str]:
    return [_word(one, language) for one in texts]


# --- parameters and profiles


def _parameters(language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    values = {name: parameters(name) for name in PROFILES}
    groups: dict[str, list[Parameter]] = {}
    for parameter in PARAMETERS.values():
        groups.setdefault(parameter.name.rpartition(".")[0], []).append(parameter)
    for group, found in groups.items():
        yield f"## {group}"
        yield ""
        rows = []
        for parameter in found:
            shown = [_value(text(one.get(parameter.name))) for one in values.values()]
            shown = [one if one == shown[0] or not one else f"**{one}**" for one in shown]
            short = parameter.name.rpartition(".")[2]
            rows.append([f"`{short}`", cell(gettext(parameter.meaning)), *shown, _bounds(parameter)])
        yield from table([*_words(language, "parameter", "meaning"), *values, _word("bounds", language)], rows)


def _value(value: str) -> str:
    return value.replace("\t", " ")


def _bounds(parameter: Parameter) -> str:
    if isinstance(parameter.default, str):
        return ""
    most = {INT_MAX: "2³¹−1", UINT_MAX: "2³²−1"}.get(parameter.most, str(parameter.most))
    return f"{parameter.least}–{most}"


def _profiles(language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    for profile in PROFILES.values():
        yield f"## {profile.name}"
        yield ""
        yield cell(gettext(profile.summary))
        yield ""
        if profile.values:
            yield f"### {_word('Values that differ from Linux' + chr(39) + 's', language)} {{#{profile.name}-values}}"
            yield ""
            rows = [
                [
                    f"`{name}`",
                    _value(text(value)),
                    _value(text(PARAMETERS[name].default)),
                    cell(gettext(PARAMETERS[name].meaning)),
                ]
                for name, value in profile.values.items()
                if value != PARAMETERS[name].default
            ]
            yield from table([_word("parameter", language), profile.name, "linux", _word("meaning", language)], rows)
        yield f"### {_word('What it does not meet of RFC 9293', language)} {{#{profile.name}-deviations}}"
        yield ""
        deviations = [[one.requirement, cell(one.reason)] for one in profile.deviations]
        yield from table(_words(language, "requirement", "deviation"), deviations)


# --- options

_UNKNOWN: Final = frozenset({ENOPROTOOPT, EOPNOTSUPP})


@cache
def answers() -> dict[tuple[str, str], tuple[bool, bool]]:
    """By level and name: whether a socket gives the option, and whether it takes it."""
    answers = {}
    levels = {"SO_": "SOL_SOCKET", "TCP_": "IPPROTO_TCP", "IP_": "IPPROTO_IP", "IPV6_": "IPPROTO_IPV6"}
    for name, number in vars(socket_option_numbers).items():
        for prefix, level_name in levels.items():
            if name.startswith(prefix) and isinstance(number, int):
                level = getattr(socket_option_numbers, level_name)
                answers[level_name, name] = _gives(level, number), _takes(level, number)
    return answers


def _socket() -> tuple[Host, Socket]:
    host = Host("host", bytes(32))
    host.add_interface("eth0", ["10.0.0.1/24", "fd00::1/64"], 1500, 1500)
    return host, calls.socket(host, AF_INET6)


def _gives(level: int, number: int) -> bool:
    try:
        socket_options.getsockopt(*_socket(), level, number, 0, 256)
    except OSError as error:
        return error.errno not in _UNKNOWN
    return True


def _takes(level: int, number: int) -> bool:
    for value in 1, pack("=ii", 1, 1), pack("=qq", 1, 0), b"reno":
        try:
            socket_options.setsockopt(*_socket(), level, number, value, 0)
        except OSError as error:
            if error.errno in _UNKNOWN:
                continue
        return True
    return False


def _options(language: Language) -> Iterator[str]:
    chosen = LANGUAGES.index(language)
    for level in dict.fromkeys(level for level, _ in answers()):
        yield f"## {level}"
        yield ""
        rows = [
            [
                f"`{name}`",
                str(getattr(socket_option_numbers, name)),
                "✓" if gives else "",
                "✓" if takes else "",
                cell(OPTION_WORDS[name][chosen]),
            ]
            for (where, name), (gives, takes) in answers().items()
            if where == level
        ]
        yield from table(_words(language, "option", "number", "get", "set", "meaning"), rows)


# --- counters and reasons


def _counters(language: Language) -> Iterator[str]:
    why: dict[str, list[str]] = {}
    for verdict, name in [*BY_VERDICT.items(), *BY_EVENT.items()]:
        why.setdefault(name, []).append(explain(verdict, language))
    for reason, names in BY_REASON.items():
        for name in names:
            why.setdefault(name, []).append(explain(reason, language))
    named = {name for causes in (BY_CAUSE, BY_CAUSE_IPV6) for names in causes.values() for name in names}
    source = Path(synfin.__file__).parent / "host"
    for path in sorted(source.glob("*.py")):
        named |= set(re.findall(r'"((?:Tcp|Ip6?|Icmp6?)(?:[A-Z][A-Za-z0-9]+))"', path.read_text(encoding="utf-8")))
    between = "；" if language == "zh" else "; "
    default = _word("as Linux counts it", language)
    rows = [[f"`{name}`", cell(between.join(why.get(name, [default])))] for name in sorted(named | set(why))]
    yield from table(_words(language, "counter", "counts when"), rows)


def _reasons(language: Language) -> Iterator[str]:
    rows = [
        [f"`{reason.name}`", cell(explain(reason, language)), cell(reason.clause)]
        for reason in vars(reasons).values()
        if isinstance(reason, Reason)
    ]
    yield from table(_words(language, "name", "meaning", "clause"), rows)


# --- commands


def _commands(language: Language) -> Iterator[str]:
    del language  # the help is English
    for words in _names(app, ()):
        help_ = CliRunner().invoke(app, [*words, "--help"], prog_name="synfin", terminal_width=WIDTH)
        yield f"## {' '.join(['synfin', *words])}"
        yield ""
        yield "```text"
        yield inspect.cleandoc(help_.output)
        yield "```"
        yield ""


def _names(commands: typer.Typer, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All commands, each as its words on the command line."""
    yield above
    for one in commands.registered_commands:
        yield (*above, one.name or getattr(one.callback, "__name__", "").replace("_", "-"))
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            yield from _names(group.typer_instance, (*above, str(group.typer_instance.info.name)))


_PAGES: Final[Mapping[str, tuple[str, Callable[[Language], Iterator[str]]]]] = {
    "commands": ("Commands", _commands),
    "parameters": ("Parameters", _parameters),
    "profiles": ("Profiles", _profiles),
    "options": ("Socket options", _options),
    "counters": ("Counters", _counters),
    "reasons": ("Reasons", _reasons),
}
#: The pages, in order.
NAMES: Final = tuple(_PAGES)

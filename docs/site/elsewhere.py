"""What a browser would fetch from other hosts when it shows the site: nothing, or the build fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

#: Scripts of the theme for languages that the site does not have.
_UNUSED: Final = ("assets/javascripts/lunr/tinyseg.js", "assets/javascripts/lunr/wordcut.js")
#: An address on some host, and in a script.
_HOST: Final = re.compile(r"(?:https?:)?//([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.IGNORECASE)
_IN_SCRIPT: Final = re.compile(r"(?:https?:|(?<=[\"'`]))//([a-z0-9-]+(?:\.[a-z0-9-]+)+)[^\s\"'`)]*", re.IGNORECASE)
_COMMENT: Final = re.compile(r"/\*.*?\*/|<!--.*?-->", re.DOTALL)
#: These name a namespace of XML, and nobody fetches them.
_NAMESPACES: Final = frozenset({"www.w3.org"})
#: Attributes whose value a browser fetches by itself, and the one that it fetches when somebody follows it.
_FETCHED: Final = frozenset({"src", "srcset", "data", "poster", "action", "href", "xlink:href"})


class _Page(HTMLParser):
    """The addresses of a page that are fetched without anybody's doing."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in _FETCHED and tag != "a" and value and _HOST.match(value.strip()):
                self.found.append(value)
            if name == "style" and value:
                self.found += _in_style(value)


def _in_style(text: str) -> Iterator[str]:
    for match in re.finditer(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", text):
        if _HOST.match(match[1].strip()):
            yield match[1]


def cut(site: Path) -> None:
    """Takes the addresses of other hosts out of the theme's scripts, which would fetch there what no page uses."""
    for name in _UNUSED:
        for path in site / name, site / "zh" / name:
            path.unlink(missing_ok=True)
    for path in sorted(site.rglob("*.js")):
        text = path.read_text(encoding="utf-8")
        left = _IN_SCRIPT.sub(lambda match: match[0] if match[1] in _NAMESPACES else "about:blank", text)
        if left != text:
            path.write_text(left, encoding="utf-8")


def fetched(site: Path) -> list[str]:
    """What the pages, styles, pictures and scripts below `site` would fetch from other hosts, each with its file."""
    found: list[str] = []
    for path in sorted(site.rglob("*")):
        name = path.relative_to(site).as_posix()
        if path.suffix == ".html":
            page = _Page()
            page.feed(path.read_text(encoding="utf-8"))
            found += [f"{name}: {one}" for one in page.found]
        elif path.suffix == ".css":
            found += [f"{name}: {one}" for one in _in_style(path.read_text(encoding="utf-8"))]
        elif path.suffix in {".js", ".svg"}:
            text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
            hosts = {match[1] for match in _IN_SCRIPT.finditer(text)} - _NAMESPACES
            found += [f"{name}: {host}" for host in sorted(hosts)]
    return found

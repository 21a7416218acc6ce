"""The site as a tree of Markdown, one for each language, and what MkDocs must know of it.

Pages of docs/ go in as they are, but for their links; a page without Chinese is English in both, and says so. What is
made by running synfin stands beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Final

from docs.site import lab_pages, python_pages, reference_pages
from synfin.show.words import LANGUAGES, Language

DOCS: Final = Path(__file__).parents[1]
ROOT: Final = DOCS.parent
HERE: Final = DOCS / "site"

#: Files of the repository that are pages of the site, though they are no files of docs/.
MOVED: Final[Mapping[str, str]] = {
    "CONTRIBUTING.md": "contributing.md",
    "examples/README.md": "examples.md",
    "examples/README.zh-CN.md": "examples.zh.md",
}
_ORIGIN: Final = {page: file for file, page in MOVED.items()}

#: The sections, by their titles, and their pages, which have titles of their own.
SECTIONS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("Start", "入门", ("index", "five-minutes", "pictures", "examples")),
    ("Guides", "指南", ("guides/index", "guides/programs", "guides/testing", "guides/learning", "guides/studying")),
    ("Lab", "实验室", ("lab/index", *(f"lab/{page}" for page in lab_pages.NAMES))),
    (
        "In depth",
        "深入",
        (
            *("virtual-time", "sockets", "tun", "explain", "drill"),
            *("recovery", "congestion", "goodput", "performance"),
        ),
    ),
    (
        "Reference",
        "参考",
        ("reference/index", *(f"reference/{page}" for page in reference_pages.NAMES), *python_pages.NAMES),
    ),
    ("How it is built", "结构", ("architecture", "conformance", "cpython-tests", "contributing")),
)

_HEADING: Final = re.compile(r"^# .*$", re.MULTILINE)
_NOT_YET: Final = '!!! note "还没有中文版"\n    这一页目前只有英文，以下是英文原文。'
_NAMES: Final[Mapping[Language, str]] = {"en": "English", "zh": "中文"}
#: Where the other language's site begins, from the root of one's own.
_ROOTS: Final[Mapping[Language, str]] = {"en": "../", "zh": "zh/"}
_DESCRIPTIONS: Final[Mapping[Language, str]] = {"en": "TCP you can import", "zh": "可以 import 的 TCP"}
#: Where words end, for the search. jieba puts a zero-width space between the words of Chinese, and the parts of a name.
_SEPARATORS: Final[Mapping[Language, str]] = {
    "en": r"[\s\-,:!=\[\]()\"`/]+",
    "zh": r"[\s\u200b\-,:!=\[\]()\"`/_.、，。：；！？（）“”]+",
}
_SCHEMES: Final = (
    ("default", "material/weather-night", "Dark", "深色"),
    ("slate", "material/weather-sunny", "Light", "浅色"),
)

#: A link of Markdown, or a picture.
_LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|!?\[[^\]]*\]\([^)]*\)|\[[^\]]*\])*)\]\(([^)\s]+)\)")
#: What a page says of itself in the repository, where it has no header: its other language, how it is tested.
_OTHER_LANGUAGE: Final = re.compile(r"^\[(?:简体中文|中文|English)\]\([^)]*\)\n\n", re.MULTILINE)
_FILE: Final = re.compile(r"^<!-- test: file (?P<name>.*?) -->\n(?P<fence>```\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^<!-- test: .*? -->\n", re.MULTILINE)
#: Where a line of Chinese goes on in the next one: a browser would show a space.
_WRAPPED: Final = re.compile(r"(?<=[\u3001-\u303f\u4e00-\u9fff\uff01-\uff5e”])\n(?=[\u4e00-\u9fff“（《])")
_FENCED: Final = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)


def write(folder: Path) -> None:
    """Writes the trees of both languages, and a configuration of MkDocs for each, into `folder`."""
    for language in LANGUAGES:
        for path, content in files(language).items():
            target = folder / language / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
        (folder / f"{language}.yml").write_text(_configuration(folder, language), encoding="utf-8")


def files(language: Language) -> dict[str, str]:
    """All files of the site in that language, by their path."""
    sources = _sources()
    found = {path: text for path, text in sources.items() if not path.endswith(".md")}
    for path in sources:
        if path.endswith(".md") and not path.endswith(".zh.md"):
            chinese = path.removesuffix(".md") + ".zh.md"
            source = chinese if language == "zh" and chinese in sources else path
            text = sources[source]
            for name, part in lab_pages.parts(language).items():
                text = text.replace(f"<!-- {name} -->", part)
            text = mended(text, source)
            if language == "zh" and source == path:
                text = _HEADING.sub(rf"\g<0>\n\n{_NOT_YET}", text, count=1)
            found[path] = text
    return found


def _sources() -> dict[str, str]:
    """What docs/ has, and what is made, by its path below docs/."""
    own = [path for path in sorted(DOCS.rglob("*")) if path.suffix in {".md", ".svg"} and HERE not in path.parents]
    return {
        **{path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in own},
        **{page: (ROOT / file).read_text(encoding="utf-8") for file, page in MOVED.items()},
        **lab_pages.files(),
        **reference_pages.files(),
        **python_pages.files(),
        "assets/site.css": (HERE / "site.css").read_text(encoding="utf-8"),
    }


def mended(markdown: str, source: str) -> str:
    """A page with its links as the site has them. What lies outside docs/ and is no page is named, not linked."""
    origin = _ORIGIN.get(source, f"docs/{source}")

    def mend(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if not path or "://" in path:
            return match[0]
        place = normpath(join(dirname(origin), path))
        if place in MOVED:
            on_site = MOVED[place]
        elif place.startswith("docs/"):
            on_site = place.removeprefix("docs/")
        else:
            return text
        # A page has one name in both languages.
        on_site = re.sub(r"\.zh\.md$", ".md", on_site)
        inner = _LINK.sub(mend, text)
        return f"{picture}[{inner}]({relpath(on_site, dirname(source) or '.')}{hash_}{anchor})"

    text = _COMMENT.sub("", _FILE.sub(r'\g<fence> title="\g<name>"', _OTHER_LANGUAGE.sub("", markdown)))
    parts = _FENCED.split(text)
    return "".join(part if _FENCED.match(part) else _WRAPPED.sub("", _LINK.sub(mend, part)) for part in parts)


def _configuration(folder: Path, language: Language) -> str:
    other: Language = "zh" if language == "en" else "en"
    chosen = {
        "INHERIT": str(HERE / "mkdocs.yml"),
        "docs_dir": str(folder / language),
        "site_description": _DESCRIPTIONS[language],
        "nav": [
            {chinese if language == "zh" else english: [f"{page}.md" for page in pages]}
            for english, chinese, pages in SECTIONS
        ],
        "theme": {
            "language": language,
            "custom_dir": str(HERE / "theme"),
            "palette": [
                {
                    "media": f"(prefers-color-scheme: {'light' if scheme == 'default' else 'dark'})",
                    "scheme": scheme,
                    "primary": "blue grey",
                    "accent": "teal",
                    "toggle": {"icon": icon, "name": chinese if language == "zh" else english},
                }
                for scheme, icon, english, chinese in _SCHEMES
            ],
        },
        "extra": {
            # The theme shows `partials/alternate.html` when there is the first of these.
            "alternate": [{"name": _NAMES[other], "link": _ROOTS[other], "lang": other}],
            "other": {"name": _NAMES[other], "locale": other, "root": _ROOTS[other]},
        },
        "plugins": {
            "search": {"lang": "en" if language == "en" else ["zh", "en"], "separator": _SEPARATORS[language]},
            "mkdocstrings": {"handlers": {"python": {"paths": [str(ROOT / "src")]}}},
        },
    }
    return json.dumps(chosen, ensure_ascii=False, indent=2)

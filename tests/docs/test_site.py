"""The site's Markdown in both languages, before MkDocs reads it; CI builds the site itself."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest

from docs.site import elsewhere, option_words, reference_pages, tree
from synfin.host.parameters import PARAMETERS
from synfin.lab.registry import SECTIONS, experiments
from synfin.show.words import LANGUAGES, Language

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
READ_AS_THEY_ARE = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").glob("*.md"))
)
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def without_code(text: str) -> str:
    return CODE.sub("", text)


# --- in the repository


@pytest.mark.parametrize("name", READ_AS_THEY_ARE)
def test_in_the_repository_every_link_leads_to_a_file(name: str) -> None:
    text = without_code((ROOT / name).read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        path = target.partition("#")[0]
        if path and "://" not in path:
            assert (ROOT / dirname(name) / path).exists(), target


@pytest.mark.parametrize("name", [name for name in READ_AS_THEY_ARE if name.endswith((".zh.md", ".zh-CN.md"))])
def test_chinese_leaves_a_space_before_and_after_latin_letters(name: str) -> None:
    text = LINK.sub("]", without_code((ROOT / name).read_text(encoding="utf-8")))
    assert re.findall(r"[\u4e00-\u9fff][A-Za-z]\w*|\w*[A-Za-z][\u4e00-\u9fff]", text) == []


@pytest.mark.parametrize("name", [name for name in READ_AS_THEY_ARE if name.endswith((".zh.md", ".zh-CN.md"))])
def test_chinese_leads_on_to_chinese(name: str) -> None:
    """But for the link to the page itself in English."""
    for target in LINK.findall(without_code((ROOT / name).read_text(encoding="utf-8"))):
        path = ROOT / dirname(name) / target.partition("#")[0]
        chinese = path.with_name(path.name.removesuffix(".md") + ".zh.md")
        if path.suffix == ".md" and not path.name.endswith(".zh.md") and chinese.resolve() != (ROOT / name).resolve():
            assert not chinese.exists(), target


def test_both_languages_tell_of_the_same_files_of_the_house() -> None:
    """Table by table, and row by row."""

    def named(page: str) -> list[list[str]]:
        lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
        return [re.findall(r"`([^`]+)`", line) for line in lines if line.startswith(("| ", "## ", "### "))]

    assert named("architecture.md") == named("architecture.zh.md")


def test_the_pages_of_the_house_name_files_that_there_are() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(?:[\w/]*/)?(\w+\.(?:py|lark))`", text))
    there = {path.name for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".lark"}}
    assert names - there - {"tun.py"} == set()


@pytest.mark.parametrize("name", [name for name in READ_AS_THEY_ARE if name.endswith(".zh.md")])
def test_both_languages_show_the_same_code_and_figures(name: str) -> None:
    """But for comments and docstrings, and for output, which has a language."""

    def shown(page: str) -> list[str]:
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        code = [
            re.sub(r"(?:#|//).*|\"\"\".*?\"\"\"", "", block.replace(" --lang zh", ""))
            for kind, block in blocks
            if kind != "text"
        ]
        return [re.sub(r"\blanguage=\"zh\"|\s+", "", one) for one in code]

    def figures(page: str) -> list[list[str]]:
        rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        return [sorted(re.findall(r"[0-9]+(?:\.[0-9]+)?", line)) for line in rows]

    english = name.removesuffix(".zh.md") + ".md"
    assert shown(name) == shown(english)
    assert figures(name) == figures(english)


# --- as a tree


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


@pytest.fixture(scope="module")
def files(language: Language) -> dict[str, str]:
    return tree.files(language)


def test_every_page_stands_in_one_menu(files: dict[str, str]) -> None:
    named = Counter(f"{page}.md" for _, _, pages in tree.SECTIONS for page in pages)
    assert named == Counter(path for path in files if path.endswith(".md"))


def test_on_the_site_every_link_leads_to_a_page_or_picture(files: dict[str, str]) -> None:
    for source, text in files.items():
        if source.endswith(".md"):
            for target in LINK.findall(without_code(text)):
                path = target.partition("#")[0]
                if path and "://" not in path:
                    assert normpath(join(dirname(source), path)) in files, f"{source}: {target}"


def test_a_page_says_that_it_has_no_chinese_and_only_then(files: dict[str, str], language: Language) -> None:
    sources = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.zh.md")}
    for path, text in files.items():
        if path.endswith(".md") and path.removesuffix(".md") + ".zh.md" in sources:
            assert "还没有中文版" not in text, path
    english = {path for path, text in files.items() if "还没有中文版" in text}
    assert english == set() if language == "en" else {"conformance.md", "reference/python/sim.md"} <= english


def test_the_lab_shows_every_question_with_its_answer_and_pictures(files: dict[str, str]) -> None:
    for section in SECTIONS:
        page = files[f"lab/{section.room}.md"]
        assert page.startswith(f"# {section.letter}. ")
        for one in experiments(section):
            assert f"{{#{one.row.lower()}}}" in page
            assert f"{{#{one.row.lower()}-answer}}" in page
            assert f"[{one.row}]({section.room}.md#{one.row.lower()})" in files["lab/index.md"]
            for world in one.worlds:
                if world.picture != "none":
                    assert f"]({one.row.lower()}-{world.name}-1." in page
        assert "✗" not in page


def test_the_reference_has_every_parameter_and_option(files: dict[str, str]) -> None:
    for name in PARAMETERS:
        assert f"| `{name.rpartition('.')[2]}` |" in files["reference/parameters.md"]
    for name in option_words.OPTION_WORDS:
        assert f"| `{name}` |" in files["reference/options.md"]


def test_the_reference_tells_what_can_be_read_and_set() -> None:
    answers = reference_pages.answers()
    assert {name for _, name in answers} == set(option_words.OPTION_WORDS)
    assert answers["SOL_SOCKET", "SO_ERROR"] == (True, False)
    assert answers["SOL_SOCKET", "SO_SNDBUFFORCE"] == (False, True)
    assert answers["IPPROTO_TCP", "TCP_CONGESTION"] == (True, True)


@pytest.mark.parametrize(
    ("source", "markdown", "on_site"),
    [
        ("drill.md", "[more](explain.md#how-fast)", "[more](explain.md#how-fast)"),
        ("guides/programs.zh.md", "[图](../pictures.zh.md)", "[图](../pictures.md)"),
        ("index.md", "[how](../CONTRIBUTING.md)", "[how](contributing.md)"),
        ("contributing.md", "[house](docs/architecture.md)", "[house](architecture.md)"),
        ("examples.zh.md", "[English](README.md) ...", "[English](examples.md) ..."),
        ("conformance.md", "[a test](../tests/test_rows.py)", "a test"),
        ("index.md", "```\n[x](../y.py)\n```", "```\n[x](../y.py)\n```"),
    ],
)
def test_links_are_mended(source: str, markdown: str, on_site: str) -> None:
    assert tree.mended(markdown, source) == on_site


# --- what a browser would fetch


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.html", '<script src="https://cdn.example.org/x.js"></script>'),
        ("index.html", '<link rel="stylesheet" href="//fonts.example.org/css">'),
        ("index.html", '<p style="background: url(https://example.org/x.png)">'),
        ("site.css", '@import "https://example.org/x.css";'),
        ("site.css", "a { background: url('//example.org/x.png') }"),
        ("picture.svg", '<svg xmlns="http://www.w3.org/2000/svg"><image href="https://example.org/x.png"/></svg>'),
        ("program.js", 'import("https://example.org/x.js")'),
    ],
)
def test_what_would_be_fetched_from_elsewhere_is_found(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert [one.partition(":")[0] for one in elsewhere.fetched(tmp_path)] == [name]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.html", '<a href="https://example.org/">elsewhere</a> <script src="x.js"></script>'),
        ("picture.svg", '<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("program.js", "/* https://example.org/licence */ a = b //c.d"),
    ],
)
def test_what_is_only_followed_or_named_is_not(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert elsewhere.fetched(tmp_path) == []


def test_scripts_of_the_theme_lose_the_addresses_of_other_hosts(tmp_path: Path) -> None:
    script = tmp_path / "bundle.js"
    script.write_text('load("https://unpkg.com/mermaid@11/dist/mermaid.min.js"); ns("http://www.w3.org/2000/svg")')
    elsewhere.cut(tmp_path)
    assert script.read_text() == 'load("about:blank"); ns("http://www.w3.org/2000/svg")'

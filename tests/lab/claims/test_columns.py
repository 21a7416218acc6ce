"""Running text in columns: no line is wider than it may be, and no word is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from synfin.lab.claims.columns import NO_BREAK, beside, wrap


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 13, ["one two three"]),
        ("", 5, []),
        ("a verylongword b", 4, ["a", "verylongword", "b"]),
        ("三次握手完成。", 8, ["三次握手", "完成。"]),
        # Punctuation neither begins a line nor, if it opens, ends one.
        ("握手，完成", 6, ["握手，", "完成"]),
        ("握手，完成", 4, ["握", "手，", "完成"]),
        ("见了《握手》", 6, ["见了", "《握", "手》"]),
        ("见《握手》", 6, ["见《握", "手》"]),
        ("等待 SYN 到达", 8, ["等待 SYN", "到达"]),
        # A number and its unit stay together.
        ("after 131 s it ends", 9, ["after", "131 s it", "ends"]),
        (f"RFC{NO_BREAK}9293 here", 6, ["RFC 9293", "here"]),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


@given(st.text(alphabet="ab ，。（）三次握手x=+1", max_size=60), st.integers(12, 40))
def test_nothing_is_lost_and_nothing_too_wide(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    for line in lines:
        # One unit may be wider than a line; it stands alone.
        assert cell_len(line) <= width or len(wrap(line, 1)) == 1


def test_columns_stand_beside_one_another() -> None:
    assert list(beside([["一", "b"], ["c"]], 3)) == ["一  │ c", "b   │"]

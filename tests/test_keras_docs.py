"""The tables of docs/keras.md are those of the registry."""

from __future__ import annotations

import pathlib

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "keras.md"


def with_tables(page: str) -> str:
    from lstm_rt.converters.keras.table import page_parts

    for mark, text in page_parts().items():
        before, found, rest = page.partition(f"<!-- {mark} -->")
        _, end, after = rest.partition("<!-- end -->")
        assert found, mark
        assert end, mark
        gap = "\n" if "\n" in text else ""
        page = before + found + gap + text + gap + end + after
    return page


def test_tables_are_current() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_tables(page), "run: python tests/test_keras_docs.py"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")

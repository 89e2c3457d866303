"""The tables of docs/keras.md are those of the registry."""

from __future__ import annotations

import pathlib
import re

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "keras.md"


def with_tables(page: str) -> str:
    from lstm_rt.converters.keras.table import page_parts

    for mark, text in page_parts().items():
        gap = "\n" if "\n" in text else ""
        pattern = rf"<!-- {mark} -->.*?<!-- end -->"
        assert re.search(pattern, page, re.DOTALL), mark
        page = re.sub(
            pattern, lambda _, m=mark, t=text, g=gap: f"<!-- {m} -->{g}{t}{g}<!-- end -->", page, flags=re.DOTALL
        )  # type: ignore[misc]
    return page


def test_tables_are_current() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_tables(page), "run: python tests/test_keras_docs.py"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")

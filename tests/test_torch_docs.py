"""The table of docs/pytorch-export.md is that of the registry."""

from __future__ import annotations

import pathlib

import pytest
from lstm_rt.converters.torch.table import fill

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "pytorch-export.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not beside the tests")
def test_the_table_is_that_of_the_registry() -> None:
    page = PAGE.read_text(encoding="utf-8")
    full = fill(page)
    if full != page:
        PAGE.with_suffix(".md.new").write_text(full, encoding="utf-8")
    assert full == page, f"the table is old: put {PAGE.name}.new in its place"

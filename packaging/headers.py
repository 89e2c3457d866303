"""Headers of this machine's Python and numpy, for a processor whose types have other sizes."""

from __future__ import annotations

import pathlib
import re
import shutil

_FOUR = "LONG|SIZE_T|VOID_P|UINTPTR_T|PTHREAD_T|TIME_T|PY_INTPTR_T|INTP|UINTP"


def for_bits(bits: int, headers: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    """The headers themselves for 64 bits; for 32 a copy in `to`, with the sizes that types have there."""
    if bits == 64:
        return headers
    shutil.copytree(headers, to, dirs_exist_ok=True)
    for file in [*to.rglob("pyconfig.h"), *to.rglob("_numpyconfig.h")]:
        text = file.read_text()
        text = re.sub(rf"(define (?:NPY_)?(?:SIZEOF|ALIGNOF)_(?:{_FOUR})) 8\b", r"\1 4", text)
        text = re.sub(r"(define (?:NPY_)?SIZEOF_LONG_?DOUBLE) 16\b", r"\1 8", text)
        text = re.sub(r"(define NPY_SIZEOF_COMPLEX_LONG_?DOUBLE) 32\b", r"\1 16", text)
        file.write_text(text.replace("#define HAVE_GCC_UINT128_T 1", ""))
    return to

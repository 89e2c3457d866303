"""The handlers, one for each op. Importing this package registers them."""

from __future__ import annotations

from . import (  # noqa: F401
    arrange,
    constants,
    control_flow,
    conv,
    elementwise,
    fused,
    indexing,
    matmul,
    norms,
    pad,
    quantized,
    recurrent,
    reduce,
    resize,
    sequences,
    shape,
    slice,
    sorting,
)

"""The handlers, one for each op. Importing this package registers them."""

from __future__ import annotations

from . import (  # noqa: F401
    constants,
    control_flow,
    conv,
    elementwise,
    fused,
    matmul,
    norms,
    pad,
    recurrent,
    reduce,
    shape,
    slice,
)

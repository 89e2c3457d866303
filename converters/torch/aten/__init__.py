"""The handlers of aten's operators, sorted as in src/ops; importing this registers them."""

from . import (  # noqa: F401
    activations,
    arithmetic,
    attention,
    cells,
    compare,
    conv,
    create,
    identity,
    index,
    matmul,
    norm,
    pool,
    recurrent,
    reduce,
    resize,
    scans,
    shape,
    slices,
    symbols,
)

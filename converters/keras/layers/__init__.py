"""The handlers of layers, by family."""

from . import (  # noqa: F401
    activation,
    attention,
    conv,
    core,
    merge,
    movement,
    norm,
    operations,
    pooling,
    recurrent,
    resize,
    tensorflow,
    wrappers,
)

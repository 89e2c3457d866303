"""The handlers of layers, by family."""

from . import (  # noqa: F401
    activation,
    attention,
    conv,
    core,
    merge,
    norm,
    operations,
    pooling,
    recurrent,
    resize,
    wrappers,
)

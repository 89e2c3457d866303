"""Arrays as the core reads them: checked against the dtype that the model declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from lstm_rt.errors import ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

Array = np.ndarray[Any, np.dtype[Any]]  # importing numpy.typing would cost milliseconds for one name


def as_array(value: npt.ArrayLike, name: str, dtype: Optional[np.dtype[Any]]) -> Array:
    """Return a C-contiguous array of the declared dtype.

    Python numbers and lists are converted to the declared dtype. Arrays keep their dtype, because a silent cast would
    hide a scale or a loss of precision; a scalar array may have another width of the same kind.

    Parameters
    ----------
    value : array_like
        What the caller gave.
    name : str
        The input's name, for messages.
    dtype : numpy.dtype or None
        The declared dtype, or None if the model does not declare one.

    Returns
    -------
    numpy.ndarray
        `value` itself if it can be read in place, otherwise a copy.

    Raises
    ------
    ShapeError
        If `value` is not an array of numbers, or has another dtype.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.ndim == 0 and dtype is not None and np.can_cast(array.dtype, dtype, "same_kind"):
            array = array.astype(dtype)
    else:
        array = _from_list(value, name, dtype)
    if dtype is not None and array.dtype != dtype:
        raise ShapeError(
            f"input '{name}' is {array.dtype}{list(array.shape)}, expected {dtype}. Convert it: x.astype('{dtype}')"
        )
    return np.require(array, requirements=["C", "ALIGNED"])


def _from_list(value: npt.ArrayLike, name: str, dtype: Optional[np.dtype[Any]]) -> Array:
    """Make an array of Python numbers. Those that the declared dtype cannot hold are refused, as None and text are."""
    wanted = dtype or "numbers"
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:  # ragged
        raise ShapeError(f"input '{name}' cannot be made an array of {wanted}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise ShapeError(f"input '{name}' cannot be made an array of {wanted}: it holds {array.dtype}, not numbers.")
    if dtype is None or array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(cast, array):
        raise ShapeError(f"input '{name}' holds numbers that {dtype} cannot hold.")
    return cast

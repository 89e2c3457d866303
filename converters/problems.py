"""What is wrong with a model, collected: a user hears of everything at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable

from lstm_rt.errors import Error, UnsupportedModelError


class Refusal(Exception):  # noqa: N818
    """What is wrong with one part of a model, and what to do about it."""


@contextlib.contextmanager
def place(where: str) -> Iterator[None]:
    """Record the reader's place in a file for the message of an unforeseen exception.

    Parameters
    ----------
    where : str
        The place, for example "layer 'lstm_1'".
    """
    try:
        yield
    except (Error, Refusal):
        raise
    except Exception as error:
        with contextlib.suppress(AttributeError):  # a few types of C code take no attributes
            error.lstm_rt_places = [where, *places_of(error)]  # type: ignore[attr-defined]
        raise


def places_of(error: Exception) -> list[str]:
    """List the places that an exception passed, the outermost first.

    Parameters
    ----------
    error : Exception
        An exception that may have passed through `place`.

    Returns
    -------
    list of str
        Empty if the exception passed through no `place`.
    """
    return list(getattr(error, "lstm_rt_places", []))


class Problems:
    """The refusals of one conversion.

    Examples
    --------
    >>> problems = Problems()
    >>> def work():
    ...     raise Refusal("no such layer. Remove it.")
    >>> problems.attempt("layer 'a' (Lambda)", work)
    False
    >>> problems.found
    ["layer 'a' (Lambda): no such layer. Remove it."]
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def attempt(self, where: str, work: Callable[[], object]) -> bool:
        """Do some work, and keep what it refuses.

        Parameters
        ----------
        where : str
            What the user knows the part as: name, kind, place.
        work : callable
            Raises `Refusal` where the part cannot run.

        Returns
        -------
        bool
            Whether the work was done.
        """
        try:
            with place(where):
                work()
        except Refusal as refusal:
            self.found.append(f"{where}: {refusal}")
            return False
        return True

    def raise_if_any(self, source: str) -> None:
        """Refuse the model if anything was found.

        Parameters
        ----------
        source : str
            What was converted, as the user knows it (``decoder.onnx``).

        Raises
        ------
        UnsupportedModelError
            With all that was found.
        """
        if self.found:
            raise UnsupportedModelError.collected(source, self.found)

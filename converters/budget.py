"""Limits what one conversion may read and allocate. Every reader charges its budget before it allocates.

The limit follows the size of the source, since a trained model hardly compresses: a small file that asks for a lot of
memory is damaged, or made to fill the memory.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from lstm_rt.errors import ArgumentError, ModelFileError

PER_SOURCE_BYTE = 16
BASE_BYTES = 256 << 20
BYTES_PER_SECOND = 4 << 20  # 64 s for a small file: a limit for files that never end, not for slow machines
BYTES_PER_ITEM = 64
MAX_DEPTH = 96  # Python's own stack takes several times as much
_SPENDS_PER_LOOK = 64  # at the clock


class Budget:
    """What is left for reading one source.

    Parameters
    ----------
    max_bytes : int, optional
        The most bytes that reading may take: 16 times the source's size and 256 MiB when left out. The number of items
        and the processor time that are allowed grow with it.

    Raises
    ------
    ArgumentError
        If `max_bytes` is not a positive integer.

    Examples
    --------
    >>> with Budget(4 << 30).use():  # doctest: +SKIP
    ...     graph = from_onnx("model.onnx")
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        if max_bytes is not None and (isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1):
            raise ArgumentError(f"max_read_bytes is {max_bytes!r}, expected a positive integer, or None.")
        self._max_bytes = max_bytes
        self._source_bytes = 0
        self._files: set[object] = set()
        self._bytes = 0
        self._items = 0
        self._spends = 0
        self._started: float | None = None

    @property
    def max_bytes(self) -> int:
        """Return the most bytes that reading may take.

        Returns
        -------
        int
            The given limit, or 16 times the bytes of all sources so far and 256 MiB.
        """
        return self._max_bytes or BASE_BYTES + PER_SOURCE_BYTE * self._source_bytes

    def add_source(self, size: int, file: object = None) -> None:
        """Note that the source has `size` more bytes, which raises the limit. The clock starts with the first.

        Parameters
        ----------
        size : int
            Bytes that are stored.
        file : hashable, optional
            Identifies a file, which counts once.
        """
        if file is None or file not in self._files:
            self._source_bytes += size
            self._files.add(file)
        if self._started is None:
            self._started = time.thread_time()

    def check(self, size: int, where: str) -> None:
        """Refuse what would not fit, and charge nothing.

        Parameters
        ----------
        size : int
            Bytes.
        where : str
            The part of the source, for the message.

        Raises
        ------
        ModelFileError
            If the budget has fewer bytes left.
        """
        if self._bytes + size > self.max_bytes:
            raise self._exceeded(where, f"it claims {size} bytes. Reading it")

    def spend(self, size: int, where: str, items: int = 1) -> None:
        """Charge bytes and items, before they are allocated.

        Parameters
        ----------
        size : int
            Bytes.
        where : str
            The part of the source, for the message.
        items : int, default 1
            Objects of any kind.

        Raises
        ------
        ModelFileError
            If the budget has fewer left, or its time is over.
        """
        self.check(size, where)
        self._bytes += size
        self._items += items
        if self._items > self.max_bytes // BYTES_PER_ITEM:
            raise self._exceeded(where, f"its {self._items} parts are too many: reading")
        self._spends += 1
        if self._spends % _SPENDS_PER_LOOK == 0:
            self._look_at_the_clock(where)

    @contextlib.contextmanager
    def use(self) -> Iterator[Budget]:
        """Make this the budget of all that is read inside the ``with`` block."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def _look_at_the_clock(self, where: str) -> None:
        allowed = self.max_bytes / BYTES_PER_SECOND
        if self._started is not None and time.thread_time() - self._started > allowed:
            raise self._exceeded(where, f"reading has taken {allowed:.0f} s of processor time, which")

    def _exceeded(self, where: str, what: str) -> ModelFileError:
        files = f"its {self._source_bytes} bytes allow" if self._max_bytes is None else "max_read_bytes allows"
        return ModelFileError(
            f"{where}: {what} takes more than {files} ({self.max_bytes} bytes). The file is damaged, or was made to "
            "fill the memory. If you trust it, raise the limit: max_read_bytes (--max-read-bytes)."
        )


_current: ContextVar[Budget | None] = ContextVar("lstm_rt_budget", default=None)


def current() -> Budget:
    """Find the budget of the conversion that is going on; a new one outside of any.

    Returns
    -------
    Budget
        To be charged.
    """
    return _current.get() or Budget()


@contextlib.contextmanager
def one_budget() -> Iterator[Budget]:
    """Use the budget of the conversion that is going on, or begin one."""
    budget = _current.get()
    if budget is not None:
        yield budget
        return
    with Budget().use() as budget:
        yield budget

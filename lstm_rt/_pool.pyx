# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False
"""`Pool`: many streams of one model, stepped in any subset as one batch."""

cimport cython
cimport numpy as cnp
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from lstm_rt._stepper cimport RELEASE_GIL_FROM, Options, Slot, Stepper, array_of, check, describe, fill, state_arrays
from lstm_rt.capi cimport *

import operator
from collections.abc import Iterable

import numpy as np

from lstm_rt import errors
from lstm_rt.text import one_line

cnp.import_array()

cdef object _MAKING = object()  # no Python code has it, so none makes a pool without a handle


cdef class Pool(Stepper):
    """Many streams of one model, stepped in any subset as one batch. Made by `Model.pool`.

    Every stream keeps its own state and gives the bits of a `Stream` stepped alone. ``len(pool)`` is how many are open.
    A pool belongs to one thread at a time.

    Examples
    --------
    >>> pool = lstm_rt.load("vad.onnx").pool(capacity=64)  # doctest: +SKIP
    >>> a, b = pool.open(), pool.open()  # doctest: +SKIP
    >>> probabilities = pool.step([a, b], frames)  # doctest: +SKIP
    >>> pool.close(a)  # doctest: +SKIP
    """

    cdef lrt_pool* _pool
    cdef int64_t* _ids  # as C integers, where they come in a list
    cdef size_t _capacity, _rows  # _rows: those that the slots are filled for
    cdef int* _in_axes
    cdef int* _out_axes

    def __cinit__(self, making=None):
        if making is not _MAKING:
            raise TypeError("a pool is made by Model.pool()")

    def __dealloc__(self):
        lrt_pool_free(self._pool)
        free(self._ids)
        free(self._in_axes)
        free(self._out_axes)

    def __reduce__(self):
        raise TypeError("a Pool cannot be pickled. Keep pool.state(id) of its streams, and set them in a new pool")

    def __len__(self):
        return lrt_pool_size(self._pool)

    @property
    def capacity(self):
        """How many streams can be open at once."""
        return self._capacity

    def open(self):
        """Open a stream, before its first step.

        Returns
        -------
        int
            Its id, by which it is stepped and closed. No id is given twice.

        Raises
        ------
        StateError
            If as many streams are open as the pool has room for.
        """
        cdef int64_t id
        cdef lrt_error error
        self._take_hold()
        status = lrt_pool_open(self._pool, &id, &error)
        self._hold.give()
        check(status, &error)
        return id

    def close(self, id):
        """Close a stream. Another can be opened in its place.

        Parameters
        ----------
        id : int
            What `open` returned.

        Raises
        ------
        StateError
            If no such stream is open.
        """
        cdef int64_t number = _id_of(id)
        cdef lrt_error error
        self._take_hold()
        status = lrt_pool_close(self._pool, number, &error)
        self._hold.give()
        check(status, &error)

    def reset(self, id):
        """Set the state of a stream back to what it was before its first step.

        Parameters
        ----------
        id : int
            What `open` returned.

        Raises
        ------
        StateError
            If no such stream is open.
        """
        cdef int64_t number = _id_of(id)
        cdef lrt_error error
        self._take_hold()
        status = lrt_pool_reset(self._pool, number, &error)
        self._hold.give()
        check(status, &error)

    def step(self, ids, frames, *more, out=None):
        """Run the model on the next frame of several streams at once.

        Parameters
        ----------
        ids : sequence of int or numpy.ndarray of int64
            The streams to step, each once.
        frames : array_like or tuple of array_like
            The next frame of each, one row for each id along the batch axis, of the dtype of the first of `inputs`. A
            tuple holds one such array for each of `inputs`.
        *more : array_like
            The others of `inputs`, in order, where there are several and `frames` is no tuple.
        out : numpy.ndarray or tuple of numpy.ndarray, optional
            Where to write: C-contiguous arrays of the shape and dtype of the results, one for each of `outputs`, apart
            from the frames in memory. With it a step allocates nothing.

        Returns
        -------
        numpy.ndarray or tuple of numpy.ndarray
            One array for each of `outputs`, with one row for each id: `out` where it was given, else new arrays.

        Raises
        ------
        StateError
            If an id is not open, or another thread is using this pool. All states are as before.
        ArgumentError
            If an id is there twice. All states are as before.
        ShapeError
            If frames or `out` do not fit; the message says what is wanted. All states are as before.
        UnsupportedModelError
            At the first step, if the rows of a batch turn out not to be independent.

        Examples
        --------
        >>> y = np.empty((len(ids), 1), np.float32)  # doctest: +SKIP
        >>> pool.step(ids, frames, out=y)  # doctest: +SKIP
        """
        cdef lrt_error error
        cdef lrt_status status
        cdef size_t rows
        self._take_hold()
        try:
            if type(frames) is tuple and self._in_count > 1 and len(more) == 0 and len(frames) > 0:
                frames, more = frames[0], frames[1:]
            rows = self._read_ids(ids)
            if self._prepared and rows != self._rows:
                self._set_rows(rows)
            if not self._all_fit(frames, more):
                self._rows = rows
                self._prepared = False  # until these are
                frames, more = self._take(frames, more)
            self._point_in(frames, more)
            out = self._point_out(out)
            if self._macs * rows >= RELEASE_GIL_FROM:
                with nogil:
                    status = lrt_pool_step(self._pool, self._ids, rows, self._in_data, self._out_data, &error)
            else:
                status = lrt_pool_step(self._pool, self._ids, rows, self._in_data, self._out_data, &error)
            check(status, &error)
            return out
        finally:
            self._hold.give()

    # Copies them to _ids: what was checked must be what is stepped, whoever writes to a list or array meanwhile.
    @cython.boundscheck(True)  # reading an id may run Python code, which may shorten the list
    cdef size_t _read_ids(self, object ids) except 0:
        cdef size_t i, count
        cdef bint numbers = _is_id_array(ids)
        if not numbers and type(ids) is not list and type(ids) is not tuple:
            ids = _ids_of(ids)
        count = len(ids)
        if count == 0:
            raise errors.ArgumentError("a step needs at least one id")
        if count > self._capacity:
            raise errors.ArgumentError(f"a step of {count} streams, of which this pool has {self._capacity} at most")
        if numbers:
            memcpy(self._ids, cnp.PyArray_DATA(<cnp.ndarray>ids), count * sizeof(int64_t))
            return count
        for i in range(count):
            self._ids[i] = _id_of(ids[i])
        return count

    cdef int _set_rows(self, size_t rows) except -1:
        cdef int i
        for i in range(self._in_count):
            _set_rows(&self._in_slots[i], self._in_axes[i], self._rows, rows)
        for i in range(self._out_count):
            _set_rows(&self._out_slots[i], self._out_axes[i], self._rows, rows)
        self._rows = rows
        return 0

    cdef int _prepare(self, lrt_array* arrays) except -1:
        cdef int i
        cdef lrt_error error
        cdef lrt_port port
        check(lrt_pool_prepare(self._pool, arrays, self._in_count, self._rows, &error), &error)
        for i in range(self._in_count):
            self._in_axes[i] = lrt_pool_input_axis(self._pool, i)
        for i in range(self._out_count):
            lrt_pool_output_port(self._pool, i, &port)
            self._out_axes[i] = lrt_pool_output_axis(self._pool, i)
            port.shape.dims[self._out_axes[i]] *= <int64_t>self._rows
            fill(&self._out_slots[i], port.dtype, &port.shape)
        self._macs = lrt_pool_macs(self._pool)
        return 0

    def state(self, id):
        """State of one stream.

        Parameters
        ----------
        id : int
            What `open` returned.

        Returns
        -------
        dict of str to numpy.ndarray
            State by name, as new arrays: what `Stream.state` has.

        Raises
        ------
        StateError
            If no such stream is open.
        """
        cdef int64_t number = _id_of(id)
        self._take_hold()
        try:
            return self._state(number)
        finally:
            self._hold.give()

    def set_state(self, id, values):
        """Set the state of one stream, to go on from there.

        Parameters
        ----------
        id : int
            What `open` returned.
        values : mapping of str to array_like
            Every state, as `state` gives them.

        Raises
        ------
        StateError
            If no such stream is open, or the names are not those of its states.
        ShapeError
            If an array does not fit. The state is as before.
        """
        cdef int64_t number = _id_of(id)
        self._take_hold()
        try:
            before = self._state(number)
            self._set_state(number, before, state_arrays(list(before), values))
        finally:
            self._hold.give()

    cdef dict _state(self, int64_t id):
        cdef size_t i
        cdef lrt_port port
        cdef const void* data
        cdef lrt_error error
        result = {}
        for i in range(lrt_pool_state_count(self._pool)):
            check(lrt_pool_state(self._pool, id, i, &port, &data, &error), &error)
            result[port.name.decode()] = array_of(&port, data)
        return result

    # All of it, or where an array does not fit, none.
    cdef int _set_state(self, int64_t id, dict before, list arrays) except -1:
        cdef size_t i
        cdef lrt_array array
        cdef lrt_error error
        for i, name in enumerate(before):
            try:
                array = describe(arrays[i], name)
                check(lrt_pool_set_state(self._pool, id, i, &array, &error), &error)
            except errors.Error:
                if i > 0:
                    self._set_state(id, before, list(before.values()))
                raise
        return 0

    def __repr__(self):
        ports = one_line(f"{', '.join(self._inputs)} -> {', '.join(self._outputs)}")
        return f"<lstm_rt.Pool: {ports}; {len(self)} of {self._capacity} streams open>"


cdef inline bint _is_id_array(object ids):
    return type(ids) is cnp.ndarray and cnp.PyArray_NDIM(<cnp.ndarray>ids) == 1 and \
        cnp.PyArray_TYPE(<cnp.ndarray>ids) == cnp.NPY_INT64 and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>ids)


# Ids that come in neither a list nor an array of int64.
cdef object _ids_of(object ids):
    if isinstance(ids, np.ndarray) and (ids.ndim != 1 or ids.dtype.kind not in "iu"):
        raise errors.ArgumentError(f"ids are an array {ids.dtype}{list(ids.shape)}, wanted integers in one dimension")
    if not isinstance(ids, Iterable):
        raise errors.ArgumentError(f"ids are a {type(ids).__name__}, wanted a sequence of integers")
    return list(ids)


cdef inline int64_t _id_of(object id) except? -1:
    cdef int64_t number
    cdef int too_large = 0
    if type(id) is int:
        number = PyLong_AsLongLongAndOverflow(id, &too_large)
        if not too_large:
            return number
    return _index_of(id)


# Numbers of numpy and the like; apart, so that the loop over ids stays small.
cdef int64_t _index_of(object id) except? -1:
    try:
        return operator.index(id)
    except TypeError:
        raise errors.ArgumentError(f"an id is a {type(id).__name__}, wanted the integer that open() returned") from None
    except OverflowError:
        raise errors.ArgumentError("an id has more than 64 bits, wanted the integer that open() returned") from None


cdef inline void _set_rows(Slot* slot, int axis, size_t before, size_t rows) noexcept:
    slot.dims[axis] = slot.dims[axis] // <cnp.npy_intp>before * <cnp.npy_intp>rows
    slot.bytes = slot.bytes // before * rows


def open_pool(model, size_t handle, bindings, freeze, size_t capacity, int threads):
    """Make a pool. For `Model.pool`, which checks and resolves the names.

    Parameters
    ----------
    model : Model
        The model, kept alive by the pool.
    handle : int
        Its ``lrt_model*``.
    bindings : list of (int, int) or None
        Input and output numbers; None for those of the file.
    freeze : dict of int to numpy.ndarray
        Values by input number.
    capacity : int
        How many streams can be open at once.
    threads : int
        Cores that share a step.

    Returns
    -------
    Pool
        The pool.
    """
    cdef lrt_error error
    cdef Options options = Options(model, bindings, freeze, 1, threads)
    cdef Pool pool = Pool.__new__(Pool, _MAKING)
    check(lrt_pool_create(<lrt_model*>handle, &options.c, capacity, &pool._pool, &error), &error)
    pool._capacity = capacity
    pool._name(model, [lrt_pool_input(pool._pool, i) for i in range(lrt_pool_input_count(pool._pool))],
               [lrt_pool_output(pool._pool, i) for i in range(lrt_pool_output_count(pool._pool))])
    pool._ids = <int64_t*>calloc(capacity, sizeof(int64_t))
    pool._in_axes = <int*>calloc(max(1, pool._in_count), sizeof(int))
    pool._out_axes = <int*>calloc(max(1, pool._out_count), sizeof(int))
    if pool._ids == NULL or pool._in_axes == NULL or pool._out_axes == NULL:
        raise MemoryError
    return pool

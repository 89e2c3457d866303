# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False
"""`Stream` and `Pool`: a model stepped frame by frame. In Cython, since a step's own work may be less than a Python call's."""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from lstm_rt.capi cimport *

import operator
from collections.abc import Iterable

import numpy as np

from lstm_rt import errors

cnp.import_array()

# Below this many multiply-adds a step is over before another thread could take the GIL and hand it back.
cdef uint64_t _RELEASE_GIL_FROM = 50_000

_BUSY = "this stream is being stepped by another thread. Use one stream for each thread"

cdef int[6] _TYPE_NUMBERS = [cnp.NPY_FLOAT32, cnp.NPY_INT64, cnp.NPY_INT32, cnp.NPY_BOOL, cnp.NPY_UINT8, cnp.NPY_INT8]
_DTYPES = [np.dtype(name) for name in ("float32", "int64", "int32", "bool", "uint8", "int8")]
_ERRORS = {
    LRT_ERROR_ARGUMENT: errors.ArgumentError,
    LRT_ERROR_UNSUPPORTED: errors.UnsupportedModelError,
    LRT_ERROR_FILE: errors.ModelFileError,
    LRT_ERROR_SHAPE: errors.ShapeError,
    LRT_ERROR_STATE: errors.StateError,
}


cdef int _check(lrt_status status, lrt_error* error) except -1:
    if status == LRT_OK:
        return 0
    raise _ERRORS.get(status, errors.Error)(error.message.decode("utf-8", "replace"))


# What an array of a step must look like.
cdef struct Slot:
    int type_number
    int code  # lrt_dtype
    int rank
    cnp.npy_intp dims[8]
    size_t bytes


cdef void _fill(Slot* slot, int32_t code, const lrt_shape* shape) noexcept:
    cdef int axis
    slot.code = code
    slot.type_number = _TYPE_NUMBERS[code]
    slot.rank = shape.rank
    slot.bytes = 8 if code == LRT_INT64 else 4 if code == LRT_FLOAT32 or code == LRT_INT32 else 1
    for axis in range(shape.rank):
        slot.dims[axis] = shape.dims[axis]
        slot.bytes *= <size_t>shape.dims[axis]


cdef inline bint _fits(const Slot* slot, cnp.ndarray array) noexcept:
    cdef int axis
    if cnp.PyArray_TYPE(array) != slot.type_number or cnp.PyArray_NDIM(array) != slot.rank:
        # int64 has two type numbers on some systems; the slow path settles it
        return False
    for axis in range(slot.rank):
        if cnp.PyArray_DIMS(array)[axis] != slot.dims[axis]:
            return False
    return cnp.PyArray_ISCARRAY_RO(array)


cdef inline bint _overlap(const char* a, size_t a_bytes, const char* b, size_t b_bytes) noexcept:
    return a < b + b_bytes and b < a + a_bytes


cdef lrt_array _describe(cnp.ndarray array, str name) except *:
    cdef lrt_array result
    cdef int axis
    try:
        result.dtype = _DTYPES.index(array.dtype)
    except ValueError:
        raise errors.ShapeError(f"'{name}' is {array.dtype}, wanted one of {', '.join(map(str, _DTYPES))}") from None
    if array.ndim > LRT_MAX_RANK:
        raise errors.ShapeError(f"'{name}' has rank {array.ndim}, at most {LRT_MAX_RANK} is possible")
    result.shape.rank = array.ndim
    for axis in range(array.ndim):
        result.shape.dims[axis] = array.shape[axis]
    result.data = cnp.PyArray_DATA(array)
    return result


cdef object _array_of(const lrt_port* port, const void* data):
    cdef cnp.ndarray array = np.empty([port.shape.dims[axis] for axis in range(port.shape.rank)], _DTYPES[port.dtype])
    if array.nbytes:
        memcpy(cnp.PyArray_DATA(array), data, array.nbytes)
    return array


cdef list _state_arrays(list names, object values):
    if set(values) != set(names):
        raise errors.StateError(f"this stream's state has {names}, was given {list(values)}")
    return [np.require(values[name], requirements=["C", "ALIGNED"]) for name in names]


# What is stepped: the arrays it reads and writes, checked and pointed at.
cdef class _Stepper:
    cdef object _model
    cdef tuple _inputs, _outputs
    cdef int _in_count, _out_count
    cdef Slot* _in_slots
    cdef Slot* _out_slots
    cdef const void** _in_data
    cdef void** _out_data
    cdef uint64_t _macs
    cdef bint _prepared, _busy

    def __dealloc__(self):
        free(self._in_slots)
        free(self._out_slots)
        free(self._in_data)
        free(self._out_data)

    cdef int _name(self, object model, list inputs, list outputs) except -1:
        self._model = model
        self._inputs = tuple([model.inputs[i].name for i in inputs])
        self._outputs = tuple([model.outputs[i].name for i in outputs])
        self._in_count = <int>len(inputs)
        self._out_count = <int>len(outputs)
        self._in_slots = <Slot*>calloc(max(1, self._in_count), sizeof(Slot))
        self._out_slots = <Slot*>calloc(max(1, self._out_count), sizeof(Slot))
        self._in_data = <const void**>calloc(max(1, self._in_count), sizeof(void*))
        self._out_data = <void**>calloc(max(1, self._out_count), sizeof(void*))
        if self._in_slots == NULL or self._out_slots == NULL or self._in_data == NULL or self._out_data == NULL:
            raise MemoryError
        return 0

    @property
    def model(self):
        """The `Model` that is stepped."""
        return self._model

    @property
    def inputs(self):
        """Names of the frames that `step` takes, in order: the model's inputs less those bound or frozen."""
        return self._inputs

    @property
    def outputs(self):
        """Names of what `step` gives, in order: the model's outputs less those bound."""
        return self._outputs

    # The frames can be read as they are, and are planned for.
    cdef inline bint _all_fit(self, frame, tuple more):
        cdef int i
        if not self._prepared or type(frame) is not cnp.ndarray or not _fits(&self._in_slots[0], <cnp.ndarray>frame):
            return False
        if len(more) + 1 != self._in_count:
            return False
        for i in range(1, self._in_count):
            if type(more[i - 1]) is not cnp.ndarray or not _fits(&self._in_slots[i], <cnp.ndarray>more[i - 1]):
                return False
        return True

    # Frames as arrays that the core can read; plans for them where their shapes are new.
    cdef tuple _take(self, frame, tuple more):
        cdef int i
        cdef lrt_array* arrays
        if len(more) + 1 != self._in_count:
            raise errors.ArgumentError(f"a step takes {self._in_count} arrays ({', '.join(self._inputs)}), {len(more) + 1} were given")
        frames = [np.ascontiguousarray(np.asarray(each)) if np.ndim(each) else np.asarray(each) for each in (frame, *more)]
        arrays = <lrt_array*>calloc(self._in_count, sizeof(lrt_array))
        if arrays == NULL:
            raise MemoryError
        try:
            for i in range(self._in_count):
                frames[i] = np.require(frames[i], requirements=["C", "ALIGNED"])
                arrays[i] = _describe(frames[i], self._inputs[i])
            self._prepare(arrays)
            for i in range(self._in_count):
                _fill(&self._in_slots[i], arrays[i].dtype, &arrays[i].shape)
        finally:
            free(arrays)
        self._prepared = True
        return frames[0], tuple(frames[1:])

    # Has the core plan for these, and fills _out_slots and _macs.
    cdef int _prepare(self, lrt_array* arrays) except -1:
        raise NotImplementedError

    cdef inline int _point_in(self, frame, tuple more) except -1:
        cdef int i
        self._in_data[0] = cnp.PyArray_DATA(<cnp.ndarray>frame)
        for i in range(1, self._in_count):
            self._in_data[i] = cnp.PyArray_DATA(<cnp.ndarray>more[i - 1])
        return 0

    # After _point_in. Returns the results: `out`, or new arrays.
    cdef inline object _point_out(self, out):
        cdef int i
        if self._out_count == 1:
            if out is None:
                out = self._new(0)
            elif type(out) is tuple and len(out) == 1:
                self._check_out(0, out[0])
            else:
                self._check_out(0, out)
            self._out_data[0] = cnp.PyArray_DATA(<cnp.ndarray>(out[0] if type(out) is tuple else out))
            return out
        if out is None:
            out = tuple([self._new(i) for i in range(self._out_count)])
        else:
            if not isinstance(out, tuple) or len(out) != self._out_count:
                raise errors.ShapeError(f"out must be a tuple of {self._out_count} arrays, for {', '.join(self._outputs)}")
            for i in range(self._out_count):
                self._check_out(i, out[i])
        for i in range(self._out_count):
            self._out_data[i] = cnp.PyArray_DATA(<cnp.ndarray>out[i])
        return out

    cdef cnp.ndarray _new(self, int i):
        return cnp.PyArray_EMPTY(self._out_slots[i].rank, self._out_slots[i].dims, self._out_slots[i].type_number, 0)

    cdef int _check_out(self, int i, object out) except -1:
        cdef int j
        if type(out) is cnp.ndarray and _fits(&self._out_slots[i], <cnp.ndarray>out) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out):
            for j in range(self._in_count):
                if _overlap(<const char*>self._in_data[j], self._in_slots[j].bytes,
                            <const char*>cnp.PyArray_DATA(<cnp.ndarray>out), self._out_slots[i].bytes):
                    raise errors.ShapeError("out shares memory with a frame. Give it memory of its own")
            return 0
        wanted = f"{_DTYPES[self._out_slots[i].code]}{[self._out_slots[i].dims[j] for j in range(self._out_slots[i].rank)]}"
        if not isinstance(out, np.ndarray):
            raise errors.ShapeError(f"out for '{self._outputs[i]}' is a {type(out).__name__}, wanted a numpy array {wanted}")
        raise errors.ShapeError(
            f"out for '{self._outputs[i]}' is {out.dtype}{list(out.shape)}"
            f"{'' if out.flags.c_contiguous else ', not C-contiguous'}{'' if out.flags.writeable else ', read-only'}, "
            f"wanted {wanted}, C-contiguous and writeable")


cdef class Stream(_Stepper):
    """A model stepped frame by frame, its state kept from step to step. Made by `Model.stream`.

    A stream belongs to one thread at a time; streams of one model share its weights.

    Examples
    --------
    >>> stream = lstm_rt.load("vad.onnx").stream()  # doctest: +SKIP
    >>> for frame in frames:  # doctest: +SKIP
    ...     probability = stream.step(frame)
    """

    cdef lrt_stream* _stream

    def __cinit__(self):
        self._stream = NULL

    def __init__(self):
        raise TypeError("a stream is made by Model.stream()")

    def __dealloc__(self):
        lrt_stream_free(self._stream)

    def __reduce__(self):
        raise TypeError("a Stream cannot be pickled. Keep stream.state, and set it on a new stream")

    @property
    def time_axes(self):
        """Axis of each frame along which time runs, or None where state is bound and nothing had to be proved."""
        cdef int i, axis
        axes = []
        for i in range(self._in_count):
            axis = lrt_stream_time_axis(self._stream, i)
            axes.append(None if axis < 0 else axis)
        return tuple(axes)

    def step(self, frame, *more, out=None):
        """Run the model on the next frame.

        Parameters
        ----------
        frame : array_like
            The next frame, of the shape and dtype of the first of `inputs`. Any number of time steps where that dim is
            free. A C-contiguous array of the right dtype is read where it is; anything else is copied first.
        *more : array_like
            The others of `inputs`, in order, where there are several.
        out : numpy.ndarray or tuple of numpy.ndarray, optional
            Where to write: C-contiguous arrays of the shape and dtype of the results, one for each of `outputs`, apart
            from the frames in memory. With it a step allocates nothing.

        Returns
        -------
        numpy.ndarray or tuple of numpy.ndarray
            One array for each of `outputs`: `out` where it was given, else new arrays.

        Raises
        ------
        ShapeError
            If a frame or `out` does not fit; the message says what is wanted. The state is as before.
        StateError
            If another thread is in a step of this stream.

        Examples
        --------
        >>> y = np.empty((1, 1, 1), np.float32)  # doctest: +SKIP
        >>> stream.step(frame, out=y)  # doctest: +SKIP
        """
        if self._busy:
            raise errors.StateError(_BUSY)
        if not self._all_fit(frame, more):
            frame, more = self._take(frame, more)
        self._point_in(frame, more)
        out = self._point_out(out)
        if self._macs >= _RELEASE_GIL_FROM:
            self._busy = True
            with nogil:
                lrt_stream_step(self._stream, self._in_data, self._out_data)
            self._busy = False
        else:
            lrt_stream_step(self._stream, self._in_data, self._out_data)
        return out

    cdef int _prepare(self, lrt_array* arrays) except -1:
        cdef int i
        cdef lrt_error error
        cdef lrt_port port
        _check(lrt_stream_prepare(self._stream, arrays, self._in_count, &error), &error)
        for i in range(self._out_count):
            lrt_stream_output_port(self._stream, i, &port)
            _fill(&self._out_slots[i], port.dtype, &port.shape)
        self._macs = lrt_stream_macs(self._stream)
        return 0

    def reset(self):
        """Set the state back to what it was before the first step."""
        self._check_idle()
        lrt_stream_reset(self._stream)

    @property
    def state(self):
        """State by name, as new arrays. Set it to go on from there: ``stream.state = saved``."""
        cdef size_t i
        cdef lrt_port port
        cdef const void* data
        cdef lrt_error error
        self._check_idle()
        result = {}
        for i in range(lrt_stream_state_count(self._stream)):
            _check(lrt_stream_state(self._stream, i, &port, &data, &error), &error)
            result[port.name.decode()] = _array_of(&port, data)
        return result

    @state.setter
    def state(self, values):
        cdef size_t i
        cdef lrt_array array
        cdef lrt_error error
        before = self.state
        names = list(before)
        arrays = _state_arrays(names, values)
        for i in range(len(names)):
            array = _describe(arrays[i], names[i])
            try:
                _check(lrt_stream_set_state(self._stream, i, &array, &error), &error)
            except errors.Error:
                if i > 0:
                    self.state = before
                raise

    def clone(self):
        """Make a stream of the same model that goes on from the same state, independently.

        Returns
        -------
        Stream
            The copy.
        """
        cdef lrt_stream* copy = NULL
        cdef lrt_error error
        self._check_idle()
        _check(lrt_stream_clone(self._stream, &copy, &error), &error)
        return _wrap(copy, self._model, self)

    cdef int _check_idle(self) except -1:
        if self._busy:
            raise errors.StateError(_BUSY)
        return 0

    def __repr__(self):
        return f"<lstm_rt.Stream: {', '.join(self._inputs)} -> {', '.join(self._outputs)}>"


cdef Stream _wrap(lrt_stream* handle, object model, Stream like):
    cdef Stream stream = Stream.__new__(Stream)
    cdef size_t i
    stream._stream = handle
    stream._name(model, [lrt_stream_input(handle, i) for i in range(lrt_stream_input_count(handle))],
                 [lrt_stream_output(handle, i) for i in range(lrt_stream_output_count(handle))])
    if like is not None and like._prepared:
        memcpy(stream._in_slots, like._in_slots, stream._in_count * sizeof(Slot))
        memcpy(stream._out_slots, like._out_slots, stream._out_count * sizeof(Slot))
        stream._prepared = True
        stream._macs = like._macs
    return stream


cdef class Pool(_Stepper):
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

    def __cinit__(self):
        self._pool = NULL

    def __init__(self):
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
        self._check_idle()
        _check(lrt_pool_open(self._pool, &id, &error), &error)
        return id

    def close(self, int64_t id):
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
        cdef lrt_error error
        self._check_idle()
        _check(lrt_pool_close(self._pool, id, &error), &error)

    def reset(self, int64_t id):
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
        cdef lrt_error error
        self._check_idle()
        _check(lrt_pool_reset(self._pool, id, &error), &error)

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
            If an id is not open, or another thread is in a step of this pool. All states are as before.
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
        cdef const int64_t* numbers
        cdef size_t rows
        self._check_idle()
        if type(frames) is tuple and self._in_count > 1 and len(more) == 0 and len(frames) > 0:
            frames, more = frames[0], frames[1:]
        if type(ids) is not list and type(ids) is not tuple and not _is_id_array(ids):
            ids = _ids_of(ids)
        if type(ids) is cnp.ndarray:
            rows = cnp.PyArray_DIMS(<cnp.ndarray>ids)[0]
            numbers = <const int64_t*>cnp.PyArray_DATA(<cnp.ndarray>ids)
        else:
            rows = self._read_ids(ids)
            numbers = self._ids
        if rows == 0:
            raise errors.ArgumentError("a step needs at least one id")
        if self._prepared and rows != self._rows:
            self._set_rows(rows)
        if not self._all_fit(frames, more):
            self._rows = rows
            self._prepared = False  # until these are
            frames, more = self._take(frames, more)
        self._point_in(frames, more)
        out = self._point_out(out)
        if self._macs * rows >= _RELEASE_GIL_FROM:
            self._busy = True
            with nogil:
                status = lrt_pool_step(self._pool, numbers, rows, self._in_data, self._out_data, &error)
            self._busy = False
        else:
            status = lrt_pool_step(self._pool, numbers, rows, self._in_data, self._out_data, &error)
        _check(status, &error)
        return out

    cdef size_t _read_ids(self, object ids) except? 0:
        cdef size_t i, count = len(ids)
        if count > self._capacity:
            raise errors.ArgumentError(f"a step of {count} streams, of which this pool has {self._capacity} at most")
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
        _check(lrt_pool_prepare(self._pool, arrays, self._in_count, self._rows, &error), &error)
        for i in range(self._in_count):
            self._in_axes[i] = lrt_pool_input_axis(self._pool, i)
        for i in range(self._out_count):
            lrt_pool_output_port(self._pool, i, &port)
            self._out_axes[i] = lrt_pool_output_axis(self._pool, i)
            port.shape.dims[self._out_axes[i]] *= <int64_t>self._rows
            _fill(&self._out_slots[i], port.dtype, &port.shape)
        self._macs = lrt_pool_macs(self._pool)
        return 0

    def state(self, int64_t id):
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
        cdef size_t i
        cdef lrt_port port
        cdef const void* data
        cdef lrt_error error
        self._check_idle()
        result = {}
        for i in range(lrt_pool_state_count(self._pool)):
            _check(lrt_pool_state(self._pool, id, i, &port, &data, &error), &error)
            result[port.name.decode()] = _array_of(&port, data)
        return result

    def set_state(self, int64_t id, values):
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
        cdef size_t i
        cdef lrt_array array
        cdef lrt_error error
        before = self.state(id)
        names = list(before)
        arrays = _state_arrays(names, values)
        for i in range(len(names)):
            array = _describe(arrays[i], names[i])
            try:
                _check(lrt_pool_set_state(self._pool, id, i, &array, &error), &error)
            except errors.Error:
                if i > 0:
                    self.set_state(id, before)
                raise

    cdef inline int _check_idle(self) except -1:
        if self._busy:
            raise errors.StateError("this pool is being stepped by another thread. Use one pool for each thread")
        return 0

    def __repr__(self):
        return (f"<lstm_rt.Pool: {', '.join(self._inputs)} -> {', '.join(self._outputs)}; "
                f"{len(self)} of {self._capacity} streams open>")


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
    if type(id) is int:
        return id
    try:
        return operator.index(id)
    except TypeError:
        raise errors.ArgumentError(f"an id is a {type(id).__name__}, wanted the integer that open() returned") from None


cdef inline void _set_rows(Slot* slot, int axis, size_t before, size_t rows) noexcept:
    slot.dims[axis] = slot.dims[axis] // <cnp.npy_intp>before * <cnp.npy_intp>rows
    slot.bytes = slot.bytes // before * rows


# lrt_stream_options, and the memory they point to.
cdef class _Options:
    cdef lrt_stream_options c
    cdef size_t* _pairs
    cdef size_t* _indices
    cdef lrt_array* _values
    cdef list _arrays

    def __cinit__(self, model, bindings, freeze, int64_t batch, int threads):
        cdef size_t i
        cdef size_t count = 0 if bindings is None else len(bindings)
        cdef size_t frozen = len(freeze)
        self._pairs = <size_t*>calloc(2 * count + 1, sizeof(size_t))
        self._indices = <size_t*>calloc(frozen + 1, sizeof(size_t))
        self._values = <lrt_array*>calloc(frozen + 1, sizeof(lrt_array))
        if self._pairs == NULL or self._indices == NULL or self._values == NULL:
            raise MemoryError
        for i in range(count):
            self._pairs[2 * i], self._pairs[2 * i + 1] = bindings[i]
        self._arrays = list(freeze.values())
        for i, index in enumerate(freeze):
            self._indices[i] = index
            self._values[i] = _describe(self._arrays[i], model.inputs[index].name)
        self.c.batch = batch
        self.c.threads = threads
        self.c.bind = <const size_t*>NULL if bindings is None else <const size_t*>self._pairs
        self.c.bind_count = count
        self.c.freeze = self._indices
        self.c.freeze_values = self._values
        self.c.freeze_count = frozen

    def __dealloc__(self):
        free(self._pairs)
        free(self._indices)
        free(self._values)


def open_stream(model, size_t handle, bindings, freeze, int64_t batch, int threads):
    """Make a stream. For `Model.stream`, which checks and resolves the names.

    Parameters
    ----------
    model : Model
        The model, kept alive by the stream.
    handle : int
        Its ``lrt_model*``.
    bindings : list of (int, int) or None
        Input and output numbers; None for those of the file.
    freeze : dict of int to numpy.ndarray
        Values by input number.
    batch : int
        Size of the state's free dims.
    threads : int
        Cores that share a step.

    Returns
    -------
    Stream
        The stream.
    """
    cdef lrt_stream* stream = NULL
    cdef lrt_error error
    cdef _Options options = _Options(model, bindings, freeze, batch, threads)
    _check(lrt_stream_create(<lrt_model*>handle, &options.c, &stream, &error), &error)
    return _wrap(stream, model, None)


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
    cdef size_t i
    cdef lrt_error error
    cdef _Options options = _Options(model, bindings, freeze, 1, threads)
    cdef Pool pool = Pool.__new__(Pool)
    _check(lrt_pool_create(<lrt_model*>handle, &options.c, capacity, &pool._pool, &error), &error)
    pool._capacity = capacity
    pool._name(model, [lrt_pool_input(pool._pool, i) for i in range(lrt_pool_input_count(pool._pool))],
               [lrt_pool_output(pool._pool, i) for i in range(lrt_pool_output_count(pool._pool))])
    pool._ids = <int64_t*>calloc(capacity, sizeof(int64_t))
    pool._in_axes = <int*>calloc(max(1, pool._in_count), sizeof(int))
    pool._out_axes = <int*>calloc(max(1, pool._out_count), sizeof(int))
    if pool._ids == NULL or pool._in_axes == NULL or pool._out_axes == NULL:
        raise MemoryError
    return pool

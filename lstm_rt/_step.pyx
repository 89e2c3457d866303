# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False
"""`Stream`: a model stepped frame by frame. In Cython, since a step's own work may be less than a Python call's."""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from lstm_rt.capi cimport *

import numpy as np

from lstm_rt import errors

cnp.import_array()

# Below this many multiply-adds a step is over before another thread could take the GIL and hand it back.
cdef uint64_t _RELEASE_GIL_FROM = 50_000

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


cdef class Stream:
    """A model stepped frame by frame, its state kept from step to step. Made by `Model.stream`.

    A stream belongs to one thread at a time; streams of one model share its weights.

    Examples
    --------
    >>> stream = lstm_rt.load("vad.onnx").stream()  # doctest: +SKIP
    >>> for frame in frames:  # doctest: +SKIP
    ...     probability = stream.step(frame)
    """

    cdef lrt_stream* _stream
    cdef object _model
    cdef tuple _inputs, _outputs
    cdef int _in_count, _out_count
    cdef Slot* _in_slots
    cdef Slot* _out_slots
    cdef const void** _in_data
    cdef void** _out_data
    cdef bint _prepared, _busy, _release_gil

    def __cinit__(self):
        self._stream = NULL

    def __init__(self):
        raise TypeError("a stream is made by Model.stream()")

    def __dealloc__(self):
        lrt_stream_free(self._stream)
        free(self._in_slots)
        free(self._out_slots)
        free(self._in_data)
        free(self._out_data)

    def __reduce__(self):
        raise TypeError("a Stream cannot be pickled. Keep stream.state, and set it on a new stream")

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
        cdef int i
        cdef tuple results
        if self._busy:
            raise errors.StateError("this stream is being stepped by another thread. Use one stream for each thread")
        if not self._all_fit(frame, more):
            frame, more = self._take(frame, more)
        self._in_data[0] = cnp.PyArray_DATA(<cnp.ndarray>frame)
        for i in range(1, self._in_count):
            self._in_data[i] = cnp.PyArray_DATA(<cnp.ndarray>more[i - 1])

        if self._out_count == 1:
            if out is None:
                out = self._new(0)
            elif type(out) is tuple and len(out) == 1:
                self._check_out(0, out[0])
            else:
                self._check_out(0, out)
            self._out_data[0] = cnp.PyArray_DATA(<cnp.ndarray>(out[0] if type(out) is tuple else out))
        else:
            if out is None:
                out = tuple([self._new(i) for i in range(self._out_count)])
            else:
                if not isinstance(out, tuple) or len(out) != self._out_count:
                    raise errors.ShapeError(f"out must be a tuple of {self._out_count} arrays, for {', '.join(self._outputs)}")
                for i in range(self._out_count):
                    self._check_out(i, out[i])
            for i in range(self._out_count):
                self._out_data[i] = cnp.PyArray_DATA(<cnp.ndarray>out[i])

        if self._release_gil:
            self._busy = True
            with nogil:
                lrt_stream_step(self._stream, self._in_data, self._out_data)
            self._busy = False
        else:
            lrt_stream_step(self._stream, self._in_data, self._out_data)
        return out

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

    # Frames as arrays that the core can read; plans for them where their shapes are new.
    cdef tuple _take(self, frame, tuple more):
        cdef int i
        cdef lrt_error error
        cdef lrt_status status
        cdef lrt_array* arrays
        cdef lrt_port port
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
            status = lrt_stream_prepare(self._stream, arrays, self._in_count, &error)
            _check(status, &error)
            for i in range(self._in_count):
                _fill(&self._in_slots[i], arrays[i].dtype, &arrays[i].shape)
        finally:
            free(arrays)
        for i in range(self._out_count):
            lrt_stream_output_port(self._stream, i, &port)
            _fill(&self._out_slots[i], port.dtype, &port.shape)
        self._release_gil = lrt_stream_macs(self._stream) >= _RELEASE_GIL_FROM
        self._prepared = True
        return frames[0], tuple(frames[1:])

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
        cdef cnp.ndarray array
        self._check_idle()
        result = {}
        for i in range(lrt_stream_state_count(self._stream)):
            _check(lrt_stream_state(self._stream, i, &port, &data, &error), &error)
            array = np.empty([port.shape.dims[axis] for axis in range(port.shape.rank)], _DTYPES[port.dtype])
            if array.nbytes:
                memcpy(cnp.PyArray_DATA(array), data, array.nbytes)
            result[port.name.decode()] = array
        return result

    @state.setter
    def state(self, values):
        cdef size_t i
        cdef lrt_array array
        cdef lrt_error error
        self._check_idle()
        names = list(self.state)
        if set(values) != set(names):
            raise errors.StateError(f"this stream's state has {names}, was given {list(values)}")
        arrays = [np.require(values[name], requirements=["C", "ALIGNED"]) for name in names]
        before = self.state
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
            raise errors.StateError("this stream is being stepped by another thread. Use one stream for each thread")
        return 0

    def __repr__(self):
        return f"<lstm_rt.Stream: {', '.join(self._inputs)} -> {', '.join(self._outputs)}>"


cdef Stream _wrap(lrt_stream* handle, object model, Stream like):
    cdef Stream stream = Stream.__new__(Stream)
    stream._stream = handle
    stream._model = model
    stream._in_count = <int>lrt_stream_input_count(handle)
    stream._out_count = <int>lrt_stream_output_count(handle)
    stream._inputs = tuple([model.inputs[lrt_stream_input(handle, i)].name for i in range(stream._in_count)])
    stream._outputs = tuple([model.outputs[lrt_stream_output(handle, i)].name for i in range(stream._out_count)])
    stream._in_slots = <Slot*>calloc(max(1, stream._in_count), sizeof(Slot))
    stream._out_slots = <Slot*>calloc(max(1, stream._out_count), sizeof(Slot))
    stream._in_data = <const void**>calloc(max(1, stream._in_count), sizeof(void*))
    stream._out_data = <void**>calloc(max(1, stream._out_count), sizeof(void*))
    if stream._in_slots == NULL or stream._out_slots == NULL or stream._in_data == NULL or stream._out_data == NULL:
        raise MemoryError
    if like is not None and like._prepared:
        memcpy(stream._in_slots, like._in_slots, stream._in_count * sizeof(Slot))
        memcpy(stream._out_slots, like._out_slots, stream._out_count * sizeof(Slot))
        stream._prepared = True
        stream._release_gil = like._release_gil
    return stream


def open_stream(model, size_t handle, bindings, freeze, int64_t batch):
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

    Returns
    -------
    Stream
        The stream.
    """
    cdef lrt_stream* stream = NULL
    cdef lrt_stream_options options
    cdef lrt_error error
    cdef size_t i
    cdef size_t count = 0 if bindings is None else len(bindings)
    cdef size_t frozen = len(freeze)
    cdef size_t* pairs = <size_t*>calloc(2 * count + 1, sizeof(size_t))
    cdef size_t* indices = <size_t*>calloc(frozen + 1, sizeof(size_t))
    cdef lrt_array* values = <lrt_array*>calloc(frozen + 1, sizeof(lrt_array))
    try:
        if pairs == NULL or indices == NULL or values == NULL:
            raise MemoryError
        for i in range(count):
            pairs[2 * i], pairs[2 * i + 1] = bindings[i]
        arrays = list(freeze.values())
        for i, index in enumerate(freeze):
            indices[i] = index
            values[i] = _describe(arrays[i], model.inputs[index].name)
        options.batch = batch
        options.bind = <const size_t*>NULL if bindings is None else <const size_t*>pairs
        options.bind_count = count
        options.freeze = indices
        options.freeze_values = values
        options.freeze_count = frozen
        _check(lrt_stream_create(<lrt_model*>handle, &options, &stream, &error), &error)
    finally:
        free(pairs)
        free(indices)
        free(values)
    return _wrap(stream, model, None)

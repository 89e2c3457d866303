# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False
"""`Stream`: a model stepped frame by frame. In Cython, since a step's own work may be less than a Python call's."""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memmove

from lstm_rt._stepper cimport RELEASE_GIL_FROM, Options, Slot, Stepper, array_of, check, describe, fill, fits, \
    state_arrays
from lstm_rt.capi cimport *

import numpy as np

from lstm_rt import errors
from lstm_rt.arrays import as_array
from lstm_rt.hints import window_of
from lstm_rt.text import one_line

cnp.import_array()

cdef object _MAKING = object()  # no Python code has it, so none makes a stream without a handle


cdef class Stream(Stepper):
    """A model stepped frame by frame, its state kept from step to step. Made by `Model.stream`.

    A stream belongs to one thread at a time; streams of one model share its weights.

    Examples
    --------
    >>> stream = lstm_rt.load("vad.onnx").stream()  # doctest: +SKIP
    >>> for frame in frames:  # doctest: +SKIP
    ...     probability = stream.step(frame)
    """

    cdef lrt_stream* _stream
    cdef dict _frozen  # name to value
    cdef int _threads
    # Samples that are given again before each frame: they stand at the start of _window, and the frame behind them.
    cdef int64_t _context, _frame  # _frame: samples of a frame, 0 if it may have any number
    cdef int _axis  # along which samples run
    cdef cnp.ndarray _window
    cdef Slot _new  # what the frame must look like, to be copied without further checks

    def __cinit__(self, making=None):
        if making is not _MAKING:
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
            The next frame, of the shape of the first of `inputs`, less the context if the stream keeps one, with any number of time steps if that dim is free.
            An array must have the input's dtype; it is read in place if it is C-contiguous, otherwise copied. Python
            numbers and lists are converted to the input's dtype. A frame whose shape differs from the last one is
            planned first, which allocates; a strict stream refuses it.
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
            If a frame or `out` does not fit, or a sequence length is out of range. The state is as before.
        StateError
            If another thread is using this stream.

        Examples
        --------
        >>> y = np.empty((1, 1, 1), np.float32)  # doctest: +SKIP
        >>> stream.step(frame, out=y)  # doctest: +SKIP
        """
        cdef lrt_status status
        self._take_hold()
        try:
            if self._context:
                frame = self._behind_context(frame)
            if not self._all_fit(frame, more):
                frame, more = self._take(frame, more)
            self._point_in(frame, more)
            out = self._point_out(out)
            if self._macs >= RELEASE_GIL_FROM:
                with nogil:
                    status = lrt_stream_step(self._stream, self._in_data, self._out_data)
            else:
                status = lrt_stream_step(self._stream, self._in_data, self._out_data)
            if status != LRT_OK:
                raise errors.ShapeError(
                    "a value of this step is out of range: a sequence length below 0 or above the number of steps. The "
                    "state is as it was before the step"
                )
            if self._context:
                self._keep_context()
            return out
        finally:
            self._hold.give()

    # Copies a frame to its place behind the context. What the window held there before is of no more use.
    cdef cnp.ndarray _behind_context(self, frame):
        if type(frame) is not cnp.ndarray or not fits(&self._new, <cnp.ndarray>frame):
            frame = self._make_room(frame)
        self._copy_rows(<char*>cnp.PyArray_DATA(self._window), self._window.shape[self._axis], self._context,
                        <const char*>cnp.PyArray_DATA(<cnp.ndarray>frame), self._new.dims[self._axis], 0,
                        self._new.dims[self._axis])
        return self._window

    cdef int _keep_context(self) noexcept:
        cdef char* data = <char*>cnp.PyArray_DATA(self._window)
        cdef int64_t whole = self._window.shape[self._axis]
        self._copy_rows(data, whole, 0, data, whole, whole - self._context, self._context)
        return 0

    # `count` samples of each row: from sample `start` of rows of `length` to sample `to_start` of rows of `to_length`.
    cdef int _copy_rows(self, char* to, int64_t to_length, int64_t to_start, const char* source, int64_t length,
                        int64_t start, int64_t count) noexcept:
        cdef int64_t row, rows = 1
        cdef size_t size = cnp.PyArray_ITEMSIZE(self._window)
        cdef int axis
        for axis in range(self._window.ndim):
            if axis < self._axis:
                rows *= self._window.shape[axis]
            elif axis > self._axis:
                size *= <size_t>self._window.shape[axis]
        for row in range(rows):
            memmove(to + (row * to_length + to_start) * size, source + (row * length + start) * size, count * size)
        return 0

    # A frame as an array that can be copied, and a window of its length; or what is wrong with it.
    cdef cnp.ndarray _make_room(self, frame):
        cdef cnp.ndarray array = as_array(frame, self._inputs[0], self._ports[0].dtype)
        cdef int axis
        expected = [self._window.shape[axis] for axis in range(self._window.ndim)]
        count = array.shape[self._axis] if array.ndim == self._window.ndim else 0
        expected[self._axis] = self._frame or max(count, 1)
        if [array.shape[axis] for axis in range(array.ndim)] != expected:
            expected[self._axis] = self._frame or "samples"
            raise errors.ShapeError(
                f"frame '{self._inputs[0]}' is {[array.shape[axis] for axis in range(array.ndim)]}, expected "
                f"[{', '.join(map(str, expected))}]: the stream itself keeps the {self._context} samples before it")
        if self._window.shape[self._axis] != self._context + count:
            self._window = self._window_for(count)
        self._new.type_number = cnp.PyArray_TYPE(array)
        self._new.rank = array.ndim
        for axis in range(array.ndim):
            self._new.dims[axis] = array.shape[axis]
        return array

    cdef cnp.ndarray _window_for(self, int64_t count):
        cdef int axis
        dims = [self._window.shape[axis] for axis in range(self._window.ndim)]
        dims[self._axis] = self._context + count
        cdef cnp.ndarray window = np.zeros(dims, self._window.dtype)
        self._context_of(window)[...] = self._context_of(self._window)
        return window

    cdef object _context_of(self, cnp.ndarray window):
        return window[(slice(None),) * self._axis + (slice(0, self._context),)]

    cdef str _context_name(self):
        return f"{self._inputs[0]}.context"

    cdef int _open_context(self, int64_t context, int64_t frame, int64_t batch) except -1:
        if self._in_count != 1:
            raise errors.ArgumentError(
                f"context is of models whose steps take one input; this one takes {', '.join(self._inputs)}. "
                "Bind or freeze the others, or open the stream with context=0")
        self._axis, dims = window_of(self._ports[0], self.time_axes[0], context, frame or None, batch)
        dims = [max(dim, context + 1) if axis == self._axis else dim for axis, dim in enumerate(dims)]
        self._window = np.zeros(dims, self._ports[0].dtype or np.float32)
        self._context, self._frame = context, dims[self._axis] - context if frame or self._ports[0].shape[self._axis] else 0
        self._new.rank = -1  # no frame fits before the first
        return 0

    cdef int _prepare(self, lrt_array* arrays) except -1:
        cdef int i
        cdef lrt_error error
        cdef lrt_port port
        check(lrt_stream_prepare(self._stream, arrays, self._in_count, &error), &error)
        for i in range(self._out_count):
            lrt_stream_output_port(self._stream, i, &port)
            fill(&self._out_slots[i], port.dtype, &port.shape)
        self._macs = lrt_stream_macs(self._stream)
        return 0

    def reset(self):
        """Set the state, and the context if the stream keeps one, back to what it was before the first step.

        Use it after a frame that held NaN: a NaN stays in the state, and every later step gives NaN.
        """
        self._take_hold()
        lrt_stream_reset(self._stream)
        if self._context:
            self._window.fill(0)
        self._hold.give()

    @property
    def state(self):
        """State by name, as new arrays. Set it to go on from there: ``stream.state = saved``."""
        self._take_hold()
        try:
            return self._state()
        finally:
            self._hold.give()

    @state.setter
    def state(self, values):
        self._take_hold()
        try:
            before = self._state()
            self._set_state(before, state_arrays(list(before), values))
        finally:
            self._hold.give()

    cdef dict _state(self):
        cdef size_t i
        cdef lrt_port port
        cdef const void* data
        cdef lrt_error error
        result = {}
        for i in range(lrt_stream_state_count(self._stream)):
            check(lrt_stream_state(self._stream, i, &port, &data, &error), &error)
            result[port.name.decode()] = array_of(&port, data)
        if self._context:
            result[self._context_name()] = self._context_of(self._window).copy()
        return result

    # All of it, or where an array does not fit, none.
    cdef int _set_state(self, dict before, list arrays) except -1:
        cdef size_t i
        cdef lrt_array array
        cdef lrt_error error
        for i, name in enumerate(before):
            if i == lrt_stream_state_count(self._stream):  # the context, which stands last
                self._set_context(before, arrays[i])
                return 0
            try:
                array = describe(arrays[i], name)
                check(lrt_stream_set_state(self._stream, i, &array, &error), &error)
            except errors.Error:
                if i > 0:
                    self._set_state(before, list(before.values()))
                raise
        return 0

    cdef int _set_context(self, dict before, object array) except -1:
        context = self._context_of(self._window)
        if array.shape != context.shape or array.dtype != context.dtype:
            self._set_state(before, list(before.values()))
            raise errors.ShapeError(f"'{self._context_name()}' is {array.dtype}{list(array.shape)}, expected "
                                    f"{context.dtype}{list(context.shape)}")
        context[...] = array
        return 0

    def clone(self):
        """Make a stream of the same model that goes on from the same state, independently.

        Returns
        -------
        Stream
            The copy.
        """
        cdef lrt_stream* copy = NULL
        cdef lrt_error error
        self._take_hold()
        try:
            check(lrt_stream_clone(self._stream, &copy, &error), &error)
            return _wrap(copy, self._model, self)
        finally:
            self._hold.give()

    def __repr__(self):
        inputs = ", ".join([self._port_text(self._inputs[i], &self._in_slots[i]) for i in range(self._in_count)])
        outputs = ", ".join([self._port_text(self._outputs[i], &self._out_slots[i]) for i in range(self._out_count)])
        parts = [f"{inputs} -> {outputs}"]
        parts += [f"{name}={_short(value)}" for name, value in self._frozen.items()]
        parts += [f"state {', '.join(self._state_texts())}"] if lrt_stream_state_count(self._stream) else []
        parts += [f"{self._threads} threads"] if self._threads > 1 else []
        parts += [f"context {self._context}"] if self._context else []
        parts += ["strict"] if self._strict else []
        return f"<lstm_rt.Stream: {one_line('; '.join(parts))}>"

    # A name, with the shape that is planned for once there is one.
    cdef str _port_text(self, str name, const Slot* slot):
        cdef int axis
        return f"{name}{[slot.dims[axis] for axis in range(slot.rank)]}" if self._prepared else name

    cdef list _state_texts(self):
        cdef size_t i
        cdef int axis
        cdef lrt_port port
        cdef const void* data
        cdef lrt_error error
        texts = []
        for i in range(lrt_stream_state_count(self._stream)):
            check(lrt_stream_state(self._stream, i, &port, &data, &error), &error)
            texts.append(f"{port.name.decode()}{[port.shape.dims[axis] for axis in range(port.shape.rank)]}")
        return texts


cdef str _short(object value):
    return f"{value.item()}" if value.size == 1 else f"{value.dtype}{list(value.shape)}"


cdef Stream _wrap(lrt_stream* handle, object model, Stream like):
    cdef Stream stream = Stream.__new__(Stream, _MAKING)
    stream._stream = handle
    stream._name(model, [lrt_stream_input(handle, i) for i in range(lrt_stream_input_count(handle))],
                 [lrt_stream_output(handle, i) for i in range(lrt_stream_output_count(handle))])
    if like is not None:
        stream._frozen, stream._threads, stream._strict = like._frozen, like._threads, like._strict
        if like._context:
            stream._context, stream._frame, stream._axis, stream._new = like._context, like._frame, like._axis, like._new
            stream._window = like._window.copy()
    if like is not None and like._prepared:
        memcpy(stream._in_slots, like._in_slots, stream._in_count * sizeof(Slot))
        memcpy(stream._out_slots, like._out_slots, stream._out_count * sizeof(Slot))
        stream._prepared = True
        stream._macs = like._macs
    return stream


def open_stream(model, size_t handle, bindings, freeze, int64_t batch, int threads, bint strict,
                int64_t context, int64_t frame):
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
    strict : bool
        Whether frames must keep the shapes of the first step.
    context : int
        Samples that are given again before each frame.
    frame : int
        Samples of a frame if there is context; 0 for any number.

    Returns
    -------
    Stream
        The stream.
    """
    cdef lrt_stream* stream = NULL
    cdef lrt_error error
    cdef Options options = Options(model, bindings, freeze, batch, threads)
    cdef Stream made
    check(lrt_stream_create(<lrt_model*>handle, &options.c, &stream, &error), &error)
    made = _wrap(stream, model, None)
    made._frozen = {model.inputs[index].name: value for index, value in freeze.items()}
    made._threads, made._strict = threads, strict
    if context:
        made._open_context(context, frame, batch)
    return made

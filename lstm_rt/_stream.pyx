# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False
"""`Stream`: a model stepped frame by frame. In Cython, since a step's own work may be less than a Python call's."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from lstm_rt._stepper cimport RELEASE_GIL_FROM, Options, Slot, Stepper, array_of, check, describe, fill, state_arrays
from lstm_rt.capi cimport *

from lstm_rt import errors

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
            The next frame, of the shape of the first of `inputs`, with any number of time steps if that dim is free.
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
            If a frame or `out` does not fit; the message says what is wanted. The state is as before.
        StateError
            If another thread is using this stream.

        Examples
        --------
        >>> y = np.empty((1, 1, 1), np.float32)  # doctest: +SKIP
        >>> stream.step(frame, out=y)  # doctest: +SKIP
        """
        self._take_hold()
        try:
            if not self._all_fit(frame, more):
                frame, more = self._take(frame, more)
            self._point_in(frame, more)
            out = self._point_out(out)
            if self._macs >= RELEASE_GIL_FROM:
                with nogil:
                    lrt_stream_step(self._stream, self._in_data, self._out_data)
            else:
                lrt_stream_step(self._stream, self._in_data, self._out_data)
            return out
        finally:
            self._hold.give()

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
        """Set the state back to what it was before the first step."""
        self._take_hold()
        lrt_stream_reset(self._stream)
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
        return result

    # All of it, or where an array does not fit, none.
    cdef int _set_state(self, dict before, list arrays) except -1:
        cdef size_t i
        cdef lrt_array array
        cdef lrt_error error
        for i, name in enumerate(before):
            try:
                array = describe(arrays[i], name)
                check(lrt_stream_set_state(self._stream, i, &array, &error), &error)
            except errors.Error:
                if i > 0:
                    self._set_state(before, list(before.values()))
                raise
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
        parts += ["strict"] if self._strict else []
        return f"<lstm_rt.Stream: {'; '.join(parts)}>"

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
    if like is not None and like._prepared:
        memcpy(stream._in_slots, like._in_slots, stream._in_count * sizeof(Slot))
        memcpy(stream._out_slots, like._out_slots, stream._out_count * sizeof(Slot))
        stream._prepared = True
        stream._macs = like._macs
    return stream


def open_stream(model, size_t handle, bindings, freeze, int64_t batch, int threads, bint strict):
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
    return made

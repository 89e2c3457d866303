# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False
"""What `Stream` and `Pool` share: arrays checked against what the core wants, its errors, its options. Private."""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from lstm_rt.capi cimport *

import numpy as np

from lstm_rt import errors
from lstm_rt.arrays import as_array

cnp.import_array()

cdef int[6] _TYPE_NUMBERS = [cnp.NPY_FLOAT32, cnp.NPY_INT64, cnp.NPY_INT32, cnp.NPY_BOOL, cnp.NPY_UINT8, cnp.NPY_INT8]
_DTYPES = [np.dtype(name) for name in ("float32", "int64", "int32", "bool", "uint8", "int8")]
_ERRORS = {
    LRT_ERROR_ARGUMENT: errors.ArgumentError,
    LRT_ERROR_UNSUPPORTED: errors.UnsupportedModelError,
    LRT_ERROR_FILE: errors.ModelFileError,
    LRT_ERROR_SHAPE: errors.ShapeError,
    LRT_ERROR_STATE: errors.StateError,
    LRT_ERROR_MEMORY: errors.OutOfMemoryError,
}


cdef int raise_error(lrt_status status, lrt_error* error) except -1:
    raise _ERRORS.get(status, errors.Error)(error.message.decode("utf-8", "replace"))


cdef void fill(Slot* slot, int32_t code, const lrt_shape* shape) noexcept:
    cdef int axis
    slot.code = code
    slot.type_number = _TYPE_NUMBERS[code]
    slot.rank = shape.rank
    slot.bytes = 8 if code == LRT_INT64 else 4 if code == LRT_FLOAT32 or code == LRT_INT32 else 1
    for axis in range(shape.rank):
        slot.dims[axis] = shape.dims[axis]
        slot.bytes *= <size_t>shape.dims[axis]


cdef lrt_array describe(cnp.ndarray array, str name) except *:
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


cdef object array_of(const lrt_port* port, const void* data):
    cdef cnp.ndarray array = np.empty([port.shape.dims[axis] for axis in range(port.shape.rank)], _DTYPES[port.dtype])
    if array.nbytes:
        memcpy(cnp.PyArray_DATA(array), data, array.nbytes)
    return array


cdef list state_arrays(list names, object values):
    if set(values) != set(names):
        raise errors.StateError(f"this stream's state has {names}, was given {list(values)}")
    return [np.require(values[name], requirements=["C", "ALIGNED"]) for name in names]


cdef class Stepper:
    def __dealloc__(self):
        free(self._in_slots)
        free(self._out_slots)
        free(self._in_data)
        free(self._out_data)

    cdef int _name(self, object model, list inputs, list outputs) except -1:
        self._model = model
        self._ports = tuple([model.inputs[i] for i in inputs])
        self._inputs = tuple([port.name for port in self._ports])
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

    # Frames as arrays that the core can read; plans for them where their shapes are new.
    cdef tuple _take(self, frame, tuple more):
        cdef int i
        cdef lrt_array* arrays
        if len(more) + 1 != self._in_count:
            raise errors.ArgumentError(f"a step takes {self._in_count} arrays ({', '.join(self._inputs)}), {len(more) + 1} were given")
        frames = [as_array(each, port.name, port.dtype) for each, port in zip((frame, *more), self._ports)]
        if self._strict and self._prepared:
            self._refuse_other_shapes(frames)
        arrays = <lrt_array*>calloc(self._in_count, sizeof(lrt_array))
        if arrays == NULL:
            raise MemoryError
        try:
            for i in range(self._in_count):
                arrays[i] = describe(frames[i], self._inputs[i])
            self._prepare(arrays)
            for i in range(self._in_count):
                fill(&self._in_slots[i], arrays[i].dtype, &arrays[i].shape)
        finally:
            free(arrays)
        self._prepared = True
        return frames[0], tuple(frames[1:])

    cdef int _prepare(self, lrt_array* arrays) except -1:
        raise NotImplementedError

    # A frame of another shape needs a new plan, which allocates; a strict stream must not do that after its first step.
    cdef int _refuse_other_shapes(self, list frames) except -1:
        cdef int i, j
        for i in range(self._in_count):
            planned = tuple([self._in_slots[i].dims[j] for j in range(self._in_slots[i].rank)])
            if frames[i].shape != planned:
                raise errors.ShapeError(
                    f"frame '{self._inputs[i]}' is {list(frames[i].shape)}, expected {list(planned)} as at the first step: "
                    f"this stream is strict. Open it without strict=True to let shapes change")
        return 0

    cdef cnp.ndarray _new(self, int i):
        return cnp.PyArray_EMPTY(self._out_slots[i].rank, self._out_slots[i].dims, self._out_slots[i].type_number, 0)

    # Takes what `fits` has no eye for (a memory map, the system's other 64-bit integer), and says what is wrong with the rest.
    cdef int _settle_out(self, int i, object out) except -1:
        cdef int j
        cdef cnp.ndarray array
        dtype = _DTYPES[self._out_slots[i].code]
        dims = [self._out_slots[i].dims[j] for j in range(self._out_slots[i].rank)]
        wanted = f"{dtype}{dims}"
        if not isinstance(out, cnp.ndarray):
            raise errors.ShapeError(f"out for '{self._outputs[i]}' is a {type(out).__name__}, wanted a numpy array {wanted}")
        array = out
        if cnp.PyArray_ISCARRAY(array) and array.dtype == dtype and [array.shape[j] for j in range(array.ndim)] == dims:
            return 0
        raise errors.ShapeError(
            f"out for '{self._outputs[i]}' is {out.dtype}{list(out.shape)}"
            f"{'' if out.flags.c_contiguous else ', not C-contiguous'}{'' if out.flags.writeable else ', read-only'}, "
            f"wanted {wanted}, C-contiguous and writeable")

    cdef int _refuse_shared(self, str what) except -1:
        raise errors.ShapeError(f"out shares memory with {what}. Give it memory of its own")

    cdef int _refuse_held(self) except -1:
        kind = type(self).__name__.lower()
        raise errors.StateError(f"this {kind} is being used by another thread, or from inside of another call. "
                                f"Use one {kind} for each thread")

    cdef int _refuse_count(self) except -1:
        raise errors.ShapeError(f"out must be a tuple of {self._out_count} arrays, for {', '.join(self._outputs)}")


cdef class Options:
    def __cinit__(self, model, bindings, freeze, int64_t batch, int threads):
        cdef size_t i
        cdef size_t count = 0 if bindings is None else len(bindings)
        cdef size_t frozen = len(freeze)
        if batch < 1:
            raise errors.ArgumentError(f"batch is {batch}, wanted at least 1")
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
            self._values[i] = describe(self._arrays[i], model.inputs[index].name)
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

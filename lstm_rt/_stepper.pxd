# cython: language_level=3, boundscheck=False, wraparound=False
# What `Stream` and `Pool` cimport of _stepper.pyx. What every step calls stands here, inline: a call from module to module
# goes through a pointer.
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t

from lstm_rt.capi cimport *

# Below this many multiply-adds a step is over before another thread could take the GIL and hand it back.
cdef enum:
    RELEASE_GIL_FROM = 50_000


# What an array of a step must look like.
cdef struct Slot:
    int type_number
    int code  # lrt_dtype
    int rank
    cnp.npy_intp dims[8]
    size_t bytes


cdef inline bint fits(const Slot* slot, cnp.ndarray array) noexcept:
    cdef int axis
    if cnp.PyArray_TYPE(array) != slot.type_number or cnp.PyArray_NDIM(array) != slot.rank:
        # int64 has two type numbers on some systems; the slow path settles it
        return False
    for axis in range(slot.rank):
        if cnp.PyArray_DIMS(array)[axis] != slot.dims[axis]:
            return False
    return cnp.PyArray_ISCARRAY_RO(array)


cdef inline bint overlap(const char* a, size_t a_bytes, const char* b, size_t b_bytes) noexcept:
    return a < b + b_bytes and b < a + a_bytes


cdef inline int check(lrt_status status, lrt_error* error) except -1:
    return 0 if status == LRT_OK else raise_error(status, error)


cdef int raise_error(lrt_status status, lrt_error* error) except -1
cdef void fill(Slot* slot, int32_t code, const lrt_shape* shape) noexcept
cdef lrt_array describe(cnp.ndarray array, str name) except *
cdef object array_of(const lrt_port* port, const void* data)
cdef list state_arrays(list names, object values)


# What is stepped: the arrays it reads and writes, checked and pointed at.
cdef class Stepper:
    cdef object _model
    cdef tuple _inputs, _outputs
    cdef int _in_count, _out_count
    cdef Slot* _in_slots
    cdef Slot* _out_slots
    cdef const void** _in_data
    cdef void** _out_data
    cdef uint64_t _macs
    cdef bint _prepared, _busy

    cdef int _name(self, object model, list inputs, list outputs) except -1
    cdef tuple _take(self, frame, tuple more)
    # Has the core plan for these, and fills _out_slots and _macs.
    cdef int _prepare(self, lrt_array* arrays) except -1
    cdef cnp.ndarray _new(self, int i)
    cdef int _refuse_out(self, int i, object out) except -1
    cdef int _refuse_shared(self) except -1
    cdef int _refuse_count(self) except -1

    # The frames can be read as they are, and are planned for.
    cdef inline bint _all_fit(self, frame, tuple more):
        cdef int i
        if not self._prepared or type(frame) is not cnp.ndarray or not fits(&self._in_slots[0], <cnp.ndarray>frame):
            return False
        if len(more) + 1 != self._in_count:
            return False
        for i in range(1, self._in_count):
            if type(more[i - 1]) is not cnp.ndarray or not fits(&self._in_slots[i], <cnp.ndarray>more[i - 1]):
                return False
        return True

    cdef inline int _point_in(self, frame, tuple more) except -1:
        cdef int i
        self._in_data[0] = cnp.PyArray_DATA(<cnp.ndarray>frame)
        for i in range(1, self._in_count):
            self._in_data[i] = cnp.PyArray_DATA(<cnp.ndarray>more[i - 1])
        return 0

    # After _point_in.
    cdef inline int _check_out(self, int i, object out) except -1:
        cdef int j
        if type(out) is cnp.ndarray and fits(&self._out_slots[i], <cnp.ndarray>out) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out):
            for j in range(self._in_count):
                if overlap(<const char*>self._in_data[j], self._in_slots[j].bytes,
                           <const char*>cnp.PyArray_DATA(<cnp.ndarray>out), self._out_slots[i].bytes):
                    return self._refuse_shared()
            return 0
        return self._refuse_out(i, out)

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
                self._refuse_count()
            for i in range(self._out_count):
                self._check_out(i, out[i])
        for i in range(self._out_count):
            self._out_data[i] = cnp.PyArray_DATA(<cnp.ndarray>out[i])
        return out


# lrt_stream_options, and the memory they point to.
cdef class Options:
    cdef lrt_stream_options c
    cdef size_t* _pairs
    cdef size_t* _indices
    cdef lrt_array* _values
    cdef list _arrays

# cython: language_level=3, boundscheck=False, wraparound=False
# What `Stream` and `Pool` cimport of _stepper.pyx. What every step calls stands here, inline: a call from module to module
# goes through a pointer.
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t

from lstm_rt.capi cimport *

# Below this many multiply-adds a step is over before another thread could take the GIL and hand it back.
cdef enum:
    RELEASE_GIL_FROM = 50_000


# A stream or pool is held by one call at a time: of another thread, or from inside of a call (an array that steps the stream
# it is given to), a second one is refused. Where there is a GIL, it makes one of the two halves of `take`; a locked
# instruction would cost what a small step does.
cdef extern from *:
    """
    #include <atomic>
    class LrtHold {
     public:
      bool take() {
    #ifdef Py_GIL_DISABLED
        return !held_.exchange(true, std::memory_order_acquire);
    #else
        if (held_.load(std::memory_order_relaxed)) return false;
        held_.store(true, std::memory_order_relaxed);
        return true;
    #endif
      }
      void give() { held_.store(false, std::memory_order_release); }

     private:
      std::atomic<bool> held_{false};
    };
    """
    cdef cppclass Hold "LrtHold":
        bint take() noexcept
        void give() noexcept


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
    cdef tuple _ports, _inputs, _outputs  # _ports: the TensorInfo of each of _inputs
    cdef int _in_count, _out_count
    cdef Slot* _in_slots
    cdef Slot* _out_slots
    cdef const void** _in_data
    cdef void** _out_data
    cdef uint64_t _macs
    cdef bint _prepared
    cdef bint _strict  # frames keep the shapes of the first step
    cdef Hold _hold
    cdef object __weakref__

    cdef int _name(self, object model, list inputs, list outputs) except -1
    cdef tuple _take(self, frame, tuple more)
    # Has the core plan for these, and fills _out_slots and _macs.
    cdef int _prepare(self, lrt_array* arrays) except -1
    cdef cnp.ndarray _new(self, int i)
    cdef int _settle_out(self, int i, object out) except -1
    cdef int _refuse_other_shapes(self, list frames) except -1
    cdef int _refuse_held(self) except -1
    cdef int _refuse_shared(self, str what) except -1
    cdef int _refuse_count(self) except -1

    # First in every call that reads or writes what a step does; what it took is given back whatever happens.
    cdef inline int _take_hold(self) except -1:
        return 0 if self._hold.take() else self._refuse_held()

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

    # After _point_in, and those before.
    cdef inline int _point_out_at(self, int i, object out) except -1:
        cdef int j
        cdef void* data
        if type(out) is not cnp.ndarray or not fits(&self._out_slots[i], <cnp.ndarray>out) \
                or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out):
            self._settle_out(i, out)
        data = cnp.PyArray_DATA(<cnp.ndarray>out)
        for j in range(self._in_count):
            if overlap(<const char*>self._in_data[j], self._in_slots[j].bytes, <const char*>data, self._out_slots[i].bytes):
                return self._refuse_shared("a frame")
        for j in range(i):
            if overlap(<const char*>self._out_data[j], self._out_slots[j].bytes, <const char*>data, self._out_slots[i].bytes):
                return self._refuse_shared("another")
        self._out_data[i] = data
        return 0

    # After _point_in. Returns the results: `out`, or new arrays.
    cdef inline object _point_out(self, out):
        cdef int i
        cdef tuple arrays
        if out is None:
            if self._out_count == 1:
                out = self._new(0)
                self._out_data[0] = cnp.PyArray_DATA(<cnp.ndarray>out)
                return out
            out = arrays = tuple([self._new(i) for i in range(self._out_count)])
            for i in range(self._out_count):
                self._out_data[i] = cnp.PyArray_DATA(<cnp.ndarray>arrays[i])
            return out
        if self._out_count == 1 and type(out) is not tuple:
            self._point_out_at(0, out)
            return out
        arrays = tuple(out) if isinstance(out, tuple) else ()  # of a tuple's own kind each look could give other arrays
        if len(arrays) != self._out_count:
            self._refuse_count()
        for i in range(self._out_count):
            self._point_out_at(i, arrays[i])
        return out


# lrt_stream_options, and the memory they point to.
cdef class Options:
    cdef lrt_stream_options c
    cdef size_t* _pairs
    cdef size_t* _indices
    cdef lrt_array* _values
    cdef list _arrays

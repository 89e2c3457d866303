# cython: language_level=3
"""A model stepped in a loop that never goes back to Python: scores of a whole signal, with the GIL released."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stddef cimport size_t

cimport lstm_rt.capi as lrt

import os


class Error(RuntimeError):
    """What lstm_rt refused, in its words."""


cdef int check(lrt.lrt_status status, lrt.lrt_error* error) except -1:
    if status != lrt.LRT_OK:
        raise Error((<bytes>error.message).decode("utf-8", "replace"))
    return 0


cdef class Scorer:
    """A stream of a model with one float32 input, whose last dim is the frame, and one output, such as `lstm-rt demo`'s."""

    cdef lrt.lrt_model* model
    cdef lrt.lrt_stream* stream
    cdef readonly size_t frame_size
    cdef readonly size_t score_count

    def __init__(self, path):
        cdef lrt.lrt_error error
        cdef lrt.lrt_array frame
        cdef lrt.lrt_port port
        cdef bytes name = os.fsencode(path)
        self.free()
        check(lrt.lrt_model_load(PyBytes_AS_STRING(name), NULL, &self.model, &error), &error)
        check(lrt.lrt_stream_create(self.model, NULL, &self.stream, &error), &error)
        if lrt.lrt_stream_input_count(self.stream) != 1 or lrt.lrt_stream_output_count(self.stream) != 1:
            raise Error(f"{path}: one input and one output are wanted")

        # One frame: dims that are free, batch and time, become 1. Planning comes first, and allocates; no step does.
        lrt.lrt_model_input(self.model, lrt.lrt_stream_input(self.stream, 0), &port)
        frame.dtype, frame.shape, frame.data = port.dtype, port.shape, NULL
        for axis in range(frame.shape.rank):
            frame.shape.dims[axis] = max(1, frame.shape.dims[axis])
        check(lrt.lrt_stream_prepare(self.stream, &frame, 1, &error), &error)
        lrt.lrt_stream_output_port(self.stream, 0, &port)
        if frame.dtype != lrt.LRT_FLOAT32 or port.dtype != lrt.LRT_FLOAT32:
            raise Error(f"{path}: float32 is wanted")
        self.frame_size, self.score_count = elements(&frame.shape), elements(&port.shape)

    def __dealloc__(self):
        self.free()

    cdef void free(self):
        lrt.lrt_stream_free(self.stream)
        lrt.lrt_model_free(self.model)
        self.stream, self.model = NULL, NULL

    def score(self, const float[::1] samples not None, float[:, ::1] scores not None):
        """Step through `samples`, a frame after another, writing a row of `scores` for each. The state goes on."""
        cdef size_t steps = samples.shape[0] // self.frame_size
        cdef size_t step
        cdef const void* frame
        cdef void* row
        cdef lrt.lrt_status status = lrt.LRT_OK
        if self.stream == NULL:
            raise Error("the model was not loaded")
        if <size_t>scores.shape[0] != steps or <size_t>scores.shape[1] != self.score_count:
            raise ValueError(f"scores must be of shape {(steps, self.score_count)}")
        with nogil:
            for step in range(steps):
                frame, row = &samples[step * self.frame_size], &scores[step, 0]
                status = lrt.lrt_stream_step(self.stream, &frame, &row)
                if status != lrt.LRT_OK:
                    break
        if status != lrt.LRT_OK:
            raise Error(f"step failed with status {<int>status}")


cdef size_t elements(const lrt.lrt_shape* shape) noexcept:
    cdef size_t count = 1
    for axis in range(shape.rank):
        count *= <size_t>shape.dims[axis]
    return count

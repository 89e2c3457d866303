# The C API (lstm_rt.h) for Cython: `cimport lstm_rt.capi`, compile with lstm_rt.get_include(), link with
# lstm_rt.get_library_dir().
from libc.stdint cimport int32_t, int64_t, uint64_t


cdef extern from "lstm_rt.h" nogil:
    enum: LRT_API_VERSION
    enum: LRT_MAX_RANK

    ctypedef enum lrt_status:
        LRT_OK
        LRT_ERROR_ARGUMENT
        LRT_ERROR_UNSUPPORTED
        LRT_ERROR_FILE
        LRT_ERROR_SHAPE
        LRT_ERROR_STATE
        LRT_ERROR_MEMORY
        LRT_ERROR_INTERNAL

    ctypedef enum lrt_dtype:
        LRT_FLOAT32
        LRT_INT64
        LRT_INT32
        LRT_BOOL
        LRT_UINT8
        LRT_INT8

    ctypedef struct lrt_error:
        lrt_status status
        char message[2048]

    ctypedef struct lrt_shape:
        int32_t rank
        int64_t dims[8]

    ctypedef struct lrt_port:
        const char* name
        int32_t dtype
        lrt_shape shape
        const char* dim_names[8]

    ctypedef struct lrt_array:
        int32_t dtype
        lrt_shape shape
        const void* data

    ctypedef struct lrt_allocator:
        void* (*allocate)(void* user, size_t size, size_t alignment) noexcept
        void (*release)(void* user, void* memory, size_t size) noexcept
        void* user

    ctypedef enum lrt_log_level:
        LRT_LOG_DEBUG
        LRT_LOG_INFO
        LRT_LOG_WARNING

    ctypedef struct lrt_log:
        void (*write)(void* user, lrt_log_level level, const char* message) noexcept
        void* user

    ctypedef struct lrt_model_options:
        const char* isa
        uint64_t max_memory
        int32_t borrow
        lrt_allocator allocator
        lrt_log log

    ctypedef struct lrt_model:
        pass
    ctypedef struct lrt_plan:
        pass
    ctypedef struct lrt_stream:
        pass
    ctypedef struct lrt_pool:
        pass

    ctypedef struct lrt_stream_options:
        int64_t batch
        int32_t threads
        const size_t* bind
        size_t bind_count
        const size_t* freeze
        const lrt_array* freeze_values
        size_t freeze_count

    ctypedef struct lrt_call:
        const char* type
        const char* name
        lrt_shape output
        uint64_t macs
        uint64_t weight_bytes
        uint64_t parameters
        const char* precision

    const char* lrt_version()
    int lrt_api_version()
    const char* lrt_available_isa(size_t index)
    int lrt_isa_is_exact(const char* name)
    lrt_status lrt_default_isa(const char** name, lrt_error* error)

    lrt_status lrt_model_load(const char* path, const lrt_model_options* options, lrt_model** model,
                              lrt_error* error)
    lrt_status lrt_model_load_memory(const void* data, size_t size, const lrt_model_options* options,
                                     lrt_model** model, lrt_error* error)
    void lrt_model_free(lrt_model* model)
    const char* lrt_model_isa(const lrt_model* model)
    size_t lrt_model_input_count(const lrt_model* model)
    size_t lrt_model_output_count(const lrt_model* model)
    lrt_status lrt_model_input(const lrt_model* model, size_t index, lrt_port* port)
    lrt_status lrt_model_output(const lrt_model* model, size_t index, lrt_port* port)
    int lrt_model_input_is_control(const lrt_model* model, size_t index)
    lrt_status lrt_model_input_default(const lrt_model* model, size_t index, lrt_port* port, const void** data)
    size_t lrt_model_binding_count(const lrt_model* model)
    lrt_status lrt_model_binding(const lrt_model* model, size_t index, size_t* input, size_t* output)
    const char* lrt_model_metadata(const lrt_model* model, size_t index, const char** value)
    uint64_t lrt_model_parameter_count(const lrt_model* model)
    uint64_t lrt_model_weight_bytes(const lrt_model* model)
    uint64_t lrt_model_packed_bytes(const lrt_model* model)
    lrt_status lrt_model_selftest_input(const lrt_model* model, size_t test, size_t input, lrt_port* port,
                                        const void** data, lrt_error* error)
    lrt_status lrt_model_verify(lrt_model* model, size_t* count, size_t* failed, lrt_error* error)
    const char* lrt_supported_op(size_t index, const char** summary)

    lrt_status lrt_plan_create(lrt_model* model, const lrt_array* inputs, size_t count, lrt_plan** plan,
                               lrt_error* error)
    void lrt_plan_free(lrt_plan* plan)
    lrt_status lrt_plan_output(const lrt_plan* plan, size_t index, lrt_port* port)
    lrt_status lrt_plan_set_threads(lrt_plan* plan, int32_t threads, lrt_error* error)
    lrt_status lrt_plan_run(lrt_plan* plan, const void* const* inputs, void* const* outputs, lrt_error* error)
    lrt_status lrt_plan_call(const lrt_plan* plan, size_t index, lrt_call* call)
    size_t lrt_plan_call_count(const lrt_plan* plan)
    uint64_t lrt_plan_arena_bytes(const lrt_plan* plan)

    lrt_status lrt_stream_create(lrt_model* model, const lrt_stream_options* options, lrt_stream** stream,
                                 lrt_error* error)
    lrt_status lrt_stream_clone(const lrt_stream* stream, lrt_stream** copy, lrt_error* error)
    void lrt_stream_free(lrt_stream* stream)
    lrt_status lrt_stream_size(lrt_model* model, const lrt_stream_options* options, const lrt_array* inputs,
                               size_t count, size_t* size, size_t* alignment, lrt_error* error)
    lrt_status lrt_stream_create_in(lrt_model* model, const lrt_stream_options* options, const lrt_array* inputs,
                                    size_t count, void* memory, size_t size, lrt_stream** stream, lrt_error* error)
    size_t lrt_stream_input_count(const lrt_stream* stream)
    size_t lrt_stream_output_count(const lrt_stream* stream)
    size_t lrt_stream_input(const lrt_stream* stream, size_t index)
    size_t lrt_stream_output(const lrt_stream* stream, size_t index)
    int lrt_stream_time_axis(const lrt_stream* stream, size_t index)
    lrt_status lrt_stream_prepare(lrt_stream* stream, const lrt_array* inputs, size_t count, lrt_error* error)
    lrt_status lrt_stream_output_port(const lrt_stream* stream, size_t index, lrt_port* port)
    uint64_t lrt_stream_macs(const lrt_stream* stream)
    lrt_status lrt_stream_step(lrt_stream* stream, const void* const* inputs, void* const* outputs)
    void lrt_stream_reset(lrt_stream* stream)
    size_t lrt_stream_state_count(const lrt_stream* stream)
    lrt_status lrt_stream_state(const lrt_stream* stream, size_t index, lrt_port* port, const void** data,
                                lrt_error* error)
    lrt_status lrt_stream_set_state(lrt_stream* stream, size_t index, const lrt_array* value, lrt_error* error)

    lrt_status lrt_pool_create(lrt_model* model, const lrt_stream_options* options, size_t capacity, lrt_pool** pool,
                               lrt_error* error)
    void lrt_pool_free(lrt_pool* pool)
    size_t lrt_pool_capacity(const lrt_pool* pool)
    size_t lrt_pool_size(const lrt_pool* pool)
    lrt_status lrt_pool_open(lrt_pool* pool, int64_t* id, lrt_error* error)
    lrt_status lrt_pool_close(lrt_pool* pool, int64_t id, lrt_error* error)
    lrt_status lrt_pool_reset(lrt_pool* pool, int64_t id, lrt_error* error)
    size_t lrt_pool_input_count(const lrt_pool* pool)
    size_t lrt_pool_output_count(const lrt_pool* pool)
    size_t lrt_pool_input(const lrt_pool* pool, size_t index)
    size_t lrt_pool_output(const lrt_pool* pool, size_t index)
    lrt_status lrt_pool_prepare(lrt_pool* pool, const lrt_array* inputs, size_t count, size_t rows, lrt_error* error)
    lrt_status lrt_pool_output_port(const lrt_pool* pool, size_t index, lrt_port* port)
    int lrt_pool_input_axis(const lrt_pool* pool, size_t index)
    int lrt_pool_output_axis(const lrt_pool* pool, size_t index)
    uint64_t lrt_pool_macs(const lrt_pool* pool)
    lrt_status lrt_pool_step(lrt_pool* pool, const int64_t* ids, size_t rows, const void* const* inputs,
                             void* const* outputs, lrt_error* error)
    size_t lrt_pool_state_count(const lrt_pool* pool)
    lrt_status lrt_pool_state(const lrt_pool* pool, int64_t id, size_t index, lrt_port* port, const void** data,
                              lrt_error* error)
    lrt_status lrt_pool_set_state(lrt_pool* pool, int64_t id, size_t index, const lrt_array* value, lrt_error* error)

    lrt_status lrt_evaluate(const char* isa, const char* function, const float* x, float* y, size_t n, float alpha,
                            float beta, lrt_error* error)

/* lstm_rt: run trained recurrent networks. The C API, and the only header an application needs.

   Every function that can fail returns an lrt_status and, where `error` is not NULL, fills it with a message of one or
   two sentences: what, where, why, what to do; where it fails, what it was to give is NULL and nothing else has changed.
   Nothing is thrown and nothing global is kept. NULL may be given where it is said, and to every lrt_..._free; elsewhere
   what returns an lrt_status answers it with LRT_ERROR_ARGUMENT.

   Dimension letters: B batch, T steps, I inputs, H hidden units. Arrays are dense and row-major, sizes in bytes, data
   aligned to its elements. Structs of options are filled with zeros before fields are set: zero means the default. Functions
   and structs change with LRT_API_VERSION only; lrt_api_version() tells that of the library in use. */
#ifndef LSTM_RT_H
#define LSTM_RT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && !defined(LSTM_RT_STATIC)
#ifdef LSTM_RT_BUILDING
#define LRT_API __declspec(dllexport)
#else
#define LRT_API __declspec(dllimport)
#endif
#elif defined(_WIN32)
#define LRT_API
#else
#define LRT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define LRT_API_VERSION 1

/* "0.1.0", and the LRT_API_VERSION the library was built with. */
LRT_API const char* lrt_version(void);
LRT_API int lrt_api_version(void);

typedef enum lrt_status {
  LRT_OK = 0,
  LRT_ERROR_ARGUMENT = 1,    /* a NULL, an unknown name, an index out of range */
  LRT_ERROR_UNSUPPORTED = 2, /* the model uses something this library does not have */
  LRT_ERROR_FILE = 3,        /* the file cannot be read, or is damaged */
  LRT_ERROR_SHAPE = 4,       /* an array's shape or dtype does not fit */
  LRT_ERROR_STATE = 5,       /* a state or stream is used against its rules */
  LRT_ERROR_MEMORY = 6,      /* there is no more memory, or max_memory does not allow it */
  LRT_ERROR_INTERNAL = 7
} lrt_status;

typedef struct lrt_error {
  lrt_status status;
  char message[2048]; /* UTF-8, ends with 0; cut where it is too long */
} lrt_error;

typedef enum lrt_dtype {
  LRT_FLOAT32 = 0,
  LRT_INT64 = 1,
  LRT_INT32 = 2,
  LRT_BOOL = 3,
  LRT_UINT8 = 4,
  LRT_INT8 = 5
} lrt_dtype;

#define LRT_MAX_RANK 8

typedef struct lrt_shape {
  int32_t rank;               /* -1: not known */
  int64_t dims[LRT_MAX_RANK]; /* -1: free */
} lrt_shape;

typedef struct lrt_port { /* an input, output or state; strings live as long as what they were asked of */
  const char* name;       /* UTF-8 from the model; escape control characters before you print it */
  int32_t dtype;          /* lrt_dtype; -1: not known before planning */
  lrt_shape shape;
  const char* dim_names[LRT_MAX_RANK]; /* "" where none */
} lrt_port;

typedef struct lrt_array { /* an array given to a call; data is not copied */
  int32_t dtype;
  lrt_shape shape;
  const void* data;
} lrt_array;

/* ---- Instruction sets ---------------------------------------------------------------------------------------- */

/* Names of the instruction sets this machine can run, best first ("x86_avx512"); NULL past the last. */
LRT_API const char* lrt_available_isa(size_t index);
/* 1 where it has fused multiply-add: all that have it give the same bytes, on every CPU. 0 also where this machine has no
   such instruction set. */
LRT_API int lrt_isa_is_exact(const char* name);
/* The one in use by default: LSTM_RT_ISA, else the best. Fails where the variable names none of them. */
LRT_API lrt_status lrt_default_isa(const char** name, lrt_error* error);

/* ---- Models -------------------------------------------------------------------------------------------------- */

/* Immutable, and safe to use from many threads. Streams, plans and pools keep it, and what its options point to in use,
   alive: lrt_model_free may come before theirs. */
typedef struct lrt_model lrt_model;

/* Where large blocks come from: packed weights, what is computed beforehand, arenas, states, tables, and the copy of
   lrt_model_load_memory. Small descriptions (names, lists of calls) are C++'s and come from malloc. Called by any thread
   that uses the model, never inside of lrt_stream_step and lrt_pool_step. Neither function may throw or use the model. */
typedef struct lrt_allocator {
  void* (*allocate)(void* user, size_t size,
                    size_t alignment);                    /* alignment: a power of two; NULL where there is none */
  void (*release)(void* user, void* memory, size_t size); /* with the size that was asked for */
  void* user;
} lrt_allocator;

typedef enum lrt_log_level { LRT_LOG_DEBUG = 0, LRT_LOG_INFO = 1, LRT_LOG_WARNING = 2 } lrt_log_level;

/* Told a line of text (UTF-8, valid during the call) when a model was loaded and with which instruction set (info), when
   something was planned and what it takes (debug), and where something asked for was not to be had but is not needed (huge
   pages, threads: warning). Called as an allocator is. */
typedef struct lrt_log {
  void (*write)(void* user, lrt_log_level level, const char* message);
  void* user;
} lrt_log;

typedef struct lrt_model_options {
  const char* isa; /* one of lrt_available_isa; NULL: lrt_default_isa */
  /* The most bytes that one plan may take (what it computes beforehand, all weights packed so far, its arena, its
     outputs), and likewise the memory of one stream, and of one pool. What would take more is refused with
     LRT_ERROR_MEMORY before it is allocated.
     0: 1 GiB, and 16 for each byte of the file, 1024 for each byte of the inputs and 64 KiB for each stream of a pool. */
  uint64_t max_memory;
  int32_t borrow; /* 1: lrt_model_load_memory does not copy; its data stays until all that uses the model is freed */
  lrt_allocator allocator; /* copied; allocate NULL: the C++ library's */
  lrt_log log;             /* copied; write NULL: nothing is told */
} lrt_model_options;

/* path: UTF-8. options: NULL for the defaults. LRT_ERROR_FILE where the file cannot be read or is damaged,
   LRT_ERROR_UNSUPPORTED where it has operations that are unknown here, isa is not one of this machine's, or the library was
   built without files. The file stays mapped: it must not be written to or cut short while the model is in use. */
LRT_API lrt_status lrt_model_load(const char* path, const lrt_model_options* options, lrt_model** model,
                                  lrt_error* error);
/* data: what is in such a file, aligned to 64 where it is borrowed; else any, and it may go after the call. */
LRT_API lrt_status lrt_model_load_memory(const void* data, size_t size, const lrt_model_options* options,
                                         lrt_model** model, lrt_error* error);
LRT_API void lrt_model_free(lrt_model* model);

LRT_API const char* lrt_model_isa(const lrt_model* model);
LRT_API size_t lrt_model_input_count(const lrt_model* model);
LRT_API size_t lrt_model_output_count(const lrt_model* model);
LRT_API lrt_status lrt_model_input(const lrt_model* model, size_t index, lrt_port* port);
LRT_API lrt_status lrt_model_output(const lrt_model* model, size_t index, lrt_port* port);
/* 1 where the input's value must be known to plan (it chooses a branch or a shape), as a sample rate does. */
LRT_API int lrt_model_input_is_control(const lrt_model* model, size_t index);
/* The values of an input that callers may leave out, such as a trained initial state: `port` gets their dtype and shape,
   `data` lives as long as the model. A stream starts a state that is bound to this input with them. LRT_ERROR_ARGUMENT if
   the input has none; lrt_plan_run takes every input all the same. */
LRT_API lrt_status lrt_model_input_default(const lrt_model* model, size_t index, lrt_port* port, const void** data);
/* Pairs of input and output that carry state from step to step, as recorded at conversion. */
LRT_API size_t lrt_model_binding_count(const lrt_model* model);
LRT_API lrt_status lrt_model_binding(const lrt_model* model, size_t index, size_t* input, size_t* output);
/* String keys of the file ("lstm_rt.source.framework"); NULL past the last. */
LRT_API const char* lrt_model_metadata(const lrt_model* model, size_t index, const char** value);
LRT_API uint64_t lrt_model_parameter_count(const lrt_model* model);
LRT_API uint64_t lrt_model_weight_bytes(const lrt_model* model);
/* Bytes of weights packed so far, which all plans, streams and pools of the model share. */
LRT_API uint64_t lrt_model_packed_bytes(const lrt_model* model);

/* Replays the self-tests held in the file: *count of them, *failed whose bytes differ. On failure `error` says which
   output, where and by how much, and the status is LRT_ERROR_STATE. */
LRT_API lrt_status lrt_model_verify(lrt_model* model, size_t* count, size_t* failed, lrt_error* error);

/* Input `input` of self-test `test`: its dtype and shape, and its values, which live as long as the model. The shapes and
   control values of a self-test are ones that the model runs with. LRT_ERROR_ARGUMENT past the last. */
LRT_API lrt_status lrt_model_selftest_input(const lrt_model* model, size_t test, size_t input, lrt_port* port,
                                            const void** data, lrt_error* error);

/* Names of the operations this library runs, in alphabetical order; NULL past the last. */
LRT_API const char* lrt_supported_op(size_t index, const char** summary);

/* ---- Plans: a model for one set of input shapes --------------------------------------------------------------- */

/* One plan may run in many threads at once. Plans are cached by the model: the 16 used last. */
typedef struct lrt_plan lrt_plan;

/* inputs: one per input of the model. data is read for control inputs only and may be NULL for the others. */
LRT_API lrt_status lrt_plan_create(lrt_model* model, const lrt_array* inputs, size_t count, lrt_plan** plan,
                                   lrt_error* error);
LRT_API void lrt_plan_free(lrt_plan* plan);
LRT_API lrt_status lrt_plan_output(const lrt_plan* plan, size_t index, lrt_port* port);
/* Cores that share the runs to come, the caller's with them; 1 until set. The bits are the same for every number. The
   model keeps its threads: they sleep while there is no work, and in the child of a fork work goes on without them (fork
   while no other thread uses the model). Not while another thread runs this plan. */
LRT_API lrt_status lrt_plan_set_threads(lrt_plan* plan, int32_t threads, lrt_error* error);
/* inputs and outputs: one pointer per input and output of the model; an output may be NULL. Takes no lock; allocates only
   where several threads run the plan at once (docs/real-time.md). */
LRT_API lrt_status lrt_plan_run(lrt_plan* plan, const void* const* inputs, void* const* outputs, lrt_error* error);

/* What is left to do at run time, call by call, for `inspect`. NULL name past the last. */
typedef struct lrt_call {
  const char* type;
  const char* name;
  lrt_shape output;
  uint64_t macs;         /* multiply-adds per run */
  uint64_t weight_bytes; /* packed weights read per run */
  uint64_t parameters;
  const char*
      precision; /* of the weights: "float32", "int8", "uint8", "int8x16", "int4", "bf16"; empty where it has none */
} lrt_call;
LRT_API lrt_status lrt_plan_call(const lrt_plan* plan, size_t index, lrt_call* call);
LRT_API size_t lrt_plan_call_count(const lrt_plan* plan);
LRT_API uint64_t lrt_plan_arena_bytes(const lrt_plan* plan);

/* ---- Streams: a model stepped frame by frame, its state kept ---------------------------------------------------- */

/* For one thread at a time. State is explicit (inputs bound to outputs) or, where nothing is bound, implicit: the
   initial states that recurrent layers were not given. */
typedef struct lrt_stream lrt_stream;

typedef struct lrt_stream_options {
  int64_t batch;                  /* what a state's free dims become; 0: 1 */
  int32_t threads;                /* cores that share a step, the caller's with them; 0 or 1: the caller's alone */
  const size_t* bind;             /* pairs (input, output) in place of the model's own; NULL: the model's own */
  size_t bind_count;              /* number of pairs */
  const size_t* freeze;           /* inputs fixed for the life of the stream (a sample rate) */
  const lrt_array* freeze_values; /* copied */
  size_t freeze_count;
} lrt_stream_options;

/* options: NULL for the defaults. Fails with LRT_ERROR_UNSUPPORTED, naming the op, where frame by frame cannot equal
   the whole. */
LRT_API lrt_status lrt_stream_create(lrt_model* model, const lrt_stream_options* options, lrt_stream** stream,
                                     lrt_error* error);
LRT_API lrt_status lrt_stream_clone(const lrt_stream* stream, lrt_stream** copy, lrt_error* error);
LRT_API void lrt_stream_free(lrt_stream* stream);

/* A stream in the caller's memory, prepared for frames of these shapes. All that a step writes, beside the outputs, lies
   there: the states (twice: a step reads one copy and writes the other), the arena, the tables of pointers, and room for
   outputs that are given as NULL; nothing of it is allocated. The handle and what describes the stream are small and come
   from malloc; the plan and the packed weights are the model's. */

/* How many bytes lrt_stream_create_in needs, and to what it must be aligned (a power of two; NULL: not wanted). Plans and
   packs weights, which stays with the model. inputs: as for lrt_stream_prepare. */
LRT_API lrt_status lrt_stream_size(lrt_model* model, const lrt_stream_options* options, const lrt_array* inputs,
                                   size_t count, size_t* size, size_t* alignment, lrt_error* error);
/* LRT_ERROR_ARGUMENT where the memory is too small or not aligned. It is the stream's alone until lrt_stream_free, which
   leaves it to the caller. lrt_stream_prepare with frames of other shapes fails with LRT_ERROR_STATE; clones have memory of
   their own. */
LRT_API lrt_status lrt_stream_create_in(lrt_model* model, const lrt_stream_options* options, const lrt_array* inputs,
                                        size_t count, void* memory, size_t size, lrt_stream** stream, lrt_error* error);

/* What a step takes and gives: the model's inputs less the bound and frozen, the outputs less the bound. */
LRT_API size_t lrt_stream_input_count(const lrt_stream* stream);
LRT_API size_t lrt_stream_output_count(const lrt_stream* stream);
LRT_API size_t lrt_stream_input(const lrt_stream* stream, size_t index);  /* index among the model's inputs */
LRT_API size_t lrt_stream_output(const lrt_stream* stream, size_t index); /* index among the model's outputs */
/* Time axis of a step's input where it was proved, else -1. */
LRT_API int lrt_stream_time_axis(const lrt_stream* stream, size_t index);

/* Plans for frames of these shapes; at once where they are those of the last call. Allocates; step does not. */
LRT_API lrt_status lrt_stream_prepare(lrt_stream* stream, const lrt_array* inputs, size_t count, lrt_error* error);
LRT_API lrt_status lrt_stream_output_port(const lrt_stream* stream, size_t index, lrt_port* port); /* as prepared */
LRT_API uint64_t lrt_stream_macs(const lrt_stream* stream); /* of one step, as prepared */
/* One step of the prepared shapes: reads inputs, writes outputs, moves the state on. An output may be NULL. If a sequence
   length among the inputs is out of range, returns LRT_ERROR_SHAPE and leaves the state as it was; outputs are undefined.
   Allocates nothing, takes no lock, makes no system call and meets no page fault (docs/real-time.md); with threads, wakes
   them. */
LRT_API lrt_status lrt_stream_step(lrt_stream* stream, const void* const* inputs, void* const* outputs);

/* State. Its shapes are known once prepared; before the first step it is what was set, else zeros. */
LRT_API void lrt_stream_reset(lrt_stream* stream);
LRT_API size_t lrt_stream_state_count(const lrt_stream* stream);
LRT_API lrt_status lrt_stream_state(const lrt_stream* stream, size_t index, lrt_port* port, const void** data,
                                    lrt_error* error);
LRT_API lrt_status lrt_stream_set_state(lrt_stream* stream, size_t index, const lrt_array* value, lrt_error* error);

/* ---- Pools: many streams of one model stepped as one batch --------------------------------------------------------- */

/* For one thread at a time. Every stream keeps its own state and gives the bits of an lrt_stream stepped alone. A row is
   one stream's part of the frames, along the batch axis of each. */
typedef struct lrt_pool lrt_pool;

/* options: as for lrt_stream_create, batch being 1. capacity: how many streams can be open at once. Fails with
   LRT_ERROR_UNSUPPORTED where the model cannot be streamed or has no batch axis. */
LRT_API lrt_status lrt_pool_create(lrt_model* model, const lrt_stream_options* options, size_t capacity,
                                   lrt_pool** pool, lrt_error* error);
LRT_API void lrt_pool_free(lrt_pool* pool);
LRT_API size_t lrt_pool_capacity(const lrt_pool* pool);
LRT_API size_t lrt_pool_size(const lrt_pool* pool); /* streams that are open; for any thread */

/* A stream before its first step. Ids are not negative and none is given twice; LRT_ERROR_STATE where all are open. */
LRT_API lrt_status lrt_pool_open(lrt_pool* pool, int64_t* id, lrt_error* error);
LRT_API lrt_status lrt_pool_close(lrt_pool* pool, int64_t id, lrt_error* error);
LRT_API lrt_status lrt_pool_reset(lrt_pool* pool, int64_t id, lrt_error* error);

/* What a step takes and gives, as for a stream. */
LRT_API size_t lrt_pool_input_count(const lrt_pool* pool);
LRT_API size_t lrt_pool_output_count(const lrt_pool* pool);
LRT_API size_t lrt_pool_input(const lrt_pool* pool, size_t index);  /* index among the model's inputs */
LRT_API size_t lrt_pool_output(const lrt_pool* pool, size_t index); /* index among the model's outputs */

/* Plans for frames of these shapes, which have `rows` rows; afterwards any number of rows can be stepped. Allocates; step
   does not. The first frames say which axes are the batch, and fail with LRT_ERROR_UNSUPPORTED where rows turn out not to
   be independent. */
LRT_API lrt_status lrt_pool_prepare(lrt_pool* pool, const lrt_array* inputs, size_t count, size_t rows,
                                    lrt_error* error);
/* As prepared; the shape is that of one row. */
LRT_API lrt_status lrt_pool_output_port(const lrt_pool* pool, size_t index, lrt_port* port);
/* The axis along which rows lie: n of them are n times as long. -1 before anything was prepared. */
LRT_API int lrt_pool_input_axis(const lrt_pool* pool, size_t index);
LRT_API int lrt_pool_output_axis(const lrt_pool* pool, size_t index);
LRT_API uint64_t lrt_pool_macs(const lrt_pool* pool); /* of one row, as prepared */

/* One step of the streams `ids`, row i being that of ids[i]. An output may be NULL. Where an id is not open
   (LRT_ERROR_STATE) or is there twice (LRT_ERROR_ARGUMENT) nothing has changed. Allocates nothing and takes no lock. */
LRT_API lrt_status lrt_pool_step(lrt_pool* pool, const int64_t* ids, size_t rows, const void* const* inputs,
                                 void* const* outputs, lrt_error* error);

/* The state of one stream, as for lrt_stream_state. `data` stays valid until that stream is closed. */
LRT_API size_t lrt_pool_state_count(const lrt_pool* pool);
LRT_API lrt_status lrt_pool_state(const lrt_pool* pool, int64_t id, size_t index, lrt_port* port, const void** data,
                                  lrt_error* error);
LRT_API lrt_status lrt_pool_set_state(lrt_pool* pool, int64_t id, size_t index, const lrt_array* value,
                                      lrt_error* error);

/* ---- For tests and measurements --------------------------------------------------------------------------------- */

/* y = f(x) over n floats by the kernels of one instruction set; `function` as in docs/numerics.md ("tanh"). */
LRT_API lrt_status lrt_evaluate(const char* isa, const char* function, const float* x, float* y, size_t n, float alpha,
                                float beta, lrt_error* error);

#ifdef __cplusplus
}
#endif
#endif

// The C API over the core: handles, and exceptions turned into codes.
#include <cstdio>
#include <cstring>
#include <new>

#include "lstm_rt.h"
#include "model/text.h"
#include "session/flush.h"
#include "session/pool.h"
#include "session/stream.h"

#ifndef LRT_VERSION
#define LRT_VERSION "unknown"
#endif

struct lrt_model {
  std::shared_ptr<lrt::Model> model;
};

struct lrt_plan {
  std::shared_ptr<lrt::Model> model;
  std::shared_ptr<lrt::CachedPlan> plan;
  lrt::Parallel* workers = nullptr;  // the model's
};

struct lrt_stream {
  std::shared_ptr<lrt::Model> model;
  std::unique_ptr<lrt::Stream> stream;
};

struct lrt_pool {
  std::shared_ptr<lrt::Model> model;
  std::unique_ptr<lrt::Pool> pool;
};

namespace {

using lrt::DType;
using lrt::Error;
using lrt::Shape;
using lrt::Status;

lrt_status fail(lrt_error* error, lrt_status status, const char* message) {
  if (error) {
    error->status = status;
    lrt::copy_printable(message, error->message, sizeof error->message);  // it may quote a file
  }
  return status;
}

// Runs body; whatever it throws becomes a code and a message.
template <class Body>
lrt_status guarded(lrt_error* error, const Body& body) {
  try {
    body();
    return LRT_OK;
  } catch (const Error& e) {
    return fail(error, static_cast<lrt_status>(e.status), e.what());
  } catch (const std::bad_alloc&) {
    return fail(error, LRT_ERROR_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(error, LRT_ERROR_INTERNAL, e.what());
  } catch (...) {
    return fail(error, LRT_ERROR_INTERNAL, "unknown exception");
  }
}

void require(bool condition, const std::string& message) {
  if (!condition) throw Error(Status::argument, message);
}

template <class... Pointer>
void require_all(Pointer... pointers) {
  if ((... || (pointers == nullptr))) throw Error(Status::argument, "an argument is NULL that must not be");
}

// NULL does for none.
void require_array(const void* items, size_t count) {
  if (count > 0) require_all(items);
}

lrt_shape to_c(const Shape& shape) {
  lrt_shape result{};
  result.rank = shape.rank();
  for (int axis = 0; axis < shape.rank(); ++axis) result.dims[axis] = shape[axis];
  return result;
}

constexpr size_t kMaxPool = size_t{1} << 20;

DType dtype_of(int32_t code) {
  require(code >= 0 && code < lrt::kDTypes, "unknown dtype");
  return static_cast<DType>(code);
}

Shape shape_of(const lrt_shape& shape) {
  require(shape.rank >= 0 && shape.rank <= LRT_MAX_RANK, "an array's rank must be 0 to 8");
  Shape result;
  for (int axis = 0; axis < shape.rank; ++axis) result.push_back(shape.dims[axis]);
  return result;
}

lrt::PlanInput described(const lrt_array& array) {
  lrt::PlanInput input;
  input.dtype = dtype_of(array.dtype);
  input.shape = shape_of(array.shape);
  return input;
}

std::shared_ptr<const void> copied(const lrt_array& array) {
  require(array.data != nullptr, "a control or frozen input needs its data");
  int64_t elements = 1;
  for (int axis = 0; axis < array.shape.rank; ++axis) {
    const int64_t dim = array.shape.dims[axis];
    require(dim >= 0 && (dim == 0 || elements <= lrt::kMaxElements / dim), "an array is too large");
    elements *= dim;
  }
  const size_t bytes = static_cast<size_t>(elements) * lrt::size_of(dtype_of(array.dtype));
  auto storage = std::make_shared<lrt::AlignedBuffer>(bytes > 0 ? bytes : 1);
  if (bytes) std::memcpy(storage->as<void>(), array.data, bytes);
  return std::shared_ptr<const void>(storage, storage->as<void>());
}

lrt_port to_c(const lrt::Graph& graph, const lrt::Port& port) {
  lrt_port result{};
  result.name = graph.values[static_cast<size_t>(port.value)].c_str();
  result.dtype = port.dtype;
  result.shape.rank = port.rank;
  for (int axis = 0; axis < LRT_MAX_RANK; ++axis) {
    const auto at = static_cast<size_t>(axis);
    const bool there = axis < port.rank;
    result.shape.dims[axis] = there ? port.dims[at] : 0;
    result.dim_names[axis] = there ? port.dim_names[at].c_str() : "";
  }
  return result;
}

lrt_port planned_port(const lrt::Graph& graph, const lrt::Port& port, const lrt::PlannedValue& value) {
  lrt_port result = to_c(graph, port);
  result.dtype = static_cast<int32_t>(value.dtype);
  result.shape = to_c(value.shape);
  return result;
}

template <class T>
lrt_port unnamed_dims_port(const std::string& name, const T& tensor) {
  lrt_port port{};
  port.name = name.c_str();
  port.dtype = static_cast<int32_t>(tensor.dtype);
  port.shape = to_c(tensor.shape);
  for (const char*& dim : port.dim_names) dim = "";
  return port;
}

template <class State>
lrt_port state_port(const State& state) {
  return unnamed_dims_port(state.name, state);
}

std::vector<lrt::PlanInput> frames_of(const lrt_array* inputs, size_t count) {
  require_array(inputs, count);
  std::vector<lrt::PlanInput> frames;
  for (size_t i = 0; i < count; ++i) frames.push_back(described(inputs[i]));
  return frames;
}

lrt::ModelOptions model_options(const lrt_model_options& options) {
  lrt::ModelOptions result;
  result.isa = options.isa;
  result.max_memory = options.max_memory;
  if (const lrt_log log = options.log; log.write) {
    result.log = [log](lrt::LogLevel level, const std::string& message) {
      log.write(log.user, static_cast<lrt_log_level>(level), message.c_str());
    };
  }
  const lrt_allocator& allocator = options.allocator;
  require(!allocator.allocate == !allocator.release, "an allocator needs both of its functions");
  if (allocator.allocate) {
    result.memory = std::make_shared<lrt::HookMemory>(allocator.allocate, allocator.release, allocator.user);
  } else {
    result.memory = std::make_shared<lrt::SystemMemory>(result.log);
  }
  return result;
}

lrt_status load(const lrt_model_options* given, lrt_model** model, lrt_error* error,
                const std::function<lrt::Graph(const lrt_model_options&)>& read) {
  return guarded(error, [&] {
    require_all(model);
    *model = nullptr;
    const lrt_model_options options = given ? *given : lrt_model_options{};
    const lrt::ModelOptions chosen = model_options(options);
    const lrt::MemoryScope scope(chosen.memory);
    *model = new lrt_model{std::make_shared<lrt::Model>(read(options), chosen)};
  });
}

// SIZE_MAX past the end.
size_t at_or_none(const std::vector<size_t>& indices, size_t index) {
  return index < indices.size() ? indices[index] : SIZE_MAX;
}

lrt::StreamOptions stream_options(const lrt::Model& model, const lrt_stream_options* options) {
  lrt::StreamOptions result;
  if (!options) return result;
  const size_t inputs = model.graph().inputs.size(), outputs = model.graph().outputs.size();
  require(options->batch >= 0, "batch must be at least 1");
  if (options->batch != 0) result.batch = options->batch;
  if (options->threads != 0) result.threads = options->threads;
  result.own_bindings = options->bind == nullptr;
  for (size_t i = 0; options->bind && i < options->bind_count; ++i) {
    const size_t input = options->bind[2 * i], output = options->bind[2 * i + 1];
    require(input < inputs && output < outputs, "a binding names an input or output that is not there");
    result.bindings.emplace_back(static_cast<int>(input), static_cast<int>(output));
  }
  if (options->freeze_count > 0) require_all(options->freeze, options->freeze_values);
  for (size_t i = 0; i < options->freeze_count; ++i) {
    require(options->freeze[i] < inputs, "freeze names an input that is not there");
    lrt::PlanInput value = described(options->freeze_values[i]);
    value.known = copied(options->freeze_values[i]);
    result.freeze.emplace_back(static_cast<int>(options->freeze[i]), std::move(value));
  }
  return result;
}

}  // namespace

extern "C" {

const char* lrt_version(void) { return LRT_VERSION; }
int lrt_api_version(void) { return LRT_API_VERSION; }

const char* lrt_available_isa(size_t index) {
  const lrt::Kernels* const* kernels = lrt::available_kernels();
  for (size_t i = 0; kernels[i]; ++i) {
    if (i == index) return kernels[i]->name;
  }
  return nullptr;
}

int lrt_isa_is_exact(const char* name) {
  for (const lrt::Kernels* const* table = lrt::available_kernels(); name && *table; ++table) {
    if (std::strcmp((*table)->name, name) == 0) return (*table)->has_fma != 0;
  }
  return 0;
}

lrt_status lrt_default_isa(const char** name, lrt_error* error) {
  return guarded(error, [&] {
    require_all(name);
    *name = lrt::choose_kernels(nullptr)->name;
  });
}

lrt_status lrt_model_load(const char* path, const lrt_model_options* options, lrt_model** model, lrt_error* error) {
  return load(options, model, error, [path](const lrt_model_options&) {
    require_all(path);
    return lrt::read_graph_file(path);
  });
}

lrt_status lrt_model_load_memory(const void* data, size_t size, const lrt_model_options* options, lrt_model** model,
                                 lrt_error* error) {
  return load(options, model, error, [data, size](const lrt_model_options& how) {
    require_all(data);
    require(!how.borrow || reinterpret_cast<uintptr_t>(data) % lrt::kAlignment == 0,
            "data to be borrowed must be aligned to 64 bytes");
    return lrt::read_graph_memory(data, size, how.borrow != 0);
  });
}

void lrt_model_free(lrt_model* model) { delete model; }

const char* lrt_model_isa(const lrt_model* model) { return model->model->kernels().name; }
size_t lrt_model_input_count(const lrt_model* model) { return model->model->graph().inputs.size(); }
size_t lrt_model_output_count(const lrt_model* model) { return model->model->graph().outputs.size(); }

lrt_status lrt_model_input(const lrt_model* model, size_t index, lrt_port* port) {
  if (!model || !port || index >= lrt_model_input_count(model)) return LRT_ERROR_ARGUMENT;
  *port = to_c(model->model->graph(), model->model->graph().inputs[index]);
  return LRT_OK;
}

lrt_status lrt_model_output(const lrt_model* model, size_t index, lrt_port* port) {
  if (!model || !port || index >= lrt_model_output_count(model)) return LRT_ERROR_ARGUMENT;
  *port = to_c(model->model->graph(), model->model->graph().outputs[index]);
  return LRT_OK;
}

int lrt_model_input_is_control(const lrt_model* model, size_t index) {
  return index < lrt_model_input_count(model) && model->model->is_control(index);
}

lrt_status lrt_model_input_default(const lrt_model* model, size_t index, lrt_port* port, const void** data) {
  if (!model || !port || !data || index >= lrt_model_input_count(model)) return LRT_ERROR_ARGUMENT;
  const lrt::Graph& graph = model->model->graph();
  const lrt::Port& input = graph.inputs[index];
  if (input.default_weight < 0) return LRT_ERROR_ARGUMENT;
  const lrt::Weight& values = graph.weights[static_cast<size_t>(input.default_weight)];
  *port = unnamed_dims_port(graph.values[static_cast<size_t>(input.value)], values);
  *data = values.data;
  return LRT_OK;
}

size_t lrt_model_binding_count(const lrt_model* model) { return model->model->graph().bindings.size(); }

lrt_status lrt_model_binding(const lrt_model* model, size_t index, size_t* input, size_t* output) {
  if (!model || !input || !output || index >= lrt_model_binding_count(model)) return LRT_ERROR_ARGUMENT;
  const auto& binding = model->model->graph().bindings[index];
  *input = static_cast<size_t>(binding.first);
  *output = static_cast<size_t>(binding.second);
  return LRT_OK;
}

const char* lrt_model_metadata(const lrt_model* model, size_t index, const char** value) {
  const auto& metadata = model->model->graph().metadata;
  if (index >= metadata.size()) return nullptr;
  if (value) *value = metadata[index].second.c_str();
  return metadata[index].first.c_str();
}

uint64_t lrt_model_parameter_count(const lrt_model* model) { return model->model->parameters(); }
uint64_t lrt_model_weight_bytes(const lrt_model* model) { return model->model->weight_bytes(); }
uint64_t lrt_model_packed_bytes(const lrt_model* model) { return model->model->packed_bytes(); }

lrt_status lrt_model_selftest_input(const lrt_model* model, size_t test, size_t input, lrt_port* port,
                                    const void** data, lrt_error* error) {
  return guarded(error, [&] {
    require_all(model, port, data);
    const lrt::Graph& graph = model->model->graph();
    require(test < graph.selftests.size() && input < graph.inputs.size(), "there is no such self-test or input");
    const lrt::Constant& tensor = graph.selftests[test].inputs[input];
    *port = unnamed_dims_port(graph.values[static_cast<size_t>(graph.inputs[input].value)], tensor);
    *data = tensor.data;
  });
}

lrt_status lrt_model_verify(lrt_model* model, size_t* count, size_t* failed, lrt_error* error) {
  return guarded(error, [&] {
    require_all(model, count, failed);
    std::string difference;
    *count = model->model->verify(failed, &difference);
    if (*failed > 0) throw Error(Status::state, difference);
  });
}

const char* lrt_supported_op(size_t index, const char** summary) {
  const auto& ops = lrt::op_list();
  if (index >= ops.size()) return nullptr;
  if (summary) *summary = ops[index].summary;
  return ops[index].type;
}

lrt_status lrt_plan_create(lrt_model* model, const lrt_array* inputs, size_t count, lrt_plan** plan, lrt_error* error) {
  return guarded(error, [&] {
    require_all(plan);
    *plan = nullptr;
    require_all(model);
    require_array(inputs, count);
    lrt::PlanRequest request;
    const size_t wanted = model->model->graph().inputs.size();
    require(count == wanted,
            "the model takes " + std::to_string(wanted) + " arrays, " + std::to_string(count) + " were given");
    for (size_t i = 0; i < count; ++i) {
      request.inputs.push_back(described(inputs[i]));
      if (model->model->is_control(i)) request.inputs.back().known = copied(inputs[i]);
    }
    auto made = model->model->plan(request);
    made->prepare();
    *plan = new lrt_plan{model->model, std::move(made)};
  });
}

void lrt_plan_free(lrt_plan* plan) { delete plan; }

lrt_status lrt_plan_output(const lrt_plan* plan, size_t index, lrt_port* port) {
  if (!plan || !port) return LRT_ERROR_ARGUMENT;
  const auto& outputs = plan->plan->plan()->outputs;
  if (index >= outputs.size()) return LRT_ERROR_ARGUMENT;
  const lrt::Graph& graph = plan->model->graph();
  *port = planned_port(graph, graph.outputs[index], outputs[index]);
  return LRT_OK;
}

lrt_status lrt_plan_run(lrt_plan* plan, const void* const* inputs, void* const* outputs, lrt_error* error) {
  return guarded(error, [&] {
    require_all(plan, outputs);
    require_array(inputs, plan->plan->plan()->inputs.size());
    plan->plan->run(inputs, outputs, plan->workers);
  });
}

lrt_status lrt_plan_set_threads(lrt_plan* plan, int32_t threads, lrt_error* error) {
  return guarded(error, [&] {
    require_all(plan);
    plan->workers = plan->model->workers(threads);
  });
}

lrt_status lrt_plan_call(const lrt_plan* plan, size_t index, lrt_call* call) {
  if (!plan || !call) return LRT_ERROR_ARGUMENT;
  const auto& infos = plan->plan->plan()->infos;
  if (index >= infos.size()) return LRT_ERROR_ARGUMENT;
  const lrt::PlannedCall& info = infos[index];
  *call = {info.type.c_str(), info.name.c_str(), to_c(info.output), info.macs,
           info.weight_bytes, info.parameters,   info.precision};
  return LRT_OK;
}

size_t lrt_plan_call_count(const lrt_plan* plan) { return plan->plan->plan()->infos.size(); }
uint64_t lrt_plan_arena_bytes(const lrt_plan* plan) { return plan->plan->plan()->arena_bytes; }

lrt_status lrt_stream_create(lrt_model* model, const lrt_stream_options* options, lrt_stream** stream,
                             lrt_error* error) {
  return guarded(error, [&] {
    require_all(stream);
    *stream = nullptr;
    require_all(model);
    auto made = std::make_unique<lrt::Stream>(model->model, stream_options(*model->model, options));
    *stream = new lrt_stream{model->model, std::move(made)};
  });
}

lrt_status lrt_stream_clone(const lrt_stream* stream, lrt_stream** copy, lrt_error* error) {
  return guarded(error, [&] {
    require_all(copy);
    *copy = nullptr;
    require_all(stream);
    auto made = stream->stream->clone();
    *copy = new lrt_stream{stream->model, std::move(made)};
  });
}

lrt_status lrt_stream_size(lrt_model* model, const lrt_stream_options* options, const lrt_array* inputs, size_t count,
                           size_t* size, size_t* alignment, lrt_error* error) {
  return guarded(error, [&] {
    require_all(model, size);
    *size = lrt::Stream::bytes(model->model, stream_options(*model->model, options), frames_of(inputs, count));
    if (alignment) *alignment = lrt::kAlignment;
  });
}

lrt_status lrt_stream_create_in(lrt_model* model, const lrt_stream_options* options, const lrt_array* inputs,
                                size_t count, void* memory, size_t size, lrt_stream** stream, lrt_error* error) {
  return guarded(error, [&] {
    require_all(stream);
    *stream = nullptr;
    require_all(model, memory);
    auto made = std::make_unique<lrt::Stream>(model->model, stream_options(*model->model, options),
                                              frames_of(inputs, count), memory, size);
    *stream = new lrt_stream{model->model, std::move(made)};
  });
}

void lrt_stream_free(lrt_stream* stream) { delete stream; }

size_t lrt_stream_input_count(const lrt_stream* stream) { return stream->stream->setup().inputs().size(); }
size_t lrt_stream_output_count(const lrt_stream* stream) { return stream->stream->setup().outputs().size(); }
size_t lrt_stream_input(const lrt_stream* stream, size_t index) {
  return at_or_none(stream->stream->setup().inputs(), index);
}
size_t lrt_stream_output(const lrt_stream* stream, size_t index) {
  return at_or_none(stream->stream->setup().outputs(), index);
}
int lrt_stream_time_axis(const lrt_stream* stream, size_t index) {
  const lrt::StreamSetup& setup = stream->stream->setup();
  return index < setup.inputs().size() ? setup.time_axis(index) : -1;
}

lrt_status lrt_stream_prepare(lrt_stream* stream, const lrt_array* inputs, size_t count, lrt_error* error) {
  return guarded(error, [&] {
    require_all(stream);
    stream->stream->prepare(frames_of(inputs, count));
  });
}

lrt_status lrt_stream_output_port(const lrt_stream* stream, size_t index, lrt_port* port) {
  if (!stream || !port) return LRT_ERROR_ARGUMENT;
  const lrt::Plan* plan = stream->stream->plan();
  if (!plan) return LRT_ERROR_STATE;
  if (index >= stream->stream->setup().outputs().size()) return LRT_ERROR_ARGUMENT;
  const size_t output = stream->stream->setup().outputs()[index];
  const lrt::Graph& graph = stream->model->graph();
  *port = planned_port(graph, graph.outputs[output], plan->outputs[output]);
  return LRT_OK;
}

uint64_t lrt_stream_macs(const lrt_stream* stream) {
  const lrt::Plan* plan = stream->stream->plan();
  return plan ? plan->macs() : 0;
}

lrt_status lrt_stream_step(lrt_stream* stream, const void* const* inputs, void* const* outputs) {
  if (!stream) return LRT_ERROR_ARGUMENT;
  if (!stream->stream->plan()) return LRT_ERROR_STATE;
  const lrt::StreamSetup& setup = stream->stream->setup();
  if ((!inputs && !setup.inputs().empty()) || (!outputs && !setup.outputs().empty())) return LRT_ERROR_ARGUMENT;
  try {
    stream->stream->step(inputs, outputs);
    return LRT_OK;
  } catch (const Error& e) {
    return static_cast<lrt_status>(e.status);
  } catch (...) {
    return LRT_ERROR_INTERNAL;
  }
}

void lrt_stream_reset(lrt_stream* stream) { stream->stream->reset(); }
size_t lrt_stream_state_count(const lrt_stream* stream) { return stream->stream->states().size(); }

lrt_status lrt_stream_state(const lrt_stream* stream, size_t index, lrt_port* port, const void** data,
                            lrt_error* error) {
  return guarded(error, [&] {
    require_all(stream, port, data);
    require(index < stream->stream->states().size(), "there is no such state");
    *port = state_port(stream->stream->states()[index]);
    *data = stream->stream->state_data(index);
  });
}

lrt_status lrt_stream_set_state(lrt_stream* stream, size_t index, const lrt_array* value, lrt_error* error) {
  return guarded(error, [&] {
    require_all(stream, value);
    require_all(value->data);
    require(index < stream->stream->states().size(), "there is no such state");
    stream->stream->set_state(index, dtype_of(value->dtype), shape_of(value->shape), value->data);
  });
}

lrt_status lrt_pool_create(lrt_model* model, const lrt_stream_options* options, size_t capacity, lrt_pool** pool,
                           lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool);
    *pool = nullptr;
    require_all(model);
    require(capacity >= 1 && capacity <= kMaxPool, "a pool's capacity must be 1 to 1048576");
    require(!options || options->batch <= 1, "a stream of a pool has batch 1");
    auto made = std::make_unique<lrt::Pool>(model->model, stream_options(*model->model, options), capacity);
    *pool = new lrt_pool{model->model, std::move(made)};
  });
}

void lrt_pool_free(lrt_pool* pool) { delete pool; }

size_t lrt_pool_capacity(const lrt_pool* pool) { return pool->pool->capacity(); }
size_t lrt_pool_size(const lrt_pool* pool) { return pool->pool->size(); }

lrt_status lrt_pool_open(lrt_pool* pool, int64_t* id, lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool, id);
    *id = pool->pool->open();
  });
}

lrt_status lrt_pool_close(lrt_pool* pool, int64_t id, lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool);
    pool->pool->close(id);
  });
}

lrt_status lrt_pool_reset(lrt_pool* pool, int64_t id, lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool);
    pool->pool->reset(id);
  });
}

size_t lrt_pool_input_count(const lrt_pool* pool) { return pool->pool->setup().inputs().size(); }
size_t lrt_pool_output_count(const lrt_pool* pool) { return pool->pool->setup().outputs().size(); }
size_t lrt_pool_input(const lrt_pool* pool, size_t index) { return at_or_none(pool->pool->setup().inputs(), index); }
size_t lrt_pool_output(const lrt_pool* pool, size_t index) { return at_or_none(pool->pool->setup().outputs(), index); }

lrt_status lrt_pool_prepare(lrt_pool* pool, const lrt_array* inputs, size_t count, size_t rows, lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool);
    pool->pool->prepare(frames_of(inputs, count), rows);
  });
}

lrt_status lrt_pool_output_port(const lrt_pool* pool, size_t index, lrt_port* port) {
  if (!pool || !port) return LRT_ERROR_ARGUMENT;
  const lrt::PoolBatches* prepared = pool->pool->prepared();
  if (!prepared) return LRT_ERROR_STATE;
  if (index >= prepared->outputs().size()) return LRT_ERROR_ARGUMENT;
  const lrt::RowLayout& layout = prepared->outputs()[index];
  const lrt::Graph& graph = pool->model->graph();
  *port = planned_port(graph, graph.outputs[lrt_pool_output(pool, index)], {layout.dtype, layout.row, -1});
  return LRT_OK;
}

int lrt_pool_input_axis(const lrt_pool* pool, size_t index) {
  const std::vector<int>& axes = pool->pool->input_axes();
  return index < axes.size() ? axes[index] : -1;
}

int lrt_pool_output_axis(const lrt_pool* pool, size_t index) {
  const lrt::PoolBatches* prepared = pool->pool->prepared();
  return prepared && index < prepared->outputs().size() ? prepared->outputs()[index].axis : -1;
}

uint64_t lrt_pool_macs(const lrt_pool* pool) {
  const lrt::PoolBatches* prepared = pool->pool->prepared();
  return prepared ? prepared->macs() : 0;
}

lrt_status lrt_pool_step(lrt_pool* pool, const int64_t* ids, size_t rows, const void* const* inputs,
                         void* const* outputs, lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool, ids);
    require_array(inputs, lrt_pool_input_count(pool));
    require_array(outputs, lrt_pool_output_count(pool));
    if (!pool->pool->prepared()) throw Error(Status::state, "the pool is not prepared for any frames");
    pool->pool->step(ids, rows, inputs, outputs);
  });
}

size_t lrt_pool_state_count(const lrt_pool* pool) { return pool->pool->states().size(); }

lrt_status lrt_pool_state(const lrt_pool* pool, int64_t id, size_t index, lrt_port* port, const void** data,
                          lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool, port, data);
    require(index < pool->pool->states().size(), "there is no such state");
    *data = pool->pool->state_data(id, index);
    *port = state_port(pool->pool->states()[index]);
  });
}

lrt_status lrt_pool_set_state(lrt_pool* pool, int64_t id, size_t index, const lrt_array* value, lrt_error* error) {
  return guarded(error, [&] {
    require_all(pool, value);
    require_all(value->data);
    require(index < pool->pool->states().size(), "there is no such state");
    pool->pool->set_state(id, index, dtype_of(value->dtype), shape_of(value->shape), value->data);
  });
}

lrt_status lrt_evaluate(const char* isa, const char* function, const float* x, float* y, size_t n, float alpha,
                        float beta, lrt_error* error) {
  static constexpr struct {
    const char* name;
    int kind;
  } kFunctions[] = {{"sigmoid", lrt::LRT_SIGMOID},
                    {"tanh", lrt::LRT_TANH},
                    {"elu", lrt::LRT_ELU},
                    {"softplus", lrt::LRT_SOFTPLUS},
                    {"softsign", lrt::LRT_SOFTSIGN},
                    {"exp", lrt::LRT_EXP},
                    {"log", lrt::LRT_LOG},
                    {"sqrt", lrt::LRT_SQRT},
                    {"hard_sigmoid", lrt::LRT_HARD_SIGMOID},
                    {"scaled_tanh", lrt::LRT_SCALED_TANH},
                    {"reciprocal", lrt::LRT_RECIPROCAL},
                    {"selu", lrt::LRT_SELU},
                    {"celu", lrt::LRT_CELU},
                    {"gelu", lrt::LRT_GELU},
                    {"gelu_tanh", lrt::LRT_GELU_TANH},
                    {"swish", lrt::LRT_SWISH},
                    {"mish", lrt::LRT_MISH},
                    {"erf", lrt::LRT_ERF},
                    {"sin", lrt::LRT_SIN},
                    {"cos", lrt::LRT_COS},
                    {"tan", lrt::LRT_TAN},
                    {"asin", lrt::LRT_ASIN},
                    {"acos", lrt::LRT_ACOS},
                    {"atan", lrt::LRT_ATAN},
                    {"sinh", lrt::LRT_SINH},
                    {"cosh", lrt::LRT_COSH},
                    {"asinh", lrt::LRT_ASINH},
                    {"acosh", lrt::LRT_ACOSH},
                    {"atanh", lrt::LRT_ATANH}};
  return guarded(error, [&] {
    require_all(function, x, y);
    for (const auto& entry : kFunctions) {
      if (std::strcmp(entry.name, function) != 0) continue;
      const lrt::FlushDenormals flush;
      return lrt::choose_kernels(isa)->unary_f32(entry.kind, x, y, static_cast<int64_t>(n), alpha, beta);
    }
    throw Error(Status::argument, std::string("unknown function '") + function + "'");
  });
}

}  // extern "C"

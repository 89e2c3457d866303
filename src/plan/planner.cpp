#include "plan/planner.h"

#include <algorithm>
#include <cstring>

#include "model/pages.h"
#include "session/flush.h"

namespace lrt {

namespace {

constexpr char kEmpty = 0;  // where a tensor without elements points

// What planning may compute of known values, in all: enough for weights rebuilt in the graph, each by a few ops, not for a
// shape that lies.
constexpr size_t kKnownBytes = size_t{128} << 20, kKnownPerFileByte = 16;
// Likewise of multiply-adds: some seconds of the slowest ops, and every weight of a file a thousand times.
constexpr uint64_t kKnownMacs = uint64_t{1} << 32, kKnownMacsPerFileByte = 1024;
// Ops of loops that may be unrolled in one plan; what is more stays a loop.
constexpr int64_t kUnrollable = 2048;
// The same for loops that carry sequences, which cannot stay loops.
constexpr int64_t kUnrollableLists = int64_t{1} << 16;

}  // namespace

void check_elements(const Op& op, const Shape& shape) {
  if (!shape.fits()) throw Error(Status::shape, describe(op) + ": its result " + shape.text() + " is too large");
}

std::vector<CallState> keep_needed(std::vector<CallState> calls, std::vector<bool> needed) {
  std::vector<CallState> kept;
  for (size_t i = calls.size(); i-- > 0;) {
    CallState& call = calls[i];
    const auto is_needed = [&](BufferId id) { return needed[static_cast<size_t>(id)]; };
    if (std::none_of(call.writes.begin(), call.writes.end(), is_needed)) continue;
    for (const BufferId id : call.reads) needed[static_cast<size_t>(id)] = true;
    kept.push_back(std::move(call));
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

uint64_t Plan::macs() const {
  uint64_t total = 0;
  for (const PlannedCall& info : infos) total += info.macs;
  return total;
}

std::shared_ptr<const void> PackCache::find(Key key) const {
  for (const auto& entry : entries_) {
    if (entry.first == key) return entry.second;
  }
  return nullptr;
}

void PackCache::put(Key key, std::shared_ptr<const void> packed) { entries_.emplace_back(key, std::move(packed)); }

Planner::Planner(const Graph& graph, const Kernels& kernels, PackCache& packs, const PlanRequest& request)
    : graph_(graph), kernels_(kernels), packs_(packs), request_(request) {
  values_.resize(graph.values.size());
  uses_.resize(graph.values.size(), 0);
  block_ops_.resize(graph.blocks.size(), 0);
  unrollable_ = kUnrollable;
  unrollable_lists_ = kUnrollableLists;
  for (size_t i = graph.blocks.size(); i-- > 0;) {  // blocks come after those they are in
    const Block& block = graph.blocks[i];
    for (const Op& op : block.ops) {
      for (const int input : op.inputs) {
        if (input != kAbsent) ++uses_[static_cast<size_t>(input)];
      }
      ++block_ops_[i];
      for (const Attribute& attribute : op.attributes) {
        if (attribute.kind == Attribute::Kind::block)
          block_ops_[i] += block_ops_[static_cast<size_t>(attribute.ints[0])];
      }
    }
    for (const int output : block.outputs) ++uses_[static_cast<size_t>(output)];
  }
}

std::shared_ptr<const Plan> Planner::plan() {
  const FlushDenormals flush;  // as at run time: what is computed now must have the same bits
  define_inputs();
  define_weights();
  plan_block(graph_.blocks[0]);
  finish_outputs();
  finish_calls();
  finish_constants();
  finish_arena();
  forget_weights();
  plan_->buffers = buffers_.size();
  return plan_;
}

std::shared_ptr<const void> Planner::new_known(const Op& op, size_t bytes) {
  known_bytes_ += bytes;
  const size_t most = kKnownBytes + kKnownPerFileByte * graph_.file_size;
  if (known_bytes_ > most) {
    throw Error(Status::memory, describe(op) + ": computing what is known beforehand needs more than " +
                                    std::to_string(most >> 20) + " MiB. A shape in the model is too large");
  }
  auto storage = std::make_shared<AlignedBuffer>(std::max<size_t>(bytes, 1));
  return std::shared_ptr<const void>(storage, storage->as<void>());
}

void Planner::take_known_work(const Op& op, uint64_t macs) {
  const uint64_t most = kKnownMacs + kKnownMacsPerFileByte * graph_.file_size;
  if (macs > most - known_macs_) {
    throw Error(Status::unsupported, describe(op) + ": computing known values at plan time needs more than " +
                                         std::to_string(most) +
                                         " multiply-adds. Make its inputs depend on the model's inputs, or smaller");
  }
  known_macs_ += macs;
}

ValueState Planner::known_scalar(DType dtype, const void* element) const {
  auto storage = std::make_shared<AlignedBuffer>(size_of(dtype));
  std::memcpy(storage->as<void>(), element, size_of(dtype));
  ValueState state;
  state.defined = true;
  state.dtype = dtype;
  state.known = std::shared_ptr<const void>(storage, storage->as<void>());
  return state;
}

BufferId Planner::new_buffer(BufferState::Kind kind, size_t bytes) {
  BufferState state;
  state.kind = kind;
  state.bytes = bytes;
  buffers_.push_back(state);
  table_.push_back(no_elements());
  return static_cast<BufferId>(buffers_.size()) - 1;
}

BufferId Planner::new_constant(std::shared_ptr<const void> data, size_t bytes) {
  const BufferId id = new_buffer(BufferState::Kind::constant, bytes);
  table_.back() = const_cast<void*>(data.get());  // written only by the call that computes it
  buffers_.back().data = std::move(data);
  return id;
}

BufferId Planner::buffer_of(ValueState& state) {
  if (state.items) throw Error(Status::unsupported, "a sequence is used as a tensor");
  if (state.buffer < 0) state.buffer = new_constant(state.known, state.bytes());
  return state.buffer;
}

void Planner::check_input(size_t index) const {
  const Port& port = graph_.inputs[index];
  const PlanInput& given = request_.inputs[index];
  const std::string name = "input '" + graph_.values[static_cast<size_t>(port.value)] + "'";
  if (static_cast<int32_t>(given.dtype) != port.dtype) {
    throw Error(Status::shape,
                name + " is " + name_of(given.dtype) + ", wanted " + name_of(static_cast<DType>(port.dtype)));
  }
  bool fits = given.shape.rank() == port.rank;
  for (int axis = 0; fits && axis < port.rank; ++axis) {
    const int64_t wanted = port.dims[static_cast<size_t>(axis)];
    fits = given.shape[axis] >= 0 && (wanted < 0 || wanted == given.shape[axis]);
  }
  if (!fits) {
    std::string wanted = "[";
    for (int axis = 0; axis < port.rank; ++axis) {
      const auto at = static_cast<size_t>(axis);
      const std::string free = port.dim_names[at].empty() ? "?" : port.dim_names[at];
      wanted += (axis ? ", " : "") + (port.dims[at] < 0 ? free : std::to_string(port.dims[at]));
    }
    throw Error(Status::shape, name + " is " + given.shape.text() + ", wanted " + wanted + "]");
  }
  if (!given.shape.fits()) throw Error(Status::shape, name + " is too large: " + given.shape.text());
}

void Planner::define_inputs() {
  if (request_.inputs.size() != graph_.inputs.size()) {
    throw Error(Status::argument, "the model has " + std::to_string(graph_.inputs.size()) + " inputs, " +
                                      std::to_string(request_.inputs.size()) + " were given");
  }
  plan_->inputs.assign(graph_.inputs.size(), -1);
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    check_input(i);
    const PlanInput& given = request_.inputs[i];
    ValueState& state = value(graph_.inputs[i].value);
    state.defined = true;
    state.dtype = given.dtype;
    state.shape = given.shape;
    state.known = given.known;
    state.time_axis = given.time_axis;
    if (state.known) continue;
    state.buffer = new_buffer(BufferState::Kind::input, state.bytes());
    plan_->inputs[i] = state.buffer;
  }
  for (const auto& binding : request_.bindings) {
    const auto in = static_cast<size_t>(binding.first);
    ValueState& state = value(graph_.inputs[in].value);
    buffer(state.buffer).kind = BufferState::Kind::state;
    plan_->inputs[in] = -1;
    plan_->states.push_back({graph_.values[static_cast<size_t>(graph_.inputs[in].value)], state.dtype, state.shape,
                             state.buffer, -1, nullptr});
  }
}

void Planner::define_weights() {
  for (const Weight& weight : graph_.weights) {
    ValueState& state = value(weight.value);
    state.defined = true;
    state.dtype = weight.dtype;
    state.shape = weight.shape;
    state.known = std::shared_ptr<const void>(graph_.bytes, weight.data ? weight.data : &kEmpty);
    state.is_static = true;
  }
}

void Planner::plan_block(const Block& block) {
  for (const Op& op : block.ops) plan_op(op);
}

// A branch is chosen while planning; its ops join the list as if they had stood here.
void Planner::plan_if(const Op& op) {
  const auto fail = [&op](const std::string& what) { throw Error(Status::unsupported, describe(op) + ": " + what); };
  const ValueState& condition = value(op.inputs[0]);
  if (!condition.known)
    fail("its condition depends on data. Only conditions on shapes, constants and control inputs can be run");
  if (condition.shape.elements() != 1) fail("its condition is " + condition.shape.text() + ", expected one bool");
  if (condition.from_time) problem(op, "takes the branch that the number of steps decides");
  const bool is_static = condition.is_static, chosen = *static_cast<const uint8_t*>(condition.known.get()) != 0;
  const Block& block = graph_.blocks[static_cast<size_t>(op.block(chosen ? "then_branch" : "else_branch"))];
  plan_block(block);
  for (size_t i = 0; i < op.outputs.size(); ++i) {
    if (op.outputs[i] == kAbsent) continue;
    ValueState& output = value(op.outputs[i]) = value(block.outputs[i]);
    output.is_static = output.is_static && is_static;  // another plan may take the other branch
  }
}

void Planner::use(BufferId id, int call) {
  BufferState& state = buffer(id);
  if (state.first < 0) state.first = call;
  state.last = call;
}

void Planner::problem(const Op& op, const std::string& why) { plan_->problems.push_back(describe(op) + " " + why); }

// Whoever runs the plan makes room for its outputs: that counts too.
void Planner::take_output(const std::string& name, const ValueState& result) {
  try {
    MemoryScope::take(result.bytes());
  } catch (const OverLimit& error) {
    throw Error(Status::memory, "output '" + name + "', " + result.shape.text() + ", " + error.what());
  }
}

// An output's buffer becomes the caller's own memory (or the stream's state) where it is an ordinary buffer that no
// other output took; else it is copied there by one more call.
void Planner::finish_output(size_t index, bool bound, BufferId state) {
  const Port& port = graph_.outputs[index];
  const std::string& name = graph_.values[static_cast<size_t>(port.value)];
  ValueState& result = value(port.value);
  if (result.items) throw Error(Status::unsupported, "output '" + name + "' is a sequence. Only tensors are supported");
  if (!bound) {
    plan_->outputs[index] = {result.dtype, result.shape, -1};
    take_output(name, result);
  }

  const auto kind = bound ? BufferState::Kind::state : BufferState::Kind::output;
  BufferId id = buffer_of(result);
  if (buffer(id).kind == BufferState::Kind::arena) {
    buffer(id).kind = kind;
  } else {
    const BufferId from = id, to = id = new_buffer(kind, result.bytes());
    const size_t bytes = result.bytes();
    Run copy = [from, to, bytes](const Frame& frame) {
      if (bytes) std::memcpy(frame.at<char>(to), frame.at<char>(from), bytes);
    };
    calls_.push_back({std::move(copy), {"Copy", name, result.shape, 0, 0, 0}, {from}, {to}});
  }
  if (bound) {
    plan_->states[static_cast<size_t>(state)].out = id;
  } else {
    plan_->outputs[index].buffer = id;
  }
}

void Planner::finish_outputs() {
  plan_->outputs.resize(graph_.outputs.size());
  std::vector<int> state_of(graph_.outputs.size(), -1);
  for (size_t i = 0; i < request_.bindings.size(); ++i) {
    const auto [in, out] = request_.bindings[i];
    const PlannedState& state = plan_->states[i];
    const ValueState& result = value(graph_.outputs[static_cast<size_t>(out)].value);
    if (result.dtype != state.dtype || result.shape != state.shape) {
      throw Error(Status::state,
                  "state '" + state.name + "' is " + name_of(state.dtype) + state.shape.text() + " but output '" +
                      graph_.values[static_cast<size_t>(graph_.outputs[static_cast<size_t>(out)].value)] +
                      "', which is bound to it, is " + name_of(result.dtype) + result.shape.text());
    }
    state_of[static_cast<size_t>(out)] = static_cast<int>(i);
  }
  for (size_t i = 0; i < graph_.outputs.size(); ++i) finish_output(i, state_of[i] >= 0, state_of[i]);
}

// Drops the calls that nothing reads, and notes when each buffer is used by those that stay.
void Planner::finish_calls() {
  std::vector<bool> needed(buffers_.size(), false);
  for (size_t id = 0; id < buffers_.size(); ++id) {
    needed[id] = buffers_[id].kind == BufferState::Kind::output || buffers_[id].kind == BufferState::Kind::state;
  }
  for (CallState& call : keep_needed(std::move(calls_), std::move(needed))) {
    const int at = static_cast<int>(plan_->calls.size());
    for (const BufferId id : call.reads) use(id, at);
    for (const BufferId id : call.writes) use(id, at);
    plan_->calls.push_back(std::move(call.run));
    plan_->infos.push_back(std::move(call.info));
  }
}

void Planner::finish_constants() {
  for (size_t id = 0; id < buffers_.size(); ++id) {
    const BufferState& state = buffers_[id];
    if (state.kind != BufferState::Kind::constant || state.first < 0) continue;
    plan_->constants.emplace_back(static_cast<BufferId>(id), state.data.get());
    plan_->owners.push_back(state.data);
  }
}

void Planner::finish_arena() {
  std::vector<Lifetime> lifetimes;
  for (size_t id = 0; id < buffers_.size(); ++id) {
    const BufferState& state = buffers_[id];
    if (state.kind != BufferState::Kind::arena || state.first < 0) continue;
    lifetimes.push_back({static_cast<BufferId>(id), state.bytes, state.first, state.last});
  }
  const auto largest = std::max_element(lifetimes.begin(), lifetimes.end(),
                                        [](const Lifetime& a, const Lifetime& b) { return a.bytes < b.bytes; });
  if (largest == lifetimes.end()) return;
  const Lifetime most = *largest;
  const uint64_t bytes = lay_out(std::move(lifetimes), &plan_->arena);
  try {
    MemoryScope::take(bytes);
  } catch (const OverLimit& error) {
    const PlannedCall& call = plan_->infos[static_cast<size_t>(most.first)];
    throw Error(Status::memory, "node '" + call.name + "' (" + call.type + "): " + size_text(most.bytes) +
                                    " is the largest part of the arena, which " + error.what());
  }
  plan_->arena_bytes = static_cast<size_t>(bytes);
}

// What was packed, or computed with while planning, is not read again by what was planned. What is read comes into memory
// now, so that no run waits for it.
void Planner::forget_weights() {
  if (!request_.proving) {
    for (const auto& [id, data] : plan_->constants) {
      packs_.keep(data);
      touch_pages(data, buffers_[static_cast<size_t>(id)].bytes);
    }
    touch_code();
  }
  for (const Weight& weight : graph_.weights) {
    if (!packs_.keeps(weight.data)) graph_.forget(weight.data, weight.bytes());
  }
}

std::shared_ptr<const Plan> make_plan(const Graph& graph, const Kernels& kernels, PackCache& packs,
                                      const PlanRequest& request) {
  return Planner(graph, kernels, packs, request).plan();
}

}  // namespace lrt

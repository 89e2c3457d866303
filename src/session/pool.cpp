#include "session/pool.h"

#include <algorithm>
#include <cstring>

namespace lrt {

namespace {

// Frames of so many shapes are kept planned: streams that are stepped by chunks of two lengths do not plan at each step.
constexpr size_t kKept = 4;

bool has_free_dim(const Port& port, int but) {
  for (int axis = 0; axis < port.rank; ++axis) {
    if (port.dims[static_cast<size_t>(axis)] < 0 && axis != but) return true;
  }
  return false;
}

void require_free_dim(const char* kind, const std::string& name, const Port& port, int but) {
  if (has_free_dim(port, but)) return;
  throw Error(Status::unsupported, "this model cannot be pooled: " + std::string(kind) + " '" + name +
                                       "' has no batch axis, since none of its dims is free" +
                                       (but >= 0 ? " but that of time" : "") +
                                       ". Convert it with a free batch: shapes={'" + name + "': (None, ...)}");
}

}  // namespace

Pool::Pool(std::shared_ptr<Model> model, const StreamOptions& options, size_t capacity)
    : setup_(std::move(model), options), rows_(capacity) {
  for (size_t i = 0; i < setup_.inputs().size(); ++i) {
    require_free_dim("input", setup_.input_name(i), setup_.input_port(i), setup_.time_axis(i));
  }
  const Graph& graph = setup_.model().graph();
  for (const auto& [input, output] : setup_.bindings()) {
    const Port& port = graph.inputs[static_cast<size_t>(input)];
    require_free_dim("state", graph.values[static_cast<size_t>(port.value)], port, -1);
  }
  for (size_t i = 0; i < capacity; ++i) {
    slots_.push_back({static_cast<int64_t>(i), false, 0});
    free_.push_back(capacity - 1 - i);
  }
  make_states(setup_.states());
}

int64_t Pool::open() {
  if (free_.empty()) {
    throw Error(Status::state, "all " + std::to_string(capacity()) +
                                   " streams of this pool are open. Close one, or make a pool of larger capacity");
  }
  const size_t slot = free_.back();
  start(slot);
  free_.pop_back();
  ++open_;
  slots_[slot].open = true;
  return slots_[slot].id;
}

void Pool::close(int64_t id) {
  const size_t slot = slot_of(id);
  slots_[slot].open = false;
  slots_[slot].id += static_cast<int64_t>(capacity());
  free_.push_back(slot);
  --open_;
}

void Pool::reset(int64_t id) { start(slot_of(id)); }

void Pool::start(size_t slot) {
  char* const memory = memory_of(slot);
  std::memset(memory, 0, slot_bytes_);
  for (const State& state : states_) {
    if (state.initial) std::memcpy(memory + state.offset, state.initial.get(), state.bytes());
  }
}

// Ids count up in steps of the capacity within a slot, so that one that was closed is told from the one open now.
size_t Pool::slot_of(int64_t id) const {
  if (id < 0) refuse_id(id);
  const size_t slot = static_cast<size_t>(id) % slots_.size();
  if (!slots_[slot].open || slots_[slot].id != id) refuse_id(id);
  return slot;
}

void Pool::refuse_id(int64_t id) const {
  const bool closed = id >= 0 && id < slots_[static_cast<size_t>(id) % slots_.size()].id;
  throw Error(Status::state, closed ? "stream " + std::to_string(id) + " of this pool was closed"
                                    : "this pool has no stream " + std::to_string(id) + ". Ids come from open()");
}

void Pool::set_state(int64_t id, size_t index, DType dtype, const Shape& shape, const void* data) {
  const size_t slot = slot_of(id);
  const State& state = states_[index];
  if (dtype != state.dtype || shape != state.shape) {
    throw Error(Status::shape, "state '" + state.name + "' is " + name_of(dtype) + shape.text() + ", wanted " +
                                   name_of(state.dtype) + state.shape.text());
  }
  if (state.bytes()) std::memcpy(memory_of(slot) + state.offset, data, state.bytes());
  fresh_ = false;
}

void Pool::make_states(const std::vector<PlannedState>& planned) {
  std::vector<State> states;
  size_t offset = 0;
  for (const PlannedState& state : planned) {
    states.push_back({state.name, state.dtype, state.shape, setup_.first_value(states.size(), state), offset});
    offset += align_up(state.bytes());
  }
  const MemoryScope scope(setup_.model().memory(), setup_.model().max_memory(0, capacity()));
  if (offset > SIZE_MAX / capacity()) MemoryScope::take(UINT64_MAX);
  memory_ = AlignedBuffer(std::max<size_t>(1, capacity() * offset));  // the last that throws: nothing has changed yet
  slot_bytes_ = offset;
  states_ = std::move(states);
  for (size_t slot = 0; slot < capacity(); ++slot) start(slot);
}

// Until the first step the frames may still say what the states are.
void Pool::check_states(const std::vector<PlannedState>& planned) {
  const auto differs = [](const PlannedState& a, const State& b) { return a.shape != b.shape; };
  for (size_t i = 0; i < planned.size(); ++i) {
    if (!differs(planned[i], states_[i])) continue;
    if (fresh_) return make_states(planned);
    throw Error(Status::shape, "frames of this shape need state '" + planned[i].name + "' to be " +
                                   planned[i].shape.text() + ", but this pool keeps it as " + states_[i].shape.text() +
                                   ". Make another pool for them");
  }
}

std::vector<PlanInput> Pool::one_row(const std::vector<PlanInput>& frames, size_t rows,
                                     const std::vector<int>& axes) const {
  std::vector<PlanInput> one = frames;
  for (size_t i = 0; i < frames.size(); ++i) {
    const Shape& shape = frames[i].shape;
    const int axis = axes[i];
    if (axis >= shape.rank() || shape[axis] != static_cast<int64_t>(rows)) {
      throw Error(Status::shape, "input '" + setup_.input_name(i) + "' is " + shape.text() + " for " +
                                     std::to_string(rows) + " ids: its axis " + std::to_string(axis) +
                                     " must have one row for each");
    }
    one[i].shape[axis] = 1;
  }
  return one;
}

// For every choice of axes that could be the batch: one axis per input.
std::vector<std::vector<int>> Pool::candidate_axes(const std::vector<PlanInput>& frames, size_t rows) const {
  std::vector<std::vector<int>> choices = {{}};
  for (size_t i = 0; i < frames.size(); ++i) {
    const Port& port = setup_.input_port(i);
    const Shape& shape = frames[i].shape;
    std::vector<std::vector<int>> longer;
    for (int axis = 0; axis < port.rank && axis < shape.rank(); ++axis) {
      const bool free = port.dims[static_cast<size_t>(axis)] < 0 && axis != setup_.time_axis(i);
      if (!free || shape[axis] != static_cast<int64_t>(rows)) continue;
      for (std::vector<int> choice : choices) {
        choice.push_back(axis);
        longer.push_back(std::move(choice));
      }
    }
    if (longer.empty()) {
      throw Error(Status::shape, "input '" + setup_.input_name(i) + "' is " + shape.text() + " for " +
                                     std::to_string(rows) + " ids: its batch axis must have one row for each");
    }
    choices = std::move(longer);
  }
  return choices;
}

// The first frames say which axes are the batch: those with which the model runs, with rows that are independent.
std::unique_ptr<PoolBatches> Pool::find_axes(const std::vector<PlanInput>& frames, size_t rows) {
  setup_.model().plan_once(setup_.request(frames, static_cast<int64_t>(rows)));  // what is wrong as given is said first
  std::vector<std::string> problems;
  for (const std::vector<int>& axes : candidate_axes(frames, rows)) {
    try {
      auto batches = std::make_unique<PoolBatches>(setup_, one_row(frames, rows, axes), axes, capacity());
      axes_ = axes;
      return batches;
    } catch (const Error& error) {
      if (error.status != Status::shape && error.status != Status::unsupported && error.status != Status::state) throw;
      problems.push_back(error.what());
    }
  }
  throw Error(Status::unsupported, problems.front());
}

void Pool::prepare(const std::vector<PlanInput>& frames, size_t rows) {
  if (rows == 0) throw Error(Status::argument, "a step needs at least one id");
  if (frames.size() != setup_.inputs().size()) {
    throw Error(Status::argument, "a step takes " + std::to_string(setup_.inputs().size()) + " arrays, " +
                                      std::to_string(frames.size()) + " were given");
  }
  std::unique_ptr<PoolBatches> batches;
  if (axes_.empty()) batches = find_axes(frames, rows);
  std::vector<PlanInput> one = one_row(frames, rows, axes_);
  const auto found = std::find_if(prepared_.begin(), prepared_.end(),
                                  [&](const Prepared& prepared) { return same_frames(prepared.frames, one); });
  if (found != prepared_.end()) {
    check_states(found->batches->planned_states());  // other frames may have re-made them since
    return prepared_.splice(prepared_.begin(), prepared_, found);
  }
  if (!batches) batches = std::make_unique<PoolBatches>(setup_, one, axes_, capacity());
  std::list<Prepared> made;
  made.push_front({std::move(one), std::move(batches)});
  check_states(made.front().batches->planned_states());  // once these are new, those in front must be too
  prepared_.splice(prepared_.begin(), made);
  if (prepared_.size() > kKept) prepared_.pop_back();
}

void Pool::step(const int64_t* ids, size_t rows, const void* const* inputs, void* const* outputs) {
  ++steps_;
  for (size_t i = 0; i < rows; ++i) {  // past the capacity one is there twice, or not open
    const size_t slot = slot_of(ids[i]);
    if (slots_[slot].step == steps_) {
      throw Error(Status::argument,
                  "stream " + std::to_string(ids[i]) + " is there twice: a step takes one frame of each");
    }
    slots_[slot].step = steps_;
    rows_[i] = memory_of(slot);
  }
  fresh_ = false;
  prepared_.front().batches->step(rows_.data(), rows, inputs, outputs);
}

}  // namespace lrt

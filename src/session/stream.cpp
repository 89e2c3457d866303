#include "session/stream.h"

#include <algorithm>
#include <cstring>

namespace lrt {

namespace {

size_t state_buffer_bytes(size_t bytes) { return std::max<size_t>(bytes, 1); }

size_t bytes_for(const Plan& plan, const std::vector<size_t>& outputs) {
  size_t bytes = Execution::bytes(plan, outputs, true);
  for (const PlannedState& state : plan.states) bytes += 2 * align_up(state_buffer_bytes(state.bytes()));
  return bytes;
}

}  // namespace

Stream::Stream(std::shared_ptr<Model> model, const StreamOptions& options)
    : setup_(std::make_shared<StreamSetup>(std::move(model), options)), batch_(options.batch) {
  const MemoryScope scope(setup_->model().memory(), limit({}));
  make_states(setup_->states());
}

size_t Stream::bytes(std::shared_ptr<Model> model, const StreamOptions& options, const std::vector<PlanInput>& frames) {
  const StreamSetup setup(std::move(model), options);
  return bytes_for(*setup.model().plan(setup.request(frames, options.batch))->plan(), setup.outputs());
}

Stream::Stream(std::shared_ptr<Model> model, const StreamOptions& options, const std::vector<PlanInput>& frames,
               void* memory, size_t size)
    : setup_(std::make_shared<StreamSetup>(std::move(model), options)), batch_(options.batch) {
  auto plan = plan_for(frames);
  const size_t needed = bytes_for(*plan, setup_->outputs());
  const auto past = static_cast<size_t>(reinterpret_cast<uintptr_t>(memory) % kAlignment);
  if (past != 0 || size < needed) {
    throw Error(Status::argument, "the memory given to the stream has " + std::to_string(size) + " bytes, " +
                                      std::to_string(past) + " past a multiple of " + std::to_string(kAlignment) +
                                      "; wanted " + std::to_string(needed) + " at such a multiple");
  }
  lent_ = std::make_shared<LentMemory>(memory, size);
  const MemoryScope scope(lent_);
  make_states(plan->states);
  adopt(std::move(plan), frames);
}

std::unique_ptr<Stream> Stream::clone() const {
  std::unique_ptr<Stream> copy(new Stream());
  copy->setup_ = setup_;
  copy->batch_ = batch_;
  const MemoryScope scope(setup_->model().memory());
  for (size_t i = 0; i < states_.size(); ++i) {
    const State& from = states_[i];
    copy->states_.push_back({from.name, from.dtype, from.shape, from.initial, {}});
    State& to = copy->states_.back();
    for (AlignedBuffer& buffer : to.buffers) buffer = AlignedBuffer(from.buffers[0].size());
    std::memcpy(to.buffers[0].as<void>(), state_data(i), from.bytes());
  }
  copy->fresh_ = fresh_;
  if (current_) copy->prepare(prepared_);
  return copy;
}

void Stream::prepare(const std::vector<PlanInput>& frames) {
  if (current_ && same_frames(frames, prepared_)) return;
  if (lent_) {
    throw Error(Status::state,
                "this stream lives in memory that was given for frames of other shapes. Make another one");
  }
  auto plan = plan_for(frames);
  const MemoryScope scope(setup_->model().memory(), limit(frames));
  adopt(std::move(plan), frames);
}

std::shared_ptr<const Plan> Stream::plan_for(const std::vector<PlanInput>& frames) const {
  return setup_->model().plan(setup_->request(frames, batch_))->plan();
}

uint64_t Stream::limit(const std::vector<PlanInput>& frames) const {
  uint64_t bytes = 0;
  for (const PlanInput& frame : frames) bytes += bytes_of(frame.dtype, frame.shape);
  return setup_->model().max_memory(bytes);
}

void Stream::adopt(std::shared_ptr<const Plan> plan, const std::vector<PlanInput>& frames) {
  auto next = std::make_unique<Execution>(std::move(plan), setup_->inputs(), setup_->outputs(), turn());
  next->share_with(setup_->workers());
  next->spare_outputs();
  auto prepared = frames;
  check_states(next->plan().states);  // the last that throws: nothing has changed yet
  for (size_t i = 0; i < states_.size(); ++i) {
    const PlannedState& state = next->plan().states[i];
    for (const bool turn : {false, true}) {
      next->set(turn, state.in, states_[i].buffers[turn].as<void>());
      next->set(turn, state.out, states_[i].buffers[!turn].as<void>());
    }
  }
  current_ = std::move(next);
  prepared_ = std::move(prepared);
}

void Stream::make_states(const std::vector<PlannedState>& planned) {
  std::vector<State> made;
  for (const PlannedState& state : planned) {
    made.push_back({state.name, state.dtype, state.shape, setup_->first_value(made.size(), state), {}});
    const size_t bytes = state_buffer_bytes(state.bytes());
    for (AlignedBuffer& buffer : made.back().buffers) buffer = AlignedBuffer(bytes);
  }
  states_ = std::move(made);
  reset();
}

// Until the first step the frames may still say how large the batch is.
void Stream::check_states(const std::vector<PlannedState>& planned) {
  const bool same = std::equal(planned.begin(), planned.end(), states_.begin(), states_.end(),
                               [](const PlannedState& a, const State& b) { return a.shape == b.shape; });
  if (same) return;
  if (fresh_) return make_states(planned);
  throw Error(Status::shape, "frames of this shape need state '" + planned[0].name + "' to be " +
                                 planned[0].shape.text() + ", but this stream keeps it as " + states_[0].shape.text() +
                                 ". A stream keeps its batch: make another one");
}

void Stream::reset() {
  for (State& state : states_) {
    void* const now = state.buffers[turn()].as<void>();
    if (state.initial) {
      std::memcpy(now, state.initial.get(), state.bytes());
    } else {
      std::memset(now, 0, state.bytes());
    }
  }
}

void Stream::set_state(size_t index, DType dtype, const Shape& shape, const void* data) {
  State& state = states_[index];
  if (dtype != state.dtype || shape != state.shape) {
    throw Error(Status::shape, "state '" + state.name + "' is " + name_of(dtype) + shape.text() + ", wanted " +
                                   name_of(state.dtype) + state.shape.text());
  }
  if (state.bytes()) std::memcpy(state.buffers[turn()].as<void>(), data, state.bytes());
  fresh_ = false;
}

}  // namespace lrt

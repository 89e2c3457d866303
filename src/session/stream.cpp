#include "session/stream.h"

#include <algorithm>
#include <cstring>

namespace lrt {

namespace {

bool same_frames(const std::vector<PlanInput>& a, const std::vector<PlanInput>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const PlanInput& x, const PlanInput& y) { return x.dtype == y.dtype && x.shape == y.shape; });
}

// A state's free dims are the batch.
PlanInput state_input(const Port& port, int64_t batch) {
  PlanInput input;
  input.dtype = static_cast<DType>(port.dtype);
  for (const int64_t dim : port.dims) input.shape.push_back(dim < 0 ? batch : dim);
  return input;
}

AlignedBuffer copy_of(const AlignedBuffer& from) {
  AlignedBuffer to(from.size());
  if (from.size()) std::memcpy(to.as<void>(), from.as<void>(), from.size());
  return to;
}

}  // namespace

void Stream::State::reset() {
  if (now.size() == 0) return;
  if (initial) {
    std::memcpy(now.as<void>(), initial.get(), bytes());
  } else {
    std::memset(now.as<void>(), 0, now.size());
  }
}

Stream::Stream(std::shared_ptr<Model> model, const StreamOptions& options)
    : model_(std::move(model)), bindings_(options.own_bindings ? model_->graph().bindings : options.bindings) {
  const Graph& graph = model_->graph();
  all_inputs_.resize(graph.inputs.size());
  time_axes_.assign(graph.inputs.size(), -1);
  std::vector<bool> fed(graph.inputs.size(), true), given(graph.outputs.size(), true);
  for (const auto& [input, value] : options.freeze) {
    all_inputs_[static_cast<size_t>(input)] = value;
    fed[static_cast<size_t>(input)] = false;
  }
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    if (fed[i] && model_->is_control(i)) {
      const std::string& name = graph.values[static_cast<size_t>(graph.inputs[i].value)];
      throw Error(Status::argument,
                  "input '" + name +
                      "' decides shapes or branches, so a stream must know it beforehand. Freeze it: stream(freeze={'" +
                      name + "': value})");
    }
  }
  for (const auto& [input, output] : bindings_) {
    if (!fed[static_cast<size_t>(input)] || !given[static_cast<size_t>(output)]) {
      throw Error(Status::argument,
                  "input '" + graph.values[static_cast<size_t>(graph.inputs[static_cast<size_t>(input)].value)] +
                      "' is bound or frozen twice, or its output is");
    }
    all_inputs_[static_cast<size_t>(input)] = state_input(graph.inputs[static_cast<size_t>(input)], options.batch);
    fed[static_cast<size_t>(input)] = given[static_cast<size_t>(output)] = false;
  }
  for (size_t i = 0; i < fed.size(); ++i) {
    if (fed[i]) inputs_.push_back(i);
  }
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i]) outputs_.push_back(i);
  }
  if (bindings_.empty()) {
    StreamProof proof = prove_stream(*model_, all_inputs_, options.batch);
    keeps_state_ = std::move(proof.keeps_state);
    time_axes_ = std::move(proof.time_axes);
    make_states(proof.states);
  } else {
    std::vector<PlannedState> bound;
    for (const auto& [input, output] : bindings_) {
      const PlanInput& state = all_inputs_[static_cast<size_t>(input)];
      bound.push_back({graph.values[static_cast<size_t>(graph.inputs[static_cast<size_t>(input)].value)], state.dtype,
                       state.shape, -1, -1, nullptr});
    }
    make_states(bound);
  }
  input_pointers_.assign(graph.inputs.size(), nullptr);
  output_pointers_.assign(graph.outputs.size(), nullptr);
}

std::unique_ptr<Stream> Stream::clone() const {
  std::unique_ptr<Stream> copy(new Stream());
  copy->model_ = model_;
  copy->bindings_ = bindings_;
  copy->keeps_state_ = keeps_state_;
  copy->all_inputs_ = all_inputs_;
  copy->time_axes_ = time_axes_;
  copy->inputs_ = inputs_;
  copy->outputs_ = outputs_;
  for (const State& state : states_) {
    copy->states_.push_back(
        {state.name, state.dtype, state.shape, copy_of(state.now), copy_of(state.next), state.initial});
  }
  copy->fresh_ = fresh_;
  copy->input_pointers_ = input_pointers_;
  copy->output_pointers_ = output_pointers_;
  if (current_) copy->prepare(prepared_);
  return copy;
}

void Stream::prepare(const std::vector<PlanInput>& frames) {
  if (current_ && same_frames(frames, prepared_)) return;
  if (frames.size() != inputs_.size()) {
    throw Error(Status::argument, "a step takes " + std::to_string(inputs_.size()) + " arrays, " +
                                      std::to_string(frames.size()) + " were given");
  }
  PlanRequest request;
  request.inputs = all_inputs_;
  request.bindings = bindings_;
  request.keeps_state = keeps_state_;
  for (size_t i = 0; i < frames.size(); ++i) request.inputs[inputs_[i]] = frames[i];

  auto execution = std::make_unique<Execution>(model_->plan(request)->plan());
  execution->spare_outputs();
  check_states(execution->plan().states);  // throws where they do not go on; nothing has changed then
  current_ = std::move(execution);
  prepared_ = frames;
  point_at_states();
}

void Stream::make_states(const std::vector<PlannedState>& planned) {
  states_.clear();
  for (const PlannedState& state : planned) {
    const size_t bytes = std::max<size_t>(state.bytes(), 1);
    states_.push_back(
        {state.name, state.dtype, state.shape, AlignedBuffer(bytes), AlignedBuffer(bytes), state.initial});
    states_.back().reset();
  }
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

void Stream::point_at_states() {
  const Plan& plan = current_->plan();
  for (size_t i = 0; i < states_.size(); ++i) {
    current_->set(plan.states[i].in, states_[i].now.as<void>());
    current_->set(plan.states[i].out, states_[i].next.as<void>());
  }
}

void Stream::step(const void* const* inputs, void* const* outputs) {
  fresh_ = false;
  for (size_t i = 0; i < inputs_.size(); ++i) input_pointers_[inputs_[i]] = inputs[i];
  for (size_t i = 0; i < outputs_.size(); ++i) output_pointers_[outputs_[i]] = outputs[i];
  current_->run(input_pointers_.data(), output_pointers_.data());
  for (State& state : states_) state.now.swap(state.next);
  point_at_states();
}

void Stream::reset() {
  for (State& state : states_) state.reset();
}

void Stream::set_state(size_t index, DType dtype, const Shape& shape, const void* data) {
  State& state = states_[index];
  if (dtype != state.dtype || shape != state.shape) {
    throw Error(Status::shape, "state '" + state.name + "' is " + name_of(dtype) + shape.text() + ", wanted " +
                                   name_of(state.dtype) + state.shape.text());
  }
  if (state.bytes()) std::memcpy(state.now.as<void>(), data, state.bytes());
  fresh_ = false;
}

}  // namespace lrt

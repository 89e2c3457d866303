#include "session/setup.h"

#include <algorithm>

namespace lrt {

namespace {

// A state's free dims are the batch.
PlanInput state_input(const Port& port, int64_t batch) {
  PlanInput input;
  input.dtype = static_cast<DType>(port.dtype);
  for (const int64_t dim : port.dims) input.shape.push_back(dim < 0 ? batch : dim);
  return input;
}

std::vector<size_t> where(const std::vector<bool>& set) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < set.size(); ++i) {
    if (set[i]) indices.push_back(i);
  }
  return indices;
}

}  // namespace

bool same_frames(const std::vector<PlanInput>& a, const std::vector<PlanInput>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const PlanInput& x, const PlanInput& y) { return x.dtype == y.dtype && x.shape == y.shape; });
}

StreamSetup::StreamSetup(std::shared_ptr<Model> model, const StreamOptions& options)
    : model_(std::move(model)),
      workers_(model_->workers(options.threads)),
      bindings_(options.own_bindings ? model_->graph().bindings : options.bindings) {
  const Graph& graph = model_->graph();
  all_inputs_.resize(graph.inputs.size());
  fed_.assign(graph.inputs.size(), true);
  given_.assign(graph.outputs.size(), true);
  time_axes_.assign(graph.inputs.size(), -1);
  freeze(options);
  if (bindings_.empty()) {
    prove(options.batch);
  } else {
    bind(options.batch);
  }
  inputs_ = where(fed_);
  outputs_ = where(given_);
}

void StreamSetup::freeze(const StreamOptions& options) {
  for (const auto& [input, value] : options.freeze) {
    all_inputs_[static_cast<size_t>(input)] = value;
    fed_[static_cast<size_t>(input)] = false;
  }
  for (size_t i = 0; i < fed_.size(); ++i) {
    if (!fed_[i] || !model_->is_control(i)) continue;
    const std::string& name = name_of_input(i);
    throw Error(Status::argument,
                "input '" + name +
                    "' decides shapes or branches, so a stream must know it beforehand. Freeze it: stream(freeze={'" +
                    name + "': value})");
  }
}

void StreamSetup::bind(int64_t batch) {
  for (const auto& [input, output] : bindings_) {
    const auto in = static_cast<size_t>(input), out = static_cast<size_t>(output);
    if (!fed_[in] || !given_[out]) {
      throw Error(Status::argument, "input '" + name_of_input(in) + "' is bound or frozen twice, or its output is");
    }
    fed_[in] = given_[out] = false;
    const PlanInput state = state_input(model_->graph().inputs[in], batch);
    states_.push_back({name_of_input(in), state.dtype, state.shape, -1, -1, nullptr});
  }
}

void StreamSetup::prove(int64_t batch) {
  StreamProof proof = prove_stream(*model_, all_inputs_, batch);
  keeps_state_ = std::move(proof.keeps_state);
  time_axes_ = std::move(proof.time_axes);
  states_ = std::move(proof.states);
}

PlanRequest StreamSetup::request(const std::vector<PlanInput>& frames, int64_t batch) const {
  if (frames.size() != inputs_.size()) {
    throw Error(Status::argument, "a step takes " + std::to_string(inputs_.size()) + " arrays, " +
                                      std::to_string(frames.size()) + " were given");
  }
  PlanRequest request;
  request.inputs = all_inputs_;
  request.bindings = bindings_;
  request.keeps_state = keeps_state_;
  for (const auto& [input, output] : bindings_) {
    const auto in = static_cast<size_t>(input);
    request.inputs[in] = state_input(model_->graph().inputs[in], batch);
  }
  for (size_t i = 0; i < frames.size(); ++i) request.inputs[inputs_[i]] = frames[i];
  return request;
}

std::shared_ptr<const void> StreamSetup::first_value(size_t index, const PlannedState& state) const {
  if (index >= bindings_.size()) return state.initial;
  const Graph& graph = model_->graph();
  return lrt::first_value(graph, graph.inputs[static_cast<size_t>(bindings_[index].first)], state.shape);
}

const std::string& StreamSetup::name_of_input(size_t input) const {
  const Graph& graph = model_->graph();
  return graph.values[static_cast<size_t>(graph.inputs[input].value)];
}

const std::string& StreamSetup::input_name(size_t input) const { return name_of_input(inputs_[input]); }

const std::string& StreamSetup::output_name(size_t output) const {
  const Graph& graph = model_->graph();
  return graph.values[static_cast<size_t>(graph.outputs[outputs_[output]].value)];
}

}  // namespace lrt

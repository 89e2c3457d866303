// Proof that a model can be streamed with the state that its recurrent ops keep. Time is let in along one axis of the
// inputs and followed through every op while planning; each op says where its output has it, or that it mixes it.
#include <algorithm>

#include "session/model.h"

namespace lrt {

namespace {

// Long enough that time is told apart from dims of 1.
constexpr int64_t kTrialSteps = 3;

bool looks_like_batch(const std::string& name) {
  return name.find("batch") != std::string::npos || name == "N" || name == "B" || name == "n" || name == "b";
}

bool is_data(const Model& model, const std::vector<PlanInput>& frozen, size_t input) {
  return !frozen[input].known && !model.is_control(input);
}

// Axes of an input on which time may run: free ones first, those named after the batch last.
std::vector<int> candidate_axes(const Port& port) {
  std::vector<int> axes;
  for (int axis = 0; axis < port.rank; ++axis) axes.push_back(axis);
  const auto rank = [&port](int axis) {
    const auto at = static_cast<size_t>(axis);
    if (looks_like_batch(port.dim_names[at])) return 2;
    return port.dims[at] < 0 ? 0 : 1;
  };
  std::stable_sort(axes.begin(), axes.end(), [&](int a, int b) { return rank(a) < rank(b); });
  return axes;
}

PlanInput trial_input(const Port& port, int time_axis, int64_t batch) {
  PlanInput input;
  input.dtype = static_cast<DType>(port.dtype);
  for (int axis = 0; axis < port.rank; ++axis) {
    const int64_t dim = port.dims[static_cast<size_t>(axis)];
    input.shape.push_back(dim >= 0 ? dim : axis == time_axis ? kTrialSteps : batch);
  }
  input.time_axis = time_axis < port.rank ? time_axis : -1;
  return input;
}

PlanRequest trial(const Model& model, const std::vector<PlanInput>& frozen, int axis, int64_t batch) {
  PlanRequest request;
  request.proving = true;
  for (size_t i = 0; i < frozen.size(); ++i) {
    request.inputs.push_back(is_data(model, frozen, i) ? trial_input(model.graph().inputs[i], axis, batch) : frozen[i]);
  }
  return request;
}

bool is_recurrent(const PlannedCall& call) { return call.type == "LSTM" || call.type == "GRU" || call.type == "RNN"; }

// Along the batch everything is independent, and no layer remembers: that is no stream of a recurrent model.
bool remembers_nothing(const Plan& plan) {
  return plan.kept.empty() && std::any_of(plan.infos.begin(), plan.infos.end(), is_recurrent);
}

// An output without elements hides what was dropped to compute nothing: the trial proves nothing then.
bool computes_nothing(const Plan& plan) {
  return std::any_of(plan.outputs.begin(), plan.outputs.end(),
                     [](const PlannedValue& output) { return output.shape.elements() == 0; });
}

std::string list(const std::vector<std::string>& problems) {
  std::string text;
  int number = 0;
  for (auto at = problems.begin(); at != problems.end(); ++at) {
    if (std::find(problems.begin(), at, *at) != at) continue;  // an op with two states has the same problem twice
    text += "\n  " + std::to_string(++number) + ". " + *at + ".";
  }
  return text;
}

}  // namespace

StreamProof prove_stream(Model& model, const std::vector<PlanInput>& frozen, int64_t batch) {
  const auto& inputs = model.graph().inputs;
  size_t first = 0;
  while (first < inputs.size() && !is_data(model, frozen, first)) ++first;
  if (first == inputs.size())
    throw Error(Status::unsupported, "this model cannot be streamed: it has no input for frames");

  std::vector<std::string> best;
  for (const int axis : candidate_axes(inputs[first])) {
    std::vector<std::string> problems;
    try {
      const auto plan = model.plan(trial(model, frozen, axis, batch))->plan();
      if (plan->problems.empty() && !remembers_nothing(*plan) && !computes_nothing(*plan)) {
        StreamProof proof;
        proof.keeps_state = plan->kept;
        proof.states = plan->states;
        for (size_t i = 0; i < inputs.size(); ++i) {
          proof.time_axes.push_back(is_data(model, frozen, i) && axis < inputs[i].rank ? axis : -1);
        }
        return proof;
      }
      problems = plan->problems;
    } catch (const Error& error) {
      if (error.status == Status::memory) throw;
      problems = {error.what()};
    }
    if (best.empty()) best = problems;
  }
  if (best.empty())
    best = {"no recurrent layer runs along an axis of input '" +
            model.graph().values[static_cast<size_t>(inputs[first].value)] + "'"};
  throw Error(Status::unsupported,
              "this model cannot be streamed: frame by frame would not equal the whole." + list(best) +
                  "\nRun it whole or on a window of steps, or bind the inputs and outputs that carry its state");
}

}  // namespace lrt

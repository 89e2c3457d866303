// What a stream of a model is, whatever its frames: what it is fed, what it gives, what it carries from step to step.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "session/model.h"

namespace lrt {

struct StreamOptions {
  int64_t batch = 1;
  int threads = 1;
  bool own_bindings = true;                   // those of the file
  std::vector<std::pair<int, int>> bindings;  // else these
  std::vector<std::pair<int, PlanInput>> freeze;
};

class StreamSetup {
 public:
  // Throws Error: unsupported where the model cannot be streamed.
  StreamSetup(std::shared_ptr<Model> model, const StreamOptions& options);

  Model& model() const { return *model_; }
  Parallel* workers() const { return workers_; }                   // null for one thread
  const std::vector<size_t>& inputs() const { return inputs_; }    // of a step, among the graph's
  const std::vector<size_t>& outputs() const { return outputs_; }  // likewise
  const std::vector<std::pair<int, int>>& bindings() const { return bindings_; }
  int time_axis(size_t input) const { return time_axes_[inputs_[input]]; }
  // The states as far as they are known before any frames were seen.
  const std::vector<PlannedState>& states() const { return states_; }

  // Returns the first value of a state, null for zeros: a bound input starts as its default.
  std::shared_ptr<const void> first_value(size_t index, const PlannedState& state) const;

  const Port& input_port(size_t input) const { return model_->graph().inputs[inputs_[input]]; }
  const std::string& input_name(size_t input) const;
  const std::string& output_name(size_t output) const;

  // What to plan for frames of these shapes, the free dims of bound states being `batch`.
  PlanRequest request(const std::vector<PlanInput>& frames, int64_t batch) const;

 private:
  void freeze(const StreamOptions& options);
  void bind(int64_t batch);
  void prove(int64_t batch);
  const std::string& name_of_input(size_t input) const;

  std::shared_ptr<Model> model_;
  Parallel* workers_;  // the model's
  std::vector<std::pair<int, int>> bindings_;
  std::set<int> keeps_state_;
  std::vector<PlanInput> all_inputs_;  // per input of the graph; frozen ones filled in
  std::vector<bool> fed_, given_;      // per input and output of the graph: by the caller, to the caller
  std::vector<int> time_axes_;
  std::vector<size_t> inputs_, outputs_;
  std::vector<PlannedState> states_;
};

bool same_frames(const std::vector<PlanInput>& a, const std::vector<PlanInput>& b);

}  // namespace lrt

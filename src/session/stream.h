// A model stepped frame by frame. Its state lives in pairs of buffers that change places after every step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "session/model.h"

namespace lrt {

struct StreamOptions {
  int64_t batch = 1;
  bool own_bindings = true;                   // those of the file
  std::vector<std::pair<int, int>> bindings;  // else these
  std::vector<std::pair<int, PlanInput>> freeze;
};

class Stream {
 public:
  // Throws Error: unsupported where the model cannot be streamed.
  Stream(std::shared_ptr<Model> model, const StreamOptions& options);
  std::unique_ptr<Stream> clone() const;

  Model& model() const { return *model_; }
  const std::vector<size_t>& inputs() const { return inputs_; }  // of a step, among the graph's
  const std::vector<size_t>& outputs() const { return outputs_; }
  int time_axis(size_t input) const { return time_axes_[inputs_[input]]; }

  // shapes: one per input of a step, with dtype.
  void prepare(const std::vector<PlanInput>& frames);
  const Plan* plan() const { return current_ ? &current_->plan() : nullptr; }
  void step(const void* const* inputs, void* const* outputs);

  struct State {
    std::string name;
    DType dtype = DType::f32;
    Shape shape;
    AlignedBuffer now, next;
    std::shared_ptr<const void> initial;
    size_t bytes() const { return static_cast<size_t>(bytes_of(dtype, shape)); }
    void reset();
  };
  void reset();
  const std::vector<State>& states() const { return states_; }
  void set_state(size_t index, DType dtype, const Shape& shape, const void* data);

 private:
  Stream() = default;
  void make_states(const std::vector<PlannedState>& planned);
  void check_states(const std::vector<PlannedState>& planned);
  void point_at_states();

  std::shared_ptr<Model> model_;
  std::vector<std::pair<int, int>> bindings_;
  std::set<int> keeps_state_;
  std::vector<PlanInput> all_inputs_;  // per input of the graph; frozen ones filled in, frames and states as prepared
  std::vector<int> time_axes_;
  std::vector<size_t> inputs_, outputs_;
  std::vector<State> states_;
  bool fresh_ = true;  // no step was taken and no state set

  std::unique_ptr<Execution> current_;
  std::vector<PlanInput> prepared_;
  std::vector<const void*> input_pointers_;
  std::vector<void*> output_pointers_;
};

}  // namespace lrt

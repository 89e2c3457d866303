// A model stepped frame by frame. Its state lives in pairs of buffers that change places after every step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "session/setup.h"

namespace lrt {

class Stream {
 public:
  // Throws Error: unsupported where the model cannot be streamed.
  Stream(std::shared_ptr<Model> model, const StreamOptions& options);
  std::unique_ptr<Stream> clone() const;

  // One in memory of the caller's: how many bytes it takes, and the stream, prepared for good.
  static size_t bytes(std::shared_ptr<Model> model, const StreamOptions& options, const std::vector<PlanInput>& frames);
  Stream(std::shared_ptr<Model> model, const StreamOptions& options, const std::vector<PlanInput>& frames, void* memory,
         size_t size);

  const StreamSetup& setup() const { return *setup_; }

  // shapes: one per input of a step, with dtype.
  void prepare(const std::vector<PlanInput>& frames);
  const Plan* plan() const { return current_ ? &current_->plan() : nullptr; }
  // Once prepared.
  void step(const void* const* inputs, void* const* outputs) {
    fresh_ = false;
    current_->run(inputs, outputs);
  }

  struct State {
    std::string name;
    DType dtype = DType::f32;
    Shape shape;
    std::shared_ptr<const void> initial;
    AlignedBuffer buffers[2];  // a run reads the one of its turn and writes the other
    size_t bytes() const { return static_cast<size_t>(bytes_of(dtype, shape)); }
  };
  void reset();
  const std::vector<State>& states() const { return states_; }
  const void* state_data(size_t index) const { return states_[index].buffers[turn()].as<void>(); }
  void set_state(size_t index, DType dtype, const Shape& shape, const void* data);

 private:
  Stream() = default;
  std::shared_ptr<const Plan> plan_for(const std::vector<PlanInput>& frames) const;
  void adopt(std::shared_ptr<const Plan> plan, const std::vector<PlanInput>& frames);
  uint64_t limit(const std::vector<PlanInput>& frames) const;
  void make_states(const std::vector<PlannedState>& planned);
  void check_states(const std::vector<PlannedState>& planned);
  bool turn() const { return current_ && current_->turn(); }

  std::shared_ptr<const StreamSetup> setup_;
  int64_t batch_ = 1;
  std::shared_ptr<Memory> lent_;  // the caller's; null: from the model's
  std::vector<State> states_;
  bool fresh_ = true;  // no step was taken and no state set

  std::unique_ptr<Execution> current_;
  std::vector<PlanInput> prepared_;
};

}  // namespace lrt

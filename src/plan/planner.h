// The planner's insides, shared by planner.cpp (the walk over the graph) and op_plan.cpp (the planning of one op).
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "model/memory.h"
#include "plan/plan.h"

namespace lrt {

// Memory that is being filled while planning, then only read.
using Storage = std::shared_ptr<AlignedBuffer>;

// What is known of a value while planning.
struct ValueState {
  bool defined = false;
  DType dtype = DType::f32;
  Shape shape;
  BufferId buffer = -1;
  std::shared_ptr<const void> known;  // its data (the pointer owns what holds it)
  bool is_static = false;
  bool from_time = false;  // known, but computed from the length of the time axis
  int time_axis = -1;
  std::shared_ptr<const std::vector<int>> items;  // of a sequence, which is no tensor: numbers of values
  size_t bytes() const { return static_cast<size_t>(bytes_of(dtype, shape)); }
};

struct BufferState {
  enum class Kind { arena, constant, input, output, state };
  Kind kind = Kind::arena;
  size_t bytes = 0;
  int first = -1, last = -1;         // calls that use it
  std::shared_ptr<const void> data;  // of a constant
};

// Throws Error(shape) for more elements than any tensor may have.
void check_elements(const Op& op, const Shape& shape);

// A call with the buffers it touches.
struct CallState {
  Run run;
  PlannedCall info;
  std::vector<BufferId> reads, writes;
};

// Those of a list of calls that write what is needed, directly or for another that does.
std::vector<CallState> keep_needed(std::vector<CallState> calls, std::vector<bool> needed);

class Planner {
 public:
  Planner(const Graph& graph, const Kernels& kernels, PackCache& packs, const PlanRequest& request);
  std::shared_ptr<const Plan> plan();

 private:
  friend class OpPlanner;
  friend class LoopPlanner;
  friend class SequencePlanner;

  void define_inputs();
  void define_weights();
  void check_input(size_t index) const;
  void plan_block(const Block& block);
  void plan_if(const Op& op);
  void plan_op(const Op& op);
  void finish_outputs();
  static void take_output(const std::string& name, const ValueState& result);
  void finish_output(size_t index, bool bound, BufferId state);
  void finish_calls();
  void finish_constants();
  void finish_arena();
  void forget_weights();

  // Memory for what is computed now; refuses where a plan asks for too much of it.
  std::shared_ptr<const void> new_known(const Op& op, size_t bytes);
  // Counts an op's work that is done now, not at run time; refuses where a plan asks for too much of it.
  void take_known_work(const Op& op, uint64_t macs);
  ValueState known_scalar(DType dtype, const void* element) const;
  BufferId new_buffer(BufferState::Kind kind, size_t bytes);
  BufferId new_constant(std::shared_ptr<const void> data, size_t bytes);
  BufferId buffer_of(ValueState& state);
  void use(BufferId buffer, int call);
  ValueState& value(int id) { return values_[static_cast<size_t>(id)]; }
  BufferState& buffer(BufferId id) { return buffers_[static_cast<size_t>(id)]; }
  // Values in sequences have no name.
  std::string name_of_value(int id) const {
    const auto at = static_cast<size_t>(id);
    return at < graph_.values.size() ? graph_.values[at] : "a tensor of a sequence";
  }
  bool is_used(int id) const { return uses_[static_cast<size_t>(id)] > 0; }
  void problem(const Op& op, const std::string& why);

  const Graph& graph_;
  const Kernels& kernels_;
  PackCache& packs_;
  const PlanRequest& request_;
  std::shared_ptr<Plan> plan_ = std::make_shared<Plan>();
  std::deque<ValueState> values_;  // of the graph, then those in sequences; growing moves none of them
  std::vector<BufferState> buffers_;
  std::vector<void*> table_;  // data of the constants by buffer, for calls made while planning
  std::vector<CallState> calls_;
  std::vector<int> uses_;           // of each value by ops and blocks' outputs
  std::vector<int64_t> block_ops_;  // of each block, those of the blocks inside it included
  size_t known_bytes_ = 0;          // computed while planning
  uint64_t known_macs_ = 0;         // multiply-adds of that
  // Loops: the number of ops that may still be unrolled (separately for loops that carry sequences), how often the block
  // that is being planned runs, and how deeply it is nested in loops.
  int64_t unrollable_ = 0, unrollable_lists_ = 0, repeats_ = 1;
  int64_t loop_calls_ = 0;  // of all loops in one run
  int loop_depth_ = 0;
};

}  // namespace lrt

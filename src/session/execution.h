// The memory of one running plan: an arena, and tables that say where each buffer is.
#pragma once

#include <memory>
#include <vector>

#include "model/memory.h"
#include "plan/plan.h"

namespace lrt {

// Runs alternate between two turns, each with a table of its own: what changes places from one run to the next, as the two
// buffers of a state do, is pointed at once for each turn and never again.
class Execution {
 public:
  // All inputs and outputs of the graph are the caller's.
  explicit Execution(std::shared_ptr<const Plan> plan);
  // Those of these indices are, in this order; the first run has turn `turn`. Executions that never run at the same time
  // may share an arena, which then is as large as the largest needs.
  Execution(std::shared_ptr<const Plan> plan, const std::vector<size_t>& inputs, const std::vector<size_t>& outputs,
            bool turn = false, std::shared_ptr<const AlignedBuffer> arena = nullptr);

  // What one takes with an arena of its own; `spare`: and with memory for outputs that the caller may not want.
  static size_t bytes(const Plan& plan, const std::vector<size_t>& outputs, bool spare);

  const Plan& plan() const { return *plan_; }
  // One pointer per input and output of the caller's. An output may be null once spare_outputs() was called.
  void run(const void* const* inputs, void* const* outputs);
  // Memory for outputs that the caller may not want.
  void spare_outputs();

  // Shared with by the runs to come; must outlive them. Null: none.
  void share_with(Parallel* parallel) { parallel_ = parallel; }

  bool turn() const { return turn_; }  // of the next run
  // A buffer without elements may have no memory: null leaves it where it was.
  void set(bool turn, BufferId buffer, void* data) {
    if (data) table(turn)[buffer] = data;
  }

 private:
  struct Port {
    BufferId buffer;
    size_t index;  // among the caller's
  };

  void** table(bool turn) const { return tables_.as<void*>() + (turn ? plan_->buffers : 0); }

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const AlignedBuffer> arena_;
  AlignedBuffer spare_;
  std::vector<void*> spares_;           // per output of the caller's
  std::vector<Port> inputs_, outputs_;  // those that are read at run time, those that are written
  AlignedBuffer tables_;                // for each turn: a pointer by buffer
  Parallel* parallel_ = nullptr;
  bool turn_ = false;  // also which way weights are walked
};

}  // namespace lrt

// The memory of one running plan: an arena and the table that says where each buffer is.
#pragma once

#include <memory>
#include <vector>

#include "model/memory.h"
#include "plan/plan.h"

namespace lrt {

class Execution {
 public:
  explicit Execution(std::shared_ptr<const Plan> plan);

  const Plan& plan() const { return *plan_; }
  // One pointer per input and output of the graph. Inputs that are not read and outputs that are bound are passed over;
  // an output may be null once spare_outputs() was called.
  void run(const void* const* inputs, void* const* outputs);
  // Memory for outputs that the caller may not want.
  void spare_outputs();

  void set(BufferId buffer, void* data) { table_[static_cast<size_t>(buffer)] = data; }

 private:
  std::shared_ptr<const Plan> plan_;
  AlignedBuffer arena_;
  AlignedBuffer spare_;
  std::vector<void*> spares_;  // per output
  std::vector<void*> table_;
  bool backwards_ = false;
};

}  // namespace lrt

#include "session/execution.h"

#include "session/flush.h"

namespace lrt {

Execution::Execution(std::shared_ptr<const Plan> plan)
    : plan_(std::move(plan)), arena_(plan_->arena_bytes), table_(plan_->buffers, nullptr) {
  for (const auto& [buffer, offset] : plan_->arena) set(buffer, arena_.as<char>() + offset);
  for (const auto& [buffer, data] : plan_->constants) set(buffer, const_cast<void*>(data));  // calls only read them
}

void Execution::spare_outputs() {
  if (!spares_.empty()) return;
  size_t bytes = 0;
  for (const PlannedValue& output : plan_->outputs) bytes += align_up(output.bytes());
  spare_ = AlignedBuffer(bytes);
  bytes = 0;
  for (const PlannedValue& output : plan_->outputs) {
    spares_.push_back(spare_.as<char>() + bytes);
    bytes += align_up(output.bytes());
  }
}

void Execution::run(const void* const* inputs, void* const* outputs) {
  const Plan& plan = *plan_;
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    if (plan.inputs[i] >= 0) set(plan.inputs[i], const_cast<void*>(inputs[i]));  // calls only read them
  }
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].buffer >= 0) set(plan.outputs[i].buffer, outputs[i] ? outputs[i] : spares_[i]);
  }
  const FlushDenormals flush;
  const Frame frame(table_.data(), backwards_);
  for (const Run& call : plan.calls) call(frame);
  backwards_ = !backwards_;
}

}  // namespace lrt

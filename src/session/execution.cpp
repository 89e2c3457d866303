#include "session/execution.h"

#include <algorithm>
#include <numeric>

#include "model/pages.h"
#include "session/flush.h"

namespace lrt {

namespace {

std::vector<size_t> all(size_t count) {
  std::vector<size_t> indices(count);
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

size_t table_bytes(const Plan& plan) { return 2 * plan.buffers * sizeof(void*); }

size_t spare_bytes(const PlannedValue& output) { return output.buffer >= 0 ? align_up(output.bytes()) : 0; }

}  // namespace

Execution::Execution(std::shared_ptr<const Plan> plan)
    : Execution(plan, all(plan->inputs.size()), all(plan->outputs.size())) {}

Execution::Execution(std::shared_ptr<const Plan> plan, const std::vector<size_t>& inputs,
                     const std::vector<size_t>& outputs, bool turn, std::shared_ptr<const AlignedBuffer> arena)
    : plan_(std::move(plan)), arena_(std::move(arena)), turn_(turn) {
  if (!arena_) arena_ = std::make_shared<AlignedBuffer>(plan_->arena_bytes);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (const BufferId buffer = plan_->inputs[inputs[i]]; buffer >= 0) inputs_.push_back({buffer, i});
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (const BufferId buffer = plan_->outputs[outputs[i]].buffer; buffer >= 0) outputs_.push_back({buffer, i});
  }
  tables_ = AlignedBuffer(table_bytes(*plan_));
  std::fill_n(table(false), 2 * plan_->buffers, no_elements());
  for (const bool at : {false, true}) {
    for (const auto& [buffer, offset] : plan_->arena) set(at, buffer, arena_->as<char>() + offset);
    for (const auto& [buffer, data] : plan_->constants) set(at, buffer, const_cast<void*>(data));  // only read
  }
  spares_.assign(outputs.size(), no_elements());
  touch_stack();
}

size_t Execution::bytes(const Plan& plan, const std::vector<size_t>& outputs, bool spare) {
  size_t bytes = align_up(plan.arena_bytes) + align_up(table_bytes(plan));
  if (!spare) return bytes;
  for (const size_t output : outputs) bytes += spare_bytes(plan.outputs[output]);
  return bytes;
}

void Execution::spare_outputs() {
  if (spare_.size() > 0) return;
  const auto bytes_of = [this](const Port& port) {
    for (const PlannedValue& output : plan_->outputs) {
      if (output.buffer == port.buffer) return spare_bytes(output);
    }
    return size_t{0};
  };
  size_t bytes = 0;
  for (const Port& port : outputs_) bytes += bytes_of(port);
  if (bytes == 0) return;
  spare_ = AlignedBuffer(bytes);
  bytes = 0;
  for (const Port& port : outputs_) {
    spares_[port.index] = spare_.as<char>() + bytes;
    bytes += bytes_of(port);
  }
}

void Execution::run(const void* const* inputs, void* const* outputs) {
  void** const buffers = table(turn_);
  for (const Port& port : inputs_)
    buffers[port.buffer] = const_cast<void*>(inputs[port.index]);  // calls only read them
  for (const Port& port : outputs_) {
    void* const given = outputs[port.index];
    buffers[port.buffer] = given ? given : spares_[port.index];
  }
  const FlushDenormals flush;
  const Frame frame(buffers, turn_, parallel_);
  for (const Run& call : plan_->calls) call(frame);
  turn_ = !turn_;
}

}  // namespace lrt

// Which inputs of a model are control inputs: those whose values reach a place where a value decides a shape or a branch.
#include "ops/op.h"
#include "plan/plan.h"

namespace lrt {

namespace {

// Goes back from the values that decide to all they are computed from. Each value is followed once, so that the time this
// takes is bounded by the size of the file, whatever the graph.
class Deciders {
 public:
  explicit Deciders(const Graph& graph)
      : decides_(graph.values.size(), false),
        directly_(decides_),
        made_(graph.values.size()),
        carried_(graph.values.size()),
        blocks_(static_cast<size_t>(graph.op_count)),
        passed_(blocks_.size(), false) {
    for (const Block& block : graph.blocks) {
      for (const Op& op : block.ops) note(graph, op);
    }
    for (const Block& block : graph.blocks) {
      for (const Op& op : block.ops) start(op);
    }
    while (!due_.empty()) {
      const auto value = static_cast<size_t>(due_.back());
      due_.pop_back();
      follow(value);
    }
  }

  bool decides(int value) const { return decides_[static_cast<size_t>(value)]; }
  bool directly(int value) const { return directly_[static_cast<size_t>(value)]; }

 private:
  // What a value is of an op: an output, or what the body of a Loop is given of the values it carries.
  struct Place {
    const Op* op = nullptr;
    size_t index = 0;
  };

  void note(const Graph& graph, const Op& op) {
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      if (op.outputs[i] != kAbsent) made_[static_cast<size_t>(op.outputs[i])] = {&op, i};
    }
    for (const Attribute& attribute : op.attributes) {
      if (attribute.kind != Attribute::Kind::block) continue;
      const Block& block = graph.blocks[static_cast<size_t>(attribute.ints[0])];
      blocks_of(op).push_back(&block);
      for (size_t i = 2; i < block.inputs.size(); ++i) carried_[static_cast<size_t>(block.inputs[i])] = {&op, i - 2};
    }
  }

  void start(const Op& op) {
    const uint32_t control = find_op(op.type)->control_inputs;
    for (size_t i = 0; i < op.inputs.size() && i < 32; ++i) {
      if ((control >> i & 1) == 0 || op.inputs[i] == kAbsent) continue;
      decide(op.inputs[i]);
      directly_[static_cast<size_t>(op.inputs[i])] = true;
    }
    for (const Block* block : blocks_of(op)) {
      for (size_t i = 0; i < first_result(op, *block); ++i) decide(block->outputs[i]);
    }
  }

  void decide(int value) {
    if (value == kAbsent || decides(value)) return;
    decides_[static_cast<size_t>(value)] = true;
    due_.push_back(value);
  }

  void follow(size_t value) {
    if (carried_[value].op) follow_carried(carried_[value]);
    const Op* op = made_[value].op;
    if (!op) return;
    // Through blocks each value goes its own way.
    if (op->type == "Loop" && made_[value].index + 2 < op->inputs.size()) return follow_carried(made_[value]);
    follow_result(made_[value]);
    // Of a value's shape nothing but the shape is asked.
    const auto id = static_cast<size_t>(op->id);
    if (op->type == "Shape" || op->type == "Size" || op->type == "Loop" || passed_[id]) return;
    passed_[id] = true;
    for (const int input : op->inputs) decide(input);
  }

  // What a body gives to be carried, and what its Loop begins with.
  void follow_carried(const Place& carried) {
    follow_result(carried);
    decide(carried.op->inputs[carried.index + 2]);
  }

  void follow_result(const Place& result) {
    for (const Block* block : blocks_of(*result.op)) {
      decide(block->outputs[first_result(*result.op, *block) + result.index]);
    }
  }

  // A body gives its condition before the results.
  static size_t first_result(const Op& op, const Block& block) { return block.outputs.size() - op.outputs.size(); }

  std::vector<const Block*>& blocks_of(const Op& op) { return blocks_[static_cast<size_t>(op.id)]; }

  std::vector<bool> decides_, directly_;           // by value
  std::vector<Place> made_, carried_;              // by value
  std::vector<std::vector<const Block*>> blocks_;  // by op
  std::vector<bool> passed_;                       // by op: its inputs are followed
  std::vector<int> due_;
};

}  // namespace

// One of floats, as the scales of Resize, has to be taken there as it stands: what is computed from floats is data.
std::vector<bool> find_control_inputs(const Graph& graph) {
  const Deciders deciders(graph);
  std::vector<bool> control;
  for (const Port& port : graph.inputs) {
    const bool floats = port.dtype == static_cast<int32_t>(DType::f32);
    control.push_back(floats ? deciders.directly(port.value) : deciders.decides(port.value));
  }
  return control;
}

}  // namespace lrt

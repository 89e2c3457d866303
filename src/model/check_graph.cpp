// Two passes: the tree of blocks first, so that the second, which follows the ops into their branches, cannot go astray
// or deeper than kMaxDepth.
#include "model/check_graph.h"

#include <algorithm>
#include <string_view>

#include "model/text.h"

namespace lrt {
namespace {

constexpr int kMaxDepth = 64;  // of blocks in blocks
constexpr int kUnowned = -1;

// The attributes that are blocks. A Loop's body takes as many values as the Loop (the iteration's number and the condition in
// the place of trip count and condition), and gives one more: whether to go on.
struct BlockRule {
  const char* op;
  const char* attribute;
  bool is_body;
};
constexpr BlockRule kBlockRules[] = {
    {"If", "then_branch", false}, {"If", "else_branch", false}, {"Loop", "body", true}};

void check_value_names(const Graph& graph) {
  const std::string_view twice = find_duplicate({graph.values.begin(), graph.values.end()});
  if (twice.data() != nullptr) refuse_damaged("value " + quoted(twice) + ": two values have this name");
}

void check_attribute_names(const Op& op) {
  std::vector<std::string_view> names;
  for (const Attribute& attribute : op.attributes) names.emplace_back(attribute.name);
  const std::string_view twice = find_duplicate(std::move(names));
  if (twice.data() != nullptr) refuse_damaged(describe(op) + ": it has two attributes " + quoted(twice));
}

// Where a weight of a dtype that only weights have may go: to the layers that know it, which keeps every other op from
// having to.
bool takes_packed(const Op& op, size_t input) {
  if (op.type == "LSTM" && input == 10) return true;  // its projection
  if (op.type == "LSTM" || op.type == "GRU" || op.type == "RNN") return input == 1 || input == 2;
  if (op.type == "MatMul" || op.type == "Gemm" || op.type == "Conv") return input == 1;
  return false;
}

class PackedUses {
 public:
  explicit PackedUses(const Graph& graph) : graph_(graph), dtypes_(graph.values.size(), DType::f32) {
    for (const Weight& weight : graph.weights) dtypes_[static_cast<size_t>(weight.value)] = weight.dtype;
  }

  void check() const {
    for (const Block& block : graph_.blocks) {
      for (const Op& op : block.ops) check(op);
      for (const int value : block.outputs) {
        if (is_packed(value)) refuse_use("an output of a block", value);
      }
    }
  }

 private:
  void check(const Op& op) const {
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      if (!is_packed(op.inputs[i]) || takes_packed(op, i)) continue;
      refuse_use(describe(op) + ": input " + std::to_string(i), op.inputs[i]);
    }
  }

  bool is_packed(int value) const { return value != kAbsent && lrt::is_packed(dtypes_[static_cast<size_t>(value)]); }

  [[noreturn]] void refuse_use(const std::string& where, int value) const {
    const auto at = static_cast<size_t>(value);
    refuse_damaged(where + " is weight " + quoted(graph_.values[at]) + " of " + name_of(dtypes_[at]) +
                   ", which only the weights of LSTM, GRU, RNN, MatMul, Gemm and Conv may be");
  }

  const Graph& graph_;
  std::vector<DType> dtypes_;
};

// Every block but the first belongs to one op of a block before it: that makes a tree, with block 0 as its root.
class BlockTree {
 public:
  explicit BlockTree(const Graph& graph) : graph_(graph), depths_(graph.blocks.size(), kUnowned) {}

  void check() {
    depths_[0] = 0;
    if (!graph_.blocks[0].inputs.empty()) {
      refuse_damaged("block 0: it takes " + plural(graph_.blocks[0].inputs.size(), "value") +
                     ", but the inputs of the model stand in 'lstm_rt.graph.inputs'");
    }
    for (size_t block = 0; block < graph_.blocks.size(); ++block) {
      if (depths_[block] == kUnowned) {
        refuse_damaged("block " + std::to_string(block) + ": no op of an earlier block has it");
      }
      for (const Op& op : graph_.blocks[block].ops) check_op(op, block);
    }
  }

 private:
  void check_op(const Op& op, size_t parent) {
    check_attribute_names(op);
    for (const Attribute& attribute : op.attributes) {
      if (attribute.kind != Attribute::Kind::block) continue;
      const auto rule = std::find_if(std::begin(kBlockRules), std::end(kBlockRules), [&](const BlockRule& candidate) {
        return op.type == candidate.op && attribute.name == candidate.attribute;
      });
      if (rule == std::end(kBlockRules)) {
        refuse_damaged(describe(op) + ", attribute " + quoted(attribute.name) +
                       ": it is a block, but only an If has blocks, then_branch and else_branch, and a Loop, its body");
      }
      adopt(op, attribute, parent, rule->is_body);
    }
    for (const BlockRule& rule : kBlockRules) {
      if (op.type == rule.op) require_block(op, rule.attribute);
    }
    if (op.type == "Loop") check_loop(op);
  }

  void adopt(const Op& op, const Attribute& attribute, size_t parent, bool is_body) {
    const std::string place = describe(op) + ", attribute " + quoted(attribute.name) + ": ";
    if (attribute.ints.size() != 1) {
      refuse_damaged(place + "it has " + plural(attribute.ints.size(), "block number") + ", not one");
    }
    const int64_t number = attribute.ints[0];
    if (number < 0 || number >= static_cast<int64_t>(graph_.blocks.size())) {
      refuse_damaged(place + "there is no block " + std::to_string(number) + ", only " +
                     std::to_string(graph_.blocks.size()));
    }
    const auto child = static_cast<size_t>(number);
    if (child <= parent) {
      refuse_damaged(place + "block " + std::to_string(child) + " cannot be a branch in block " +
                     std::to_string(parent) + ": branches come after the block they are in");
    }
    if (depths_[child] != kUnowned) {
      refuse_damaged(place + "block " + std::to_string(child) + " is a branch of another op already");
    }
    depths_[child] = depths_[parent] + 1;
    if (depths_[child] > kMaxDepth) {
      refuse(place + "blocks are nested more than " + std::to_string(kMaxDepth) + " deep. Simplify the model.");
    }
    const Block& block = graph_.blocks[child];
    const size_t gives = block.outputs.size(), wanted = op.outputs.size() + (is_body ? 1 : 0);
    if (gives != wanted) {
      refuse_damaged(place + "block " + std::to_string(child) + " gives " + plural(gives, "value") + ", wanted " +
                     std::to_string(wanted));
    }
    const size_t takes = block.inputs.size(), given = is_body ? op.inputs.size() : 0;
    if (takes != given) {
      refuse_damaged(place + "block " + std::to_string(child) + " takes " + plural(takes, "value") + ", but is given " +
                     std::to_string(given));
    }
  }

  static void require_block(const Op& op, const char* name) {
    const Attribute* found = op.find(name);
    if (found == nullptr || found->kind != Attribute::Kind::block) {
      refuse_damaged(describe(op) + ": it has no block " + quoted(name));
    }
  }

  static void check_loop(const Op& op) {
    const bool complete =
        op.inputs.size() >= 2 && std::find(op.inputs.begin(), op.inputs.end(), kAbsent) == op.inputs.end();
    if (complete && op.outputs.size() >= op.inputs.size() - 2) return;
    refuse_damaged(describe(op) + ": a Loop has a trip count, a condition, and as many outputs as it carries values");
  }

  const Graph& graph_;
  std::vector<int> depths_;
};

// Follows the ops in the order in which they run and keeps what can be seen.
class Scopes {
 public:
  explicit Scopes(const Graph& graph) : graph_(graph), seen_(graph.values.size(), Seen::never) {}

  void check() {
    for (const Port& input : graph_.inputs) define(input.value, "table 'lstm_rt.graph.inputs'");
    for (const Weight& weight : graph_.weights) define(weight.value, "table 'lstm_rt.graph.weights'");
    enter(0);
    for (size_t value = 0; value < seen_.size(); ++value) {
      if (seen_[value] == Seen::never) {
        refuse_damaged("value " + quoted(graph_.values[value]) + ": it is no input, no weight and no op's output");
      }
    }
  }

 private:
  enum class Seen : uint8_t { never, visible, left };

  void enter(size_t number) {
    const Block& block = graph_.blocks[number];
    for (const int value : block.inputs) define(value, "inputs of block " + std::to_string(number));
    for (const Op& op : block.ops) run(op);
    for (const int value : block.outputs) use(value, "output of block " + std::to_string(number));
  }

  // A block's own values end with it.
  void leave(size_t number) {
    for (const int value : graph_.blocks[number].inputs) seen_[static_cast<size_t>(value)] = Seen::left;
    for (const Op& op : graph_.blocks[number].ops) {
      for (const int value : op.outputs) {
        if (value != kAbsent) seen_[static_cast<size_t>(value)] = Seen::left;
      }
    }
  }

  void run(const Op& op) {
    const std::string name = describe(op);
    for (const int value : op.inputs) {
      if (value != kAbsent) use(value, name);
    }
    for (const Attribute& attribute : op.attributes) {
      if (attribute.kind != Attribute::Kind::block) continue;
      const auto branch = static_cast<size_t>(attribute.ints[0]);
      enter(branch);
      leave(branch);
    }
    for (const int value : op.outputs) {
      if (value != kAbsent) define(value, name);
    }
  }

  void define(int value, const std::string& by) {
    Seen& seen = at(value, by);
    if (seen != Seen::never) refuse_damaged(by + ": it defines value " + name_of(value) + ", which is defined already");
    seen = Seen::visible;
  }

  void use(int value, const std::string& by) {
    const Seen seen = at(value, by);
    if (seen == Seen::never) {
      refuse_damaged(by + ": it uses value " + name_of(value) + ", which is not defined before it");
    }
    if (seen == Seen::left) {
      refuse_damaged(by + ": it uses value " + name_of(value) +
                     ", which is defined inside a block and cannot be seen here");
    }
  }

  Seen& at(int value, const std::string& by) {
    if (value < 0 || static_cast<size_t>(value) >= seen_.size()) {
      refuse_damaged(by + ": there is no value " + std::to_string(value) + ", only " + std::to_string(seen_.size()));
    }
    return seen_[static_cast<size_t>(value)];
  }

  std::string name_of(int value) const { return quoted(graph_.values[static_cast<size_t>(value)]); }

  const Graph& graph_;
  std::vector<Seen> seen_;
};

}  // namespace

void check_graph(const Graph& graph) {
  check_value_names(graph);
  BlockTree(graph).check();
  Scopes(graph).check();
  PackedUses(graph).check();  // after every value is known to be one
}

}  // namespace lrt

// Changes of a draft that keep it a model: which values an op may read, and how values are replaced, dropped and added.
#pragma once

#include "draft.h"

namespace lrt_fuzz {

using lrt::Attribute;
using lrt::kAbsent;
using lrt::Op;

// Where an op is.
struct Place {
  size_t block = 0, at = 0;
};

// Adds what the ops before this place give, here and in the blocks around.
inline void add_visible(const Draft& draft, Place place, std::vector<int>* values) {
  const lrt::Block& own = draft.blocks[place.block];
  values->insert(values->end(), own.inputs.begin(), own.inputs.end());
  for (size_t i = 0; i < place.at; ++i) {
    std::copy_if(own.ops[i].outputs.begin(), own.ops[i].outputs.end(), std::back_inserter(*values),
                 [](int output) { return output != kAbsent; });
  }
  for (size_t b = 0; b < place.block; ++b) {
    for (size_t i = 0; i < draft.blocks[b].ops.size(); ++i) {
      for (const Attribute& attribute : draft.blocks[b].ops[i].attributes) {
        const bool is_parent = attribute.kind == Attribute::Kind::block && attribute.ints.size() == 1 &&
                               attribute.ints[0] == static_cast<int64_t>(place.block);
        if (is_parent) return add_visible(draft, {b, i}, values);
      }
    }
  }
}

// The values that an op at this place may read.
inline std::vector<int> visible_values(const Draft& draft, Place place) {
  std::vector<int> values;
  for (const lrt::Port& input : draft.inputs) values.push_back(input.value);
  for (const DraftWeight& weight : draft.weights) values.push_back(weight.value);
  add_visible(draft, place, &values);
  return values;
}

// Calls function(int&) for every place where a value is named.
template <class Function>
void for_each_use(Draft* draft, Function function) {
  for (auto* ports : {&draft->inputs, &draft->outputs}) {
    for (lrt::Port& port : *ports) function(port.value);
  }
  for (DraftWeight& weight : draft->weights) function(weight.value);
  for (auto& [input, output] : draft->bindings) {
    function(input);
    function(output);
  }
  for (lrt::Block& block : draft->blocks) {
    for (auto* list : {&block.inputs, &block.outputs}) std::for_each(list->begin(), list->end(), function);
    for (Op& op : block.ops) {
      for (auto* list : {&op.inputs, &op.outputs}) std::for_each(list->begin(), list->end(), function);
    }
  }
}

// Whatever read a value reads another. What defined the value must be gone.
inline void replace_value(int value, int by, Draft* draft) {
  for_each_use(draft, [=](int& used) { used = used == value ? by : used; });
}

// Numbers the values anew without these, which nothing uses.
inline void drop_values(std::vector<int> gone, Draft* draft) {
  std::sort(gone.rbegin(), gone.rend());
  for (const int value : gone) {
    if (value == kAbsent) continue;
    draft->values.erase(draft->values.begin() + value);
    for_each_use(draft, [value](int& used) { used -= used > value ? 1 : 0; });
  }
}

// Puts the weights, blocks and outputs of one model behind those of another. `number` has what its inputs are there, and
// kAbsent for the values that are still to be added.
inline void append(const Draft& next, std::vector<int> number, Draft* draft) {
  for (size_t i = 0; i < number.size(); ++i) {
    if (number[i] == kAbsent) number[i] = draft->add_value(next.values[i]);
  }
  const auto renumber = [&number](int value) { return value == kAbsent ? value : number[static_cast<size_t>(value)]; };
  const auto renumber_all = [&renumber](std::vector<int>* list) {
    std::transform(list->begin(), list->end(), list->begin(), renumber);
  };
  for (const DraftWeight& weight : next.weights) draft->weights.push_back({renumber(weight.value), weight.tensor});
  const auto shift = static_cast<int64_t>(draft->blocks.size()) - 1;
  for (lrt::Block block : next.blocks) {
    renumber_all(&block.inputs);
    renumber_all(&block.outputs);
    for (Op& op : block.ops) {
      renumber_all(&op.inputs);
      renumber_all(&op.outputs);
      for (Attribute& attribute : op.attributes) {
        if (attribute.kind == Attribute::Kind::block) attribute.ints[0] += shift;
      }
    }
    draft->blocks.push_back(std::move(block));
  }
  const auto first = draft->blocks.begin() + static_cast<std::ptrdiff_t>(shift) + 1;  // joins block 0
  std::vector<Op>& ops = draft->blocks[0].ops;
  ops.insert(ops.end(), first->ops.begin(), first->ops.end());
  draft->blocks.erase(first);
  for (lrt::Port output : next.outputs) {
    output.value = renumber(output.value);
    draft->outputs.push_back(output);
  }
}

}  // namespace lrt_fuzz

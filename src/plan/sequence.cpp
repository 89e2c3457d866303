#include "plan/sequence.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lrt {

namespace {

// Tensors of one sequence: as many as a loop that builds one may be unrolled for.
constexpr int64_t kMostItems = int64_t{1} << 16;

Attribute integer_attribute(const char* name, int64_t number) {
  Attribute attribute;
  attribute.name = name;
  attribute.ints = {number};
  return attribute;
}

}  // namespace

bool SequencePlanner::plan() {
  if (op_.type == "Identity" && has(0) && planner_.value(op_.inputs[0]).items) {
    give(planner_.value(op_.inputs[0]));
    return true;
  }
  static constexpr std::pair<const char*, void (SequencePlanner::*)()> kPlans[] = {
      {"SequenceEmpty", &SequencePlanner::empty},   {"SequenceConstruct", &SequencePlanner::construct},
      {"SequenceInsert", &SequencePlanner::insert}, {"SequenceErase", &SequencePlanner::erase},
      {"SequenceAt", &SequencePlanner::at},         {"SequenceLength", &SequencePlanner::length},
      {"SplitToSequence", &SequencePlanner::split}, {"ConcatFromSequence", &SequencePlanner::concat}};
  for (const auto& [type, plan] : kPlans) {
    if (op_.type != type) continue;
    (this->*plan)();
    return true;
  }
  return false;
}

// ---- The ops ----

void SequencePlanner::empty() { give_list({}); }

void SequencePlanner::construct() {
  std::vector<int> items;
  for (size_t i = 0; i < op_.inputs.size(); ++i) items.push_back(stash(tensor(i)));
  give_list(std::move(items));
}

void SequencePlanner::insert() {
  std::vector<int> items = sequence(0);
  const auto count = static_cast<int64_t>(items.size());
  if (count >= kMostItems) refuse(Status::unsupported, "more than " + std::to_string(kMostItems) + " tensors");
  const size_t place = has(2) ? position(2, count) : items.size();
  items.insert(items.begin() + static_cast<std::ptrdiff_t>(place), stash(tensor(1)));
  give_list(std::move(items));
}

void SequencePlanner::erase() {
  std::vector<int> items = sequence(0);
  const int64_t last = static_cast<int64_t>(items.size()) - 1;
  const size_t place = has(1) ? position(1, last) : items.size() - 1;
  if (items.empty()) refuse(Status::shape, "there is no tensor to erase from the empty sequence");
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(place));
  give_list(std::move(items));
}

void SequencePlanner::at() {
  const std::vector<int>& items = sequence(0);
  const size_t place = position(1, static_cast<int64_t>(items.size()) - 1);
  ValueState state = planner_.value(items[place]);
  state.is_static = false;  // another plan may pick another one
  give(std::move(state));
}

void SequencePlanner::length() {
  const auto count = static_cast<int64_t>(sequence(0).size());
  give(planner_.known_scalar(DType::i64, &count));
}

// One Split does the work; its outputs are the items.
void SequencePlanner::split() {
  const Shape shape = tensor(0).shape;
  int64_t axis = op_.integer("axis", 0);
  if (axis < 0) axis += shape.rank();
  if (axis < 0 || axis >= shape.rank()) {
    refuse(Status::shape, "axis " + std::to_string(op_.integer("axis", 0)) + " of shape " + shape.text());
  }
  const std::vector<int64_t> sizes = part_sizes(shape[static_cast<int>(axis)]);
  if (sizes.empty()) return give_list({});
  ValueState known;
  known.defined = true;
  known.dtype = DType::i64;
  known.shape = Shape{static_cast<int64_t>(sizes.size())};
  known.known = planner_.new_known(op_, known.bytes());
  std::memcpy(const_cast<void*>(known.known.get()), sizes.data(), known.bytes());

  Op op;
  op.type = "Split";
  op.name = op_.name;
  op.id = op_.id;
  op.attributes = {integer_attribute("axis", axis)};
  op.inputs = {op_.inputs[0], stash(std::move(known))};
  for (size_t i = 0; i < sizes.size(); ++i) op.outputs.push_back(stash({}));
  planner_.plan_op(op);
  std::vector<int> items = op.outputs;
  if (!has(1) && op_.integer("keepdims", 1) == 0) {
    for (int& item : items) {
      const ValueState& part = planner_.value(item);
      Shape squeezed;
      for (int i = 0; i < part.shape.rank(); ++i) {
        if (i != axis) squeezed.push_back(part.shape[i]);
      }
      const int time = part.time_axis > axis ? part.time_axis - 1 : part.time_axis;
      item = reshaped(item, squeezed, time);
    }
  }
  give_list(std::move(items));
}

// One Concat does the work; for a new axis it sees each item with an axis of size 1 there.
void SequencePlanner::concat() {
  std::vector<int> items = sequence(0);
  if (items.empty()) refuse(Status::shape, "the sequence is empty, so its result has no shape");
  int64_t axis = op_.integer("axis", 0);
  if (op_.integer("new_axis", 0) != 0) {
    for (int& item : items) {
      const ValueState& part = planner_.value(item);
      const int rank = part.shape.rank();
      const int64_t place = axis < 0 ? axis + rank + 1 : axis;
      if (place < 0 || place > rank || rank == kMaxRank) {
        refuse(Status::shape,
               "tensors of " + part.shape.text() + " cannot be stacked along axis " + std::to_string(axis));
      }
      Shape shape = part.shape;
      shape.insert(static_cast<int>(place), 1);
      const int time = part.time_axis >= place ? part.time_axis + 1 : part.time_axis;
      item = reshaped(item, shape, time);
    }
    const int rank = planner_.value(items[0]).shape.rank();
    if (axis < 0) axis += rank;
  }
  Op op;
  op.type = "Concat";
  op.name = op_.name;
  op.id = op_.id;
  op.attributes = {integer_attribute("axis", axis)};
  op.inputs = std::move(items);
  op.outputs = op_.outputs;
  planner_.plan_op(op);
}

// ---- Inputs ----

const ValueState& SequencePlanner::input(size_t index) const {
  if (!has(index)) refuse(Status::file, "input " + std::to_string(index) + " is missing");
  const ValueState& state = planner_.value(op_.inputs[index]);
  if (!state.defined) refuse(Status::file, "input " + std::to_string(index) + " is not defined");
  return state;
}

const ValueState& SequencePlanner::tensor(size_t index) const {
  const ValueState& state = input(index);
  if (state.items) refuse(Status::unsupported, "input " + std::to_string(index) + " is a sequence; wanted a tensor");
  return state;
}

const std::vector<int>& SequencePlanner::sequence(size_t index) const {
  const ValueState& state = input(index);
  if (!state.items) refuse(Status::unsupported, "input " + std::to_string(index) + " is a tensor; wanted a sequence");
  return *state.items;
}

std::vector<int64_t> SequencePlanner::integers(size_t index) const {
  const ValueState& state = tensor(index);
  const std::string which = "input " + std::to_string(index);
  if (!state.known) {
    refuse(Status::unsupported,
           which + " depends on data. Only shapes, constants and control inputs may decide what a sequence holds");
  }
  if ((state.dtype != DType::i64 && state.dtype != DType::i32) || state.shape.rank() > 1) {
    refuse(Status::shape, which + " is " + name_of(state.dtype) + state.shape.text() + "; wanted integers");
  }
  if (state.from_time) planner_.problem(op_, "uses a value made from the number of steps");
  std::vector<int64_t> result;
  for (int64_t i = 0; i < state.shape.elements(); ++i) {
    result.push_back(state.dtype == DType::i64 ? static_cast<const int64_t*>(state.known.get())[i]
                                               : static_cast<const int32_t*>(state.known.get())[i]);
  }
  return result;
}

size_t SequencePlanner::position(size_t index, int64_t last) const {
  const std::vector<int64_t> numbers = integers(index);
  if (numbers.size() != 1) refuse(Status::shape, "its position is " + std::to_string(numbers.size()) + " numbers");
  const auto count = static_cast<int64_t>(sequence(0).size());
  const int64_t place = numbers[0] < 0 ? numbers[0] + count : numbers[0];
  if (place < 0 || place > last) {
    refuse(Status::shape,
           "position " + std::to_string(numbers[0]) + " of a sequence of " + std::to_string(count) + " tensors");
  }
  return static_cast<size_t>(place);
}

// Absent: parts of one. One number: parts of that size, the last of what is left. A list: its sizes.
std::vector<int64_t> SequencePlanner::part_sizes(int64_t dim) const {
  if (has(1) && tensor(1).shape.rank() == 1) {
    std::vector<int64_t> sizes = integers(1);
    if (static_cast<int64_t>(sizes.size()) > kMostItems) refuse(Status::unsupported, "it makes too many parts");
    return sizes;  // Split checks their sum
  }
  const int64_t size = has(1) ? integers(1).at(0) : 1;
  if (size < 1) refuse(Status::shape, "parts of " + std::to_string(size) + "; wanted 1 or more");
  if (dim / size >= kMostItems) {
    refuse(Status::unsupported,
           "more than " + std::to_string(kMostItems) + " parts of a dim of " + std::to_string(dim));
  }
  std::vector<int64_t> sizes;
  for (int64_t done = 0; done < dim; done += size) sizes.push_back(std::min(size, dim - done));
  return sizes;
}

// ---- Results ----

int SequencePlanner::stash(ValueState state) {
  state.is_static = false;
  planner_.values_.push_back(std::move(state));
  planner_.uses_.push_back(1);
  return static_cast<int>(planner_.values_.size()) - 1;
}

int SequencePlanner::reshaped(int id, const Shape& shape, int time_axis) {
  ValueState state = planner_.value(id);
  planner_.buffer_of(state);
  state.shape = shape;
  state.time_axis = time_axis;
  return stash(std::move(state));
}

void SequencePlanner::give(ValueState state) {
  state.defined = true;
  if (!op_.outputs.empty() && op_.outputs[0] != kAbsent) planner_.value(op_.outputs[0]) = std::move(state);
}

void SequencePlanner::give_list(std::vector<int> items) {
  ValueState state;
  state.items = std::make_shared<const std::vector<int>>(std::move(items));
  give(std::move(state));
}

void SequencePlanner::refuse(Status status, const std::string& what) const {
  throw Error(status, describe(op_) + ": " + what);
}

}  // namespace lrt

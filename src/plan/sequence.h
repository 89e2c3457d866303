// Planning of sequences of tensors, which exist only while planning: a list of values whose length is known.
#pragma once

#include <vector>

#include "plan/planner.h"

namespace lrt {

// Lists hold the numbers of values that the planner stashes, so that copying a list is cheap in a loop that appends to it.
class SequencePlanner {
 public:
  SequencePlanner(Planner& planner, const Op& op) : planner_(planner), op_(op) {}
  // Plans an op if it is one on sequences (Identity takes both); returns whether it is.
  bool plan();

 private:
  void empty();
  void construct();
  void insert();
  void erase();
  void at();
  void length();
  void split();
  void concat();

  bool has(size_t input) const { return input < op_.inputs.size() && op_.inputs[input] != kAbsent; }
  const ValueState& input(size_t index) const;
  const ValueState& tensor(size_t index) const;
  const std::vector<int>& sequence(size_t index) const;
  std::vector<int64_t> integers(size_t index) const;
  // A position counted from the front; `last` is the largest.
  size_t position(size_t index, int64_t last) const;
  int stash(ValueState state);
  std::vector<int64_t> part_sizes(int64_t dim) const;
  int reshaped(int id, const Shape& shape, int time_axis);
  void give(ValueState state);
  void give_list(std::vector<int> items);
  [[noreturn]] void refuse(Status status, const std::string& what) const;

  Planner& planner_;
  const Op& op_;
};

}  // namespace lrt

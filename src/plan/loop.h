// Planning of Loop: a body that runs a number of times which is known beforehand.
#pragma once

#include <vector>

#include "plan/planner.h"

namespace lrt {

// Short loops are unrolled: each iteration's ops join the list of calls as if they had stood there, with the iteration's
// number known, so that it may decide shapes. In a long one the body is planned once, and one call runs it again and again.
class LoopPlanner {
 public:
  LoopPlanner(Planner& planner, const Op& op);
  void plan();

 private:
  // A result of each iteration, to be stacked along an axis of one output.
  struct Stack {
    BufferId from, to;
    int64_t outer, count;
    size_t inner;  // bytes
    bool backwards;
    void place(const Frame& frame, int64_t iteration) const;
  };
  // A value that each iteration hands to the next.
  struct Carry {
    BufferId initial, in, result;
    size_t bytes;
  };
  struct LoopCall {
    std::vector<Run> calls;
    std::vector<Carry> carries;
    std::vector<Stack> stacks;
    BufferId iteration;
    int64_t count;
    void operator()(const Frame& frame) const;
  };

  void skip();
  bool carries_sequence();
  int64_t iterations();
  int64_t count_iterations(int64_t most);
  std::vector<const Op*> ops_of_condition(bool* changes) const;
  bool condition(int id, const char* which) const;

  void unroll(int64_t count);
  void begin_iteration(int64_t number, const std::vector<ValueState>& states);
  std::vector<ValueState> initial_states();
  std::vector<ValueState> results(size_t first, size_t last);
  ValueState scan_item(size_t output);  // of the iteration that was planned last; refuses a sequence
  void stack_unrolled(size_t output, std::vector<ValueState> items);

  void run_body(int64_t count);
  void plan_body(LoopCall* loop);
  void stack_results(LoopCall* loop);
  std::vector<bool> needed_of(const LoopCall& loop) const;
  CallState call_of(LoopCall loop, std::vector<CallState> calls) const;
  Carry carry(const ValueState& initial, const ValueState& result, BufferId in);
  void separate(std::vector<Carry>* carries);
  Stack stack(size_t output, const ValueState& item, int64_t count, ValueState* stacked);
  void give(size_t output, ValueState state);

  BufferId new_arena(size_t bytes);
  [[noreturn]] void refuse(Status status, const std::string& what) const;

  Planner& planner_;
  const Op& op_;
  const Block& body_;
  const size_t states_;  // how many values are carried
};

}  // namespace lrt

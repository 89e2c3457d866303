// What most ops check and say while planning: dtypes, axes, output sizes, and where time went.
#pragma once

#include <bitset>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "ops/op.h"

namespace lrt {

// Each refuses what is not so, naming what it saw and what it wanted.
void want_dtype(const OpPlan& p, int input, std::initializer_list<DType> wanted);
void want_attribute(const OpPlan& p, bool holds, const char* name, int64_t seen, const char* wanted);
// Counted from the front; a negative axis counts from the back.
int want_axis(const OpPlan& p, int64_t axis, int rank);
std::bitset<kMaxRank> want_axes(const OpPlan& p, const std::vector<int64_t>& axes, int rank);
// The dtype an attribute names by its code.
DType want_dtype_code(const OpPlan& p, int64_t code);

// The numbers of an input that is known while planning, of any dtype. Refuses what depends on data.
std::vector<double> known_numbers(const OpPlan& p, int input);

// The shape numpy's rules give two shapes together.
Shape broadcast_shapes(const OpPlan& p, const Shape& a, const Shape& b);

// "input 1 ('weight')" for messages.
std::string input_text(const OpPlan& p, int input);

// Sequence lengths must be from 0 to the number of steps. Those that are known are checked while planning, others at
// every run, before anything is written.
template <class T>
void check_lengths(const std::string& where, const T* lengths, int64_t count, int64_t steps) {
  for (int64_t i = 0; i < count; ++i) {
    if (lengths[i] >= 0 && lengths[i] <= steps) continue;
    throw Error(Status::shape, where + ": sequence_lens[" + std::to_string(i) + "] is " + std::to_string(lengths[i]) +
                                   "; wanted 0 to " + std::to_string(steps) + ", the number of steps");
  }
}
template <class T>
void check_known_lengths(const OpPlan& p, int input, int64_t steps) {
  const Operand& lengths = p.in(input);
  if (lengths.known)
    check_lengths(describe(p.op()), static_cast<const T*>(lengths.known), lengths.shape.elements(), steps);
}

// An output that aliases input 0. Time is kept where an axis of the same size has as many elements before it.
void alias_input(OpPlan& p, const Shape& shape);

// The time axis of an input, or -1.
int time_of(const OpPlan& p, int input);
// Says where time is, if it is anywhere.
void keep_time(OpPlan& p, int output, int axis);
// Of output 0 of an op that works element by element on inputs broadcast to `shape`. Says nothing where an input
// without time is not the same at each step, or where times do not meet.
void keep_broadcast_time(OpPlan& p, const Shape& shape);

}  // namespace lrt

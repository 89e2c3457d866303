// The signature of an op: how many inputs and outputs it has, which may be absent, and the dtypes and ranks of its inputs.
// Every op has one in op_list.inc, and the planner checks it before the op's own code runs.
//
// A signature is a text such as "X:f/3 W:w/3 B?:f/2 axes!?:li/0-1 > Y Y_h?": the inputs, then the outputs. Each is a name,
// which messages show, with marks:
//   ?       it may be absent
//   &       it may be a sequence of tensors
//   !       its value decides a shape or a branch (a control input)
//   * or +  it is the last, and there are any number of them: from none, or from one on
//   :fl     its dtypes: f float32, l int64, i int32, b bool, u uint8, s int8, w any that weights of layers have.
//           :=1 is the dtype of input 1. Without dtypes it may have any that values have
//   /3-5    its rank; also /3 and /3+. Without one it may have any
// A lone "-" is an input that must be absent.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/graph.h"

namespace lrt {

class OpPlan;
struct OpEntry;

// One input or output of a signature.
struct Slot {
  std::string_view name;
  bool optional = false, control = false, sequence = false;
  char repeats = 0;      // '*', '+', or 0
  uint32_t dtypes = 63;  // bit i stands for DType i
  int same_as = -1;      // the input whose dtype this one has, or -1
  int least_rank = 0, most_rank = kMaxRank;

  constexpr bool closed() const { return name == "-"; }
};

namespace signature {

constexpr bool starts(std::string_view text, char c) { return !text.empty() && text.front() == c; }

constexpr uint32_t dtype_bits(char letter) {
  const auto bit = [](DType dtype) { return uint32_t{1} << static_cast<int>(dtype); };
  switch (letter) {
    case 'f':
      return bit(DType::f32);
    case 'l':
      return bit(DType::i64);
    case 'i':
      return bit(DType::i32);
    case 'b':
      return bit(DType::boolean);
    case 'u':
      return bit(DType::u8);
    case 's':
      return bit(DType::i8);
    case 'w':
      return bit(DType::f32) | bit(DType::bf16) | bit(DType::i8) | bit(DType::q4);
    default:
      return 0;
  }
}

constexpr int take_digit(std::string_view& rest) {
  if (rest.empty() || rest.front() < '0' || rest.front() > '9') return -1;
  const int digit = rest.front() - '0';
  rest.remove_prefix(1);
  return digit;
}

constexpr void take_dtypes(std::string_view& rest, Slot& slot) {
  rest.remove_prefix(1);
  if (starts(rest, '=')) {
    rest.remove_prefix(1);
    slot.same_as = take_digit(rest);
    return;
  }
  for (slot.dtypes = 0; !rest.empty() && dtype_bits(rest.front()) != 0; rest.remove_prefix(1)) {
    slot.dtypes |= dtype_bits(rest.front());
  }
}

constexpr void take_rank(std::string_view& rest, Slot& slot) {
  rest.remove_prefix(1);
  slot.least_rank = slot.most_rank = take_digit(rest);
  if (starts(rest, '+')) {
    slot.most_rank = kMaxRank;
    rest.remove_prefix(1);
  } else if (starts(rest, '-')) {
    rest.remove_prefix(1);
    slot.most_rank = take_digit(rest);
  }
}

// Takes the first slot off a list of them, with the space behind it.
constexpr Slot take_slot(std::string_view& rest) {
  size_t end = 0;
  while (end < rest.size() && std::string_view(" ?!&*+:/").find(rest[end]) == std::string_view::npos) ++end;
  Slot slot;
  slot.name = rest.substr(0, end);
  slot.optional = slot.closed();
  for (rest.remove_prefix(end); !rest.empty() && rest.front() != ' ';) {
    const char mark = rest.front();
    if (mark == ':') {
      take_dtypes(rest, slot);
    } else if (mark == '/') {
      take_rank(rest, slot);
    } else {
      if (mark == '?') {
        slot.optional = true;
      } else if (mark == '!') {
        slot.control = true;
      } else if (mark == '&') {
        slot.sequence = true;
      } else if (mark == '*' || mark == '+') {
        slot.repeats = mark;
      } else {
        slot.name = {};  // no mark: the signature is not valid
      }
      rest.remove_prefix(1);
    }
  }
  if (!rest.empty()) rest.remove_prefix(1);
  return slot;
}

constexpr std::string_view inputs_of(std::string_view text) { return text.substr(0, text.find('>')); }
constexpr std::string_view outputs_of(std::string_view text) {
  const size_t arrow = text.find("> ");
  return arrow == std::string_view::npos ? std::string_view() : text.substr(arrow + 2);
}

// The control inputs; bit i stands for input i.
constexpr uint32_t control_inputs(std::string_view text) {
  uint32_t bits = 0, bit = 1;
  for (std::string_view rest = inputs_of(text); !rest.empty(); bit <<= 1) {
    if (take_slot(rest).control) bits |= bit;
  }
  return bits;
}

// Whether a text is a signature: named slots, possible dtypes and ranks, and nothing behind a repeated slot.
constexpr bool is_valid(std::string_view text) {
  for (std::string_view rest : {inputs_of(text), outputs_of(text)}) {
    int index = 0;
    for (bool ended = rest.empty(); !ended; ++index) {
      const Slot slot = take_slot(rest);
      ended = rest.empty();
      if (slot.name.empty() || slot.dtypes == 0 || slot.same_as >= index) return false;
      if (slot.least_rank < 0 || slot.most_rank < slot.least_rank || slot.most_rank > kMaxRank) return false;
      if (slot.repeats != 0 && !ended) return false;
    }
  }
  return !outputs_of(text).empty();
}

}  // namespace signature

// Each throws Error naming the op. Counts and absences are a matter of the graph alone; dtypes and ranks need a plan.
void check_counts(const OpEntry& entry, const Op& op);
void check_operands(const OpEntry& entry, const OpPlan& p);

}  // namespace lrt

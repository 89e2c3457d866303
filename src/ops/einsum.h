// The equation of an Einsum, read: which axis of which operand has which label, and how large each label is.
#pragma once

#include <array>
#include <bitset>
#include <string>
#include <vector>

#include "ops/op.h"

namespace lrt {

// Letters are 0 to 51; the axes behind an ellipsis come after them, aligned at the last.
inline constexpr int kEinsumLetters = 52;
inline constexpr int kEinsumLabels = kEinsumLetters + kMaxRank;
using LabelSet = std::bitset<kEinsumLabels>;
using Labels = std::vector<int>;  // of successive axes

struct Equation {
  std::vector<Labels> operands;
  Labels result;
  std::array<int64_t, kEinsumLabels> dims{};  // 1 where nothing says more
};

LabelSet set_of(const Labels& labels);
Equation read_equation(OpPlan& p);

}  // namespace lrt

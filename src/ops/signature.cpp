#include "ops/signature.h"

#include <algorithm>
#include <string>
#include <vector>

#include "model/error.h"
#include "model/text.h"
#include "ops/op.h"

namespace lrt {
namespace {

std::vector<Slot> read_slots(std::string_view rest) {
  std::vector<Slot> slots;
  while (!rest.empty()) slots.push_back(signature::take_slot(rest));
  return slots;
}

[[noreturn]] void refuse(const Op& op, Status status, const std::string& what) {
  throw Error(status, describe(op) + ": " + what);
}

std::string name_of(int input, const Slot& slot) {
  return "input " + std::to_string(input) + " (" + std::string(slot.name) + ")";
}

// "a", "a or b", "a, b or c".
std::string any_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

std::string dtypes_text(uint32_t dtypes) {
  std::vector<std::string> names;
  for (int dtype = 0; dtype < kWeightDTypes; ++dtype) {
    if ((dtypes >> dtype & 1) != 0) names.emplace_back(name_of(static_cast<DType>(dtype)));
  }
  return any_of(names);
}

std::string range_text(size_t least, size_t most) {
  if (most == SIZE_MAX) return std::to_string(least) + " or more";
  std::string text = std::to_string(least);
  if (most > least) text += (most == least + 1 ? " or " : " to ") + std::to_string(most);
  return text;
}

std::string names_text(const std::vector<Slot>& slots) {
  std::string text;
  for (const Slot& slot : slots) {
    if (slot.closed()) continue;
    text += (text.empty() ? "" : ", ") + std::string(slot.name) + (slot.repeats != 0 ? "..." : "");
  }
  return text;
}

// Slots up to the last that is required; at least `fewest`.
size_t least_of(const std::vector<Slot>& slots, size_t fewest) {
  for (size_t i = slots.size(); i > fewest; --i) {
    if (!slots[i - 1].optional && slots[i - 1].repeats != '*') return i;
  }
  return fewest;
}

void check_count(const Op& op, const std::vector<Slot>& slots, size_t least, size_t seen, const char* what) {
  const bool repeats = !slots.empty() && slots.back().repeats != 0;
  const size_t most = repeats ? SIZE_MAX : slots.size();
  if (seen >= least && seen <= most) return;
  refuse(op, Status::file,
         "has " + plural(seen, what) + ", expected " + range_text(least, most) + " (" + names_text(slots) + ")");
}

void check_dtype(const OpPlan& p, int input, const Slot& slot, const std::vector<Slot>& slots) {
  const DType seen = p.in(input).dtype;
  const auto refuse = [&](const std::string& expected) {
    p.refuse(Status::unsupported, name_of(input, slot) + " is " + name_of(seen) + ", expected " + expected);
  };
  if (slot.same_as < 0) {
    if ((slot.dtypes >> static_cast<int>(seen) & 1) == 0) refuse(dtypes_text(slot.dtypes));
    return;
  }
  const DType wanted = p.in(slot.same_as).dtype;
  const Slot& other = slots[static_cast<size_t>(slot.same_as)];
  if (seen != wanted) refuse(std::string(name_of(wanted)) + " as " + name_of(slot.same_as, other));
}

void check_rank(const OpPlan& p, int input, const Slot& slot) {
  const Shape& shape = p.in(input).shape;
  if (shape.rank() >= slot.least_rank && shape.rank() <= slot.most_rank) return;
  const size_t most = slot.most_rank == kMaxRank ? SIZE_MAX : static_cast<size_t>(slot.most_rank);
  // A model's own ranks are fixed: it is the model that cannot be run, not the shapes of one call.
  p.refuse(Status::unsupported, name_of(input, slot) + " has shape " + shape.text() + ", expected rank " +
                                    range_text(static_cast<size_t>(slot.least_rank), most));
}

}  // namespace

void check_counts(const OpEntry& entry, const Op& op) {
  const std::vector<Slot> inputs = read_slots(signature::inputs_of(entry.signature));
  check_count(op, inputs, least_of(inputs, 0), op.inputs.size(), "input");
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    const Slot& slot = inputs[std::min(i, inputs.size() - 1)];
    const bool absent = op.inputs[i] == kAbsent;
    if (slot.closed() && !absent) refuse(op, Status::file, "input " + std::to_string(i) + " must be absent");
    if (absent && !slot.optional) {
      refuse(op, Status::file, name_of(static_cast<int>(i), slot) + " is absent, but required");
    }
  }
  const std::vector<Slot> outputs = read_slots(signature::outputs_of(entry.signature));
  const size_t fewest = outputs.back().repeats == '*' ? 0 : 1;
  check_count(op, outputs, least_of(outputs, fewest), op.outputs.size(), "output");
}

void check_operands(const OpEntry& entry, const OpPlan& p) {
  const std::vector<Slot> slots = read_slots(signature::inputs_of(entry.signature));
  for (int input = 0; input < p.inputs(); ++input) {
    if (!p.has(input)) continue;
    const Slot& slot = slots[std::min(static_cast<size_t>(input), slots.size() - 1)];
    if (p.is_sequence(input)) {
      if (slot.sequence) continue;
      p.refuse(Status::unsupported, name_of(input, slot) + " is a sequence; wanted a tensor");
    }
    check_dtype(p, input, slot, slots);
    check_rank(p, input, slot);
  }
}

}  // namespace lrt

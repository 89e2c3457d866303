// Every op there is. A new one is its file and its line in op_list.inc.
#include <algorithm>

#include "ops/op.h"

namespace lrt {

#define OP(type, planner, control, summary) void planner(OpPlan& p);
#define OWN(type, control, summary)
#include "ops/op_list.inc"
#undef OP
#undef OWN

namespace {

constexpr uint32_t input(int index) { return 1u << index; }

}  // namespace

const std::vector<OpEntry>& op_list() {
#define OP(type, planner, control, summary) {type, planner, control, summary},
#define OWN(type, control, summary) {type, nullptr, control, summary},
  static const std::vector<OpEntry> list = {
#include "ops/op_list.inc"
  };
#undef OP
#undef OWN
  return list;
}

const OpEntry* find_op(const std::string& type) {
  const std::vector<OpEntry>& list = op_list();
  const auto found = std::lower_bound(list.begin(), list.end(), type,
                                      [](const OpEntry& entry, const std::string& name) { return name > entry.type; });
  return found != list.end() && type == found->type ? &*found : nullptr;
}

}  // namespace lrt

// Every op there is. A new one is its file and its line in op_list.inc.
#include <algorithm>

#include "ops/op.h"
#include "ops/signature.h"

namespace lrt {

#define OP(type, planner, text, summary)                              \
  static_assert(signature::is_valid(text), "the signature of " type); \
  void planner(OpPlan& p);
#define OWN(type, text, summary) static_assert(signature::is_valid(text), "the signature of " type);
#include "ops/op_list.inc"
#undef OP
#undef OWN

namespace {

// Computed by the compiler, since a list of 150 signatures is read whenever the library is loaded otherwise.
template <uint32_t Bits>
constexpr uint32_t constant = Bits;

}  // namespace

const std::vector<OpEntry>& op_list() {
#define OP(type, planner, text, summary) {type, planner, text, constant<signature::control_inputs(text)>, summary},
#define OWN(type, text, summary) {type, nullptr, text, constant<signature::control_inputs(text)>, summary},
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

// Greedy layout: the largest buffers first, each at the lowest place that is free while it lives.
#include <algorithm>

#include "model/memory.h"
#include "plan/plan.h"

namespace lrt {

namespace {

struct Placed {
  Lifetime life;
  size_t offset;
};

bool live_together(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// `placed` is sorted by offset.
size_t lowest_free(const std::vector<Placed>& placed, const Lifetime& life) {
  size_t offset = 0;
  for (const Placed& other : placed) {
    if (!live_together(other.life, life)) continue;
    if (offset + align_up(life.bytes) <= other.offset) break;
    offset = std::max(offset, other.offset + align_up(other.life.bytes));
  }
  return offset;
}

}  // namespace

size_t lay_out(std::vector<Lifetime> lifetimes, std::vector<std::pair<BufferId, size_t>>* offsets) {
  std::stable_sort(lifetimes.begin(), lifetimes.end(),
                   [](const Lifetime& a, const Lifetime& b) { return a.bytes > b.bytes; });
  std::vector<Placed> placed;
  size_t total = 0;
  for (const Lifetime& life : lifetimes) {
    const size_t offset = lowest_free(placed, life);
    const auto at = std::upper_bound(placed.begin(), placed.end(), offset,
                                     [](size_t value, const Placed& other) { return value < other.offset; });
    placed.insert(at, Placed{life, offset});
    offsets->emplace_back(life.buffer, offset);
    total = std::max(total, offset + align_up(life.bytes));
  }
  return total;
}

}  // namespace lrt

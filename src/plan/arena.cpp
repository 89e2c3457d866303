// Greedy layout: the largest buffers first, each at the lowest place that is free while it lives.
#include <algorithm>

#include "model/memory.h"
#include "plan/plan.h"

namespace lrt {

namespace {

struct Placed {
  Lifetime life;
  uint64_t offset;
};

bool live_together(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// `placed` is sorted by offset.
uint64_t lowest_free(const std::vector<Placed>& placed, const Lifetime& life) {
  uint64_t offset = 0;
  for (const Placed& other : placed) {
    if (!live_together(other.life, life)) continue;
    if (offset + align_up(life.bytes) <= other.offset) break;
    offset = std::max(offset, other.offset + align_up(other.life.bytes));
  }
  return offset;
}

}  // namespace

uint64_t lay_out(std::vector<Lifetime> lifetimes, std::vector<std::pair<BufferId, size_t>>* offsets) {
  std::stable_sort(lifetimes.begin(), lifetimes.end(),
                   [](const Lifetime& a, const Lifetime& b) { return a.bytes > b.bytes; });
  std::vector<Placed> placed;
  uint64_t total = 0;
  for (const Lifetime& life : lifetimes) {
    const uint64_t offset = lowest_free(placed, life);
    const auto at = std::upper_bound(placed.begin(), placed.end(), offset,
                                     [](uint64_t value, const Placed& other) { return value < other.offset; });
    placed.insert(at, Placed{life, offset});
    offsets->emplace_back(life.buffer, static_cast<size_t>(offset));
    total = std::max(total, offset + align_up(life.bytes));
  }
  return total;
}

}  // namespace lrt

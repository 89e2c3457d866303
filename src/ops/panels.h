// Packing of weight matrices into Panels (kernels.h): columns in vectors of 16, several vectors side by side. The one
// place that knows the layout; the kernels read it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/kernels.h"
#include "model/memory.h"
#include "ops/weights.h"

namespace lrt {

inline int64_t vectors_for(int64_t columns) { return (columns + LRT_LANES - 1) / LRT_LANES; }

// Bytes of a packed matrix, a multiple of 32.
size_t panel_bytes(WeightFormat format, int64_t k, int64_t vectors);

// Vectors per group: many for a matrix that stays near, since one row of x then has many sums under way; as many as a
// tile of several rows is wide for one that does not, since every group is then read once. `unit` vectors stay together.
int group_for(const Kernels& kernels, WeightFormat format, int64_t k, int64_t vectors, int unit = 1);

// Says which column of the source goes where: the source's column for a packed one, or -1 for zeros. Borrows the
// function it is made from, so it never allocates, as std::function may.
class ColumnOrder {
 public:
  template <class F>
  ColumnOrder(const F& order)
      : order_(&order),
        call_([](const void* f, int64_t column) -> int64_t { return (*static_cast<const F*>(f))(column); }) {}
  int64_t operator()(int64_t column) const { return call_(order_, column); }

 private:
  const void* order_;
  int64_t (*call_)(const void*, int64_t);
};

// The order that fused cells read: the gates of 16 units side by side, where the source has all units of a gate together.
struct GateOrder {
  int64_t gates, hidden;
  int64_t operator()(int64_t column) const {
    const int64_t unit = column / (gates * LRT_LANES) * LRT_LANES + column % LRT_LANES;
    return unit < hidden ? column / LRT_LANES % gates * hidden + unit : -1;
  }
};

// Allocates nothing, so that weights known only at run time can be packed into scratch.
void pack_panels_into(const Panels& to, const WeightView& w, const ColumnOrder& order);
Panels pack_panels_into(void* to, WeightFormat format, const WeightView& w, int group);

// The layout of a matrix that stands, or will stand, packed at data.
Panels panels_at(const void* data, WeightFormat format, int64_t k, int64_t vectors, int group);

// Where a matrix stands in memory that holds several: all of its Panels but their addresses.
class PanelPlace {
 public:
  PanelPlace() = default;
  PanelPlace(size_t floats_before, WeightFormat format, int64_t k, int64_t vectors, int group);
  // Two matrices of the same columns, a group of the one and a group of the other in turns, so that one walk reads both.
  // They take the memory of both.
  static std::pair<PanelPlace, PanelPlace> in_turns(size_t floats_before, WeightFormat format, int64_t first_k,
                                                    int64_t second_k, int64_t vectors, int group);
  Panels in(const float* memory) const;

 private:
  size_t at_ = 0;
  int64_t to_scales_ = -1;  // bytes; -1 if the format has none
  Panels panels_{};
};

struct PackedPanels {
  Panels panels;
  AlignedBuffer storage;
};
std::shared_ptr<const PackedPanels> pack_panels(WeightFormat format, const WeightView& w, int group);
std::shared_ptr<const PackedPanels> pack_panels(WeightFormat format, const WeightView& w, int64_t vectors, int group,
                                                const ColumnOrder& order);

// A bias as gemm wants it, filled up with zeros to whole vectors. Without data it is all zeros: gemm goes on
// summing in its output where it is given no bias, so a product without one starts from these.
void pack_bias_into(float* to, const float* bias, int64_t n);
std::shared_ptr<const AlignedBuffer> pack_bias(const float* bias, int64_t n);

}  // namespace lrt

// Packing of weight matrices into Panels (kernels.h): columns in vectors of 16, several vectors side by side. The one
// place that knows the layout; the kernels read it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/kernels.h"
#include "model/memory.h"

namespace lrt {

// Element (k, n) of a matrix [k, n] stands at data[k * k_stride + n * n_stride].
struct MatrixView {
  const float* data = nullptr;
  int64_t k = 0, n = 0;
  int64_t k_stride = 0, n_stride = 0;
};

inline int64_t vectors_for(int64_t columns) { return (columns + LRT_LANES - 1) / LRT_LANES; }

inline size_t panel_floats(int64_t k, int64_t vectors) { return static_cast<size_t>(k * vectors * LRT_LANES); }

// at(k, column) gives every float of k rows of `vectors` vectors, those that only fill up a vector too. Allocates
// nothing, so that weights known only at run time can be packed into scratch.
template <class At>
void pack_panels_with(float* to, int64_t k, int64_t vectors, int group, const At& at) {
  for (int64_t first = 0; first < vectors; first += group) {
    const int64_t begin = first * LRT_LANES;
    const int64_t end = std::min(first + group, vectors) * LRT_LANES;
    for (int64_t row = 0; row < k; ++row) {
      for (int64_t column = begin; column < end; ++column) *to++ = at(row, column);
    }
  }
}

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

void pack_panels_into(float* to, const MatrixView& w, int64_t vectors, int group, const ColumnOrder& order);
void pack_panels_into(float* to, const MatrixView& w, int group);

struct PackedPanels {
  Panels panels;
  AlignedBuffer storage;
};

// The layout of w in packed floats that stand, or will stand, at data.
Panels panels_at(const float* data, int64_t k, int64_t n, int group);
std::shared_ptr<const PackedPanels> pack_panels(const MatrixView& w, int group);

// A bias as gemm_f32 wants it, filled up with zeros to whole vectors. Without data it is all zeros: gemm_f32 goes on
// summing in its output where it is given no bias, so a product without one starts from these.
void pack_bias_into(float* to, const float* bias, int64_t n);
std::shared_ptr<const AlignedBuffer> pack_bias(const float* bias, int64_t n);

}  // namespace lrt

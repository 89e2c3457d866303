#include "ops/cell.h"

#include <algorithm>

namespace lrt {

Cell::Cell(const Kernels& kernels, CellOptions options, int gates)
    : kernels_(kernels), options_(std::move(options)), gates_(gates), panels_(vectors_for(options_.hidden)) {}

size_t Cell::reserve(size_t floats) {
  const size_t at = packed_floats_;
  packed_floats_ += align_up(floats * sizeof(float)) / sizeof(float);
  return at;
}

int Cell::group(int unit) const { return unit * std::max(1, kernels_.max_group / unit); }

Panels Cell::panels(const float* packed, size_t at, int64_t k, int64_t vectors, int group) const {
  return Panels{packed + at, k, vectors, group};
}

bool Cell::is_activated(std::initializer_list<int> kinds) const {
  return std::equal(kinds.begin(), kinds.end(), options_.activations.begin(), options_.activations.end(),
                    [](int kind, const Activation& activation) { return activation.kind == kind; });
}

void Cell::project(const float* packed, const float* x, int64_t x_stride, int64_t rows, float* gates,
                   int64_t gate_stride, bool backwards) const {
  const Panels w = panels(packed, w_at_, options_.inputs, gates_ * panels_, w_group_);
  const GemmF32 gemm{&w, x, x_stride, rows, packed + bias_at_, gates, gate_stride, gate_row(), backwards};
  kernels_.gemm_f32(&gemm);
}

}  // namespace lrt

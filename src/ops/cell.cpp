#include "ops/cell.h"

#include <algorithm>
#include <tuple>

namespace lrt {

Cell::Cell(const Kernels& kernels, CellOptions options, int gates)
    : kernels_(kernels), options_(std::move(options)), gates_(gates), panels_(vectors_for(options_.hidden)) {}

size_t Cell::reserve(size_t floats) {
  const size_t at = packed_floats_;
  packed_floats_ += align_up(floats * sizeof(float)) / sizeof(float);
  return at;
}

PanelPlace Cell::reserve_matrix(int64_t k, int64_t vectors, int unit) {
  const size_t at = reserve(panel_bytes(options_.format, k, vectors) / sizeof(float));
  return PanelPlace(at, options_.format, k, vectors, group_for(kernels_, options_.format, k, vectors, unit));
}

void Cell::pack_matrix(float* memory, const PanelPlace& place, const WeightView& w, const ColumnOrder& order) const {
  pack_panels_into(place.in(memory), w, order);
}

void Cell::reserve_products(int64_t vectors, int unit) {
  const auto group = [&](int64_t k) { return group_for(kernels_, options_.format, k, vectors, unit); };
  const int both = std::min(group(options_.inputs), group(outputs()));
  const size_t bytes =
      panel_bytes(options_.format, options_.inputs, vectors) + panel_bytes(options_.format, outputs(), vectors);
  std::tie(w_, r_) =
      PanelPlace::in_turns(reserve(bytes / sizeof(float)), options_.format, options_.inputs, outputs(), vectors, both);
}

size_t Cell::quantized_bytes(int64_t x_rows, int64_t h_rows, bool at_once) const {
  const auto row = [this](int64_t k) { return lrt_quantized_row(options_.format, k); };
  const int64_t x = x_rows * row(options_.inputs), h = h_rows * std::max(row(options_.hidden), row(outputs()));
  return static_cast<size_t>(at_once ? x + h : std::max(x, h));
}

void Cell::steps(const float* packed, CellStep& s, int64_t count) const {
  for (; count > 0; --count) {
    step(packed, s);
    s.advance(count > 1);
  }
}

bool Cell::is_activated(std::initializer_list<int> kinds) const {
  return std::equal(kinds.begin(), kinds.end(), options_.activations.begin(), options_.activations.end(),
                    [](int kind, const Activation& activation) { return activation.kind == kind; });
}

void Cell::project(const float* packed, const float* x, int64_t x_stride, int64_t rows, float* gates,
                   int64_t gate_stride, const CellStep& step) const {
  const Panels w = w_.in(packed);
  multiply(kernels_, {&w, x, x_stride, rows, packed + bias_at_, gates, gate_stride, gate_row(), step.backwards},
           step.quantized, step.parallel);
}

}  // namespace lrt

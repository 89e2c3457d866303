#include "ops/cell.h"

#include <algorithm>

namespace lrt {

namespace {

// Of W and R together: twice a first-level cache, below which both may be found there whatever the order.
constexpr size_t kLeastTurned = 96 * 1024;

}  // namespace

Cell::Cell(const Kernels& kernels, CellOptions options, int gates)
    : kernels_(kernels), options_(std::move(options)), gates_(gates), panels_(vectors_for(options_.hidden)) {}

size_t Cell::reserve(size_t floats) {
  const size_t at = packed_floats_;
  packed_floats_ += align_up(floats * sizeof(float)) / sizeof(float);
  return at;
}

PanelPlace Cell::reserve_panels(int64_t k, int64_t vectors, int unit) {
  const size_t at = reserve(panel_bytes(options_.format, k, vectors) / sizeof(float));
  return PanelPlace(at, options_.format, k, vectors, group_for(kernels_, options_.format, k, vectors, unit));
}

void Cell::pack_matrix(float* memory, const PanelPlace& place, const WeightView& w, const ColumnOrder& order) const {
  const Panels panels = place.in(memory);
  pack_panels_into(const_cast<void*>(panels.data), options_.format, w, panels.vectors, panels.group, order);
}

size_t Cell::quantized_bytes(int64_t x_rows, int64_t h_rows) const {
  const auto row = [this](int64_t k) { return lrt_quantized_row(options_.format, k); };
  const int64_t x = x_rows * row(options_.inputs), h = h_rows * std::max(row(options_.hidden), row(outputs()));
  return static_cast<size_t>(turns_ ? x + h : std::max(x, h));  // terms are in the scale of their h
}

size_t Cell::terms_floats() const {
  return turns_ ? static_cast<size_t>(lrt_terms(options_.format, options_.hidden) * gate_row()) : 0;
}

bool Cell::pays_to_turn() const {
  const int64_t vectors = gates_ * panels_;
  return panel_bytes(options_.format, options_.inputs, vectors) +
             panel_bytes(options_.format, options_.hidden, vectors) >=
         kLeastTurned;
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

void Cell::project_and_step(const float* packed, const float* x, const CellStep& step) const {
  if (!turns_ || !step.backwards) {
    project(packed, x, options_.inputs, 1, step.gates, step.gate_stride, step);
    return this->step(packed, step);
  }
  const Panels r = r_.in(packed);
  Gemm gemm{&r, step.h_in.data, step.h_in.stride, 1, nullptr, step.terms, 0, gate_row(), true};
  gemm.term_stride = gate_row();
  multiply(kernels_, gemm, step.quantized, step.parallel);
  const Terms terms{&r, step.terms, gate_row(), step.quantized};
  CellStep behind = step;
  if (step.quantized)
    behind.quantized = static_cast<char*>(step.quantized) + lrt_quantized_row(options_.format, options_.hidden);
  step_turned(packed, x, terms, behind);
}

}  // namespace lrt

#include "ops/panels.h"

namespace lrt {

void pack_panels_into(float* to, const MatrixView& w, int64_t vectors, int group, const ColumnOrder& order) {
  pack_panels_with(to, w.k, vectors, group, [&](int64_t row, int64_t column) {
    const int64_t from = order(column);
    return from < 0 ? 0.0f : w.data[row * w.k_stride + from * w.n_stride];
  });
}

void pack_panels_into(float* to, const MatrixView& w, int group) {
  const int64_t n = w.n;
  pack_panels_into(to, w, vectors_for(n), group, [n](int64_t column) { return column < n ? column : -1; });
}

Panels panels_at(const float* data, int64_t k, int64_t n, int group) { return {data, k, vectors_for(n), group}; }

std::shared_ptr<const PackedPanels> pack_panels(const MatrixView& w, int group) {
  auto packed = std::make_shared<PackedPanels>();
  packed->storage = AlignedBuffer(panel_floats(w.k, vectors_for(w.n)) * sizeof(float));
  packed->panels = panels_at(packed->storage.as<float>(), w.k, w.n, group);
  pack_panels_into(packed->storage.as<float>(), w, group);
  return packed;
}

void pack_bias_into(float* to, const float* bias, int64_t n) {
  const int64_t filled = bias ? n : 0;
  if (bias) std::copy_n(bias, n, to);
  std::fill(to + filled, to + vectors_for(n) * LRT_LANES, 0.0f);
}

std::shared_ptr<const AlignedBuffer> pack_bias(const float* bias, int64_t n) {
  auto packed = std::make_shared<AlignedBuffer>(panel_floats(1, vectors_for(n)) * sizeof(float));
  if (n > 0) pack_bias_into(packed->as<float>(), bias, n);
  return packed;
}

}  // namespace lrt

// GRU as ONNX GRU-22 defines it.
//   z = f(Wz x + Rz h + bz)    r = f(Wr x + Rr h + br)    h' = (1 - z)∘n + z∘h
//   n = g(Wn x + Rn (r∘h) + Rbn + Wbn), or with linear_before_reset  n = g(Wn x + r∘(Rn h + Rbn) + Wbn)
// The fused form (linear_before_reset, sigmoid and tanh, no clip) keeps z, r, n of 16 units side by side; the general
// form keeps z, r side by side and all n behind them, since n's product may have to wait for r.
#include "ops/fused_step.h"

namespace lrt {

namespace {

constexpr int kGates = 3;

class FusedGruCell final : public Cell {
 public:
  FusedGruCell(const Kernels& kernels, const CellOptions& options) : Cell(kernels, options, kGates) {
    bias_at_ = reserve(static_cast<size_t>(gate_row()));
    rbias_at_ = reserve(static_cast<size_t>(panels_ * LRT_LANES));
    reserve_products(kGates * panels_, kGates);
  }

  void pack(float* memory, const CellWeights& weights) const override {
    const int64_t hidden = options_.hidden;
    const GateOrder order{kGates, hidden};
    pack_matrix(memory, w_, weights.w.view(options_.inputs, kGates * hidden), order);
    pack_matrix(memory, r_, weights.r.view(hidden, kGates * hidden), order);
    for (int64_t c = 0; c < gate_row(); ++c) {
      const int64_t from = order(c);
      const bool candidate = from >= 2 * hidden;  // its recurrent bias stays apart: the reset gate scales it
      float bias = 0.0f;
      if (weights.b && from >= 0) bias = weights.b[from] + (candidate ? 0.0f : weights.b[kGates * hidden + from]);
      memory[bias_at_ + static_cast<size_t>(c)] = bias;
    }
    for (int64_t unit = 0; unit < panels_ * LRT_LANES; ++unit) {
      memory[rbias_at_ + static_cast<size_t>(unit)] = weights.b && unit < hidden ? weights.b[5 * hidden + unit] : 0.0f;
    }
  }

  bool is_fused() const override { return true; }
  void steps(const float* packed, CellStep& s, int64_t count) const override {
    fused_steps(kernels_, step_of(packed, s.rows), r_.in(packed), s, count);
  }
  Run single_step(const float* packed, const SingleStep& at) const override {
    return fused_single_step(kernels_, step_of(packed, at.rows), w_.in(packed), r_.in(packed), at);
  }

 private:
  GruStep step_of(const float* packed, int64_t rows) const {
    GruStep step{};
    step.gates = packed + bias_at_;
    step.rbias_n = packed + rbias_at_;
    step.hidden = options_.hidden;
    step.rows = rows;
    return step;
  }

  size_t rbias_at_ = 0;
};

class GeneralGruCell final : public Cell {
 public:
  GeneralGruCell(const Kernels& kernels, const CellOptions& options) : Cell(kernels, options, kGates) {
    bias_at_ = reserve(static_cast<size_t>(gate_row()));
    rbias_at_ = reserve(static_cast<size_t>(width()));
    w_ = reserve_matrix(options.inputs, kGates * panels_, 1);
    zr_ = reserve_matrix(options.hidden, 2 * panels_, 2);
    n_ = reserve_matrix(options.hidden, panels_, 1);
  }

  // One row: r∘h, or Rn h + Rbn where linear_before_reset.
  size_t scratch_floats(int64_t rows) const override { return static_cast<size_t>(rows * width()); }

  void pack(float* memory, const CellWeights& weights) const override {
    const int64_t hidden = options_.hidden, behind = 2 * width();
    const GateOrder zr_order{2, hidden};
    const auto n_order = [hidden](int64_t unit) { return unit < hidden ? 2 * hidden + unit : -1; };
    const auto order = [&](int64_t c) { return c < behind ? zr_order(c) : n_order(c - behind); };
    const WeightView r = weights.r.view(hidden, kGates * hidden);
    pack_matrix(memory, w_, weights.w.view(options_.inputs, kGates * hidden), order);
    pack_matrix(memory, zr_, r, zr_order);
    pack_matrix(memory, n_, r, n_order);
    pack_bias(memory, weights.b, order);
  }

  void step(const float* packed, const CellStep& s) const override {
    const Panels zr = zr_.in(packed), n = n_.in(packed);
    float* n_gates = s.gates + 2 * width();
    product(zr, s.h_in.data, s.h_in.stride, s, nullptr, s.gates, s.gate_stride, 2 * width());

    const bool reset_first = !options_.linear_before_reset;
    GruCellF32 cell{s.gates,
                    s.gate_stride,
                    n_gates,
                    s.gate_stride,
                    reset_first ? nullptr : s.scratch,
                    width(),
                    s.h_in.data,
                    s.h_in.stride,
                    reset_first ? s.scratch : nullptr,
                    width(),
                    options_.hidden,
                    s.rows,
                    options_.clip,
                    options_.activations[0],
                    options_.activations[1]};
    if (reset_first) {
      kernels_.gru_reset_f32(&cell);
      product(n, s.scratch, width(), s, nullptr, n_gates, s.gate_stride, width());
    } else {
      product(n, s.h_in.data, s.h_in.stride, s, packed + rbias_at_, s.scratch, width(), width());
    }
    cell.h_out = s.h_out.data;
    cell.h_out_stride = s.h_out.stride;
    kernels_.gru_cell_f32(&cell);
  }

 private:
  int64_t width() const { return panels_ * LRT_LANES; }

  void product(const Panels& panels, const float* x, int64_t x_stride, const CellStep& s, const float* bias, float* out,
               int64_t out_stride, int64_t cols) const {
    multiply(kernels_, {&panels, x, x_stride, s.rows, bias, out, out_stride, cols, s.backwards}, s.quantized,
             s.parallel);
  }

  void pack_bias(float* memory, const float* b, const ColumnOrder& order) const {
    const int64_t hidden = options_.hidden;
    for (int64_t c = 0; c < gate_row(); ++c) {
      const int64_t from = order(c);
      const bool apart = options_.linear_before_reset && from >= 2 * hidden;
      float bias = 0.0f;
      if (b && from >= 0) bias = b[from] + (apart ? 0.0f : b[kGates * hidden + from]);
      memory[bias_at_ + static_cast<size_t>(c)] = bias;
    }
    for (int64_t unit = 0; unit < width(); ++unit) {
      memory[rbias_at_ + static_cast<size_t>(unit)] = b && unit < hidden ? b[5 * hidden + unit] : 0.0f;
    }
  }

  PanelPlace zr_, n_;
  size_t rbias_at_ = 0;
};

}  // namespace

std::unique_ptr<const Cell> make_gru_cell(const Kernels& kernels, const CellOptions& options) {
  const bool usual = options.activations.size() == 2 && options.activations[0].kind == LRT_SIGMOID &&
                     options.activations[1].kind == LRT_TANH;
  if (usual && options.linear_before_reset && options.clip == 0.0f) {
    return std::make_unique<FusedGruCell>(kernels, options);
  }
  return std::make_unique<GeneralGruCell>(kernels, options);
}

}  // namespace lrt

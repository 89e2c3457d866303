// Vanilla RNN as ONNX RNN-22 defines it: h = f(W x + R h + Wb + Rb).
#include "ops/cell.h"

namespace lrt {

namespace {

class RnnCell final : public Cell {
 public:
  RnnCell(const Kernels& kernels, const CellOptions& options) : Cell(kernels, options, 1) {
    bias_at_ = reserve(static_cast<size_t>(gate_row()));
    w_ = reserve_matrix(options.inputs, panels_, 1);
    r_ = reserve_matrix(options.hidden, panels_, 1);
  }

  void pack(float* memory, const CellWeights& weights) const override {
    const int64_t hidden = options_.hidden;
    const auto order = [hidden](int64_t unit) { return unit < hidden ? unit : -1; };
    pack_matrix(memory, w_, weights.w.view(options_.inputs, hidden), order);
    pack_matrix(memory, r_, weights.r.view(hidden, hidden), order);
    for (int64_t unit = 0; unit < gate_row(); ++unit) {
      memory[bias_at_ + static_cast<size_t>(unit)] =
          weights.b && unit < hidden ? weights.b[unit] + weights.b[hidden + unit] : 0.0f;
    }
  }

  void step(const float* packed, const CellStep& s) const override {
    const Panels r = r_.in(packed);
    multiply(kernels_,
             {&r, s.h_in.data, s.h_in.stride, s.rows, nullptr, s.gates, s.gate_stride, gate_row(), s.backwards},
             s.quantized, s.parallel);
    const RnnCellF32 cell{s.gates,         s.gate_stride, s.h_out.data,  s.h_out.stride,
                          options_.hidden, s.rows,        options_.clip, options_.activations[0]};
    kernels_.rnn_cell_f32(&cell);
  }
};

}  // namespace

std::unique_ptr<const Cell> make_rnn_cell(const Kernels& kernels, const CellOptions& options) {
  return std::make_unique<RnnCell>(kernels, options);
}

}  // namespace lrt

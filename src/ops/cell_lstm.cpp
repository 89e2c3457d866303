// LSTM as ONNX LSTM-22 defines it. Gates i, o, f, c of the same 16 units stand side by side.
//   i = f(Wi x + Ri h + Pi∘c + bi)      f = f(Wf x + Rf h + Pf∘c + bf), or 1 - i where input_forget
//   C = f∘c + i∘g(Wc x + Rc h + bc)     h = f(Wo x + Ro h + Po∘C + bo) ∘ h(C), or a projection of that
#include "ops/fused_step.h"

namespace lrt {

namespace {

constexpr int kGates = 4;

class LstmCell final : public Cell {
 public:
  LstmCell(const Kernels& kernels, const CellOptions& options)
      : Cell(kernels, options, kGates),
        usual_(is_activated({LRT_SIGMOID, LRT_TANH, LRT_TANH}) && !options.peephole && options.clip == 0.0f &&
               !options.input_forget) {
    bias_at_ = reserve(static_cast<size_t>(gate_row()));
    reserve_products(kGates * panels_, kGates);
    if (options.peephole) peephole_at_ = reserve(static_cast<size_t>(3 * panels_ * LRT_LANES));
    if (!projects()) return;
    projection_ = reserve_matrix(options.hidden, vectors_for(outputs()), 1);
    zeros_at_ = reserve(static_cast<size_t>(vectors_for(outputs()) * LRT_LANES));
  }

  bool has_cell_state() const override { return true; }
  size_t scratch_floats(int64_t rows) const override {
    return projects() ? static_cast<size_t>(rows * options_.hidden) : 0;
  }

  void pack(float* memory, const CellWeights& weights) const override {
    const int64_t hidden = options_.hidden;
    const GateOrder order{kGates, hidden};
    pack_matrix(memory, w_, weights.w.view(options_.inputs, kGates * hidden), order);
    pack_matrix(memory, r_, weights.r.view(outputs(), kGates * hidden), order);
    for (int64_t c = 0; c < gate_row(); ++c) {
      const int64_t from = order(c);
      memory[bias_at_ + static_cast<size_t>(c)] =
          weights.b && from >= 0 ? weights.b[from] + weights.b[kGates * hidden + from] : 0.0f;
    }
    if (weights.p) pack_peephole(memory + peephole_at_, weights.p);
    if (projects()) pack_projection(memory, weights.projection);
  }

  bool is_fused() const override { return usual_ && !projects(); }
  void steps(const float* packed, CellStep& s, int64_t count) const override {
    if (!is_fused()) return Cell::steps(packed, s, count);
    fused_steps(kernels_, step_of(packed, s.rows), r_.in(packed), s, count);
  }
  Run single_step(const float* packed, const SingleStep& at) const override {
    return fused_single_step(kernels_, step_of(packed, at.rows), w_.in(packed), r_.in(packed), at);
  }

  void step(const float* packed, const CellStep& s) const override {
    if (!projects()) return step_units(packed, s);
    CellStep units = s;
    units.h_out = {s.scratch, options_.hidden};
    step_units(packed, units);
    const Panels projection = projection_.in(packed);
    multiply(kernels_,
             {&projection, s.scratch, options_.hidden, s.rows, packed + zeros_at_, s.h_out.data, s.h_out.stride,
              outputs(), s.backwards},
             s.quantized, s.parallel);
  }

 private:
  bool projects() const { return options_.projection > 0; }

  void step_units(const float* packed, const CellStep& s) const {
    const Panels r = r_.in(packed);
    if (usual_) {
      CellStep one = s;
      return fused_steps(kernels_, step_of(packed, s.rows), r, one, 1);
    }
    multiply(kernels_,
             {&r, s.h_in.data, s.h_in.stride, s.rows, nullptr, s.gates, s.gate_stride, gate_row(), s.backwards},
             s.quantized, s.parallel);
    const auto& activations = options_.activations;
    const LstmCellF32 cell{s.gates,
                           s.gate_stride,
                           options_.peephole ? packed + peephole_at_ : nullptr,
                           s.c_in.data,
                           s.c_in.stride,
                           s.h_out.data,
                           s.h_out.stride,
                           s.c_out.data,
                           s.c_out.stride,
                           options_.hidden,
                           s.rows,
                           options_.clip,
                           options_.input_forget,
                           activations[0],
                           activations[1],
                           activations[2]};
    kernels_.lstm_cell_f32(&cell);
  }

  void pack_projection(float* memory, const Weights& weights) const {
    const int64_t n = outputs();
    pack_matrix(memory, projection_, weights.view(options_.hidden, n),
                [n](int64_t column) { return column < n ? column : -1; });
    pack_bias_into(memory + zeros_at_, nullptr, n);
  }

  LstmStep step_of(const float* packed, int64_t rows) const {
    LstmStep step{};
    step.gates = packed + bias_at_;
    step.hidden = options_.hidden;
    step.rows = rows;
    return step;
  }

  void pack_peephole(float* memory, const float* p) const {
    const int64_t width = panels_ * LRT_LANES;
    for (int64_t gate = 0; gate < 3; ++gate) {
      for (int64_t unit = 0; unit < width; ++unit) {
        memory[gate * width + unit] = unit < options_.hidden ? p[gate * options_.hidden + unit] : 0.0f;
      }
    }
  }

  const bool usual_;  // the kernel that takes the product too can compute it
  PanelPlace projection_;
  size_t peephole_at_ = 0, zeros_at_ = 0;
};

}  // namespace

std::unique_ptr<const Cell> make_lstm_cell(const Kernels& kernels, const CellOptions& options) {
  return std::make_unique<LstmCell>(kernels, options);
}

}  // namespace lrt

// The recurrent cells of every table of kernels against float64, and all tables with fused multiply-add against each other
// to the bit.
#include "kernel_check.h"
#include "ops/panels.h"

namespace {

// ---- Fused cells -----------------------------------------------------------------------------------------------

struct Step {
  Floats h, c;
};

// The inputs of one step of `rows` sequences; gates as a row of panels*G*16 sums.
struct StepInput {
  int64_t hidden, rows, gates;
  Floats r, sums, h, c, rbias;
  StepInput(int64_t units, int64_t batch, int64_t gate_count) : hidden(units), rows(batch), gates(gate_count) {
    const auto size = [](int64_t n) { return static_cast<size_t>(n); };
    r = random_floats(size(hidden * gates * hidden), 11, 1.0f / std::sqrt(static_cast<float>(hidden)));
    sums = random_floats(size(rows * gate_stride()), 12, 3.0f);
    h = random_floats(size(rows * h_stride()), 13);
    c = random_floats(size(rows * h_stride()), 14, 2.0f);
    rbias = random_floats(size(panels_of(hidden) * 16), 15);
  }
  int64_t gate_stride() const { return panels_of(hidden) * gates * 16 + 1; }
  int64_t h_stride() const { return hidden + 3; }
  // The place of a gate of a unit in its row of sums, and the packed column's source.
  int64_t place(int64_t gate, int64_t unit) const { return unit / 16 * gates * 16 + gate * 16 + unit % 16; }
  int64_t source(int64_t column) const {
    const int64_t unit = column / (gates * 16) * 16 + column % 16;
    return unit < hidden ? column / 16 % gates * hidden + unit : -1;
  }
  double product(int64_t row, int64_t gate, int64_t unit) const {
    double sum = 0;
    for (int64_t k = 0; k < hidden; ++k) {
      sum += double(h[static_cast<size_t>(row * h_stride() + k)]) *
             r[static_cast<size_t>(k * gates * hidden + gate * hidden + unit)];
    }
    return sum;
  }
  double gate(int64_t row, int64_t g, int64_t unit) const {
    return sums[static_cast<size_t>(row * gate_stride() + place(g, unit))];
  }
};

void lstm_reference(const StepInput& in, double* h_new, double* c_new) {
  for (int64_t row = 0, at = 0; row < in.rows; ++row) {
    for (int64_t unit = 0; unit < in.hidden; ++unit, ++at) {
      double sum[4];
      for (int g = 0; g < 4; ++g) sum[g] = in.gate(row, g, unit) + in.product(row, g, unit);
      c_new[at] =
          sigmoid(sum[2]) * in.c[static_cast<size_t>(row * in.h_stride() + unit)] + sigmoid(sum[0]) * std::tanh(sum[3]);
      h_new[at] = sigmoid(sum[1]) * std::tanh(c_new[at]);
    }
  }
}

void gru_reference(const StepInput& in, double* h_new) {
  for (int64_t row = 0, at = 0; row < in.rows; ++row) {
    for (int64_t unit = 0; unit < in.hidden; ++unit, ++at) {
      const double z = sigmoid(in.gate(row, 0, unit) + in.product(row, 0, unit));
      const double r = sigmoid(in.gate(row, 1, unit) + in.product(row, 1, unit));
      const double n =
          std::tanh(in.gate(row, 2, unit) + r * (in.product(row, 2, unit) + in.rbias[static_cast<size_t>(unit)]));
      h_new[at] = (1 - z) * n + z * in.h[static_cast<size_t>(row * in.h_stride() + unit)];
    }
  }
}

// Rows [first, first + rows) of one step.
// `input`: W and x, where sums are but a bias.
void run_step(const Kernels& kernels, const StepInput& in, const Panels& r, int64_t first, int64_t rows, bool backwards,
              Step* out, const StepProduct& input = {nullptr, nullptr, 0}) {
  const size_t gates_at = static_cast<size_t>(first * in.gate_stride()),
               h_at = static_cast<size_t>(first * in.h_stride());
  const int64_t stride = in.h_stride(), gate_stride = input.w ? 0 : in.gate_stride();
  if (in.gates == 4) {
    const LstmStep step{{&r, &in.h[h_at], stride},
                        input,
                        &in.sums[gates_at],
                        gate_stride,
                        &out->c[h_at],
                        stride,
                        &out->h[h_at],
                        stride,
                        &out->c[h_at],
                        stride,
                        in.hidden,
                        rows,
                        backwards,
                        0,
                        group_count(r)};
    kernels.lstm_step(&step);
  } else {
    const GruStep step{{&r, &in.h[h_at], stride},
                       input,
                       &in.sums[gates_at],
                       gate_stride,
                       in.rbias.data(),
                       &out->h[h_at],
                       stride,
                       in.hidden,
                       rows,
                       backwards,
                       0,
                       group_count(r)};
    kernels.gru_step(&step);
  }
}

void check_close(const StepInput& in, const Floats& got, const std::vector<double>& expected, double tolerance,
                 const std::string& what) {
  double worst = 0;
  bool untouched = true;
  for (int64_t row = 0; row < in.rows; ++row) {
    for (int64_t unit = 0; unit < in.h_stride(); ++unit) {
      const float value = got[static_cast<size_t>(row * in.h_stride() + unit)];
      if (unit >= in.hidden) {
        untouched &= value == kUntouched;
      } else {
        const double error = std::abs(value - expected[static_cast<size_t>(row * in.hidden + unit)]);
        worst = std::isnan(error) ? HUGE_VAL : std::max(error, worst);
      }
    }
  }
  check(worst <= tolerance, what + ": error " + std::to_string(worst * 1e6) + "e-6");
  check(untouched, what + ": wrote past the last unit");
}

void test_step(const Kernels& kernels, int64_t hidden, int64_t rows, int64_t gates, Hash* hash) {
  const StepInput in(hidden, rows, gates);
  Step empty{Floats(in.h.size(), kUntouched), Floats(in.c.size(), kUntouched)};
  for (size_t i = 0; i < in.c.size(); ++i) {  // c is updated in place
    if (static_cast<int64_t>(i) % in.h_stride() < hidden) empty.c[i] = in.c[i];
  }
  std::vector<double> h(static_cast<size_t>(rows * hidden)), c(h.size());
  gates == 4 ? lstm_reference(in, h.data(), c.data()) : gru_reference(in, h.data());
  Step first;
  for (int group = static_cast<int>(gates); group <= kernels.max_group; group += static_cast<int>(gates)) {
    const Packed packed(in.r, hidden, gates * hidden, panels_of(hidden) * gates, group,
                        [&in](int64_t i) { return in.source(i); });
    for (const bool backwards : {false, true}) {
      Step whole = empty, alone = empty;
      run_step(kernels, in, packed.panels, 0, rows, backwards, &whole);
      for (int64_t row = 0; row < rows; ++row) run_step(kernels, in, packed.panels, row, 1, backwards, &alone);
      const std::string what =
          text(gates == 4 ? "lstm_step hidden, rows, group" : "gru_step hidden, rows, group", hidden, rows, group);
      check(same_bits(whole.h, alone.h) && same_bits(whole.c, alone.c),
            what + ": a batch gives other bits than its rows");
      if (first.h.empty()) {
        first = whole;
        // Sums of up to 130 terms of size 1, rounded in float32.
        const double tolerance = 2e-6 + 1e-7 * std::sqrt(static_cast<double>(hidden));
        check_close(in, whole.h, h, tolerance, what);
        if (gates == 4) check_close(in, whole.c, c, 2 * tolerance, what);
      }
      check(same_bits(whole.h, first.h) && same_bits(whole.c, first.c), what + ": group or direction changes bits");
    }
  }
  compare_tables(kernels, text("step", hidden, rows, gates), first.h);
  hash->add(first.h);
  if (gates == 4) hash->add(first.c);
}

// W x taken on the way, from matrices that lie in turns, gives the bits of a product before the step.
void test_input_on_the_way(const Kernels& kernels, int64_t hidden, int64_t inputs, int64_t rows, int64_t gates) {
  const StepInput in(hidden, rows, gates);
  const auto size = [](int64_t n) { return static_cast<size_t>(n); };
  const Floats w = random_floats(size(inputs * gates * hidden), 16), x = random_floats(size(rows * inputs), 17);
  const int64_t vectors = panels_of(hidden) * gates;
  const Floats bias = random_floats(size(vectors * 16), 18);
  const int group = static_cast<int>(kernels.max_group / gates * gates);
  const auto view = [&](const Floats& matrix, int64_t k) {
    WeightView v;
    v.data = matrix.data();
    v.k = k;
    v.n = gates * hidden;
    v.k_stride = v.n;
    v.n_stride = 1;
    return v;
  };
  const auto order = [&in](int64_t column) { return in.source(column); };
  for (const WeightFormat format : {LRT_FORMAT_F32, LRT_FORMAT_BF16}) {
    AlignedBuffer apart(panel_bytes(format, inputs, vectors)),
        turns(panel_bytes(format, inputs, vectors) + panel_bytes(format, hidden, vectors));
    const Panels alone = panels_at(apart.as<void>(), format, inputs, vectors, group);
    pack_panels_into(alone, view(w, inputs), order);
    const auto places = PanelPlace::in_turns(0, format, inputs, hidden, vectors, group);
    const Panels over = places.first.in(turns.as<float>()), r = places.second.in(turns.as<float>());
    pack_panels_into(over, view(w, inputs), order);
    pack_panels_into(r, view(in.r, hidden), order);

    StepInput before = in;
    const Gemm gemm{&alone,           x.data(),     inputs, rows, bias.data(),       before.sums.data(),
                    in.gate_stride(), vectors * 16, 0,      0,    group_count(alone)};
    kernels.gemm(&gemm);
    Step expected{Floats(in.h.size(), kUntouched), in.c};
    run_step(kernels, before, r, 0, rows, false, &expected);
    for (const bool backwards : {false, true}) {
      Step got{Floats(in.h.size(), kUntouched), in.c};
      StepInput start = in;
      start.sums = bias;
      run_step(kernels, start, r, 0, rows, backwards, &got, {&over, x.data(), inputs});
      check(same_bits(got.h, expected.h) && same_bits(got.c, expected.c),
            text("step with W on the way: hidden, inputs, rows, gates, format", hidden, inputs, rows, gates, format));
    }
  }
}

void test_inputs_on_the_way(const Kernels& kernels) {
  for (int64_t gates : {4, 3}) {
    for (int64_t hidden : {1, 16, 40, 100}) {
      for (int64_t inputs : {1, 7, 130}) {
        for (int64_t rows : {1, 3, 33}) test_input_on_the_way(kernels, hidden, inputs, rows, gates);
      }
    }
  }
}

void test_steps(const Kernels& kernels) {
  for (int64_t gates : {4, 3}) {
    Hash hash;
    for (int64_t hidden : kSizes) {
      for (int64_t rows : {1, 2, 3, 6, 7, 16, 33}) test_step(kernels, hidden, rows, gates, &hash);
    }
    print_hash(kernels, gates == 4 ? "lstm_step" : "gru_step", hash);
  }
}

// Saturated gates and what is not a number.
void test_step_extremes(const Kernels& kernels) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Floats extremes = {0.0f, -0.0f, 1e-30f, -1e-30f, 20.0f, -20.0f, 100.0f, -100.0f, 3e38f, -3e38f, inf, -inf, nan};
  const Packed packed(Floats(64, 0.0f), 1, 64, 4, 4, [](int64_t c) { return c; });
  const float h_in = 0.0f;
  bool right = true;
  Floats all;
  for (float i : extremes) {
    for (float o : extremes) {
      for (float f : extremes) {
        for (float g : extremes) {
          const float sums[4] = {i, o, f, g};
          Floats gates(64), c(1, 0.5f), h(1);
          for (size_t n = 0; n < 64; ++n) gates[n] = sums[n / 16];
          const LstmStep step{{&packed.panels, &h_in, 1},
                              {nullptr, nullptr, 0},
                              gates.data(),
                              64,
                              c.data(),
                              1,
                              h.data(),
                              1,
                              c.data(),
                              1,
                              1,
                              1,
                              0,
                              0,
                              1};
          kernels.lstm_step(&step);
          const double c_new = sigmoid(f) * 0.5 + sigmoid(i) * std::tanh(double(g)),
                       h_new = sigmoid(o) * std::tanh(c_new);
          const auto agrees = [](float got, double want) {
            return std::isnan(want) ? std::isnan(got) : std::abs(got - want) < 5e-7;
          };
          right &= agrees(c[0], c_new) && agrees(h[0], h_new);
          all.insert(all.end(), {c[0], h[0]});
        }
      }
    }
  }
  check(right, "lstm_step of extremes");
  compare_tables(kernels, "lstm extremes", all);
}

// ---- General cells ---------------------------------------------------------------------------------------------

double exact(const Activation& a, double x) {
  for (const Function& function : kFunctions) {
    if (function.kind == a.kind) return function.exact(x);
  }
  return 0;
}
Activation activation(UnaryKind kind) {
  for (const Function& function : kFunctions) {
    if (function.kind == kind) return {kind, function.alpha, function.beta};
  }
  return {};
}

void test_lstm_cell(const Kernels& kernels, int64_t hidden, int64_t rows, bool peephole, bool coupled, float clip,
                    UnaryKind kind, Hash* hash) {
  const StepInput in(hidden, rows, 4);
  const Activation f = activation(LRT_SIGMOID), g = activation(kind), h = activation(LRT_TANH);
  const size_t padded = static_cast<size_t>(panels_of(hidden) * 16);
  const Floats p = random_floats(3 * padded, 41);
  Step out{Floats(in.h.size(), kUntouched), Floats(in.c.size(), kUntouched)};
  const int64_t stride = in.h_stride();
  const LstmCellF32 cell{in.sums.data(),
                         in.gate_stride(),
                         peephole ? p.data() : nullptr,
                         in.c.data(),
                         stride,
                         out.h.data(),
                         stride,
                         out.c.data(),
                         stride,
                         hidden,
                         rows,
                         clip,
                         coupled,
                         f,
                         g,
                         h};
  kernels.lstm_cell_f32(&cell);
  std::vector<double> h_new, c_new;
  const auto bound = [clip](double x) { return clip > 0 ? std::min(std::max(x, -double(clip)), double(clip)) : x; };
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t unit = 0; unit < hidden; ++unit) {
      const size_t u = static_cast<size_t>(unit);
      const double c = in.c[static_cast<size_t>(row * stride + unit)];
      const auto peep = [&](size_t which, double state) { return peephole ? p[which * padded + u] * state : 0.0; };
      const double i = sigmoid(bound(in.gate(row, 0, unit) + peep(0, c)));
      const double forget = coupled ? 1 - i : sigmoid(bound(in.gate(row, 2, unit) + peep(2, c)));
      c_new.push_back(forget * c + i * exact(g, bound(in.gate(row, 3, unit))));
      h_new.push_back(sigmoid(bound(in.gate(row, 1, unit) + peep(1, c_new.back()))) * std::tanh(c_new.back()));
    }
  }
  const std::string what =
      text("lstm_cell hidden, rows, peephole, coupled, kind", hidden, rows, peephole, coupled, kind);
  check_close(in, out.c, c_new, 1e-5, what + " c");
  check_close(in, out.h, h_new, 1e-5, what + " h");
  compare_tables(kernels, what, out.h);
  hash->add(out.h);
}

void test_gru_cell(const Kernels& kernels, int64_t hidden, int64_t rows, bool before, float clip, Hash* hash) {
  const StepInput in(hidden, rows, 4);  // its sums: z r of all panels, then n, then the candidate
  const int64_t stride = in.h_stride(), width = panels_of(hidden) * 16;
  const float* zr = in.sums.data();
  Floats reset(in.h.size(), kUntouched), h_out = reset;
  GruCellF32 cell{zr,
                  in.gate_stride(),
                  zr + 2 * width,
                  in.gate_stride(),
                  before ? zr + 3 * width : nullptr,
                  in.gate_stride(),
                  in.h.data(),
                  stride,
                  reset.data(),
                  stride,
                  hidden,
                  rows,
                  clip,
                  activation(LRT_SIGMOID),
                  activation(LRT_TANH)};
  kernels.gru_reset_f32(&cell);
  cell.h_out = h_out.data();
  kernels.gru_cell_f32(&cell);
  const auto bound = [clip](double x) { return clip > 0 ? std::min(std::max(x, -double(clip)), double(clip)) : x; };
  std::vector<double> h_new, rh;
  for (int64_t row = 0; row < rows; ++row) {
    const float* sums = zr + row * in.gate_stride();
    for (int64_t unit = 0; unit < hidden; ++unit) {
      const double h = in.h[static_cast<size_t>(row * stride + unit)];
      const double z = sigmoid(bound(sums[unit / 16 * 32 + unit % 16])),
                   r = sigmoid(bound(sums[unit / 16 * 32 + 16 + unit % 16]));
      const double n = std::tanh(bound(sums[2 * width + unit] + (before ? r * sums[3 * width + unit] : 0)));
      rh.push_back(r * h);
      h_new.push_back((1 - z) * n + z * h);
    }
  }
  const std::string what = text("gru_cell hidden, rows, before", hidden, rows, before);
  check_close(in, reset, rh, 1e-6, what + " reset");
  check_close(in, h_out, h_new, 2e-6, what);
  compare_tables(kernels, what + std::to_string(clip), h_out);
  hash->add(h_out);
}

void test_rnn_cell(const Kernels& kernels, int64_t hidden, int64_t rows, Hash* hash) {
  const StepInput in(hidden, rows, 1);
  Floats out(in.h.size(), kUntouched);
  const RnnCellF32 cell{in.sums.data(),      in.gate_stride(), out.data(), in.h_stride(), hidden, rows, 0,
                        activation(LRT_TANH)};
  kernels.rnn_cell_f32(&cell);
  std::vector<double> h;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t unit = 0; unit < hidden; ++unit) h.push_back(std::tanh(in.gate(row, 0, unit)));
  }
  check_close(in, out, h, 1e-6, text("rnn_cell hidden, rows", hidden, rows));
  hash->add(out);
}

void test_cells(const Kernels& kernels) {
  Hash hash;
  for (int64_t hidden : kSizes) {
    for (int64_t rows : {1, 3}) {
      for (int options = 0; options < 4; ++options) {
        test_lstm_cell(kernels, hidden, rows, options & 1, options & 2, options == 3 ? 0.8f : 0.0f, LRT_TANH, &hash);
      }
      test_gru_cell(kernels, hidden, rows, true, 0, &hash);
      test_gru_cell(kernels, hidden, rows, false, 0.8f, &hash);
      test_rnn_cell(kernels, hidden, rows, &hash);
    }
  }
  for (int kind = LRT_RELU; kind <= LRT_SOFTPLUS; ++kind) {
    test_lstm_cell(kernels, 20, 2, true, false, 0, static_cast<UnaryKind>(kind), &hash);
  }
  print_hash(kernels, "cells", hash);
}

}  // namespace

int main() {
  for_each_table([](const Kernels& kernels) {
    test_steps(kernels);
    test_inputs_on_the_way(kernels);
    test_step_extremes(kernels);
    test_cells(kernels);
  });
  return report();
}

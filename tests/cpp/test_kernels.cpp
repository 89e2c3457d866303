// Every table of kernels this machine can run against slow, obvious definitions: products to the bit, cells to a stated
// error, and all tables with fused multiply-add against each other to the bit. The hashes printed are the same on every
// CPU whose table has fused multiply-add: compare them across machines.
#include "kernel_check.h"
#include "model/error.h"

namespace {

// Columns packed in groups; column c of the packed matrix is column order(c) of w [k, n], or zeros where that is -1.
struct Packed {
  Floats storage;
  Panels panels;
  template <class Order>
  Packed(const Floats& w, int64_t k, int64_t n, int64_t vectors, int group, Order order) {
    storage.resize(static_cast<size_t>(vectors * 16 * k + 16));
    float* at = storage.data();
    while (reinterpret_cast<uintptr_t>(at) % 64) ++at;
    panels = {at, nullptr, nullptr, k, vectors, group, LRT_FORMAT_F32};
    for (int64_t first = 0; first < vectors; first += group) {
      const int64_t end = std::min(first + group, vectors);
      for (int64_t row = 0; row < k; ++row) {
        for (int64_t c = first * 16; c < end * 16; ++c) {
          const int64_t from = order(c);
          *at++ = from < 0 ? 0.0f : w[static_cast<size_t>(row * n + from)];
        }
      }
    }
  }
  Packed(const Packed&) = delete;
};

int64_t panels_of(int64_t units) { return (units + 15) / 16; }

// ---- Products --------------------------------------------------------------------------------------------------

float multiply_add(const Kernels& kernels, float a, float b, float c) {
  return kernels.has_fma ? std::fma(a, b, c) : a * b + c;
}

void test_gemm_shape(const Kernels& kernels, int64_t k, int64_t n, int64_t rows, Hash* hash) {
  const int64_t vectors = panels_of(n), x_stride = k + 2, out_stride = n + 5;
  const Floats w = random_floats(static_cast<size_t>(k * n), 1),
               x = random_floats(static_cast<size_t>(rows * x_stride), 2);
  const Floats bias = random_floats(static_cast<size_t>(vectors * 16), 3);
  for (const bool biased : {true, false}) {
    Floats start(static_cast<size_t>(rows * out_stride), kUntouched);
    const Floats begun = random_floats(start.size(), 4);
    Floats expected = start;
    for (int64_t m = 0; m < rows; ++m) {
      for (int64_t c = 0; c < n; ++c) {
        const size_t at = static_cast<size_t>(m * out_stride + c);
        start[at] = begun[at];
        float sum = biased ? bias[static_cast<size_t>(c)] : begun[at];
        float block = 0.0f;  // the definition: a chain for each 64 values of k
        for (int64_t i = 0; i < k; ++i) {
          block =
              multiply_add(kernels, x[static_cast<size_t>(m * x_stride + i)], w[static_cast<size_t>(i * n + c)], block);
          if (i % 64 == 63 || i == k - 1) {
            sum += block;
            block = 0.0f;
          }
        }
        expected[at] = sum;
      }
    }
    for (int group = 1; group <= kernels.max_group; ++group) {
      const Packed packed(w, k, n, vectors, group, [n](int64_t c) { return c < n ? c : -1; });
      Floats out = start;
      const Gemm gemm{&packed.panels, x.data(), x_stride,  rows, biased ? bias.data() : nullptr, out.data(),
                      out_stride,     n,        group % 2, 0,    group_count(packed.panels)};
      kernels.gemm(&gemm);
      check(same_bits(out, expected), text("gemm k, n, rows, group, biased", k, n, rows, group, biased));
    }
    hash->add(expected);
  }
}

void test_gemm(const Kernels& kernels) {
  Hash hash;
  for (int64_t k : kSizes) {
    for (int64_t n : kSizes) {
      for (int64_t rows : kSizes) test_gemm_shape(kernels, k, n, rows, &hash);
    }
  }
  for (int64_t rows = 1; rows < 30; ++rows) test_gemm_shape(kernels, 20, 150, rows, &hash);
  test_gemm_shape(kernels, 1100, 40, 7, &hash);  // several times what a first-level cache holds
  print_hash(kernels, "gemm", hash);
}

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
void run_step(const Kernels& kernels, const StepInput& in, const Panels& r, int64_t first, int64_t rows, bool backwards,
              Step* out) {
  const size_t gates_at = static_cast<size_t>(first * in.gate_stride()),
               h_at = static_cast<size_t>(first * in.h_stride());
  const int64_t stride = in.h_stride();
  if (in.gates == 4) {
    const LstmStep step{
        &r,     &in.sums[gates_at], in.gate_stride(), &in.h[h_at], stride, &out->c[h_at], stride, &out->h[h_at],
        stride, &out->c[h_at],      stride,           in.hidden,   rows,   backwards,     0,      group_count(r)};
    kernels.lstm_step(&step);
  } else {
    const GruStep step{&r,
                       &in.sums[gates_at],
                       in.gate_stride(),
                       in.rbias.data(),
                       &in.h[h_at],
                       stride,
                       &in.h[h_at],
                       stride,
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
          const LstmStep step{
              &packed.panels, gates.data(), 64, &h_in, 1, c.data(), 1, h.data(), 1, c.data(), 1, 1, 1, 0, 0, 1};
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

// ---- Arrays ---------------------------------------------------------------------------------------------------

float apply_binary(int kind, float a, float b) {
  switch (kind) {
    case LRT_ADD:
      return a + b;
    case LRT_SUB:
      return a - b;
    case LRT_MUL:
      return a * b;
    case LRT_DIV:
      return a / b;
    case LRT_MIN:
      return std::min(a, b);
    case LRT_MAX:
      return std::max(a, b);
    default:
      return a < 0 ? a * b : a;
  }
}

float start_of(int kind) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return kind == LRT_PRODUCT ? 1.0f : kind == LRT_LEAST ? kInfinity : kind == LRT_MOST ? -kInfinity : 0.0f;
}
float fold_one(const Kernels& kernels, int kind, float so_far, float x) {
  switch (kind) {
    case LRT_SUM:
      return so_far + x;
    case LRT_SUM_ABS:
      return so_far + std::abs(x);
    case LRT_SUM_SQUARES:
      return kernels.has_fma ? std::fma(x, x, so_far) : static_cast<float>(static_cast<double>(x) * x) + so_far;
    case LRT_PRODUCT:
      return so_far * x;
    default:
      return kind == LRT_LEAST ? std::min(so_far, x) : std::max(so_far, x);
  }
}
// Sixteen partial results over j mod 16, then the tree; x's elements are `stride` apart.
float fold(const Kernels& kernels, int kind, const float* x, int64_t n, int64_t stride) {
  float lane[16];
  std::fill(lane, lane + 16, start_of(kind));
  for (int64_t j = 0; j < n; ++j) lane[j % 16] = fold_one(kernels, kind, lane[j % 16], x[j * stride]);
  const int join = kind == LRT_SUM_ABS || kind == LRT_SUM_SQUARES ? LRT_SUM : kind;
  for (int width = 8; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] = fold_one(kernels, join, lane[j], lane[j + width]);
  }
  return lane[0];
}

void test_reductions(const Kernels& kernels, Hash* hash) {
  const Floats any = random_floats(9000, 33);
  Floats near_one = any;  // products of these stay clear of denormals, which some instruction sets take for zero
  for (float& value : near_one) value = 1.0f + 0.01f * value;
  for (int kind = 0; kind < LRT_LOG_SUM_EXP; ++kind) {
    const Floats& x = kind == LRT_PRODUCT ? near_one : any;
    for (int64_t n : {0, 1, 2, 15, 16, 17, 31, 32, 33, 100}) {
      for (int64_t inner : {1, 2, 15, 16, 17, 40}) {
        const int64_t outer = 2;
        Floats y(static_cast<size_t>(outer * inner + 1), kUntouched), expected = y;
        for (int64_t o = 0; o < outer; ++o) {
          for (int64_t i = 0; i < inner; ++i) {
            expected[static_cast<size_t>(o * inner + i)] =
                fold(kernels, kind, &x[static_cast<size_t>(o * n * inner + i)], n, inner);
          }
        }
        kernels.reduce_f32(kind, x.data(), outer, n, inner, y.data());
        check(same_bits(y, expected), text("reduce kind, n, inner", kind, n, inner));
        hash->add(y);
      }
    }
  }
}

// Against double precision, and side by side against apart.
void test_softmax(const Kernels& kernels, Hash* hash) {
  const Floats x = random_floats(2 * 100 * 20, 34, 6.0f);
  for (int32_t is_log : {0, 1}) {
    for (int64_t n : {1, 2, 15, 16, 17, 33, 100}) {
      const int64_t inner = 20;
      Floats apart(x.size()), row(static_cast<size_t>(n)), alone(static_cast<size_t>(n));
      const Softmax all{x.data(), apart.data(), 2, n, inner, is_log};
      kernels.softmax_f32(&all);
      double worst = 0;
      bool same = true;
      for (int64_t place = 0; place < 2 * inner; ++place) {
        const int64_t first = place / inner * n * inner + place % inner;
        const auto at = [&](int64_t j) { return static_cast<size_t>(first + j * inner); };
        double sum = 0;
        for (int64_t j = 0; j < n; ++j) sum += std::exp(double(row[static_cast<size_t>(j)] = x[at(j)]));
        const Softmax one{row.data(), alone.data(), 1, n, 1, is_log};
        kernels.softmax_f32(&one);
        for (int64_t j = 0; j < n; ++j) {
          const double value = std::exp(double(x[at(j)])) / sum, exact = is_log ? std::log(value) : value;
          worst = std::max(worst, std::abs(double(apart[at(j)]) - exact) / (1e-3 + std::abs(exact)));
          same = same && same_bits({apart[at(j)]}, {alone[static_cast<size_t>(j)]});
        }
      }
      check(worst < (is_log ? 1e-3 : 2e-6), text("softmax log, n", is_log, n));
      check(same, text("softmax side by side log, n", is_log, n));
      hash->add(apart);
    }
  }
}

void test_norms(const Kernels& kernels, Hash* hash) {
  const Floats x = random_floats(300, 35), scale = random_floats(300, 36), bias = random_floats(300, 37);
  for (int64_t n : {1, 3, 15, 16, 17, 33, 100}) {
    for (bool centred : {true, false}) {
      float means[3] = {0, 0, 0}, inverses[3];
      const Moments moments{x.data(), 3, n, 1e-3f, centred ? means : nullptr, inverses};
      kernels.moments_f32(&moments);
      for (int64_t row = 0; row < 3; ++row) {
        const float* from = x.data() + row * n;
        double mean = 0, sum = 0;
        for (int64_t j = 0; centred && j < n; ++j) mean += from[j] / static_cast<double>(n);
        for (int64_t j = 0; j < n; ++j) sum += (from[j] - mean) * (from[j] - mean);
        const double inverse = 1 / std::sqrt(sum / static_cast<double>(n) + 1e-3);
        check(std::abs(means[row] - mean) < 1e-6, text("mean n", n));
        check(std::abs(inverses[row] - inverse) < 1e-5 * inverse, text("inverse n", n));
        for (int64_t step : {0, 1}) {
          Floats y(static_cast<size_t>(n + 1), kUntouched);
          const Scale work{from, y.data(), n, means[row], inverses[row], scale.data(), bias.data(), step};
          kernels.scale_f32(&work);
          bool near = y.back() == kUntouched;
          for (int64_t j = 0; j < n; ++j) {
            const auto at = static_cast<size_t>(j * step);
            const double exact = (from[j] - double(means[row])) * inverses[row] * scale[at] + bias[at];
            near = near && std::abs(y[static_cast<size_t>(j)] - exact) < 1e-6 * (1 + std::abs(inverses[row]));
          }
          check(near, text("scale n, step", n, step));
          hash->add(y);
        }
      }
    }
  }
}

void test_arrays(const Kernels& kernels) {
  Hash hash;
  const Floats a = random_floats(4000, 31), b = random_floats(4000, 32);
  for (int kind = 0; kind < LRT_BINARY_KINDS; ++kind) {
    for (int64_t n = 0; n <= 50; ++n) {
      for (int steps = 0; steps < 4; ++steps) {
        Floats y(60, kUntouched), expected = y;
        for (int64_t i = 0; i < n; ++i) {
          expected[static_cast<size_t>(i)] =
              apply_binary(kind, a[static_cast<size_t>(steps & 1 ? i : 0)], b[static_cast<size_t>(steps & 2 ? i : 0)]);
        }
        kernels.binary_f32(kind, a.data(), steps & 1, b.data(), steps >> 1, y.data(), n);
        check(same_bits(y, expected), text("binary kind, n, steps", kind, n, steps));
        hash.add(y);
      }
    }
  }
  test_reductions(kernels, &hash);
  test_softmax(kernels, &hash);
  test_norms(kernels, &hash);
  print_hash(kernels, "arrays", hash);
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

// ---- Choice ----------------------------------------------------------------------------------------------------

void test_choice() {
  where = "choice";
  const Kernels* const* list = available_kernels();
  check(list[0] != nullptr, "no table");
  for (; *list; ++list) check(choose_kernels((*list)->name) == *list, std::string("choose ") + (*list)->name);
  try {
    choose_kernels("x86_mmx");
    check(false, "an unknown name was taken");
  } catch (const Error& error) {
    check(error.status == Status::unsupported, "status of an unknown name");
    check(std::string(error.what()).find("portable") != std::string::npos, "an unknown name gets no list");
  }
}

}  // namespace

int main() {
  for_each_table([](const Kernels& kernels) {
    test_gemm(kernels);
    test_steps(kernels);
    test_step_extremes(kernels);
    test_arrays(kernels);
    test_cells(kernels);
  });
  test_choice();
  return report();
}

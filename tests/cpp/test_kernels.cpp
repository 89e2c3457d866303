// Every table of kernels this machine can run against slow, obvious definitions: products to the bit, cells to a stated
// error, and all tables with fused multiply-add against each other to the bit. The hashes printed are the same on every
// CPU whose table has fused multiply-add: compare them across machines.
#include "kernel_check.h"
#include "model/error.h"

namespace {

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
    test_arrays(kernels);
  });
  test_choice();
  return report();
}

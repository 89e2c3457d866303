// What the tests of kernels share: checks that are counted, data that is the same on every machine, and the functions by
// their definitions. Each test is one program, so everything here is its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace {

using namespace lrt;

int passed = 0, failed = 0;
std::string where;  // the table under test

void check(bool good, const std::string& what) {
  good ? ++passed : ++failed;
  if (!good) std::printf("FAILED %s: %s\n", where.c_str(), what.c_str());
}

template <class... Numbers>
std::string text(const char* name, Numbers... numbers) {
  std::string all = name;
  ((all += " " + std::to_string(numbers)), ...);
  return all;
}

// ---- Data ------------------------------------------------------------------------------------------------------

const std::vector<int64_t> kSizes = {1, 3, 15, 16, 17, 33, 100, 130};
constexpr float kUntouched = -12345.0f;  // what stands around outputs, and must still stand there afterwards

using Floats = std::vector<float>;

Floats random_floats(size_t n, uint32_t seed, float scale = 1.0f) {
  std::mt19937 generator(seed);  // the same numbers on every machine, unlike std::uniform_real_distribution
  Floats values(n);
  for (float& value : values) value = (static_cast<float>(generator() >> 8) * 0x1p-23f - 1.0f) * scale;
  return values;
}

bool same_bits(const Floats& a, const Floats& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;  // sign and payload of a NaN are each CPU's own
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return true;
}

// FNV-1a over the outputs of one group of functions.
struct Hash {
  uint64_t value = 14695981039346656037u;
  void add(const Floats& floats) {
    for (float f : floats) {
      uint32_t bits;
      std::memcpy(&bits, &f, sizeof bits);
      if (std::isnan(f)) bits = 0x7fc00000u;
      for (int i = 0; i < 4; ++i) value = (value ^ (bits >> (8 * i) & 255)) * 1099511628211u;
    }
  }
};

void print_hash(const Kernels& kernels, const char* group, const Hash& hash) {
  std::printf("%-12s %-10s %016llx\n", kernels.name, group, static_cast<unsigned long long>(hash.value));
}

// What tables with fused multiply-add must have in common, by name.
std::map<std::string, Floats> first_results;
[[maybe_unused]] void compare_tables(const Kernels& kernels, const std::string& name, const Floats& values) {
  if (!kernels.has_fma) return;
  const auto [place, is_new] = first_results.emplace(name, values);
  if (!is_new) check(same_bits(place->second, values), name + ": other bits than the first table's");
}

// ---- Functions by their definitions ---------------------------------------------------------------------------

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

struct Function {
  UnaryKind kind;
  const char* name;
  float alpha, beta;
  double ulp;  // largest error allowed where there is fused multiply-add
  double (*exact)(double x);
  bool needs_fma = false;  // cancels, or underflows on its way: without fused multiply-add right to a tolerance only
};
constexpr float kAlpha = 0.7f, kBeta = -0.3f;
constexpr double kSeluAlpha = 1.67326324f, kGamma = 1.05070102f;
constexpr double kExpLeast = -87.3365402f;  // e^x is below the smallest normal float before: taken as zero
constexpr bool kNeedsFma = true;
const Function kFunctions[] = {
    {LRT_RELU, "relu", 0, 0, 0, [](double x) { return x < 0 ? 0 : x; }},
    {LRT_SIGMOID, "sigmoid", 0, 0, 2.0, sigmoid},
    {LRT_TANH, "tanh", 0, 0, 2.0, [](double x) { return std::tanh(x); }},
    {LRT_AFFINE, "affine", kAlpha, kBeta, 0.5, [](double x) { return kAlpha * x + kBeta; }, kNeedsFma},
    {LRT_LEAKY_RELU, "leaky_relu", kAlpha, 0, 0.5, [](double x) { return x < 0 ? kAlpha * x : x; }},
    {LRT_THRESHOLDED_RELU, "thresholded_relu", kAlpha, 0, 0, [](double x) { return x < kAlpha ? 0 : x; }},
    {LRT_SCALED_TANH, "scaled_tanh", 0.5f, 2.0f, 2.0, [](double x) { return 0.5 * std::tanh(2 * x); }},
    {LRT_HARD_SIGMOID, "hard_sigmoid", 0.25f, 0.5f, 0.5,
     [](double x) { return std::isnan(x) ? x : std::min(std::max(0.25 * x + 0.5, 0.0), 1.0); }},
    {LRT_ELU, "elu", 1.0f, 0, 2.0, [](double x) { return x < 0 ? std::expm1(x) : x; }},
    {LRT_SOFTSIGN, "softsign", 0, 0, 1.5, [](double x) { return x / (1 + std::abs(x)); }},
    {LRT_SOFTPLUS, "softplus", 0, 0, 2.0,
     [](double x) { return std::isnan(x) ? x : std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }},
    {LRT_EXP, "exp", 0, 0, 1.0, [](double x) { return std::exp(x); }},
    {LRT_LOG, "log", 0, 0, 1.5, [](double x) { return std::log(x); }},
    {LRT_SQRT, "sqrt", 0, 0, 0.5, [](double x) { return std::sqrt(x); }},
    {LRT_SQUARE, "square", 0, 0, 0.5, [](double x) { return x * x; }},
    {LRT_RECIPROCAL, "reciprocal", 0, 0, 0.5, [](double x) { return 1 / x; }},
    {LRT_NEG, "neg", 0, 0, 0, [](double x) { return -x; }},
    {LRT_ABS, "abs", 0, 0, 0, [](double x) { return std::abs(x); }},
    {LRT_CLAMP, "clamp", -1.0f, 2.0f, 0, [](double x) { return x < -1  ? -1
                                                               : x > 2 ? 2
                                                                       : x; }},
    {LRT_SELU, "selu", 1.67326324f, 1.05070102f, 2.0,
     [](double x) { return kGamma * (x < 0 ? kSeluAlpha * std::expm1(x) : x); }},
    {LRT_CELU, "celu", kAlpha, 0, 3.0, [](double x) { return x < 0 ? kAlpha * std::expm1(x / kAlpha) : x; }},
    {LRT_GELU, "gelu", 0, 0, 4.5,
     [](double x) {
       if (std::isinf(x)) return std::max(x, 0.0);
       return std::max(x, 0.0) - std::abs(x) / 2 * std::erfc(std::abs(x) * std::sqrt(0.5));
     },
     kNeedsFma},
    {LRT_SWISH, "swish", 1.0f, 0, 4.0, [](double x) { return x < kExpLeast && !std::isinf(x) ? 0 : x * sigmoid(x); }},
    {LRT_HARD_SWISH, "hard_swish", 1.0f / 6, 0.5f, 1.5,
     [](double x) { return x * std::min(std::max(double(1.0f / 6) * x + 0.5, 0.0), 1.0); }, kNeedsFma},
    {LRT_MISH, "mish", 0, 0, 4.0,
     [](double x) {
       if (x < kExpLeast && !std::isinf(x)) return 0.0;
       const double w = std::exp(std::min(x, 40.0)), n = w * (w + 2);
       return x * (n / (n + 2));
     }},
    {LRT_ABOVE, "above", kAlpha, 0, 0, [](double x) { return std::isnan(x) || x > double(kAlpha) ? x : 0; }},
    {LRT_SHRINK, "shrink", 0.25f, 0.5f, 0.5,
     [](double x) {
       return std::isnan(x) ? x : x < -0.5 ? x + 0.25 : x > 0.5 ? x - 0.25 : 0;
     }},
    {LRT_ERF, "erf", 0, 0, 1.5, [](double x) { return std::erf(x); }, kNeedsFma},
    {LRT_FLOOR, "floor", 0, 0, 0, [](double x) { return std::floor(x); }},
    {LRT_CEIL, "ceil", 0, 0, 0, [](double x) { return std::ceil(x); }},
    {LRT_ROUND, "round", 0, 0, 0, [](double x) { return std::nearbyint(x); }},
    {LRT_SIGN, "sign", 0, 0, 0, [](double x) { return std::isnan(x) ? x : double(x > 0) - double(x < 0); }},
    {LRT_SIN, "sin", 0, 0, 2.0, [](double x) { return std::sin(x); }, kNeedsFma},
    {LRT_COS, "cos", 0, 0, 2.5, [](double x) { return std::cos(x); }, kNeedsFma},
    {LRT_TAN, "tan", 0, 0, 3.5, [](double x) { return std::tan(x); }, kNeedsFma},
    {LRT_ASIN, "asin", 0, 0, 2.5, [](double x) { return std::asin(x); }},
    {LRT_ACOS, "acos", 0, 0, 2.5, [](double x) { return std::acos(x); }},
    {LRT_ATAN, "atan", 0, 0, 2.5, [](double x) { return std::atan(x); }},
    {LRT_SINH, "sinh", 0, 0, 4.0, [](double x) { return std::sinh(x); }},
    {LRT_COSH, "cosh", 0, 0, 4.0, [](double x) { return std::cosh(x); }},
    {LRT_ASINH, "asinh", 0, 0, 4.0, [](double x) { return std::asinh(x); }},
    // musl has numbers for some x below -1.
    {LRT_ACOSH, "acosh", 0, 0, 4.0, [](double x) { return x < 1 ? std::nan("") : std::acosh(x); }},
    {LRT_ATANH, "atanh", 0, 0, 4.0, [](double x) { return std::atanh(x); }},
};

template <class Test>
void for_each_table(Test test) {
  for (const Kernels* const* table = available_kernels(); *table; ++table) {
    where = (*table)->name;
    test(**table);
  }
}

int report() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

// Columns packed in groups; column c of the packed matrix is column order(c) of w [k, n], or zeros where that is -1.
struct Packed {
  Floats storage;
  Panels panels;
  template <class Order>
  Packed(const Floats& w, int64_t k, int64_t n, int64_t vectors, int group, Order order) {
    storage.resize(static_cast<size_t>(vectors * 16 * k + 16));
    float* at = storage.data();
    while (reinterpret_cast<uintptr_t>(at) % 64) ++at;
    panels = {at, nullptr, nullptr, k, vectors, group, LRT_FORMAT_F32, 0, k * 64};
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

inline int64_t panels_of(int64_t units) { return (units + 15) / 16; }

}  // namespace

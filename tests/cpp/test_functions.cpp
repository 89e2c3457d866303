// The functions of every table against the C library in double precision, in units of the last place, on floats of every
// exponent (bench/cpp/ulp.cpp takes all of them). The hash is the same wherever there is fused multiply-add.
#include "kernel_check.h"
#include "session/flush.h"

namespace {

// The error of got in units of the last place of the exact value. What is below the smallest normal float may be zero.
double ulps(float got, double exact) {
  constexpr double kLeast = std::numeric_limits<float>::min();
  if (std::isnan(exact)) return std::isnan(got) ? 0 : HUGE_VAL;
  const float rounded = static_cast<float>(exact);
  if (std::isinf(rounded) && got == rounded) return 0;
  if (std::abs(exact) < kLeast && got == 0) return 0;
  if (std::isnan(got) || std::isinf(got)) return std::isinf(rounded) || std::abs(exact) < 3.4028233e38 ? HUGE_VAL : 1;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(exact), -126) - 23);
  return std::abs(got - exact) / unit;
}

// Every 4099th of all floats (a prime: all exponents with ever other mantissas), and the edges.
Floats sampled_floats() {
  Floats values;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 4099) {
    const uint32_t b = static_cast<uint32_t>(bits);
    float f;
    std::memcpy(&f, &b, sizeof f);
    if (!std::isnan(f)) values.push_back(f);
  }
  const float inf = std::numeric_limits<float>::infinity();
  for (float edge : {0.0f, 1.0f, 0.70710678f, 0.4142135f, 0.34657f, 0.8813736f, 9.0f, 17.0f, 27.7f, 87.0f, 87.33654f,
                     88.0f, 88.37626f, 88.72283f, 104.0f, 1e-38f, 1.1754944e-38f, 3.4028235e38f, inf}) {
    float below = edge, above = edge;
    for (int i = 0; i < 40; ++i) {
      values.insert(values.end(), {below, -below, above, -above});
      below = std::nextafter(below, -inf);
      above = std::nextafter(above, inf);
    }
  }
  values.push_back(std::numeric_limits<float>::quiet_NaN());
  return values;
}

Floats apply(const Kernels& kernels, const Function& function, const Floats& x, bool flush) {
  Floats y(x.size());
  const auto run = [&] {
    kernels.unary_f32(function.kind, x.data(), y.data(), static_cast<int64_t>(x.size()), function.alpha, function.beta);
  };
  if (!flush) return run(), y;
  const FlushDenormals flushing;
  return run(), y;
}

void test_function(const Kernels& kernels, const Function& function, const Floats& x, Hash* hash) {
  const Floats y = apply(kernels, function, x, true), kept = apply(kernels, function, x, false);
  double worst = 0;
  float at = 0;
  bool flush_matters = false;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool denormal = std::fpclassify(x[i]) == FP_SUBNORMAL || std::fpclassify(kept[i]) == FP_SUBNORMAL;
    if (denormal) continue;  // one of the two settings gives zero for it
    flush_matters |= !same_bits({y[i]}, {kept[i]});
    const double error = ulps(y[i], function.exact(x[i]));
    if (error > worst) worst = error, at = x[i];
  }
  std::printf("%-12s %-16s %6.3f ULP at %.9g\n", kernels.name, function.name, worst, static_cast<double>(at));
  const bool cancels = function.needs_fma && !kernels.has_fma;
  check(worst <= function.ulp + 1e-3 || cancels, std::string(function.name) + ": error");
  check(!flush_matters || cancels, std::string(function.name) + ": flushing denormals changes normal results");
  compare_tables(kernels, function.name, y);
  hash->add(y);
}

void test_functions(const Kernels& kernels) {
  const Floats x = sampled_floats();
  Hash hash;
  for (const Function& function : kFunctions) test_function(kernels, function, x, &hash);
  print_hash(kernels, "unary", hash);

  // Lengths, and the result in place.
  const Floats some = random_floats(80, 21, 4.0f);
  for (int kind = 0; kind < LRT_UNARY_KINDS; ++kind) {
    Floats whole(some.size());
    kernels.unary_f32(kind, some.data(), whole.data(), 80, 0.5f, 1.5f);
    for (int64_t n = 0; n <= 50; ++n) {
      Floats y = some, expected = some;
      std::copy(whole.begin() + 3, whole.begin() + 3 + n, expected.begin() + 3);
      kernels.unary_f32(kind, y.data() + 3, y.data() + 3, n, 0.5f, 1.5f);
      check(same_bits(y, expected), text("unary kind, n", kind, n));
    }
  }
}

}  // namespace

int main() {
  for_each_table(test_functions);
  return report();
}

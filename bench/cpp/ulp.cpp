// Errors of the transcendental functions over every float32, and equality of their bits between instruction sets.
// Usage: bench_ulp [--every N] [function ...]. About three minutes a function, or one Nth of that over every Nth float; exit code 1 where a function is beyond the bound that
// docs/numerics.md states or two instruction sets differ. The reference is the C library in double precision.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "lstm_rt.h"

namespace {

constexpr double kSmallest = std::numeric_limits<float>::min();
constexpr uint64_t kFloats = uint64_t{1} << 32, kChunk = uint64_t{1} << 16;

// Products with e^x are zero where e^x would be below the smallest normal float; of infinity they are no number.
double flushed(double x, double y) { return x < -87.3365402f ? (std::isinf(x) ? NAN : 0.0) : y; }
double tanh_softplus(double x) {
  const double w = std::exp(std::fmin(x, 40.0)), n = w * (w + 2.0);
  return n / (n + 2.0);
}

struct Function {
  const char* name;
  double (*exact)(double);
  double bound;  // ULP
};

const Function kFunctions[] = {
    {"exp", [](double x) { return std::exp(x); }, 1.1},
    {"log", [](double x) { return std::log(x); }, 1.0},
    {"sigmoid", [](double x) { return 1.0 / (1.0 + std::exp(-x)); }, 2.5},
    {"tanh", [](double x) { return std::tanh(x); }, 2.0},
    {"softplus", [](double x) { return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }, 2.0},
    {"elu", [](double x) { return x >= 0.0 ? x : std::expm1(x); }, 1.0},
    {"softsign", [](double x) { return x / (1.0 + std::fabs(x)); }, 1.5},
    {"celu", [](double x) { return x >= 0.0 ? x : std::expm1(x); }, 1.0},
    {"gelu", [](double x) { return std::isinf(x) ? std::fmax(x, 0.0) : x * std::erfc(-x * std::sqrt(0.5)) / 2.0; },
     5.0},
    {"swish", [](double x) { return flushed(x, x / (1.0 + std::exp(-x))); }, 4.0},
    {"mish", [](double x) { return flushed(x, x * tanh_softplus(x)); }, 4.0},
    {"erf", [](double x) { return std::erf(x); }, 1.5},
    {"sin", [](double x) { return std::sin(x); }, 2.5},
    {"cos", [](double x) { return std::cos(x); }, 2.5},
    {"tan", [](double x) { return std::tan(x); }, 4.0},
    {"asin", [](double x) { return std::asin(x); }, 2.5},
    {"acos", [](double x) { return std::acos(x); }, 1.5},
    {"atan", [](double x) { return std::atan(x); }, 1.5},
    {"sinh", [](double x) { return std::sinh(x); }, 2.5},
    {"cosh", [](double x) { return std::cosh(x); }, 2.5},
    {"asinh", [](double x) { return std::asinh(x); }, 2.5},
    {"acosh", [](double x) { return std::acosh(x); }, 2.5},
    {"atanh", [](double x) { return std::atanh(x); }, 2.5},
};

// In units of the last place of the exact result; a result below the smallest normal float is rightly 0.
double ulp_error(float y, double exact) {
  if (std::isnan(exact)) return std::isnan(y) ? 0.0 : INFINITY;
  if (y == static_cast<float>(exact) && std::isinf(y)) return 0.0;
  if (std::fabs(exact) < kSmallest && y == 0.0f) return 0.0;
  const double scale = std::fmax(std::fabs(static_cast<double>(static_cast<float>(exact))), kSmallest);
  const double error = std::fabs(static_cast<double>(y) - exact) / std::ldexp(1.0, std::ilogb(scale) - 23);
  return std::isnan(error) ? INFINITY : error;
}

struct Finding {
  double worst = 0.0;
  float at = 0.0f;
  uint64_t different = 0;
};

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

Finding sweep(const Function& function, const std::vector<const char*>& isas, uint64_t every) {
  Finding finding;
  std::vector<float> x(kChunk), y(kChunk), other(kChunk);
  lrt_error error;
  for (uint64_t first = 0; first < kFloats; first += kChunk * every) {
    for (uint64_t i = 0; i < kChunk; ++i) {
      const auto bits = static_cast<uint32_t>(first + i * every);
      std::memcpy(&x[i], &bits, sizeof bits);
      if (std::fpclassify(x[i]) == FP_SUBNORMAL) x[i] = 0.0f;  // taken as zeros
    }
    lrt_evaluate(isas[0], function.name, x.data(), y.data(), kChunk, 1.0f, 1.0f, &error);
    for (size_t isa = 1; isa < isas.size(); ++isa) {
      lrt_evaluate(isas[isa], function.name, x.data(), other.data(), kChunk, 1.0f, 1.0f, &error);
      for (uint64_t i = 0; i < kChunk; ++i) finding.different += !same_bits(y[i], other[i]);
    }
    for (uint64_t i = 0; i < kChunk; ++i) {
      const double distance = ulp_error(y[i], function.exact(static_cast<double>(x[i])));
      if (distance <= finding.worst) continue;
      finding.worst = distance;
      finding.at = x[i];
    }
  }
  return finding;
}

// Those with fused multiply-add, which promise equal bits; the best one where none has it.
std::vector<const char*> instruction_sets() {
  std::vector<const char*> isas;
  for (size_t i = 0; const char* name = lrt_available_isa(i); ++i) {
    if (lrt_isa_is_exact(name)) isas.push_back(name);
  }
  if (isas.empty()) isas.push_back(lrt_available_isa(0));
  return isas;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<const char*> isas = instruction_sets();
  for (const char* isa : isas) std::printf("%s ", isa);
  std::printf("\n");
  const bool sampled = argc > 2 && std::string(argv[1]) == "--every";
  const uint64_t every = sampled ? std::max(1ull, std::strtoull(argv[2], nullptr, 10)) : 1;
  const int first_name = sampled ? 3 : 1;
  bool failed = false;
  for (const Function& function : kFunctions) {
    bool wanted = argc == first_name;
    for (int i = first_name; i < argc; ++i) wanted |= std::string(argv[i]) == function.name;
    if (!wanted) continue;
    const Finding finding = sweep(function, isas, every);
    failed |= finding.worst > function.bound || finding.different > 0;
    std::printf("%-9s largest error %.3f ULP at %.9g (bound %.1f); %llu results differ\n", function.name, finding.worst,
                static_cast<double>(finding.at), function.bound, static_cast<unsigned long long>(finding.different));
    std::fflush(stdout);
  }
  return failed;
}

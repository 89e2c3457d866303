#include "ops/power.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace lrt {
namespace {

constexpr int kMantissaBits = 52;
constexpr int64_t kExponentBias = 1023;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// 2^exponent, for the exponents of normal numbers.
double power_of_two(int64_t exponent) {
  const int64_t bits = (exponent + kExponentBias) << kMantissaBits;
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// log2 of a positive normal number: x = 2^e·m with m in [√½, √2), ln m = 2 artanh((m - 1)/(m + 1)), of which the series
// has |s| ≤ 0.172: the first term left out is below 2e-19 of the sum.
double log2_of(double x) {
  int64_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  int64_t exponent = (bits >> kMantissaBits) - kExponentBias;
  double m = x * power_of_two(-exponent);
  if (m >= 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0), square = s * s;
  double series = 0.0;
  for (int term = 23; term >= 1; term -= 2) series = series * square + 1.0 / term;
  constexpr double kTwoOverLn2 = 2.885390081777926815;
  return static_cast<double>(exponent) + s * series * kTwoOverLn2;
}

// 2^t: t = n + r with |r| ≤ ½, e^(r ln 2) by Taylor's series up to the 13th power, the rest below 5e-18.
double exp2_of(double t) {
  if (t >= 1000.0) return kInfinity;
  if (t <= -1000.0) return 0.0;
  const auto n = static_cast<int64_t>(t < 0.0 ? t - 0.5 : t + 0.5);
  const double r = (t - static_cast<double>(n)) * 0.693147180559945309417;
  double series = 1.0;
  for (int term = 13; term >= 1; --term) series = 1.0 + series * r / term;
  return series * power_of_two(n);
}

bool is_integer(double y) {
  return std::fabs(y) >= 9007199254740992.0 || y == static_cast<double>(static_cast<int64_t>(y));
}

// Every double from 2^53 up is even.
bool is_odd(double y) { return std::fabs(y) < 9007199254740992.0 && is_integer(y) && static_cast<int64_t>(y) % 2 != 0; }

double power_of_positive(double x, double y) {
  const bool grows = (x > 1.0) == (y > 0.0);
  if (x == 0.0 || x == kInfinity) return grows ? kInfinity : 0.0;
  if (x == 1.0) return 1.0;
  if (std::fabs(y) == kInfinity) return grows ? kInfinity : 0.0;
  return exp2_of(y * log2_of(x));
}

}  // namespace

double power(double x, double y) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (y == 0.0 || x == 1.0) return 1.0;
  if (x != x || y != y) return kNan;
  if (x < 0.0 && x != -kInfinity && !is_integer(y)) return kNan;
  const double result = power_of_positive(std::fabs(x), y);
  return std::signbit(x) && is_odd(y) ? -result : result;
}

}  // namespace lrt

// x to the power of y with nothing but IEEE operations: the C library's pow differs between machines.
#pragma once

#include <cstdint>
#include <type_traits>

namespace lrt {

// As IEEE 754 defines pow for zeros, infinities, NaN and negative bases. For float arguments and float results of
// ordinary size the relative error is below 2e-13, so a result rounded to float is within 0.50001 ULP. Results beyond
// 2^±1000 are infinite or zero.
double power(double x, double y);

// Exact but for wrapping; 0 for what would be a fraction, or a division by 0.
template <class T>
T integer_power(T base, int64_t exponent) {
  using Unsigned = std::make_unsigned_t<T>;
  if (exponent < 0) {
    if (base == 1) return 1;
    if (base == -1) return exponent % 2 == 0 ? T{1} : T{-1};
    return 0;
  }
  Unsigned result = 1, square = static_cast<Unsigned>(base);
  for (int64_t left = exponent; left > 0; left /= 2) {
    if (left % 2 == 1) result *= square;
    square *= square;
  }
  return static_cast<T>(result);
}

}  // namespace lrt

// AVX2 with AVX-VNNI: products of four bytes in one instruction, which wants one side unsigned.
#pragma once

#define LRT_VNNI
#include "kernels/vec/x86_avx2.h"

namespace lrt {
namespace {

constexpr int kActivationOffset = 128;
LRT_INLINE I dot_start(const int32_t* sums) {
  const I sum = load_ints(sums);
  return sub(zero_ints(), {_mm256_slli_epi32(sum.lo, 7), _mm256_slli_epi32(sum.hi, 7)});
}
LRT_INLINE I dot4(I sum, Bytes w, Four x) {
  return {_mm256_dpbusd_avx_epi32(sum.lo, x, w.lo), _mm256_dpbusd_avx_epi32(sum.hi, x, w.hi)};
}

// The high halves are taken where they stand, 16 times too large.
struct N {
  I low, high;
};
LRT_INLINE I and_bytes(Bytes w, int8_t mask) {
  return {_mm256_and_si256(w.lo, _mm256_set1_epi8(mask)), _mm256_and_si256(w.hi, _mm256_set1_epi8(mask))};
}
LRT_INLINE I dot_unsigned(I sum, Bytes w, Four x) {
  return {_mm256_dpbusd_avx_epi32(sum.lo, w.lo, x), _mm256_dpbusd_avx_epi32(sum.hi, w.hi, x)};
}
LRT_INLINE N nibble_zero() { return {zero_ints(), zero_ints()}; }
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  return {dot_unsigned(sum.low, and_bytes(w, 15), low), dot_unsigned(sum.high, and_bytes(w, -16), high)};
}
LRT_INLINE I nibble_sum(N sum) {
  return {_mm256_add_epi32(sum.low.lo, _mm256_srai_epi32(sum.high.lo, 4)),
          _mm256_add_epi32(sum.low.hi, _mm256_srai_epi32(sum.high.hi, 4))};
}

}  // namespace
}  // namespace lrt

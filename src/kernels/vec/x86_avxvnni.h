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

LRT_INLINE N nibble_zero() { return zero_ints(); }
LRT_INLINE __m256i nibble_dot(__m256i sum, __m256i w, Four low, Four high) {
  const __m256i half = _mm256_set1_epi8(15);
  sum = _mm256_dpbusd_avx_epi32(sum, _mm256_and_si256(w, half), low);
  return _mm256_dpbusd_avx_epi32(sum, _mm256_and_si256(_mm256_srli_epi16(w, 4), half), high);
}
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  return {nibble_dot(sum.lo, w.lo, low, high), nibble_dot(sum.hi, w.hi, low, high)};
}
LRT_INLINE I nibble_sum(N sum) { return sum; }

}  // namespace
}  // namespace lrt

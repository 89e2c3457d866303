// AVX-512 with VNNI: products of four bytes in one instruction, which wants one side unsigned.
#pragma once

#define LRT_VNNI
#include "kernels/vec/x86_avx512.h"

namespace lrt {
namespace {

constexpr int kActivationOffset = 128;
LRT_INLINE I dot_start(const int32_t* sums) { return sub(zero_ints(), _mm512_slli_epi32(load_ints(sums), 7)); }
LRT_INLINE I dot4(I sum, Bytes w, Four x) { return _mm512_dpbusd_epi32(sum, x, w); }

LRT_INLINE N nibble_zero() { return zero_ints(); }
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  const Bytes half = _mm512_set1_epi8(15);
  sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(w, half), low);
  return _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(w, 4), half), high);
}
LRT_INLINE I nibble_sum(N sum) { return sum; }

}  // namespace
}  // namespace lrt

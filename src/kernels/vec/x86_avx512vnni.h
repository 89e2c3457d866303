// AVX-512 with VNNI: products of four bytes in one instruction, which wants one side unsigned.
#pragma once

#define LRT_VNNI
#include "kernels/vec/x86_avx512.h"

namespace lrt {
namespace {

constexpr int kIntAccumulators = 16;
constexpr int kActivationOffset = 128;
LRT_INLINE I dot_start(const int32_t* sums) { return sub(zero_ints(), _mm512_slli_epi32(load_ints(sums), 7)); }
LRT_INLINE I dot4(I sum, Bytes w, Four x) { return _mm512_dpbusd_epi32(sum, x, w); }

// The high halves are taken where they stand, 16 times too large.
struct N {
  I low, high;
};
LRT_INLINE N nibble_zero() { return {zero_ints(), zero_ints()}; }
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  return {_mm512_dpbusd_epi32(sum.low, _mm512_and_si512(w, _mm512_set1_epi8(15)), low),
          _mm512_dpbusd_epi32(sum.high, _mm512_and_si512(w, _mm512_set1_epi8(-16)), high)};
}
LRT_INLINE I nibble_sum(N sum) { return add(sum.low, _mm512_srai_epi32(sum.high, 4)); }

}  // namespace
}  // namespace lrt

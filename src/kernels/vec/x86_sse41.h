// The integer products of SSE4.1 (and SSSE3), for x86 without AVX2: Atoms and old Pentiums. The rest is portable's: there is
// no fused multiply-add.
#pragma once

#include <smmintrin.h>

#define LRT_OWN_DOT
#include "kernels/vec/portable.h"

namespace lrt {
namespace {

using Four = __m128i;
LRT_INLINE Four broadcast_four(const int8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return _mm_set1_epi32(word);
}

constexpr int kIntAccumulators = 2;  // 8 registers of 16
constexpr int kActivationOffset = 0;
LRT_INLINE I dot_start(const int32_t*) { return zero_ints(); }

// f(quarter of the bytes, quarter of the sum) for the whole vector.
template <class F>
LRT_INLINE I each_quarter(Bytes w, I sum, F f) {
  return {(Bits)f((__m128i)w.a, (__m128i)sum.a), (Bits)f((__m128i)w.b, (__m128i)sum.b),
          (Bits)f((__m128i)w.c, (__m128i)sum.c), (Bits)f((__m128i)w.d, (__m128i)sum.d)};
}

LRT_INLINE I dot4(I sum, Bytes w, Four x) {
  const __m128i magnitude = _mm_abs_epi8(x), ones = _mm_set1_epi16(1);
  return each_quarter(w, sum, [=](__m128i bytes, __m128i so_far) {
    const __m128i pairs = _mm_maddubs_epi16(magnitude, _mm_sign_epi8(bytes, x));
    return _mm_add_epi32(so_far, _mm_madd_epi16(pairs, ones));
  });
}

// Here N holds sums of 16 bits, of pairs of products: of at most 8*2*15*127.
LRT_INLINE N nibble_zero() { return zero_ints(); }
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  const __m128i half = _mm_set1_epi8(15);
  return each_quarter(w, sum, [=](__m128i bytes, __m128i so_far) {
    const __m128i first = _mm_maddubs_epi16(_mm_and_si128(bytes, half), low);
    const __m128i second = _mm_maddubs_epi16(_mm_and_si128(_mm_srli_epi16(bytes, 4), half), high);
    return _mm_add_epi16(so_far, _mm_add_epi16(first, second));
  });
}
LRT_INLINE I nibble_sum(N sum) {
  const auto paired = [](Bits q) { return (Bits)_mm_madd_epi16((__m128i)q, _mm_set1_epi16(1)); };
  return {paired(sum.a), paired(sum.b), paired(sum.c), paired(sum.d)};
}

}  // namespace
}  // namespace lrt

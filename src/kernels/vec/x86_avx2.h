// The 16-lane vector on AVX2, FMA and F16C: two ymm registers. For what each operation is, see vec/x86_avx512.h.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#define LRT_HAS_FMA 1

namespace lrt {
namespace {

struct V {
  __m256 lo, hi;
};
struct Mask {
  __m256 lo, hi;
};

constexpr int kMaxGroup = 6, kAccumulators = 6, kTileVectors = 2;

LRT_INLINE V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
LRT_INLINE void store(float* p, V a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
LRT_INLINE V broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

LRT_INLINE __m256i lanes_below(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LRT_INLINE V load_first(const float* p, int n) {
  return {_mm256_maskload_ps(p, lanes_below(n)), _mm256_maskload_ps(p + 8, lanes_below(n - 8))};
}
LRT_INLINE void store_first(float* p, V a, int n) {
  _mm256_maskstore_ps(p, lanes_below(n), a.lo);
  _mm256_maskstore_ps(p + 8, lanes_below(n - 8), a.hi);
}

LRT_INLINE V add(V a, V b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
LRT_INLINE V sub(V a, V b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
LRT_INLINE V mul(V a, V b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
LRT_INLINE V div(V a, V b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
LRT_INLINE V sqrt(V a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
LRT_INLINE V fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
LRT_INLINE V fnma(V a, V b, V c) { return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)}; }

LRT_INLINE V min(V a, V b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
LRT_INLINE V max(V a, V b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }

LRT_INLINE Mask less(V a, V b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
LRT_INLINE V select(Mask m, V yes, V no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, m.lo), _mm256_blendv_ps(no.hi, yes.hi, m.hi)};
}

LRT_INLINE V abs(V a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
LRT_INLINE V neg(V a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(sign, a.lo), _mm256_xor_ps(sign, a.hi)};
}
LRT_INLINE V flip_sign(V a, V s) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.lo, _mm256_and_ps(sign, s.lo)), _mm256_xor_ps(a.hi, _mm256_and_ps(sign, s.hi))};
}

LRT_INLINE __m256i bits_of(__m256 a) { return _mm256_castps_si256(a); }
LRT_INLINE __m256 float_of(__m256i a) { return _mm256_castsi256_ps(a); }

LRT_INLINE V bits_to_exponent(V t) {
  return {float_of(_mm256_slli_epi32(bits_of(t.lo), 23)), float_of(_mm256_slli_epi32(bits_of(t.hi), 23))};
}
LRT_INLINE V add_to_exponent(V a, V t) {
  const V e = bits_to_exponent(t);
  return {float_of(_mm256_add_epi32(bits_of(a.lo), bits_of(e.lo))),
          float_of(_mm256_add_epi32(bits_of(a.hi), bits_of(e.hi)))};
}
LRT_INLINE __m256 split_exponent(__m256 x, __m256* m) {
  const __m256i e = _mm256_srai_epi32(_mm256_sub_epi32(bits_of(x), _mm256_set1_epi32(0x3f3504f3)), 23);
  *m = float_of(_mm256_sub_epi32(bits_of(x), _mm256_slli_epi32(e, 23)));
  return _mm256_cvtepi32_ps(e);
}
LRT_INLINE V split_exponent(V x, V* m) { return {split_exponent(x.lo, &m->lo), split_exponent(x.hi, &m->hi)}; }

// Integers.
struct I {
  __m256i lo, hi;
};
using Bytes = I;
using N = I;
using Four = __m256i;

constexpr int kIntAccumulators = 4;

LRT_INLINE __m256i load_half(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
LRT_INLINE Bytes load_bytes(const void* p) { return {load_half(p), load_half(static_cast<const char*>(p) + 32)}; }
LRT_INLINE I zero_ints() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
LRT_INLINE I broadcast_int(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
LRT_INLINE I load_ints(const int32_t* p) { return load_bytes(p); }
LRT_INLINE void store_ints(int32_t* p, I a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), a.hi);
}
LRT_INLINE I add(I a, I b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
LRT_INLINE I sub(I a, I b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
LRT_INLINE I max_int(I a, I b) { return {_mm256_max_epi32(a.lo, b.lo), _mm256_max_epi32(a.hi, b.hi)}; }
LRT_INLINE I and_int(I a, I b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
LRT_INLINE I bits_of(V a) { return {bits_of(a.lo), bits_of(a.hi)}; }
LRT_INLINE V to_float(I a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }

LRT_INLINE V widen_low(Bytes w) {
  return {float_of(_mm256_slli_epi32(w.lo, 16)), float_of(_mm256_slli_epi32(w.hi, 16))};
}
LRT_INLINE V widen_high(Bytes w) {
  const __m256i high = _mm256_set1_epi32(-65536);
  return {float_of(_mm256_and_si256(w.lo, high)), float_of(_mm256_and_si256(w.hi, high))};
}
LRT_INLINE V load_halves(const uint16_t* p) {
  const __m128i* half = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1))};
}

LRT_INLINE void store_bytes(int8_t* p, I a) {
  const __m256i low = _mm256_set1_epi32(255);
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256(a.lo, low), _mm256_and_si256(a.hi, low));
  const __m256i bytes = _mm256_packus_epi16(words, words);  // 0-3 8-11 | 4-7 12-15 of the lanes
  const __m256i in_order = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(in_order));
}
LRT_INLINE Four broadcast_four(const int8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return _mm256_set1_epi32(word);
}

#ifndef LRT_VNNI
constexpr int kActivationOffset = 0;
LRT_INLINE I dot_start(const int32_t*) { return zero_ints(); }
LRT_INLINE __m256i dot4(__m256i sum, __m256i w, Four x) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
LRT_INLINE I dot4(I sum, Bytes w, Four x) { return {dot4(sum.lo, w.lo, x), dot4(sum.hi, w.hi, x)}; }

LRT_INLINE N nibble_zero() { return zero_ints(); }
LRT_INLINE __m256i nibble_dot(__m256i sum, __m256i w, Four low, Four high) {
  const __m256i half = _mm256_set1_epi8(15);
  sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_and_si256(w, half), low));
  return _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(w, 4), half), high));
}
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  return {nibble_dot(sum.lo, w.lo, low, high), nibble_dot(sum.hi, w.hi, low, high)};
}
LRT_INLINE I nibble_sum(N sum) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(sum.lo, ones), _mm256_madd_epi16(sum.hi, ones)};
}
#endif

}  // namespace
}  // namespace lrt

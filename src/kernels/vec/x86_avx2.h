// The 16-lane vector on AVX2 and FMA: two ymm registers. For what each operation is, see vec/x86_avx512.h.
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

}  // namespace
}  // namespace lrt

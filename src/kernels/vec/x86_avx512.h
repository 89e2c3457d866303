// The 16-lane vector on AVX-512 F, BW, DQ, VL: one zmm register. Each vec/ header holds these same operations, and each
// operation gives the same bits in all of them but vec/portable.h, which has no fused multiply-add.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#define LRT_HAS_FMA 1

namespace lrt {
namespace {

using V = __m512;
using Mask = __mmask16;

// Vectors in a group, accumulators of a tile, and the width of a tile that takes several rows: gemm.inl.
constexpr int kMaxGroup = 8, kAccumulators = 24, kTileVectors = 4;

LRT_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
LRT_INLINE void store(float* p, V a) { _mm512_storeu_ps(p, a); }
LRT_INLINE V broadcast(float x) { return _mm512_set1_ps(x); }

// The first n lanes, 0 <= n <= 16; the others are zero, and nothing past them is touched.
LRT_INLINE V load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(static_cast<Mask>((1u << n) - 1), p); }
LRT_INLINE void store_first(float* p, V a, int n) { _mm512_mask_storeu_ps(p, static_cast<Mask>((1u << n) - 1), a); }

LRT_INLINE V add(V a, V b) { return _mm512_add_ps(a, b); }
LRT_INLINE V sub(V a, V b) { return _mm512_sub_ps(a, b); }
LRT_INLINE V mul(V a, V b) { return _mm512_mul_ps(a, b); }
LRT_INLINE V div(V a, V b) { return _mm512_div_ps(a, b); }
LRT_INLINE V sqrt(V a) { return _mm512_sqrt_ps(a); }
LRT_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }    // a*b + c
LRT_INLINE V fnma(V a, V b, V c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a*b

// a < b ? a : b and a > b ? a : b, so that a NaN in b comes through and one in a does not.
LRT_INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
LRT_INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }

LRT_INLINE Mask less(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
LRT_INLINE V select(Mask m, V yes, V no) { return _mm512_mask_blend_ps(m, no, yes); }

LRT_INLINE V abs(V a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
LRT_INLINE V neg(V a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
// a, negated where s has its sign bit set.
LRT_INLINE V flip_sign(V a, V s) { return _mm512_xor_ps(a, _mm512_and_ps(s, _mm512_set1_ps(-0.0f))); }

// Exponent tricks on the bits of a float whose low bits hold an integer n (see math.inl).
LRT_INLINE V bits_to_exponent(V t) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(t), 23)); }
LRT_INLINE V add_to_exponent(V a, V t) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
// x = m * 2^e with m in [sqrt(1/2), sqrt(2)), for positive normal x.
LRT_INLINE V split_exponent(V x, V* m) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i e = _mm512_srai_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3)), 23);
  *m = _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(e, 23)));
  return _mm512_cvtepi32_ps(e);
}

}  // namespace
}  // namespace lrt

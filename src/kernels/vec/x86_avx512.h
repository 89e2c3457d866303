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

// Integers, for quantised products. All exact.
using I = __m512i;      // 16 lanes of int32
using Bytes = __m512i;  // 16 lanes of 4 bytes
using Four = __m512i;   // 4 activations, in every lane

LRT_INLINE Bytes load_bytes(const void* p) { return _mm512_loadu_si512(p); }
LRT_INLINE I zero_ints() { return _mm512_setzero_si512(); }
LRT_INLINE I broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
LRT_INLINE I load_ints(const int32_t* p) { return _mm512_loadu_si512(p); }
LRT_INLINE void store_ints(int32_t* p, I a) { _mm512_storeu_si512(p, a); }
LRT_INLINE I add(I a, I b) { return _mm512_add_epi32(a, b); }
LRT_INLINE I sub(I a, I b) { return _mm512_sub_epi32(a, b); }
LRT_INLINE I max_int(I a, I b) { return _mm512_max_epi32(a, b); }
LRT_INLINE I and_int(I a, I b) { return _mm512_and_si512(a, b); }
LRT_INLINE I bits_of(V a) { return _mm512_castps_si512(a); }
LRT_INLINE V to_float(I a) { return _mm512_cvtepi32_ps(a); }  // to nearest, ties to even

// Two bfloat16 in each lane, as floats.
LRT_INLINE V widen_low(Bytes w) { return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)); }
LRT_INLINE V widen_high(Bytes w) { return _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32(-65536))); }
LRT_INLINE V load_halves(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// The low byte of each lane.
LRT_INLINE void store_bytes(int8_t* p, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
}
LRT_INLINE Four broadcast_four(const int8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return _mm512_set1_epi32(word);
}

#ifndef LRT_VNNI
constexpr int kIntAccumulators = 8;  // sums of a tile of integers: few tiles, and yet enough to hide latency
using N = __m512i;                   // sums of products with nibbles, on their way
// Activations are stored as they are (as for vpdpbusd: with 128 added), and a sum starts where dot_start says.
constexpr int kActivationOffset = 0;
LRT_INLINE I dot_start(const int32_t*) { return zero_ints(); }
// Lane i: sum + Σ_j w[4i + j]·x[j], for |w| <= 127, or 0 <= x <= 15, where no pair of products leaves int16.
LRT_INLINE I dot4(I sum, Bytes w, Four x) {
  const I signed_w = _mm512_mask_sub_epi8(w, _mm512_movepi8_mask(x), zero_ints(), w);
  const I pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(x), signed_w);
  return add(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
// Adds (low halves of w)·low + (high halves of w)·high. Of four such, from zero, no sum of pairs leaves int16.
LRT_INLINE N nibble_zero() { return zero_ints(); }
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  const Bytes half = _mm512_set1_epi8(15);
  sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(_mm512_and_si512(w, half), low));
  return _mm512_add_epi16(sum, _mm512_maddubs_epi16(_mm512_and_si512(_mm512_srli_epi16(w, 4), half), high));
}
LRT_INLINE I nibble_sum(N sum) { return _mm512_madd_epi16(sum, _mm512_set1_epi16(1)); }
#endif

}  // namespace
}  // namespace lrt

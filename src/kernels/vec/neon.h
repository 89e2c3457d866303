// The 16-lane vector on NEON: four q registers. The header that includes this one has defined, for one register, what the
// processors do differently: plus_product, minus_product, divided, root, paired. For what each operation is, see
// vec/x86_avx512.h.
#pragma once

#include <arm_neon.h>
#include <stdint.h>

namespace lrt {
namespace {

struct V {
  float32x4_t a, b, c, d;
};
struct I {
  int32x4_t a, b, c, d;
};
struct Mask {
  uint32x4_t a, b, c, d;
};
struct Bytes {
  int8x16_t a, b, c, d;
};
using Four = int8x16_t;  // the four bytes, four times

// f of each quarter.
template <class To, class From, class F>
LRT_INLINE To each_as(From x, F f) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class T, class F>
LRT_INLINE T each(T x, F f) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class T, class F>
LRT_INLINE T each(T x, T y, F f) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
}
template <class T, class F>
LRT_INLINE T each(T x, T y, T z, F f) {
  return {f(x.a, y.a, z.a), f(x.b, y.b, z.b), f(x.c, y.c, z.c), f(x.d, y.d, z.d)};
}

LRT_INLINE V load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
LRT_INLINE void store(float* p, V x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
LRT_INLINE V broadcast(float x) {
  const float32x4_t q = vdupq_n_f32(x);
  return {q, q, q, q};
}

LRT_INLINE V load_first(const float* p, int n) {
  float lanes[16] = {0};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
LRT_INLINE void store_first(float* p, V x, int n) {
  float lanes[16];
  store(lanes, x);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}

LRT_INLINE V add(V x, V y) {
  return each(x, y, [](float32x4_t p, float32x4_t q) { return vaddq_f32(p, q); });
}
LRT_INLINE V sub(V x, V y) {
  return each(x, y, [](float32x4_t p, float32x4_t q) { return vsubq_f32(p, q); });
}
LRT_INLINE V mul(V x, V y) {
  return each(x, y, [](float32x4_t p, float32x4_t q) { return vmulq_f32(p, q); });
}
LRT_INLINE V div(V x, V y) {
  return each(x, y, [](float32x4_t p, float32x4_t q) { return divided(p, q); });
}
LRT_INLINE V sqrt(V x) {
  return each(x, [](float32x4_t p) { return root(p); });
}
LRT_INLINE V fma(V x, V y, V z) {
  return each(x, y, z, [](float32x4_t p, float32x4_t q, float32x4_t r) { return plus_product(r, p, q); });
}
LRT_INLINE V fnma(V x, V y, V z) {
  return each(x, y, z, [](float32x4_t p, float32x4_t q, float32x4_t r) { return minus_product(r, p, q); });
}

// Not vminq and vmaxq: those treat NaN and signed zeros in another way than x86 does.
LRT_INLINE V min(V x, V y) {
  return each(x, y, [](float32x4_t p, float32x4_t q) { return vbslq_f32(vcltq_f32(p, q), p, q); });
}
LRT_INLINE V max(V x, V y) {
  return each(x, y, [](float32x4_t p, float32x4_t q) { return vbslq_f32(vcgtq_f32(p, q), p, q); });
}

LRT_INLINE Mask less(V x, V y) {
  return {vcltq_f32(x.a, y.a), vcltq_f32(x.b, y.b), vcltq_f32(x.c, y.c), vcltq_f32(x.d, y.d)};
}
LRT_INLINE V select(Mask m, V yes, V no) {
  return {vbslq_f32(m.a, yes.a, no.a), vbslq_f32(m.b, yes.b, no.b), vbslq_f32(m.c, yes.c, no.c),
          vbslq_f32(m.d, yes.d, no.d)};
}

LRT_INLINE V abs(V x) {
  return each(x, [](float32x4_t p) { return vabsq_f32(p); });
}
LRT_INLINE V neg(V x) {
  return each(x, [](float32x4_t p) { return vnegq_f32(p); });
}
LRT_INLINE V flip_sign(V x, V s) {
  return each(x, s, [](float32x4_t p, float32x4_t q) {
    const uint32x4_t sign = vandq_u32(vreinterpretq_u32_f32(q), vdupq_n_u32(0x80000000u));
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(p), sign));
  });
}

LRT_INLINE V bits_to_exponent(V t) {
  return each(t, [](float32x4_t p) { return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(p), 23)); });
}
LRT_INLINE V add_to_exponent(V x, V t) {
  return each(x, bits_to_exponent(t), [](float32x4_t p, float32x4_t q) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vreinterpretq_s32_f32(q)));
  });
}
LRT_INLINE float32x4_t split_exponent(float32x4_t x, float32x4_t* m) {
  const int32x4_t bits = vreinterpretq_s32_f32(x);
  const int32x4_t e = vshrq_n_s32(vsubq_s32(bits, vdupq_n_s32(0x3f3504f3)), 23);
  *m = vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(e, 23)));
  return vcvtq_f32_s32(e);
}
LRT_INLINE V split_exponent(V x, V* m) {
  return {split_exponent(x.a, &m->a), split_exponent(x.b, &m->b), split_exponent(x.c, &m->c),
          split_exponent(x.d, &m->d)};
}

// ---- Integers ----------------------------------------------------------------------------------------------------

LRT_INLINE I broadcast_int(int32_t x) {
  const int32x4_t q = vdupq_n_s32(x);
  return {q, q, q, q};
}
LRT_INLINE I zero_ints() { return broadcast_int(0); }
LRT_INLINE I load_ints(const int32_t* p) {
  return {vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)};
}
LRT_INLINE void store_ints(int32_t* p, I x) {
  vst1q_s32(p, x.a);
  vst1q_s32(p + 4, x.b);
  vst1q_s32(p + 8, x.c);
  vst1q_s32(p + 12, x.d);
}
LRT_INLINE I add(I x, I y) {
  return each(x, y, [](int32x4_t p, int32x4_t q) { return vaddq_s32(p, q); });
}
LRT_INLINE I sub(I x, I y) {
  return each(x, y, [](int32x4_t p, int32x4_t q) { return vsubq_s32(p, q); });
}
LRT_INLINE I max_int(I x, I y) {
  return each(x, y, [](int32x4_t p, int32x4_t q) { return vmaxq_s32(p, q); });
}
LRT_INLINE I and_int(I x, I y) {
  return each(x, y, [](int32x4_t p, int32x4_t q) { return vandq_s32(p, q); });
}
LRT_INLINE V to_float(I x) {
  return each_as<V>(x, [](int32x4_t p) { return vcvtq_f32_s32(p); });
}
LRT_INLINE I bits_of(V x) {
  return each_as<I>(x, [](float32x4_t p) { return vreinterpretq_s32_f32(p); });
}
LRT_INLINE void store_bytes(int8_t* p, I x) {
  const int16x8_t low = vcombine_s16(vmovn_s32(x.a), vmovn_s32(x.b));
  const int16x8_t high = vcombine_s16(vmovn_s32(x.c), vmovn_s32(x.d));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

LRT_INLINE Bytes load_bytes(const void* p) {
  const int8_t* q = (const int8_t*)p;
  return {vld1q_s8(q), vld1q_s8(q + 16), vld1q_s8(q + 32), vld1q_s8(q + 48)};
}
LRT_INLINE V widen_low(Bytes w) {
  return each_as<V>(w, [](int8x16_t p) { return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_s8(p), 16)); });
}
LRT_INLINE V widen_high(Bytes w) {
  return each_as<V>(w, [](int8x16_t p) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_s8(p), vdupq_n_u32(0xffff0000u)));
  });
}

LRT_INLINE Four broadcast_four(const int8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return vreinterpretq_s8_s32(vdupq_n_s32(word));
}
constexpr int kActivationOffset = 0;
LRT_INLINE I dot_start(const int32_t*) { return zero_ints(); }

#ifndef LRT_OWN_DOT
LRT_INLINE I dot4(I sum, Bytes w, Four x) {
  const auto quarter = [x](int32x4_t s, int8x16_t p) {
    const int16x8_t low = vmull_s8(vget_low_s8(p), vget_low_s8(x)), high = vmull_s8(vget_high_s8(p), vget_high_s8(x));
    return vpadalq_s16(s, paired(low, high));  // two products fit 16 bits: 2*127*128
  };
  return {quarter(sum.a, w.a), quarter(sum.b, w.b), quarter(sum.c, w.c), quarter(sum.d, w.d)};
}

// Sums of 16 bits: two products of at most 15*127 are added to each by every nibble_dot, four times, and then paired.
struct N {
  int16x8_t low[4], high[4];
};
LRT_INLINE N nibble_zero() {
  const int16x8_t z = vdupq_n_s16(0);
  return {{z, z, z, z}, {z, z, z, z}};
}
LRT_INLINE N nibble_dot(N sum, Bytes w, Four x_low, Four x_high) {
  const auto quarter = [=, &sum](int i, int8x16_t p) {
    const int8x16_t q = vandq_s8(p, vdupq_n_s8(15));
    const int8x16_t r = vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(p), 4));
    sum.low[i] = vmlal_s8(sum.low[i], vget_low_s8(q), vget_low_s8(x_low));
    sum.high[i] = vmlal_s8(sum.high[i], vget_high_s8(q), vget_high_s8(x_low));
    sum.low[i] = vmlal_s8(sum.low[i], vget_low_s8(r), vget_low_s8(x_high));
    sum.high[i] = vmlal_s8(sum.high[i], vget_high_s8(r), vget_high_s8(x_high));
  };
  quarter(0, w.a), quarter(1, w.b), quarter(2, w.c), quarter(3, w.d);
  return sum;
}
LRT_INLINE I nibble_sum(N sum) {
  const auto quarter = [&sum](int i) { return vpaddlq_s16(paired(sum.low[i], sum.high[i])); };
  return {quarter(0), quarter(1), quarter(2), quarter(3)};
}
#endif

#ifndef LRT_OWN_HALVES
// The fraction and exponent are moved to where a float has them. Denormal halves become normal floats by way of integers,
// since arithmetic would take them as zero.
LRT_INLINE V load_halves(const uint16_t* p) {
  const auto quarter = [](const uint16_t* q) {
    const uint32x4_t half = vmovl_u16(vld1_u16(q)), magnitude = vandq_u32(half, vdupq_n_u32(0x7fff));
    const uint32x4_t moved = vaddq_u32(vshlq_n_u32(magnitude, 13), vdupq_n_u32(112u << 23));
    const uint32x4_t wide =
        vaddq_u32(moved, vandq_u32(vcgeq_u32(magnitude, vdupq_n_u32(0x7c00)), vdupq_n_u32(112u << 23)));
    const float32x4_t small = vmulq_n_f32(vcvtq_f32_u32(magnitude), 0x1p-24f);
    const uint32x4_t bits = vbslq_u32(vcltq_u32(magnitude, vdupq_n_u32(0x400)), vreinterpretq_u32_f32(small), wide);
    return vreinterpretq_f32_u32(vorrq_u32(bits, vshlq_n_u32(vbicq_u32(half, vdupq_n_u32(0x7fff)), 16)));
  };
  return {quarter(p), quarter(p + 4), quarter(p + 8), quarter(p + 12)};
}
#endif

}  // namespace
}  // namespace lrt

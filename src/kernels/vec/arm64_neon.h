// The 16-lane vector on AArch64: four q registers. For what each operation is, see vec/x86_avx512.h.
#pragma once

#include <arm_neon.h>
#include <stdint.h>

#define LRT_HAS_FMA 1

namespace lrt {
namespace {

struct V {
  float32x4_t a, b, c, d;
};
struct Mask {
  uint32x4_t a, b, c, d;
};

constexpr int kMaxGroup = 4, kAccumulators = 6, kTileVectors = 1;

// f of each quarter.
template <class F>
LRT_INLINE V each(V x, F f) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class F>
LRT_INLINE V each(V x, V y, F f) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
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
  return each(x, y, [](float32x4_t p, float32x4_t q) { return vdivq_f32(p, q); });
}
LRT_INLINE V sqrt(V x) {
  return each(x, [](float32x4_t p) { return vsqrtq_f32(p); });
}
LRT_INLINE V fma(V x, V y, V z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}
LRT_INLINE V fnma(V x, V y, V z) {
  return {vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b), vfmsq_f32(z.c, x.c, y.c), vfmsq_f32(z.d, x.d, y.d)};
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

}  // namespace
}  // namespace lrt

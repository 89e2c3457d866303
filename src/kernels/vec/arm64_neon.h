// The 16-lane vector on AArch64. For what each operation is, see vec/x86_avx512.h.
#pragma once

#include <arm_neon.h>
#include <stdint.h>

#define LRT_HAS_FMA 1
#define LRT_OWN_HALVES

namespace lrt {
namespace {

constexpr int kMaxGroup = 4, kAccumulators = 6, kTileVectors = 1;
constexpr int kIntAccumulators = 6;

LRT_INLINE float32x4_t plus_product(float32x4_t z, float32x4_t x, float32x4_t y) { return vfmaq_f32(z, x, y); }
LRT_INLINE float32x4_t minus_product(float32x4_t z, float32x4_t x, float32x4_t y) { return vfmsq_f32(z, x, y); }
LRT_INLINE float32x4_t divided(float32x4_t x, float32x4_t y) { return vdivq_f32(x, y); }
LRT_INLINE float32x4_t root(float32x4_t x) { return vsqrtq_f32(x); }
// Sums of neighbours: those of x, then those of y.
LRT_INLINE int16x8_t paired(int16x8_t x, int16x8_t y) { return vpaddq_s16(x, y); }

}  // namespace
}  // namespace lrt

#include "kernels/vec/neon.h"

namespace lrt {
namespace {

LRT_INLINE float32x4_t load_quarter_halves(const uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
LRT_INLINE V load_halves(const uint16_t* p) {
  return {load_quarter_halves(p), load_quarter_halves(p + 4), load_quarter_halves(p + 8), load_quarter_halves(p + 12)};
}

}  // namespace
}  // namespace lrt

// The 16-lane vector on ARMv7 with NEON, whose registers neither divide nor take roots: the VFP does, lane by lane, since an
// estimate with Newton steps would be rounded otherwise than the IEEE division of every other header. Multiplies and adds
// are rounded apart, as in vec/portable.h. For what each operation is, see vec/x86_avx512.h.
#pragma once

#include <arm_neon.h>
#include <stdint.h>

#ifndef LRT_OWN_FMA
#define LRT_HAS_FMA 0
#endif

namespace lrt {
namespace {

// Of 16 q registers, 12 for sums of floats, and 8 for those of integers.
constexpr int kMaxGroup = 4, kAccumulators = 3, kTileVectors = 1;
constexpr int kIntAccumulators = 2;

#ifndef LRT_OWN_FMA
LRT_INLINE float32x4_t plus_product(float32x4_t z, float32x4_t x, float32x4_t y) { return vmlaq_f32(z, x, y); }
LRT_INLINE float32x4_t minus_product(float32x4_t z, float32x4_t x, float32x4_t y) { return vmlsq_f32(z, x, y); }
#else
LRT_INLINE float32x4_t plus_product(float32x4_t z, float32x4_t x, float32x4_t y) { return vfmaq_f32(z, x, y); }
LRT_INLINE float32x4_t minus_product(float32x4_t z, float32x4_t x, float32x4_t y) { return vfmsq_f32(z, x, y); }
#endif
LRT_INLINE float32x4_t divided(float32x4_t x, float32x4_t y) {
  return float32x4_t{x[0] / y[0], x[1] / y[1], x[2] / y[2], x[3] / y[3]};
}
LRT_INLINE float32x4_t root(float32x4_t x) {
  return float32x4_t{__builtin_sqrtf(x[0]), __builtin_sqrtf(x[1]), __builtin_sqrtf(x[2]), __builtin_sqrtf(x[3])};
}
// Sums of neighbours: those of x, then those of y.
LRT_INLINE int16x8_t paired(int16x8_t x, int16x8_t y) {
  return vcombine_s16(vpadd_s16(vget_low_s16(x), vget_high_s16(x)), vpadd_s16(vget_low_s16(y), vget_high_s16(y)));
}

}  // namespace
}  // namespace lrt

#include "kernels/vec/neon.h"

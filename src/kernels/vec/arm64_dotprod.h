// arm64_neon with the dot product of four bytes in one instruction (ARMv8.2: Cortex-A55, A75, A76 and later).
#pragma once

#define LRT_OWN_DOT
#include "kernels/vec/arm64_neon.h"

namespace lrt {
namespace {

LRT_INLINE I dot4(I sum, Bytes w, Four x) {
  return {vdotq_s32(sum.a, w.a, x), vdotq_s32(sum.b, w.b, x), vdotq_s32(sum.c, w.c, x), vdotq_s32(sum.d, w.d, x)};
}

using N = I;
LRT_INLINE N nibble_zero() { return zero_ints(); }
LRT_INLINE N nibble_dot(N sum, Bytes w, Four x_low, Four x_high) {
  const auto low = [](int8x16_t p) { return vandq_s8(p, vdupq_n_s8(15)); };
  const auto high = [](int8x16_t p) { return vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(p), 4)); };
  return dot4(dot4(sum, each(w, low), x_low), each(w, high), x_high);
}
LRT_INLINE I nibble_sum(N sum) { return sum; }

}  // namespace
}  // namespace lrt

// The 16-lane vector in plain C++, for any CPU. Multiplies and adds are rounded apart, so that a CPU without FMA is not
// slowed down by emulating one: results agree with the other headers to rounding, not to the bit.
// For what each operation is, see vec/x86_avx512.h.
#pragma once

#include <stdint.h>
#include <string.h>

#define LRT_HAS_FMA 0

namespace lrt {
namespace {

struct V {
  float x[16];
};
struct Mask {
  bool x[16];
};

constexpr int kMaxGroup = 4, kAccumulators = 4, kTileVectors = 1;

// f of each lane.
template <class F>
LRT_INLINE V each(F f) {
  V y;
  for (int i = 0; i < 16; ++i) y.x[i] = f(i);
  return y;
}

LRT_INLINE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
LRT_INLINE float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

LRT_INLINE V load_first(const float* p, int n) { return each([=](int i) { return i < n ? p[i] : 0.0f; }); }
LRT_INLINE void store_first(float* p, V a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.x[i];
}
LRT_INLINE V load(const float* p) { return each([=](int i) { return p[i]; }); }
LRT_INLINE void store(float* p, V a) { memcpy(p, a.x, sizeof a.x); }
LRT_INLINE V broadcast(float x) { return each([=](int) { return x; }); }

LRT_INLINE V add(V a, V b) { return each([&](int i) { return a.x[i] + b.x[i]; }); }
LRT_INLINE V sub(V a, V b) { return each([&](int i) { return a.x[i] - b.x[i]; }); }
LRT_INLINE V mul(V a, V b) { return each([&](int i) { return a.x[i] * b.x[i]; }); }
LRT_INLINE V div(V a, V b) { return each([&](int i) { return a.x[i] / b.x[i]; }); }
LRT_INLINE V sqrt(V a) { return each([&](int i) { return __builtin_sqrtf(a.x[i]); }); }
LRT_INLINE V fma(V a, V b, V c) { return each([&](int i) { return a.x[i] * b.x[i] + c.x[i]; }); }
LRT_INLINE V fnma(V a, V b, V c) { return each([&](int i) { return c.x[i] - a.x[i] * b.x[i]; }); }

LRT_INLINE V min(V a, V b) { return each([&](int i) { return a.x[i] < b.x[i] ? a.x[i] : b.x[i]; }); }
LRT_INLINE V max(V a, V b) { return each([&](int i) { return a.x[i] > b.x[i] ? a.x[i] : b.x[i]; }); }

LRT_INLINE Mask less(V a, V b) {
  Mask m;
  for (int i = 0; i < 16; ++i) m.x[i] = a.x[i] < b.x[i];
  return m;
}
LRT_INLINE V select(Mask m, V yes, V no) { return each([&](int i) { return m.x[i] ? yes.x[i] : no.x[i]; }); }

LRT_INLINE V abs(V a) { return each([&](int i) { return float_of(bits_of(a.x[i]) & 0x7fffffffu); }); }
LRT_INLINE V neg(V a) { return each([&](int i) { return -a.x[i]; }); }
LRT_INLINE V flip_sign(V a, V s) {
  return each([&](int i) { return float_of(bits_of(a.x[i]) ^ (bits_of(s.x[i]) & 0x80000000u)); });
}

LRT_INLINE V bits_to_exponent(V t) { return each([&](int i) { return float_of(bits_of(t.x[i]) << 23); }); }
LRT_INLINE V add_to_exponent(V a, V t) {
  return each([&](int i) { return float_of(bits_of(a.x[i]) + (bits_of(t.x[i]) << 23)); });
}
LRT_INLINE V split_exponent(V x, V* m) {
  V e;
  for (int i = 0; i < 16; ++i) {
    // Shifted as a signed number: exponents below zero keep their sign.
    const int32_t n = static_cast<int32_t>(bits_of(x.x[i]) - 0x3f3504f3u) >> 23;
    m->x[i] = float_of(bits_of(x.x[i]) - (static_cast<uint32_t>(n) << 23));
    e.x[i] = static_cast<float>(n);
  }
  return e;
}

}  // namespace
}  // namespace lrt

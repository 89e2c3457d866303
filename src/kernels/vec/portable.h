// The 16-lane vector for any CPU: four vectors of four floats, which the compiler maps to what the CPU's baseline has
// (SSE2, ARMv7 NEON) or to plain floats. Multiplies and adds are rounded apart, so that a CPU without FMA is not slowed
// down by emulating one: results agree with the other headers to rounding, not to the bit.
// For what each operation is, see vec/x86_avx512.h.
#pragma once

#include <stdint.h>

#define LRT_HAS_FMA 0

namespace lrt {
namespace {

typedef float Quad __attribute__((vector_size(16)));
typedef int32_t Bits __attribute__((vector_size(16)));
typedef uint32_t Word __attribute__((vector_size(16)));
typedef float LooseQuad __attribute__((vector_size(16), aligned(4), may_alias));

struct V {
  Quad a, b, c, d;
};
struct Mask {
  Bits a, b, c, d;
};

// Of 16 SSE registers, 12 for the sums of several rows.
constexpr int kMaxGroup = 4, kAccumulators = 3, kTileVectors = 1;

// f of each quarter.
template <class F>
LRT_INLINE V each(V x, F f) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class F>
LRT_INLINE V each(V x, V y, F f) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
}

LRT_INLINE V load(const float* p) {
  const LooseQuad* q = (const LooseQuad*)p;
  return {q[0], q[1], q[2], q[3]};
}
LRT_INLINE void store(float* p, V x) {
  LooseQuad* q = (LooseQuad*)p;
  q[0] = x.a, q[1] = x.b, q[2] = x.c, q[3] = x.d;
}
LRT_INLINE V broadcast(float x) {
  const Quad q = {x, x, x, x};
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

LRT_INLINE V add(V x, V y) { return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d}; }
LRT_INLINE V sub(V x, V y) { return {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d}; }
LRT_INLINE V mul(V x, V y) { return {x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d}; }
LRT_INLINE V div(V x, V y) { return {x.a / y.a, x.b / y.b, x.c / y.c, x.d / y.d}; }
LRT_INLINE V fma(V x, V y, V z) { return add(mul(x, y), z); }
LRT_INLINE V fnma(V x, V y, V z) { return sub(z, mul(x, y)); }
LRT_INLINE V sqrt(V x) {
  return each(x, [](Quad q) {
    return Quad{__builtin_sqrtf(q[0]), __builtin_sqrtf(q[1]), __builtin_sqrtf(q[2]), __builtin_sqrtf(q[3])};
  });
}

LRT_INLINE Quad select(Bits m, Quad yes, Quad no) { return (Quad)((m & (Bits)yes) | (~m & (Bits)no)); }
LRT_INLINE V select(Mask m, V yes, V no) {
  return {select(m.a, yes.a, no.a), select(m.b, yes.b, no.b), select(m.c, yes.c, no.c), select(m.d, yes.d, no.d)};
}
LRT_INLINE Mask less(V x, V y) { return {(Bits)(x.a < y.a), (Bits)(x.b < y.b), (Bits)(x.c < y.c), (Bits)(x.d < y.d)}; }

LRT_INLINE V min(V x, V y) { return select(less(x, y), x, y); }
LRT_INLINE V max(V x, V y) { return select(less(y, x), x, y); }

constexpr int32_t kSign = INT32_MIN;
LRT_INLINE V abs(V x) {
  return each(x, [](Quad q) { return (Quad)((Bits)q & ~kSign); });
}
LRT_INLINE V neg(V x) {
  return each(x, [](Quad q) { return (Quad)((Bits)q ^ kSign); });
}
LRT_INLINE V flip_sign(V x, V s) {
  return each(x, s, [](Quad q, Quad sign) { return (Quad)((Bits)q ^ ((Bits)sign & kSign)); });
}

LRT_INLINE V bits_to_exponent(V t) {
  return each(t, [](Quad q) { return (Quad)((Word)q << 23); });
}
LRT_INLINE V add_to_exponent(V x, V t) {
  return each(x, t, [](Quad q, Quad n) { return (Quad)((Word)q + ((Word)n << 23)); });
}
LRT_INLINE Quad split_exponent(Quad x, Quad* m) {
  const Bits e = (Bits)((Word)x - 0x3f3504f3u) >> 23;
  *m = (Quad)((Word)x - ((Word)e << 23));
  return Quad{static_cast<float>(e[0]), static_cast<float>(e[1]), static_cast<float>(e[2]), static_cast<float>(e[3])};
}
LRT_INLINE V split_exponent(V x, V* m) {
  return {split_exponent(x.a, &m->a), split_exponent(x.b, &m->b), split_exponent(x.c, &m->c),
          split_exponent(x.d, &m->d)};
}

// Integers. Bytes are taken out of their 32-bit lanes by shifts.
struct I {
  Bits a, b, c, d;
};
using Bytes = I;
using N = I;

LRT_INLINE I load_ints(const int32_t* p) {
  I ints;
  __builtin_memcpy(&ints, p, sizeof ints);
  return ints;
}
LRT_INLINE Bytes load_bytes(const void* p) {
  Bytes bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return bytes;
}
LRT_INLINE void store_ints(int32_t* p, I x) { __builtin_memcpy(p, &x, sizeof x); }
LRT_INLINE I broadcast_int(int32_t x) {
  const Bits q = {x, x, x, x};
  return {q, q, q, q};
}
LRT_INLINE I zero_ints() { return broadcast_int(0); }

// f of each quarter.
template <class F>
LRT_INLINE I each(I x, F f) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class F>
LRT_INLINE I each(I x, I y, F f) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
}
LRT_INLINE I add(I x, I y) {
  return each(x, y, [](Bits p, Bits q) { return (Bits)((Word)p + (Word)q); });
}
LRT_INLINE I sub(I x, I y) {
  return each(x, y, [](Bits p, Bits q) { return (Bits)((Word)p - (Word)q); });
}
LRT_INLINE I max_int(I x, I y) {
  return each(x, y, [](Bits p, Bits q) { return ((p > q) & p) | (~(p > q) & q); });
}
LRT_INLINE I and_int(I x, I y) {
  return each(x, y, [](Bits p, Bits q) { return p & q; });
}
LRT_INLINE I bits_of(V x) { return {(Bits)x.a, (Bits)x.b, (Bits)x.c, (Bits)x.d}; }
LRT_INLINE V floats_of(I x) { return {(Quad)x.a, (Quad)x.b, (Quad)x.c, (Quad)x.d}; }
LRT_INLINE Quad to_float(Bits x) {
  return Quad{static_cast<float>(x[0]), static_cast<float>(x[1]), static_cast<float>(x[2]), static_cast<float>(x[3])};
}
LRT_INLINE V to_float(I x) { return {to_float(x.a), to_float(x.b), to_float(x.c), to_float(x.d)}; }

LRT_INLINE V widen_low(Bytes w) {
  return floats_of(each(w, [](Bits q) { return (Bits)((Word)q << 16); }));
}
LRT_INLINE V widen_high(Bytes w) {
  return floats_of(each(w, [](Bits q) { return q & -65536; }));
}
// By integers where the half is a normal number, as m·2^-24 where it is not.
LRT_INLINE float widen_half(uint16_t half) {
  const uint32_t exponent = half >> 10 & 31, fraction = half & 1023;
  uint32_t bits = (uint32_t)(half >> 15) << 31 | (exponent + 112) << 23 | fraction << 13;
  if (exponent == 31) bits |= 0x7f800000u;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  if (exponent == 0) value = (half >> 15 ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
  return value;
}
LRT_INLINE V load_halves(const uint16_t* p) {
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = widen_half(p[i]);
  return load(lanes);
}

LRT_INLINE void store_bytes(int8_t* p, I x) {
  int32_t lanes[16];
  store_ints(lanes, x);
  for (int i = 0; i < 16; ++i) p[i] = (int8_t)(uint8_t)lanes[i];
}

#ifndef LRT_OWN_DOT
struct Four {
  int32_t byte[4];
};
LRT_INLINE Four broadcast_four(const int8_t* p) { return {{p[0], p[1], p[2], p[3]}}; }

constexpr int kIntAccumulators = 1;  // few tiles: they are slow and large whatever their size
constexpr int kActivationOffset = 0;
LRT_INLINE I dot_start(const int32_t*) { return zero_ints(); }
LRT_INLINE I dot4(I sum, Bytes w, Four x) {
  return each(sum, w, [x](Bits s, Bits q) {
    const Word word = (Word)q;
    return s + ((Bits)(word << 24) >> 24) * x.byte[0] + ((Bits)(word << 16) >> 24) * x.byte[1] +
           ((Bits)(word << 8) >> 24) * x.byte[2] + (q >> 24) * x.byte[3];
  });
}
LRT_INLINE N nibble_zero() { return zero_ints(); }
LRT_INLINE N nibble_dot(N sum, Bytes w, Four low, Four high) {
  const I half = broadcast_int(0x0f0f0f0f);
  return dot4(dot4(sum, and_int(w, half), low), and_int(each(w, [](Bits q) { return q >> 4; }), half), high);
}
LRT_INLINE I nibble_sum(N sum) { return sum; }
#endif

}  // namespace
}  // namespace lrt

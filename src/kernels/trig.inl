// Sine, cosine, tangent and their inverses.
#pragma once

namespace lrt {
namespace {

// x = r + n pi/2, |r| <= pi/4; quarter is n brought to [-2, 2] by fours.
struct Turn {
  V r, quarter;
};

constexpr float kReducedSimply = 8192.0f;
// pi/2 in three parts. The first has 9 bits, so n times it is exact, fused or not.
constexpr float kHalfPiHigh = 1.5703125f, kHalfPiMiddle = 4.83826792e-4f, kHalfPiLow = 2.56334407e-12f;

// The same for one float of any size: its 24 bits times 96 bits of 2/pi, those that make less than four whole turns of
// pi/2 in the product. Integers, so it is exact to 2^-64 of pi/2.
LRT_INLINE void reduce_large(float x, float* r, float* quarter) {
  static const uint32_t two_over_pi[] = {0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u,
                                         0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u};
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const int exponent = static_cast<int>(bits >> 23 & 255) - 150;  // |x| = m·2^exponent
  const uint64_t m = (bits & 0x7fffffu) | 0x800000u;
  const int skip = exponent > 2 ? exponent - 2 : 0, word = skip / 32, shift = skip % 32;
  uint64_t product[3], carry = 0;  // words of m·window, the lowest first
  for (int i = 2; i >= 0; --i) {
    const uint64_t both = static_cast<uint64_t>(two_over_pi[word + i]) << 32 | two_over_pi[word + i + 1];
    carry += m * (both << shift >> 32);
    product[2 - i] = carry & 0xffffffffu;
    carry >>= 32;
  }
  const uint64_t high = carry << 32 | product[2], low = product[1] << 32 | product[0];
  const int point = 32 - (exponent - skip);  // of the fraction's bits, those in high: 30 to 42
  int64_t n = static_cast<int64_t>(high >> point & 3);
  const auto fraction = static_cast<int64_t>(high << (64 - point) | low >> point);
  if (fraction < 0) n = (n + 1) & 3;
  const double turn = static_cast<double>(fraction) * 0x1.921fb54442d18p-64;  // pi/2 · 2^-64
  const bool negative = bits >> 31;
  *r = static_cast<float>(negative ? -turn : turn);
  *quarter = static_cast<float>(negative ? -n : n);
}

LRT_NOINLINE void reduce_large_lanes(const float* x, float* r, float* n) {
  for (int i = 0; i < LRT_LANES; ++i) {
    const float a = __builtin_fabsf(x[i]);
    if (a < kReducedSimply) continue;
    if (a < kInfinity) {
      reduce_large(x[i], r + i, n + i);
    } else {
      r[i] = n[i] = kNan;
    }
  }
}

// Of x and a whole number of quarter turns more.
LRT_INLINE Turn reduce_turn(V x, float more) {
  const V shift = broadcast(12582912.0f);  // 1.5·2^23: the sum is rounded to an integer
  V n = sub(fma(x, broadcast(0.636619772f), shift), shift);
  V r = fnma(n, broadcast(kHalfPiHigh), x);
  r = fnma(n, broadcast(kHalfPiLow), fnma(n, broadcast(kHalfPiMiddle), r));
  // Few arrays hold an angle so large that its lane has to be done alone. As integers magnitudes compare as floats do.
  int32_t magnitudes[LRT_LANES], most = 0;
  store_ints(magnitudes, bits_of(abs(x)));
  for (int i = 0; i < LRT_LANES; ++i) most = magnitudes[i] > most ? magnitudes[i] : most;
  if (__builtin_expect(most >= 0x46000000, 0)) {  // 8192
    float x_lanes[LRT_LANES], r_lanes[LRT_LANES], n_lanes[LRT_LANES];
    store(x_lanes, x), store(r_lanes, r), store(n_lanes, n);
    reduce_large_lanes(x_lanes, r_lanes, n_lanes);
    r = load(r_lanes), n = load(n_lanes);
  }
  n = add(n, broadcast(more));
  const V fours = sub(fma(n, broadcast(0.25f), shift), shift);
  return {r, fnma(fours, broadcast(4.0f), n)};
}

// |r| <= pi/4: relative errors 2^-36 and 2^-41.
LRT_INLINE V sin_small(V r, V z) {
  V p = fma(broadcast(2.71727322e-06f), z, broadcast(-0.000198392532f));
  p = fma(p, z, broadcast(0.00833332911f));
  p = fma(p, z, broadcast(-0.166666672f));
  return fma(mul(r, z), p, r);
}
LRT_INLINE V cos_small(V z) {
  V p = fma(broadcast(-2.72365298e-07f), z, broadcast(2.47999051e-05f));
  p = fma(p, z, broadcast(-0.00138888857f));
  p = fma(p, z, broadcast(0.0416666679f));
  return fma(mul(z, z), p, fma(z, broadcast(-0.5f), broadcast(1.0f)));
}

LRT_INLINE Mask is_odd(V quarter) { return less(abs(sub(abs(quarter), broadcast(1.0f))), broadcast(0.5f)); }
LRT_INLINE V sin_of(Turn t) {
  const V z = mul(t.r, t.r), one = broadcast(1.0f);
  const V y = select(is_odd(t.quarter), cos_small(z), sin_small(t.r, z));
  const V high = select(less(broadcast(1.5f), t.quarter), neg(one), one);
  return flip_sign(y, select(less(t.quarter, broadcast(-0.5f)), neg(one), high));
}
LRT_INLINE V sin(V x) { return sin_of(reduce_turn(x, 0.0f)); }
LRT_INLINE V cos(V x) { return sin_of(reduce_turn(x, 1.0f)); }
LRT_INLINE V tan(V x) {
  const Turn t = reduce_turn(x, 0.0f);
  const V z = mul(t.r, t.r), s = sin_small(t.r, z), c = cos_small(z);
  const Mask odd = is_odd(t.quarter);
  return div(select(odd, neg(c), s), select(odd, s, c));
}

// ---- Inverses ----------------------------------------------------------------------------------------------------

constexpr float kHalfPi = 1.57079637f, kHalfPiRest = -4.37113883e-8f;  // their sum is pi/2

// asin(sqrt z) / sqrt z - 1, z <= 1/4: P of degree 5, relative error of the sum 2^-30.
LRT_INLINE V asin_tail(V z) {
  V p = fma(broadcast(0.0378194563f), z, broadcast(0.0143262139f));
  p = fma(p, z, broadcast(0.0318016745f));
  p = fma(p, z, broadcast(0.0445233844f));
  p = fma(p, z, broadcast(0.075004302f));
  return mul(fma(p, z, broadcast(0.166666627f)), z);
}
// Of |x|: whether asin is taken of itself or of the root of (1 - |x|)/2, and what it is of that.
struct Arc {
  Mask small;
  V angle;
};
LRT_INLINE Arc arc(V a) {
  const V half = broadcast(0.5f);
  const Mask small = less(a, half);
  const V z = select(small, mul(a, a), mul(half, sub(broadcast(1.0f), a)));
  const V s = select(small, a, sqrt(z));
  return {small, fma(s, asin_tail(z), s)};
}
LRT_INLINE V asin(V x) {
  const Arc y = arc(abs(x));
  const V large = add(fma(broadcast(-2.0f), y.angle, broadcast(kHalfPi)), broadcast(kHalfPiRest));
  return flip_sign(select(y.small, y.angle, large), x);
}
LRT_INLINE V acos(V x) {
  const Arc y = arc(abs(x));
  const V twice = add(y.angle, y.angle), high = broadcast(kHalfPi), rest = broadcast(kHalfPiRest);
  const V middle = sub(high, sub(flip_sign(y.angle, x), rest));
  const V below = sub(add(high, high), sub(twice, add(rest, rest)));
  return select(y.small, middle, select(less(x, broadcast(0.0f)), below, twice));
}

// Past 1 by the reciprocal. P of degree 8: relative error 2^-27.8.
LRT_INLINE V atan(V x) {
  const V one = broadcast(1.0f), a = abs(x);
  const Mask large = less(one, a);
  const V t = div(select(large, one, a), select(large, a, one)), z = mul(t, t);
  V p = fma(broadcast(-0.0017437014f), z, broadcast(0.0107485009f));
  p = fma(p, z, broadcast(-0.0309912916f));
  p = fma(p, z, broadcast(0.0579135418f));
  p = fma(p, z, broadcast(-0.0841065496f));
  p = fma(p, z, broadcast(0.109585822f));
  p = fma(p, z, broadcast(-0.142663464f));
  p = fma(p, z, broadcast(0.199988425f));
  p = fma(p, z, broadcast(-0.333333135f));
  const V y = fma(mul(t, z), p, t);
  const V turned = sub(broadcast(kHalfPi), sub(y, broadcast(kHalfPiRest)));
  return flip_sign(select(large, turned, y), x);
}

}  // namespace
}  // namespace lrt

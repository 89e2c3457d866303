// Exponentials, logarithm and the activations of the usual cells over the vector V, written once: polynomials, fused
// multiply-adds and IEEE division. NaN comes through, infinities give limits, a result below the smallest normal float is zero.
// Errors, over every float, are those of docs/numerics.md.
#pragma once

namespace lrt {
namespace {

// ln 2 in two parts. The first has nine bits, so n*kLn2High is exact for every exponent n, fused or not.
constexpr float kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
constexpr float kMinNormal = 1.17549435e-38f, kInfinity = __builtin_inff(), kNan = __builtin_nanf("");
constexpr float kExpUnderflow = -87.3365402f;  // e^x is a normal float from here
constexpr float kExpOverflow = 88.7228394f;    // and infinite from here

// e^-x = s - s*u, s a power of two: kept apart so that e^-x - 1 and e^-x + 1 take one rounding more, and no cancellation.
struct Exp {
  V s, u;
  V biased;  // its low bits hold the exponent of s, plus 127
};

// -88 <= x <= 87.3. Reduction by n ln 2; u = 1 - e^-r by r - r^2 P(-r), |r| <= 0.347, P of degree 5: relative error 2^-31.
LRT_INLINE Exp exp_minus(V x) {
  const V shift = broadcast(12582912.0f + 127.0f);  // 1.5*2^23: the sum is rounded to an integer, in its low bits
  const V t = fnma(x, broadcast(kLog2e), shift);
  const V n = sub(t, shift);
  const V r = fma(n, broadcast(kLn2Low), fma(n, broadcast(kLn2High), x));
  const V r2 = mul(r, r);
  const V p01 = fma(broadcast(-0.16666666f), r, broadcast(0.5f));
  const V p23 = fma(broadcast(-0.008333543f), r, broadcast(0.041666493f));
  const V p45 = fma(broadcast(-0.00019764349f), r, broadcast(0.0013932365f));
  const V p = fma(fma(p45, r2, p23), r2, p01);
  return {bits_to_exponent(t), fnma(p, r2, r), t};
}
LRT_INLINE V exp_value(Exp e) { return fnma(e.s, e.u, e.s); }
LRT_INLINE V exp_plus_one(Exp e) { return fnma(e.s, e.u, add(broadcast(1.0f), e.s)); }
LRT_INLINE V one_minus_exp(Exp e) { return fma(e.s, e.u, sub(broadcast(1.0f), e.s)); }

// A NaN in x comes through (see min and max).
LRT_INLINE V clamp(V x, V low, V high) { return min(high, max(low, x)); }
LRT_INLINE V clamp(V x, float low, float high) { return clamp(x, broadcast(low), broadcast(high)); }

LRT_INLINE V exp(V x) {
  const Exp e = exp_minus(neg(x));
  // s alone would overflow before e^x does.
  V y = add_to_exponent(sub(broadcast(1.0f), e.u), sub(e.biased, broadcast(127.0f)));
  y = select(less(x, broadcast(kExpUnderflow)), broadcast(0.0f), y);
  return select(less(x, broadcast(kExpOverflow)), y, add(x, broadcast(kInfinity)));
}

LRT_INLINE V sigmoid(V x) {
  const V y = div(broadcast(1.0f), exp_plus_one(exp_minus(clamp(x, -88.0f, 87.0f))));
  return select(less(x, broadcast(kExpUnderflow)), broadcast(0.0f), y);
}

// tanh x = numerator/denominator, by (1 - e^-2|x|)/(1 + e^-2|x|) with the sign of x: relative accuracy near 0, and
// 1 <= denominator <= 2.
struct Fraction {
  V numerator, denominator;
};
LRT_INLINE Fraction tanh_fraction(V x) {
  const V a = abs(x);
  const Exp e = exp_minus(min(broadcast(40.0f), add(a, a)));
  return {flip_sign(one_minus_exp(e), x), exp_plus_one(e)};
}
LRT_INLINE V tanh(V x) {
  const Fraction f = tanh_fraction(x);
  return div(f.numerator, f.denominator);
}

// log(1 + f), -0.293 <= f <= 0.415, plus e ln 2. f - f^2/2 + f^3 P(f), P of degree 8: relative error 2^-28.9.
LRT_INLINE V log1p_plus(V f, V e) {
  const V f2 = mul(f, f), f4 = mul(f2, f2);
  const V p01 = fma(broadcast(-0.2500017f), f, broadcast(0.33333313f));
  const V p23 = fma(broadcast(-0.16659214f), f, broadcast(0.20002225f));
  const V p45 = fma(broadcast(-0.12552138f), f, broadcast(0.14209424f));
  const V p67 = fma(broadcast(-0.10906536f), f, broadcast(0.12112407f));
  const V p4 = fma(fma(broadcast(0.0532203f), f2, p67), f2, p45);
  const V p = fma(p4, f4, fma(p23, f2, p01));
  V tail = fma(e, broadcast(kLn2Low), mul(mul(f2, f), p));
  tail = fma(broadcast(-0.5f), f2, tail);
  return fma(e, broadcast(kLn2High), add(f, tail));
}

LRT_INLINE V log(V x) {
  V m;
  const V e = split_exponent(x, &m);
  V y = log1p_plus(sub(m, broadcast(1.0f)), e);
  const V outside = select(less(broadcast(-kMinNormal), x), broadcast(-kInfinity), broadcast(kNan));
  y = select(less(x, broadcast(kMinNormal)), outside, y);
  return select(less(x, broadcast(kInfinity)), y, add(x, x));
}

// log(1 + e^x) = max(0, x) + log(1 + e^-|x|). Past sqrt(1/2) the argument of the logarithm is halved.
LRT_INLINE V softplus(V x) {
  const V e = exp(neg(abs(x)));
  const Mask small = less(e, broadcast(0.41421356f));
  const V f = select(small, e, fma(e, broadcast(0.5f), broadcast(-0.5f)));
  return add(max(broadcast(0.0f), x), log1p_plus(f, select(small, broadcast(0.0f), broadcast(1.0f))));
}

LRT_INLINE V elu(V x, V alpha) {
  const V below = neg(mul(alpha, one_minus_exp(exp_minus(neg(max(broadcast(-87.0f), x))))));
  return select(less(x, broadcast(0.0f)), below, x);
}

}  // namespace
}  // namespace lrt

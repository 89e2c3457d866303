// The functions of one argument beyond those of the usual cells: error function and what is made of it, hyperbolic
// functions and their inverses, rounding; and `unary`, which names all of them. Errors are those of docs/numerics.md.
#pragma once

namespace lrt {
namespace {

// x where it is no number, else otherwise.
LRT_INLINE V keep_nan(V x, V otherwise) {
  const V below = select(less(broadcast(-kInfinity), x), otherwise, x);
  return select(less(x, broadcast(kInfinity)), otherwise, below);
}

// To the nearest, ties to even. From 2^23 on every float is whole.
LRT_INLINE V round_even(V x) {
  const V whole = broadcast(8388608.0f), a = abs(x);
  const V rounded = flip_sign(sub(add(a, whole), whole), x);
  return select(less(a, whole), rounded, x);
}
LRT_INLINE V floor(V x) {
  const V r = round_even(x);
  return sub(r, select(less(x, r), broadcast(1.0f), broadcast(0.0f)));
}
LRT_INLINE V ceil(V x) { return neg(floor(neg(x))); }
LRT_INLINE V sign(V x) {
  const V zero = broadcast(0.0f), one = broadcast(1.0f);
  return keep_nan(x, select(less(zero, x), one, select(less(x, zero), neg(one), zero)));
}

// ---- The error function ------------------------------------------------------------------------------------------

// erfc(a / sqrt 2) e^(a^2 / 2) / 2 for 0 <= a <= 14.5, as P((a - 4)/(a + 4)) / (1 + a), P of degree 10: relative
// error 2^-29.
LRT_INLINE V normal_tail(V a) {
  const V u = div(sub(a, broadcast(4.0f)), add(a, broadcast(4.0f)));
  V p = fma(broadcast(-7.14419511e-05f), u, broadcast(-6.01021347e-05f));
  p = fma(p, u, broadcast(0.000693165755f));
  p = fma(p, u, broadcast(-0.000303895999f));
  p = fma(p, u, broadcast(-0.005004582f));
  p = fma(p, u, broadcast(0.0179401878f));
  p = fma(p, u, broadcast(-0.0321972333f));
  p = fma(p, u, broadcast(0.0285999868f));
  p = fma(p, u, broadcast(0.0139995944f));
  p = fma(p, u, broadcast(-0.0967034698f));
  p = fma(p, u, broadcast(0.4720532f));
  return div(p, add(broadcast(1.0f), a));
}

// e^-(x y), with what rounding the product costs put right.
LRT_INLINE V exp_minus_product(V x, V y) {
  const V high = mul(x, y), low = fma(x, y, neg(high));
  const V e = exp(neg(high));
  return fnma(e, low, e);
}

// x (1 + P(x^2)) below 0.875, P of degree 6: relative error 2^-32; 1 - erfc from there.
LRT_INLINE V erf(V x) {
  const V a = min(broadcast(10.0f), abs(x)), z = mul(a, a);
  V p = fma(broadcast(8.68303323e-05f), z, broadcast(-0.000821319118f));
  p = fma(p, z, broadcast(0.00520695653f));
  p = fma(p, z, broadcast(-0.0268616807f));
  p = fma(p, z, broadcast(0.112837352f));
  p = fma(p, z, broadcast(-0.376126349f));
  p = fma(p, z, broadcast(0.128379166f));
  const V tail = mul(normal_tail(mul(a, broadcast(1.41421356f))), exp_minus_product(a, a));
  const V large = fma(broadcast(-2.0f), tail, broadcast(1.0f));
  return flip_sign(select(less(a, broadcast(0.875f)), fma(a, p, a), large), x);
}

// x Phi(x), Phi by its smaller tail, so that negative x keep their relative accuracy. Past 14.5 the tail is zero. Where it is
// small it is multiplied by x first: the product may be a normal float where the tail is none.
LRT_INLINE V gelu(V x) {
  const V zero = broadcast(0.0f), one = broadcast(1.0f);
  const V bounded = max(broadcast(-14.5f), x), a = min(broadcast(14.5f), abs(bounded));
  const V factor = normal_tail(a), e = exp_minus_product(a, mul(a, broadcast(0.5f)));
  const V tail = mul(factor, e);
  const V near_zero = mul(x, select(less(x, zero), tail, sub(one, tail)));
  return select(less(x, neg(one)), mul(mul(bounded, factor), e), near_zero);
}

// x sigmoid(y); zero where e^y is below the smallest normal float.
LRT_INLINE V times_sigmoid(V x, V y) { return mul(x, sigmoid(y)); }

// x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
LRT_INLINE V gelu_tanh(V x) {
  const V slope = fma(mul(x, x), broadcast(0.0713548163f), broadcast(1.59576912f));
  return times_sigmoid(x, mul(x, slope));
}

// x tanh(log(1 + e^x)) = x n / (n + 2), n = e^x (e^x + 2). From 20 on the fraction is 1.
LRT_INLINE V mish(V x) {
  const V w = exp(min(broadcast(20.0f), x));
  const V n = fma(w, w, add(w, w));
  return mul(x, div(n, add(n, broadcast(2.0f))));
}

// x >= 0 ? x : alpha (e^(x / alpha) - 1)
LRT_INLINE V celu(V x, V alpha) {
  const V below = neg(mul(alpha, one_minus_exp(exp_minus(neg(clamp(div(x, alpha), -87.0f, 87.0f))))));
  return select(less(x, broadcast(0.0f)), below, x);
}

// ---- Hyperbolic functions ----------------------------------------------------------------------------------------

// e^x / 2 for 0 <= x < 89.4, where e^x may be infinite already.
LRT_INLINE V half_exp(V x) {
  const Exp e = exp_minus(neg(x));
  return add_to_exponent(sub(broadcast(1.0f), e.u), sub(e.biased, broadcast(128.0f)));
}
LRT_INLINE V sinh(V x) {
  const V a = abs(x), bounded = min(broadcast(90.0f), a);
  const V y = mul(half_exp(bounded), one_minus_exp(exp_minus(min(broadcast(40.0f), add(a, a)))));
  return flip_sign(select(less(a, broadcast(89.4159851f)), y, add(a, broadcast(kInfinity))), x);
}
LRT_INLINE V cosh(V x) {
  const V a = abs(x), bounded = min(broadcast(90.0f), a);
  const V y = mul(half_exp(bounded), exp_plus_one(exp_minus(min(broadcast(40.0f), add(a, a)))));
  return select(less(a, broadcast(89.4159851f)), y, add(a, broadcast(kInfinity)));
}

// log(1 + y), y >= 0. What rounding 1 + y costs is put right by the derivative.
LRT_INLINE V log1p(V y) {
  const V one = broadcast(1.0f), u = add(one, y);
  V m;
  const V e = split_exponent(u, &m);
  return add(log1p_plus(sub(m, one), e), div(sub(y, sub(u, one)), u));
}
// log(2 a), of large numbers.
LRT_INLINE V log_twice(V a) {
  V m;
  const V e = split_exponent(a, &m);
  const V y = log1p_plus(sub(m, broadcast(1.0f)), add(e, broadcast(1.0f)));
  return select(less(a, broadcast(kInfinity)), y, a);
}
constexpr float kLarge = 268435456.0f;  // 2^28: from here sqrt(x^2 +- 1) is x

LRT_INLINE V asinh(V x) {
  const V one = broadcast(1.0f), a = abs(x), bounded = min(broadcast(kLarge), a), square = mul(bounded, bounded);
  const V y = log1p(add(bounded, div(square, add(one, sqrt(add(one, square))))));
  return flip_sign(select(less(a, broadcast(kLarge)), y, log_twice(a)), x);
}
LRT_INLINE V acosh(V x) {
  const V one = broadcast(1.0f), t = min(broadcast(kLarge), sub(x, one));
  const V y = log1p(add(t, sqrt(fma(t, t, add(t, t)))));
  const V right = select(less(x, broadcast(kLarge)), y, log_twice(x));
  return select(less(x, one), broadcast(kNan), right);
}
LRT_INLINE V atanh(V x) {
  const V one = broadcast(1.0f), half = broadcast(0.5f), a = abs(x);
  const V y = mul(half, log1p(div(add(a, a), sub(one, a))));
  const V outside = select(less(one, a), broadcast(kNan), add(a, broadcast(kInfinity)));
  return flip_sign(select(less(a, one), y, outside), x);
}

// ---- By name -----------------------------------------------------------------------------------------------------

// Denormals are zero to arithmetic in the mode that run and step set, but what is only passed on or selected would keep
// them or not as the compiler happens to choose its instructions.
LRT_INLINE V flush(V x) { return select(less(abs(x), broadcast(kMinNormal)), flip_sign(broadcast(0.0f), x), x); }

constexpr bool passes_input_on(int kind) {
  return kind == LRT_LEAKY_RELU || kind == LRT_THRESHOLDED_RELU || kind == LRT_ELU || kind == LRT_NEG ||
         kind == LRT_ABS || kind == LRT_SELU || kind == LRT_CELU || kind == LRT_ABOVE;
}

// One UnaryKind, as kernels.h defines it.
template <int Kind>
LRT_INLINE V unary(V x, V alpha, V beta) {
  const V zero = broadcast(0.0f), one = broadcast(1.0f);
  if constexpr (passes_input_on(Kind)) x = flush(x);
  // Adding zero to a minimum or maximum leaves neither a denormal nor a negative zero, which compilers treat differently.
  if constexpr (Kind == LRT_RELU) return add(max(zero, x), zero);
  if constexpr (Kind == LRT_SIGMOID) return sigmoid(x);
  if constexpr (Kind == LRT_TANH) return tanh(x);
  if constexpr (Kind == LRT_AFFINE) return fma(alpha, x, beta);
  if constexpr (Kind == LRT_LEAKY_RELU) return select(less(x, zero), mul(alpha, x), x);
  if constexpr (Kind == LRT_THRESHOLDED_RELU) return select(less(x, alpha), zero, x);
  if constexpr (Kind == LRT_SCALED_TANH) return mul(alpha, tanh(mul(beta, x)));
  if constexpr (Kind == LRT_HARD_SIGMOID) return add(clamp(fma(alpha, x, beta), zero, one), zero);
  if constexpr (Kind == LRT_ELU) return elu(x, alpha);
  if constexpr (Kind == LRT_SOFTSIGN) return div(x, add(one, abs(x)));
  if constexpr (Kind == LRT_SOFTPLUS) return softplus(x);
  if constexpr (Kind == LRT_EXP) return exp(x);
  if constexpr (Kind == LRT_LOG) return log(x);
  if constexpr (Kind == LRT_SQRT) return sqrt(x);
  if constexpr (Kind == LRT_SQUARE) return mul(x, x);
  if constexpr (Kind == LRT_RECIPROCAL) return div(one, x);
  if constexpr (Kind == LRT_NEG) return neg(x);
  if constexpr (Kind == LRT_ABS) return abs(x);
  if constexpr (Kind == LRT_CLAMP) return add(clamp(x, alpha, beta), zero);
  if constexpr (Kind == LRT_SELU) return mul(beta, elu(x, alpha));
  if constexpr (Kind == LRT_CELU) return celu(x, alpha);
  if constexpr (Kind == LRT_GELU) return gelu(x);
  if constexpr (Kind == LRT_GELU_TANH) return gelu_tanh(x);
  if constexpr (Kind == LRT_SWISH) return times_sigmoid(x, mul(alpha, x));
  if constexpr (Kind == LRT_HARD_SWISH) return mul(x, clamp(fma(alpha, x, beta), zero, one));
  if constexpr (Kind == LRT_MISH) return mish(x);
  if constexpr (Kind == LRT_ABOVE) return keep_nan(x, select(less(alpha, x), x, zero));
  if constexpr (Kind == LRT_SHRINK) {
    return keep_nan(x, select(less(x, neg(beta)), add(x, alpha), select(less(beta, x), sub(x, alpha), zero)));
  }
  if constexpr (Kind == LRT_ERF) return erf(x);
  if constexpr (Kind == LRT_FLOOR) return floor(x);
  if constexpr (Kind == LRT_CEIL) return ceil(x);
  if constexpr (Kind == LRT_ROUND) return round_even(x);
  if constexpr (Kind == LRT_SIGN) return sign(x);
  if constexpr (Kind == LRT_SIN) return sin(x);
  if constexpr (Kind == LRT_COS) return cos(x);
  if constexpr (Kind == LRT_TAN) return tan(x);
  if constexpr (Kind == LRT_ASIN) return asin(x);
  if constexpr (Kind == LRT_ACOS) return acos(x);
  if constexpr (Kind == LRT_ATAN) return atan(x);
  if constexpr (Kind == LRT_SINH) return sinh(x);
  if constexpr (Kind == LRT_COSH) return cosh(x);
  if constexpr (Kind == LRT_ASINH) return asinh(x);
  if constexpr (Kind == LRT_ACOSH) return acosh(x);
  if constexpr (Kind == LRT_ATANH) return atanh(x);
}

}  // namespace
}  // namespace lrt

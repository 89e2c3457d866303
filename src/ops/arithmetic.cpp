// Arithmetic on two or more arrays, with numpy's broadcasting.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/elementwise.h"
#include "ops/power.h"

namespace lrt {
namespace {

// Wraps, as numpy does; a quotient is truncated towards zero, and x / 0 is 0.
template <class T>
T quotient(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(std::make_unsigned_t<T>{0} - static_cast<std::make_unsigned_t<T>>(a));
  }
  return static_cast<T>(a / b);
}

template <int Kind, class T>
T integer_arithmetic(T a, T b) {
  using Unsigned = std::make_unsigned_t<T>;
  const auto x = static_cast<Unsigned>(a), y = static_cast<Unsigned>(b);
  if constexpr (Kind == LRT_ADD) return static_cast<T>(x + y);
  if constexpr (Kind == LRT_SUB) return static_cast<T>(x - y);
  if constexpr (Kind == LRT_MUL) return static_cast<T>(x * y);
  if constexpr (Kind == LRT_DIV) return quotient(a, b);
  if constexpr (Kind == LRT_MIN) return std::min(a, b);
  if constexpr (Kind == LRT_MAX) return std::max(a, b);
}

template <int Kind>
Run arithmetic_run(const OpPlan& p, DType dtype, const Pair& pair, BufferId out) {
  if (dtype == DType::f32) return kernel_pair_run(p, pair, out, Kind);
  Run run;
  with_integer(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    run = pair_run<T, T, T>(pair, out, integer_arithmetic<Kind, T>);
  });
  return run;
}

template <int Kind>
void plan_arithmetic(OpPlan& p) {
  const Pair pair = plan_pair(p);
  const DType dtype = p.in(0).dtype;
  const BufferId out = elementwise_out(p, dtype, pair.shape);
  p.run(arithmetic_run<Kind>(p, dtype, pair, out));
}

Shape broadcast_all(OpPlan& p) {
  Shape shape = p.in(0).shape;
  for (int i = 1; i < p.inputs(); ++i) shape = broadcast_shapes(p, shape, p.in(i).shape);
  return shape;
}

// Any number of inputs, folded from the left into the output, which `finish` (if any) is given at the end.
template <int Kind>
void plan_variadic(OpPlan& p, const std::function<Run(BufferId, int64_t)>& finish = {}) {
  const Operand& first = p.in(0);
  if (p.inputs() == 1) {
    p.alias(0, 0, first.shape);
    return keep_time(p, 0, first.time_axis);
  }
  const Shape shape = broadcast_all(p);
  const BufferId out = elementwise_out(p, first.dtype, shape);
  std::vector<Run> steps;
  for (int i = 1; i < p.inputs(); ++i) {
    const Operand& next = p.in(i);
    const Pair pair(i == 1 ? first.buffer : out, i == 1 ? first.shape : shape, next.buffer, next.shape, shape);
    steps.push_back(arithmetic_run<Kind>(p, first.dtype, pair, out));
  }
  if (finish) steps.push_back(finish(out, shape.elements()));
  p.run([steps](const Frame& frame) {
    for (const Run& step : steps) step(frame);
  });
}

// The sign is that of the divisor (floor), or that of the dividend (truncated); x mod 0 is 0.
template <class T>
T remainder(T a, T b, bool truncated) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
    const T rest = static_cast<T>(a % b);
    return !truncated && rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
  } else {
    return static_cast<T>(a % b);
  }
}

// fmod is exact, so it is the same everywhere, but for what is denormal.
float float_remainder(float a, float b, bool truncated) {
  const auto flushed = [](float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? 0.0f : x; };
  const float divisor = flushed(b), rest = flushed(std::fmod(flushed(a), divisor));
  if (truncated) return rest;
  if (rest == 0.0f) return std::copysign(rest, divisor);
  return (rest < 0.0f) != (divisor < 0.0f) ? flushed(rest + divisor) : rest;
}

// ONNX lets the types differ; the result has the base's.
template <class T, class Exponent>
T power_of(T base, Exponent exponent) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(power(static_cast<double>(base), static_cast<double>(exponent)));
  } else if constexpr (std::is_integral_v<Exponent>) {
    return integer_power(base, static_cast<int64_t>(exponent));
  } else {
    const auto whole = saturate<int64_t>(static_cast<double>(exponent));
    if (static_cast<Exponent>(whole) == exponent) return integer_power(base, whole);
    return saturate<T>(power(static_cast<double>(base), static_cast<double>(exponent)));
  }
}

// The dtypes of powers.
template <class F>
void with_base(DType dtype, const F& f) {
  if (dtype == DType::f32) f(Type<float>{});
  if (dtype == DType::i64) f(Type<int64_t>{});
  if (dtype == DType::i32) f(Type<int32_t>{});
}

// The exponent where it is one value, known, and one of those that have a quicker way; else 0.
float easy_exponent(const OpPlan& p) {
  const Operand& exponent = p.in(1);
  if (p.in(0).dtype != DType::f32 || !exponent.known || exponent.shape.elements() != 1) return 0.0f;
  float value = 0.0f;
  with_base(exponent.dtype, [&](auto type) {
    value = static_cast<float>(*static_cast<const typename decltype(type)::type*>(exponent.known));
  });
  return value == 2.0f || value == 0.5f || value == 1.0f ? value : 0.0f;
}

}  // namespace

void plan_add(OpPlan& p) { plan_arithmetic<LRT_ADD>(p); }
void plan_sub(OpPlan& p) { plan_arithmetic<LRT_SUB>(p); }
void plan_mul(OpPlan& p) { plan_arithmetic<LRT_MUL>(p); }
void plan_div(OpPlan& p) { plan_arithmetic<LRT_DIV>(p); }

void plan_min(OpPlan& p) { plan_variadic<LRT_MIN>(p); }
void plan_max(OpPlan& p) { plan_variadic<LRT_MAX>(p); }
void plan_sum(OpPlan& p) { plan_variadic<LRT_ADD>(p); }
void plan_mean(OpPlan& p) {
  plan_variadic<LRT_ADD>(p, [&p](BufferId out, int64_t n) -> Run {
    const auto count = static_cast<float>(p.inputs());
    return [out, n, count, binary = p.kernels().binary_f32](const Frame& frame) {
      binary(LRT_DIV, frame.at<float>(out), 1, &count, 0, frame.at<float>(out), n);
    };
  });
}

void plan_mod(OpPlan& p) {
  const bool truncated = p.op().integer("fmod", 0) != 0;
  const DType dtype = p.in(0).dtype;
  const Pair pair = plan_pair(p);
  const BufferId out = elementwise_out(p, dtype, pair.shape);
  if (dtype == DType::f32) {
    const auto of = [truncated](float a, float b) { return float_remainder(a, b, truncated); };
    return p.run(pair_run<float, float, float>(pair, out, of));
  }
  with_integer(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    p.run(pair_run<T, T, T>(pair, out, [truncated](T a, T b) { return remainder(a, b, truncated); }));
  });
}

// The slope is broadcast to the input, and never the other way round.
void plan_prelu(OpPlan& p) {
  const Pair pair = plan_pair(p);
  if (pair.shape != p.in(0).shape) {
    p.refuse(Status::shape,
             "slope of shape " + p.in(1).shape.text() + " does not broadcast to " + p.in(0).shape.text());
  }
  const BufferId out = elementwise_out(p, DType::f32, pair.shape);
  p.run(kernel_pair_run(p, pair, out, LRT_PRELU));
}

void plan_pow(OpPlan& p) {
  const Pair pair = plan_pair(p);
  const float easy = easy_exponent(p);
  if (easy == 1.0f) {
    p.alias(0, 0, pair.shape);
    return keep_broadcast_time(p, pair.shape);
  }
  const BufferId out = elementwise_out(p, p.in(0).dtype, pair.shape);
  if (easy != 0.0f) {
    p.run([unary = p.kernels().unary_f32, kind = easy == 2.0f ? LRT_SQUARE : LRT_SQRT, from = pair.a, out,
           n = pair.shape.elements()](const Frame& frame) {
      unary(kind, frame.at<float>(from), frame.at<float>(out), n, 0.0f, 0.0f);
    });
    return;
  }
  with_base(p.in(0).dtype, [&](auto base) {
    with_base(p.in(1).dtype, [&](auto exponent) {
      using T = typename decltype(base)::type;
      using Exponent = typename decltype(exponent)::type;
      p.run(pair_run<T, Exponent, T>(pair, out, power_of<T, Exponent>));
    });
  });
}

}  // namespace lrt

// Ops that make each element from the elements at the same place: arithmetic with numpy's broadcasting, the simple
// functions, comparison and conversion.
#include <limits>
#include <utility>

#include "ops/checks.h"
#include "ops/dtypes.h"
#include "ops/power.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// Two inputs broadcast together, and what walks them.
struct Pair {
  BufferId a, b;
  Shape shape;
  Walk<2> walk;
};

Pair plan_pair(OpPlan& p) {
  const Operand &a = p.in(0), &b = p.in(1);
  const Shape shape = broadcast_shapes(p, a.shape, b.shape);
  return {a.buffer, b.buffer, shape,
          Walk<2>(shape, {broadcast_strides(a.shape, shape), broadcast_strides(b.shape, shape)})};
}

BufferId elementwise_out(OpPlan& p, DType dtype, const Shape& shape) {
  const BufferId out = p.out(0, dtype, shape);
  keep_broadcast_time(p, shape);
  return out;
}

// out = f(a, b) for any types, element by element.
template <class A, class B, class Out, class F>
Run pair_run(const Pair& pair, BufferId out, const F& f) {
  return [pair, out, f](const Frame& frame) {
    const A* a = frame.at<A>(pair.a);
    const B* b = frame.at<B>(pair.b);
    Out* to = frame.at<Out>(out);
    pair.walk.rows([&](int64_t at, const auto& from, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        to[at + i] = f(a[from[0] + i * pair.walk.step(0)], b[from[1] + i * pair.walk.step(1)]);
      }
    });
  };
}

// Wraps, as numpy does; a quotient is truncated towards zero, and x / 0 is 0.
template <class T, int Kind>
T integer_arithmetic(T a, T b) {
  using Unsigned = std::make_unsigned_t<T>;
  const auto x = static_cast<Unsigned>(a), y = static_cast<Unsigned>(b);
  if constexpr (Kind == LRT_ADD) return static_cast<T>(x + y);
  if constexpr (Kind == LRT_SUB) return static_cast<T>(x - y);
  if constexpr (Kind == LRT_MUL) return static_cast<T>(x * y);
  if (b == 0) return 0;
  if (b == -1) return static_cast<T>(Unsigned{0} - x);  // the smallest number has no opposite
  return a / b;
}

Run float_arithmetic_run(const OpPlan& p, const Pair& pair, BufferId out, int kind) {
  return [pair, out, kind, binary = p.kernels().binary_f32](const Frame& frame) {
    const float *a = frame.at<float>(pair.a), *b = frame.at<float>(pair.b);
    float* to = frame.at<float>(out);
    pair.walk.rows([&](int64_t at, const auto& from, int64_t n) {
      binary(kind, a + from[0], pair.walk.step(0), b + from[1], pair.walk.step(1), to + at, n);
    });
  };
}

template <int Kind>
void plan_arithmetic(OpPlan& p) {
  want_dtype(p, 0, {DType::f32, DType::i64, DType::i32});
  want_same_dtype(p, 1, 0);
  const Pair pair = plan_pair(p);
  const BufferId out = elementwise_out(p, p.in(0).dtype, pair.shape);
  switch (p.in(0).dtype) {
    case DType::i64:
      return p.run(pair_run<int64_t, int64_t, int64_t>(pair, out, integer_arithmetic<int64_t, Kind>));
    case DType::i32:
      return p.run(pair_run<int32_t, int32_t, int32_t>(pair, out, integer_arithmetic<int32_t, Kind>));
    default:
      return p.run(float_arithmetic_run(p, pair, out, Kind));
  }
}

void plan_function(OpPlan& p, int kind, float alpha = 0.0f, float beta = 0.0f) {
  want_dtype(p, 0, {DType::f32});
  const Operand& in = p.in(0);
  const BufferId out = p.out(0, DType::f32, in.shape);
  keep_time(p, 0, in.time_axis);
  p.run([unary = p.kernels().unary_f32, kind, from = in.buffer, out, n = in.shape.elements(), alpha,
         beta](const Frame& frame) { unary(kind, frame.at<float>(from), frame.at<float>(out), n, alpha, beta); });
}

// A bound of Clip: a scalar that may be left out, or come with the data.
struct Bound {
  BufferId buffer = -1;

  template <class T>
  T value(const Frame& frame, T otherwise) const {
    return buffer < 0 ? otherwise : *frame.at<T>(buffer);
  }
};

Bound plan_bound(OpPlan& p, int input) {
  if (input >= p.inputs() || !p.has(input)) return {};
  want_same_dtype(p, input, 0);
  const Operand& bound = p.in(input);
  if (bound.shape.elements() != 1) {
    p.refuse(Status::shape, input_text(p, input) + " has shape " + bound.shape.text() + "; wanted one value");
  }
  return {bound.buffer};
}

template <class T>
Run integer_clip_run(Bound low, Bound high, BufferId from, BufferId out, int64_t n) {
  return [=](const Frame& frame) {
    const T least = low.value<T>(frame, std::numeric_limits<T>::min());
    const T most = high.value<T>(frame, std::numeric_limits<T>::max());
    const T* in = frame.at<T>(from);
    T* to = frame.at<T>(out);
    for (int64_t i = 0; i < n; ++i) to[i] = std::min(std::max(in[i], least), most);
  };
}

template <class To, class From>
Run cast_run(BufferId from, BufferId out, int64_t n) {
  return [=](const Frame& frame) {
    const From* in = frame.at<From>(from);
    To* to = frame.at<To>(out);
    for (int64_t i = 0; i < n; ++i) to[i] = convert<To>(in[i]);
  };
}

// ONNX lets the types differ; the result has the base's.
template <class T, class Exponent>
T power_of(T base, Exponent exponent) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(power(static_cast<double>(base), static_cast<double>(exponent)));
  } else if constexpr (std::is_integral_v<Exponent>) {
    return integer_power(base, exponent);
  } else {
    const auto whole = saturate<int64_t>(static_cast<double>(exponent));
    if (static_cast<Exponent>(whole) == exponent) return integer_power(base, whole);
    return saturate<T>(power(static_cast<double>(base), static_cast<double>(exponent)));
  }
}

template <class F>
void with_number(DType dtype, const F& f) {
  if (dtype == DType::f32) f(Type<float>{});
  if (dtype == DType::i64) f(Type<int64_t>{});
  if (dtype == DType::i32) f(Type<int32_t>{});
}

// The exponent where it is one value, known, and one of those that have a quicker way; else 0.
float easy_exponent(const OpPlan& p) {
  const Operand& exponent = p.in(1);
  if (p.in(0).dtype != DType::f32 || !exponent.known || exponent.shape.elements() != 1) return 0.0f;
  float value = 0.0f;
  with_number(exponent.dtype, [&](auto type) {
    value = static_cast<float>(*static_cast<const typename decltype(type)::type*>(exponent.known));
  });
  return value == 2.0f || value == 0.5f || value == 1.0f ? value : 0.0f;
}

}  // namespace

void plan_add(OpPlan& p) { plan_arithmetic<LRT_ADD>(p); }
void plan_sub(OpPlan& p) { plan_arithmetic<LRT_SUB>(p); }
void plan_mul(OpPlan& p) { plan_arithmetic<LRT_MUL>(p); }
void plan_div(OpPlan& p) { plan_arithmetic<LRT_DIV>(p); }

void plan_relu(OpPlan& p) { plan_function(p, LRT_RELU); }
void plan_sigmoid(OpPlan& p) { plan_function(p, LRT_SIGMOID); }
void plan_tanh(OpPlan& p) { plan_function(p, LRT_TANH); }
void plan_sqrt(OpPlan& p) { plan_function(p, LRT_SQRT); }

void plan_hard_sigmoid(OpPlan& p) {
  plan_function(p, LRT_HARD_SIGMOID, p.op().number("alpha", 0.2f), p.op().number("beta", 0.5f));
}

void plan_identity(OpPlan& p) {
  p.alias(0, 0, p.in(0).shape);
  keep_time(p, 0, p.in(0).time_axis);
}

void plan_clip(OpPlan& p) {
  want_dtype(p, 0, {DType::f32, DType::i64, DType::i32, DType::u8, DType::i8});
  const Bound low = plan_bound(p, 1), high = plan_bound(p, 2);
  const Operand& in = p.in(0);
  const BufferId from = in.buffer, out = p.out(0, in.dtype, in.shape);
  const int64_t n = in.shape.elements();
  keep_time(p, 0, in.time_axis);
  switch (in.dtype) {
    case DType::i64:
      return p.run(integer_clip_run<int64_t>(low, high, from, out, n));
    case DType::i32:
      return p.run(integer_clip_run<int32_t>(low, high, from, out, n));
    case DType::u8:
      return p.run(integer_clip_run<uint8_t>(low, high, from, out, n));
    case DType::i8:
      return p.run(integer_clip_run<int8_t>(low, high, from, out, n));
    default:
      break;
  }
  p.run([unary = p.kernels().unary_f32, low, high, from, out, n](const Frame& frame) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    unary(LRT_CLAMP, frame.at<float>(from), frame.at<float>(out), n, low.value(frame, -kInfinity),
          high.value(frame, kInfinity));
  });
}

void plan_pow(OpPlan& p) {
  want_dtype(p, 0, {DType::f32, DType::i64, DType::i32});
  want_dtype(p, 1, {DType::f32, DType::i64, DType::i32});
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
  with_number(p.in(0).dtype, [&](auto base) {
    with_number(p.in(1).dtype, [&](auto exponent) {
      using T = typename decltype(base)::type;
      using Exponent = typename decltype(exponent)::type;
      p.run(pair_run<T, Exponent, T>(pair, out, power_of<T, Exponent>));
    });
  });
}

void plan_equal(OpPlan& p) {
  want_same_dtype(p, 1, 0);
  const Pair pair = plan_pair(p);
  const BufferId out = elementwise_out(p, DType::boolean, pair.shape);
  visit_dtype(p.in(0).dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    p.run(pair_run<T, T, Bool>(pair, out, [](T a, T b) {
      if constexpr (std::is_same_v<T, Bool>) return to_bool((a == Bool::no) == (b == Bool::no));
      return to_bool(a == b);
    }));
  });
}

void plan_not(OpPlan& p) {
  want_dtype(p, 0, {DType::boolean});
  const Operand& in = p.in(0);
  const BufferId out = p.out(0, DType::boolean, in.shape);
  keep_time(p, 0, in.time_axis);
  p.run([from = in.buffer, out, n = in.shape.elements()](const Frame& frame) {
    const Bool* a = frame.at<Bool>(from);
    Bool* to = frame.at<Bool>(out);
    for (int64_t i = 0; i < n; ++i) to[i] = to_bool(a[i] == Bool::no);
  });
}

void plan_cast(OpPlan& p) {
  if (!p.op().find("dtype")) p.refuse(Status::unsupported, "attribute 'dtype' is missing");
  const DType dtype = want_dtype_code(p, p.op().integer("dtype", 0));
  const Operand& in = p.in(0);
  if (dtype == in.dtype) return plan_identity(p);
  const BufferId out = p.out(0, dtype, in.shape);
  keep_time(p, 0, in.time_axis);
  visit_dtype(dtype, [&](auto to) {
    visit_dtype(in.dtype, [&](auto from) {
      p.run(cast_run<typename decltype(to)::type, typename decltype(from)::type>(in.buffer, out, in.shape.elements()));
    });
  });
}

}  // namespace lrt

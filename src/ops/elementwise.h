// What ops that work element by element share: inputs broadcast together, the walk over them, and the output.
#pragma once

#include "ops/checks.h"
#include "ops/dtypes.h"
#include "ops/strided.h"

namespace lrt {

// The output of an op whose elements come from those at the same place of all inputs.
inline BufferId elementwise_out(OpPlan& p, DType dtype, const Shape& shape) {
  const BufferId out = p.out(0, dtype, shape);
  keep_broadcast_time(p, shape);
  return out;
}

// Two arrays broadcast to one shape, and what walks them.
struct Pair {
  BufferId a, b;
  Shape shape;
  Walk<2> walk;

  Pair(BufferId first, const Shape& a_shape, BufferId second, const Shape& b_shape, const Shape& to)
      : a(first), b(second), shape(to), walk(to, {broadcast_strides(a_shape, to), broadcast_strides(b_shape, to)}) {}
};

inline Pair plan_pair(OpPlan& p) {
  const Operand &a = p.in(0), &b = p.in(1);
  return Pair(a.buffer, a.shape, b.buffer, b.shape, broadcast_shapes(p, a.shape, b.shape));
}

// to[i] = f(a[i * a_step], b[i * b_step]). Steps that compilers see through make loops of vectors.
template <class A, class B, class Out, class F>
void zip_row(const A* a, int64_t a_step, const B* b, int64_t b_step, Out* to, int64_t n, const F& f) {
  if (a_step == 1 && b_step == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = f(a[i], b[i]);
  } else if (a_step == 1 && b_step == 0) {
    for (int64_t i = 0; i < n; ++i) to[i] = f(a[i], *b);
  } else if (a_step == 0 && b_step == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = f(*a, b[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = f(a[i * a_step], b[i * b_step]);
  }
}

// out = f(a, b) for any types, element by element.
template <class A, class B, class Out, class F>
Run pair_run(const Pair& pair, BufferId out, F f) {
  return [pair, out, f](const Frame& frame) {
    const A* a = frame.at<A>(pair.a);
    const B* b = frame.at<B>(pair.b);
    Out* to = frame.at<Out>(out);
    pair.walk.rows([&](int64_t at, const auto& from, int64_t n) {
      zip_row(a + from[0], pair.walk.step(0), b + from[1], pair.walk.step(1), to + at, n, f);
    });
  };
}

// One of BinaryKind, by the kernels.
inline Run kernel_pair_run(const OpPlan& p, const Pair& pair, BufferId out, int kind) {
  return [pair, out, kind, binary = p.kernels().binary_f32](const Frame& frame) {
    const float *a = frame.at<float>(pair.a), *b = frame.at<float>(pair.b);
    float* to = frame.at<float>(out);
    pair.walk.rows([&](int64_t at, const auto& from, int64_t n) {
      binary(kind, a + from[0], pair.walk.step(0), b + from[1], pair.walk.step(1), to + at, n);
    });
  };
}

// out = f(in), element by element.
template <class From, class To, class F>
Run map_run(BufferId from, BufferId out, int64_t n, const F& f) {
  return [=](const Frame& frame) {
    const From* in = frame.at<From>(from);
    To* to = frame.at<To>(out);
    for (int64_t i = 0; i < n; ++i) to[i] = f(in[i]);
  };
}

// f(Type<T>{}) with the T of a dtype of integers. The op has refused the others.
template <class F>
void with_integer(DType dtype, const F& f) {
  visit_dtype(dtype, [&](auto type) {
    if constexpr (std::is_integral_v<typename decltype(type)::type>) f(type);
  });
}

}  // namespace lrt

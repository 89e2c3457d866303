// Clip and Cast.
#include <algorithm>
#include <limits>

#include "ops/elementwise.h"

namespace lrt {
namespace {

// A bound of Clip: a scalar that may be left out, or come with the data.
struct Bound {
  BufferId buffer = -1;

  template <class T>
  T value(const Frame& frame, T otherwise) const {
    return buffer < 0 ? otherwise : *frame.at<T>(buffer);
  }
};

Bound plan_bound(OpPlan& p, int input) {
  if (!p.has(input)) return {};
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

}  // namespace

void plan_clip(OpPlan& p) {
  const Bound low = plan_bound(p, 1), high = plan_bound(p, 2);
  const Operand& in = p.in(0);
  const BufferId from = in.buffer, out = p.out(0, in.dtype, in.shape);
  const int64_t n = in.shape.elements();
  keep_time(p, 0, in.time_axis);
  if (in.dtype != DType::f32) {
    return with_integer(
        in.dtype, [&](auto type) { p.run(integer_clip_run<typename decltype(type)::type>(low, high, from, out, n)); });
  }
  p.run([unary = p.kernels().unary_f32, low, high, from, out, n](const Frame& frame) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    unary(LRT_CLAMP, frame.at<float>(from), frame.at<float>(out), n, low.value(frame, -kInfinity),
          high.value(frame, kInfinity));
  });
}

namespace {

void plan_cast_to(OpPlan& p, DType dtype) {
  const Operand& in = p.in(0);
  if (dtype == in.dtype) {
    p.alias(0, 0, in.shape);
    return keep_time(p, 0, in.time_axis);
  }
  const BufferId out = p.out(0, dtype, in.shape);
  keep_time(p, 0, in.time_axis);
  visit_dtype(dtype, [&](auto to) {
    visit_dtype(in.dtype, [&](auto from) {
      using To = typename decltype(to)::type;
      using From = typename decltype(from)::type;
      p.run(map_run<From, To>(in.buffer, out, in.shape.elements(), convert<To, From>));
    });
  });
}

}  // namespace

void plan_cast(OpPlan& p) {
  if (!p.op().find("dtype")) p.refuse(Status::unsupported, "attribute 'dtype' is missing");
  plan_cast_to(p, want_dtype_code(p, p.op().integer("dtype", 0)));
}

void plan_cast_like(OpPlan& p) { plan_cast_to(p, p.in(1).dtype); }

}  // namespace lrt

// Pools over all spatial axes at once: reductions of whole planes.
#include <algorithm>
#include <limits>

#include "ops/checks.h"
#include "ops/power.h"

namespace lrt {
namespace {

struct GlobalPoolCall {
  const Kernels* kernels;
  int64_t n;  // elements of a plane
  int64_t norm;
  BufferId scratch;  // GlobalLpPool: of a plane

  float largest(const float* x, const Frame&) const {
    float found = -std::numeric_limits<float>::infinity();
    for (int64_t i = 0; i < n; ++i) found = x[i] > found || x[i] != x[i] ? x[i] : found;
    return found;
  }

  float sum(const float* x) const {
    float result = 0.0f;
    kernels->reduce_f32(LRT_SUM, x, 1, n, 1, &result);
    return result;
  }

  // Of no elements there is no mean. Written out, since 0/0 has another sign bit from CPU to CPU.
  float average(const float* x, const Frame&) const {
    return n == 0 ? std::numeric_limits<float>::quiet_NaN() : sum(x) / static_cast<float>(n);
  }

  float lp_norm(const float* x, const Frame& frame) const {
    const auto order = static_cast<double>(norm);
    float* powers = frame.at<float>(scratch);
    if (norm <= 2) kernels->unary_f32(norm == 1 ? LRT_ABS : LRT_SQUARE, x, powers, n, 0, 0);
    for (int64_t i = 0; i < n && norm > 2; ++i) powers[i] = static_cast<float>(power(x[i] < 0 ? -x[i] : x[i], order));
    const float sum = this->sum(powers);
    return norm == 1 ? sum : static_cast<float>(power(sum, norm == 2 ? 0.5 : 1.0 / order));
  }
};

void plan_global(OpPlan& p, int64_t norm, float (GlobalPoolCall::*pool)(const float*, const Frame&) const) {
  want_dtype(p, 0, {DType::f32});
  const Operand& x = p.in(0);
  if (x.shape.rank() < 2) p.refuse(Status::shape, "input " + x.shape.text() + "; wanted [N, C, ...]");
  Shape shape = Shape::filled(x.shape.rank(), 1);
  shape[0] = x.shape[0];
  shape[1] = x.shape[1];
  const int64_t n = x.shape.product(2, x.shape.rank());
  const BufferId out = p.out(0, DType::f32, shape);
  const BufferId scratch = norm > 0 ? p.scratch(static_cast<size_t>(n) * sizeof(float)) : -1;
  if (x.time_axis < 2) keep_time(p, 0, x.time_axis);
  const GlobalPoolCall call{&p.kernels(), n, norm, scratch};
  p.run([call, pool, planes = shape.elements(), in = x.buffer, out](const Frame& frame) {
    const float* from = frame.at<float>(in);
    float* to = frame.at<float>(out);
    for (int64_t plane = 0; plane < planes; ++plane) to[plane] = (call.*pool)(from + plane * call.n, frame);
  });
}

}  // namespace

void plan_global_max_pool(OpPlan& p) { plan_global(p, 0, &GlobalPoolCall::largest); }
void plan_global_average_pool(OpPlan& p) { plan_global(p, 0, &GlobalPoolCall::average); }

void plan_global_lp_pool(OpPlan& p) {
  const int64_t norm = p.op().integer("p", 2);
  want_attribute(p, norm >= 1 && norm < 1024, "p", norm, "1 to 1023");
  plan_global(p, norm, &GlobalPoolCall::lp_norm);
}

}  // namespace lrt

// Pools over all spatial axes at once: reductions of whole planes.
#include <limits>

#include "ops/checks.h"
#include "ops/power.h"

namespace lrt {
namespace {

struct GlobalPool {
  const Kernels* kernels;
  int64_t planes, n;
  BufferId in, out;

  void reduce(const Frame& frame, ReduceKind kind, BufferId from) const {
    kernels->reduce_f32(kind, frame.at<float>(from), planes, n, 1, frame.at<float>(out));
  }
};

GlobalPool plan_global(OpPlan& p) {
  const Operand& x = p.in(0);
  Shape shape = Shape::filled(x.shape.rank(), 1);
  shape[0] = x.shape[0];
  shape[1] = x.shape[1];
  const BufferId out = p.out(0, DType::f32, shape);
  if (x.time_axis < 2) keep_time(p, 0, x.time_axis);
  return {&p.kernels(), shape.elements(), x.shape.product(2, x.shape.rank()), x.buffer, out};
}

// (Σ |x|^order)^(1/order)
struct GlobalNorm {
  GlobalPool pool;
  int64_t order;
  BufferId powers;  // of the input; -1 where the reduction makes them

  void operator()(const Frame& frame) const {
    if (order <= 2) {
      pool.reduce(frame, order == 1 ? LRT_SUM_ABS : LRT_SUM_SQUARES, pool.in);
    } else {
      const float* x = frame.at<float>(pool.in);
      float* to = frame.at<float>(powers);
      for (int64_t i = 0; i < pool.planes * pool.n; ++i) {
        to[i] = static_cast<float>(power(x[i] < 0 ? -x[i] : x[i], static_cast<double>(order)));
      }
      pool.reduce(frame, LRT_SUM, powers);
    }
    float* result = frame.at<float>(pool.out);
    if (order == 2) return pool.kernels->unary_f32(LRT_SQRT, result, result, pool.planes, 0, 0);
    for (int64_t i = 0; i < pool.planes && order > 2; ++i) {
      result[i] = static_cast<float>(power(result[i], 1.0 / static_cast<double>(order)));
    }
  }
};

}  // namespace

void plan_global_max_pool(OpPlan& p) {
  p.run([pool = plan_global(p)](const Frame& frame) { pool.reduce(frame, LRT_MOST, pool.in); });
}

void plan_global_average_pool(OpPlan& p) {
  p.run([pool = plan_global(p)](const Frame& frame) {
    pool.reduce(frame, LRT_SUM, pool.in);
    float* mean = frame.at<float>(pool.out);
    for (int64_t i = 0; i < pool.planes; ++i) {
      // Of no elements there is no mean. Written out, since 0/0 has another sign bit from CPU to CPU.
      mean[i] = pool.n == 0 ? std::numeric_limits<float>::quiet_NaN() : mean[i] / static_cast<float>(pool.n);
    }
  });
}

void plan_global_lp_pool(OpPlan& p) {
  const int64_t order = p.op().integer("p", 2);
  want_attribute(p, order >= 1 && order < 1024, "p", order, "1 to 1023");
  const GlobalPool pool = plan_global(p);
  const auto bytes = static_cast<size_t>(pool.planes * pool.n) * sizeof(float);
  p.run(GlobalNorm{pool, order, order > 2 ? p.scratch(bytes) : -1});
}

}  // namespace lrt

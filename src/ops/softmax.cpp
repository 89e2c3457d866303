// Softmax, LogSoftmax and Hardmax: along one axis, or over all axes from it on as if they were one (flatten).
#include <algorithm>

#include "ops/checks.h"

namespace lrt {
namespace {

// [outer, n, inner], of which n is gone along.
struct Rows {
  int64_t outer, n, inner;
  BufferId from, out;
};

Rows plan_rows(OpPlan& p) {
  const Operand& in = p.in(0);
  const int rank = in.shape.rank();
  const bool flatten = p.op().integer("flatten", 0) != 0;
  const int64_t given = p.op().integer("axis", -1);
  // A flattened tensor may have no axis left behind the first, and a scalar is one row of one element.
  const int axis = rank == 0 || (flatten && given == rank) ? rank : want_axis(p, given, rank);
  const int end = flatten ? rank : std::min(axis + 1, rank);
  const BufferId out = p.out(0, DType::f32, in.shape);
  const bool apart = in.time_axis < axis || in.time_axis >= end;
  if (apart) keep_time(p, 0, in.time_axis);
  return {in.shape.product(0, axis), in.shape.product(axis, end), in.shape.product(end, rank), in.buffer, out};
}

void plan_softmax_kind(OpPlan& p, bool is_log) {
  const Rows r = plan_rows(p);
  p.run([r, is_log, softmax = p.kernels().softmax_f32](const Frame& frame) {
    const Softmax work{frame.at<float>(r.from), frame.at<float>(r.out), r.outer, r.n, r.inner, is_log};
    if (r.n > 0) softmax(&work);
  });
}

}  // namespace

void plan_softmax(OpPlan& p) { plan_softmax_kind(p, false); }
void plan_log_softmax(OpPlan& p) { plan_softmax_kind(p, true); }

// One where the largest is first found, else zero.
void plan_hardmax(OpPlan& p) {
  const Rows r = plan_rows(p);
  p.run([r](const Frame& frame) {
    const float* x = frame.at<float>(r.from);
    float* y = frame.at<float>(r.out);
    std::fill(y, y + r.outer * r.n * r.inner, 0.0f);
    if (r.n == 0) return;
    for (int64_t row = 0; row < r.outer * r.inner; ++row) {
      const int64_t first = row / r.inner * r.n * r.inner + row % r.inner;
      int64_t best = first;
      for (int64_t at = first; at < first + r.n * r.inner; at += r.inner) {
        if (x[at] > x[best]) best = at;
      }
      y[best] = 1.0f;
    }
  });
}

}  // namespace lrt

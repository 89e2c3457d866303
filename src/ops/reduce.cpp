// Reductions over axes. Each is a fold of a run of floats into one, and what is made of the result at the end.
#include <limits>

#include "ops/checks.h"

namespace lrt {
namespace {

struct Reduction {
  // n floats, `stride` apart, in an order that is the same on every CPU.
  float (*fold)(const float* x, int64_t n, int64_t stride);
  // In place, on n results that each stand for `count` elements.
  void (*finish)(float* x, int64_t n, int64_t count);
};

// Axes next to each other that are folded as one: [outer, n, inner] → [outer, inner].
struct Fold {
  int64_t outer, n, inner;
  BufferId from, to;
};

struct ReduceCall {
  Reduction reduction;
  std::vector<Fold> folds;
  BufferId out;
  int64_t results, count;

  void operator()(const Frame& frame) const {
    for (const Fold& fold : folds) {
      const float* from = frame.at<float>(fold.from);
      float* to = frame.at<float>(fold.to);
      for (int64_t o = 0; o < fold.outer; ++o, from += fold.n * fold.inner, to += fold.inner) {
        for (int64_t i = 0; i < fold.inner; ++i) to[i] = reduction.fold(from + i, fold.n, fold.inner);
      }
    }
    reduction.finish(frame.at<float>(out), results, count);
  }
};

std::bitset<kMaxRank> read_axes(OpPlan& p, int rank) {
  std::vector<int64_t> axes;
  if (p.inputs() > 1 && p.has(1)) axes = p.integers(1);
  if (!axes.empty()) return want_axes(p, axes, rank);
  std::bitset<kMaxRank> all;
  if (p.op().integer("noop_with_empty_axes", 0) != 0) return all;
  for (int axis = 0; axis < rank; ++axis) all.set(static_cast<size_t>(axis));
  return all;
}

// The last run of axes goes first: what is left of the axes before it stays where it was.
std::vector<Fold> plan_folds(OpPlan& p, const Shape& shape, const std::bitset<kMaxRank>& axes, BufferId out) {
  std::vector<Fold> folds;
  BufferId from = p.in(0).buffer;
  int64_t inner = 1;
  for (int axis = shape.rank(); axis > 0;) {
    const int end = axis--;
    const bool reduced = axes[static_cast<size_t>(axis)];
    while (axis > 0 && axes[static_cast<size_t>(axis - 1)] == reduced) --axis;
    const int64_t n = shape.product(axis, end);
    if (!reduced) {
      inner *= n;
      continue;
    }
    bool last = true;
    for (int before = 0; before < axis; ++before) last = last && !axes[static_cast<size_t>(before)];
    const int64_t outer = shape.product(0, axis);
    const BufferId to = last ? out : p.scratch(static_cast<size_t>(outer * inner) * sizeof(float));
    folds.push_back({outer, n, inner, from, to});
    from = to;
  }
  return folds;
}

void plan_reduce(OpPlan& p, const Reduction& reduction) {
  want_dtype(p, 0, {DType::f32});
  const Operand& in = p.in(0);
  const auto axes = read_axes(p, in.shape.rank());
  if (axes.none()) {
    // Nothing is folded, so what is finished stands for one element each: itself.
    p.alias(0, 0, in.shape);
    return keep_time(p, 0, in.time_axis);
  }
  const bool keep_dims = p.op().integer("keepdims", 1) != 0;
  Shape shape;
  int64_t count = 1;
  int time = -1;
  for (int axis = 0; axis < in.shape.rank(); ++axis) {
    const bool reduced = axes[static_cast<size_t>(axis)];
    if (reduced) count *= in.shape[axis];
    if (axis == in.time_axis && !reduced) time = shape.rank();
    if (!reduced || keep_dims) shape.push_back(reduced ? 1 : in.shape[axis]);
  }
  const BufferId out = p.out(0, DType::f32, shape);
  keep_time(p, 0, time);
  if (shape.elements() == 0) return p.run([](const Frame&) {});
  p.run(ReduceCall{reduction, plan_folds(p, in.shape, axes, out), out, shape.elements(), count});
}

// Of no elements there is no mean. Written out, since 0/0 has another sign bit from CPU to CPU.
void finish_mean(float* x, int64_t n, int64_t count) {
  for (int64_t i = 0; i < n; ++i) {
    x[i] = count == 0 ? std::numeric_limits<float>::quiet_NaN() : x[i] / static_cast<float>(count);
  }
}

}  // namespace

void plan_reduce_mean(OpPlan& p) { plan_reduce(p, {p.kernels().sum_f32, finish_mean}); }

}  // namespace lrt

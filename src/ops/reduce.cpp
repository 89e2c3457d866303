// Reductions over axes. Each is a fold of a run of elements into one, and what is made of the results at the end.
#include <algorithm>
#include <limits>

#include "ops/elementwise.h"

namespace lrt {
namespace {

enum class Finish { none, mean, root, logarithm };

struct Reduction {
  ReduceKind first;  // of the first fold; those after it join its results by `next`
  ReduceKind next;
  Finish finish = Finish::none;
};

// Axes next to each other that are folded as one: [outer, n, inner] → [outer, inner].
struct Fold {
  ReduceKind kind;
  int64_t outer, n, inner;
  BufferId from, to;
};

std::bitset<kMaxRank> read_axes(OpPlan& p, int rank) {
  std::vector<int64_t> axes;
  if (p.has(1)) axes = p.integers(1);
  if (!axes.empty()) return want_axes(p, axes, rank);
  std::bitset<kMaxRank> all;
  if (p.op().integer("noop_with_empty_axes", 0) != 0) return all;
  for (int axis = 0; axis < rank; ++axis) all.set(static_cast<size_t>(axis));
  return all;
}

// The last run of axes goes first: what is left of the axes before it stays where it was.
std::vector<Fold> plan_folds(OpPlan& p, const Reduction& reduction, const std::bitset<kMaxRank>& axes, BufferId out) {
  const Shape& shape = p.in(0).shape;
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
    const BufferId to = last ? out : p.scratch(static_cast<size_t>(outer * inner) * size_of(p.in(0).dtype));
    folds.push_back({folds.empty() ? reduction.first : reduction.next, outer, n, inner, from, to});
    from = to;
  }
  return folds;
}

// ---- Floats ------------------------------------------------------------------------------------------------------

// Of no elements there is no mean. Written out, since 0/0 has another sign bit from CPU to CPU.
void finish_mean(float* x, int64_t n, int64_t count) {
  for (int64_t i = 0; i < n; ++i) {
    x[i] = count == 0 ? std::numeric_limits<float>::quiet_NaN() : x[i] / static_cast<float>(count);
  }
}

struct ReduceFloats {
  const Kernels* kernels;
  Finish finish;
  std::vector<Fold> folds;
  BufferId out;
  int64_t results, count;

  void operator()(const Frame& frame) const {
    for (const Fold& f : folds) {
      kernels->reduce_f32(f.kind, frame.at<float>(f.from), f.outer, f.n, f.inner, frame.at<float>(f.to));
    }
    float* y = frame.at<float>(out);
    if (finish == Finish::mean) finish_mean(y, results, count);
    if (finish == Finish::root) kernels->unary_f32(LRT_SQRT, y, y, results, 0.0f, 0.0f);
    if (finish == Finish::logarithm) kernels->unary_f32(LRT_LOG, y, y, results, 0.0f, 0.0f);
  }
};

// ---- Integers, which wrap ------------------------------------------------------------------------------------------

template <class T>
T fold_start(ReduceKind kind) {
  if (kind == LRT_LEAST) return std::numeric_limits<T>::max();
  if (kind == LRT_MOST) return std::numeric_limits<T>::lowest();
  return kind == LRT_PRODUCT ? T{1} : T{0};
}

template <class T>
T fold_one(ReduceKind kind, T so_far, T x) {
  using Unsigned = std::make_unsigned_t<T>;
  const auto a = static_cast<Unsigned>(so_far), b = static_cast<Unsigned>(x);
  switch (kind) {
    case LRT_SUM_ABS:
      return static_cast<T>(x < T{1} ? a - b : a + b);
    case LRT_SUM_SQUARES:
      return static_cast<T>(a + b * b);
    case LRT_PRODUCT:
      return static_cast<T>(a * b);
    case LRT_LEAST:
      return std::min(so_far, x);
    case LRT_MOST:
      return std::max(so_far, x);
    default:
      return static_cast<T>(a + b);
  }
}

// A bool counts as 0 or 1, whatever its byte.
template <class T>
struct ReduceIntegers {
  using Number = std::conditional_t<std::is_same_v<T, Bool>, uint8_t, T>;

  Finish finish;
  std::vector<Fold> folds;
  BufferId out;
  int64_t results, count;

  static void run(const Fold& f, const T* x, Number* y) {
    for (int64_t o = 0; o < f.outer; ++o, y += f.inner) {
      std::fill(y, y + f.inner, fold_start<Number>(f.kind));
      for (int64_t j = 0; j < f.n; ++j, x += f.inner) {
        for (int64_t i = 0; i < f.inner; ++i) y[i] = fold_one(f.kind, y[i], convert<Number>(x[i]));
      }
    }
    if (!std::is_same_v<T, Bool> || f.n > 0) return;
    for (int64_t i = 1; i <= f.outer * f.inner; ++i) y[-i] = y[-i] != 0;  // of nothing: true for the least, else false
  }

  void operator()(const Frame& frame) const {
    for (const Fold& f : folds) run(f, frame.at<const T>(f.from), frame.at<Number>(f.to));
    if (finish != Finish::mean || count == 0) return;
    Number* y = frame.at<Number>(out);
    for (int64_t i = 0; i < results; ++i) y[i] = static_cast<Number>(static_cast<int64_t>(y[i]) / count);
  }
};

// ---- Planning ----------------------------------------------------------------------------------------------------

Shape reduced_shape(const Shape& shape, const std::bitset<kMaxRank>& axes, bool keep_dims, int* time) {
  Shape result;
  int to = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const bool reduced = axes[static_cast<size_t>(axis)];
    if (axis == *time && !reduced) to = result.rank();
    if (!reduced || keep_dims) result.push_back(reduced ? 1 : shape[axis]);
  }
  *time = to;
  return result;
}

// Whether of one element there comes that element.
bool is_itself(const Reduction& reduction) {
  return reduction.first == reduction.next && reduction.finish != Finish::logarithm;
}

void plan_reduce(OpPlan& p, const Reduction& reduction) {
  const Operand& in = p.in(0);
  const auto axes = read_axes(p, in.shape.rank());
  int time = in.time_axis;
  const Shape shape = reduced_shape(in.shape, axes, p.op().integer("keepdims", 1) != 0, &time);
  if (axes.none() && is_itself(reduction)) {
    p.alias(0, 0, in.shape);
    return keep_time(p, 0, in.time_axis);
  }
  const BufferId out = p.out(0, in.dtype, shape);
  keep_time(p, 0, time);
  const int64_t results = shape.elements();
  if (results == 0) return;
  int64_t count = 1;
  for (int axis = 0; axis < in.shape.rank(); ++axis) count *= axes[static_cast<size_t>(axis)] ? in.shape[axis] : 1;
  std::vector<Fold> folds = plan_folds(p, reduction, axes, out);
  if (axes.none()) folds = {{reduction.first, 1, 1, results, in.buffer, out}};
  visit_dtype(in.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_same_v<T, float>) {
      p.run(ReduceFloats{&p.kernels(), reduction.finish, folds, out, results, count});
    } else {
      p.run(ReduceIntegers<T>{reduction.finish, folds, out, results, count});
    }
  });
}

}  // namespace

void plan_reduce_sum(OpPlan& p) { plan_reduce(p, {LRT_SUM, LRT_SUM}); }
void plan_reduce_mean(OpPlan& p) { plan_reduce(p, {LRT_SUM, LRT_SUM, Finish::mean}); }
void plan_reduce_prod(OpPlan& p) { plan_reduce(p, {LRT_PRODUCT, LRT_PRODUCT}); }
void plan_reduce_min(OpPlan& p) { plan_reduce(p, {LRT_LEAST, LRT_LEAST}); }
void plan_reduce_max(OpPlan& p) { plan_reduce(p, {LRT_MOST, LRT_MOST}); }
void plan_reduce_l1(OpPlan& p) { plan_reduce(p, {LRT_SUM_ABS, LRT_SUM}); }
void plan_reduce_l2(OpPlan& p) { plan_reduce(p, {LRT_SUM_SQUARES, LRT_SUM, Finish::root}); }
void plan_reduce_sum_square(OpPlan& p) { plan_reduce(p, {LRT_SUM_SQUARES, LRT_SUM}); }
void plan_reduce_log_sum(OpPlan& p) { plan_reduce(p, {LRT_SUM, LRT_SUM, Finish::logarithm}); }
void plan_reduce_log_sum_exp(OpPlan& p) { plan_reduce(p, {LRT_LOG_SUM_EXP, LRT_LOG_SUM_EXP}); }

}  // namespace lrt

// ArgMax and ArgMin: where along an axis the largest or smallest stands. A NaN is more than any number either way.
#include "ops/dtypes.h"
#include "ops/indices.h"

namespace lrt {
namespace {

template <class T>
bool is_nan(T value) {
  return value != value;
}

struct ArgCall {
  AroundAxis around;
  DType dtype;
  bool largest, last;
  BufferId in, out;

  void operator()(const Frame& frame) const {
    visit_dtype(dtype, [&](auto type) { run(frame.at<typename decltype(type)::type>(in), frame.at<int64_t>(out)); });
  }

  template <class T>
  void run(const T* from, int64_t* to) const {
    for (int64_t o = 0; o < around.outer; ++o, from += around.dim * around.inner) {
      for (int64_t i = 0; i < around.inner; ++i) *to++ = find(from + i);
    }
  }

  template <class T>
  int64_t find(const T* line) const {
    int64_t found = 0;
    T best = line[0];
    for (int64_t i = 1; i < around.dim; ++i) {
      const T value = line[i * around.inner];
      const bool better = is_nan(value) ? !is_nan(best) : largest ? value > best : value < best;
      const bool equal = is_nan(value) ? is_nan(best) : value == best;
      if (!better && !(last && equal)) continue;
      best = value;
      found = i;
    }
    return found;
  }
};

void plan_arg(OpPlan& p, bool largest) {
  const Operand& in = p.in(0);
  const int axis = want_axis(p, p.op().integer("axis", 0), in.shape.rank());
  const bool keep_dims = p.op().integer("keepdims", 1) != 0;
  Shape shape = in.shape;
  shape[axis] = 1;
  if (!keep_dims) shape.erase(axis);
  if (in.shape[axis] == 0 && shape.elements() > 0) {
    p.refuse(Status::shape, "axis " + std::to_string(axis) + " of shape " + in.shape.text() + " holds nothing");
  }
  const BufferId out = p.out(0, DType::i64, shape);
  const int time = in.time_axis;
  if (time != axis) keep_time(p, 0, time > axis && !keep_dims ? time - 1 : time);
  p.run(ArgCall{AroundAxis(in.shape, axis), in.dtype, largest, p.op().integer("select_last_index", 0) != 0, in.buffer,
                out});
}

}  // namespace

void plan_arg_max(OpPlan& p) { plan_arg(p, true); }
void plan_arg_min(OpPlan& p) { plan_arg(p, false); }

}  // namespace lrt

// TopK: the k largest or smallest along an axis, in order, with where they stood. Of equals the first comes first; a NaN is
// larger than any number.
#include <algorithm>

#include "ops/dtypes.h"
#include "ops/indices.h"

namespace lrt {
namespace {

// A strict order of all places of a line, so that sorting gives one result.
template <class T>
struct Before {
  const T* line;
  int64_t stride;
  bool largest;

  static bool less(T a, T b) { return a < b || (b != b && a == a); }
  bool operator()(int64_t a, int64_t b) const {
    const T x = line[a * stride], y = line[b * stride];
    if (less(x, y)) return !largest;
    if (less(y, x)) return largest;
    return a < b;
  }
};

struct TopKCall {
  AroundAxis around;
  int64_t k;
  DType dtype;
  bool largest;
  BufferId in, values, indices, order;  // order: scratch, the places of one line

  void operator()(const Frame& frame) const {
    visit_dtype(dtype, [&](auto type) {
      using T = typename decltype(type)::type;
      run(frame.at<const T>(in), frame.at<T>(values), frame.at<int64_t>(indices), frame.at<int64_t>(order));
    });
  }

  template <class T>
  void run(const T* from, T* value, int64_t* index, int64_t* place) const {
    for (int64_t o = 0; o < around.outer; ++o) {
      for (int64_t i = 0; i < around.inner; ++i) {
        const T* line = from + o * around.dim * around.inner + i;
        for (int64_t j = 0; j < around.dim; ++j) place[j] = j;
        std::partial_sort(place, place + k, place + around.dim, Before<T>{line, around.inner, largest});
        for (int64_t j = 0; j < k; ++j) {
          const int64_t to = (o * k + j) * around.inner + i;
          value[to] = line[place[j] * around.inner];
          index[to] = place[j];
        }
      }
    }
  }
};

}  // namespace

void plan_top_k(OpPlan& p) {
  const Operand& in = p.in(0);
  const int axis = want_axis(p, p.op().integer("axis", -1), in.shape.rank());
  const std::vector<int64_t> given = p.integers(1);
  if (given.size() != 1 || given[0] < 0 || given[0] > in.shape[axis]) {
    p.refuse(Status::shape,
             "k is not from 0 to the " + std::to_string(in.shape[axis]) + " elements of axis " + std::to_string(axis));
  }
  Shape shape = in.shape;
  shape[axis] = given[0];
  const BufferId values = p.out(0, in.dtype, shape), indices = p.out(1, DType::i64, shape);
  const BufferId order = p.scratch(static_cast<size_t>(in.shape[axis]) * sizeof(int64_t));
  for (int output = 0; output < 2 && in.time_axis != axis; ++output) keep_time(p, output, in.time_axis);
  p.run(TopKCall{AroundAxis(in.shape, axis), given[0], in.dtype, p.op().integer("largest", 1) != 0, in.buffer, values,
                 indices, order});
}

}  // namespace lrt

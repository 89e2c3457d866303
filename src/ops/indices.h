// Indices that ops take as data: int64 or int32, counted from the end where negative.
#pragma once

#include <cstdint>
#include <string>

#include "ops/checks.h"

namespace lrt {

inline int64_t from_front(int64_t index, int64_t dim) { return index < 0 ? index + dim : index; }
inline bool is_inside(int64_t index, int64_t dim) { return index >= 0 && index < dim; }

// One that comes with the data can be anything; it must not read outside.
inline int64_t clamped(int64_t index, int64_t dim) {
  const int64_t at = from_front(index, dim);
  return at < 0 ? 0 : at < dim ? at : dim - 1;
}

// An array of indices in a running plan.
struct IndexArray {
  BufferId buffer = -1;
  bool wide = true;  // int64

  // f(pointer to the indices)
  template <class F>
  void visit(const Frame& frame, const F& f) const {
    if (wide) return f(frame.at<int64_t>(buffer));
    f(frame.at<int32_t>(buffer));
  }
};

inline IndexArray want_indices(OpPlan& p, int input) {
  want_dtype(p, input, {DType::i64, DType::i32});
  return {p.in(input).buffer, p.in(input).dtype == DType::i64};
}

// An index that is known beforehand must be inside; `dims` has the axis of each of the last dim's indices, over and over.
inline void check_known_indices(OpPlan& p, int input, const Shape& dims) {
  if (!p.in(input).known || dims.rank() == 0) return;
  int axis = 0;
  for (const int64_t index : p.integers(input)) {
    const int64_t dim = dims[axis];
    if (index < -dim || index >= dim) {
      p.refuse(Status::shape, "index " + std::to_string(index) + " is outside an axis of " + std::to_string(dim));
    }
    axis = axis + 1 == dims.rank() ? 0 : axis + 1;
  }
}

// A shape around one axis.
struct AroundAxis {
  int64_t outer = 1, dim = 1, inner = 1;
  AroundAxis() = default;
  AroundAxis(const Shape& shape, int axis)
      : outer(shape.product(0, axis)), dim(shape[axis]), inner(shape.product(axis + 1, shape.rank())) {}
};

}  // namespace lrt

// Gather: slices picked by index along one axis, such as the rows of an embedding.
#include <algorithm>
#include <cstring>

#include "ops/checks.h"
#include "ops/dtypes.h"

namespace lrt {
namespace {

// data [outer, dim, block], indices [count] → out [outer, count, block]; block in bytes.
struct GatherCall {
  BufferId data, indices, out;
  int64_t outer, dim, count;
  size_t block;

  template <class Index>
  void run(const Frame& frame) const {
    const char* from = frame.at<char>(data);
    const Index* index = frame.at<Index>(indices);
    char* to = frame.at<char>(out);
    for (int64_t o = 0; o < outer; ++o, from += static_cast<size_t>(dim) * block) {
      for (int64_t i = 0; i < count; ++i, to += block) {
        std::memcpy(to, from + static_cast<size_t>(row(index[i])) * block, block);
      }
    }
  }

  // An index that comes with the data can be anything; it must not read outside.
  int64_t row(int64_t index) const { return std::clamp<int64_t>(index < 0 ? index + dim : index, 0, dim - 1); }
};

void check_known_indices(OpPlan& p, int64_t dim) {
  if (!p.in(1).known) return;
  for (const int64_t index : p.integers(1)) {
    if (index >= -dim && index < dim) continue;
    p.refuse(Status::shape, "index " + std::to_string(index) + " is outside an axis of " + std::to_string(dim));
  }
}

// Time may be in the data, off the axis, or in the indices. The indices' axes take the place of the data's.
void keep_gather_time(OpPlan& p, int axis) {
  const int data = time_of(p, 0), indices = time_of(p, 1);
  if (data >= 0 && indices >= 0) return;
  if (indices >= 0) keep_time(p, 0, axis + indices);
  if (data >= 0 && data < axis) keep_time(p, 0, data);
  if (data > axis) keep_time(p, 0, data - 1 + p.in(1).shape.rank());
}

}  // namespace

void plan_gather(OpPlan& p) {
  const Operand &data = p.in(0), &indices = p.in(1);
  const int axis = want_axis(p, p.op().integer("axis", 0), data.shape.rank());
  const int64_t dim = data.shape[axis], count = indices.shape.elements();
  check_known_indices(p, dim);
  if (dim == 0 && count > 0) p.refuse(Status::shape, "there is nothing to pick from in shape " + data.shape.text());

  Shape shape = data.shape;
  shape.erase(axis);
  for (int i = 0; i < indices.shape.rank(); ++i) shape.insert(axis + i, indices.shape[i]);
  const size_t block = static_cast<size_t>(data.shape.product(axis + 1, data.shape.rank())) * size_of(data.dtype);
  const BufferId out = p.out(0, data.dtype, shape);
  keep_gather_time(p, axis);
  const GatherCall call{data.buffer, indices.buffer, out, data.shape.product(0, axis), dim, count, block};
  if (indices.dtype == DType::i64) return p.run([call](const Frame& frame) { call.run<int64_t>(frame); });
  p.run([call](const Frame& frame) { call.run<int32_t>(frame); });
}

}  // namespace lrt

// Transpose. Moving axes of size 1 about moves no data.
#include "ops/checks.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// perm[i] is the input's axis that becomes axis i; left out, the axes are reversed.
std::vector<int> read_perm(const OpPlan& p, int rank) {
  std::vector<int64_t> given = p.op().integers("perm");
  if (!p.op().find("perm")) {
    for (int axis = rank - 1; axis >= 0; --axis) given.push_back(axis);
  }
  if (given.size() != static_cast<size_t>(rank)) {
    p.refuse(Status::shape, "perm has " + std::to_string(given.size()) + " axes, the input " + std::to_string(rank));
  }
  want_axes(p, given, rank);
  std::vector<int> perm;
  for (const int64_t axis : given) perm.push_back(want_axis(p, axis, rank));
  return perm;
}

bool moves_data(const Shape& shape, const std::vector<int>& perm) {
  int last = -1;
  for (const int axis : perm) {
    if (shape[axis] == 1) continue;
    if (axis < last) return true;
    last = axis;
  }
  return false;
}

}  // namespace

void plan_transpose(OpPlan& p) {
  const Operand& in = p.in(0);
  const std::vector<int> perm = read_perm(p, in.shape.rank());
  const Strides own = row_major(in.shape);
  Shape shape;
  Strides strides{};
  int time = -1;
  for (const int axis : perm) {
    if (axis == in.time_axis) time = shape.rank();
    strides[static_cast<size_t>(shape.rank())] = own[static_cast<size_t>(axis)];
    shape.push_back(in.shape[axis]);
  }
  if (moves_data(in.shape, perm)) {
    const BufferId out = p.out(0, in.dtype, shape);
    p.run([copy = StridedCopy(size_of(in.dtype), shape, strides), from = in.buffer, out](const Frame& frame) {
      copy(frame.at<void>(from), frame.at<void>(out));
    });
  } else {
    p.alias(0, 0, shape);
  }
  keep_time(p, 0, time);
}

}  // namespace lrt

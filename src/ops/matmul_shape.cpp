#include "ops/matmul_shape.h"

#include "ops/checks.h"

namespace lrt {

Side read_side(const OpPlan& p, int input, bool left) {
  const Shape& shape = p.in(input).shape;
  const int rank = shape.rank();
  if (rank == 1) return {left ? 1 : shape[0], left ? shape[0] : 1, {}};
  Side side{shape[rank - 2], shape[rank - 1], {}};
  for (int axis = 0; axis < rank - 2; ++axis) side.batch.push_back(shape[axis]);
  return side;
}

MatMulShape join_sides(const OpPlan& p, const Side& left, const Side& right) {
  const Shape &a = p.in(0).shape, &b = p.in(1).shape;
  if (left.cols != right.rows) {
    p.refuse(Status::shape, "shapes " + a.text() + " and " + b.text() + " do not multiply: " +
                                std::to_string(left.cols) + " columns meet " + std::to_string(right.rows) + " rows");
  }
  MatMulShape shape{left, right, broadcast_shapes(p, left.batch, right.batch), {}};
  shape.out = shape.batch;
  if (a.rank() > 1) shape.out.push_back(left.rows);
  if (b.rank() > 1) shape.out.push_back(right.cols);
  return shape;
}

void keep_product_time(OpPlan& p, const Shape& batch) {
  const Shape &a = p.in(0).shape, &b = p.in(1).shape;
  const int a_time = time_of(p, 0), b_time = time_of(p, 1);
  if (a_time >= 0 && b_time < 0 && a.rank() > 1 && a_time == a.rank() - 2) return keep_time(p, 0, batch.rank());
  if (b_time >= 0 && a_time < 0 && b.rank() > 1 && b_time == b.rank() - 1) {
    return keep_time(p, 0, batch.rank() + (a.rank() > 1 ? 1 : 0));
  }
  const auto batch_axis = [&](const Shape& side, int time) {
    return time >= 0 && time < side.rank() - 2 ? time + batch.rank() - (side.rank() - 2) : -1;
  };
  const int a_axis = batch_axis(a, a_time), b_axis = batch_axis(b, b_time);
  const int axis = a_axis >= 0 ? a_axis : b_axis;
  const auto fits = [&](const Shape& side, int time, int own) {
    if (time >= 0) return own == axis && side[time] == batch[axis];
    const int aligned = axis - (batch.rank() - (side.rank() - 2));
    return aligned < 0 || side[aligned] == 1;
  };
  if (axis >= 0 && fits(a, a_time, a_axis) && fits(b, b_time, b_axis)) p.time_axis(0, axis);
}

}  // namespace lrt

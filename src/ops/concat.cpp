// Concat: tensors one after the other along an axis.
#include <cstring>

#include "ops/checks.h"

namespace lrt {
namespace {

struct Piece {
  BufferId buffer;
  size_t bytes;  // of one row: what the input holds behind the axes before the one that is joined
};

// Time may not be joined, and every input must have it: one without would be cut differently frame by frame.
void keep_concat_time(OpPlan& p, int axis) {
  const int time = p.in(0).time_axis;
  for (int input = 1; input < p.inputs(); ++input) {
    if (p.in(input).time_axis != time) return;
  }
  if (time != axis) keep_time(p, 0, time);
}

Shape joined_shape(const OpPlan& p, int axis) {
  Shape shape = p.in(0).shape;
  for (int input = 1; input < p.inputs(); ++input) {
    Shape other = p.in(input).shape;
    const bool fits = other.rank() == shape.rank();
    const int64_t dim = fits ? other[axis] : 0;
    if (fits) other[axis] = shape[axis];
    if (other != shape) {
      p.refuse(Status::shape, input_text(p, input) + " has shape " + p.in(input).shape.text() + ", input 0 " +
                                  p.in(0).shape.text() + "; they may differ along axis " + std::to_string(axis) +
                                  " only");
    }
    shape[axis] += dim;
  }
  return shape;
}

}  // namespace

void plan_concat(OpPlan& p) {
  const Operand& first = p.in(0);
  if (!p.op().find("axis")) p.refuse(Status::unsupported, "attribute 'axis' is missing");
  const int axis = want_axis(p, p.op().integer("axis", 0), first.shape.rank());
  const Shape shape = joined_shape(p, axis);
  keep_concat_time(p, axis);
  if (p.inputs() == 1) return p.alias(0, 0, shape);

  const BufferId out = p.out(0, first.dtype, shape);
  std::vector<Piece> pieces;
  for (int input = 0; input < p.inputs(); ++input) {
    const Operand& in = p.in(input);
    const int64_t elements = in.shape.product(axis, in.shape.rank());
    if (elements > 0) pieces.push_back({in.buffer, static_cast<size_t>(elements) * size_of(in.dtype)});
  }
  p.run([pieces, out, rows = shape.product(0, axis)](const Frame& frame) {
    char* to = frame.at<char>(out);
    for (int64_t row = 0; row < rows; ++row) {
      for (const Piece& piece : pieces) {
        const char* from = frame.at<char>(piece.buffer) + static_cast<size_t>(row) * piece.bytes;
        std::memcpy(to, from, piece.bytes);
        to += piece.bytes;
      }
    }
  });
}

}  // namespace lrt

// Ops about shapes: those that look at the same bytes another way, those that tell a shape, and those that fill one.
#include <algorithm>
#include <cstring>

#include "ops/checks.h"
#include "ops/dtypes.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// Dims as an input gives them; a Shape checks only their number.
Shape read_dims(OpPlan& p, int input) {
  const std::vector<int64_t> dims = p.integers(input);
  for (const int64_t dim : dims) {
    if (dim < 0) p.refuse(Status::shape, input_text(p, input) + " asks for a dim of " + std::to_string(dim));
  }
  return Shape(dims);
}

// ONNX Reshape-21: 0 takes the input's dim (unless allowzero), one -1 takes what is left. The dims that are taken over
// count on neither side, so that what is left is known of an empty tensor too.
Shape reshaped(OpPlan& p, const Shape& from) {
  const bool allow_zero = p.op().integer("allowzero", 0) != 0;
  Shape shape(p.integers(1)), left = from, given = shape;
  const auto refuse = [&] {
    p.refuse(Status::shape, "the input's shape " + from.text() + " cannot be read as " + Shape(p.integers(1)).text());
  };
  int free_axis = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 0 && !allow_zero) {
      if (axis >= from.rank()) refuse();
      shape[axis] = from[axis];
      left[axis] = given[axis] = 1;
    } else if (shape[axis] < 0) {
      if (shape[axis] != -1 || free_axis >= 0) refuse();
      free_axis = axis;
      given[axis] = 1;
    }
  }
  const int64_t wanted = left.elements(), known = given.elements();
  if (free_axis >= 0 ? known == 0 || wanted % known != 0 : wanted != known) refuse();
  if (free_axis >= 0) shape[free_axis] = wanted / known;
  return shape;
}

void fill_out(OpPlan& p, DType dtype, const Shape& shape, const void* element) {
  const BufferId out = p.out(0, dtype, shape);
  std::array<char, sizeof(int64_t)> bytes{};
  std::memcpy(bytes.data(), element, size_of(dtype));
  p.run([bytes, out, size = size_of(dtype), n = shape.elements()](const Frame& frame) {
    fill_elements(frame.at<void>(out), bytes.data(), size, n);
  });
}

// A shape that names the steps is right frame by frame only where it is made from their number.
void keep_expanded_time(OpPlan& p, const Shape& shape) {
  const Operand& in = p.in(0);
  if (in.time_axis < 0) return;
  const int time = in.time_axis + shape.rank() - in.shape.rank();
  const std::vector<int64_t> wanted = p.integers(1);
  const int place = time - (shape.rank() - static_cast<int>(wanted.size()));
  const bool names_steps = place >= 0 && wanted[static_cast<size_t>(place)] != 1;
  if (shape[time] == in.shape[in.time_axis] && !(names_steps && p.in(1).is_static)) p.time_axis(0, time);
}

}  // namespace

void plan_reshape(OpPlan& p) { alias_input(p, reshaped(p, p.in(0).shape)); }

void plan_flatten(OpPlan& p) {
  const Shape& from = p.in(0).shape;
  const int64_t given = p.op().integer("axis", 1);
  // Behind the last axis is a place too.
  const int axis = given == from.rank() ? from.rank() : want_axis(p, given, from.rank());
  alias_input(p, {from.product(0, axis), from.product(axis, from.rank())});
}

void plan_squeeze(OpPlan& p) {
  const Shape& from = p.in(0).shape;
  const bool some = p.has(1);
  const auto axes = some ? want_axes(p, p.integers(1), from.rank()) : std::bitset<kMaxRank>();
  Shape shape;
  for (int axis = 0; axis < from.rank(); ++axis) {
    const bool goes = some ? axes[static_cast<size_t>(axis)] : from[axis] == 1;
    if (goes && from[axis] != 1) {
      p.refuse(Status::shape, "axis " + std::to_string(axis) + " of shape " + from.text() + " is not 1");
    }
    if (!goes) shape.push_back(from[axis]);
  }
  // Without axes a single step would lose its time axis, many steps would keep it: then nothing is said of time.
  if (!some) return p.alias(0, 0, shape);
  alias_input(p, shape);
}

void plan_unsqueeze(OpPlan& p) {
  const Shape& from = p.in(0).shape;
  const std::vector<int64_t> given = p.integers(1);
  const int64_t rank = from.rank() + static_cast<int64_t>(given.size());
  if (rank > kMaxRank) {
    p.refuse(Status::unsupported,
             std::to_string(rank) + " dims; at most " + std::to_string(kMaxRank) + " are supported");
  }
  const auto axes = want_axes(p, given, static_cast<int>(rank));
  Shape shape;
  int next = 0;
  for (int axis = 0; axis < rank; ++axis) shape.push_back(axes[static_cast<size_t>(axis)] ? 1 : from[next++]);
  alias_input(p, shape);
}

void plan_shape(OpPlan& p) {
  const Shape& shape = p.in(0).shape;
  const int64_t rank = shape.rank();
  const auto position = [rank](int64_t axis) { return std::clamp<int64_t>(axis < 0 ? axis + rank : axis, 0, rank); };
  const int64_t start = position(p.op().integer("start", 0)), end = position(p.op().integer("end", rank));
  const int64_t count = std::max<int64_t>(end - start, 0);
  auto* out = static_cast<int64_t*>(p.known_out(0, DType::i64, {count}));
  for (int64_t i = 0; i < count; ++i) out[i] = shape[static_cast<int>(start + i)];
}

void plan_size(OpPlan& p) { *static_cast<int64_t*>(p.known_out(0, DType::i64, {})) = p.in(0).shape.elements(); }

void plan_expand(OpPlan& p) {
  const Operand& in = p.in(0);
  const Shape shape = broadcast_shapes(p, in.shape, read_dims(p, 1));
  if (shape.elements() == in.shape.elements()) {
    p.alias(0, 0, shape);
  } else {
    const BufferId out = p.out(0, in.dtype, shape);
    const StridedCopy copy(size_of(in.dtype), shape, broadcast_strides(in.shape, shape));
    p.run([copy, from = in.buffer, out](const Frame& frame) { copy(frame.at<void>(from), frame.at<void>(out)); });
  }
  keep_expanded_time(p, shape);
}

void plan_constant_of_shape(OpPlan& p) {
  const Shape shape = read_dims(p, 0);
  const DType dtype = want_dtype_code(p, p.op().integer("dtype", 0));
  if (dtype == DType::f32) {
    const float value = p.op().number("value", 0.0f);
    return fill_out(p, dtype, shape, &value);
  }
  const int64_t value = p.op().integer("value", 0);
  visit_dtype(dtype, [&](auto type) {
    const auto element = convert<typename decltype(type)::type>(value);
    fill_out(p, dtype, shape, &element);
  });
}

}  // namespace lrt

// Tile: a tensor again and again along its axes.
#include <cstring>

#include "ops/checks.h"

namespace lrt {
namespace {

struct TileAxis {
  int64_t dim, repeats;
  size_t in, out;  // bytes of one position
};

struct TileCall {
  std::vector<TileAxis> axes;  // up to the last that is repeated
  BufferId in, out;

  void operator()(const Frame& frame) const { write(0, frame.at<char>(in), frame.at<char>(out)); }

  // One position of the axis before: once from the input, then copies of that.
  void write(size_t depth, const char* from, char* to) const {
    const TileAxis& axis = axes[depth];
    const size_t once = static_cast<size_t>(axis.dim) * axis.out;
    if (depth + 1 == axes.size()) {
      std::memcpy(to, from, once);
    } else {
      for (int64_t i = 0; i < axis.dim; ++i) {
        write(depth + 1, from + static_cast<size_t>(i) * axis.in, to + static_cast<size_t>(i) * axis.out);
      }
    }
    for (int64_t i = 1; i < axis.repeats; ++i) std::memcpy(to + static_cast<size_t>(i) * once, to, once);
  }
};

}  // namespace

void plan_tile(OpPlan& p) {
  const Operand& in = p.in(0);
  const std::vector<int64_t> repeats = p.integers(1);
  const int rank = in.shape.rank();
  if (repeats.size() != static_cast<size_t>(rank)) {
    p.refuse(Status::shape, std::to_string(repeats.size()) + " repeats for shape " + in.shape.text());
  }
  Shape shape = in.shape;
  int last = -1;
  for (int axis = 0; axis < rank; ++axis) {
    const int64_t count = repeats[static_cast<size_t>(axis)];
    if (count < 0 || count > kMaxElements || (shape[axis] > 0 && count > kMaxElements / shape[axis])) {
      p.refuse(Status::shape, "cannot repeat shape " + in.shape.text() + " " + std::to_string(count) + " times");
    }
    shape[axis] *= count;
    if (count != 1) last = axis;
  }
  if (last < 0) {
    p.alias(0, 0, shape);
    return keep_time(p, 0, in.time_axis);
  }
  const BufferId out = p.out(0, in.dtype, shape);
  if (in.time_axis >= 0 && repeats[static_cast<size_t>(in.time_axis)] == 1) p.time_axis(0, in.time_axis);
  TileCall call{{}, in.buffer, out};
  for (int axis = 0; axis <= last; ++axis) {
    const auto bytes = [&](const Shape& of) {
      return static_cast<size_t>(of.product(axis + 1, rank)) * size_of(in.dtype);
    };
    call.axes.push_back({in.shape[axis], repeats[static_cast<size_t>(axis)], bytes(in.shape), bytes(shape)});
  }
  p.run(call);
}

}  // namespace lrt

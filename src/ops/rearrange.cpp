// DepthToSpace and SpaceToDepth, which are transposes of more axes than the tensor has; ReverseSequence; CenterCropPad.
#include <algorithm>
#include <cstring>

#include "ops/checks.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// A tensor read as `dims`, whose axes are put in the order `perm` and then seen as `shape`.
void plan_rearranged(OpPlan& p, const Shape& dims, const std::vector<size_t>& perm, const Shape& shape) {
  const Operand& in = p.in(0);
  const Strides own = row_major(dims);
  Shape order;
  Strides strides{};
  for (const size_t axis : perm) {
    strides[static_cast<size_t>(order.rank())] = own[axis];
    order.push_back(dims[static_cast<int>(axis)]);
  }
  const BufferId out = p.out(0, in.dtype, shape);
  if (in.time_axis == 0) p.time_axis(0, 0);
  p.run([copy = StridedCopy(size_of(in.dtype), order, strides), from = in.buffer, out](const Frame& frame) {
    copy(frame.at<void>(from), frame.at<void>(out));
  });
}

bool read_crd_mode(OpPlan& p) {
  const std::string mode = p.op().text("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") p.refuse(Status::unsupported, "mode is '" + mode + "'; supported: DCR, CRD");
  return mode == "CRD";
}

int64_t read_block_size(OpPlan& p) {
  const int64_t size = p.op().integer("blocksize", 0);
  want_attribute(p, size >= 1 && size < int64_t{1} << 20, "blocksize", size, "1 or more");
  return size;
}

// What lies behind the first two axes, moved as a whole: of each item, what is before its length goes the other way.
struct ReverseCall {
  int64_t items, steps;
  int64_t item_stride, step_stride;  // in rows
  size_t row;
  BufferId in, out, lengths;
  std::string where;

  void operator()(const Frame& frame) const {
    const char* from = frame.at<char>(in);
    char* to = frame.at<char>(out);
    const auto* length = frame.at<int64_t>(lengths);
    check_lengths(where, length, items, steps);
    for (int64_t item = 0; item < items; ++item) {
      const int64_t end = length[item];
      for (int64_t t = 0; t < steps; ++t) {
        const int64_t source = t < end ? end - 1 - t : t;
        std::memcpy(to + bytes(item, t), from + bytes(item, source), row);
      }
    }
  }

  size_t bytes(int64_t item, int64_t step) const {
    return static_cast<size_t>(item * item_stride + step * step_stride) * row;
  }
};

}  // namespace

void plan_depth_to_space(OpPlan& p) {
  const int64_t size = read_block_size(p);
  const Shape x = p.in(0).shape;
  if (x[1] % (size * size) != 0) {
    p.refuse(Status::shape, std::to_string(x[1]) + " channels are not divided by blocks of " + std::to_string(size));
  }
  const int64_t depth = x[1] / (size * size);
  const Shape shape{x[0], depth, x[2] * size, x[3] * size};
  if (read_crd_mode(p)) return plan_rearranged(p, {x[0], depth, size, size, x[2], x[3]}, {0, 1, 4, 2, 5, 3}, shape);
  plan_rearranged(p, {x[0], size, size, depth, x[2], x[3]}, {0, 3, 4, 1, 5, 2}, shape);
}

void plan_space_to_depth(OpPlan& p) {
  const int64_t size = read_block_size(p);
  const Shape x = p.in(0).shape;
  if (x[2] % size != 0 || x[3] % size != 0) {
    p.refuse(Status::shape, "shape " + x.text() + " is not divided by blocks of " + std::to_string(size));
  }
  if (x[1] > 0 && size * size > kMaxElements / x[1]) p.refuse(Status::shape, "its result is too large");
  const Shape dims{x[0], x[1], x[2] / size, size, x[3] / size, size};
  const Shape shape{x[0], x[1] * size * size, x[2] / size, x[3] / size};
  if (read_crd_mode(p)) return plan_rearranged(p, dims, {0, 1, 3, 5, 2, 4}, shape);
  plan_rearranged(p, dims, {0, 3, 5, 1, 2, 4}, shape);
}

void plan_reverse_sequence(OpPlan& p) {
  const Operand& in = p.in(0);
  const int64_t batch = p.op().integer("batch_axis", 1), time = p.op().integer("time_axis", 0);
  if (batch < 0 || batch > 1 || time != 1 - batch) {
    p.refuse(Status::unsupported, "batch_axis " + std::to_string(batch) + " and time_axis " + std::to_string(time) +
                                      "; wanted 0 and 1, in either order");
  }
  const auto batch_axis = static_cast<int>(batch), time_axis = static_cast<int>(time);
  if (p.in(1).shape != Shape{in.shape[batch_axis]}) {
    p.refuse(Status::shape, "sequence_lens " + p.in(1).shape.text() + " for shape " + in.shape.text());
  }
  const BufferId out = p.out(0, in.dtype, in.shape);
  if (in.time_axis != time_axis && (in.time_axis != batch_axis || time_of(p, 1) == 0)) keep_time(p, 0, in.time_axis);
  const auto row = static_cast<size_t>(in.shape.product(2, in.shape.rank())) * size_of(in.dtype);
  const int64_t items = in.shape[batch_axis], steps = in.shape[time_axis];
  check_known_lengths<int64_t>(p, 1, steps);
  p.run(ReverseCall{items, steps, batch == 0 ? steps : 1, batch == 0 ? 1 : items, row, in.buffer, out, p.in(1).buffer,
                    describe(p.op())});
}

void plan_center_crop_pad(OpPlan& p) {
  const Operand& in = p.in(0);
  const int rank = in.shape.rank();
  std::vector<int64_t> axes = p.op().integers("axes");
  for (int axis = 0; axis < rank && !p.op().find("axes"); ++axis) axes.push_back(axis);
  const auto changed = want_axes(p, axes, rank);
  const std::vector<int64_t> wanted = p.integers(1);
  if (wanted.size() != axes.size()) {
    p.refuse(Status::shape, std::to_string(wanted.size()) + " dims for " + std::to_string(axes.size()) + " axes");
  }
  Shape shape = in.shape, kept = in.shape;
  const Strides from = row_major(in.shape);
  int64_t in_offset = 0, out_offset = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (wanted[i] < 0 || wanted[i] > kMaxElements) {
      p.refuse(Status::shape, input_text(p, 1) + " asks for a dim of " + std::to_string(wanted[i]));
    }
    const int axis = want_axis(p, axes[i], rank);
    shape[axis] = wanted[i];
    kept[axis] = std::min(wanted[i], in.shape[axis]);
  }
  const BufferId out = p.out(0, in.dtype, shape);
  const Strides to = row_major(shape);
  for (int axis = 0; axis < rank; ++axis) {
    in_offset += (in.shape[axis] - kept[axis]) / 2 * from[static_cast<size_t>(axis)];
    out_offset += (shape[axis] - kept[axis]) / 2 * to[static_cast<size_t>(axis)];
  }
  if (in.time_axis >= 0 && !changed[static_cast<size_t>(in.time_axis)]) p.time_axis(0, in.time_axis);
  const size_t element = size_of(in.dtype), bytes = static_cast<size_t>(shape.elements()) * element;
  p.run([=, walk = Walk<2>(kept, {from, to}), source = in.buffer](const Frame& frame) {
    std::memset(frame.at<void>(out), 0, bytes);
    const char* data = frame.at<char>(source) + static_cast<size_t>(in_offset) * element;
    char* result = frame.at<char>(out) + static_cast<size_t>(out_offset) * element;
    const size_t in_step = static_cast<size_t>(walk.step(0)) * element,
                 step = static_cast<size_t>(walk.step(1)) * element;
    walk.rows([&](int64_t, const auto& at, int64_t n) {
      const char* row = data + static_cast<size_t>(at[0]) * element;
      char* target = result + static_cast<size_t>(at[1]) * element;
      if (in_step == element && step == element) {
        std::memcpy(target, row, static_cast<size_t>(n) * element);
      } else {
        for (int64_t i = 0; i < n; ++i, row += in_step, target += step) std::memcpy(target, row, element);
      }
    });
  });
}

}  // namespace lrt

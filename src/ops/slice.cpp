// Slice and Split: parts of a tensor.
#include <algorithm>

#include "ops/checks.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// What Slice takes of one axis.
struct Range {
  int64_t start = 0, step = 1, count = 0;
};

// ONNX Slice-13: negative positions count from the end, then all are clamped to the axis.
Range clamp_range(int64_t dim, int64_t start, int64_t end, int64_t step) {
  const bool forwards = step > 0;
  const int64_t least = forwards ? 0 : -1, most = forwards ? dim : dim - 1;
  start = std::clamp(start < 0 ? start + dim : start, forwards ? 0 : std::min<int64_t>(0, most), std::max(least, most));
  end = std::clamp(end < 0 ? end + dim : end, least, std::max(least, most));
  step = std::clamp(step, -kMaxElements, kMaxElements);
  const int64_t span = forwards ? end - start : start - end, stride = forwards ? step : -step;
  if (span <= 0) return {0, 1, 0};
  return {start, step, (span + stride - 1) / stride};
}

std::vector<Range> read_ranges(OpPlan& p) {
  const Shape& shape = p.in(0).shape;
  const int rank = shape.rank();
  const std::vector<int64_t> starts = p.integers(1), ends = p.integers(2);
  std::vector<int64_t> axes, steps(starts.size(), 1);
  for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (p.has(3)) axes = p.integers(3);
  if (p.has(4)) steps = p.integers(4);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    p.refuse(Status::shape, "starts, ends, axes and steps have " + std::to_string(starts.size()) + ", " +
                                std::to_string(ends.size()) + ", " + std::to_string(axes.size()) + " and " +
                                std::to_string(steps.size()) + " values; wanted as many of each");
  }
  want_axes(p, axes, rank);
  std::vector<Range> ranges;
  for (int axis = 0; axis < rank; ++axis) ranges.push_back({0, 1, shape[axis]});
  for (size_t i = 0; i < axes.size(); ++i) {
    if (steps[i] == 0) p.refuse(Status::shape, "a step of 0");
    const int axis = want_axis(p, axes[i], rank);
    ranges[static_cast<size_t>(axis)] = clamp_range(shape[axis], starts[i], ends[i], steps[i]);
  }
  return ranges;
}

// The sizes of Split's parts along an axis of `dim`.
std::vector<int64_t> read_parts(OpPlan& p, int64_t dim) {
  const auto count = static_cast<int64_t>(p.outputs());
  if (p.has(1)) return p.integers(1);
  const int64_t wanted = p.op().integer("num_outputs", count);
  want_attribute(p, wanted == count, "num_outputs", wanted, "as many as there are outputs");
  const int64_t part = (dim + count - 1) / count;
  std::vector<int64_t> parts(static_cast<size_t>(count), part);
  parts.back() = dim - part * (count - 1);
  return parts;
}

void check_parts(const OpPlan& p, const std::vector<int64_t>& parts, int64_t dim) {
  int64_t left = dim;
  std::string text;
  for (const int64_t part : parts) {
    left = part < 0 || left < part ? -1 : left - part;
    text += (text.empty() ? "" : ", ") + std::to_string(part);
  }
  if (left == 0 && parts.size() == static_cast<size_t>(p.outputs())) return;
  p.refuse(Status::shape, "an axis of " + std::to_string(dim) + " cannot be split into " + std::to_string(p.outputs()) +
                              " outputs of sizes " + text);
}

}  // namespace

void plan_slice(OpPlan& p) {
  const Operand& in = p.in(0);
  const std::vector<Range> ranges = read_ranges(p);
  const Strides own = row_major(in.shape);
  Shape shape;
  Strides strides{};
  int64_t offset = 0;
  for (size_t axis = 0; axis < ranges.size(); ++axis) {
    const Range& range = ranges[axis];
    shape.push_back(range.count);
    // A step taken once goes nowhere; 0 keeps a huge one from overflowing.
    strides[axis] = range.count > 1 ? range.step * own[axis] : 0;
    offset += range.start * own[axis];
  }
  const auto is_whole = [&](int axis) {
    const Range& range = ranges[static_cast<size_t>(axis)];
    return range.count == in.shape[axis] && (range.step == 1 || range.count <= 1);
  };
  bool all = true;
  for (int axis = 0; axis < shape.rank(); ++axis) all = all && is_whole(axis);
  if (all) {
    p.alias(0, 0, shape);
  } else {
    const BufferId out = p.out(0, in.dtype, shape);
    p.run([copy = StridedCopy(size_of(in.dtype), shape, strides, offset), from = in.buffer, out](const Frame& frame) {
      copy(frame.at<void>(from), frame.at<void>(out));
    });
  }
  if (in.time_axis >= 0 && is_whole(in.time_axis)) p.time_axis(0, in.time_axis);
}

void plan_split(OpPlan& p) {
  const Operand& in = p.in(0);
  const int axis = want_axis(p, p.op().integer("axis", 0), in.shape.rank());
  const std::vector<int64_t> parts = read_parts(p, in.shape[axis]);
  check_parts(p, parts, in.shape[axis]);

  struct Part {
    BufferId out;
    StridedCopy copy;
  };
  std::vector<Part> copies;
  const Strides strides = row_major(in.shape);
  int64_t offset = 0;
  for (int output = 0; output < p.outputs(); ++output) {
    Shape shape = in.shape;
    shape[axis] = parts[static_cast<size_t>(output)];
    if (p.wants(output)) {
      copies.push_back({p.out(output, in.dtype, shape), StridedCopy(size_of(in.dtype), shape, strides, offset)});
      if (in.time_axis != axis) keep_time(p, output, in.time_axis);
    }
    offset += shape[axis] * strides[static_cast<size_t>(axis)];
  }
  p.run([copies, from = in.buffer](const Frame& frame) {
    for (const Part& part : copies) part.copy(frame.at<void>(from), frame.at<void>(part.out));
  });
}

}  // namespace lrt

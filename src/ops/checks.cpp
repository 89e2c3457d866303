#include "ops/checks.h"

#include <algorithm>

namespace lrt {

std::string input_text(const OpPlan& p, int input) { return "input " + std::to_string(input) + " of " + p.op().type; }

void want_dtype(const OpPlan& p, int input, std::initializer_list<DType> wanted) {
  const DType seen = p.in(input).dtype;
  if (std::find(wanted.begin(), wanted.end(), seen) != wanted.end()) return;
  std::string names;
  for (const DType dtype : wanted) names += (names.empty() ? "" : ", ") + std::string(name_of(dtype));
  p.refuse(Status::unsupported, input_text(p, input) + " is " + name_of(seen) + "; supported: " + names);
}

void want_attribute(const OpPlan& p, bool holds, const char* name, int64_t seen, const char* wanted) {
  if (holds) return;
  p.refuse(Status::unsupported, std::string(name) + " is " + std::to_string(seen) + "; wanted " + wanted);
}

int want_axis(const OpPlan& p, int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    p.refuse(Status::shape, "there is no axis " + std::to_string(axis) + " in " + std::to_string(rank) + " dims");
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

std::bitset<kMaxRank> want_axes(const OpPlan& p, const std::vector<int64_t>& axes, int rank) {
  std::bitset<kMaxRank> set;
  for (const int64_t axis : axes) {
    const auto bit = static_cast<size_t>(want_axis(p, axis, rank));
    if (set[bit]) p.refuse(Status::shape, "axis " + std::to_string(axis) + " is named twice");
    set.set(bit);
  }
  return set;
}

DType want_dtype_code(const OpPlan& p, int64_t code) {
  want_attribute(p, code >= 0 && code < kDTypes, "dtype", code, "a code from 0 to 5");
  return static_cast<DType>(code);
}

std::vector<double> known_numbers(const OpPlan& p, int input) {
  const Operand& in = p.in(input);
  std::vector<double> numbers;
  if (in.dtype == DType::f32 && in.known) {
    const auto* data = static_cast<const float*>(in.known);
    numbers.assign(data, data + in.shape.elements());
  } else {
    for (const int64_t number : p.integers(input)) numbers.push_back(static_cast<double>(number));
  }
  return numbers;
}

Shape broadcast_shapes(const OpPlan& p, const Shape& a, const Shape& b) {
  Shape shape = Shape::filled(std::max(a.rank(), b.rank()), 1);
  for (const Shape* from : {&a, &b}) {
    const int shift = shape.rank() - from->rank();
    for (int axis = 0; axis < from->rank(); ++axis) {
      const int64_t dim = (*from)[axis];
      int64_t& to = shape[axis + shift];
      if (dim != 1 && to != 1 && dim != to) {
        p.refuse(Status::shape, "shapes " + a.text() + " and " + b.text() + " do not broadcast");
      }
      if (dim != 1) to = dim;
    }
  }
  return shape;
}

int time_of(const OpPlan& p, int input) { return input < p.inputs() && p.has(input) ? p.in(input).time_axis : -1; }

void keep_time(OpPlan& p, int output, int axis) {
  if (axis >= 0) p.time_axis(output, axis);
}

void alias_input(OpPlan& p, const Shape& shape) {
  const Operand& in = p.in(0);
  p.alias(0, 0, shape);
  const int time = in.time_axis;
  if (time < 0) return;
  const int64_t steps = in.shape[time], before = in.shape.product(0, time);
  int found = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != steps || shape.product(0, axis) != before) continue;
    if (found < 0 || axis == time) found = axis;
  }
  keep_time(p, 0, found);
}

void keep_broadcast_time(OpPlan& p, const Shape& shape) {
  int found = -1;
  for (int input = 0; input < p.inputs(); ++input) {
    const int time = time_of(p, input);
    if (time < 0) continue;
    const Shape& own = p.in(input).shape;
    const int axis = time + shape.rank() - own.rank();
    if (own[time] != shape[axis] || (found >= 0 && axis != found)) return;
    found = axis;
  }
  if (found < 0) return;
  for (int input = 0; input < p.inputs(); ++input) {
    if (!p.has(input) || time_of(p, input) >= 0) continue;
    const Shape& own = p.in(input).shape;
    const int axis = found - (shape.rank() - own.rank());
    if (axis >= 0 && own[axis] != 1) return;
  }
  p.time_axis(0, found);
}

}  // namespace lrt

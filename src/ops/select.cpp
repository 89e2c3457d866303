// Compress and NonZero, whose results have a shape that what they select by decides: it has to be known while planning.
#include <cstring>

#include "ops/dtypes.h"
#include "ops/indices.h"

namespace lrt {
namespace {

struct CompressCall {
  AroundAxis around;
  std::vector<int64_t> places;
  size_t block;
  BufferId in, out;

  void operator()(const Frame& frame) const {
    const char* from = frame.at<char>(in);
    char* to = frame.at<char>(out);
    for (int64_t o = 0; o < around.outer; ++o, from += static_cast<size_t>(around.dim) * block) {
      for (const int64_t place : places) {
        std::memcpy(to, from + static_cast<size_t>(place) * block, block);
        to += block;
      }
    }
  }
};

}  // namespace

void plan_compress(OpPlan& p) {
  const Operand& in = p.in(0);
  const bool flat = !p.op().find("axis");
  const Shape data = flat ? Shape{in.shape.elements()} : in.shape;
  const int axis = flat ? 0 : want_axis(p, p.op().integer("axis", 0), data.rank());
  const std::vector<int64_t> condition = p.integers(1);
  if (static_cast<int64_t>(condition.size()) > data[axis]) {
    p.refuse(Status::shape, "condition has " + std::to_string(condition.size()) + " values for " +
                                std::to_string(data[axis]) + " positions");
  }
  std::vector<int64_t> places;
  for (size_t i = 0; i < condition.size(); ++i) {
    if (condition[i] != 0) places.push_back(static_cast<int64_t>(i));
  }
  Shape shape = data;
  shape[axis] = static_cast<int64_t>(places.size());
  const BufferId out = p.out(0, in.dtype, shape);
  if (!flat && in.time_axis != axis) keep_time(p, 0, in.time_axis);
  const AroundAxis around(data, axis);
  p.run(CompressCall{around, places, static_cast<size_t>(around.inner) * size_of(in.dtype), in.buffer, out});
}

void plan_non_zero(OpPlan& p) {
  const Operand& in = p.in(0);
  if (!in.known) {
    p.refuse(Status::unsupported,
             "how many elements are not zero depends on data. Give it a constant, or export the model without it");
  }
  std::vector<int64_t> found;  // offsets
  visit_dtype(in.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* data = static_cast<const T*>(in.known);
    for (int64_t i = 0; i < in.shape.elements(); ++i) {
      if (data[i] != T{}) found.push_back(i);
    }
  });
  const auto count = static_cast<int64_t>(found.size());
  auto* out = static_cast<int64_t*>(p.known_out(0, DType::i64, {in.shape.rank(), count}));
  for (int axis = 0; axis < in.shape.rank(); ++axis) {
    const AroundAxis around(in.shape, axis);
    for (const int64_t offset : found) *out++ = offset / around.inner % around.dim;
  }
}

}  // namespace lrt

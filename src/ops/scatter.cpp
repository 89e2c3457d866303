// ScatterElements and ScatterND: a copy of the data in which elements, or blocks of them, are replaced or brought together
// with updates, in the order of the updates. An index that comes with the data and is outside its axis updates nothing.
#include <cstring>
#include <type_traits>

#include "ops/dtypes.h"
#include "ops/indices.h"
#include "ops/strided.h"

namespace lrt {
namespace {

enum class Update { none, add, mul, min, max };

Update read_update(OpPlan& p) {
  const std::string name = p.op().text("reduction", "none");
  Update update = Update::none;
  if (name == "add") update = Update::add;
  if (name == "mul") update = Update::mul;
  if (name == "min") update = Update::min;
  if (name == "max") update = Update::max;
  if (update == Update::none && name != "none") {
    p.refuse(Status::unsupported, "reduction is '" + name + "'; supported: none, add, mul, min, max");
  }
  if (update != Update::none) want_dtype(p, 0, {DType::f32, DType::i64, DType::i32, DType::u8, DType::i8});
  return update;
}

// Integers wrap.
template <class T>
T updated(Update update, T old, T value) {
  if constexpr (std::is_same_v<T, Bool>) {
    return value;
  } else if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    if (update == Update::add) return static_cast<T>(static_cast<U>(old) + static_cast<U>(value));
    if (update == Update::mul) return static_cast<T>(static_cast<U>(old) * static_cast<U>(value));
  } else {
    if (update == Update::add) return old + value;
    if (update == Update::mul) return old * value;
  }
  if (update == Update::min) return value < old ? value : old;
  if (update == Update::max) return value > old ? value : old;
  return value;
}

// What both have: data, updates, and how they meet.
struct Scatter {
  Update update;
  DType dtype;
  size_t bytes;  // of the data
  BufferId data, updates, out;
  IndexArray indices;

  // work(out, updates, indices) of the right types, once the data is copied.
  template <class F>
  void run(const Frame& frame, const F& work) const {
    std::memcpy(frame.at<void>(out), frame.at<void>(data), bytes);
    visit_dtype(dtype, [&](auto type) {
      using T = typename decltype(type)::type;
      indices.visit(frame, [&](const auto* index) { work(frame.at<T>(out), frame.at<const T>(updates), index); });
    });
  }
};

Scatter plan_scatter(OpPlan& p) {
  const Operand& data = p.in(0);
  const Update update = read_update(p);
  const BufferId out = p.out(0, data.dtype, data.shape);
  const auto bytes = static_cast<size_t>(data.shape.elements()) * size_of(data.dtype);
  return {update, data.dtype, bytes, data.buffer, p.in(2).buffer, out, want_indices(p, 1)};
}

struct ScatterElementsCall {
  Scatter scatter;
  Walk<1> walk;  // over the indices, with the data's offset but for the axis
  int64_t dim, stride;

  void operator()(const Frame& frame) const {
    scatter.run(frame, [&](auto* to, const auto* from, const auto* index) {
      walk.rows([&](int64_t at, const auto& base, int64_t n) {
        for (int64_t i = 0; i < n; ++i) {
          const int64_t place = from_front(index[at + i], dim);
          if (!is_inside(place, dim)) continue;
          auto& element = to[base[0] + i * walk.step(0) + place * stride];
          element = updated(scatter.update, element, from[at + i]);
        }
      });
    });
  }
};

struct ScatterNdCall {
  Scatter scatter;
  Shape axes;       // those that are indexed
  Strides strides;  // of theirs, in elements
  int64_t tuples, block;

  void operator()(const Frame& frame) const {
    scatter.run(frame, [&](auto* to, const auto* from, const auto* index) {
      for (int64_t i = 0; i < tuples; ++i, index += axes.rank(), from += block) {
        const int64_t at = offset(index);
        for (int64_t j = 0; at >= 0 && j < block; ++j) to[at + j] = updated(scatter.update, to[at + j], from[j]);
      }
    });
  }

  // -1 where the tuple points outside.
  template <class Index>
  int64_t offset(const Index* index) const {
    int64_t at = 0;
    for (int axis = 0; axis < axes.rank(); ++axis) {
      const int64_t place = from_front(index[axis], axes[axis]);
      if (!is_inside(place, axes[axis])) return -1;
      at += place * strides[static_cast<size_t>(axis)];
    }
    return at;
  }
};

void refuse_shapes(OpPlan& p) {
  p.refuse(Status::shape, "data " + p.in(0).shape.text() + ", indices " + p.in(1).shape.text() + " and updates " +
                              p.in(2).shape.text() + " do not fit");
}

}  // namespace

void plan_scatter_elements(OpPlan& p) {
  const Shape &data = p.in(0).shape, &indices = p.in(1).shape;
  const int rank = data.rank(), axis = want_axis(p, p.op().integer("axis", 0), rank);
  bool fits = indices.rank() == rank && p.in(2).shape == indices;
  for (int i = 0; fits && i < rank; ++i) fits = i == axis || indices[i] <= data[i];
  if (!fits) refuse_shapes(p);
  const Scatter scatter = plan_scatter(p);
  check_known_indices(p, 1, {data[axis]});
  const int time = time_of(p, 0);
  if (time != axis && time == time_of(p, 1) && time == time_of(p, 2)) keep_time(p, 0, time);
  Strides strides = row_major(data);
  const int64_t stride = strides[static_cast<size_t>(axis)];
  strides[static_cast<size_t>(axis)] = 0;
  p.run(ScatterElementsCall{scatter, Walk<1>(indices, {strides}), data[axis], stride});
}

void plan_scatter_nd(OpPlan& p) {
  const Shape &data = p.in(0).shape, &indices = p.in(1).shape;
  const int last = indices.rank() - 1;
  const int64_t width = last < 0 ? -1 : indices[last];
  if (width < 0 || width > data.rank()) refuse_shapes(p);
  const int behind = static_cast<int>(width);
  Shape updates, axes;
  for (int i = 0; i < last; ++i) updates.push_back(indices[i]);
  for (int i = behind; i < data.rank(); ++i) updates.push_back(data[i]);
  if (p.in(2).shape != updates) refuse_shapes(p);
  for (int i = 0; i < behind; ++i) axes.push_back(data[i]);
  const Scatter scatter = plan_scatter(p);
  check_known_indices(p, 1, axes);
  // Blocks keep an axis of time that data and updates share.
  const int time = time_of(p, 0);
  if (time >= behind && time_of(p, 1) < 0 && time_of(p, 2) == time - behind + last) p.time_axis(0, time);
  p.run(ScatterNdCall{scatter, axes, row_major(data), indices.product(0, last), data.product(behind, data.rank())});
}

}  // namespace lrt

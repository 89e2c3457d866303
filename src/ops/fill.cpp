// Range and EyeLike, which make a tensor, and Trilu, which empties half of one.
#include <algorithm>
#include <cmath>

#include "ops/checks.h"
#include "ops/dtypes.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// How many values from start on, in steps, lie before the limit. Refuses what cannot be counted.
int64_t count_steps(OpPlan& p, double start, double limit, double delta) {
  if (delta == 0 || !std::isfinite(start) || !std::isfinite(limit) || !std::isfinite(delta)) {
    p.refuse(Status::shape, "a range from " + std::to_string(start) + " to " + std::to_string(limit) + " by " +
                                std::to_string(delta) + " has no end");
  }
  const double count = std::ceil((limit - start) / delta);
  if (count > static_cast<double>(kMaxElements)) p.refuse(Status::shape, "its result is too large");
  return count > 0 ? static_cast<int64_t>(count) : 0;
}

// Of integers, without the rounding of doubles.
int64_t count_steps(OpPlan& p, int64_t start, int64_t limit, int64_t delta) {
  if (delta == 0) p.refuse(Status::shape, "a range by 0 has no end");
  if (delta > 0 ? start >= limit : start <= limit) return 0;
  const auto distance = delta > 0 ? static_cast<uint64_t>(limit) - static_cast<uint64_t>(start)
                                  : static_cast<uint64_t>(start) - static_cast<uint64_t>(limit);
  const uint64_t step = delta > 0 ? static_cast<uint64_t>(delta) : uint64_t{0} - static_cast<uint64_t>(delta);
  const uint64_t count = (distance - 1) / step + 1;
  if (count > static_cast<uint64_t>(kMaxElements)) p.refuse(Status::shape, "its result is too large");
  return static_cast<int64_t>(count);
}

template <class T, class Number>
void plan_steps(OpPlan& p, Number start, Number limit, Number delta) {
  const BufferId out = p.out(0, p.in(0).dtype, {count_steps(p, start, limit, delta)});
  p.run([=, n = count_steps(p, start, limit, delta)](const Frame& frame) {
    T* to = frame.at<T>(out);
    if constexpr (std::is_integral_v<
                      Number>) {  // unsigned: a number of steps may leave 64 bits where their end does not
      for (int64_t i = 0; i < n; ++i) {
        to[i] = static_cast<T>(static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(delta));
      }
    } else {
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(start + static_cast<Number>(i) * delta);
    }
  });
}

struct TriluCall {
  int64_t matrices, rows, cols, shift;
  bool upper;
  size_t element;
  BufferId in, out;

  void operator()(const Frame& frame) const {
    const auto width = static_cast<int64_t>(element);
    static constexpr char kZero[sizeof(int64_t)] = {};
    const char* from = frame.at<char>(in);
    char* to = frame.at<char>(out);
    for (int64_t line = 0; line < matrices * rows; ++line, from += cols * width, to += cols * width) {
      const int64_t row = line % rows;
      const int64_t diagonal = std::clamp<int64_t>(row + shift + (upper ? 0 : 1), 0, cols);
      const int64_t begin = upper ? diagonal : 0, end = upper ? cols : diagonal;  // of what stays
      fill_elements(to, kZero, element, begin);
      if (end > begin)
        std::memcpy(to + begin * width, from + begin * width, static_cast<size_t>((end - begin) * width));
      fill_elements(to + end * width, kZero, element, cols - end);
    }
  }
};

}  // namespace

void plan_range(OpPlan& p) {
  for (int input = 0; input < 3; ++input) {
    if (p.in(input).shape.elements() != 1) {
      p.refuse(Status::shape, input_text(p, input) + " has shape " + p.in(input).shape.text() + "; wanted one number");
    }
  }
  if (p.in(0).dtype == DType::f32) {
    return plan_steps<float, double>(p, known_numbers(p, 0)[0], known_numbers(p, 1)[0], known_numbers(p, 2)[0]);
  }
  const int64_t start = p.integers(0)[0], limit = p.integers(1)[0], delta = p.integers(2)[0];
  if (p.in(0).dtype == DType::i64) return plan_steps<int64_t>(p, start, limit, delta);
  plan_steps<int32_t>(p, start, limit, delta);
}

void plan_eye_like(OpPlan& p) {
  const Shape shape = p.in(0).shape;
  const DType dtype = want_dtype_code(p, p.op().integer("dtype", static_cast<int64_t>(p.in(0).dtype)));
  const int64_t limit = shape[0] + shape[1];
  const int64_t shift = std::clamp<int64_t>(p.op().integer("k", 0), -limit, limit);
  const BufferId out = p.out(0, dtype, shape);
  p.run([=](const Frame& frame) {
    visit_dtype(dtype, [&](auto type) {
      using T = typename decltype(type)::type;
      T* to = frame.at<T>(out);
      std::fill(to, to + shape.elements(), T{});
      for (int64_t row = 0; row < shape[0]; ++row) {
        const int64_t col = row + shift;
        if (col >= 0 && col < shape[1]) to[row * shape[1] + col] = convert<T>(int64_t{1});
      }
    });
  });
}

void plan_trilu(OpPlan& p) {
  const Operand& in = p.in(0);
  const int rank = in.shape.rank();
  const int64_t rows = in.shape[rank - 2], cols = in.shape[rank - 1];
  int64_t shift = 0;
  if (p.has(1)) {
    const std::vector<int64_t> given = p.integers(1);
    if (given.size() != 1) p.refuse(Status::shape, "k has " + std::to_string(given.size()) + " values; wanted one");
    shift = std::clamp<int64_t>(given[0], -rows - cols, rows + cols);
  }
  const BufferId out = p.out(0, in.dtype, in.shape);
  if (in.time_axis < rank - 2) keep_time(p, 0, in.time_axis);
  p.run(TriluCall{in.shape.product(0, rank - 2), rows, cols, shift, p.op().integer("upper", 1) != 0, size_of(in.dtype),
                  in.buffer, out});
}

}  // namespace lrt

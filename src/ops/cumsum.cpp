// CumSum: sums along an axis, one element after the other.
#include <type_traits>

#include "ops/dtypes.h"
#include "ops/indices.h"

namespace lrt {
namespace {

template <class T>
T wrapping_sum(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
  } else {
    return a + b;
  }
}

template <class T>
struct CumSumCall {
  AroundAxis around;
  bool exclusive, reverse;
  BufferId in, out;

  // Whole rows of what lies behind the axis are added at a time: sums[j] = sums[j - 1] + in[j].
  void operator()(const Frame& frame) const {
    const int64_t row = around.inner, step = reverse ? -row : row;
    for (int64_t o = 0; o < around.outer; ++o) {
      const int64_t first = (o * around.dim + (reverse ? around.dim - 1 : 0)) * row;
      const T* from = frame.at<T>(in) + first;
      T* to = frame.at<T>(out) + first;
      for (int64_t i = 0; i < row && around.dim > 0; ++i) to[i] = exclusive ? T{0} : from[i];
      for (int64_t j = 1; j < around.dim; ++j) {
        const T* term = from + (exclusive ? j - 1 : j) * step;
        for (int64_t i = 0; i < row; ++i) to[j * step + i] = wrapping_sum(to[(j - 1) * step + i], term[i]);
      }
    }
  }
};

}  // namespace

void plan_cum_sum(OpPlan& p) {
  const Operand& in = p.in(0);
  const std::vector<int64_t> given = p.integers(1);
  if (given.size() != 1) p.refuse(Status::shape, std::to_string(given.size()) + " axes; wanted one");
  const int axis = want_axis(p, given[0], in.shape.rank());
  const BufferId out = p.out(0, in.dtype, in.shape);
  if (in.time_axis != axis) keep_time(p, 0, in.time_axis);
  const bool exclusive = p.op().integer("exclusive", 0) != 0, reverse = p.op().integer("reverse", 0) != 0;
  const AroundAxis around(in.shape, axis);
  if (in.dtype == DType::f32) return p.run(CumSumCall<float>{around, exclusive, reverse, in.buffer, out});
  if (in.dtype == DType::i64) return p.run(CumSumCall<int64_t>{around, exclusive, reverse, in.buffer, out});
  p.run(CumSumCall<int32_t>{around, exclusive, reverse, in.buffer, out});
}

}  // namespace lrt

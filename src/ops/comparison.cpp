// Comparisons, logic, operations on bits and choosing, with numpy's broadcasting.
#include "ops/elementwise.h"

namespace lrt {
namespace {

Pair plan_same(OpPlan& p, bool swapped) {
  const Pair pair = plan_pair(p);
  return swapped ? Pair(p.in(1).buffer, p.in(1).shape, p.in(0).buffer, p.in(0).shape, pair.shape) : pair;
}

// Two operands of one dtype, broadcast together, and where the result goes. `swapped`: the second comes first.
struct SameDtypePair {
  Pair pair;
  BufferId out;

  SameDtypePair(OpPlan& p, DType result, bool swapped = false)
      : pair(plan_same(p, swapped)), out(elementwise_out(p, result, pair.shape)) {}
};

// Named, not lambdas inside lambdas: ops and dtypes whose code is the same then share it.
template <class T, class F>
Run comparison_run(const SameDtypePair& operands, F f) {
  return pair_run<T, T, Bool>(operands.pair, operands.out, [f](T a, T b) { return to_bool(f(a, b)); });
}

// a > b is b < a: `swapped`.
template <class F>
void plan_order(OpPlan& p, const F& f, bool swapped = false) {
  const SameDtypePair operands(p, DType::boolean, swapped);
  visit_dtype(p.in(0).dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (!std::is_same_v<T, Bool>) p.run(comparison_run<T>(operands, f));
  });
}

constexpr auto less = [](auto a, auto b) { return a < b; };
constexpr auto less_or_equal = [](auto a, auto b) { return a <= b; };

template <class F>
void plan_logic(OpPlan& p, const F& f) {
  const auto flags = [f](Bool a, Bool b) { return f(a != Bool::no, b != Bool::no); };
  p.run(comparison_run<Bool>(SameDtypePair(p, DType::boolean), flags));
}

template <class T, class F>
Run integer_run(const SameDtypePair& operands, F f) {
  return pair_run<T, T, T>(operands.pair, operands.out, [f](T a, T b) { return static_cast<T>(f(a, b)); });
}

// f on integers, taken as unsigned where their sign does not matter.
template <bool Signed = false, class F>
void plan_bitwise(OpPlan& p, const F& f) {
  const SameDtypePair operands(p, p.in(0).dtype);
  with_integer(p.in(0).dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    p.run(integer_run<std::conditional_t<Signed, T, std::make_unsigned_t<T>>>(operands, f));
  });
}

// By less than no bits, or by all of them or more, only the sign is left, and that to the right only.
template <class T>
T shifted(T a, T b, bool left) {
  constexpr int kBits = 8 * sizeof(T);
  const bool inside = b >= T{0} && static_cast<uint64_t>(b) < kBits;
  if (!left) return static_cast<T>(a >> (inside ? static_cast<int>(b) : kBits - 1) >> (inside ? 0 : 1));
  return inside ? static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) << static_cast<int>(b)) : T{0};
}

// A condition and two arrays of elements of `Bytes` bytes, broadcast to one shape.
struct Choice {
  BufferId condition, yes, no, out;
  Walk<3> walk;

  template <size_t Bytes>
  void run(const Frame& frame) const {
    constexpr int64_t kBytes = Bytes;
    const Bool* flags = frame.at<Bool>(condition);
    const char *a = frame.at<char>(yes), *b = frame.at<char>(no);
    char* to = frame.at<char>(out);
    walk.rows([&](int64_t at, const auto& from, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        const bool chosen = flags[from[0] + i * walk.step(0)] != Bool::no;
        const char* source =
            chosen ? a + (from[1] + i * walk.step(1)) * kBytes : b + (from[2] + i * walk.step(2)) * kBytes;
        copy_element<Bytes>(to + (at + i) * kBytes, source);
      }
    });
  }
};

}  // namespace

void plan_equal(OpPlan& p) {
  const auto same = [](auto a, auto b) { return a == b; };
  if (p.in(0).dtype != DType::boolean) return plan_order(p, same);
  plan_logic(p, same);
}
void plan_greater(OpPlan& p) { plan_order(p, less, true); }
void plan_greater_or_equal(OpPlan& p) { plan_order(p, less_or_equal, true); }
void plan_less(OpPlan& p) { plan_order(p, less); }
void plan_less_or_equal(OpPlan& p) { plan_order(p, less_or_equal); }

void plan_and(OpPlan& p) {
  plan_logic(p, [](auto a, auto b) { return a && b; });
}
void plan_or(OpPlan& p) {
  plan_logic(p, [](auto a, auto b) { return a || b; });
}
void plan_xor(OpPlan& p) {
  plan_logic(p, [](auto a, auto b) { return a != b; });
}

void plan_bitwise_and(OpPlan& p) {
  plan_bitwise(p, [](auto a, auto b) { return a & b; });
}
void plan_bitwise_or(OpPlan& p) {
  plan_bitwise(p, [](auto a, auto b) { return a | b; });
}
void plan_bitwise_xor(OpPlan& p) {
  plan_bitwise(p, [](auto a, auto b) { return a ^ b; });
}

void plan_bit_shift(OpPlan& p) {
  const std::string direction = p.op().text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") {
    p.refuse(Status::unsupported, "direction is '" + direction + "'; wanted LEFT or RIGHT");
  }
  plan_bitwise<true>(p, [left = direction == "LEFT"](auto a, auto b) { return shifted(a, b, left); });
}

void plan_where(OpPlan& p) {
  const Operand &condition = p.in(0), &yes = p.in(1), &no = p.in(2);
  const Shape shape = broadcast_shapes(p, broadcast_shapes(p, condition.shape, yes.shape), no.shape);
  const BufferId out = elementwise_out(p, yes.dtype, shape);
  const std::array<Strides, 3> strides = {broadcast_strides(condition.shape, shape),
                                          broadcast_strides(yes.shape, shape), broadcast_strides(no.shape, shape)};
  const Choice choice{condition.buffer, yes.buffer, no.buffer, out, Walk<3>(shape, strides)};
  with_element_bytes(size_of(yes.dtype), [&](auto bytes) {
    p.run([choice](const Frame& frame) { choice.run<decltype(bytes){}()>(frame); });
  });
}

}  // namespace lrt

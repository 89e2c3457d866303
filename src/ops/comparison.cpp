// Comparisons, logic, operations on bits and choosing, with numpy's broadcasting.
#include "ops/elementwise.h"

namespace lrt {
namespace {

// f on two arrays of one dtype to an array of bools.
template <class F>
void plan_comparison(OpPlan& p, const F& f) {
  want_same_dtype(p, 1, 0);
  const Pair pair = plan_pair(p);
  const BufferId out = elementwise_out(p, DType::boolean, pair.shape);
  visit_dtype(p.in(0).dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    p.run(pair_run<T, T, Bool>(pair, out, [f](T a, T b) {
      if constexpr (std::is_same_v<T, Bool>) {
        return to_bool(f(a != Bool::no, b != Bool::no));
      } else {
        return to_bool(f(a, b));
      }
    }));
  });
}

template <class F>
void plan_order(OpPlan& p, const F& f) {
  want_dtype(p, 0, kNumbers);
  plan_comparison(p, f);
}

template <class F>
void plan_logic(OpPlan& p, const F& f) {
  want_dtype(p, 0, {DType::boolean});
  plan_comparison(p, f);
}

template <class F>
void plan_bitwise(OpPlan& p, const F& f) {
  want_dtype(p, 0, kIntegers);
  want_same_dtype(p, 1, 0);
  const Pair pair = plan_pair(p);
  const BufferId out = elementwise_out(p, p.in(0).dtype, pair.shape);
  with_integer(p.in(0).dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    p.run(pair_run<T, T, T>(pair, out, [f](T a, T b) { return static_cast<T>(f(a, b)); }));
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
  plan_comparison(p, [](auto a, auto b) { return a == b; });
}
void plan_greater(OpPlan& p) {
  plan_order(p, [](auto a, auto b) { return a > b; });
}
void plan_greater_or_equal(OpPlan& p) {
  plan_order(p, [](auto a, auto b) { return a >= b; });
}
void plan_less(OpPlan& p) {
  plan_order(p, [](auto a, auto b) { return a < b; });
}
void plan_less_or_equal(OpPlan& p) {
  plan_order(p, [](auto a, auto b) { return a <= b; });
}

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
  plan_bitwise(p, [left = direction == "LEFT"](auto a, auto b) { return shifted(a, b, left); });
}

void plan_where(OpPlan& p) {
  want_dtype(p, 0, {DType::boolean});
  want_same_dtype(p, 2, 1);
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

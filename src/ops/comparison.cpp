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

// By 8 or more nothing is left.
void plan_bit_shift(OpPlan& p) {
  const std::string direction = p.op().text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") {
    p.refuse(Status::unsupported, "direction is '" + direction + "'; wanted LEFT or RIGHT");
  }
  want_dtype(p, 0, {DType::u8});
  want_same_dtype(p, 1, 0);
  const Pair pair = plan_pair(p);
  const BufferId out = elementwise_out(p, DType::u8, pair.shape);
  const auto shifted = [left = direction == "LEFT"](uint8_t a, uint8_t b) {
    return static_cast<uint8_t>(b > 7 ? 0 : left ? a << b : a >> b);
  };
  p.run(pair_run<uint8_t, uint8_t, uint8_t>(pair, out, shifted));
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

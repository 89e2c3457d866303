// What the tests of ops share: random tensors, what is expected of an op, and the loop over all tables of kernels. For
// one file of a program only, since it replaces operator new to count allocations.
#pragma once

#include <algorithm>
#include <new>

#include "op_harness.h"

namespace lrt_test {

inline int allocations = 0;  // made while a call runs

}  // namespace lrt_test

// Not inlined: GCC takes the pair apart otherwise, and warns of free() on what came from new.
[[gnu::noinline]] void* operator new(size_t size) {
  if (lrt_test::running) ++lrt_test::allocations;
  void* data = std::malloc(size == 0 ? 1 : size);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, size_t) noexcept { std::free(data); }

namespace lrt_test {

inline int passed = 0, failed = 0, rounds = 100;
inline const Kernels* kernels = nullptr;
inline std::mt19937 random_bits(1);

inline void check(bool holds, const std::string& what) {
  (holds ? passed : failed) += 1;
  if (!holds) std::printf("FAILED [%s] %s\n", kernels->name, what.c_str());
}

inline int64_t draw(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random_bits);
}
inline bool toss() { return draw(0, 1) == 1; }

inline Shape random_shape(int least_rank, int most_rank, int64_t least = 0) {
  Shape shape;
  for (int64_t rank = draw(least_rank, most_rank); rank > 0; --rank) {
    shape.push_back(draw(0, 15) == 0 ? least : draw(1, 5));
  }
  return shape;
}

inline Tensor random_tensor(const Shape& shape, DType dtype = DType::f32) {
  Tensor tensor(dtype, shape);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const int64_t value = draw(-100, 100);
    switch (dtype) {
      case DType::f32:
        tensor.set(i, static_cast<float>(value) / 16.0f + 0.01f);
        break;
      case DType::i64:
        tensor.set<int64_t>(i, value);
        break;
      case DType::i32:
        tensor.set(i, static_cast<int32_t>(value));
        break;
      case DType::boolean:
        tensor.set(i, static_cast<uint8_t>(value & 1));
        break;
      default:
        tensor.set(i, static_cast<uint8_t>(value));
        break;
    }
  }
  return tensor;
}

inline DType random_dtype() { return static_cast<DType>(draw(0, kDTypes - 1)); }

inline bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
}

// Frame by frame must give the steps of the whole, wherever the op says that time runs through.
inline void check_frames(TestPlan& whole, const char* type, const std::vector<Attr>& attributes,
                         const std::vector<Input>& inputs) {
  const int axis = whole.time_of();
  if (axis < 0) return;
  const Tensor all = whole.result();
  for (int64_t step = 0; step < all.shape[axis]; ++step) {
    std::vector<Input> frame;
    for (const Input& input : inputs) {
      frame.push_back(input);
      if (input.time_axis >= 0) frame.back().tensor = step_of(input.tensor, input.time_axis, step);
    }
    TestPlan plan(*kernels, type, attributes, frame);
    plan.go();
    if (!same_bytes(plan.result(), step_of(all, axis, step)))
      return check(false, std::string(type) + " frame by frame");
  }
  check(true, type);
}

// Runs the op as it is, and once more with time on some axes of the inputs that come with the data.
inline Tensor run(const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs) {
  TestPlan plan(*kernels, type, attributes, inputs);
  plan.go();
  std::vector<Input> timed = inputs;
  for (Input& input : timed) {
    const Shape& shape = input.tensor.shape;
    const int axis = static_cast<int>(draw(-1, shape.rank() - 1));
    if (input.present && !input.known && axis >= 0 && shape[axis] > 1) input.time_axis = axis;
  }
  TestPlan streamed(*kernels, type, attributes, timed);
  streamed.go();
  check_frames(streamed, type, attributes, timed);
  return plan.result();
}

inline void expect(const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs,
                   const Tensor& wanted) {
  const Tensor got = run(type, attributes, inputs);
  std::string text = type;
  for (const Input& input : inputs) text += " " + input.tensor.shape.text();
  check(same_bytes(got, wanted), text + " gave " + got.shape.text() + ", wanted " + wanted.shape.text());
}

inline void expect_refused(const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs,
                           const char* words, int outputs = 1) {
  try {
    TestPlan plan(*kernels, type, attributes, inputs, outputs);
    plan.go();
  } catch (const Error& error) {
    const std::string text = error.what();
    return check(text.find(words) != std::string::npos, std::string(type) + " refused with: " + text);
  }
  check(false, std::string(type) + " was not refused: " + words);
}

// A shape that broadcasts with another.
inline Shape partner_of(const Shape& shape) {
  Shape partner;
  for (int axis = static_cast<int>(draw(0, shape.rank())); axis < shape.rank(); ++axis) {
    partner.push_back(toss() ? shape[axis] : 1);
  }
  return partner;
}

// Every test with every table of kernels; what main() returns. The first argument is how many random cases of each kind
// are tried.
inline int run_tests(int argc, char** argv, const std::vector<void (*)()>& tests) {
  if (argc > 1) rounds = std::atoi(argv[1]);
  for (const Kernels* const* table = available_kernels(); *table; ++table) {
    kernels = *table;
    for (const auto test : tests) {
      try {
        test();
      } catch (const Error& error) {
        running = false;
        check(false, std::string("refused: ") + error.what());
      }
    }
  }
  check(allocations == 0, std::to_string(allocations) + " allocations while running");
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace lrt_test

// Every op that is not recurrent, with every table of kernels, against obvious loops: the same bits where the numbers are
// defined, right to rounding where they are not. Where an op says that time runs through it, frame by frame must give
// what the whole gives. The first argument is how many random cases are tried of each kind.
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <set>

#include "op_harness.h"
#include "ops/power.h"

namespace {

int allocations = 0;

}  // namespace

// Not inlined: GCC takes the pair apart otherwise, and warns of free() on what came from new.
[[gnu::noinline]] void* operator new(size_t size) {
  if (lrt_test::running) ++allocations;
  void* data = std::malloc(size == 0 ? 1 : size);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, size_t) noexcept { std::free(data); }

namespace {

using namespace lrt_test;

int passed = 0, failed = 0, rounds = 100;
const Kernels* kernels = nullptr;
std::mt19937 random_bits(1);

void check(bool holds, const std::string& what) {
  (holds ? passed : failed) += 1;
  if (!holds) std::printf("FAILED [%s] %s\n", kernels->name, what.c_str());
}

int64_t draw(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_bits); }
bool toss() { return draw(0, 1) == 1; }

Shape random_shape(int least_rank, int most_rank, int64_t least = 0) {
  Shape shape;
  for (int64_t rank = draw(least_rank, most_rank); rank > 0; --rank) {
    shape.push_back(draw(0, 15) == 0 ? least : draw(1, 5));
  }
  return shape;
}

Tensor random_tensor(const Shape& shape, DType dtype = DType::f32) {
  Tensor tensor(dtype, shape);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const int64_t value = draw(-100, 100);
    switch (dtype) {
      case DType::f32: tensor.set(i, static_cast<float>(value) / 16.0f + 0.01f); break;
      case DType::i64: tensor.set<int64_t>(i, value); break;
      case DType::i32: tensor.set(i, static_cast<int32_t>(value)); break;
      case DType::boolean: tensor.set(i, static_cast<uint8_t>(value & 1)); break;
      default: tensor.set(i, static_cast<uint8_t>(value)); break;
    }
  }
  return tensor;
}

DType random_dtype() { return static_cast<DType>(draw(0, kDTypes - 1)); }

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
}

// Frame by frame must give the steps of the whole, wherever the op says that time runs through.
void check_frames(TestPlan& whole, const char* type, const std::vector<Attr>& attributes,
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
    if (!same_bytes(plan.result(), step_of(all, axis, step))) return check(false, std::string(type) + " frame by frame");
  }
  check(true, type);
}

// Runs the op as it is, and once more with time on some axes of the inputs that come with the data.
Tensor run(const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs) {
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

void expect(const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs, const Tensor& wanted) {
  const Tensor got = run(type, attributes, inputs);
  std::string text = type;
  for (const Input& input : inputs) text += " " + input.tensor.shape.text();
  check(same_bytes(got, wanted), text + " gave " + got.shape.text() + ", wanted " + wanted.shape.text());
}

void expect_refused(const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs,
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

// ---- Element by element ----

template <class A, class Out>
Tensor zip(const Tensor& a, const Tensor& b, DType dtype, Out (*f)(A, A)) {
  Shape shape = Shape::filled(std::max(a.shape.rank(), b.shape.rank()), 1);
  for (const Shape* from : {&a.shape, &b.shape}) {
    for (int axis = 0; axis < from->rank(); ++axis) {
      if ((*from)[axis] != 1) shape[axis + shape.rank() - from->rank()] = (*from)[axis];
    }
  }
  Tensor out(dtype, shape);
  for_each(shape, [&](int64_t flat, const Index& index) {
    out.set(flat, f(a.get<A>(offset_of(a.shape, index)), b.get<A>(offset_of(b.shape, index))));
  });
  return out;
}

// A shape that broadcasts with another.
Shape partner_of(const Shape& shape) {
  Shape partner;
  for (int axis = static_cast<int>(draw(0, shape.rank())); axis < shape.rank(); ++axis) {
    partner.push_back(toss() ? shape[axis] : 1);
  }
  return partner;
}

void test_arithmetic() {
  for (int round = 0; round < rounds; ++round) {
    const Shape shape = random_shape(0, 5), other = partner_of(shape);
    const bool turned = toss();
    const Shape &first = turned ? other : shape, &second = turned ? shape : other;
    const Tensor a = random_tensor(first), b = random_tensor(second);
    expect("Add", {}, {a, b}, zip<float, float>(a, b, DType::f32, [](float x, float y) { return x + y; }));
    expect("Sub", {}, {a, b}, zip<float, float>(a, b, DType::f32, [](float x, float y) { return x - y; }));
    expect("Mul", {}, {a, b}, zip<float, float>(a, b, DType::f32, [](float x, float y) { return x * y; }));
    expect("Div", {}, {a, known(b)}, zip<float, float>(a, b, DType::f32, [](float x, float y) { return x / y; }));
    const Tensor i = random_tensor(first, DType::i64), j = random_tensor(second, DType::i64);
    const auto quotient = [](int64_t x, int64_t y) { return y == 0 ? 0 : x / y; };
    expect("Add", {}, {i, j}, zip<int64_t, int64_t>(i, j, DType::i64, [](int64_t x, int64_t y) { return x + y; }));
    expect("Div", {}, {i, j}, zip<int64_t, int64_t>(i, j, DType::i64, quotient));
    const Tensor k = random_tensor(first, DType::i32), l = random_tensor(second, DType::i32);
    expect("Mul", {}, {k, l}, zip<int32_t, int32_t>(k, l, DType::i32, [](int32_t x, int32_t y) { return x * y; }));
    const auto equal = [](uint8_t x, uint8_t y) { return static_cast<uint8_t>(x == y); };
    const Tensor p = random_tensor(first, DType::boolean), q = random_tensor(second, DType::boolean);
    expect("Equal", {}, {p, q}, zip<uint8_t, uint8_t>(p, q, DType::boolean, equal));
    const auto equal_floats = [](float x, float y) { return static_cast<uint8_t>(x == y); };
    expect("Equal", {}, {a, b}, zip<float, uint8_t>(a, b, DType::boolean, equal_floats));
  }
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  expect("Div", {}, {integers({kLeast, 7, -7}), integers({-1, 0, 2})}, integers({kLeast, 0, -3}));
  expect_refused("Add", {}, {random_tensor({2, 3}), random_tensor({4})}, "do not broadcast");
  expect_refused("Add", {}, {random_tensor({2}), integers({1, 2})}, "must be the same");
  expect_refused("Mul", {}, {random_tensor({2}, DType::boolean), random_tensor({2}, DType::boolean)}, "bool");
}

void expect_near(const char* type, const Tensor& x, float (*f)(float)) {
  const Tensor got = run(type, {}, {x});
  bool near = got.shape == x.shape;
  for (int64_t i = 0; near && i < x.shape.elements(); ++i) {
    near = std::fabs(got.get<float>(i) - f(x.get<float>(i))) <= 1e-6f * (1.0f + std::fabs(f(x.get<float>(i))));
  }
  check(near, type);
}

void test_functions() {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{7, 5}, Shape{2, 3, 40}}) {
    const Tensor x = random_tensor(shape);
    expect_near("Sigmoid", x, [](float v) { return 1.0f / (1.0f + std::exp(-v)); });
    expect_near("Tanh", x, [](float v) { return std::tanh(v); });
    expect_near("Relu", x, [](float v) { return std::max(v, 0.0f); });
    const Tensor flags = random_tensor(shape, DType::boolean);
    Tensor inverse = flags;
    for (char& byte : inverse.bytes) byte = byte == 0;
    expect("Not", {}, {flags}, inverse);
    expect("Identity", {}, {x}, x);
  }
  expect("Sqrt", {}, {floats({3}, {4.0f, 2.25f, 0.0f})}, floats({3}, {2.0f, 1.5f, 0.0f}));
  const Tensor x = floats({4}, {-9.0f, -1.0f, 2.0f, 9.0f});
  expect("Clip", {}, {x, floats({}, {-2.0f}), known(floats({}, {3.0f}))}, floats({4}, {-2.0f, -1.0f, 2.0f, 3.0f}));
  expect("Clip", {}, {x, Input(), floats({1}, {1.0f})}, floats({4}, {-9.0f, -1.0f, 1.0f, 1.0f}));
  expect("Clip", {}, {x}, x);
  expect("Clip", {}, {integers({-9, 9}), integers({-2})}, integers({-2, 9}));
  expect_refused("Clip", {}, {x, floats({2}, {1.0f, 2.0f})}, "wanted one value");
  expect_refused("Tanh", {}, {integers({1})}, "supported: float32");
}

void test_power() {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> values = {0.0f, -0.0f, 1.0f, -1.0f, 2.0f, -2.0f, 0.5f, 3.0f, -3.0f, 1e-30f, 1e30f, infinity, -infinity, nan};
  for (int i = 0; i < 200; ++i) values.push_back(std::exp(static_cast<float>(draw(-4000, 4000)) / 100.0f));
  for (const float x : values) {
    for (const float y : values) {
      const double wanted = std::pow(static_cast<double>(x), static_cast<double>(y));
      const double got = power(static_cast<double>(x), static_cast<double>(y));
      const bool far = std::fabs(wanted) > 1e300 || std::fabs(wanted) < 1e-300;  // zeros and infinities of ours
      const bool same = far ? static_cast<float>(got) == static_cast<float>(wanted)
                            : std::fabs(got - wanted) <= 2e-13 * std::fabs(wanted);
      if (!(same || (got != got && wanted != wanted))) {
        check(false, "power(" + std::to_string(x) + ", " + std::to_string(y) + ") gave " + std::to_string(got));
      }
    }
  }
  const Tensor x = floats({3}, {1.5f, -2.0f, 4.0f});
  for (const bool is_known : {false, true}) {
    const auto exponent = [&](float y) { return is_known ? known(floats({}, {y})) : Input(floats({}, {y})); };
    expect("Pow", {}, {x, exponent(2.0f)}, floats({3}, {2.25f, 4.0f, 16.0f}));
    expect("Pow", {}, {x, exponent(1.0f)}, x);
    expect("Pow", {}, {x, exponent(-1.0f)}, floats({3}, {1.0f / 1.5f, -0.5f, 0.25f}));
    expect("Pow", {}, {x, exponent(3.0f)}, floats({3}, {3.375f, -8.0f, 64.0f}));
    expect("Pow", {}, {floats({2}, {2.25f, 16.0f}), exponent(0.5f)}, floats({2}, {1.5f, 4.0f}));
  }
  expect("Pow", {}, {integers({3, -2, 10}), integers({4, 3, -1})}, integers({81, -8, 0}));
  expect("Pow", {}, {integers({9}), floats({1}, {0.5f})}, integers({3}));
  expect("Pow", {}, {x, known(integers({2}))}, floats({3}, {2.25f, 4.0f, 16.0f}));
}

void test_cast() {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = floats({9}, {1.9f, -1.9f, 300.0f, -300.0f, 3e9f, -3e9f, infinity, nan, 0.5f});
  const Attr to_u8("dtype", 4), to_i8("dtype", 5), to_i32("dtype", 2), to_i64("dtype", 1), to_bool("dtype", 3), to_f32("dtype", 0);
  expect("Cast", {to_u8}, {x}, Tensor(DType::u8, {9}, std::vector<uint8_t>{1, 0, 255, 0, 255, 0, 255, 0, 0}));
  expect("Cast", {to_i8}, {x}, Tensor(DType::i8, {9}, std::vector<int8_t>{1, -1, 127, -128, 127, -128, 127, 0, 0}));
  constexpr int32_t kLeast = std::numeric_limits<int32_t>::min(), kMost = std::numeric_limits<int32_t>::max();
  expect("Cast", {to_i32}, {x},
         Tensor(DType::i32, {9}, std::vector<int32_t>{1, -1, 300, -300, kMost, kLeast, kMost, 0, 0}));
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  const std::vector<int64_t> wide = {1, -1, 300, -300, 3000000000, -3000000000, kLargest, 0, 0};
  expect("Cast", {to_i64}, {x}, integers(wide));
  expect("Cast", {to_bool}, {floats({3}, {0.0f, -0.0f, nan})}, Tensor(DType::boolean, {3}, std::vector<uint8_t>{0, 0, 1}));
  expect("Cast", {to_f32}, {integers({5, -7})}, floats({2}, {5.0f, -7.0f}));
  expect("Cast", {to_i8}, {integers({300, -129})}, Tensor(DType::i8, {2}, std::vector<int8_t>{44, 127}));
  expect("Cast", {to_i64}, {Tensor(DType::boolean, {3}, std::vector<uint8_t>{0, 1, 7})}, integers({0, 1, 1}));
  for (int from = 0; from < kDTypes; ++from) {
    for (int to = 0; to < kDTypes; ++to) run("Cast", {{"dtype", to}}, {random_tensor({5, 3}, static_cast<DType>(from))});
  }
  expect_refused("Cast", {{"to", 1}}, {x}, "'dtype' is missing");
  expect_refused("Cast", {{"dtype", 6}}, {x}, "wanted a code");
}

// ---- Products ----

float value_at(const Tensor& t, int64_t i) { return t.get<float>(i); }

// One chain over k, fused where the kernels fuse.
float multiply_add(float a, float b, float sum) { return kernels->has_fma ? std::fmaf(a, b, sum) : sum + a * b; }

Tensor matmul(const Tensor& a, const Tensor& b) {
  Shape left = a.shape, right = b.shape;
  if (left.rank() == 1) left.insert(0, 1);
  if (right.rank() == 1) right.push_back(1);
  Shape shape = Shape::filled(std::max(left.rank(), right.rank()), 1);
  for (const Shape* from : {&left, &right}) {
    for (int axis = 0; axis < from->rank() - 2; ++axis) {
      if ((*from)[axis] != 1) shape[axis + shape.rank() - from->rank()] = (*from)[axis];
    }
  }
  const int rank = shape.rank();
  shape[rank - 2] = left[left.rank() - 2];
  shape[rank - 1] = right[right.rank() - 1];
  const int64_t inner = left[left.rank() - 1];
  Tensor out(DType::f32, shape);
  for_each(shape, [&](int64_t flat, const Index& index) {
    float sum = 0.0f;
    for (int64_t k = 0; k < inner; ++k) {
      Index of_a = index, of_b = index;
      of_a[static_cast<size_t>(rank - 1)] = k;
      of_b[static_cast<size_t>(rank - 2)] = k;
      sum = multiply_add(value_at(a, offset_of(left, of_a)), value_at(b, offset_of(right, of_b)), sum);
    }
    out.set(flat, sum);
  });
  if (b.shape.rank() == 1) out.shape.erase(rank - 1);
  if (a.shape.rank() == 1) out.shape.erase(out.shape.rank() - (b.shape.rank() == 1 ? 1 : 2));
  return out;
}

void test_matmul() {
  for (int round = 0; round < rounds; ++round) {
    const Shape batch = random_shape(0, 3), other = partner_of(batch);
    const int64_t m = draw(0, 9), k = draw(0, 12), n = draw(0, 9) * draw(1, 9);
    Shape left = toss() ? batch : other, right = left == batch ? other : batch;
    if (draw(0, 9) == 0) left = {};
    left.push_back(m);
    left.push_back(k);
    right.push_back(k);
    right.push_back(n);
    if (draw(0, 9) == 0) left = {k};
    if (draw(0, 9) == 0) right = {k};
    const Tensor a = random_tensor(left), b = random_tensor(right), wanted = matmul(a, b);
    expect("MatMul", {}, {a, b}, wanted);
    expect("MatMul", {}, {a, known(b)}, wanted);
  }
  expect_refused("MatMul", {}, {random_tensor({2, 3}), random_tensor({4, 2})}, "3 columns meet 4 rows");
  expect_refused("MatMul", {}, {random_tensor({}), random_tensor({4, 2})}, "scalar");
}

void test_gemm() {
  for (int round = 0; round < rounds; ++round) {
    const int64_t m = draw(0, 9), k = draw(0, 12), n = draw(0, 40);
    const bool trans_a = toss(), trans_b = toss();
    const float alpha = toss() ? 1.0f : 0.5f, beta = toss() ? 1.0f : -2.0f;
    const Tensor a = random_tensor(trans_a ? Shape{k, m} : Shape{m, k});
    const Tensor b = random_tensor(trans_b ? Shape{n, k} : Shape{k, n});
    const Shape starts[] = {{}, {1}, {n}, {1, n}, {m, 1}, {m, n}};
    const Tensor c = random_tensor(starts[draw(0, 5)]);
    const bool has_c = toss();
    Tensor wanted(DType::f32, {m, n});
    for_each(wanted.shape, [&](int64_t flat, const Index& index) {
      float sum = has_c ? beta * value_at(c, offset_of(c.shape, index)) : 0.0f;
      for (int64_t i = 0; i < k; ++i) {
        const float x = value_at(a, trans_a ? i * m + index[0] : index[0] * k + i);
        const float w = value_at(b, trans_b ? index[1] * k + i : i * n + index[1]);
        sum = multiply_add(x, alpha * w, sum);
      }
      wanted.set(flat, sum);
    });
    const std::vector<Attr> attributes = {{"transA", trans_a}, {"transB", trans_b}, {"alpha", alpha}, {"beta", beta}};
    for (const bool is_known : {false, true}) {
      std::vector<Input> inputs = {a, is_known ? known(b) : Input(b)};
      if (has_c) inputs.push_back(is_known ? known(c) : Input(c));
      expect("Gemm", attributes, inputs, wanted);
    }
  }
  expect_refused("Gemm", {}, {random_tensor({2, 3}), random_tensor({4, 2})}, "do not multiply");
  expect_refused("Gemm", {}, {random_tensor({2, 3}), random_tensor({3, 2}), random_tensor({3})}, "not broadcast");
  expect_refused("Gemm", {}, {random_tensor({1, 3}), random_tensor({3, 2}), random_tensor({4, 2})}, "not broadcast to");
}

// One random convolution: its sizes along two axes; in 1-D the first is left at 1.
struct ConvCase {
  int64_t batch, groups, channels, filters;
  int64_t in[2] = {1, 1}, kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, pad[2] = {0, 0}, end[2] = {0, 0};
  int64_t out[2] = {1, 1};
  bool flat;  // 1-D
};

ConvCase random_conv() {
  ConvCase c;
  c.flat = toss();
  c.batch = draw(1, 3);
  c.groups = draw(1, 3);
  c.channels = draw(0, 2) == 0 ? 1 : draw(1, 20);
  c.filters = draw(0, 2) == 0 ? draw(1, 3) : draw(1, 20);
  for (int axis = c.flat ? 1 : 0; axis < 2; ++axis) {
    do {
      c.in[axis] = draw(0, 3) == 0 ? draw(20, 60) : draw(1, 6);
      c.kernel[axis] = draw(1, 4);
      c.stride[axis] = draw(1, 3);
      c.dilation[axis] = draw(0, 3) == 0 ? 2 : 1;
      c.pad[axis] = toss() ? 0 : draw(0, 3);
      c.end[axis] = toss() ? c.pad[axis] : draw(0, 3);
      const int64_t room = c.in[axis] + c.pad[axis] + c.end[axis] - (c.kernel[axis] - 1) * c.dilation[axis] - 1;
      c.out[axis] = room < 0 ? 0 : room / c.stride[axis] + 1;
    } while (c.out[axis] == 0);
  }
  return c;
}

// In the order the op sums: over the kernel's places, then the channels; depthwise multiplies, then adds.
Tensor conv(const ConvCase& c, const Tensor& x, const Tensor& w, const Tensor& bias) {
  const bool depthwise = c.channels == 1 && c.filters <= 4;
  Tensor out(DType::f32, {c.batch, c.groups * c.filters, c.out[0], c.out[1]});
  for_each(out.shape, [&](int64_t flat, const Index& at) {
    const int64_t group = at[1] / c.filters;
    float sum = value_at(bias, at[1]);
    for (int64_t i = 0; i < c.kernel[0] * c.kernel[1] * c.channels; ++i) {
      const int64_t place = i / c.channels, channel = i % c.channels;
      const int64_t kh = place / c.kernel[1], kw = place % c.kernel[1];
      const int64_t h = at[2] * c.stride[0] + kh * c.dilation[0] - c.pad[0];
      const int64_t v = at[3] * c.stride[1] + kw * c.dilation[1] - c.pad[1];
      if (h < 0 || h >= c.in[0] || v < 0 || v >= c.in[1]) continue;
      const float a = value_at(x, ((at[0] * c.groups + group) * c.channels + channel) * c.in[0] * c.in[1] + h * c.in[1] + v);
      const float b = value_at(w, ((at[1] * c.channels + channel) * c.kernel[0] + kh) * c.kernel[1] + kw);
      sum = depthwise ? sum + b * a : multiply_add(a, b, sum);
    }
    out.set(flat, sum);
  });
  if (c.flat) out.shape.erase(2);
  return out;
}

void test_conv() {
  for (int round = 0; round < 3 * rounds; ++round) {
    const ConvCase c = random_conv();
    const int axes = c.flat ? 1 : 2, first = 2 - axes;
    Shape input{c.batch, c.groups * c.channels}, weights{c.groups * c.filters, c.channels};
    std::vector<int64_t> strides, dilations, pads;
    for (int axis = first; axis < 2; ++axis) {
      input.push_back(c.in[axis]);
      weights.push_back(c.kernel[axis]);
      strides.push_back(c.stride[axis]);
      dilations.push_back(c.dilation[axis]);
      pads.push_back(c.pad[axis]);
    }
    pads.insert(pads.end(), c.end + first, c.end + 2);
    const std::vector<Attr> attributes = {
        {"strides", strides}, {"dilations", dilations}, {"pads", pads}, {"group", c.groups}};
    const Tensor x = random_tensor(input), w = random_tensor(weights), bias = random_tensor({c.groups * c.filters});
    const bool has_bias = toss();
    const Tensor wanted = conv(c, x, w, has_bias ? bias : Tensor(DType::f32, bias.shape));
    for (const bool is_known : {false, true}) {
      std::vector<Input> inputs = {x, is_known ? known(w) : Input(w)};
      if (has_bias) inputs.push_back(is_known ? known(bias) : Input(bias));
      expect("Conv", attributes, inputs, wanted);
    }
  }
}

void test_conv_edges() {
  const Tensor x = floats({1, 1, 5}, {1, 2, 3, 4, 5}), w = floats({1, 1, 2}, {1, 10});
  expect("Conv", {{"auto_pad", "SAME_UPPER"}}, {x, w}, floats({1, 1, 5}, {21, 32, 43, 54, 5}));
  expect("Conv", {{"auto_pad", "SAME_LOWER"}}, {x, w}, floats({1, 1, 5}, {10, 21, 32, 43, 54}));
  expect("Conv", {{"auto_pad", "VALID"}, {"strides", {2}}}, {x, w}, floats({1, 1, 2}, {21, 43}));
  expect("Conv", {}, {random_tensor({0, 1, 5}), w}, Tensor(DType::f32, {0, 1, 4}));
  expect("Conv", {}, {x, Tensor(DType::f32, {0, 1, 2})}, Tensor(DType::f32, {1, 0, 4}));
  expect_refused("Conv", {}, {random_tensor({1, 2, 5}), w}, "do not fit");
  expect_refused("Conv", {}, {x, random_tensor({1, 1, 6})}, "does not fit in 5");
  expect_refused("Conv", {{"auto_pad", "BOTH"}}, {x, w}, "'BOTH'");
  expect_refused("Conv", {{"strides", {0}}}, {x, w}, "strides is 0");
  expect_refused("Conv", {{"kernel_shape", {3}}}, {x, w}, "kernel_shape [3]");
  expect_refused("Conv", {}, {random_tensor({1, 1, 2, 2, 2}), random_tensor({1, 1, 1, 1, 1})}, "wanted [N, C, W]");
  expect_refused("Conv", {}, {x, w, random_tensor({2})}, "bias [2]");
}

// ---- Moving elements ----

void test_transpose() {
  for (int round = 0; round < rounds; ++round) {
    const Tensor x = random_tensor(random_shape(0, 5), random_dtype());
    const int rank = x.shape.rank();
    std::vector<int64_t> perm;
    for (int axis = 0; axis < rank; ++axis) perm.push_back(axis);
    std::shuffle(perm.begin(), perm.end(), random_bits);
    Shape shape;
    for (const int64_t axis : perm) shape.push_back(x.shape[static_cast<int>(axis)]);
    expect("Transpose", {{"perm", perm}}, {x}, pick(x, shape, [&](const Index& index) {
             Index from(index.size());
             for (size_t i = 0; i < index.size(); ++i) from[static_cast<size_t>(perm[i])] = index[i];
             return from;
           }));
  }
  const Tensor matrix = random_tensor({37, 70});
  expect("Transpose", {}, {matrix}, pick(matrix, {70, 37}, [](const Index& i) { return Index{i[1], i[0]}; }));
  TestPlan plan(*kernels, "Transpose", {{"perm", {1, 0, 2, 3}}}, {random_tensor({1, 7, 1, 3})});
  plan.go();
  check(plan.is_alias(), "moving axes of 1 moves no data");
  expect_refused("Transpose", {{"perm", {0, 0}}}, {matrix}, "named twice");
  expect_refused("Transpose", {{"perm", {0}}}, {matrix}, "perm has 1 axes");
}

void test_slice() {
  for (int round = 0; round < 2 * rounds; ++round) {
    const Tensor x = random_tensor(random_shape(1, 4), random_dtype());
    const int axis = static_cast<int>(draw(0, x.shape.rank() - 1));
    const int64_t dim = x.shape[axis], start = draw(-8, 8), end = draw(-8, 8), step = draw(0, 5) == 0 ? -draw(1, 3) : draw(1, 3);
    std::vector<int64_t> places;
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    const auto place = [&](int64_t at, int64_t least) { return std::min(std::max(at < 0 ? at + dim : at, least), high); };
    const int64_t behind = place(end, low);
    for (int64_t at = place(start, 0); step > 0 ? at < behind : at > behind; at += step) places.push_back(at);
    Shape shape = x.shape;
    shape[axis] = static_cast<int64_t>(places.size());
    const Tensor wanted = pick(x, shape, [&](Index index) {
      index[static_cast<size_t>(axis)] = places[static_cast<size_t>(index[static_cast<size_t>(axis)])];
      return index;
    });
    expect("Slice", {}, {x, known(integers({start})), known(integers({end})), known(integers({axis - (toss() ? x.shape.rank() : 0)})),
                         known(integers({step}))}, wanted);
  }
  constexpr int64_t kFar = std::numeric_limits<int64_t>::max(), kNear = std::numeric_limits<int64_t>::min();
  const Tensor x = integers({1, 2, 3});
  const auto slice = [&](int64_t start, int64_t end, int64_t step, const std::vector<int64_t>& wanted) {
    expect("Slice", {}, {x, known(integers({start})), known(integers({end})), Input(), known(integers({step}))},
           integers(wanted));
  };
  slice(kNear, kFar, 1, {1, 2, 3});
  slice(kFar, kNear, -1, {3, 2, 1});
  slice(kFar, kNear, kNear, {3});
  slice(1, kFar, kFar, {2});
  slice(kNear, kNear, 1, {});
  expect_refused("Slice", {}, {x, known(integers({0})), known(integers({1})), known(integers({1}))}, "no axis 1");
  expect_refused("Slice", {}, {x, known(integers({0})), known(integers({1, 2}))}, "as many of each");
  expect_refused("Slice", {}, {x, integers({0}), known(integers({1}))}, "depends on data");
}

void expect_split(const Tensor& x, const std::vector<Attr>& attributes, const std::vector<Input>& sizes, int axis,
                  const std::vector<int64_t>& parts) {
  std::vector<Input> inputs = {Input(x)};
  inputs.insert(inputs.end(), sizes.begin(), sizes.end());
  TestPlan plan(*kernels, "Split", attributes, inputs, static_cast<int>(parts.size()));
  plan.go();
  int64_t begin = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    Shape shape = x.shape;
    shape[axis] = parts[i];
    const Tensor wanted = pick(x, shape, [&](Index index) {
      index[static_cast<size_t>(axis)] += begin;
      return index;
    });
    check(same_bytes(plan.result(static_cast<int>(i)), wanted), "Split");
    begin += parts[i];
  }
}

void test_split() {
  for (const DType dtype : {DType::f32, DType::i64, DType::i8}) {
    const Tensor x = random_tensor({3, 7, 2}, dtype);
    expect_split(x, {{"axis", 1}, {"num_outputs", 3}}, {}, 1, {3, 3, 1});
    expect_split(x, {{"axis", -2}}, {known(integers({0, 5, 2}))}, 1, {0, 5, 2});
    expect_split(x, {}, {}, 0, {1, 1, 1});
  }
  expect_refused("Split", {}, {random_tensor({5}), known(integers({2, 2}))}, "cannot be split", 2);
  expect_refused("Split", {}, {random_tensor({5}), known(integers({-1, 6}))}, "cannot be split", 2);
  expect_refused("Split", {}, {random_tensor({5})}, "cannot be split", 4);
}

void test_concat() {
  for (int round = 0; round < rounds; ++round) {
    const Shape shape = random_shape(1, 4);
    const int axis = static_cast<int>(draw(0, shape.rank() - 1));
    const DType dtype = random_dtype();
    std::vector<Tensor> parts;
    Shape all = shape;
    all[axis] = 0;
    for (int64_t count = draw(1, 4); count > 0; --count) {
      Shape part = shape;
      part[axis] = draw(0, 4);
      all[axis] += part[axis];
      parts.push_back(random_tensor(part, dtype));
    }
    Tensor wanted(dtype, all);
    const size_t size = size_of(dtype);
    for_each(all, [&](int64_t flat, Index index) {
      size_t part = 0;
      int64_t& at = index[static_cast<size_t>(axis)];
      for (; at >= parts[part].shape[axis]; ++part) at -= parts[part].shape[axis];
      const auto from = static_cast<size_t>(offset_of(parts[part].shape, index));
      std::memcpy(&wanted.bytes[static_cast<size_t>(flat) * size], &parts[part].bytes[from * size], size);
    });
    expect("Concat", {{"axis", axis - (toss() ? shape.rank() : 0)}}, std::vector<Input>(parts.begin(), parts.end()), wanted);
  }
  expect_refused("Concat", {{"axis", 0}}, {random_tensor({2, 3}), random_tensor({2, 4})}, "along axis 0 only");
}

void test_gather() {
  for (int round = 0; round < rounds; ++round) {
    const Tensor x = random_tensor(random_shape(1, 4, 1), random_dtype());
    const int axis = static_cast<int>(draw(0, x.shape.rank() - 1));
    const int64_t dim = x.shape[axis];
    const bool is_known = toss();
    Tensor indices(DType::i64, random_shape(0, 2));
    const int64_t beyond = is_known ? 0 : 3;
    for (int64_t i = 0; i < indices.shape.elements(); ++i) indices.set(i, draw(-dim - beyond, dim - 1 + beyond));
    Shape shape = x.shape;
    shape.erase(axis);
    for (int i = 0; i < indices.shape.rank(); ++i) shape.insert(axis + i, indices.shape[i]);
    const auto place = [&](int64_t i) { return std::min(std::max<int64_t>(i < 0 ? i + dim : i, 0), dim - 1); };
    const Tensor wanted = pick(x, shape, [&](const Index& index) {
      const auto first = index.begin() + axis, last = first + indices.shape.rank();
      Index from(index.begin(), first);
      from.push_back(place(indices.get<int64_t>(offset_of(indices.shape, Index(first, last)))));
      from.insert(from.end(), last, index.end());
      return from;
    });
    expect("Gather", {{"axis", axis}}, {x, is_known ? known(indices) : Input(indices)}, wanted);
  }
  expect_refused("Gather", {}, {random_tensor({3}), known(integers({3}))}, "index 3 is outside an axis of 3");
  expect_refused("Gather", {}, {random_tensor({0}), integers({0})}, "nothing to pick");
  expect("Gather", {}, {random_tensor({3, 0}), integers({1, 2})}, Tensor(DType::f32, {2, 0}));
}

// Where a position of a padded axis comes from, by walking to and fro.
int64_t padded_from(int64_t at, int64_t dim, const std::string& mode) {
  if (mode == "constant") return at < 0 || at >= dim ? -1 : at;
  if (mode == "edge") return std::min(std::max<int64_t>(at, 0), dim - 1);
  while (at < 0 || at >= dim) {
    if (dim == 1) return 0;
    if (mode == "wrap") at += at < 0 ? dim : -dim;
    if (mode == "reflect") at = at < 0 ? -at : 2 * (dim - 1) - at;
  }
  return at;
}

void test_pad() {
  const char* modes[] = {"constant", "reflect", "edge", "wrap"};
  for (int round = 0; round < 3 * rounds; ++round) {
    const std::string mode = modes[draw(0, 3)];
    const Tensor x = random_tensor(random_shape(1, 4, mode == "constant" ? 0 : 1), random_dtype());
    const int rank = x.shape.rank();
    std::vector<int64_t> pads(static_cast<size_t>(2 * rank));
    std::vector<int64_t> crop;
    Shape kept = x.shape, shape;
    for (int axis = 0; axis < rank; ++axis) {
      int64_t &before = pads[static_cast<size_t>(axis)], &after = pads[static_cast<size_t>(axis + rank)];
      before = toss() ? 0 : draw(x.shape[axis] > 3 ? -2 : 0, 6);
      after = toss() ? 0 : draw(x.shape[axis] > 3 ? -1 : 0, 6);
      crop.push_back(std::max<int64_t>(-before, 0));
      kept[axis] -= crop.back() + std::max<int64_t>(-after, 0);
      shape.push_back(x.shape[axis] + before + after);
    }
    const bool has_border = toss();
    Tensor border = has_border ? random_tensor({}, x.dtype) : Tensor(x.dtype, {});
    const Tensor wanted = pick(x, shape, [&](Index index) -> std::optional<Index> {
      for (int axis = 0; axis < rank; ++axis) {
        int64_t& at = index[static_cast<size_t>(axis)];
        at = padded_from(at - std::max<int64_t>(pads[static_cast<size_t>(axis)], 0), kept[axis], mode);
        if (at < 0) return std::nullopt;
        at += crop[static_cast<size_t>(axis)];
      }
      return index;
    }, &border);
    expect("Pad", {{"mode", mode.c_str()}}, {x, known(integers(pads)), has_border ? Input(border) : Input()}, wanted);
  }
  const Tensor x = integers({1, 2, 3});
  expect("Pad", {{"mode", "reflect"}}, {x, known(integers({0, 2})), Input(), known(integers({-1}))}, integers({1, 2, 3, 2, 1}));
  expect_refused("Pad", {{"mode", "mirror"}}, {x, known(integers({0, 2}))}, "'mirror'");
  expect_refused("Pad", {}, {x, known(integers({0}))}, "wanted two for each");
  expect_refused("Pad", {}, {x, known(integers({-2, -2}))}, "cannot be padded");
}

// ---- Shapes ----

void expect_shape(const char* type, const std::vector<Attr>& attributes, const Shape& from, const Input& given,
                  const Shape& wanted) {
  const Tensor x = random_tensor(from);
  Tensor reshaped = x;
  reshaped.shape = wanted;
  expect(type, attributes, {x, given}, reshaped);
}

void test_shapes() {
  const auto dims = [](const std::vector<int64_t>& values) { return known(integers(values)); };
  expect_shape("Reshape", {}, {2, 3, 4}, dims({0, -1}), {2, 12});
  expect_shape("Reshape", {}, {2, 3, 4}, dims({4, 6}), {4, 6});
  expect_shape("Reshape", {}, {1}, dims({}), {});
  expect_shape("Reshape", {{"allowzero", 1}}, {0, 3}, dims({3, 0}), {3, 0});
  expect_shape("Reshape", {}, {0, 3}, dims({0, -1}), {0, 3});
  expect_shape("Squeeze", {}, {1, 3, 1}, Input(), {3});
  expect_shape("Squeeze", {}, {1, 3, 1}, dims({-1}), {1, 3});
  expect_shape("Unsqueeze", {}, {3, 4}, dims({0, -1}), {1, 3, 4, 1});
  expect_refused("Reshape", {}, {random_tensor({2, 3}), dims({4, -1})}, "cannot be read as [4, -1]");
  expect_refused("Reshape", {}, {random_tensor({2, 3}), dims({-1, -1})}, "cannot be read as [-1, -1]");
  expect_refused("Reshape", {}, {random_tensor({2, 3}), dims({6, 0, 0})}, "cannot be read as [6, 0, 0]");
  expect_refused("Reshape", {}, {random_tensor({2, 3}), integers({6})}, "depends on data");
  expect_refused("Reshape", {}, {random_tensor({2, 3}), dims({int64_t{1} << 40, int64_t{1} << 40})}, "more elements");
  expect_refused("Squeeze", {}, {random_tensor({2, 3}), dims({0})}, "is not 1");
  expect_refused("Unsqueeze", {}, {random_tensor({2}), dims({0, 0})}, "named twice");
  expect("Shape", {}, {random_tensor({2, 0, 4})}, integers({2, 0, 4}));
  expect("Shape", {{"start", -2}, {"end", -1}}, {random_tensor({2, 3, 4})}, integers({3}));
  expect("Shape", {{"start", 2}, {"end", 1}}, {random_tensor({2, 3, 4})}, integers({}));
  expect("Size", {}, {random_tensor({2, 3, 4})}, Tensor(DType::i64, {}, std::vector<int64_t>{24}));
  expect("ConstantOfShape", {}, {dims({2, 2})}, floats({2, 2}, {0, 0, 0, 0}));
  expect("ConstantOfShape", {{"value", 3.5f}}, {dims({2})}, floats({2}, {3.5f, 3.5f}));
  expect("ConstantOfShape", {{"value", -3}, {"dtype", 1}}, {dims({2})}, integers({-3, -3}));
  expect("ConstantOfShape", {{"value", 7}, {"dtype", 3}}, {dims({1})}, Tensor(DType::boolean, {1}, std::vector<uint8_t>{1}));
  expect("ConstantOfShape", {{"dtype", 5}}, {dims({3, 0})}, Tensor(DType::i8, {3, 0}));
  expect_refused("ConstantOfShape", {}, {dims({-2})}, "dim of -2");
}

void test_expand() {
  for (int round = 0; round < rounds; ++round) {
    const Shape shape = random_shape(0, 4);
    const Tensor x = random_tensor(partner_of(shape), random_dtype());
    expect("Expand", {}, {x, known(integers(std::vector<int64_t>(shape.begin(), shape.end())))},
           pick(x, shape, [&](const Index& index) {
             return Index(index.end() - x.shape.rank(), index.end());
           }));
  }
  expect_refused("Expand", {}, {random_tensor({3}), known(integers({2}))}, "do not broadcast");
}

void test_reduce() {
  for (int round = 0; round < rounds; ++round) {
    const Tensor x = random_tensor(random_shape(0, 5, 1));
    std::vector<int64_t> axes;
    std::set<int> reduced;
    for (int axis = 0; axis < x.shape.rank(); ++axis) {
      if (toss()) reduced.insert(axis);
    }
    for (const int axis : reduced) axes.push_back(axis - (toss() ? x.shape.rank() : 0));
    const bool keep = toss(), noop = toss();
    if (axes.empty() && !noop) {
      for (int axis = 0; axis < x.shape.rank(); ++axis) reduced.insert(axis);
    }
    Shape kept = x.shape, shape;
    for (int axis = 0; axis < x.shape.rank(); ++axis) {
      if (reduced.count(axis)) kept[axis] = 1;
      if (keep || !reduced.count(axis)) shape.push_back(kept[axis]);
    }
    std::vector<double> sums(static_cast<size_t>(kept.elements()));
    for_each(x.shape, [&](int64_t flat, const Index& index) {
      sums[static_cast<size_t>(offset_of(kept, index))] += static_cast<double>(x.get<float>(flat));
    });
    const Tensor got = run("ReduceMean", {{"keepdims", keep}, {"noop_with_empty_axes", noop}}, {x, known(integers(axes))});
    bool near = got.shape == shape;
    const double count = static_cast<double>(x.shape.elements()) / static_cast<double>(std::max<size_t>(sums.size(), 1));
    for (int64_t i = 0; near && i < shape.elements(); ++i) {
      near = std::fabs(static_cast<double>(got.get<float>(i)) - sums[static_cast<size_t>(i)] / count) < 1e-5;
    }
    check(near, "ReduceMean of " + x.shape.text() + " gave " + got.shape.text());
  }
  check(std::isnan(run("ReduceMean", {}, {Tensor(DType::f32, {0})}).get<float>(0)), "the mean of nothing");
  expect("ReduceMean", {}, {Tensor(DType::f32, {0, 3}), known(integers({1}))}, Tensor(DType::f32, {0, 1}));
}

// ---- Time ----

int time_through(const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs) {
  TestPlan plan(*kernels, type, attributes, inputs);
  plan.go();
  return plan.time_of();
}

// check_frames proves that what is said is right; this, that it is said where it can be.
void test_time() {
  const auto timed = [](const Shape& shape, int axis) { return Input(random_tensor(shape)).with_time(axis); };
  const auto weights = [](const Shape& shape) { return known(random_tensor(shape)); };
  const auto dims = [](const std::vector<int64_t>& values) { return known(integers(values)); };
  const auto expect_time = [](const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs, int axis) {
    const int got = time_through(type, attributes, inputs);
    check(got == axis, std::string("time through ") + type + " is " + std::to_string(got) + ", wanted " + std::to_string(axis));
  };
  expect_time("Tanh", {}, {timed({1, 5, 3}, 1)}, 1);
  expect_time("Add", {}, {timed({5, 3}, 0), weights({2, 1, 3})}, 1);
  expect_time("Add", {}, {timed({5, 3}, 0), weights({5, 3})}, -1);
  expect_time("Add", {}, {timed({5, 5}, 0), timed({5, 5}, 1)}, -1);
  expect_time("MatMul", {}, {timed({1, 5, 3}, 1), weights({3, 4})}, 1);
  expect_time("MatMul", {}, {timed({5, 3}, 1), weights({3, 4})}, -1);
  expect_time("MatMul", {}, {timed({5, 2, 3}, 0), timed({5, 3, 2}, 0)}, 0);
  expect_time("MatMul", {}, {weights({2, 3}), timed({3, 5}, 1)}, 1);
  expect_time("Gemm", {{"transA", 1}}, {timed({3, 5}, 1), weights({3, 4}), weights({4})}, 0);
  expect_time("Gemm", {}, {timed({5, 3}, 0), weights({3, 4}), weights({5, 1})}, -1);
  expect_time("Conv", {}, {timed({5, 2, 9}, 0), weights({3, 2, 3})}, 0);
  expect_time("Conv", {}, {timed({1, 2, 9}, 2), weights({3, 2, 1})}, 2);
  expect_time("Conv", {}, {timed({1, 2, 9}, 2), weights({3, 2, 3})}, -1);
  expect_time("Conv", {{"pads", {0, 1, 0, 1}}}, {timed({1, 2, 9, 6}, 2), weights({3, 2, 1, 3})}, 2);
  expect_time("Transpose", {{"perm", {2, 0, 1}}}, {timed({1, 5, 3}, 1)}, 2);
  expect_time("Reshape", {}, {timed({1, 5, 2, 3}, 1), dims({-1, 6})}, 0);
  expect_time("Reshape", {}, {timed({2, 5}, 1), dims({-1})}, -1);
  expect_time("Unsqueeze", {}, {timed({5, 3}, 0), dims({0})}, 1);
  expect_time("Slice", {}, {timed({5, 3}, 0), dims({0}), dims({9}), dims({0})}, 0);
  expect_time("Slice", {}, {timed({5, 3}, 0), dims({1}), dims({9}), dims({0})}, -1);
  expect_time("Slice", {}, {timed({5, 3}, 0), dims({2}), dims({0}), dims({1}), dims({-1})}, 0);
  expect_time("Pad", {}, {timed({5, 3}, 0), dims({0, 1, 0, 1})}, 0);
  expect_time("Pad", {}, {timed({5, 3}, 0), dims({1, 0, 0, 0})}, -1);
  expect_time("Concat", {{"axis", 1}}, {timed({5, 3}, 0), timed({5, 2}, 0)}, 0);
  expect_time("Concat", {{"axis", 1}}, {timed({5, 3}, 0), weights({5, 2})}, -1);
  expect_time("Split", {{"axis", 1}}, {timed({5, 3}, 0)}, 0);
  expect_time("Gather", {}, {weights({9, 3}), Input(integers({1, 2})).with_time(0)}, 0);
  expect_time("Gather", {{"axis", 0}}, {timed({3, 5}, 1), dims({1, 2})}, 1);
  expect_time("Gather", {{"axis", 0}}, {timed({3, 5}, 0), dims({1, 2})}, -1);
  expect_time("ReduceMean", {{"keepdims", 0}}, {timed({2, 5, 3}, 1), dims({0, 2})}, 0);
  expect_time("ReduceMean", {}, {timed({2, 5, 3}, 1), dims({1})}, -1);
  expect_time("Expand", {}, {timed({5, 1}, 0), dims({2, 1, 3})}, 1);
}

void test_list() {
  const std::vector<OpEntry>& list = op_list();
  for (size_t i = 1; i < list.size(); ++i) check(std::string(list[i - 1].type) < list[i].type, "the list is in order");
  for (const OpEntry& entry : list) check(find_op(entry.type) == &entry, entry.type);
  check(find_op("Resize") == nullptr && find_op("") == nullptr && find_op("zzz") == nullptr, "no such op");
  check(find_op("Slice")->control_inputs == 0x1e && find_op("Pad")->control_inputs == 0xa, "control inputs");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) rounds = std::atoi(argv[1]);
  void (*const tests[])() = {test_list,   test_arithmetic, test_functions, test_power, test_cast,
                             test_matmul, test_gemm,       test_conv,      test_conv_edges, test_transpose,
                             test_slice,  test_split,      test_concat,    test_gather, test_pad,
                             test_shapes, test_expand,     test_reduce,    test_time};
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

// The ops that compute, with every table of kernels, against obvious loops: the same bits where the numbers are
// defined, right to rounding where they are not.
#include <cmath>
#include <limits>
#include <set>

#include "op_expect.h"
#include "ops/power.h"

namespace {

using namespace lrt_test;

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
  expect_refused("Add", {}, {random_tensor({2}), integers({1, 2})}, "expected float32 as input 0 (A)");
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
  expect_refused("Tanh", {}, {integers({1})}, "expected float32");
}

void test_power() {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> values = {0.0f, -0.0f, 1.0f,   -1.0f, 2.0f,     -2.0f,     0.5f,
                               3.0f, -3.0f, 1e-30f, 1e30f, infinity, -infinity, nan};
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
  const Attr to_u8("dtype", 4), to_i8("dtype", 5), to_i32("dtype", 2), to_i64("dtype", 1), to_bool("dtype", 3),
      to_f32("dtype", 0);
  expect("Cast", {to_u8}, {x}, Tensor(DType::u8, {9}, std::vector<uint8_t>{1, 0, 255, 0, 255, 0, 255, 0, 0}));
  expect("Cast", {to_i8}, {x}, Tensor(DType::i8, {9}, std::vector<int8_t>{1, -1, 127, -128, 127, -128, 127, 0, 0}));
  constexpr int32_t kLeast = std::numeric_limits<int32_t>::min(), kMost = std::numeric_limits<int32_t>::max();
  expect("Cast", {to_i32}, {x},
         Tensor(DType::i32, {9}, std::vector<int32_t>{1, -1, 300, -300, kMost, kLeast, kMost, 0, 0}));
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  const std::vector<int64_t> wide = {1, -1, 300, -300, 3000000000, -3000000000, kLargest, 0, 0};
  expect("Cast", {to_i64}, {x}, integers(wide));
  expect("Cast", {to_bool}, {floats({3}, {0.0f, -0.0f, nan})},
         Tensor(DType::boolean, {3}, std::vector<uint8_t>{0, 0, 1}));
  expect("Cast", {to_f32}, {integers({5, -7})}, floats({2}, {5.0f, -7.0f}));
  expect("Cast", {to_i8}, {integers({300, -129})}, Tensor(DType::i8, {2}, std::vector<int8_t>{44, 127}));
  expect("Cast", {to_i64}, {Tensor(DType::boolean, {3}, std::vector<uint8_t>{0, 1, 7})}, integers({0, 1, 1}));
  for (int from = 0; from < kDTypes; ++from) {
    for (int to = 0; to < kDTypes; ++to)
      run("Cast", {{"dtype", to}}, {random_tensor({5, 3}, static_cast<DType>(from))});
  }
  expect_refused("Cast", {{"to", 1}}, {x}, "'dtype' is missing");
  expect_refused("Cast", {{"dtype", 6}}, {x}, "wanted a code");
}

// ---- Products ----

float value_at(const Tensor& t, int64_t i) { return t.get<float>(i); }

// One output of a product: a row times a column by the kernel itself, so that the ops' packing, tiles and order must give
// the same bits; and about right by itself.
struct Product {
  float start = 0.0f;
  std::vector<float> x, w;

  void add(float a, float b) {
    x.push_back(a);
    w.push_back(b);
  }
  float sum() const {
    const auto k = static_cast<int64_t>(x.size());
    AlignedBuffer column((x.size() + 1) * LRT_LANES * sizeof(float));
    double wanted = static_cast<double>(start), size = std::fabs(wanted) + 1.0;
    for (size_t i = 0; i < x.size(); ++i) {
      column.as<float>()[i * LRT_LANES] = w[i];
      wanted += static_cast<double>(x[i]) * static_cast<double>(w[i]);
      size += std::fabs(static_cast<double>(x[i]) * static_cast<double>(w[i]));
    }
    const Panels panels{column.as<float>(), nullptr, nullptr, k, 1, 1, LRT_FORMAT_F32, 0, k * 64};
    float bias[LRT_LANES] = {start}, out = 0.0f;
    const Gemm product{&panels, x.data(), k, 1, bias, &out, 1, 1, 0, 0, 1};
    kernels->gemm(&product);
    if (!(std::fabs(static_cast<double>(out) - wanted) <= 1e-5 * size)) check(false, "a product by the kernel");
    return out;
  }
};

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
    Product product;
    for (int64_t k = 0; k < inner; ++k) {
      Index of_a = index, of_b = index;
      of_a[static_cast<size_t>(rank - 1)] = k;
      of_b[static_cast<size_t>(rank - 2)] = k;
      product.add(value_at(a, offset_of(left, of_a)), value_at(b, offset_of(right, of_b)));
    }
    out.set(flat, product.sum());
  });
  if (b.shape.rank() == 1) out.shape.erase(rank - 1);
  if (a.shape.rank() == 1) out.shape.erase(out.shape.rank() - (b.shape.rank() == 1 ? 1 : 2));
  return out;
}

void test_matmul() {
  for (int round = 0; round < rounds; ++round) {
    const Shape batch = random_shape(0, 3), other = partner_of(batch);
    const int64_t m = draw(0, 9), k = draw(0, 9) == 0 ? draw(60, 140) : draw(0, 12), n = draw(0, 9) * draw(1, 9);
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
  expect_refused("MatMul", {}, {random_tensor({}), random_tensor({4, 2})}, "expected rank 1 or more");
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
      Product product;
      if (has_c) product.start = beta * value_at(c, offset_of(c.shape, index));
      for (int64_t i = 0; i < k; ++i) {
        const float x = value_at(a, trans_a ? i * m + index[0] : index[0] * k + i);
        const float w = value_at(b, trans_b ? index[1] * k + i : i * n + index[1]);
        product.add(x, alpha * w);
      }
      wanted.set(flat, product.sum());
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
  int64_t in[2] = {1, 1}, kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, pad[2] = {0, 0},
          end[2] = {0, 0};
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

// The places of the kernel along an axis from the first to the last that meet the input anywhere, or else the first one.
std::pair<int64_t, int64_t> met_places(const ConvCase& c, int axis) {
  std::pair<int64_t, int64_t> met{c.kernel[axis], -1};
  for (int64_t place = 0; place < c.kernel[axis]; ++place) {
    for (int64_t o = 0; o < c.out[axis]; ++o) {
      const int64_t at = o * c.stride[axis] + place * c.dilation[axis] - c.pad[axis];
      if (at >= 0 && at < c.in[axis]) met = {std::min(met.first, place), place};
    }
  }
  return met.second < 0 ? std::pair<int64_t, int64_t>{0, 0} : met;
}

// In the order the op sums: over the kernel's places, then the channels; depthwise in one chain.
Tensor conv(const ConvCase& c, const Tensor& x, const Tensor& w, const Tensor& bias) {
  const bool depthwise = c.channels == 1 && c.filters <= 4;
  const auto rows = met_places(c, 0), columns = met_places(c, 1);
  Tensor out(DType::f32, {c.batch, c.groups * c.filters, c.out[0], c.out[1]});
  for_each(out.shape, [&](int64_t flat, const Index& at) {
    Product product;
    float sum = product.start = value_at(bias, at[1]);
    for_each({c.kernel[0], c.kernel[1], c.channels}, [&](int64_t, const Index& k) {
      if (k[0] < rows.first || k[0] > rows.second || k[1] < columns.first || k[1] > columns.second) return;
      const int64_t h = at[2] * c.stride[0] + k[0] * c.dilation[0] - c.pad[0];
      const int64_t v = at[3] * c.stride[1] + k[1] * c.dilation[1] - c.pad[1];
      const int64_t channel = (at[0] * c.groups + at[1] / c.filters) * c.channels + k[2];
      const bool inside = h >= 0 && h < c.in[0] && v >= 0 && v < c.in[1];
      const float a = inside ? value_at(x, (channel * c.in[0] + h) * c.in[1] + v) : 0.0f;
      const float b = value_at(w, ((at[1] * c.channels + k[2]) * c.kernel[0] + k[0]) * c.kernel[1] + k[1]);
      product.add(a, b);
      sum = kernels->has_fma ? std::fma(a, b, sum) : sum + a * b;
    });
    out.set(flat, depthwise ? sum : product.sum());
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
  expect_refused("Conv", {}, {random_tensor({1, 1, 2, 2, 2}), random_tensor({1, 1, 1, 1, 1})}, "expected rank 3 or 4");
  expect_refused("Conv", {}, {x, w, random_tensor({2})}, "bias [2]");
}

// ---- Reductions ----

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
    const Tensor got =
        run("ReduceMean", {{"keepdims", keep}, {"noop_with_empty_axes", noop}}, {x, known(integers(axes))});
    bool near = got.shape == shape;
    const double count =
        static_cast<double>(x.shape.elements()) / static_cast<double>(std::max<size_t>(sums.size(), 1));
    for (int64_t i = 0; near && i < shape.elements(); ++i) {
      near = std::fabs(static_cast<double>(got.get<float>(i)) - sums[static_cast<size_t>(i)] / count) < 1e-5;
    }
    check(near, "ReduceMean of " + x.shape.text() + " gave " + got.shape.text());
  }
  check(std::isnan(run("ReduceMean", {}, {Tensor(DType::f32, {0})}).get<float>(0)), "the mean of nothing");
  expect("ReduceMean", {}, {Tensor(DType::f32, {0, 3}), known(integers({1}))}, Tensor(DType::f32, {0, 1}));
}

void test_list() {
  const std::vector<OpEntry>& list = op_list();
  for (size_t i = 1; i < list.size(); ++i) check(std::string(list[i - 1].type) < list[i].type, "the list is in order");
  for (const OpEntry& entry : list) check(find_op(entry.type) == &entry, entry.type);
  check(find_op("GridSample") == nullptr && find_op("") == nullptr && find_op("zzz") == nullptr, "no such op");
  check(find_op("Slice")->control_inputs == 0x1e && find_op("Pad")->control_inputs == 0xa, "control inputs");
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests(argc, argv,
                   {test_list, test_arithmetic, test_functions, test_power, test_cast, test_matmul, test_gemm,
                    test_conv, test_conv_edges, test_reduce});
}

// Elementwise functions, comparison, reductions, softmax and norms with every table of kernels: against obvious loops where
// those are short (the rest is in Python), and all of them frame by frame and without allocations, as `run` checks.
#include <cmath>

#include "op_expect.h"

namespace lrt {
void plan_function(OpPlan& p);
void plan_number_function(OpPlan& p);
}  // namespace lrt

namespace {

using namespace lrt_test;

void test_functions() {
  for (const OpEntry& entry : op_list()) {
    if (entry.plan != plan_function && entry.plan != plan_number_function) continue;
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{7, 5}, Shape{2, 3, 40}}) {
      check(run(entry.type, {}, {random_tensor(shape)}).shape == shape, entry.type);
    }
    if (entry.plan == plan_function) expect_refused(entry.type, {}, {integers({1})}, "expected float32");
  }
  expect("Abs", {}, {integers({-3, 4})}, integers({3, 4}));
  expect("Sign", {}, {integers({-3, 0, 4})}, integers({-1, 0, 1}));
  expect("Round", {}, {floats({4}, {0.5f, 1.5f, -2.5f, 2.6f})}, floats({4}, {0.0f, 2.0f, -2.0f, 3.0f}));
  expect_refused("Celu", {{"alpha", 0.0f}}, {floats({1}, {1.0f})}, "alpha");
  expect_refused("Gelu", {{"approximate", "sinh"}}, {floats({1}, {1.0f})}, "wanted none or tanh");
  expect_refused("Relu", {}, {random_tensor({2}, DType::boolean)}, "bool");
}

void test_pairs() {
  for (int round = 0; round < rounds; ++round) {
    const Shape shape = random_shape(0, 4);
    const Tensor a = random_tensor(shape), b = random_tensor(partner_of(shape)), c = random_tensor(partner_of(shape));
    const Tensor flags = random_tensor(shape, DType::boolean);
    Tensor least = a, chosen = a, greater(DType::boolean, shape);
    for_each(shape, [&](int64_t flat, const Index& index) {
      const float x = a.get<float>(flat), y = b.get<float>(offset_of(b.shape, index));
      least.set(flat, std::min(std::min(x, y), c.get<float>(offset_of(c.shape, index))) + 0.0f);
      greater.set(flat, static_cast<uint8_t>(x > y));
      chosen.set(flat, flags.get<uint8_t>(flat) != 0 ? x : y);
    });
    expect("Min", {}, {a, b, c}, least);
    expect("Greater", {}, {a, b}, greater);
    expect("Where", {}, {flags, a, b}, chosen);
    run("Mean", {}, {a, b, c});
    run("PRelu", {}, {a, known(b)});
  }
  expect("Max", {}, {integers({1, 2})}, integers({1, 2}));
  expect("Mod", {}, {integers({-7, 7, 5}), integers({3, -3, 0})}, integers({2, -2, 0}));
  expect("Mod", {{"fmod", 1}}, {integers({-7, 7, 5}), integers({3, -3, 0})}, integers({-1, 1, 0}));
  expect_refused("And", {}, {integers({1}), integers({1})}, "bool");
  expect_refused("Where", {}, {integers({1}), integers({1}), integers({1})}, "bool");
  expect_refused("BitShift", {{"direction", "UP"}}, {integers({1}), integers({1})}, "wanted LEFT or RIGHT");
  expect_refused("PRelu", {}, {random_tensor({3}), random_tensor({2, 3})}, "slope");
}

void test_reductions() {
  const char* types[] = {"ReduceSum", "ReduceProd",      "ReduceMax",    "ReduceMin",      "ReduceL1",
                         "ReduceL2",  "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};
  for (int round = 0; round < rounds; ++round) {
    const Tensor x = random_tensor(random_shape(1, 4));
    const int64_t axis = draw(0, x.shape.rank() - 1), other = draw(0, x.shape.rank() - 1);
    const Input axes = known(axis == other ? integers({axis}) : integers({axis, other}));
    const int keep = static_cast<int>(draw(0, 1));
    for (const char* type : types) {
      const int64_t results = run(type, {{"keepdims", keep}}, {x, axes}).shape.elements();
      const int64_t gone = x.shape[static_cast<int>(axis)] * (axis == other ? 1 : x.shape[static_cast<int>(other)]);
      check(gone == 0 || results * gone == x.shape.elements(), type);
    }
  }
  expect("ReduceSum", {}, {integers({1, 2, 3})}, integers({6}));
  expect("ReduceMax", {{"keepdims", 0}}, {Tensor(DType::f32, {0})},
         floats({}, {-std::numeric_limits<float>::infinity()}));
  expect("ReduceSumSquare", {{"noop_with_empty_axes", 1}}, {floats({2}, {3.0f, -2.0f})}, floats({2}, {9.0f, 4.0f}));
  expect_refused("ReduceL2", {}, {integers({1})}, "expected float32");
  expect_refused("ReduceSum", {}, {random_tensor({2}), known(integers({4}))}, "there is no axis 4");
}

void test_softmax_and_norms() {
  for (int round = 0; round < rounds; ++round) {
    const Tensor x = random_tensor(random_shape(1, 4));
    const int rank = x.shape.rank(), axis = static_cast<int>(draw(0, rank - 1)), flat = static_cast<int>(draw(0, 1));
    for (const char* type : {"Softmax", "LogSoftmax", "Hardmax"}) {
      check(run(type, {{"axis", axis}, {"flatten", flat}}, {x}).shape == x.shape, type);
    }
    Shape row;
    for (int a = axis; a < rank; ++a) row.push_back(x.shape[a]);
    const Tensor scale = random_tensor(row), bias = random_tensor(row);
    check(run("LayerNormalization", {{"axis", axis}}, {x, known(scale), known(bias)}).shape == x.shape, "layer norm");
    check(run("RMSNormalization", {{"axis", axis}}, {x, known(scale)}).shape == x.shape, "RMS norm");
    if (rank < 2) continue;
    const Tensor of_channels = random_tensor({x.shape[1]});
    Tensor variances = of_channels;
    for (int64_t c = 0; c < x.shape[1]; ++c) variances.set(c, std::abs(of_channels.get<float>(c)));
    const Input given = known(of_channels);
    const Tensor normal = run("BatchNormalization", {}, {x, given, given, given, known(variances)});
    check(same_bytes(normal, run("BatchNormalization", {}, {x, of_channels, of_channels, of_channels, variances})),
          "statistics that come with the data");
    run("InstanceNormalization", {}, {x, given, given});
    run("LRN", {{"size", 3}}, {x});
    if (x.shape[1] % 2 == 0 && x.shape[1] > 0) run("GroupNormalization", {{"num_groups", 2}}, {x, given, given});
  }
  const Tensor x = random_tensor({2, 6, 3});
  expect_refused("GroupNormalization", {{"num_groups", 4}}, {x, random_tensor({6}), random_tensor({6})}, "4 groups");
  expect_refused("GroupNormalization", {}, {x, random_tensor({6}), random_tensor({6})}, "0 groups");
  expect_refused("InstanceNormalization", {}, {x, random_tensor({5}), random_tensor({6})}, "wanted [6]");
  expect_refused("LayerNormalization", {}, {x, random_tensor({4})}, "broadcast");
  expect_refused("LRN", {}, {x}, "at least 1");
  expect_refused("Softmax", {{"axis", 3}}, {x}, "there is no axis 3");
}

}  // namespace

int main(int argc, char** argv) {
  return run_tests(argc, argv, {test_functions, test_pairs, test_reductions, test_softmax_and_norms});
}

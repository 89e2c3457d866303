// The ops that move elements and tell shapes, against obvious loops; and, for all ops, where time runs through them.
#include <limits>

#include "op_expect.h"

namespace {

using namespace lrt_test;

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
    const int64_t dim = x.shape[axis], start = draw(-8, 8), end = draw(-8, 8),
                  step = draw(0, 5) == 0 ? -draw(1, 3) : draw(1, 3);
    std::vector<int64_t> places;
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    const auto place = [&](int64_t at, int64_t least) {
      return std::min(std::max(at < 0 ? at + dim : at, least), high);
    };
    const int64_t behind = place(end, low);
    for (int64_t at = place(start, 0); step > 0 ? at < behind : at > behind; at += step) places.push_back(at);
    Shape shape = x.shape;
    shape[axis] = static_cast<int64_t>(places.size());
    const Tensor wanted = pick(x, shape, [&](Index index) {
      index[static_cast<size_t>(axis)] = places[static_cast<size_t>(index[static_cast<size_t>(axis)])];
      return index;
    });
    expect("Slice", {},
           {x, known(integers({start})), known(integers({end})),
            known(integers({axis - (toss() ? x.shape.rank() : 0)})), known(integers({step}))},
           wanted);
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
    expect("Concat", {{"axis", axis - (toss() ? shape.rank() : 0)}}, std::vector<Input>(parts.begin(), parts.end()),
           wanted);
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
    const Tensor wanted = pick(
        x, shape,
        [&](Index index) -> std::optional<Index> {
          for (int axis = 0; axis < rank; ++axis) {
            int64_t& at = index[static_cast<size_t>(axis)];
            at = padded_from(at - std::max<int64_t>(pads[static_cast<size_t>(axis)], 0), kept[axis], mode);
            if (at < 0) return std::nullopt;
            at += crop[static_cast<size_t>(axis)];
          }
          return index;
        },
        &border);
    expect("Pad", {{"mode", mode.c_str()}}, {x, known(integers(pads)), has_border ? Input(border) : Input()}, wanted);
  }
  const Tensor x = integers({1, 2, 3});
  expect("Pad", {{"mode", "reflect"}}, {x, known(integers({0, 2})), Input(), known(integers({-1}))},
         integers({1, 2, 3, 2, 1}));
  expect_refused("Pad", {{"mode", "mirror"}}, {x, known(integers({0, 2}))}, "'mirror'");
  expect_refused("Pad", {}, {x, known(integers({0}))}, "wanted two for each");
  expect_refused("Pad", {}, {x, known(integers({-2, -2}))}, "cannot be padded");
  expect_refused("Pad", {{"mode", "wrap"}}, {x, known(integers({0, 1 << 20}))},
                 "around 3 positions turn around or begin anew more than 65536 times");
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
  expect("ConstantOfShape", {{"value", 7}, {"dtype", 3}}, {dims({1})},
         Tensor(DType::boolean, {1}, std::vector<uint8_t>{1}));
  expect("ConstantOfShape", {{"dtype", 5}}, {dims({3, 0})}, Tensor(DType::i8, {3, 0}));
  expect_refused("ConstantOfShape", {}, {dims({-2})}, "dim of -2");
}

void test_expand() {
  for (int round = 0; round < rounds; ++round) {
    const Shape shape = random_shape(0, 4);
    const Tensor x = random_tensor(partner_of(shape), random_dtype());
    expect("Expand", {}, {x, known(integers(std::vector<int64_t>(shape.begin(), shape.end())))},
           pick(x, shape, [&](const Index& index) { return Index(index.end() - x.shape.rank(), index.end()); }));
  }
  expect_refused("Expand", {}, {random_tensor({3}), known(integers({2}))}, "do not broadcast");
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
  const auto expect_time = [](const char* type, const std::vector<Attr>& attributes, const std::vector<Input>& inputs,
                              int axis) {
    const int got = time_through(type, attributes, inputs);
    check(got == axis,
          std::string("time through ") + type + " is " + std::to_string(got) + ", wanted " + std::to_string(axis));
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

}  // namespace

int main(int argc, char** argv) {
  return run_tests(argc, argv,
                   {test_transpose, test_slice, test_split, test_concat, test_gather, test_pad, test_shapes,
                    test_expand, test_time});
}

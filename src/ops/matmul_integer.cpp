// MatMulInteger: products of bytes with zero points, exact in int32.
#include "ops/checks.h"
#include "ops/integer_product.h"
#include "ops/matmul_shape.h"
#include "ops/strided.h"

namespace lrt {
namespace {

constexpr int kLeftZero = 2, kRightZero = 3;

// Right sides [k, n], packed while planning or, for any bytes at all, at run time.
struct RightBytes {
  WeightView view;
  std::vector<std::shared_ptr<const PackedPanels>> packed;
  BufferId source = -1, scratch = -1;
  int group = 1;

  Panels panels(const Frame& frame, int64_t index) const {
    if (!packed.empty()) return packed[packed.size() == 1 ? 0 : static_cast<size_t>(index)]->panels;
    void* to = frame.at<void>(scratch);
    return pack_panels_into(to, LRT_FORMAT_NIBBLES, at(frame.at<uint8_t>(source), index), group);
  }
  WeightView at(const void* data, int64_t index) const {
    WeightView own = view;
    own.data = static_cast<const uint8_t*>(data) + index * view.k * view.n;
    return own;
  }
};

RightBytes plan_right_bytes(OpPlan& p, const Side& side) {
  const Operand& in = p.in(1);
  RightBytes right;
  right.view.dtype = in.dtype;
  right.view.k = side.rows;
  right.view.n = side.cols;
  right.view.k_stride = side.cols;
  right.view.n_stride = 1;
  if (!in.known) {
    right.source = in.buffer;
    right.group = group_for(p.kernels(), LRT_FORMAT_NIBBLES, side.rows, vectors_for(side.cols));
    right.scratch = p.scratch(panel_bytes(LRT_FORMAT_NIBBLES, side.rows, vectors_for(side.cols)));
    return right;
  }
  const int64_t matrices = side.rows * side.cols == 0 ? 1 : side.batch.elements();
  for (int64_t matrix = 0; matrix < matrices; ++matrix) {
    const auto make = [&]() -> std::shared_ptr<const void> {
      return pack_bytes(p.kernels(), right.at(in.known, matrix));
    };
    right.packed.push_back(std::static_pointer_cast<const PackedPanels>(p.packed(static_cast<int>(matrix), {1}, make)));
  }
  return right;
}

struct MatMulIntegerCall {
  const Kernels& kernels;
  Walk<2> batch;  // over matrices, of the left and the right side
  int64_t m;      // rows of one matrix of the left side
  int32_t flip;   // of the left side
  RightBytes right;
  WeightZeros right_zeros;
  BufferId left, left_zero;
  bool zero_each_row;
  BufferId rows, out;

  void operator()(const Frame& frame) const {
    const int32_t* zeros = right_zeros.read(frame, 0, right.view.n);
    batch.rows([&](int64_t to, const auto& from, int64_t n) {
      // Matrices of the left side that follow each other and meet the same right side are one taller matrix.
      const bool joined = batch.step(0) == 1 && batch.step(1) == 0 && !zero_each_row;
      for (int64_t i = 0; i < (joined ? 1 : n); ++i) {
        const Panels w = right.panels(frame, from[1] + i * batch.step(1));
        multiply(frame, w, zeros, from[0] + i * batch.step(0), to + i, joined ? n * m : m);
      }
    });
  }

  void multiply(const Frame& frame, const Panels& w, const int32_t* zeros, int64_t from, int64_t to,
                int64_t count) const {
    const int64_t k = right.view.k, n = right.view.n;
    multiply_integers(kernels,
                      {&w, frame.at<uint8_t>(left) + from * m * k, k, count, flip,
                       left_zero < 0 ? nullptr : frame.at<uint8_t>(left_zero), zero_each_row ? 1 : 0, zeros,
                       frame.at<int32_t>(out) + to * m * n, n, frame.backwards()},
                      frame.at<void>(rows), frame.parallel());
  }
};

// The zero point of the left side: one, or one for each row.
void check_left_zero(OpPlan& p, int64_t rows) {
  const Shape& shape = p.in(kLeftZero).shape;
  if (shape.elements() != 1 && shape != Shape{rows}) {
    p.refuse(Status::unsupported, input_text(p, kLeftZero) + " is " + shape.text() +
                                      "; wanted one zero point, or one for each of the " + std::to_string(rows) +
                                      " rows of A");
  }
}

}  // namespace

void plan_matmul_integer(OpPlan& p) {
  const MatMulShape shape = join_sides(p, read_side(p, 0, true), read_side(p, 1, false));
  const BufferId out = p.out(0, DType::i32, shape.out);
  keep_product_time(p, shape.batch);
  const bool left_zero = p.has(kLeftZero);
  if (left_zero) check_left_zero(p, shape.left.rows);
  const WeightZeros right_zeros(p, kRightZero, p.in(1).dtype, shape.right.cols);
  if (shape.out.elements() == 0) return;

  const RightBytes right = plan_right_bytes(p, shape.right);
  const bool each_row = left_zero && p.in(kLeftZero).shape.elements() != 1;
  const int64_t rows = shape.batch.elements() * shape.left.rows;
  const BufferId scratch = p.scratch(static_cast<size_t>(rows * lrt_quantized_row(LRT_FORMAT_NIBBLES, right.view.k)));
  const Walk<2> walk(shape.batch, {broadcast_strides(shape.left.batch, shape.batch),
                                   broadcast_strides(shape.right.batch, shape.batch)});
  const auto parameters = static_cast<uint64_t>(p.in(1).shape.elements());
  p.cost(static_cast<uint64_t>(rows) * static_cast<uint64_t>(right.view.k * right.view.n),
         right.packed.empty() ? 0 : parameters, right.packed.empty() ? 0 : parameters);
  p.run(MatMulIntegerCall{p.kernels(), walk, shape.left.rows, flip_of(p.in(0).dtype), right, right_zeros,
                          p.in(0).buffer, left_zero ? p.in(kLeftZero).buffer : -1, each_row, scratch, out});
}

}  // namespace lrt

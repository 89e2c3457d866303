// MatMul (numpy's rules) and Gemm. Weights are packed once; a right side that comes with the data is packed at every
// run, so that both give the same bits.
#include "ops/checks.h"
#include "ops/matmul_shape.h"
#include "ops/product.h"
#include "ops/strided.h"

namespace lrt {
namespace {

uint64_t unsigned_product(int64_t a, int64_t b, int64_t c = 1) {
  return static_cast<uint64_t>(a) * static_cast<uint64_t>(b) * static_cast<uint64_t>(c);
}

// The right side of a product: one matrix [k, n] or several, packed while planning or at run time.
struct RightSide {
  WeightView view;  // of the first; data only where it is known
  WeightFormat format;
  int group;
  std::vector<std::shared_ptr<const PackedPanels>> packed;  // empty where the data comes at run time, then:
  BufferId source = -1, scratch = -1;
  BufferId quantized = -1;  // for rows of the left side

  int64_t matrix() const { return view.k * view.n; }

  // The matrix `index`, packed now if need be.
  Panels panels(const Frame& frame, int64_t index) const {
    if (!packed.empty()) return packed[packed.size() == 1 ? 0 : static_cast<size_t>(index)]->panels;
    void* to = frame.at<void>(scratch);
    return pack_panels_into(to, format, at(frame.at<float>(source), index), group);
  }

  WeightView at(const void* data, int64_t index) const {
    WeightView matrix_view = view;
    matrix_view.data = static_cast<const float*>(data) + index * matrix();
    return matrix_view;
  }
};

RightSide plan_right_side(OpPlan& p, const WeightView& view, WeightFormat format, int64_t matrices, int64_t rows,
                          int scale_input) {
  const Operand& in = p.in(1);
  RightSide right{view, format, group_for(p.kernels(), format, view.k, vectors_for(view.n)), {}};
  right.quantized = plan_quantized(p, format, rows, view.k);
  if (!in.known) {
    right.source = in.buffer;
    right.scratch = p.scratch(panel_bytes(format, view.k, vectors_for(view.n)));
    return right;
  }
  for (int64_t matrix = 0; matrix < (right.matrix() == 0 ? 1 : matrices); ++matrix) {
    const auto make = [&]() -> std::shared_ptr<const void> {
      return pack_panels(format, matrix == 0 ? view : right.at(in.known, matrix), right.group);
    };
    right.packed.push_back(std::static_pointer_cast<const PackedPanels>(
        p.packed(static_cast<int>(matrix), weight_inputs(p, 1, scale_input), make)));
  }
  return right;
}

void tell_cost(OpPlan& p, const RightSide& right, int64_t rows, int64_t matrices) {
  const bool known = !right.packed.empty();
  const auto bytes = static_cast<uint64_t>(panel_bytes(right.format, right.view.k, vectors_for(right.view.n)));
  const auto count = static_cast<uint64_t>(matrices);
  p.cost(unsigned_product(rows, right.view.k, right.view.n), known ? count * bytes : 0,
         known ? count * unsigned_product(right.view.k, right.view.n) : 0);
}

struct MatMulCall {
  const Kernels& kernels;
  Walk<2> batch;  // over matrices, of the left and the right side
  int64_t m;      // rows of one matrix of the left side
  RightSide right;
  std::shared_ptr<const AlignedBuffer> bias;
  BufferId left, out;

  void operator()(const Frame& frame) const {
    batch.rows([&](int64_t to, const auto& from, int64_t n) {
      // Matrices of the left side that follow each other and meet the same right side are one taller matrix.
      const bool joined = batch.step(0) == 1 && batch.step(1) == 0;
      for (int64_t i = 0; i < (joined ? 1 : n); ++i) {
        const Panels panels = right.panels(frame, from[1] + i * batch.step(1));
        multiply(frame, panels, from[0] + i * batch.step(0), to + i, joined ? n * m : m);
      }
    });
  }

  void multiply(const Frame& frame, const Panels& panels, int64_t from, int64_t to, int64_t rows) const {
    const int64_t k = right.view.k, n = right.view.n;
    lrt::multiply(kernels,
                  {&panels, frame.at<float>(left) + from * m * k, k, rows, bias->as<float>(),
                   frame.at<float>(out) + to * m * n, n, n, frame.backwards()},
                  quantized_at(frame, right.quantized), frame.parallel());
  }
};

// C of Gemm, beta*C broadcast to the output, on which the product goes on summing.
struct Start {
  BufferId c = -1;
  float beta = 1.0f;
  Walk<1> walk;

  void fill(const Frame& frame, float* out) const {
    walk.rows([&](int64_t to, const auto& from, int64_t n) {
      const float* in = frame.at<float>(c) + from[0];
      for (int64_t i = 0; i < n; ++i) out[to + i] = beta * in[i * walk.step(0)];
    });
  }
};

struct GemmCall {
  const Kernels& kernels;
  int64_t m;
  RightSide right;
  std::shared_ptr<const AlignedBuffer> bias;  // where C is known and the same for every row, or left out; else:
  Start start;
  BufferId left, turned, out;  // turned: scratch for the left side where it has to be transposed

  void operator()(const Frame& frame) const {
    const int64_t k = right.view.k, n = right.view.n;
    const float* x = frame.at<float>(left);
    if (turned >= 0) {
      transpose_floats(x, m, frame.at<float>(turned), k, k, m);
      x = frame.at<float>(turned);
    }
    float* to = frame.at<float>(out);
    if (!bias) start.fill(frame, to);
    const Panels panels = right.panels(frame, 0);
    multiply(kernels, {&panels, x, k, m, bias ? bias->as<float>() : nullptr, to, n, n, frame.backwards()},
             quantized_at(frame, right.quantized), frame.parallel());
  }
};

void plan_start(OpPlan& p, GemmCall& call, const Shape& shape) {
  const int64_t n = shape[1];
  if (!p.has(2)) {
    call.bias = pack_bias(nullptr, n);
    return;
  }
  const Operand& c = p.in(2);
  if (broadcast_shapes(p, c.shape, shape) != shape) {
    p.refuse(Status::shape,
             input_text(p, 2) + " has shape " + c.shape.text() + ", which does not broadcast to " + shape.text());
  }
  const float beta = p.op().number("beta", 1.0f);
  const Strides strides = broadcast_strides(c.shape, shape);
  if (!c.known || strides[0] != 0) {
    call.start = {c.buffer, beta, Walk<1>(shape, {strides})};
    return;
  }
  std::vector<float> row(static_cast<size_t>(n));
  const auto* data = static_cast<const float*>(c.known);
  for (int64_t i = 0; i < n; ++i) row[static_cast<size_t>(i)] = beta * data[i * strides[1]];
  call.bias = pack_bias(row.data(), n);
}

// Time may be the rows of A (and of C, if they differ from row to row) or the columns of B; never what is summed over.
void keep_gemm_time(OpPlan& p, bool trans_a, bool trans_b, const Shape& shape) {
  const int a = time_of(p, 0), b = time_of(p, 1), c = time_of(p, 2);
  if ((a >= 0) == (b >= 0)) return;
  const bool summed = a >= 0 ? a != (trans_a ? 1 : 0) : b != (trans_b ? 0 : 1);
  const int axis = a >= 0 ? 0 : 1;
  if (summed) return;
  if (p.has(2)) {
    const Shape& own = p.in(2).shape;
    const int aligned = axis - (2 - own.rank());
    if (c >= 0 ? c != aligned || own[c] != shape[axis] : aligned >= 0 && own[aligned] != 1) return;
  }
  p.time_axis(0, axis);
}

// The matrix of a layer's quantised weights, [k, n] or, as int4, [n, k in whole blocks].
Side read_weight_side(const OpPlan& p, const Weights& weights, int64_t k, bool transposed) {
  const Shape& shape = p.in(1).shape;
  if (weights.dtype == DType::q4) transposed = true;
  const int64_t n = shape.rank() == 2 ? shape[transposed ? 0 : 1] : 0;
  const int64_t lines = row_elements(weights.dtype, k);
  if (shape.rank() != 2 || shape[transposed ? 1 : 0] != lines) {
    p.refuse(Status::shape, input_text(p, 1) + " is " + name_of(weights.dtype) + shape.text() +
                                "; wanted a matrix with " + std::to_string(lines) + " values for each output");
  }
  return {k, n, {}};
}

}  // namespace

void plan_matmul(OpPlan& p) {
  const Operand &a = p.in(0), &b = p.in(1);
  const Side left = read_side(p, 0, true);
  const bool quantized = b.dtype != DType::f32;
  const Weights weights = read_weights(p, 1, 2, Shape{b.shape[b.shape.rank() - 1]});
  const Side right = quantized ? read_weight_side(p, weights, left.cols, false) : read_side(p, 1, false);
  const MatMulShape sides = join_sides(p, left, right);
  const Shape &batch = sides.batch, &shape = sides.out;
  const BufferId out = p.out(0, DType::f32, shape);
  keep_product_time(p, batch);

  if (shape.elements() == 0) return;

  WeightView view = weights.view(right.rows, right.cols);
  if (weights.dtype != DType::q4) view.k_stride = right.cols, view.n_stride = 1;
  const Walk<2> walk(batch, {broadcast_strides(left.batch, batch), broadcast_strides(right.batch, batch)});
  const int64_t matrices = right.batch.elements(), rows = batch.elements() * left.rows;
  const RightSide packed = plan_right_side(p, view, read_format(p, weights), matrices, rows, 2);
  tell_cost(p, packed, rows, matrices);
  p.run(MatMulCall{p.kernels(), walk, left.rows, packed, pack_bias(nullptr, right.cols), a.buffer, out});
}

void plan_gemm(OpPlan& p) {
  const Operand &a = p.in(0), &b = p.in(1);
  const bool trans_a = p.op().integer("transA", 0) != 0;
  const bool trans_b = p.op().integer("transB", 0) != 0 || b.dtype == DType::q4;
  const int64_t m = a.shape[trans_a ? 1 : 0], k = a.shape[trans_a ? 0 : 1];
  const int64_t n = b.shape[trans_b ? 0 : 1];
  const Weights weights = read_weights(p, 1, 3, Shape{n});
  if (b.shape[trans_b ? 1 : 0] != row_elements(weights.dtype, k)) {
    p.refuse(Status::shape, "shapes " + a.shape.text() + (trans_a ? " transposed" : "") + " and " + b.shape.text() +
                                (trans_b ? " transposed" : "") + " do not multiply");
  }
  const float alpha = p.op().number("alpha", 1.0f);
  if (weights.dtype != DType::f32 && alpha != 1.0f) {
    p.refuse(Status::unsupported, "alpha goes with float32 weights only; quantised ones hold it already");
  }
  const Shape shape{m, n};
  GemmCall call{p.kernels(), m, {}, nullptr, {}, a.buffer, -1, p.out(0, DType::f32, shape)};
  keep_gemm_time(p, trans_a, trans_b, shape);
  plan_start(p, call, shape);
  WeightView view = weights.view(k, n);
  if (!trans_b) view.k_stride = n, view.n_stride = 1;
  view.factor = alpha;
  call.right = plan_right_side(p, view, read_format(p, weights), 1, m, 3);
  if (trans_a) call.turned = p.scratch(static_cast<size_t>(m * k) * sizeof(float));
  tell_cost(p, call.right, m, 1);
  p.run(call);
}

}  // namespace lrt

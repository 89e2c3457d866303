// Exact products of bytes with zero points, as QLinearMatMul and its kin define them:
//   out[m, n] = Σ_k (x[m, k] - x_zero)·(w[k, n] - w_zero[n]), modulo 2^32.
// Zero points are taken off the sums, not off the bytes.
#pragma once

#include "ops/product.h"

namespace lrt {

// uint8 from 0, int8 moved up by 128, so that one way of reading serves both.
inline int32_t flip_of(DType dtype) { return dtype == DType::i8 ? 128 : 0; }

// The zero point of weights as packed weights have it: of uint8 less 128, as the weights themselves.
inline int32_t packed_zero(uint8_t byte, DType dtype) {
  return dtype == DType::u8 ? byte - 128 : static_cast<int32_t>(byte ^ 128) - 128;
}

// BYTES where no weight is -128 once it is an int8, else NIBBLES, which is half as fast.
WeightFormat byte_format(const WeightView& w);

// A matrix of bytes known while planning, packed in the format its elements allow.
std::shared_ptr<const PackedPanels> pack_bytes(const Kernels& kernels, const WeightView& w);

// Zero points of the columns of weights, from the bytes of an input of that dtype. All are 0 where it is left out.
class WeightZeros {
 public:
  WeightZeros() = default;
  // `input` may be absent; it has one element or `columns`.
  WeightZeros(OpPlan& p, int input, DType dtype, int64_t columns);

  // For columns from `first` on: how much the packed weights are to be less, or null where that is nothing. Writes to
  // memory of its own in the frame.
  const int32_t* read(const Frame& frame, int64_t first, int64_t count) const;

 private:
  BufferId source_ = -1, values_ = -1;
  DType dtype_ = DType::i8;
  bool single_ = true;
};

struct IntegerGemm {
  const Panels* w;
  const uint8_t* x;
  int64_t x_stride;
  int64_t rows;
  int32_t flip;           // of x
  const uint8_t* x_zero;  // of row m: x_zero[m * x_zero_step]; null: 0
  int64_t x_zero_step;
  const int32_t* w_zeros;  // of WeightZeros
  int32_t* out;            // rows of cols
  int64_t cols;
  bool backwards;
};
// `scratch` holds rows · lrt_quantized_row bytes.
void multiply_integers(const Kernels& kernels, const IntegerGemm& gemm, void* scratch, Parallel* parallel);

}  // namespace lrt

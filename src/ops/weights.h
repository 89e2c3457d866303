// A matrix of weights as the graph holds it, in any dtype that weights have, and what its products are to be made of.
#pragma once

#include <cstdint>

#include "ops/op.h"

namespace lrt {

// A matrix [k, n] of weights; element (k, n) is element n * n_stride + (k_offsets ? k_offsets[k] : k * k_stride) of data.
struct WeightView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  const float* scales = nullptr;  // int8: of each n; all 1 where left out
  int64_t k = 0, n = 0;
  int64_t k_stride = 1, n_stride = 1;
  const int64_t* k_offsets = nullptr;
  float factor = 1.0f;  // of float weights

  // float32 and bfloat16.
  float float_at(int64_t row, int64_t column) const;
  int8_t int8_at(int64_t row, int64_t column) const;
  // int8, and uint8 less 128, whatever it is.
  int8_t byte_at(int64_t row, int64_t column) const;
  // int4, whose blocks lie along k: 0..15, and the block's scale as a float16.
  uint8_t nibble_at(int64_t row, int64_t column) const;
  uint16_t half_scale_at(int64_t row, int64_t column) const;

 private:
  int64_t offset(int64_t row, int64_t column) const {
    return column * n_stride + (k_offsets ? k_offsets[row] : row * k_stride);
  }
  const uint8_t* block_at(int64_t row, int64_t column) const;
};

// The weights of a layer: `data` once known, with the scales that go with them.
struct Weights {
  const void* data = nullptr;
  DType dtype = DType::f32;
  const float* scales = nullptr;

  // Rows of k values each: outputs first, then a matrix [outputs, k] as it lies.
  WeightView view(int64_t k, int64_t outputs) const;
  // From row `first` on.
  Weights from_row(int64_t first, int64_t k) const;
};

// Elements from one output's weights to the next where they lie along k: int4 comes in whole blocks.
int64_t row_elements(DType dtype, int64_t k);

// Input `input` of an op, with its scales in input `scale_input` if it is int8. Refuses dtypes that no weights have, and
// quantised ones that are not known or whose scales are not `scale_shape`.
Weights read_weights(OpPlan& p, int input, int scale_input, const Shape& scale_shape);
// What products with them are made of; int8 may be met by activations of 8 or 16 bits (attribute activation_bits).
WeightFormat read_format(OpPlan& p, const Weights& weights);
// Refuses int8 sums over so many k that they may leave 32 bits.
void check_sum_length(const OpPlan& p, WeightFormat format, int64_t k);
// The inputs a pack of these weights reads.
std::vector<int> weight_inputs(const OpPlan& p, int input, int scale_input);

}  // namespace lrt

#include "ops/weights.h"

#include <cstring>

#include "ops/checks.h"

namespace lrt {

float WeightView::float_at(int64_t row, int64_t column) const {
  const int64_t at = offset(row, column);
  if (dtype == DType::f32) return factor * static_cast<const float*>(data)[at];
  const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(data)[at]) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

int8_t WeightView::int8_at(int64_t row, int64_t column) const {
  // -128 has no opposite: instruction sets would differ in its products.
  const int8_t value = static_cast<const int8_t*>(data)[offset(row, column)];
  return value < -127 ? int8_t{-127} : value;
}

int8_t WeightView::byte_at(int64_t row, int64_t column) const {
  const int8_t value = static_cast<const int8_t*>(data)[offset(row, column)];
  return dtype == DType::u8 ? static_cast<int8_t>(value ^ -128) : value;
}

const uint8_t* WeightView::block_at(int64_t row, int64_t column) const {
  return static_cast<const uint8_t*>(data) + offset(row, column) / kQ4Block * kQ4BlockBytes;
}

uint8_t WeightView::nibble_at(int64_t row, int64_t column) const {
  const int64_t in_block = offset(row, column) % kQ4Block, half = kQ4Block / 2;
  const uint8_t both = block_at(row, column)[2 + in_block % half];
  return static_cast<uint8_t>(in_block < half ? both & 15 : both >> 4);
}

uint16_t WeightView::half_scale_at(int64_t row, int64_t column) const {
  const uint8_t* block = block_at(row, column);
  return static_cast<uint16_t>(block[0] | block[1] << 8);
}

int64_t row_elements(DType dtype, int64_t k) {
  return dtype == DType::q4 ? (k + kQ4Block - 1) / kQ4Block * kQ4Block : k;
}

WeightView Weights::view(int64_t k, int64_t outputs) const {
  return {data, dtype, scales, k, outputs, 1, row_elements(dtype, k)};
}

Weights Weights::from_row(int64_t first, int64_t k) const {
  if (!data) return *this;
  const auto bytes = bytes_of(dtype, Shape{first, row_elements(dtype, k)});
  return {static_cast<const char*>(data) + bytes, dtype, scales ? scales + first : nullptr};
}

Weights read_weights(OpPlan& p, int input, int scale_input, const Shape& scale_shape) {
  const Operand& in = p.in(input);
  Weights weights{in.known, in.dtype, nullptr};
  if (in.dtype == DType::f32) return weights;
  if (in.dtype != DType::bf16 && in.dtype != DType::i8 && in.dtype != DType::q4) {
    p.refuse(Status::unsupported,
             input_text(p, input) + " is " + name_of(in.dtype) + "; weights are float32, bfloat16, int8 or int4");
  }
  if (!in.known) p.refuse(Status::unsupported, input_text(p, input) + " is quantised, but comes with the data");
  if (in.dtype != DType::i8) return weights;
  if (!p.has(scale_input)) p.refuse(Status::file, input_text(p, input) + " is int8, but has no scales");
  const Operand& scales = p.in(scale_input);
  if (scales.dtype != DType::f32 || scales.shape != scale_shape || !scales.known) {
    p.refuse(Status::shape, "the scales of " + input_text(p, input) + " are " + name_of(scales.dtype) +
                                scales.shape.text() + "; wanted known float32" + scale_shape.text());
  }
  weights.scales = static_cast<const float*>(scales.known);
  return weights;
}

WeightFormat read_format(OpPlan& p, const Weights& weights) {
  const int64_t bits = p.op().integer("activation_bits", 8);
  want_attribute(p, bits == 8 || (bits == 16 && weights.dtype == DType::i8), "activation_bits", bits,
                 "8, or 16 with int8 weights");
  switch (weights.dtype) {
    case DType::bf16:
      return LRT_FORMAT_BF16;
    case DType::i8:
      return bits == 16 ? LRT_FORMAT_INT8X16 : LRT_FORMAT_INT8;
    case DType::q4:
      return LRT_FORMAT_INT4;
    default:
      return LRT_FORMAT_F32;
  }
}

void check_sum_length(const OpPlan& p, WeightFormat format, int64_t k) {
  constexpr int64_t kLongest = 60000;
  if ((format == LRT_FORMAT_INT8 || format == LRT_FORMAT_INT8X16) && k > kLongest) {
    p.refuse(Status::unsupported, "its int8 sums run over " + std::to_string(k) + " products; at most " +
                                      std::to_string(kLongest) + " are sure to fit 32 bits");
  }
}

std::vector<int> weight_inputs(const OpPlan& p, int input, int scale_input) {
  return p.in(input).dtype == DType::i8 ? std::vector<int>{input, scale_input} : std::vector<int>{input};
}

}  // namespace lrt

// What stands around the products of bytes (Integers, in products.inl) of models that were quantised elsewhere: rows of
// bytes as those products read them, zero points taken off the sums, and the way from floats to bytes and back. Whole
// numbers are modulo 2^32.
#pragma once

namespace lrt {
namespace {

void byte_rows(const Panels* w, const uint8_t* x, int64_t x_stride, int64_t rows, int32_t flip, void* to) {
  const int64_t k = w->k, part = lrt_quantized_part(k);
  const bool halves = w->format == LRT_FORMAT_NIBBLES;
  const int own = halves ? flip : flip ^ 128 ^ kActivationOffset;
  uint8_t* row = static_cast<uint8_t*>(to);
  for (int64_t r = 0; r < rows; ++r, x += x_stride, row += lrt_quantized_row(w->format, k)) {
    if (halves) {
      for (int64_t i = 0; i < k; ++i) row[i] = static_cast<uint8_t>(((x[i] ^ own) >> 4) + kActivationOffset);
      for (int64_t i = 0; i < k; ++i) row[part + i] = static_cast<uint8_t>(((x[i] ^ own) & 15) + kActivationOffset);
      for (int64_t i = k; i % 4 != 0; ++i) row[part + i] = 0;
    } else {
      for (int64_t i = 0; i < k; ++i) row[i] = static_cast<uint8_t>(x[i] ^ own);
    }
    for (int64_t i = k; i % 4 != 0; ++i) row[i] = 0;
  }
}

// No signed overflow: sums of more products than 32 bits hold wrap on every CPU.
void correct_sums(int32_t* sums, int64_t n, const int32_t* column_sums, int32_t factor, const int32_t* w_zeros,
                  int32_t x_sum) {
  const uint32_t f = static_cast<uint32_t>(factor), x = static_cast<uint32_t>(x_sum);
  if (f != 0) {
    for (int64_t i = 0; i < n; ++i) {
      sums[i] = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) + f * static_cast<uint32_t>(column_sums[i]));
    }
  }
  if (!w_zeros) return;
  for (int64_t i = 0; i < n; ++i) {
    sums[i] = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) - x * static_cast<uint32_t>(w_zeros[i]));
  }
}

void scale_sums(const int32_t* sums, const float* scales, float factor, const float* start, float* out, int64_t n) {
  const V f = broadcast(factor);
  for_all_lanes(n, [=](int64_t i, int lanes) {
    int32_t own[LRT_LANES] = {};
    __builtin_memcpy(own, sums + i, static_cast<size_t>(lanes) * 4);
    const V scaled = mul(to_float(load_ints(own)), mul(load_lanes(scales + i, lanes), f));
    store_lanes(out + i, add(load_lanes(start + i, lanes), scaled), lanes);
  });
}

void extent_f32(const float* x, int64_t n, float* above, float* below) {
  const Extent extent = extent_of(x, n);
  *above = float_with(extent.above);
  *below = float_with(extent.below);
}

void quantize_bytes(const float* x, int64_t n, float scale, int32_t zero, int32_t lowest, void* to) {
  const V divisor = broadcast(scale);
  const V low = broadcast(static_cast<float>(lowest - zero)), high = broadcast(static_cast<float>(lowest + 255 - zero));
  int8_t* bytes = static_cast<int8_t*>(to);
  for_all_lanes(n, [=](int64_t i, int lanes) {
    // Bounds second: they take the place of a NaN.
    const V q = round_to_integer(min(max(div(load_lanes(x + i, lanes), divisor), low), high));
    int8_t own[LRT_LANES];
    store_integers(own, q, zero);
    __builtin_memcpy(bytes + i, own, static_cast<size_t>(lanes));
  });
}

}  // namespace
}  // namespace lrt

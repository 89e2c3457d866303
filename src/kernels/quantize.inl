// Rows of x brought to integers, each by its own largest magnitude (docs/numerics.md). How a row lies is known to this
// file and products.inl only: its scale, 64 bytes on its bytes, then whatever its format adds.
#pragma once

namespace lrt {
namespace {

constexpr int64_t kRowHeader = 64;

LRT_INLINE V load_lanes(const float* p, int n) { return n == LRT_LANES ? load(p) : load_first(p, n); }
LRT_INLINE void store_lanes(float* p, V a, int n) { n == LRT_LANES ? store(p, a) : store_first(p, a, n); }
LRT_INLINE int lanes_from(int64_t i, int64_t n) {
  const int64_t left = n - i;
  return left < 0 ? 0 : left < LRT_LANES ? static_cast<int>(left) : LRT_LANES;
}

// The bits of the largest magnitude: floats without their sign are in the order of their bits, and NaN is above all.
LRT_INLINE int32_t largest_bits(const float* x, int64_t k) {
  I top = zero_ints();
  const I magnitude = broadcast_int(0x7fffffff);
  for (int64_t i = 0; i < k; i += LRT_LANES) {
    top = max_int(top, and_int(bits_of(load_lanes(x + i, lanes_from(i, k))), magnitude));
  }
  int32_t lanes[LRT_LANES], largest = 0;
  store_ints(lanes, top);
  for (int i = 0; i < LRT_LANES; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}

// Added to a float of magnitude below 2^22, this rounds it to an integer, which then stands in the low bits.
constexpr float kRound = 12582912.0f;
constexpr int32_t kRoundBits = 0x4b400000;
LRT_INLINE V round_to_integer(V x) { return sub(add(x, broadcast(kRound)), broadcast(kRound)); }
LRT_INLINE void store_integers(int8_t* to, V integers, int32_t offset) {
  store_bytes(to, sub(bits_of(add(integers, broadcast(kRound))), broadcast_int(kRoundBits - offset)));
}

// The row's scale is written; what x is to be multiplied by is returned, 0 where all of it is taken as zero.
LRT_INLINE float row_scale(const float* x, int64_t k, float steps, float* scale) {
  const int32_t bits = largest_bits(x, k);
  if (bits >= 0x7f800000) {  // one infinity or NaN makes all sums NaN
    *scale = __builtin_nanf("");
    return 0.0f;
  }
  float largest;
  __builtin_memcpy(&largest, &bits, 4);
  const bool vanishes = largest < 1e-30f;
  *scale = vanishes ? 0.0f : largest / steps;
  return vanishes ? 0.0f : steps / largest;
}

constexpr float kSteps8 = 127.0f, kSteps16 = 127 * 255 + 127;  // hi·255 + lo, both in [-127, 127]

// Integers of x · up, 16 at a time, to place(i, integers); zeros where up is 0, whatever x is.
template <class Place>
LRT_INLINE void quantize_row(const float* x, int64_t k, int64_t padded, float up, Place place) {
  const V factor = broadcast(up);
  for (int64_t i = 0; i < padded; i += LRT_LANES) {
    const V values = load_lanes(x + i, up == 0.0f ? 0 : lanes_from(i, k));
    place(i, round_to_integer(mul(values, factor)));
  }
}

LRT_INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

LRT_NOINLINE void quantize_int8(const float* x, int64_t k, uint8_t* to) {
  const float up = row_scale(x, k, kSteps8, reinterpret_cast<float*>(to));
  int8_t* bytes = reinterpret_cast<int8_t*>(to + kRowHeader);
  quantize_row(x, k, k, up, [bytes](int64_t i, V q) { store_integers(bytes + i, q, kActivationOffset); });
}

LRT_NOINLINE void quantize_int8x16(const float* x, int64_t k, uint8_t* to) {
  const float up = row_scale(x, k, kSteps16, reinterpret_cast<float*>(to));
  int8_t* high = reinterpret_cast<int8_t*>(to + kRowHeader);
  int8_t* low = high + lrt_quantized_part(k);
  quantize_row(x, k, k, up, [=](int64_t i, V q) {
    const V h = round_to_integer(mul(q, broadcast(1.0f / 255.0f)));
    store_integers(high + i, h, kActivationOffset);
    store_integers(low + i, fnma(h, broadcast(255.0f), q), kActivationOffset);
  });
}

// With the sum of each 32, by which the 8 that nibbles have added is taken off again. Nibbles are the unsigned side of
// their products, so these bytes carry no offset.
LRT_NOINLINE void quantize_int4(const float* x, int64_t k, uint8_t* to) {
  const float up = row_scale(x, k, kSteps8, reinterpret_cast<float*>(to));
  int8_t* bytes = reinterpret_cast<int8_t*>(to + kRowHeader);
  const int64_t padded = round_up(k, 32);
  quantize_row(x, k, padded, up, [bytes](int64_t i, V q) { store_integers(bytes + i, q, 0); });
  int32_t* sums = reinterpret_cast<int32_t*>(to + kRowHeader + lrt_quantized_part(k));
  for (int64_t i = 0; i < padded; i += 32) {
    int32_t sum = 0;
    for (int64_t j = i; j < i + 32; ++j) sum += bytes[j];
    *sums++ = sum;
  }
}

// Nothing where the format takes x as it is.
LRT_INLINE void quantize_rows(int32_t format, const float* x, int64_t x_stride, int64_t rows, int64_t k, void* to) {
  const int64_t row_bytes = lrt_quantized_row(format, k);
  if (row_bytes == 0) return;
  uint8_t* row = static_cast<uint8_t*>(to);
  for (int64_t r = 0; r < rows; ++r, x += x_stride, row += row_bytes) {
    if (format == LRT_FORMAT_INT8) quantize_int8(x, k, row);
    if (format == LRT_FORMAT_INT8X16) quantize_int8x16(x, k, row);
    if (format == LRT_FORMAT_INT4) quantize_int4(x, k, row);
  }
}

}  // namespace
}  // namespace lrt

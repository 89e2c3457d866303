// Rows of x brought to integers, each by its own range (docs/numerics.md). How a row lies is known to this
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

// How far a row reaches above and below 0, as the bits of two floats: those of positive floats are in their order as
// integers, with infinity and NaN above all, and those of negative ones are negative.
struct Extent {
  int32_t above, below;
};
LRT_INLINE int32_t largest_of(I lanes) {
  int32_t values[LRT_LANES], largest = 0;
  store_ints(values, lanes);
  for (int i = 0; i < LRT_LANES; ++i) largest = values[i] > largest ? values[i] : largest;
  return largest;
}
LRT_INLINE Extent extent_of(const float* x, int64_t k) {
  I above = zero_ints(), below = zero_ints();
  for (int64_t i = 0; i < k; i += LRT_LANES) {
    const V values = load_lanes(x + i, lanes_from(i, k));
    above = max_int(above, bits_of(values));
    below = max_int(below, bits_of(neg(values)));
  }
  return {largest_of(above), largest_of(below)};
}
LRT_INLINE float float_with(int32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

// Added to a float of magnitude below 2^22, this rounds it to an integer, which then stands in the low bits.
constexpr float kRound = 12582912.0f;
constexpr int32_t kRoundBits = 0x4b400000;
LRT_INLINE V round_to_integer(V x) { return sub(add(x, broadcast(kRound)), broadcast(kRound)); }
LRT_INLINE void store_integers(int8_t* to, V integers, int32_t offset) {
  store_bytes(to, sub(bits_of(add(integers, broadcast(kRound))), broadcast_int(kRoundBits - offset)));
}

// x is taken as middle + step·q, q whole numbers.
struct RowScale {
  float step, middle;
};
LRT_INLINE const RowScale& row_scale_at(const char* row) { return *reinterpret_cast<const RowScale*>(row); }

// How a row is brought to whole numbers from -steps to steps: to its scale, and what (x - middle) is to be multiplied
// by, 0 where all q are 0. Around the middle of the row's own range, which 0 is always in: a row without negative values
// has steps of half the size.
LRT_INLINE float scale_row(const float* x, int64_t k, float steps, bool centred, RowScale* scale) {
  const Extent extent = extent_of(x, k);
  *scale = {0.0f, 0.0f};
  if (extent.above >= 0x7f800000 || extent.below >= 0x7f800000) {  // one infinity or NaN makes all sums NaN
    scale->step = __builtin_nanf("");
    return 0.0f;
  }
  const float above = float_with(extent.above), below = float_with(extent.below);
  const float middle = centred ? 0.5f * above - 0.5f * below : 0.0f;
  // Not half the range: the middle is rounded.
  const float reach = above - middle > below + middle ? above - middle : below + middle;
  if (reach < 1e-30f) return 0.0f;
  *scale = {reach / steps, middle};
  return steps / reach;
}

constexpr float kSteps8 = 127.0f, kSteps16 = 127 * 255 + 127;  // hi·255 + lo, both in [-127, 127]

// q, 16 at a time, to place(i, q).
template <class Place>
LRT_INLINE void quantize_row(const float* x, int64_t k, int64_t padded, float up, float middle, Place place) {
  const V factor = broadcast(up), centre = broadcast(middle);
  for (int64_t i = 0; i < padded; i += LRT_LANES) {
    const V values = load_lanes(x + i, up == 0.0f ? 0 : lanes_from(i, k));
    place(i, up == 0.0f ? broadcast(0.0f) : round_to_integer(mul(sub(values, centre), factor)));
  }
}

LRT_INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

LRT_NOINLINE void quantize_int8(const float* x, int64_t k, uint8_t* to) {
  RowScale* scale = reinterpret_cast<RowScale*>(to);
  const float up = scale_row(x, k, kSteps8, true, scale);
  int8_t* bytes = reinterpret_cast<int8_t*>(to + kRowHeader);
  quantize_row(x, k, k, up, scale->middle,
               [bytes](int64_t i, V q) { store_integers(bytes + i, q, kActivationOffset); });
}

LRT_NOINLINE void quantize_int8x16(const float* x, int64_t k, uint8_t* to) {
  RowScale* scale = reinterpret_cast<RowScale*>(to);
  const float up = scale_row(x, k, kSteps16, true, scale);
  int8_t* high = reinterpret_cast<int8_t*>(to + kRowHeader);
  int8_t* low = high + lrt_quantized_part(k);
  quantize_row(x, k, k, up, scale->middle, [=](int64_t i, V q) {
    const V h = round_to_integer(mul(q, broadcast(1.0f / 255.0f)));
    store_integers(high + i, h, kActivationOffset);
    store_integers(low + i, fnma(h, broadcast(255.0f), q), kActivationOffset);
  });
}

// With -8 times the sum of each 32, which takes off the 8 that nibbles have added. Nibbles are the unsigned side of
// their products, so these bytes carry no offset; and around 0, since these weights have no sums to weigh a middle with.
LRT_NOINLINE void quantize_int4(const float* x, int64_t k, uint8_t* to) {
  const float up = scale_row(x, k, kSteps8, false, reinterpret_cast<RowScale*>(to));
  int8_t* bytes = reinterpret_cast<int8_t*>(to + kRowHeader);
  const int64_t padded = round_up(k, 32);
  quantize_row(x, k, padded, up, 0.0f, [bytes](int64_t i, V q) { store_integers(bytes + i, q, 0); });
  int32_t* sums = reinterpret_cast<int32_t*>(to + kRowHeader + lrt_quantized_part(k));
  for (int64_t i = 0; i < padded; i += 32) {
    int32_t sum = 0;
    for (int64_t j = i; j < i + 32; ++j) sum += bytes[j];
    *sums++ = -8 * sum;
  }
}

void quantize(const Panels* w, const float* x, int64_t x_stride, int64_t rows, void* to) {
  const int64_t k = w->k, row_bytes = lrt_quantized_row(w->format, k);
  uint8_t* row = static_cast<uint8_t*>(to);
  for (int64_t r = 0; r < rows; ++r, x += x_stride, row += row_bytes) {
    if (w->format == LRT_FORMAT_INT8) quantize_int8(x, k, row);
    if (w->format == LRT_FORMAT_INT8X16) quantize_int8x16(x, k, row);
    if (w->format == LRT_FORMAT_INT4) quantize_int4(x, k, row);
  }
}

}  // namespace
}  // namespace lrt

// Convolutions of single planes: output positions lie across the lanes.
#pragma once

namespace lrt {
namespace {

// Chains of multiply-adds under way at once. Vectors of any lines go together, so that short lines fill them too.
constexpr int kTapChains = 4;

// One vector of outputs.
struct TapVector {
  const float* x;
  float* out;
  int lanes;
};

template <bool Whole>
LRT_INLINE void sum_taps(const TapSums* s, const TapVector* at) {
  V sum[kTapChains];
  LRT_UNROLL
  for (int j = 0; j < kTapChains; ++j) sum[j] = broadcast(s->start);
  for (int64_t t = 0; t < s->count; ++t) {
    const V w = broadcast(s->w[s->taps[t].w]);
    LRT_UNROLL
    for (int j = 0; j < kTapChains; ++j) {
      const float* x = at[j].x + s->taps[t].x;
      sum[j] = fma(w, Whole ? load(x) : load_lanes(x, at[j].lanes), sum[j]);
    }
  }
  LRT_UNROLL
  for (int j = 0; j < kTapChains; ++j) {
    if (Whole) {
      store(at[j].out, sum[j]);
    } else {
      store_lanes(at[j].out, sum[j], at[j].lanes);
    }
  }
}

LRT_INLINE void flush_taps(const TapSums* s, TapVector* at, int count) {
  bool whole = count == kTapChains;
  for (int j = count; j < kTapChains; ++j) at[j] = {at[0].x, at[0].out, 0};
  for (int j = 0; j < kTapChains; ++j) whole = whole && at[j].lanes == LRT_LANES;
  if (whole) {
    sum_taps<true>(s, at);
  } else {
    sum_taps<false>(s, at);
  }
}

void tap_sums_f32(const TapSums* s) {
  TapVector at[kTapChains];
  int count = 0;
  for (int64_t line = 0; line < s->lines; ++line) {
    for (int64_t i = 0; i < s->n; i += LRT_LANES) {
      const int64_t left = s->n - i;
      at[count++] = {s->x + line * s->x_pitch + i, s->out + line * s->out_pitch + i,
                     left < LRT_LANES ? static_cast<int>(left) : LRT_LANES};
      if (count < kTapChains) continue;
      flush_taps(s, at, count);
      count = 0;
    }
  }
  if (count > 0) flush_taps(s, at, count);
}

}  // namespace
}  // namespace lrt

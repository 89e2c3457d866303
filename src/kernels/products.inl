// The inner loops: one tile of a product, Rows × Vectors sums in registers while the matrix is read once, for each
// format of weights. What each sum is, to the bit, is docs/numerics.md's; how a product is cut into tiles is gemm.inl's.
#pragma once

namespace lrt {
namespace {

// What stays the same from tile to tile. The pointers that move are arguments: copies of a struct that was just written
// would wait for its stores, which shows where k is small.
struct Walk {
  int64_t k, w_step;  // bytes from line to line (int4: from block to block) of the group
  int64_t x_stride;   // bytes
  int64_t start_stride, out_stride;
  const float* scales;  // of the group's columns; int8 only, as are
  const int32_t* sums;
};

// run<Rows, Vectors>(walk, w, x, start, out, column, last) makes a tile: of the last vector `last` lanes are wanted, and
// `column` counts from the group's first. plus(from, term, scales, step) adds a term to a sum: a format with a scale left to
// be multiplied has it fused with the addition.
// Not inlined: every format has dozens of tiles, and each has several callers.
LRT_INLINE const float* floats_at(const char* p) { return reinterpret_cast<const float*>(p); }
LRT_INLINE const int8_t* bytes_at(const char* p) { return reinterpret_cast<const int8_t*>(p); }

// to(vector) = from(vector) plus term(vector), for one row of a tile. `scales` are those of its columns.
template <class Format, int Vectors, class Term>
LRT_INLINE void finish_row(const float* from, float* to, const float* scales, V step, int last, Term term) {
  LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
    const int64_t at = v * LRT_LANES;
    const int lanes = v == Vectors - 1 ? last : LRT_LANES;
    const float* own = scales ? scales + at : nullptr;
    store_lanes(to + at, Format::plus(load_lanes(from + at, lanes), term(v), own, step), lanes);
  }
}

// Part of the definition of a sum, not of the blocking: a chain of this length rounds about as well as a pairwise sum.
constexpr int64_t kBlockK = 64;

// sum += x·w for `Values` values of k, one after the other: w(v, values) gives those of vector v.
template <int Values, int Rows, int Vectors, class Weights>
LRT_INLINE void add_lines(V (&sum)[Rows][Vectors], const float* x, int64_t x_stride, Weights w) {
  V xs[Rows][Values];
  LRT_UNROLL for (int r = 0; r < Rows; ++r) {
    LRT_UNROLL for (int k = 0; k < Values; ++k) xs[r][k] = broadcast(x[r * x_stride + k]);
  }
  LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
    V values[Values];
    w(v, values);
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      LRT_UNROLL for (int k = 0; k < Values; ++k) sum[r][v] = fma(xs[r][k], values[k], sum[r][v]);
    }
  }
}

// A chain of fused multiply-adds from zero over each block of k, added to the sum so far: short chains keep rounding
// errors small, and the bits do not depend on how rows and vectors are cut into tiles. add_block(sum, x, end, x_stride)
// walks on over the lines of one block.
template <class Format, int Rows, int Vectors, class Block>
LRT_INLINE void run_blocks(const Walk& s, const char* x_bytes, const float* start, float* out, int last,
                           Block add_block) {
  const float* x = floats_at(x_bytes);
  const int64_t x_stride = s.x_stride / 4;
  int64_t start_stride = s.start_stride, left = s.k;
  do {
    V sum[Rows][Vectors];
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      LRT_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = broadcast(0.0f);
    }
    const int64_t block = left < kBlockK ? left : kBlockK;
    add_block(sum, x, x + block, x_stride);
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      finish_row<Format, Vectors>(start + r * start_stride, out + r * s.out_stride, nullptr, sum[0][0], last,
                                  [&](int v) { return sum[r][v]; });
    }
    start = out;  // the sums go on
    start_stride = s.out_stride;
    x += block;
    left -= block;
  } while (left > 0);
}

struct F32 {
  static constexpr int accumulators = kAccumulators;

  LRT_INLINE V plus(V from, V term, const float*, V) { return add(from, term); }

  template <int Rows, int Vectors>
  LRT_NOINLINE void run(const Walk& walk, const char* w_bytes, const char* x, const float* start, float* out, int64_t,
                        int last) {
    const Walk s = walk;
    const float* w = floats_at(w_bytes);
    const int64_t w_step = s.w_step / 4;
    const auto add_block = [&w, w_step](auto& sum, const float* at, const float* end, int64_t x_stride) {
      for (; at != end; ++at, w += w_step) {
        add_lines<1>(sum, at, x_stride, [w](int v, V* value) { *value = load(w + v * LRT_LANES); });
      }
    };
    run_blocks<F32, Rows, Vectors>(s, x, start, out, last, add_block);
  }
};

// The same sums, of weights that are widened on the way.
struct Bf16 {
  static constexpr int accumulators = kAccumulators / 2;  // fewer tiles, and yet enough to hide latency

  LRT_INLINE V plus(V from, V term, const float*, V) { return add(from, term); }

  template <int Rows, int Vectors>
  LRT_NOINLINE void run(const Walk& walk, const char* w, const char* x, const float* start, float* out, int64_t,
                        int last) {
    const Walk s = walk;
    const auto add_block = [&w, &s](auto& sum, const float* at, const float* end, int64_t x_stride) {
      for (; end - at > 1; at += 2, w += s.w_step) {
        add_lines<2>(sum, at, x_stride, [w](int v, V* values) {
          const Bytes pair = load_bytes(w + v * 64);
          values[0] = widen_low(pair);
          values[1] = widen_high(pair);
        });
      }
      if (at == end) return;  // else the last of an odd k
      add_lines<1>(sum, at, x_stride, [w](int v, V* value) { *value = widen_low(load_bytes(w + v * 64)); });
      w += s.w_step;
    };
    run_blocks<Bf16, Rows, Vectors>(s, x, start, out, last, add_block);
  }
};

// sum[r][v] = Σ_k q[r][k]·w[k, v], exact. Parts: bytes of an activation, 1 or 2; each is a row of its own to the loop.
template <int Rows, int Parts, int Vectors>
LRT_INLINE void sum_bytes(const Walk& s, const char* w, const int8_t* q, int64_t column,
                          I (&sum)[Rows * Parts][Vectors]) {
  constexpr int kSums = Rows * Parts;
  LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
    const I from = dot_start(s.sums + column + v * LRT_LANES);
    LRT_UNROLL for (int r = 0; r < kSums; ++r) sum[r][v] = from;
  }
  const int64_t part = lrt_quantized_part(s.k);
  for (const int8_t* end = q + s.k; q < end; q += 4, w += s.w_step) {
    Four xs[kSums];
    LRT_UNROLL for (int r = 0; r < kSums; ++r) xs[r] = broadcast_four(q + r / Parts * s.x_stride + r % Parts * part);
    LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
      const Bytes wv = load_bytes(w + v * 64);
      LRT_UNROLL for (int r = 0; r < kSums; ++r) sum[r][v] = dot4(sum[r][v], wv, xs[r]);
    }
  }
}

// Exact sums of integers, then scaled.
template <int Parts>
struct Int8 {
  static constexpr int accumulators = kIntAccumulators / Parts;

  LRT_INLINE V plus(V from, V term, const float* scales, V) { return fma(term, load(scales), from); }

  template <int Rows, int Vectors>
  LRT_NOINLINE void run(const Walk& walk, const char* w, const char* x, const float* start, float* out, int64_t column,
                        int last) {
    const Walk s = walk;
    I sum[Rows * Parts][Vectors];
    sum_bytes<Rows, Parts, Vectors>(s, w, bytes_at(x) + kRowHeader, column, sum);
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      const RowScale& scale = row_scale_at(x + r * s.x_stride);
      const V step = broadcast(scale.step), middle = broadcast(scale.middle);
      const auto term = [&](int v) {
        V total = to_float(sum[r * Parts][v]);
        if (Parts == 2) total = fma(total, broadcast(255.0f), to_float(sum[r * Parts + Parts - 1][v]));
        return fma(total, step, mul(middle, to_float(load_ints(s.sums + column + v * LRT_LANES))));
      };
      finish_row<Int8, Vectors>(start + r * s.start_stride, out + r * s.out_stride, s.scales + column, step, last,
                                term);
    }
  }
};

// As Int8, but its sums are what leaves. Parts 1: an x of -128 meets weights of at least -127, so that no pair of products
// leaves 16 bits. Parts 2: halves of x, from 0 to 15, meet any byte.
template <int Parts>
struct Integers {
  static constexpr int accumulators = kIntAccumulators / Parts;

  template <int Rows, int Vectors>
  LRT_NOINLINE void run(const Walk& walk, const char* w, const char* x, const float*, float* out, int64_t column,
                        int last) {
    const Walk s = walk;
    I sum[Rows * Parts][Vectors];
    sum_bytes<Rows, Parts, Vectors>(s, w, bytes_at(x), column, sum);
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      int32_t* to = reinterpret_cast<int32_t*>(out) + r * s.out_stride;
      LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
        I total = sum[r * Parts][v];
        if (Parts == 2) {
          LRT_UNROLL for (int twice = 0; twice < 4; ++twice) total = add(total, total);
          total = add(total, sum[r * Parts + Parts - 1][v]);
        }
        store_int_lanes(to + v * LRT_LANES, total, v == Vectors - 1 ? last : LRT_LANES);
      }
    }
  }

 private:
  LRT_INLINE void store_int_lanes(int32_t* to, I a, int lanes) {
    if (lanes == LRT_LANES) return store_ints(to, a);
    int32_t all[LRT_LANES];
    store_ints(all, a);
    __builtin_memcpy(to, all, static_cast<size_t>(lanes) * 4);
  }
};

// Σ of one block of one row with one vector.
LRT_INLINE I nibble_block(const Bytes* w, const int8_t* q) {
  N sum = nibble_zero();
  LRT_UNROLL for (int line = 0; line < 4; ++line) {
    sum = nibble_dot(sum, w[line], broadcast_four(q + 8 * line), broadcast_four(q + 8 * line + 4));
  }
  return nibble_sum(sum);
}

// Exact sums over each block of 32, then a chain of fused multiply-adds over the blocks.
struct Int4 {
  static constexpr int accumulators = kIntAccumulators / 2;
  static constexpr int kBlock = 32;

  LRT_INLINE V plus(V from, V term, const float*, V step) { return fma(term, step, from); }

  template <int Rows, int Vectors>
  LRT_NOINLINE void run(const Walk& walk, const char* w, const char* x, const float* start, float* out, int64_t column,
                        int last) {
    const Walk s = walk;
    V sum[Rows][Vectors];
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      LRT_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = broadcast(0.0f);
    }
    const int64_t sums_at = kRowHeader + lrt_quantized_part(s.k);
    const int32_t* offsets = reinterpret_cast<const int32_t*>(x + sums_at);
    const int64_t offset_stride = s.x_stride / 4;
    const int8_t* q = bytes_at(x) + kRowHeader;
    // From the tile's first line to its first scale: past the group's other lines and the scales before.
    const int64_t to_scales = s.w_step / 9 * 8 - column * (4 * 64 / 16) + column * 2;
    for (const int8_t* end = q + s.k; q < end; q += kBlock, ++offsets, w += s.w_step) {
      LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
        const char* at = w + v * (4 * 64);
        const Bytes lines[4] = {load_bytes(at), load_bytes(at + 64), load_bytes(at + 128), load_bytes(at + 192)};
        const V scale = load_halves(reinterpret_cast<const uint16_t*>(w + to_scales + v * 32));
        LRT_UNROLL for (int r = 0; r < Rows; ++r) {
          const I total = add(nibble_block(lines, q + r * s.x_stride), broadcast_int(offsets[r * offset_stride]));
          sum[r][v] = fma(to_float(total), scale, sum[r][v]);
        }
      }
    }
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      const V step = broadcast(row_scale_at(x + r * s.x_stride).step);
      finish_row<Int4, Vectors>(start + r * s.start_stride, out + r * s.out_stride, nullptr, step, last,
                                [&](int v) { return sum[r][v]; });
    }
  }
};

// f(the format as a type), of those whose results are floats and whose products are this instruction set's own.
template <class F>
LRT_INLINE void with_format(int32_t format, F f) {
  switch (format) {
    case LRT_FORMAT_BF16:
      if constexpr (LRT_OWN_FLOATS) return f(Bf16());
      return;
    case LRT_FORMAT_INT8:
      return f(Int8<1>());
    case LRT_FORMAT_INT8X16:
      return f(Int8<2>());
    case LRT_FORMAT_INT4:
      return f(Int4());
    default:
      if constexpr (LRT_OWN_FLOATS) return f(F32());
  }
}

}  // namespace
}  // namespace lrt

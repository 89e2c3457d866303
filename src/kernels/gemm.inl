// Products x·W on packed panels. Every output is defined as a chain of fused multiply-adds from zero over each block of
// kBlockK values of k in rising order, added to the sum so far: short chains keep rounding errors small, and the bits
// do not depend on how rows and vectors are cut into tiles.
#pragma once

namespace lrt {
namespace {

LRT_INLINE V load_lanes(const float* p, int n) { return n == LRT_LANES ? load(p) : load_first(p, n); }
LRT_INLINE void store_lanes(float* p, V a, int n) { n == LRT_LANES ? store(p, a) : store_first(p, a, n); }

// What stays the same from tile to tile. The pointers that move are arguments: copies of a struct that was just written
// would wait for its stores, which shows where k is small.
struct Walk {
  int64_t k, w_step, x_stride, start_stride, out_stride;
};

// Part of the definition of a sum, not of the blocking: a chain of this length rounds about as well as a pairwise sum.
constexpr int64_t kBlockK = 64;

// Rows × Vectors sums in registers, the matrix read once. Of the last vector `last` lanes are wanted.
template <int Rows, int Vectors>
void run_tile(const Walk& walk, const float* w, const float* x, const float* start, float* out, int last) {
  constexpr int kLast = (Vectors - 1) * LRT_LANES;
  const Walk s = walk;
  int64_t start_stride = s.start_stride, left = s.k;
  do {
    V sum[Rows][Vectors];
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      LRT_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = broadcast(0.0f);
    }
    const int64_t block = left < kBlockK ? left : kBlockK;
    for (const float* end = x + block; x != end; ++x, w += s.w_step) {
      V xs[Rows];
      LRT_UNROLL for (int r = 0; r < Rows; ++r) xs[r] = broadcast(x[r * s.x_stride]);
      LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
        const V wv = load(w + v * LRT_LANES);
        LRT_UNROLL for (int r = 0; r < Rows; ++r) sum[r][v] = fma(xs[r], wv, sum[r][v]);
      }
    }
    LRT_UNROLL for (int r = 0; r < Rows; ++r) {
      const float* from = start + r * start_stride;
      float* to = out + r * s.out_stride;
      LRT_UNROLL for (int v = 0; v < Vectors - 1; ++v) {
        store(to + v * LRT_LANES, add(load(from + v * LRT_LANES), sum[r][v]));
      }
      store_lanes(to + kLast, add(load_lanes(from + kLast, last), sum[r][Vectors - 1]), last);
    }
    start = out;  // the sums go on
    start_stride = s.out_stride;
    left -= block;
  } while (left > 0);
}

// As many rows as keep the sums in registers, and no more than hide the latency of a multiply-add.
constexpr int tile_rows(int vectors) {
  const int rows = kAccumulators / vectors;
  return rows < 1 ? 1 : rows > 12 ? 12 : rows;
}

// rows <= Rows, vectors <= Vectors.
template <int Rows, int Vectors>
LRT_INLINE void run_rows(const Walk& s, const float* w, const float* x, const float* start, float* out, int last,
                         int rows) {
  if (rows == Rows) return run_tile<Rows, Vectors>(s, w, x, start, out, last);
  if constexpr (Rows > 1) run_rows<Rows - 1, Vectors>(s, w, x, start, out, last, rows);
}
template <int Vectors>
LRT_INLINE void run_any(const Walk& s, const float* w, const float* x, const float* start, float* out, int last,
                        int rows, int vectors) {
  if (vectors == Vectors) return run_rows<tile_rows(Vectors), Vectors>(s, w, x, start, out, last, rows);
  if constexpr (Vectors > 1) run_any<Vectors - 1>(s, w, x, start, out, last, rows, vectors);
}

// `left` cut into as many parts as parts of at most `limit` would be, but evenly: no part is left with too few chains to
// hide their latency.
LRT_INLINE int64_t even_part(int64_t left, int64_t limit) {
  const int64_t parts = (left + limit - 1) / limit;
  return (left + parts - 1) / parts;
}

// Tiles as wide as the rows leave registers for.
LRT_NOINLINE void run_tiles(const Walk& s, const float* w, const float* x, const float* start, float* out, int last,
                            int vectors, int64_t rows) {
  const int64_t fit = kAccumulators / rows;
  const int64_t limit = fit < kTileVectors ? kTileVectors : fit < kMaxGroup ? fit : kMaxGroup;
  int64_t width, height;
  for (int64_t v = 0; v < vectors; v += width) {
    width = even_part(vectors - v, limit);
    const int64_t column = v * LRT_LANES;
    for (int64_t row = 0; row < rows; row += height) {
      height = even_part(rows - row, tile_rows(static_cast<int>(width)));
      run_any<kMaxGroup>(s, w + column, x + row * s.x_stride, start + row * s.start_stride + column,
                         out + row * s.out_stride + column, v + width == vectors ? last : LRT_LANES,
                         static_cast<int>(height), static_cast<int>(width));
    }
  }
}

// The `vectors` leading vectors of one group. Where the sums of all rows fit in registers the matrix is walked once, from
// end to end; else in narrower tiles, each through all rows before the next. (Walking a block of k through all rows, to
// stay in the first-level cache, was measured slower: the second-level cache keeps up.)
LRT_INLINE void group_product(const Walk& s, const float* w, const float* x, const float* start, float* out, int last,
                              int vectors, int64_t rows) {
  if (vectors <= kMaxGroup && rows <= tile_rows(vectors)) {
    return run_any<kMaxGroup>(s, w, x, start, out, last, static_cast<int>(rows), vectors);
  }
  run_tiles(s, w, x, start, out, last, vectors, rows);
}

struct Group {
  const float* data;
  int64_t first;  // its first vector
  int vectors;
};
LRT_INLINE int64_t group_count(const Panels& w) { return (w.vectors + w.group - 1) / w.group; }
LRT_INLINE Group group_at(const Panels& w, int64_t index, bool backwards) {
  if (backwards) index = group_count(w) - 1 - index;
  const int64_t first = index * w.group, left = w.vectors - first;
  return {w.data + first * LRT_LANES * w.k, first, static_cast<int>(left < w.group ? left : w.group)};
}

void gemm_f32(const GemmF32* g) {
  if (g->rows == 0) return;
  const Panels& w = *g->w;
  const int64_t wanted = (g->cols + LRT_LANES - 1) / LRT_LANES;
  const int last = static_cast<int>(g->cols - (wanted - 1) * LRT_LANES);
  for (int64_t i = 0; i < group_count(w); ++i) {
    const Group group = group_at(w, i, g->backwards != 0);
    const int64_t left = wanted - group.first, column = group.first * LRT_LANES;
    if (left <= 0) continue;
    const bool ends = left <= group.vectors;
    const Walk s = {w.k, group.vectors * LRT_LANES, g->x_stride, g->bias ? 0 : g->out_stride, g->out_stride};
    float* out = g->out + column;
    group_product(s, group.data, g->x, g->bias ? g->bias + column : out, out, ends ? last : LRT_LANES,
                  ends ? static_cast<int>(left) : group.vectors, g->rows);
  }
}

}  // namespace
}  // namespace lrt

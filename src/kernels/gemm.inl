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

// One block of k: Rows × Vectors sums in registers, the matrix read once, then added to where the sums start. Of the last
// vector `last` lanes are wanted.
template <int Rows, int Vectors>
void run_tile(const Walk& walk, const float* w, const float* x, const float* start, float* out, int last) {
  const Walk s = walk;
  V sum[Rows][Vectors];
  LRT_UNROLL for (int r = 0; r < Rows; ++r) {
    LRT_UNROLL for (int v = 0; v < Vectors; ++v) sum[r][v] = broadcast(0.0f);
  }
  for (const float* end = x + s.k; x != end; ++x, w += s.w_step) {
    V xs[Rows];
    LRT_UNROLL for (int r = 0; r < Rows; ++r) xs[r] = broadcast(x[r * s.x_stride]);
    LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
      const V wv = load(w + v * LRT_LANES);
      LRT_UNROLL for (int r = 0; r < Rows; ++r) sum[r][v] = fma(xs[r], wv, sum[r][v]);
    }
  }
  LRT_UNROLL for (int r = 0; r < Rows; ++r, out += s.out_stride, start += s.start_stride) {
    LRT_UNROLL for (int v = 0; v < Vectors - 1; ++v) {
      store(out + v * LRT_LANES, add(load(start + v * LRT_LANES), sum[r][v]));
    }
    constexpr int kLast = (Vectors - 1) * LRT_LANES;
    store_lanes(out + kLast, add(load_lanes(start + kLast, last), sum[r][Vectors - 1]), last);
  }
}

// As many rows as keep the sums in registers, and no more than hide the latency of a multiply-add.
constexpr int tile_rows(int vectors) {
  const int rows = kAccumulators / vectors;
  return rows < 1 ? 1 : rows > 12 ? 12 : rows;
}

// rows <= Rows, vectors <= Vectors.
template <int Rows, int Vectors>
LRT_INLINE void run_rows(const Walk& s, const float* w, const float* x, const float* start, float* out, int last, int rows) {
  if (rows == Rows) return run_tile<Rows, Vectors>(s, w, x, start, out, last);
  if constexpr (Rows > 1) run_rows<Rows - 1, Vectors>(s, w, x, start, out, last, rows);
}
template <int Vectors>
LRT_INLINE void run_any(const Walk& s, const float* w, const float* x, const float* start, float* out, int last, int rows,
                        int vectors) {
  if (vectors == Vectors) return run_rows<tile_rows(Vectors), Vectors>(s, w, x, start, out, last, rows);
  if constexpr (Vectors > 1) run_any<Vectors - 1>(s, w, x, start, out, last, rows, vectors);
}

constexpr int kMaxVectors = kAccumulators < kMaxGroup ? kAccumulators : kMaxGroup;

// `left` cut into as many parts as parts of at most `limit` would be, but evenly: no part is left with too few chains to
// hide their latency.
LRT_INLINE int64_t even_part(int64_t left, int64_t limit) {
  const int64_t parts = (left + limit - 1) / limit;
  return (left + parts - 1) / parts;
}

// Rows taken through a group together, and the block of k. What the tiles of a block read again is still in the first-level
// cache, and a chain of its length rounds about as well as a pairwise sum (docs/numerics.md).
constexpr int64_t kBlockRows = 24, kBlockK = 64;

// Where the sums of some rows and vectors do not fit in registers. rows <= kBlockRows.
LRT_NOINLINE void run_tiles(Walk s, const float* w, const float* x, const float* start, float* out, int last, int vectors,
                            int64_t rows) {
  alignas(64) float block[kBlockRows * kBlockK];
  const int64_t k = s.k, x_stride = s.x_stride;
  for (int64_t done = 0; done == 0 || done < k; done += s.k) {
    s.k = k - done < kBlockK ? k - done : kBlockK;
    const float* xs = x + done;
    if (k > kBlockK) {
      // Rows a power of two apart would share few sets of the cache: side by side they do not.
      for (int64_t r = 0; r < rows; ++r) memcpy(block + r * kBlockK, xs + r * x_stride, static_cast<size_t>(s.k) * sizeof(float));
      xs = block;
      s.x_stride = kBlockK;
    }
    // The first rows take the matrix whole, so that it comes from memory as one stream.
    const int64_t whole = vectors <= kMaxVectors ? tile_rows(vectors) < rows ? tile_rows(vectors) : rows : 0;
    if (whole) run_any<kMaxVectors>(s, w, xs, start, out, last, static_cast<int>(whole), vectors);
    const int64_t fit = rows > whole ? kAccumulators / (rows - whole) : 0;
    const int64_t limit = fit < kTileVectors ? kTileVectors : fit < kMaxVectors ? fit : kMaxVectors;
    int64_t width, height;
    for (int64_t v = 0; v < vectors; v += width) {
      width = even_part(vectors - v, limit);
      const int lanes = v + width == vectors ? last : LRT_LANES;
      const int64_t column = v * LRT_LANES;
      for (int64_t r = whole; r < rows; r += height) {
        height = even_part(rows - r, tile_rows(static_cast<int>(width)));
        run_any<kMaxVectors>(s, w + column, xs + r * s.x_stride, start + r * s.start_stride + column,
                             out + r * s.out_stride + column, lanes, static_cast<int>(height), static_cast<int>(width));
      }
    }
    w += s.k * s.w_step;
    start = out;  // the sums go on
    s.start_stride = s.out_stride;
  }
}

// The `vectors` leading vectors of one group. Where all sums fit in registers the matrix is walked from end to end.
LRT_INLINE void group_product(Walk s, const float* w, const float* x, const float* start, float* out, int last,
                              int vectors, int64_t rows) {
  if (vectors > kMaxVectors || (rows > 1 && rows > tile_rows(vectors))) {
    return run_tiles(s, w, x, start, out, last, vectors, rows);
  }
  int64_t left = s.k;
  do {
    s.k = left < kBlockK ? left : kBlockK;
    run_any<kMaxVectors>(s, w, x, start, out, last, static_cast<int>(rows), vectors);
    left -= s.k;
    w += s.k * s.w_step;
    x += s.k;
    start = out;  // the sums go on
    s.start_stride = s.out_stride;
  } while (left > 0);
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
  const Panels& w = *g->w;
  const int64_t wanted = (g->cols + LRT_LANES - 1) / LRT_LANES;
  const int last = static_cast<int>(g->cols - (wanted - 1) * LRT_LANES);
  for (int64_t i = 0; i < group_count(w); ++i) {
    const Group group = group_at(w, i, g->backwards != 0);
    const int64_t left = wanted - group.first, column = group.first * LRT_LANES;
    if (left <= 0) continue;
    const bool ends = left <= group.vectors;
    const Walk s = {w.k, group.vectors * LRT_LANES, g->x_stride, g->bias ? 0 : g->out_stride, g->out_stride};
    int64_t rows;
    for (int64_t row = 0; row < g->rows; row += rows) {
      rows = even_part(g->rows - row, kBlockRows);
      float* out = g->out + row * g->out_stride + column;
      group_product(s, group.data, g->x + row * g->x_stride, g->bias ? g->bias + column : out, out,
                    ends ? last : LRT_LANES, ends ? static_cast<int>(left) : group.vectors, rows);
    }
  }
}

}  // namespace
}  // namespace lrt

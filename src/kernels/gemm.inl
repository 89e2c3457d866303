// Products x·W on packed panels. Every output is one chain of fused multiply-adds over k in rising order, so that its bits
// do not depend on how rows and vectors are cut into tiles.
#pragma once

namespace lrt {
namespace {

// Rows × vectors of one product whose matrix holds `step` vectors side by side for each k. Where the sums start is
// start (a row of biases has stride 0); `last` is how many lanes of the last vector are wanted.
struct Tile {
  const float* w;
  int64_t step, k;
  const float* x;
  int64_t x_stride;
  const float* start;
  int64_t start_stride;
  float* out;
  int64_t out_stride;
  int last;
};

LRT_INLINE V load_lanes(const float* p, int n) { return n == LRT_LANES ? load(p) : load_first(p, n); }
LRT_INLINE void store_lanes(float* p, V a, int n) { n == LRT_LANES ? store(p, a) : store_first(p, a, n); }

// All sums in registers, the matrix read once.
template <int Rows, int Vectors>
void run_tile(const Tile& t) {
  V sum[Rows][Vectors];
  LRT_UNROLL for (int r = 0; r < Rows; ++r) {
    const float* start = t.start + r * t.start_stride;
    LRT_UNROLL for (int v = 0; v < Vectors - 1; ++v) sum[r][v] = load(start + v * LRT_LANES);
    sum[r][Vectors - 1] = load_lanes(start + (Vectors - 1) * LRT_LANES, t.last);
  }
  const float* w = t.w;
  const float* x = t.x;
  const int64_t w_step = t.step * LRT_LANES, x_stride = t.x_stride;
  for (int64_t k = 0; k < t.k; ++k, w += w_step, ++x) {
    V xs[Rows];
    LRT_UNROLL for (int r = 0; r < Rows; ++r) xs[r] = broadcast(x[r * x_stride]);
    LRT_UNROLL for (int v = 0; v < Vectors; ++v) {
      const V wv = load(w + v * LRT_LANES);
      LRT_UNROLL for (int r = 0; r < Rows; ++r) sum[r][v] = fma(xs[r], wv, sum[r][v]);
    }
  }
  LRT_UNROLL for (int r = 0; r < Rows; ++r) {
    float* out = t.out + r * t.out_stride;
    LRT_UNROLL for (int v = 0; v < Vectors - 1; ++v) store(out + v * LRT_LANES, sum[r][v]);
    store_lanes(out + (Vectors - 1) * LRT_LANES, sum[r][Vectors - 1], t.last);
  }
}

constexpr int tile_rows(int vectors) {
  const int rows = kAccumulators / vectors;
  return rows < 1 ? 1 : rows > 12 ? 12 : rows;
}

// rows <= Rows.
template <int Rows, int Vectors>
void run_rows(const Tile& t, int rows) {
  if (rows == Rows) return run_tile<Rows, Vectors>(t);
  if constexpr (Rows > 1) run_rows<Rows - 1, Vectors>(t, rows);
}

// vectors <= Vectors, any number of rows, cut evenly so that no tile is left with too few chains to hide their latency.
template <int Vectors>
void run_vectors(Tile t, int vectors, int64_t rows) {
  if constexpr (Vectors > 1) {
    if (vectors < Vectors) return run_vectors<Vectors - 1>(t, vectors, rows);
  }
  constexpr int kRows = tile_rows(Vectors);
  for (int64_t tiles = (rows + kRows - 1) / kRows; tiles > 0; --tiles) {
    const int now = static_cast<int>((rows + tiles - 1) / tiles);
    run_rows<kRows, Vectors>(t, now);
    t.x += now * t.x_stride;
    t.start += now * t.start_stride;
    t.out += now * t.out_stride;
    rows -= now;
  }
}

// The `vectors` leading vectors of one group: whole where the sums of all rows fit in registers, so that the matrix is
// walked from end to end; else in narrower tiles of more rows.
void group_product(const Tile& t, int vectors, int64_t rows) {
  const bool whole = rows == 1 || rows * vectors <= kAccumulators;
  const int width = whole ? kMaxGroup : kTileVectors;
  for (int v = 0; v < vectors; v += width) {
    const int now = vectors - v < width ? vectors - v : width;
    Tile part = t;
    part.w += v * LRT_LANES;
    part.start += v * LRT_LANES;
    part.out += v * LRT_LANES;
    part.last = v + now == vectors ? t.last : LRT_LANES;
    run_vectors<kMaxGroup>(part, now, rows);
  }
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
  for (int64_t i = 0; i < group_count(w); ++i) {
    const Group group = group_at(w, i, g->backwards != 0);
    const int64_t left = wanted - group.first;
    if (left <= 0) continue;
    const int64_t column = group.first * LRT_LANES;
    const bool ends = left <= group.vectors;
    Tile t = {group.data, group.vectors, w.k, g->x, g->x_stride, g->out + column, g->out_stride, g->out + column,
              g->out_stride, ends ? static_cast<int>(g->cols - (wanted - 1) * LRT_LANES) : LRT_LANES};
    if (g->bias) {
      t.start = g->bias + column;
      t.start_stride = 0;
    }
    group_product(t, ends ? static_cast<int>(left) : group.vectors, g->rows);
  }
}

}  // namespace
}  // namespace lrt

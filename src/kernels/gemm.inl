// Products x·W on packed panels: how they are cut into the tiles of products.inl.
#pragma once

namespace lrt {
namespace {

// As many rows as keep the sums in registers, and no more than hide the latency of a multiply-add.
template <class F>
constexpr int tile_rows(int vectors) {
  const int rows = F::accumulators / vectors;
  return rows < 1 ? 1 : rows > 12 ? 12 : rows;
}

// The tile of `rows`, at least Rows, and at most as many as are kept in registers. One row is the most frequent.
template <class F, int Vectors, int Rows = 1>
LRT_INLINE void run_rows(const Walk& s, const char* w, const char* x, const float* start, float* out, int64_t column,
                         int last, int rows) {
  if (rows == Rows) return F::template run<Rows, Vectors>(s, w, x, start, out, column, last);
  if constexpr (Rows < tile_rows<F>(Vectors)) {
    run_rows<F, Vectors, Rows + 1>(s, w, x, start, out, column, last, rows);
  }
}
// vectors <= Vectors.
template <class F, int Vectors>
LRT_INLINE void run_any(const Walk& s, const char* w, const char* x, const float* start, float* out, int64_t column,
                        int last, int rows, int vectors) {
  if (vectors == Vectors) {
    return run_rows<F, Vectors>(s, w, x, start, out, column, last, rows);
  }
  if constexpr (Vectors > 1) run_any<F, Vectors - 1>(s, w, x, start, out, column, last, rows, vectors);
}

// `left` cut into as many parts as parts of at most `limit` would be, but evenly: no part is left with too few chains to
// hide their latency.
LRT_INLINE int64_t even_part(int64_t left, int64_t limit) {
  const int64_t parts = (left + limit - 1) / limit;
  return (left + parts - 1) / parts;
}

// The widest tile of one row: a group may be wider than the registers of ARMv7, whose sums would then be in memory.
constexpr int kRowVectors = kAccumulators < kMaxGroup ? kAccumulators : kMaxGroup;

struct Group {
  const char* data;
  int64_t first;         // its first vector
  int64_t vector_bytes;  // from one of its vectors to the next, on the same line or in the same block
  int64_t line_bytes;    // from line to line, or block to block
  int vectors;
};
LRT_INLINE Group group_at(const Panels& w, int64_t index) {
  const int64_t first = index * w.group, left = w.vectors - first;
  const int vectors = static_cast<int>(left < w.group ? left : w.group);
  const bool blocks = w.format == LRT_FORMAT_INT4;
  return {static_cast<const char*>(w.data) + first * w.pitch + vectors * w.lead, first, blocks ? 4 * 64 : 64,
          vectors * (blocks ? 4 * 64 + 32 : 64), vectors};
}
LRT_INLINE Walk walk_group(const Panels& w, const Group& group, int64_t x_stride, int64_t start_stride,
                           int64_t out_stride) {
  const int64_t column = group.first * LRT_LANES;
  return {w.k,
          group.line_bytes,
          x_stride,
          start_stride,
          out_stride,
          w.scales ? w.scales + column : nullptr,
          w.sums ? w.sums + column : nullptr};
}

// Tiles as wide as the rows leave registers for.
template <class F>
LRT_NOINLINE void run_tiles(const Walk& s, const Group& group, const char* x, const float* start, float* out, int last,
                            int vectors, int64_t rows) {
  const int64_t fit = F::accumulators / rows;
  const int64_t limit = fit < kTileVectors ? kTileVectors : fit < kRowVectors ? fit : kRowVectors;
  int64_t width, height;
  for (int64_t v = 0; v < vectors; v += width) {
    width = even_part(vectors - v, limit);
    const int64_t column = v * LRT_LANES;
    for (int64_t row = 0; row < rows; row += height) {
      height = even_part(rows - row, tile_rows<F>(static_cast<int>(width)));
      run_any<F, kRowVectors>(s, group.data + v * group.vector_bytes, x + row * s.x_stride,
                              start + row * s.start_stride + column, out + row * s.out_stride + column, column,
                              v + width == vectors ? last : LRT_LANES, static_cast<int>(height),
                              static_cast<int>(width));
    }
  }
}

// The `vectors` leading vectors of one group. Where the sums of all rows fit in registers the matrix is walked once, from
// end to end; else in narrower tiles, each through all rows before the next. (Walking a block of k through all rows, to
// stay in the first-level cache, was measured slower: the second-level cache keeps up.)
template <class F>
LRT_NOINLINE void group_product(const Walk& s, const Group& group, const char* x, const float* start, float* out,
                                int last, int vectors, int64_t rows) {
  if (vectors <= kRowVectors && (rows == 1 || rows <= tile_rows<F>(vectors))) {
    return run_any<F, kRowVectors>(s, group.data, x, start, out, 0, last, static_cast<int>(rows), vectors);
  }
  run_tiles<F>(s, group, x, start, out, last, vectors, rows);
}

// f(index) for the groups of a Gemm or a step, from the front or from the back.
template <class Work, class F>
LRT_INLINE void for_groups(const Work& work, F f) {
  for (int64_t i = work.first_group; i < work.last_group; ++i) {
    f(work.backwards ? work.first_group + work.last_group - 1 - i : i);
  }
}

// The rows of x as the products read them.
struct ProductRows {
  const char* data;
  int64_t stride;  // bytes
};
LRT_INLINE ProductRows product_rows(const Panels& w, const float* x, int64_t x_stride, const void* quantized) {
  const int64_t row_bytes = lrt_quantized_row(w.format, w.k);
  if (row_bytes == 0) return {reinterpret_cast<const char*>(x), x_stride * 4};
  return {static_cast<const char*>(quantized), row_bytes};
}

template <class F>
LRT_INLINE void product(const Gemm& g) {
  const Panels& w = *g.w;
  const ProductRows x = product_rows(w, g.x, g.x_stride, g.quantized);
  const int64_t wanted = (g.cols + LRT_LANES - 1) / LRT_LANES;
  const int last = static_cast<int>(g.cols - (wanted - 1) * LRT_LANES);
  for_groups(g, [&](int64_t index) {
    const Group group = group_at(w, index);
    const int64_t left = wanted - group.first, column = group.first * LRT_LANES;
    if (left <= 0) return;
    const bool ends = left <= group.vectors;
    const Walk s = walk_group(w, group, x.stride, g.bias ? 0 : g.out_stride, g.out_stride);
    float* out = g.out + column;
    group_product<F>(s, group, x.data, g.bias ? g.bias + column : out, out, ends ? last : LRT_LANES,
                     ends ? static_cast<int>(left) : group.vectors, g.rows);
  });
}

void gemm(const Gemm* g) {
  if (g->rows == 0) return;
  if (g->w->format == LRT_FORMAT_BYTES) return product<Integers<1>>(*g);
  if (g->w->format == LRT_FORMAT_NIBBLES) return product<Integers<2>>(*g);
  with_format(g->w->format, [g](auto format) { product<decltype(format)>(*g); });
}

}  // namespace
}  // namespace lrt

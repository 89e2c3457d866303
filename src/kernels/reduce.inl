// Reductions, and what is made of them: softmax, and the statistics of norms. Every one has 16 partial results over j mod
// 16 and a fixed tree, whether its elements lie side by side or apart, so frame by frame gives the bits of the whole.
#pragma once

namespace lrt {
namespace {

// What a fold starts from, how it takes an element (or two partial results: `join`), and an element that changes nothing.
// `shift` is taken off every element first where the fold says so.
struct Sum {
  static float start() { return 0.0f; }
  static float idle(float) { return 0.0f; }
  static V take(V so_far, V x, V) { return add(so_far, x); }
  static V join(V a, V b) { return add(a, b); }
  static float join(float a, float b) { return a + b; }
};
struct SumAbs : Sum {
  static V take(V so_far, V x, V) { return add(so_far, abs(x)); }
};
struct SumSquares : Sum {
  static V take(V so_far, V x, V) { return fma(x, x, so_far); }
};
struct SumDeviations : Sum {  // (x - shift)^2
  static float idle(float shift) { return shift; }
  static V take(V so_far, V x, V shift) { return SumSquares::take(so_far, sub(x, shift), shift); }
};
struct SumExp : Sum {  // e^(x - shift)
  static float idle(float) { return -kInfinity; }
  static V take(V so_far, V x, V shift) { return add(so_far, exp(sub(x, shift))); }
};
struct Product {
  static float start() { return 1.0f; }
  static float idle(float) { return 1.0f; }
  static V take(V so_far, V x, V) { return mul(so_far, x); }
  static V join(V a, V b) { return mul(a, b); }
  static float join(float a, float b) { return a * b; }
};
struct Least {
  static float start() { return kInfinity; }
  static float idle(float) { return kInfinity; }
  static V take(V so_far, V x, V) { return least(so_far, x); }
  static V join(V a, V b) { return least(a, b); }
  static float join(float a, float b) { return a < b || a != a ? a : b; }
};
struct Most {
  static float start() { return -kInfinity; }
  static float idle(float) { return -kInfinity; }
  static V take(V so_far, V x, V) { return most(so_far, x); }
  static V join(V a, V b) { return most(a, b); }
  static float join(float a, float b) { return a > b || a != a ? a : b; }
};

template <class Fold>
LRT_NOINLINE float fold_row(const float* x, int64_t n, float shift = 0.0f) {
  const V shifts = broadcast(shift);
  V so_far = broadcast(Fold::start());
  int64_t i = 0;
  for (; i + LRT_LANES <= n; i += LRT_LANES) so_far = Fold::take(so_far, load(x + i), shifts);
  alignas(64) float lane[LRT_LANES];
  if (i < n) {
    for (int j = 0; j < LRT_LANES; ++j) lane[j] = i + j < n ? x[i + j] : Fold::idle(shift);
    so_far = Fold::take(so_far, load(lane), shifts);
  }
  store(lane, so_far);
  for (int width = LRT_LANES / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] = Fold::join(lane[j], lane[j + width]);
  }
  return lane[0];
}

// The same for `lanes` columns side by side, whose elements are `stride` apart.
template <class Fold>
LRT_NOINLINE V fold_columns(const float* x, int64_t n, int64_t stride, int lanes, V shift) {
  V partial[LRT_LANES];
  for (V& one : partial) one = broadcast(Fold::start());
  for (int64_t j = 0; j < n; ++j) {
    V& one = partial[j % LRT_LANES];
    one = Fold::take(one, load_lanes(x + j * stride, lanes), shift);
  }
  for (int width = LRT_LANES / 2; width > 0; width /= 2) {
    for (int k = 0; k < width; ++k) partial[k] = Fold::join(partial[k], partial[k + width]);
  }
  return partial[0];
}

// What is taken off before exponentials: the largest, where it is finite. (Of infinities the exponentials are right as
// they are.)
LRT_INLINE V finite_or_zero(V x) { return select(less(abs(x), broadcast(kInfinity)), x, broadcast(0.0f)); }

template <class Fold>
void fold_all(const float* x, int64_t outer, int64_t n, int64_t inner, float* y) {
  for (int64_t o = 0; o < outer; ++o, x += n * inner, y += inner) {
    if (inner == 1) {
      *y = fold_row<Fold>(x, n);
      continue;
    }
    for_all_lanes(inner, [=](int64_t i, int lanes) {
      store_lanes(y + i, fold_columns<Fold>(x + i, n, inner, lanes, broadcast(0.0f)), lanes);
    });
  }
}

// log Σ e^x: the sum in a first lane, or in as many as there are columns.
LRT_INLINE V finish_log_sum(V shift, V sum) { return add(shift, log(sum)); }
LRT_INLINE float first_lane(V x) {
  alignas(64) float lane[LRT_LANES];
  store(lane, x);
  return lane[0];
}
void log_sum_exp(const float* x, int64_t outer, int64_t n, int64_t inner, float* y) {
  for (int64_t o = 0; o < outer; ++o, x += n * inner, y += inner) {
    if (inner == 1) {
      const V shift = finite_or_zero(broadcast(fold_row<Most>(x, n)));
      *y = first_lane(finish_log_sum(shift, broadcast(fold_row<SumExp>(x, n, first_lane(shift)))));
      continue;
    }
    for_all_lanes(inner, [=](int64_t i, int lanes) {
      const V shift = finite_or_zero(fold_columns<Most>(x + i, n, inner, lanes, broadcast(0.0f)));
      const V sum = fold_columns<SumExp>(x + i, n, inner, lanes, shift);
      store_lanes(y + i, finish_log_sum(shift, sum), lanes);
    });
  }
}

void reduce_f32(int32_t kind, const float* x, int64_t outer, int64_t n, int64_t inner, float* y) {
  switch (kind) {
    case LRT_SUM:
      return fold_all<Sum>(x, outer, n, inner, y);
    case LRT_SUM_ABS:
      return fold_all<SumAbs>(x, outer, n, inner, y);
    case LRT_SUM_SQUARES:
      return fold_all<SumSquares>(x, outer, n, inner, y);
    case LRT_PRODUCT:
      return fold_all<Product>(x, outer, n, inner, y);
    case LRT_LEAST:
      return fold_all<Least>(x, outer, n, inner, y);
    case LRT_MOST:
      return fold_all<Most>(x, outer, n, inner, y);
    case LRT_LOG_SUM_EXP:
      return log_sum_exp(x, outer, n, inner, y);
  }
}

// ---- Softmax -----------------------------------------------------------------------------------------------------

LRT_INLINE void softmax_row(const float* x, float* y, int64_t n, bool is_log) {
  const float largest = fold_row<Most>(x, n);
  const V shift = broadcast(largest);
  if (is_log) {
    const V log_sum = log(broadcast(fold_row<SumExp>(x, n, largest)));
    return for_all_lanes(n, [=](int64_t i, int lanes) {
      store_lanes(y + i, sub(sub(load_lanes(x + i, lanes), shift), log_sum), lanes);
    });
  }
  for_all_lanes(n, [=](int64_t i, int lanes) { store_lanes(y + i, exp(sub(load_lanes(x + i, lanes), shift)), lanes); });
  const V sum = broadcast(fold_row<Sum>(y, n));
  for_all_lanes(n, [=](int64_t i, int lanes) { store_lanes(y + i, div(load_lanes(y + i, lanes), sum), lanes); });
}
LRT_INLINE void softmax_columns(const float* x, float* y, int64_t n, int64_t stride, int lanes, bool is_log) {
  const V zero = broadcast(0.0f), shift = fold_columns<Most>(x, n, stride, lanes, zero);
  if (is_log) {
    const V log_sum = log(fold_columns<SumExp>(x, n, stride, lanes, shift));
    for (int64_t j = 0; j < n * stride; j += stride) {
      store_lanes(y + j, sub(sub(load_lanes(x + j, lanes), shift), log_sum), lanes);
    }
    return;
  }
  for (int64_t j = 0; j < n * stride; j += stride) {
    store_lanes(y + j, exp(sub(load_lanes(x + j, lanes), shift)), lanes);
  }
  const V sum = fold_columns<Sum>(y, n, stride, lanes, zero);
  for (int64_t j = 0; j < n * stride; j += stride) store_lanes(y + j, div(load_lanes(y + j, lanes), sum), lanes);
}
void softmax_f32(const Softmax* s) {
  const bool is_log = s->log;
  const int64_t n = s->n, inner = s->inner;
  for (int64_t o = 0; o < s->outer; ++o) {
    const float* x = s->x + o * n * inner;
    float* y = s->y + o * n * inner;
    if (inner == 1) {
      softmax_row(x, y, n, is_log);
    } else {
      for_all_lanes(inner, [=](int64_t i, int lanes) { softmax_columns(x + i, y + i, n, inner, lanes, is_log); });
    }
  }
}

// ---- Norms -------------------------------------------------------------------------------------------------------

void moments_f32(const Moments* s) {
  const float count = static_cast<float>(s->n);
  for (int64_t row = 0; row < s->rows; ++row) {
    const float* x = s->x + row * s->n;
    float sum;
    if (s->mean) {
      s->mean[row] = fold_row<Sum>(x, s->n) / count;
      sum = fold_row<SumDeviations>(x, s->n, s->mean[row]);
    } else {
      sum = fold_row<SumSquares>(x, s->n);
    }
    s->inverse[row] = 1.0f / __builtin_sqrtf(sum / count + s->epsilon);
  }
}

void scale_f32(const Scale* s) {
  if (s->n == 0) return;
  const float *x = s->x, *scale = s->scale, *bias = s->bias;
  float* y = s->y;
  const bool each = s->step != 0;
  const V mean = broadcast(s->mean), inverse = broadcast(s->inverse);
  const V first_scale = broadcast(*scale), first_bias = broadcast(bias ? *bias : 0.0f);
  for_all_lanes(s->n, [=](int64_t i, int lanes) {
    const V normal = mul(sub(load_lanes(x + i, lanes), mean), inverse);
    const V by = each ? load_lanes(scale + i, lanes) : first_scale;
    const V plus = each && bias ? load_lanes(bias + i, lanes) : first_bias;
    store_lanes(y + i, fma(normal, by, plus), lanes);
  });
}

}  // namespace
}  // namespace lrt

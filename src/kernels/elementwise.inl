// Whole arrays: functions of one and two arguments.
#pragma once

namespace lrt {
namespace {

template <class F>
LRT_INLINE void for_all_lanes(int64_t n, F f) {
  int64_t i = 0;
  for (; i + LRT_LANES <= n; i += LRT_LANES) f(i, LRT_LANES);
  if (i < n) f(i, static_cast<int>(n - i));
}

template <int Kind>
void map(const float* x, float* y, int64_t n, float alpha, float beta) {
  const V a = broadcast(alpha), b = broadcast(beta);
  // One body for whole vectors and for the rest: functions are large.
  for (int64_t i = 0; i < n; i += LRT_LANES) {
    const int lanes = lanes_from(i, n);
    store_lanes(y + i, unary<Kind>(load_lanes(x + i, lanes), a, b), lanes);
  }
}
template <int Kind = 0>
void map_kind(int kind, const float* x, float* y, int64_t n, float alpha, float beta) {
  if (kind == Kind) return map<Kind>(x, y, n, alpha, beta);
  if constexpr (Kind + 1 < LRT_UNARY_KINDS) map_kind<Kind + 1>(kind, x, y, n, alpha, beta);
}
void unary_f32(int32_t kind, const float* x, float* y, int64_t n, float alpha, float beta) {
  map_kind(kind, x, y, n, alpha, beta);
}

template <class F>
LRT_INLINE void zip(const float* a, int64_t a_step, const float* b, int64_t b_step, float* y, int64_t n, F f) {
  if (n == 0) return;
  const V first_a = broadcast(a[0]), first_b = broadcast(b[0]);
  for_all_lanes(n, [=](int64_t i, int lanes) {
    const V va = a_step ? load_lanes(a + i, lanes) : first_a;
    const V vb = b_step ? load_lanes(b + i, lanes) : first_b;
    store_lanes(y + i, f(va, vb), lanes);
  });
}
// Adding zero leaves neither a denormal nor a negative zero (see unary).
LRT_INLINE V least(V p, V q) { return add(keep_nan(p, min(p, q)), broadcast(0.0f)); }
LRT_INLINE V most(V p, V q) { return add(keep_nan(p, max(p, q)), broadcast(0.0f)); }

void binary_f32(int32_t kind, const float* a, int64_t a_step, const float* b, int64_t b_step, float* y, int64_t n) {
  switch (kind) {
    case LRT_ADD:
      return zip(a, a_step, b, b_step, y, n, [](V p, V q) { return add(p, q); });
    case LRT_SUB:
      return zip(a, a_step, b, b_step, y, n, [](V p, V q) { return sub(p, q); });
    case LRT_MUL:
      return zip(a, a_step, b, b_step, y, n, [](V p, V q) { return mul(p, q); });
    case LRT_DIV:
      return zip(a, a_step, b, b_step, y, n, [](V p, V q) { return div(p, q); });
    case LRT_MIN:
      return zip(a, a_step, b, b_step, y, n, [](V p, V q) { return least(p, q); });
    case LRT_MAX:
      return zip(a, a_step, b, b_step, y, n, [](V p, V q) { return most(p, q); });
    case LRT_PRELU:
      return zip(a, a_step, b, b_step, y, n, [](V p, V q) { return unary<LRT_LEAKY_RELU>(p, q, q); });
  }
}

}  // namespace
}  // namespace lrt

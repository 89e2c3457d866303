// Recurrent cells. The usual ones are fused behind their product, with two divisions a unit: the fractions of sigmoid and
// tanh are brought over common denominators, their exponents clamped at 2^60 so that the products stay finite.
#pragma once

namespace lrt {
namespace {

LRT_INLINE Exp gate_exp_minus(V x) { return exp_minus(clamp(x, -41.5f, 87.0f)); }

// c' = c sigma(f) + sigma(i) tanh(g) and h = sigma(o) tanh(c'), as
// c' = (c (1+e^-i) D + N (1+e^-f)) / ((1+e^-i) D (1+e^-f)), where tanh g = N/D.
LRT_INLINE V lstm_unit(V i, V o, V f, V g, V c, V* c_new) {
  const Fraction tanh_g = tanh_fraction(g);
  const V f1 = exp_plus_one(gate_exp_minus(f));
  const V i1d = mul(exp_plus_one(gate_exp_minus(i)), tanh_g.denominator);
  *c_new = div(fma(c, i1d, mul(tanh_g.numerator, f1)), mul(i1d, f1));
  const Fraction tanh_c = tanh_fraction(*c_new);
  return div(tanh_c.numerator, mul(tanh_c.denominator, exp_plus_one(gate_exp_minus(o))));
}

// n = tanh(x_n + r h_n), h' = (1-z) n + z h, as h' = (e^-z N + h D) / ((1+e^-z) D), where n = N/D.
LRT_INLINE V gru_unit(V z, V r, V x_n, V h_n, V h) {
  const V reset = div(h_n, exp_plus_one(gate_exp_minus(r)));
  const Exp e = gate_exp_minus(z);
  const Fraction n = tanh_fraction(add(x_n, reset));
  return div(fma(exp_value(e), n.numerator, mul(h, n.denominator)), mul(exp_plus_one(e), n.denominator));
}

LRT_INLINE int lanes_of(int64_t panel, int64_t hidden) {
  const int64_t left = hidden - panel * LRT_LANES;
  return left < LRT_LANES ? static_cast<int>(left) : LRT_LANES;
}

// Rows whose gate sums are held between product and cell. A multiple of every tile's rows.
constexpr int64_t kBlockRows = 24;

void lstm_step_f32(const LstmStepF32* s) {
  alignas(64) float sums[kBlockRows * kMaxGroup * LRT_LANES];
  const Panels& w = *s->r;
  for (int64_t index = 0; index < group_count(w); ++index) {
    const Group group = group_at(w, index, s->backwards != 0);
    const int64_t width = group.vectors * LRT_LANES;
    for (int64_t row = 0; row < s->rows; row += kBlockRows) {
      const int64_t rows = s->rows - row < kBlockRows ? s->rows - row : kBlockRows;
      const Tile t = {group.data, group.vectors, w.k, s->h_in + row * s->h_in_stride, s->h_in_stride,
                      s->gates + row * s->gate_stride + group.first * LRT_LANES, s->gate_stride, sums, width, LRT_LANES};
      group_product(t, group.vectors, rows);
      for (int64_t r = 0; r < rows; ++r) {
        const float* sum = sums + r * width;
        const float* c_in = s->c_in + (row + r) * s->c_in_stride;
        float* c_out = s->c_out + (row + r) * s->c_out_stride;
        float* h_out = s->h_out + (row + r) * s->h_out_stride;
        for (int64_t panel = group.first / 4; sum < sums + (r + 1) * width; sum += 4 * LRT_LANES, ++panel) {
          const int lanes = lanes_of(panel, s->hidden);
          const int64_t unit = panel * LRT_LANES;
          V c;
          const V h = lstm_unit(load(sum), load(sum + 16), load(sum + 32), load(sum + 48),
                                load_lanes(c_in + unit, lanes), &c);
          store_lanes(c_out + unit, c, lanes);
          store_lanes(h_out + unit, h, lanes);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lrt

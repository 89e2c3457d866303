// Recurrent cells. The usual ones are fused behind their product, with two divisions a unit: the fractions of sigmoid and
// tanh are brought over common denominators, their exponents clamped at 2^40 so that the products stay finite.
#pragma once

namespace lrt {
namespace {

LRT_INLINE Exp gate_exp_minus(V x) { return exp_minus(clamp(x, -27.7f, 87.0f)); }

// c' = c sigma(f) + sigma(i) tanh(g) and h = sigma(o) tanh(c'), as
// c' = (c (1+e^-i) D + N (1+e^-f)) / ((1+e^-i) D (1+e^-f)), where tanh g = N/D. An open forget gate (f > 0) writes that as
// c + (N (1+e^-f) - c e^-f (1+e^-i) D) / (...), so that a cell that gathers does not round all of c at every step; a closed
// one must not, since what is left would drown in the rounding of the c it drops.
LRT_INLINE V lstm_unit(V i, V o, V f, V g, V c, V* c_new) {
  const V zero = broadcast(0.0f);
  const Mask open = less(zero, f);
  const Fraction tanh_g = tanh_fraction(g);
  const Exp e = gate_exp_minus(f);
  const V f1 = exp_plus_one(e);
  const V i1d = mul(exp_plus_one(gate_exp_minus(i)), tanh_g.denominator);
  const V change = select(open, neg(mul(c, exp_value(e))), c);
  *c_new = add(select(open, c, zero), div(fma(change, i1d, mul(tanh_g.numerator, f1)), mul(i1d, f1)));
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

// 16 units of one row: gate sums and states are read from and written to `unit` on.
struct Units {
  int64_t row, panel, unit;
  int lanes;
};
LRT_INLINE Units units_at(int64_t row, int64_t panel, int64_t hidden) {
  const int64_t unit = panel * LRT_LANES, left = hidden - unit;
  return {row, panel, unit, left < LRT_LANES ? static_cast<int>(left) : LRT_LANES};
}
template <class Body>
LRT_INLINE void for_all_units(int64_t rows, int64_t hidden, Body body) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t panel = 0; panel * LRT_LANES < hidden; ++panel) body(units_at(row, panel, hidden));
  }
}

// Rows whose gate sums are held between product and cell.
constexpr int64_t kBlockRows = 24;

// The sums of one vector with the terms of another product added, each behind the one before.
template <class F>
LRT_INLINE V with_terms(const Terms& terms, V sum, int64_t column) {
  const Panels& w = *terms.w;
  const ProductRows row = product_rows(w, nullptr, 0, terms.quantized);
  const V step = broadcast(terms.quantized ? row_scale_at(row.data).step : 0.0f);
  const float* scales = w.scales ? w.scales + column : nullptr;
  const float* term = terms.data + column;
  for (int64_t left = lrt_terms(w.format, w.k); left > 0; --left, term += terms.stride) {
    sum = F::plus(sum, load(term), scales, step);
  }
  return sum;
}

// The product of one step, group by group, with the cell behind it while the sums are still in L1.
// start(group, row, rows, sums, &stride) says where the sums of those rows begin; add(format, vector, sum) adds terms that were
// kept apart to the sums of one vector; cell(sums, units) ends them.
template <class F, int Gates, class Step, class Start, class Add, class Cell>
LRT_INLINE void step(const Step& s, Start start, Add add_terms, Cell cell) {
  alignas(64) float sums[kBlockRows * kMaxGroup * LRT_LANES];
  const Panels& w = *s.w;
  const ProductRows h = product_rows(w, s.x, s.x_stride, s.quantized);
  for_groups(w, s, [&](const Group& group) {
    const int64_t width = group.vectors * LRT_LANES, panel = group.first / Gates;
    int64_t rows;
    for (int64_t row = 0; row < s.rows; row += rows) {
      rows = even_part(s.rows - row, kBlockRows);
      Walk walk = walk_group(w, group, h.stride, 0, width);
      const float* from = start(group, row, rows, sums, &walk.start_stride);
      group_product<F>(walk, group, h.data + row * h.stride, from, sums, LRT_LANES, group.vectors, rows);
      for (int v = 0; s.terms && v < group.vectors; ++v) add_terms(F(), group.first + v, sums + v * LRT_LANES);
      for (int64_t r = 0; r < rows; ++r) {
        for (int p = 0; p < group.vectors / Gates; ++p) {
          cell(sums + r * width + p * Gates * LRT_LANES, units_at(row + r, panel + p, s.hidden));
        }
      }
    }
  });
}

void lstm_step(const LstmStep* s) {
  const auto start = [s](const Group& group, int64_t row, int64_t, float*, int64_t* stride) {
    *stride = s->gate_stride;
    return s->gates + row * s->gate_stride + group.first * LRT_LANES;
  };
  const auto add_terms = [s](auto format, int64_t vector, float* sum) {
    store(sum, with_terms<decltype(format)>(*s->terms, load(sum), vector * LRT_LANES));
  };
  const auto cell = [s](const float* sum, Units u) {
    V c = load_lanes(s->c_in + u.row * s->c_in_stride + u.unit, u.lanes);
    const V h = lstm_unit(load(sum), load(sum + 16), load(sum + 32), load(sum + 48), c, &c);
    store_lanes(s->c_out + u.row * s->c_out_stride + u.unit, c, u.lanes);
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, h, u.lanes);
  };
  with_format(s->w->format, [&](auto format) { step<decltype(format), 4>(*s, start, add_terms, cell); });
}

void gru_step(const GruStep* s) {
  // The recurrent sum of n stays apart from its input sum: it starts at its own bias. Where the walk is over W, it is kept
  // in place of its first term.
  const auto start = [s](const Group& group, int64_t row, int64_t rows, float* sums, int64_t* stride) -> const float* {
    *stride = group.vectors * LRT_LANES;
    if (s->terms) return s->gates + group.first * LRT_LANES;
    float* sum = sums;
    for (int64_t r = 0; r < rows; ++r) {
      const float* gates = s->gates + (row + r) * s->gate_stride + group.first * LRT_LANES;
      const float* bias = s->rbias_n + group.first / 3 * LRT_LANES;
      for (int v = 0; v < group.vectors; v += 3, gates += 48, bias += 16, sum += 48) {
        store(sum, load(gates));
        store(sum + 16, load(gates + 16));
        store(sum + 32, load(bias));
      }
    }
    return sums;
  };
  const auto add_terms = [s](auto format, int64_t vector, float* sum) {
    const int64_t column = vector * LRT_LANES;
    const bool apart = vector % 3 == 2;
    const V from = load(apart ? s->rbias_n + vector / 3 * LRT_LANES : sum);
    store(apart ? s->terms->data + column : sum, with_terms<decltype(format)>(*s->terms, from, column));
  };
  const auto cell = [s](const float* sum, Units u) {
    const float* apart = (s->terms ? s->terms->data : s->gates + u.row * s->gate_stride) + u.panel * 48 + 32;
    const V x_n = load(s->terms ? sum + 32 : apart), h_n = load(s->terms ? apart : sum + 32);
    const V h = load_lanes(s->h_in + u.row * s->h_in_stride + u.unit, u.lanes);
    const V h_new = gru_unit(load(sum), load(sum + 16), x_n, h_n, h);
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, h_new, u.lanes);
  };
  with_format(s->w->format, [&](auto format) { step<decltype(format), 3>(*s, start, add_terms, cell); });
}

// The general cells: each equation as the standard writes it (ONNX LSTM-22, GRU-22, RNN-22).

template <int Kind = 0>
LRT_INLINE V activate_kind(int kind, V x, V alpha, V beta) {
  if (kind == Kind) return unary<Kind>(x, alpha, beta);
  if constexpr (Kind + 1 < LRT_ACTIVATION_KINDS) return activate_kind<Kind + 1>(kind, x, alpha, beta);
  return x;
}
LRT_NOINLINE V activate(const Activation& a, V x, float clip) {
  if (clip > 0) x = clamp(x, -clip, clip);
  return activate_kind(a.kind, x, broadcast(a.alpha), broadcast(a.beta));
}

void lstm_cell_f32(const LstmCellF32* s) {
  const int64_t padded = (s->hidden + LRT_LANES - 1) / LRT_LANES * LRT_LANES;
  for_all_units(s->rows, s->hidden, [s, padded](Units u) {
    const float* sum = s->gates + u.row * s->gate_stride + u.panel * 64;
    const float* peephole = s->peephole ? s->peephole + u.unit : nullptr;
    const auto peep = [=](V gate, V c, int which) {
      return peephole ? fma(load(peephole + which * padded), c, gate) : gate;
    };
    const V c = load_lanes(s->c_in + u.row * s->c_in_stride + u.unit, u.lanes);
    const V i = activate(s->f, peep(load(sum), c, 0), s->clip);
    const V f = s->input_forget ? sub(broadcast(1.0f), i) : activate(s->f, peep(load(sum + 32), c, 2), s->clip);
    const V c_new = fma(f, c, mul(i, activate(s->g, load(sum + 48), s->clip)));
    const V o = activate(s->f, peep(load(sum + 16), c_new, 1), s->clip);  // o sees the new cell state
    store_lanes(s->c_out + u.row * s->c_out_stride + u.unit, c_new, u.lanes);
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, mul(o, activate(s->h, c_new, 0)), u.lanes);
  });
}

void gru_reset_f32(const GruCellF32* s) {
  for_all_units(s->rows, s->hidden, [s](Units u) {
    const V r = activate(s->f, load(s->zr + u.row * s->zr_stride + u.panel * 32 + 16), s->clip);
    const V h = load_lanes(s->h_in + u.row * s->h_in_stride + u.unit, u.lanes);
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, mul(r, h), u.lanes);
  });
}

void gru_cell_f32(const GruCellF32* s) {
  for_all_units(s->rows, s->hidden, [s](Units u) {
    const float* zr = s->zr + u.row * s->zr_stride + u.panel * 32;
    V n = load(s->n + u.row * s->n_stride + u.unit);
    if (s->candidate) {
      const V r = activate(s->f, load(zr + 16), s->clip);
      n = fma(r, load(s->candidate + u.row * s->candidate_stride + u.unit), n);
    }
    n = activate(s->g, n, s->clip);
    const V z = activate(s->f, load(zr), s->clip);
    const V h = load_lanes(s->h_in + u.row * s->h_in_stride + u.unit, u.lanes);
    const V h_new = fma(z, h, mul(sub(broadcast(1.0f), z), n));
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, h_new, u.lanes);
  });
}

void rnn_cell_f32(const RnnCellF32* s) {
  for_all_units(s->rows, s->hidden, [s](Units u) {
    const V h = activate(s->f, load(s->gates + u.row * s->gate_stride + u.unit), s->clip);
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, h, u.lanes);
  });
}

}  // namespace
}  // namespace lrt

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

// Sums of one group: `start` (stride floats a row) plus the product of the block's rows with it.
template <class F>
LRT_INLINE void add_product(const StepProduct& p, const Group& group, int64_t row, int64_t rows, const float* start,
                            int64_t stride, float* sums) {
  const Panels& w = *p.w;
  const ProductRows x = product_rows(w, p.x, p.x_stride, p.quantized);
  const Walk walk = walk_group(w, group, x.stride, stride, group.vectors * LRT_LANES);
  group_product<F>(walk, group, x.data + row * x.stride, start, sums, LRT_LANES, group.vectors, rows);
}

// Some rows of one group, and where their sums are held: width floats a row.
struct Block {
  int64_t row, rows, panel, panels, width;
  float* sums;
};

// One step, group by group, with the cell behind its products while the sums are still in L1.
// begin(block, &stride) says where the sums of R h start; cell(n, sums, units) ends the sums of the block's n-th units.
template <class F, int Gates, class Step, class Begin, class Cell>
LRT_INLINE void step(const Step& s, Begin begin, Cell cell) {
  alignas(64) float sums[kBlockRows * kMaxGroup * LRT_LANES];
  for_groups(s, [&](int64_t index) {
    const Group group = group_at(*s.recurrent.w, index);
    const int64_t panels = group.vectors / Gates;
    int64_t rows;
    for (int64_t row = 0; row < s.rows; row += rows) {
      rows = s.rows == 1 ? 1 : even_part(s.rows - row, kBlockRows);
      const Block block{row, rows, group.first / Gates, panels, group.vectors * LRT_LANES, sums};
      if (s.input.w) {
        add_product<F>(s.input, group_at(*s.input.w, index), row, rows, s.gates + group.first * LRT_LANES, 0, sums);
      }
      int64_t stride = block.width;
      const float* from = begin(block, &stride);
      add_product<F>(s.recurrent, group, row, rows, from, stride, sums);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t p = 0; p < panels; ++p) {
          cell(r * panels + p, sums + r * block.width + p * Gates * LRT_LANES,
               units_at(row + r, block.panel + p, s.hidden));
        }
      }
    }
  });
}

void lstm_step(const LstmStep* s) {
  const auto begin = [s](const Block& block, int64_t* stride) -> const float* {
    if (s->input.w) return block.sums;
    *stride = s->gate_stride;
    return s->gates + block.row * s->gate_stride + block.panel * 4 * LRT_LANES;
  };
  const auto cell = [s](int64_t, const float* sum, Units u) {
    V c = load_lanes(s->c_in + u.row * s->c_in_stride + u.unit, u.lanes);
    const V h = lstm_unit(load(sum), load(sum + 16), load(sum + 32), load(sum + 48), c, &c);
    store_lanes(s->c_out + u.row * s->c_out_stride + u.unit, c, u.lanes);
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, h, u.lanes);
  };
  with_format(s->recurrent.w->format, [&](auto format) { step<decltype(format), 4>(*s, begin, cell); });
}

void gru_step(const GruStep* s) {
  // The recurrent sum of n starts at its own bias, and its input sum stays apart.
  alignas(64) float apart[kBlockRows * (kMaxGroup / 3) * LRT_LANES];
  const auto begin = [s, &apart](const Block& block, int64_t*) -> const float* {
    const float* bias = s->rbias_n + block.panel * LRT_LANES;
    float* to = apart;
    for (int64_t r = 0; r < block.rows; ++r) {
      float* sum = block.sums + r * block.width;
      const float* gates = s->input.w ? sum : s->gates + (block.row + r) * s->gate_stride + block.panel * 3 * LRT_LANES;
      for (int64_t p = 0; p < block.panels; ++p, gates += 48, sum += 48, to += LRT_LANES) {
        store(to, load(gates + 32));
        store(sum + 32, load(bias + p * LRT_LANES));
        if (gates == sum) continue;
        store(sum, load(gates));
        store(sum + 16, load(gates + 16));
      }
    }
    return block.sums;
  };
  const auto cell = [s, &apart](int64_t at, const float* sum, Units u) {
    const V h = load_lanes(s->recurrent.x + u.row * s->recurrent.x_stride + u.unit, u.lanes);
    const V h_new = gru_unit(load(sum), load(sum + 16), load(apart + at * LRT_LANES), load(sum + 32), h);
    store_lanes(s->h_out + u.row * s->h_out_stride + u.unit, h_new, u.lanes);
  };
  with_format(s->recurrent.w->format, [&](auto format) { step<decltype(format), 3>(*s, begin, cell); });
}

// The general cells: each equation as the standard writes it (ONNX LSTM-22, GRU-22, RNN-22).

// The usual functions here; the others, which are large, by way of memory and the one place where they are.
LRT_NOINLINE V activate(const Activation& a, V x, float clip) {
  if (clip > 0) x = clamp(x, -clip, clip);
  if (a.kind == LRT_TANH) return tanh(x);
  if (a.kind == LRT_SIGMOID) return sigmoid(x);
  if (a.kind == LRT_RELU) return unary<LRT_RELU>(x, x, x);
  if (a.kind == LRT_HARD_SIGMOID) return unary<LRT_HARD_SIGMOID>(x, broadcast(a.alpha), broadcast(a.beta));
  float lanes[LRT_LANES];
  store(lanes, x);
  unary_f32(a.kind, lanes, lanes, LRT_LANES, a.alpha, a.beta);
  return load(lanes);
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

// The run-time half of a recurrent op. The projection of x is taken for a chunk of steps at a time as one product; the
// recurrent product goes on summing where it left off.
#include <algorithm>
#include <cstring>

#include "ops/recurrent.h"

namespace lrt {

namespace {

void copy_rows(const Rows& from, const Rows& to, int64_t rows, int64_t columns) {
  if (from.data == to.data || columns == 0) return;
  for (int64_t b = 0; b < rows; ++b) {
    std::memcpy(to.data + b * to.stride, from.data + b * from.stride, static_cast<size_t>(columns) * sizeof(float));
  }
}

void zero_rows(const Rows& rows, int64_t count, int64_t columns) {
  for (int64_t b = 0; b < count; ++b) std::fill_n(rows.data + b * rows.stride, columns, 0.0f);
}

// All rows have the full length: the batch can be stepped as one.
bool all_full(const int32_t* lengths, int64_t batch, int64_t steps) {
  return std::all_of(lengths, lengths + batch, [steps](int32_t length) { return length >= steps; });
}

}  // namespace

void SequenceCall::pack(float* memory, const CellWeights& all) const {
  for (size_t d = 0; d < directions.size(); ++d) {
    const Cell& cell = *directions[d].cell;
    const int64_t gate_units = cell.gates() * shape.hidden, at = static_cast<int64_t>(d);
    CellWeights own;
    own.w = all.w.from_row(at * gate_units, shape.inputs);
    own.r = all.r.from_row(at * gate_units, shape.hidden);
    own.b = all.b ? all.b + at * 2 * gate_units : nullptr;
    own.p = all.p ? all.p + at * 3 * shape.hidden : nullptr;
    cell.pack(memory + directions[d].packed_at, own);
  }
}

const float* SequenceCall::packed_weights(const Frame& frame) const {
  if (packed) return static_cast<const AlignedBuffer*>(packed.get())->as<float>();
  const auto at = [&frame](BufferId id) -> const float* { return id < 0 ? nullptr : frame.at<float>(id); };
  float* memory = frame.at<float>(packed_scratch);
  pack(memory, CellWeights{{at(w)}, {at(r)}, at(b), at(p)});
  return memory;
}

void SequenceCall::operator()(const Frame& frame) const {
  const float* weights = packed_weights(frame);
  const int32_t* lens = lengths < 0 ? nullptr : frame.at<int32_t>(lengths);
  if (lens && all_full(lens, shape.batch, shape.steps)) lens = nullptr;
  for (int64_t d = 0; d < shape.directions; ++d) {
    const float* own = weights + directions[static_cast<size_t>(d)].packed_at;
    if (!lens) {
      run_rows(frame, own, d, 0, shape.batch, shape.steps);
      continue;
    }
    for (int64_t row = 0; row < shape.batch; ++row) {
      run_rows(frame, own, d, row, 1, std::clamp<int64_t>(lens[row], 0, shape.steps));
    }
  }
}

Rows SequenceCall::state(float* base, int64_t direction, int64_t first) const {
  return Rows{base + direction * shape.state_direction() + first * shape.state_row(), shape.state_row()};
}

void SequenceCall::copy_state(const Rows& from, const Frame& frame, const std::vector<BufferId>& to, int64_t direction,
                              int64_t first, int64_t rows) const {
  for (const BufferId id : to) copy_rows(from, state(frame.at<float>(id), direction, first), rows, shape.hidden);
}

// Gate sums of `steps` steps from `start` on, of the rows that are stepped together.
void SequenceCall::project(const Cell& cell, const float* weights, const float* start, int64_t steps, int64_t rows,
                           float* gate_rows, void* quantized, bool backwards) const {
  const int64_t gate_row = cell.gate_row();
  if (rows == 1) {
    cell.project(weights, start, shape.x_step(), steps, gate_rows, gate_row, quantized, backwards);
  } else if (steps == 1 || shape.x_step() == rows * shape.x_row()) {
    cell.project(weights, start, shape.x_row(), steps * rows, gate_rows, gate_row, quantized, backwards);
  } else {
    for (int64_t row = 0; row < rows; ++row) {
      cell.project(weights, start + row * shape.x_row(), shape.x_step(), steps, gate_rows + row * gate_row,
                   rows * gate_row, quantized, backwards);
    }
  }
}

void SequenceCall::run_rows(const Frame& frame, const float* weights, int64_t direction, int64_t first, int64_t rows,
                            int64_t length) const {
  const Cell& cell = *directions[static_cast<size_t>(direction)].cell;
  const bool reverse = directions[static_cast<size_t>(direction)].reversed, has_cell = cell.has_cell_state();
  const int64_t hidden = shape.hidden, gate_row = cell.gate_row();
  float* gate_rows = frame.at<float>(gates);
  void* quantized = quantized_at(frame, quantized_scratch);
  // Without Y the new h alternates between two rows, since a step reads all of the old one while it writes.
  float* own = frame.at<float>(h_scratch);
  const Rows h_own[2] = {{own, hidden}, {own + rows * hidden, hidden}};
  const auto y_rows = [&](int64_t t) {
    float* base = frame.at<float>(y) + t * shape.y_step() + direction * shape.y_direction() + first * shape.y_row();
    return Rows{base, shape.y_row()};
  };

  Rows h_in = h_own[0], c_in{};
  if (h_initial >= 0) {
    h_in = state(frame.at<float>(h_initial), direction, first);
  } else {
    zero_rows(h_in, rows, hidden);
  }
  Rows c_out{};
  if (has_cell) {
    c_out = Rows{frame.at<float>(c_scratch), hidden};
    if (!c_final.empty()) c_out = state(frame.at<float>(c_final[0]), direction, first);
    c_in = c_out;
    if (c_initial >= 0) {
      c_in = state(frame.at<float>(c_initial), direction, first);
    } else {
      zero_rows(c_in, rows, hidden);
    }
  }

  bool backwards = frame.backwards();
  for (int64_t done = 0; done < length; done += chunk) {
    const int64_t count = std::min(chunk, length - done);
    const int64_t t_first = reverse ? length - done - count : done;
    project(cell, weights, frame.at<float>(x) + t_first * shape.x_step() + first * shape.x_row(), count, rows,
            gate_rows, quantized, backwards);
    for (int64_t s = done; s < done + count; ++s, backwards = !backwards) {
      const int64_t t = reverse ? length - 1 - s : s;
      CellStep step;
      step.gates = gate_rows + (t - t_first) * rows * gate_row;
      step.gate_stride = gate_row;
      step.h_in = h_in;
      step.c_in = c_in;
      step.c_out = c_out;
      step.rows = rows;
      step.scratch = cell_scratch < 0 ? nullptr : frame.at<float>(cell_scratch);
      step.quantized = quantized;
      step.backwards = backwards;
      if (y >= 0) {
        step.h_out = y_rows(t);
      } else if (s == length - 1 && !h_final.empty()) {
        step.h_out = state(frame.at<float>(h_final[0]), direction, first);
      } else {
        step.h_out = h_own[(s + 1) % 2];
      }
      cell.step(weights, step);
      h_in = step.h_out;
      c_in = c_out;
    }
  }
  if (y >= 0) {
    for (int64_t t = length; t < shape.steps; ++t) zero_rows(y_rows(t), rows, hidden);
  }
  copy_state(h_in, frame, h_final, direction, first, rows);
  if (has_cell) copy_state(c_in, frame, c_final, direction, first, rows);
}

}  // namespace lrt

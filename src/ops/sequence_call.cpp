// The run-time half of a recurrent op. The projection of x is taken for a chunk of steps at a time as one product; the
// recurrent product goes on summing where it left off.
#include <algorithm>
#include <cstring>

#include "ops/checks.h"
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
  return std::all_of(lengths, lengths + batch, [steps](int32_t length) { return length == steps; });
}

// No step is masked.
bool all_set(const uint8_t* mask, int64_t elements) {
  return std::all_of(mask, mask + elements, [](uint8_t set) { return set != 0; });
}

}  // namespace

void SequenceCall::pack(float* memory, const CellWeights& all) const {
  for (size_t d = 0; d < directions.size(); ++d) {
    const Cell& cell = *directions[d].cell;
    const int64_t gate_units = cell.gates() * shape.hidden, at = static_cast<int64_t>(d);
    CellWeights own;
    own.w = all.w.from_row(at * gate_units, shape.inputs);
    own.r = all.r.from_row(at * gate_units, shape.outputs);
    own.b = all.b ? all.b + at * 2 * gate_units : nullptr;
    own.p = all.p ? all.p + at * 3 * shape.hidden : nullptr;
    own.projection = all.projection.from_row(at * shape.outputs, shape.hidden);
    cell.pack(memory + directions[d].packed_at, own);
  }
}

const float* SequenceCall::packed_weights(const Frame& frame) const {
  if (packed) return static_cast<const AlignedBuffer*>(packed.get())->as<float>();
  const auto at = [&frame](BufferId id) -> const float* { return id < 0 ? nullptr : frame.at<float>(id); };
  float* memory = frame.at<float>(packed_scratch);
  pack(memory, CellWeights{{at(w), weight_dtype, at(w_scale)},
                           {at(r), weight_dtype, at(r_scale)},
                           at(b),
                           at(p),
                           {at(projection), weight_dtype, at(projection_scale)}});
  return memory;
}

void SequenceCall::operator()(const Frame& frame) const {
  const float* weights = packed_weights(frame);
  const int32_t* lens = lengths < 0 ? nullptr : frame.at<int32_t>(lengths);
  if (lens) check_lengths(where, lens, shape.batch, shape.steps);
  if (lens && all_full(lens, shape.batch, shape.steps)) lens = nullptr;
  const uint8_t* masks = mask < 0 ? nullptr : frame.at<uint8_t>(mask);
  if (masks && all_set(masks, shape.steps * shape.batch)) masks = nullptr;
  for (int64_t d = 0; d < shape.directions; ++d) {
    const float* own = weights + directions[static_cast<size_t>(d)].packed_at;
    if (!lens && !masks) {
      run_rows(frame, own, d, 0, shape.batch, shape.steps, nullptr);
      continue;
    }
    for (int64_t row = 0; row < shape.batch; ++row) {
      const int64_t length = lens ? lens[row] : shape.steps;
      run_rows(frame, own, d, row, 1, length, masks ? masks + row * shape.mask_row() : nullptr);
    }
  }
}

Rows SequenceCall::state(float* base, int64_t direction, int64_t first, int64_t columns) const {
  const int64_t row = shape.state_row(columns);
  return Rows{base + direction * shape.state_direction(columns) + first * row, row};
}

void SequenceCall::copy_state(const Rows& from, const Frame& frame, const std::vector<BufferId>& to, int64_t direction,
                              int64_t first, int64_t rows, int64_t columns) const {
  for (const BufferId id : to) {
    copy_rows(from, state(frame.at<float>(id), direction, first, columns), rows, columns);
  }
}

// Gate sums of `steps` steps from `start` on, of the rows that are stepped together.
void SequenceCall::project(const Cell& cell, const float* weights, const float* start, int64_t steps,
                           const CellStep& step, float* gate_rows) const {
  const int64_t rows = step.rows;
  if (rows == 1) {
    cell.project(weights, start, shape.x_step(), steps, gate_rows, step.gate_stride, step);
  } else if (steps == 1 || shape.x_step() == rows * shape.x_row()) {
    cell.project(weights, start, shape.x_row(), steps * rows, gate_rows, step.gate_stride, step);
  } else {
    for (int64_t row = 0; row < rows; ++row) {
      cell.project(weights, start + row * shape.x_row(), shape.x_step(), steps, gate_rows + row * step.gate_stride,
                   rows * step.gate_stride, step);
    }
  }
}

// Where h and c begin: at what they were given, else at zeros in memory of the call's own.
void SequenceCall::begin(const Frame& frame, int64_t direction, int64_t first, CellStep* step) const {
  const int64_t hidden = shape.hidden, outputs = shape.outputs, rows = step->rows;
  step->h_in = {frame.at<float>(h_scratch), outputs};
  if (h_initial >= 0) {
    step->h_in = state(frame.at<float>(h_initial), direction, first, outputs);
  } else {
    zero_rows(step->h_in, rows, outputs);
  }
  if (c_scratch < 0) return;  // no cell state
  step->c_out = {frame.at<float>(c_scratch), hidden};
  if (!c_final.empty()) step->c_out = state(frame.at<float>(c_final[0]), direction, first, hidden);
  step->c_in = step->c_out;
  if (c_initial >= 0) {
    step->c_in = state(frame.at<float>(c_initial), direction, first, hidden);
  } else {
    zero_rows(step->c_in, rows, hidden);
  }
}

Rows SequenceCall::y_rows(const Frame& frame, int64_t direction, int64_t first, int64_t t) const {
  float* base = frame.at<float>(y);
  return {base + t * shape.y_step() + direction * shape.y_direction() + first * shape.y_row(), shape.y_row()};
}

// Where the step at t writes h, and how far on the next one does: to Y, or without it to one of two rows, since a step reads
// all of the old h while it writes.
void SequenceCall::point_h(const Frame& frame, int64_t direction, int64_t first, int64_t t, int64_t done,
                           CellStep* step) const {
  if (y >= 0) {
    const bool reverse = directions[static_cast<size_t>(direction)].reversed;
    step->h_out = y_rows(frame, direction, first, t);
    step->h_move = reverse ? -shape.y_step() : shape.y_step();
    return;
  }
  const int64_t block = step->rows * shape.outputs;
  step->h_out = {frame.at<float>(h_scratch) + (done % 2 == 0 ? block : 0), shape.outputs};
  step->h_move = done % 2 == 0 ? -block : block;
  step->h_alternates = true;
}

void SequenceCall::run_rows(const Frame& frame, const float* weights, int64_t direction, int64_t first, int64_t rows,
                            int64_t length, const uint8_t* mask_row) const {
  if (rows == 0) return;  // nor is there any memory
  const Cell& cell = *directions[static_cast<size_t>(direction)].cell;
  const bool reverse = directions[static_cast<size_t>(direction)].reversed;
  float* gate_rows = frame.at<float>(gates);
  CellStep step;
  step.gate_stride = cell.gate_row();
  step.gates_move = (reverse ? -rows : rows) * step.gate_stride;
  step.rows = rows;
  step.scratch = cell_scratch < 0 ? nullptr : frame.at<float>(cell_scratch);
  step.quantized = quantized_at(frame, quantized_scratch);
  step.parallel = frame.parallel();
  step.backwards = frame.backwards();
  begin(frame, direction, first, &step);
  for (int64_t done = 0; done < length; done += chunk) {
    const int64_t count = std::min(chunk, length - done);
    const int64_t t_first = reverse ? length - done - count : done;
    const float* start = frame.at<float>(x) + t_first * shape.x_step() + first * shape.x_row();
    project(cell, weights, start, count, step, gate_rows);
    for (int64_t s = done, together = 1; s < done + count; s += together) {
      const int64_t t = reverse ? length - 1 - s : s;
      step.gates = gate_rows + (t - t_first) * rows * step.gate_stride;
      point_h(frame, direction, first, t, s, &step);
      if (mask_row && !mask_row[t * shape.mask_step()]) {
        copy_rows(step.h_in, step.h_out, rows, shape.outputs);
        step.h_in = step.h_out;
        continue;
      }
      if (!mask_row) together = count;
      cell.steps(weights, step, together);
    }
  }
  for (int64_t t = length; y >= 0 && t < shape.steps; ++t) {
    zero_rows(y_rows(frame, direction, first, t), rows, shape.outputs);
  }
  copy_state(step.h_in, frame, h_final, direction, first, rows, shape.outputs);
  if (c_scratch >= 0) copy_state(step.c_in, frame, c_final, direction, first, rows, shape.hidden);
}

}  // namespace lrt

// LSTM, GRU and RNN over a whole sequence: directions, lengths, layouts, initial and kept states. What a cell computes
// is in cell_*.cpp.
#pragma once

#include <memory>

#include "ops/cell.h"
#include "ops/op.h"

namespace lrt {

void plan_lstm(OpPlan& plan);
void plan_gru(OpPlan& plan);
void plan_rnn(OpPlan& plan);

// What every recurrent op reads: each direction and whether it is reversed; of each direction `each` activations; an input
// that must be there, of one dtype and shape.
std::vector<bool> read_directions(OpPlan& p);
std::vector<std::vector<Activation>> read_activations(OpPlan& p, size_t directions, size_t each);
void want_input(OpPlan& p, int input, const char* name, DType dtype, const Shape& wanted);

// Sizes and strides of one layer. Time is t, the batch row b.
struct SequenceShape {
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1;
  int64_t outputs = 0;       // of h: hidden, or fewer where it is projected
  bool batch_first = false;  // layout = 1

  int64_t x_step() const { return batch_first ? inputs : batch * inputs; }
  int64_t x_row() const { return batch_first ? steps * inputs : inputs; }
  int64_t mask_step() const { return batch_first ? 1 : batch; }
  int64_t mask_row() const { return batch_first ? steps : 1; }
  int64_t y_step() const { return directions * (batch_first ? 1 : batch) * outputs; }
  int64_t y_row() const { return batch_first ? steps * directions * outputs : outputs; }
  int64_t y_direction() const { return (batch_first ? 1 : batch) * outputs; }
  // h and c of so many columns each: [D, B, columns], or [B, D, columns] where batch_first.
  int64_t state_row(int64_t columns) const { return batch_first ? directions * columns : columns; }
  int64_t state_direction(int64_t columns) const { return batch_first ? columns : batch * columns; }
};

// Everything the call of a recurrent op needs, resolved while planning. -1: no such buffer.
class SequenceCall {
 public:
  void operator()(const Frame& frame) const;

  // One direction of the layer. Both have cells of one type and gate row; only activations may differ.
  struct Direction {
    std::shared_ptr<const Cell> cell;
    bool reversed = false;
    size_t packed_at = 0;  // floats into the packed weights
  };

  SequenceShape shape;
  std::vector<Direction> directions;
  // Weights of every direction from pointers to the graph's own, into memory of packed_floats().
  void pack(float* memory, const CellWeights& all) const;
  size_t packed_floats() const { return directions.back().packed_at + directions.back().cell->packed_floats(); }

  std::shared_ptr<const void> packed;  // AlignedBuffer; null where the weights come at run time
  BufferId packed_scratch = -1, w = -1, r = -1, b = -1, p = -1, projection = -1;
  BufferId w_scale = -1, r_scale = -1, projection_scale = -1;
  DType weight_dtype = DType::f32;
  std::string where;  // for messages of a run
  BufferId x = -1, lengths = -1, mask = -1, h_initial = -1, c_initial = -1;
  BufferId y = -1;
  std::vector<BufferId> h_final, c_final;  // every place the last state goes
  BufferId gates = -1, cell_scratch = -1, h_scratch = -1, c_scratch = -1, quantized_scratch = -1;
  int64_t chunk = 1;  // steps projected at once

 private:
  const float* packed_weights(const Frame& frame) const;
  // `mask`, where there is one, is that of a single row: a step for which it is false holds the state.
  void run_rows(const Frame& frame, const float* weights, int64_t direction, int64_t first, int64_t rows,
                int64_t length, const uint8_t* mask) const;
  void project(const Cell& cell, const float* weights, const float* start, int64_t steps, const CellStep& step,
               float* gate_rows) const;
  void begin(const Frame& frame, int64_t direction, int64_t first, CellStep* step) const;
  Rows y_rows(const Frame& frame, int64_t direction, int64_t first, int64_t t) const;
  void point_h(const Frame& frame, int64_t direction, int64_t first, int64_t t, int64_t done, CellStep* step) const;
  Rows state(float* base, int64_t direction, int64_t first, int64_t columns) const;
  void copy_state(const Rows& from, const Frame& frame, const std::vector<BufferId>& to, int64_t direction,
                  int64_t first, int64_t rows, int64_t columns) const;
};

}  // namespace lrt

// One recurrent cell: how its weights are packed, what its projection of x is, and how it takes one step.
// recurrent.cpp walks the sequence; cell_lstm.cpp, cell_gru.cpp and cell_rnn.cpp are the cells.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "ops/product.h"

namespace lrt {

// Weights of one direction as ONNX lays them: W [G*H, I], R [G*H, N], B [2*G*H] or null, P [3*H] or null; h has N numbers,
// which are the H units, or where there is a projection [N, H] what it makes of them.
struct CellWeights {
  Weights w, r;
  const float* b = nullptr;
  const float* p = nullptr;
  Weights projection;
};

struct CellOptions {
  int64_t inputs = 0;      // I
  int64_t hidden = 0;      // H
  int64_t projection = 0;  // N; 0: none, and N = H
  float clip = 0.0f;       // 0: none
  bool input_forget = false;
  bool linear_before_reset = false;
  bool peephole = false;
  WeightFormat format = LRT_FORMAT_F32;  // of W, R and the projection
  std::vector<Activation> activations;   // of one direction
};

// Rows of h or c: row b at data + b * stride.
struct Rows {
  float* data = nullptr;
  int64_t stride = 0;
};

// A step, and how the one after it differs.
struct CellStep {
  float* gates = nullptr;  // rows as the projection left them; the step may overwrite them
  int64_t gate_stride = 0;
  Rows h_in, c_in, h_out, c_out;
  int64_t gates_move = 0, h_move = 0;  // floats from the gates of a step, and its h_out, to those of the next
  bool h_alternates = false;           // h_out moves to and fro
  int64_t rows = 0;
  float* scratch = nullptr;   // scratch_floats(rows)
  void* quantized = nullptr;  // quantized_bytes()
  Parallel* parallel = nullptr;
  bool backwards = false;

  // To the next step: it begins with the state that this one left.
  void advance(bool more) {
    h_in = h_out;
    c_in = c_out;
    backwards = !backwards;
    if (!more) return;  // nor is there memory to point to
    gates += gates_move;
    h_out.data += h_move;
    if (h_alternates) h_move = -h_move;
  }
};

// What a single step reads and writes: whole blocks of `rows` rows, one after the other.
struct SingleStep {
  int64_t rows = 1;
  BufferId x = -1, h_in = -1, c_in = -1, h_out = -1, c_out = -1, quantized = -1;
};

class Cell {
 public:
  Cell(const Kernels& kernels, CellOptions options, int gates);
  virtual ~Cell() = default;

  virtual bool has_cell_state() const { return false; }
  int gates() const { return gates_; }                               // G
  int64_t gate_row() const { return gates_ * panels_ * LRT_LANES; }  // floats of a row of gate sums
  size_t packed_floats() const { return packed_floats_; }            // of one direction
  virtual size_t scratch_floats(int64_t /*rows*/) const { return 0; }

  // Scratch for rows of x or h, or of both at once, where the weights want them quantised.
  size_t quantized_bytes(int64_t x_rows, int64_t h_rows, bool at_once = false) const;

  // Allocates nothing: memory holds packed_floats().
  virtual void pack(float* memory, const CellWeights& weights) const = 0;
  // Packs a matrix [k, outputs] to its place.
  void pack_matrix(float* memory, const PanelPlace& place, const WeightView& w, const ColumnOrder& order) const;
  // gates = bias + W x, row by row.
  void project(const float* packed, const float* x, int64_t x_stride, int64_t rows, float* gates, int64_t gate_stride,
               const CellStep& step) const;
  // `count` steps, one after the other; leaves `step` with the last state in h_in and c_in.
  virtual void steps(const float* packed, CellStep& step, int64_t count) const;
  // Of a fused cell (fused_step.h), a single step of all rows, W x included, as a call of its own. `packed` outlives it.
  virtual bool is_fused() const { return false; }
  virtual Run single_step(const float* /*packed*/, const SingleStep&) const { return nullptr; }

 protected:
  // One of them, of cells that leave steps() as it is.
  virtual void step(const float* /*packed*/, const CellStep&) const {}
  // Parts of the packed memory are reserved by the constructors, in the order in which a step walks them.
  size_t reserve(size_t floats);
  PanelPlace reserve_matrix(int64_t k, int64_t vectors, int unit);  // `unit` vectors belong together
  int64_t outputs() const { return options_.projection > 0 ? options_.projection : options_.hidden; }  // N
  // W and R, to be read in one walk.
  void reserve_products(int64_t vectors, int unit);
  bool is_activated(std::initializer_list<int> kinds) const;

  const Kernels& kernels_;
  const CellOptions options_;
  const int gates_;
  const int64_t panels_;  // ceil(H / 16)
  // Set by each cell: where its bias row and W stand, and R where it is one matrix.
  size_t bias_at_ = 0;
  PanelPlace w_, r_;

 private:
  size_t packed_floats_ = 0;
};

// Throws nothing; the options are checked by the caller.
std::unique_ptr<const Cell> make_lstm_cell(const Kernels& kernels, const CellOptions& options);
std::unique_ptr<const Cell> make_gru_cell(const Kernels& kernels, const CellOptions& options);
std::unique_ptr<const Cell> make_rnn_cell(const Kernels& kernels, const CellOptions& options);

}  // namespace lrt

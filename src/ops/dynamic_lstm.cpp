// DynamicQuantizeLSTM of com.microsoft: an LSTM whose weights are bytes, as onnxruntime quantises and computes it. X, up to
// the longest length, is rounded to uint8 by the range of all of it, and h before every step by the range of all rows;
// the products are exact. So rows are stepped together, and neither batch nor time can be cut without changing a value.
// W is [directions, inputs, 4*hidden] and R [directions, hidden, 4*hidden]: transposed, against LSTM.
#include <algorithm>
#include <cstring>

#include "ops/cell.h"
#include "ops/checks.h"
#include "ops/integer_product.h"
#include "ops/quantize_linear.h"
#include "ops/recurrent.h"

namespace lrt {
namespace {

constexpr int kGates = 4;
constexpr int64_t kChunkBytes = 512 * 1024;  // of gate sums that are projected at once

enum Input { kX, kW, kR, kB, kLengths, kH, kC, kPeephole, kWScale, kWZero, kRScale, kRZero };

// One matrix of one direction, its scales in it, and zero points in the order of its columns (empty where all are 0).
struct ByteMatrix {
  std::shared_ptr<const PackedPanels> packed;
  std::vector<int32_t> zeros;

  const int32_t* zeros_or_null() const { return zeros.empty() ? nullptr : zeros.data(); }
};

struct PackedDirection {
  ByteMatrix w, r;
  std::vector<float> bias;      // in the order of the gates
  std::vector<float> peephole;  // [3][panels*16], or empty
};
using PackedLayer = std::vector<PackedDirection>;

ByteMatrix pack_matrix(OpPlan& p, int weights, int scale, int zero, int64_t direction, int64_t k, int64_t hidden) {
  const Operand &w = p.in(weights), &scales = p.in(scale), &zeros = p.in(zero);
  const int64_t columns = kGates * hidden, panel_columns = kGates * vectors_for(hidden) * LRT_LANES;
  const bool each = scales.shape.rank() == 2, each_zero = zeros.shape.rank() == 2;
  std::vector<float> own(static_cast<size_t>(columns));
  const auto* from = static_cast<const float*>(scales.known) + direction * (each ? columns : 1);
  for (int64_t n = 0; n < columns; ++n) own[static_cast<size_t>(n)] = from[each ? n : 0];

  WeightView view;
  view.data = static_cast<const uint8_t*>(w.known) + direction * k * columns;
  view.dtype = w.dtype;
  view.scales = own.data();
  view.k = k;
  view.n = columns;
  view.k_stride = columns;
  view.n_stride = 1;
  const GateOrder order{kGates, hidden};
  const WeightFormat format = byte_format(view);
  const int64_t vectors = panel_columns / LRT_LANES;
  ByteMatrix matrix{pack_panels(format, view, vectors, group_for(p.kernels(), format, k, vectors), order), {}};

  const auto* bytes = static_cast<const uint8_t*>(zeros.known) + direction * (each_zero ? columns : 1);
  matrix.zeros.resize(static_cast<size_t>(panel_columns));
  for (int64_t c = 0; c < panel_columns; ++c) {
    const int64_t column = order(c);
    if (column >= 0) matrix.zeros[static_cast<size_t>(c)] = packed_zero(bytes[each_zero ? column : 0], zeros.dtype);
  }
  const auto is_zero = [](int32_t value) { return value == 0; };
  if (std::all_of(matrix.zeros.begin(), matrix.zeros.end(), is_zero)) matrix.zeros.clear();
  return matrix;
}

PackedLayer pack_layer(OpPlan& p, const SequenceShape& s) {
  PackedLayer layer;
  const int64_t columns = kGates * s.hidden, width = vectors_for(s.hidden) * LRT_LANES;
  const GateOrder order{kGates, s.hidden};
  for (int64_t d = 0; d < s.directions; ++d) {
    PackedDirection direction{pack_matrix(p, kW, kWScale, kWZero, d, s.inputs, s.hidden),
                              pack_matrix(p, kR, kRScale, kRZero, d, s.hidden, s.hidden),
                              {},
                              {}};
    direction.bias.resize(static_cast<size_t>(kGates * width));
    const auto* b = p.has(kB) ? static_cast<const float*>(p.in(kB).known) + d * 2 * columns : nullptr;
    for (int64_t c = 0; b && c < kGates * width; ++c) {
      const int64_t from = order(c);
      if (from >= 0) direction.bias[static_cast<size_t>(c)] = b[from] + b[columns + from];
    }
    if (p.has(kPeephole)) {
      const auto* weights = static_cast<const float*>(p.in(kPeephole).known) + d * 3 * s.hidden;
      direction.peephole.resize(static_cast<size_t>(3 * width));
      for (int64_t gate = 0; gate < 3; ++gate) {
        std::copy_n(weights + gate * s.hidden, s.hidden, direction.peephole.begin() + gate * width);
      }
    }
    layer.push_back(std::move(direction));
  }
  return layer;
}

struct DynamicLstmCall {
  const Kernels* kernels;
  SequenceShape s;
  std::vector<bool> reversed;
  std::vector<std::vector<Activation>> activations;
  float clip = 0.0f;
  bool input_forget = false;
  std::shared_ptr<const void> packed;  // PackedLayer
  int64_t chunk = 1;                   // steps projected at once
  std::string where;                   // for messages of a run
  BufferId x = -1, lengths = -1, h_initial = -1, c_initial = -1, y = -1, h_final = -1, c_final = -1;
  // Scratch: gate sums, and those of integers; bytes of x or h, and the same as rows of a product; h twice and c.
  BufferId gates = -1, sums = -1, bytes = -1, rows = -1, h_scratch = -1, c_scratch = -1;

  // One direction as it runs.
  struct Run {
    const PackedDirection* layer;
    int64_t direction;
    bool backwards_in_time;
    ByteScale x_scale;
    float *h, *h_next, *c;
    bool walk_back;
  };

  int64_t gate_row() const { return kGates * vectors_for(s.hidden) * LRT_LANES; }
  int64_t state() const { return s.batch * s.hidden; }

  int64_t length(const Frame& frame, int64_t row) const {
    return lengths < 0 ? s.steps : frame.at<int32_t>(lengths)[row];
  }
  int64_t longest(const Frame& frame) const {
    int64_t most = 0;
    for (int64_t row = 0; row < s.batch; ++row) most = std::max(most, length(frame, row));
    return most;
  }

  void operator()(const Frame& frame) const {
    if (s.batch == 0) return;  // nor is there any memory
    if (lengths >= 0) check_lengths(where, frame.at<int32_t>(lengths), s.batch, s.steps);
    const int64_t steps = longest(frame);
    const ByteScale x_scale = byte_scale(*kernels, frame.at<float>(x), steps * s.batch * s.inputs);
    // Past its length a row of Y is zero.
    if (y >= 0 && lengths >= 0) std::fill_n(frame.at<float>(y), s.steps * s.directions * state(), 0.0f);
    for (int64_t d = 0; d < s.directions; ++d) {
      Run run{&(*static_cast<const PackedLayer*>(packed.get()))[static_cast<size_t>(d)],
              d,
              reversed[static_cast<size_t>(d)],
              x_scale,
              frame.at<float>(h_scratch),
              frame.at<float>(h_scratch) + state(),
              frame.at<float>(c_scratch),
              frame.backwards()};
      begin(frame, run);
      for (int64_t done = 0; done < steps; done += chunk) {
        const int64_t count = std::min(chunk, steps - done);
        project(frame, run, done, count);
        for (int64_t i = 0; i < count; ++i)
          step(frame, run, done + i, frame.at<float>(gates) + i * s.batch * gate_row());
      }
    }
  }

  void begin(const Frame& frame, const Run& run) const {
    const auto fill = [&](BufferId from, float* to) {
      if (from < 0) {
        std::fill_n(to, state(), 0.0f);
        return;
      }
      std::memcpy(to, frame.at<float>(from) + run.direction * state(), static_cast<size_t>(state()) * sizeof(float));
    };
    fill(h_initial, run.h);
    fill(c_initial, run.c);
    // A row of no length ends in zeros.
    if (h_final >= 0) std::fill_n(frame.at<float>(h_final) + run.direction * state(), state(), 0.0f);
    if (c_final >= 0) std::fill_n(frame.at<float>(c_final) + run.direction * state(), state(), 0.0f);
  }

  // Where step number `step` of a row is in time.
  int64_t time_at(const Frame& frame, const Run& run, int64_t row, int64_t step) const {
    const int64_t own = length(frame, row);
    return run.backwards_in_time && step < own ? own - 1 - step : step;
  }

  // Gate sums of `count` steps from `first` on: bias + W x.
  void project(const Frame& frame, const Run& run, int64_t first, int64_t count) const {
    auto* to = frame.at<uint8_t>(bytes);
    for (int64_t step = first; step < first + count; ++step) {
      for (int64_t row = 0; row < s.batch; ++row, to += s.inputs) {
        const int64_t at = time_at(frame, run, row, step) * s.batch + row;
        kernels->quantize_bytes(frame.at<float>(x) + at * s.inputs, s.inputs, run.x_scale.scale, run.x_scale.zero, 0,
                                to);
      }
    }
    multiply(frame, run, run.layer->w, s.inputs, count * s.batch, run.x_scale);
    float* sum = frame.at<float>(gates);
    for (int64_t row = 0; row < count * s.batch; ++row, sum += gate_row()) {
      add_scaled(frame, run.layer->w, row, run.x_scale, run.layer->bias.data(), sum);
    }
  }

  // sums = (bytes - zero)·(matrix - its zero points)
  void multiply(const Frame& frame, const Run& run, const ByteMatrix& matrix, int64_t k, int64_t count,
                const ByteScale& scale) const {
    const auto zero = static_cast<uint8_t>(scale.zero);
    multiply_integers(*kernels,
                      {&matrix.packed->panels, frame.at<uint8_t>(bytes), k, count, 0, &zero, 0, matrix.zeros_or_null(),
                       frame.at<int32_t>(sums), gate_row(), run.walk_back},
                      frame.at<void>(rows), frame.parallel());
  }

  void add_scaled(const Frame& frame, const ByteMatrix& matrix, int64_t row, const ByteScale& scale, const float* start,
                  float* out) const {
    kernels->scale_sums(frame.at<int32_t>(sums) + row * gate_row(), matrix.packed->panels.scales, scale.scale, start,
                        out, gate_row());
  }

  // One step of all rows; those that are past their length stay at zero.
  void step(const Frame& frame, Run& run, int64_t step, float* gate_rows) const {
    const ByteScale scale = byte_scale(*kernels, run.h, state());
    kernels->quantize_bytes(run.h, state(), scale.scale, scale.zero, 0, frame.at<uint8_t>(bytes));
    multiply(frame, run, run.layer->r, s.hidden, s.batch, scale);
    for (int64_t row = 0; row < s.batch; ++row) {
      float *sum = gate_rows + row * gate_row(), *h = run.h_next + row * s.hidden, *c = run.c + row * s.hidden;
      if (step >= length(frame, row)) {
        std::fill_n(h, s.hidden, 0.0f);
        continue;
      }
      add_scaled(frame, run.layer->r, row, scale, sum, sum);
      step_row(run, sum, c, h);
      store(frame, run, row, step, h, c);
    }
    std::swap(run.h, run.h_next);
    run.walk_back = !run.walk_back;
  }

  void step_row(const Run& run, const float* sum, float* c, float* h) const {
    const auto& own = activations[static_cast<size_t>(run.direction)];
    if (is_usual(own)) {
      // The fused cell behind a product of nothing.
      const auto vectors = gate_row() / LRT_LANES;
      const Panels nothing{sum, nullptr, nullptr, 0, vectors, kGates, LRT_FORMAT_F32, 0, 0};
      LstmStep step{{&nothing, h, 0}, {nullptr, nullptr, 0}, sum, 0, c, 0, h, 0, c, 0, s.hidden, 1, 0};
      step.last_group = group_count(nothing);
      return kernels->lstm_step(&step);
    }
    const LstmCellF32 cell{sum,
                           0,
                           run.layer->peephole.empty() ? nullptr : run.layer->peephole.data(),
                           c,
                           0,
                           h,
                           0,
                           c,
                           0,
                           s.hidden,
                           1,
                           clip,
                           input_forget,
                           own[0],
                           own[1],
                           own[2]};
    kernels->lstm_cell_f32(&cell);
  }

  bool is_usual(const std::vector<Activation>& own) const {
    return clip == 0.0f && !input_forget && own[0].kind == LRT_SIGMOID && own[1].kind == LRT_TANH &&
           own[2].kind == LRT_TANH && static_cast<const PackedLayer*>(packed.get())->front().peephole.empty();
  }

  void store(const Frame& frame, const Run& run, int64_t row, int64_t step, const float* h, const float* c) const {
    const auto bytes_of_row = static_cast<size_t>(s.hidden) * sizeof(float);
    if (y >= 0) {
      const int64_t at = (time_at(frame, run, row, step) * s.directions + run.direction) * s.batch + row;
      std::memcpy(frame.at<float>(y) + at * s.hidden, h, bytes_of_row);
    }
    if (step + 1 < length(frame, row)) return;
    const int64_t at = (run.direction * s.batch + row) * s.hidden;
    if (h_final >= 0) std::memcpy(frame.at<float>(h_final) + at, h, bytes_of_row);
    if (c_final >= 0) std::memcpy(frame.at<float>(c_final) + at, c, bytes_of_row);
  }
};

SequenceShape read_shape(OpPlan& p, int64_t directions) {
  const Shape &x = p.in(kX).shape, &r = p.in(kR).shape;
  SequenceShape s;
  s.steps = x[0];
  s.batch = x[1];
  s.inputs = x[2];
  s.hidden = r[1];
  s.directions = directions;
  const int64_t declared = p.op().integer("hidden_size", s.hidden);
  if (declared != s.hidden || s.hidden < 1 || s.inputs < 1) {
    p.refuse(Status::shape,
             "hidden_size is " + std::to_string(declared) + ", X is " + x.text() + " and R is " + r.text());
  }
  double sums = static_cast<double>(directions * vectors_for(s.hidden) * LRT_LANES * kGates);
  for (const int64_t dim : {s.steps, s.batch}) sums *= static_cast<double>(std::max<int64_t>(dim, 1));
  if (sums > static_cast<double>(kMaxElements)) p.refuse(Status::shape, "X is " + x.text() + ", which is too large");
  return s;
}

// Weights with their scales and zero points: of each direction, or of each of its columns.
void check_matrix(OpPlan& p, const char* name, int weights, int scale, int zero, const Shape& wanted) {
  want_input(p, weights, name, p.in(weights).dtype, wanted);
  const Shape whole{wanted[0]}, each{wanted[0], wanted[2]};
  for (const int input : {scale, zero}) {
    const Shape& shape = p.in(input).shape;
    if (shape == whole || shape == each) continue;
    p.refuse(Status::shape,
             input_text(p, input) + " is " + shape.text() + "; wanted " + whole.text() + " or " + each.text());
  }
}

void check_inputs(OpPlan& p, const SequenceShape& s) {
  const int64_t columns = kGates * s.hidden;
  check_matrix(p, "W", kW, kWScale, kWZero, {s.directions, s.inputs, columns});
  check_matrix(p, "R", kR, kRScale, kRZero, {s.directions, s.hidden, columns});
  if (p.has(kB)) want_input(p, kB, "B", DType::f32, {s.directions, 2 * columns});
  if (p.has(kPeephole)) want_input(p, kPeephole, "P", DType::f32, {s.directions, 3 * s.hidden});
  if (p.has(kLengths)) want_input(p, kLengths, "sequence_lens", DType::i32, {s.batch});
  if (p.has(kH)) want_input(p, kH, "initial_h", DType::f32, {s.directions, s.batch, s.hidden});
  if (p.has(kC)) want_input(p, kC, "initial_c", DType::f32, {s.directions, s.batch, s.hidden});
}

std::vector<int> weight_reads(OpPlan& p) {
  std::vector<int> reads;
  for (const int input : {kW, kR, kB, kPeephole, kWScale, kWZero, kRScale, kRZero}) {
    if (!p.has(input)) continue;
    if (!p.in(input).known)
      p.refuse(Status::unsupported, input_text(p, input) + " comes with the data; wanted a weight");
    reads.push_back(input);
  }
  return reads;
}

void plan_scratch(OpPlan& p, DynamicLstmCall& call) {
  const SequenceShape& s = call.s;
  const auto size = [](int64_t elements, size_t each) { return static_cast<size_t>(elements) * each; };
  const int64_t row_bytes = std::max<int64_t>(1, s.batch * call.gate_row() * static_cast<int64_t>(sizeof(float)));
  call.chunk = std::clamp<int64_t>(kChunkBytes / row_bytes, 1, std::max<int64_t>(1, s.steps));
  const int64_t x_rows = call.chunk * s.batch;
  call.gates = p.scratch(size(x_rows * call.gate_row(), sizeof(float)));
  call.sums = p.scratch(size(x_rows * call.gate_row(), sizeof(int32_t)));
  call.bytes = p.scratch(size(std::max(x_rows * s.inputs, call.state()), 1));
  call.rows = p.scratch(size(std::max(x_rows * lrt_quantized_row(LRT_FORMAT_NIBBLES, s.inputs),
                                      s.batch * lrt_quantized_row(LRT_FORMAT_NIBBLES, s.hidden)),
                             1));
  call.h_scratch = p.scratch(size(2 * call.state(), sizeof(float)));
  call.c_scratch = p.scratch(size(call.state(), sizeof(float)));
}

}  // namespace

void plan_dynamic_quantize_lstm(OpPlan& p) {
  DynamicLstmCall call;
  call.kernels = &p.kernels();
  call.reversed = read_directions(p);
  const SequenceShape s = call.s = read_shape(p, static_cast<int64_t>(call.reversed.size()));
  check_inputs(p, s);
  call.activations = read_activations(p, call.reversed.size(), 3);
  call.clip = p.op().number("clip", 0.0f);
  call.input_forget = p.op().integer("input_forget", 0) != 0;
  if (!(call.clip >= 0.0f)) p.refuse(Status::unsupported, "clip must not be negative");
  if (p.in(kX).time_axis >= 0) {
    p.not_streamable("rounds its input by the range of the whole sequence, which a frame alone does not have");
  }
  call.packed = p.packed(0, weight_reads(p), [&]() -> std::shared_ptr<const void> {
    return std::make_shared<PackedLayer>(pack_layer(p, s));
  });

  const Shape state{s.directions, s.batch, s.hidden};
  if (p.wants(0)) call.y = p.out(0, DType::f32, {s.steps, s.directions, s.batch, s.hidden});
  if (p.wants(1)) call.h_final = p.out(1, DType::f32, state);
  if (p.wants(2)) call.c_final = p.out(2, DType::f32, state);
  call.x = p.in(kX).buffer;
  if (p.has(kLengths)) {
    call.lengths = p.in(kLengths).buffer;
    call.where = describe(p.op());
    check_known_lengths<int32_t>(p, kLengths, s.steps);
  }
  if (p.has(kH)) call.h_initial = p.in(kH).buffer;
  if (p.has(kC)) call.c_initial = p.in(kC).buffer;
  plan_scratch(p, call);
  const auto parameters = static_cast<uint64_t>(s.directions * kGates * s.hidden * (s.inputs + s.hidden));
  p.cost(parameters * static_cast<uint64_t>(s.steps * s.batch), parameters, parameters);
  p.run(std::move(call));
}

}  // namespace lrt

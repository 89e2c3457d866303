// Planning of LSTM, GRU and RNN (ONNX opset 22): checks, shapes, packing, state.
#include "ops/recurrent.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "ops/checks.h"

namespace lrt {

namespace {

// Gate sums of one chunk of steps: a few passes over W in all, and yet each row still near when its step comes.
constexpr int64_t kChunkBytes = 512 * 1024;

struct CellType {
  int gates;
  size_t activations;  // per direction
  std::unique_ptr<const Cell> (*make)(const Kernels&, const CellOptions&);
  bool cell_state;
};

constexpr CellType kLstm{4, 3, make_lstm_cell, true};
constexpr CellType kGru{3, 2, make_gru_cell, false};
constexpr CellType kRnn{1, 1, make_rnn_cell, false};

// Inputs of the three ops; GRU and RNN have no c, no peepholes and no projection.
enum Input { kX, kW, kR, kB, kLengths, kH, kC, kPeephole, kWScale, kRScale, kProjection, kProjectionScale, kMask };

int activation_kind(OpPlan& p, std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  static constexpr struct {
    const char* name;
    int kind;
  } known[] = {{"relu", LRT_RELU},
               {"tanh", LRT_TANH},
               {"sigmoid", LRT_SIGMOID},
               {"affine", LRT_AFFINE},
               {"leakyrelu", LRT_LEAKY_RELU},
               {"thresholdedrelu", LRT_THRESHOLDED_RELU},
               {"scaledtanh", LRT_SCALED_TANH},
               {"hardsigmoid", LRT_HARD_SIGMOID},
               {"elu", LRT_ELU},
               {"softsign", LRT_SOFTSIGN},
               {"softplus", LRT_SOFTPLUS},
               {"exp", LRT_EXP},
               {"selu", LRT_SELU},
               {"celu", LRT_CELU},
               {"gelu", LRT_GELU},
               {"swish", LRT_SWISH},
               {"hardswish", LRT_HARD_SWISH},
               {"mish", LRT_MISH}};
  for (const auto& entry : known) {
    if (name == entry.name) return entry.kind;
  }
  p.refuse(Status::unsupported, "unknown activation '" + name + "'");
}

}  // namespace

std::vector<std::vector<Activation>> read_activations(OpPlan& p, size_t directions, size_t each) {
  const auto names = p.op().texts("activations");
  const auto alphas = p.op().numbers("activation_alpha"), betas = p.op().numbers("activation_beta");
  const size_t count = directions * each;
  if (names.size() != count || alphas.size() != count || betas.size() != count) {
    p.refuse(Status::file, "needs " + std::to_string(count) + " activations, each with alpha and beta");
  }
  std::vector<std::vector<Activation>> result(directions);
  for (size_t i = 0; i < count; ++i) {
    result[i / each].push_back(Activation{activation_kind(p, names[i]), alphas[i], betas[i]});
  }
  return result;
}

void want_input(OpPlan& p, int input, const char* name, DType dtype, const Shape& wanted) {
  const Operand& seen = p.in(input);
  if (seen.dtype != dtype) {
    p.refuse(Status::shape, std::string(name) + " is " + name_of(seen.dtype) + ", wanted " + name_of(dtype));
  }
  if (seen.shape != wanted) {
    p.refuse(Status::shape, std::string(name) + " is " + seen.shape.text() + ", wanted " + wanted.text());
  }
}

std::vector<bool> read_directions(OpPlan& p) {
  const std::string direction = p.op().text("direction", "forward");
  if (direction == "forward") return {false};
  if (direction == "reverse") return {true};
  if (direction == "bidirectional") return {false, true};
  p.refuse(Status::unsupported, "unknown direction '" + direction + "'");
}

namespace {

bool projects(const OpPlan& p, const CellType& type) { return type.cell_state && p.has(kProjection); }

// The numbers h has: the rows of the projection, where there is one.
int64_t read_outputs(OpPlan& p, const CellType& type, const SequenceShape& s) {
  if (!projects(p, type)) return s.hidden;
  const Operand& projection = p.in(kProjection);
  const int64_t outputs = projection.shape[1];
  if (outputs < 1) p.refuse(Status::shape, "the projection is " + projection.shape.text() + ": it has no rows");
  const DType dtype = p.in(kW).dtype;
  want_input(p, kProjection, "the projection", dtype, Shape{s.directions, outputs, row_elements(dtype, s.hidden)});
  return outputs;
}

SequenceShape read_shape(OpPlan& p, const CellType& type, int64_t directions) {
  const Operand& x = p.in(kX);
  const Operand& r = p.in(kR);
  SequenceShape s;
  s.batch_first = p.op().integer("layout", 0) != 0;
  s.steps = x.shape[s.batch_first ? 1 : 0];
  s.batch = x.shape[s.batch_first ? 0 : 1];
  s.inputs = x.shape[2];
  s.hidden = r.shape[1] / type.gates;
  s.directions = directions;
  const int64_t declared = p.op().integer("hidden_size", s.hidden);
  if (declared != s.hidden || s.hidden < 1) {
    p.refuse(Status::shape, "hidden_size is " + std::to_string(declared) + " but R is " + r.shape.text());
  }
  if (s.inputs < 1) p.refuse(Status::shape, "X is " + x.shape.text() + ": there is no input to the layer");
  s.outputs = read_outputs(p, type, s);
  const int64_t gate_units = type.gates * s.hidden;
  // A dim of 0 hides how large the others are.
  double sums = static_cast<double>(directions * vectors_for(std::max(s.hidden, s.outputs)) * LRT_LANES * type.gates);
  for (const int64_t dim : {s.steps, s.batch}) sums *= static_cast<double>(std::max<int64_t>(dim, 1));
  if (sums > static_cast<double>(kMaxElements))
    p.refuse(Status::shape, "X is " + x.shape.text() + ", which is too large");
  const DType dtype = p.in(kW).dtype;
  want_input(p, kW, "W", dtype, Shape{directions, gate_units, row_elements(dtype, s.inputs)});
  want_input(p, kR, "R", dtype, Shape{directions, gate_units, row_elements(dtype, s.outputs)});
  if (p.has(kB)) want_input(p, kB, "B", DType::f32, Shape{directions, 2 * gate_units});
  if (p.has(kLengths)) want_input(p, kLengths, "sequence_lens", DType::i32, Shape{s.batch});
  if (p.has(kMask)) {
    want_input(p, kMask, "mask", DType::boolean, s.batch_first ? Shape{s.batch, s.steps} : Shape{s.steps, s.batch});
  }
  if (type.cell_state && p.has(kPeephole)) want_input(p, kPeephole, "P", DType::f32, Shape{directions, 3 * s.hidden});
  return s;
}

CellOptions read_options(OpPlan& p, const CellType& type, const SequenceShape& s) {
  CellOptions options;
  options.inputs = s.inputs;
  options.hidden = s.hidden;
  options.projection = projects(p, type) ? s.outputs : 0;
  options.clip = p.op().number("clip", 0.0f);
  options.input_forget = p.op().integer("input_forget", 0) != 0;
  options.linear_before_reset = p.op().integer("linear_before_reset", 0) != 0;
  options.peephole = type.cell_state && p.has(kPeephole);
  if (!(options.clip >= 0.0f)) p.refuse(Status::unsupported, "clip must not be negative");
  return options;
}

std::vector<SequenceCall::Direction> make_directions(OpPlan& p, const CellType& type, CellOptions options,
                                                     const std::vector<bool>& reversed) {
  const auto each = read_activations(p, reversed.size(), type.activations);
  std::vector<SequenceCall::Direction> directions;
  size_t at = 0;
  for (size_t d = 0; d < reversed.size(); ++d) {
    options.activations = each[d];
    directions.push_back({type.make(p.kernels(), options), reversed[d], at});
    at += directions.back().cell->packed_floats();
  }
  return directions;
}

// Of all directions, without what is only known at run time.
struct Matrices {
  Weights w, r, projection;
};

Matrices read_matrices(OpPlan& p, const CellType& type, const SequenceShape& s) {
  const Shape gate_scales{s.directions, type.gates * s.hidden};
  Matrices all{read_weights(p, kW, kWScale, gate_scales), read_weights(p, kR, kRScale, gate_scales), {}};
  if (projects(p, type)) {
    all.projection = read_weights(p, kProjection, kProjectionScale, Shape{s.directions, s.outputs});
  }
  return all;
}

void plan_weights(OpPlan& p, SequenceCall& call, const CellType& type, const Matrices& all) {
  std::vector<int> reads = weight_inputs(p, kW, kWScale);
  for (const int input : weight_inputs(p, kR, kRScale)) reads.push_back(input);
  if (projects(p, type)) {
    for (const int input : weight_inputs(p, kProjection, kProjectionScale)) reads.push_back(input);
  }
  if (p.has(kB)) reads.push_back(kB);
  if (type.cell_state && p.has(kPeephole)) reads.push_back(kPeephole);
  const auto reads_it = [&](int i) { return std::find(reads.begin(), reads.end(), i) != reads.end(); };
  const size_t bytes = call.packed_floats() * sizeof(float);
  if (std::all_of(reads.begin(), reads.end(), [&](int i) { return p.in(i).known != nullptr; })) {
    const auto data = [&](int i) { return reads_it(i) ? static_cast<const float*>(p.in(i).known) : nullptr; };
    call.packed = p.packed(0, reads, [&]() -> std::shared_ptr<const void> {
      auto packed = std::make_shared<AlignedBuffer>(bytes);
      call.pack(packed->as<float>(), CellWeights{all.w, all.r, data(kB), data(kPeephole), all.projection});
      return packed;
    });
    return;
  }
  const auto buffer = [&](int i) { return reads_it(i) ? p.in(i).buffer : -1; };
  call.packed_scratch = p.scratch(bytes);
  call.weight_dtype = all.w.dtype;
  call.w = buffer(kW);
  call.r = buffer(kR);
  call.w_scale = buffer(kWScale);
  call.r_scale = buffer(kRScale);
  call.b = buffer(kB);
  call.p = buffer(kPeephole);
  call.projection = buffer(kProjection);
  call.projection_scale = buffer(kProjectionScale);
}

// One state, h or c: where it begins, where it ends. `input` is its initial value, `output` the op's output for it.
void plan_state(OpPlan& p, const Shape& shape, int time, int input, int output, const char* name, bool keeps,
                BufferId* initial, std::vector<BufferId>* final) {
  BufferId kept = -1;
  if (keeps && p.keep_state(input, name, shape, initial, &kept)) {
    final->push_back(kept);
  } else if (p.has(input)) {
    want_input(p, input, input == kH ? "initial_h" : "initial_c", DType::f32, shape);
    *initial = p.in(input).buffer;
  }
  if (p.wants(output)) {
    final->push_back(p.out(output, DType::f32, shape));
    p.time_axis(output, time);
  }
}

// Time may run along the steps, forward, from kept states; or along the batch, whose rows are independent. Says
// whether the state may be kept.
bool plan_time(OpPlan& p, const SequenceShape& s, bool forward) {
  const int time = p.in(kX).time_axis;
  if (time < 0) return forward;
  const int steps_axis = s.batch_first ? 1 : 0;
  if (time == steps_axis) {
    if (!forward)
      p.not_streamable("runs backwards over time (direction = " + p.op().text("direction", "forward") + ")");
    if (p.has(kLengths)) p.not_streamable("has sequence lengths, which a stream does not know");
    p.time_axis(0, s.batch_first ? 1 : 0);
  } else if (time == 1 - steps_axis) {
    p.time_axis(0, s.batch_first ? 0 : 2);
  } else {
    p.not_streamable("its features lie along time");
  }
  if (p.has(kMask) && p.in(kMask).time_axis != time) p.not_streamable("its mask does not go along with time");
  return forward && time == steps_axis;
}

// Copies of a state, from the place that was written to all others it is wanted at.
struct Copies {
  BufferId from = -1;
  std::vector<BufferId> to;
  size_t bytes = 0;
  Copies() = default;
  Copies(const std::vector<BufferId>& places, size_t size)
      : from(places[0]), to(places.begin() + 1, places.end()), bytes(size) {}
  void run(const Frame& frame) const {
    for (const BufferId id : to) std::memcpy(frame.at<void>(id), frame.at<void>(from), bytes);
  }
};

// One step of one direction from states to states, as a stream takes it: everything is resolved here, since at a few units
// what is not costs as much as the step. Null where it is not that.
Run plan_single_step(OpPlan& p, const SequenceCall& call) {
  const SequenceShape& s = call.shape;
  const Cell& cell = *call.directions[0].cell;
  const bool whole = call.packed && call.lengths < 0 && call.mask < 0 && call.h_initial >= 0 && !call.h_final.empty();
  const bool cells = !cell.has_cell_state() || (call.c_initial >= 0 && !call.c_final.empty());
  if (!cell.is_fused() || s.steps != 1 || s.directions != 1 || s.batch == 0 || !whole || !cells) return nullptr;

  const auto bytes = [&s](int64_t columns) { return static_cast<size_t>(s.batch * columns) * sizeof(float); };
  Copies h(call.h_final, bytes(s.outputs)), c;
  SingleStep at;
  at.rows = s.batch;
  at.x = call.x;
  at.h_in = call.h_initial;
  at.h_out = h.from;
  if (cell.has_cell_state()) {
    c = Copies(call.c_final, bytes(s.hidden));
    at.c_in = call.c_initial;
    at.c_out = c.from;
  }
  if (call.y >= 0) h.to.push_back(call.y);
  if (const size_t quantized = cell.quantized_bytes(s.batch, s.batch, true)) at.quantized = p.scratch(quantized);
  const auto* packed = static_cast<const AlignedBuffer*>(call.packed.get())->as<float>();
  return [step = cell.single_step(packed, at), owner = call.packed, cell = call.directions[0].cell, h,
          c](const Frame& frame) {
    step(frame);
    h.run(frame);
    c.run(frame);
  };
}

void plan_cost(OpPlan& p, const SequenceCall& call, const CellType& type) {
  const SequenceShape& s = call.shape;
  const int64_t projection = projects(p, type) ? s.outputs : 0;
  const auto weights =
      static_cast<uint64_t>(s.directions * s.hidden * (type.gates * (s.inputs + s.outputs) + projection));
  const auto elements = [&p](int input) { return static_cast<uint64_t>(p.in(input).shape.elements()); };
  uint64_t others = p.has(kB) ? elements(kB) : 0;
  if (type.cell_state && p.has(kPeephole)) others += elements(kPeephole);
  p.cost(weights * static_cast<uint64_t>(s.steps * s.batch), call.packed_floats() * sizeof(float), weights + others);
}

// What steps of a sequence need beside inputs and outputs.
void plan_scratch(OpPlan& p, SequenceCall& call) {
  const SequenceShape& s = call.shape;
  const Cell& cell = *call.directions[0].cell;
  const int64_t row_bytes = std::max<int64_t>(1, s.batch * cell.gate_row() * static_cast<int64_t>(sizeof(float)));
  call.chunk = std::clamp<int64_t>(kChunkBytes / row_bytes, 1, std::max<int64_t>(1, s.steps));
  const auto floats = [](int64_t count) { return static_cast<size_t>(count) * sizeof(float); };
  call.gates = p.scratch(floats(call.chunk * s.batch * cell.gate_row()));
  call.h_scratch = p.scratch(floats(2 * s.batch * s.outputs));
  if (cell.has_cell_state()) call.c_scratch = p.scratch(floats(s.batch * s.hidden));
  size_t extra = 0;
  for (const auto& direction : call.directions) extra = std::max(extra, direction.cell->scratch_floats(s.batch));
  if (const size_t bytes = cell.quantized_bytes(call.chunk * s.batch, s.batch))
    call.quantized_scratch = p.scratch(bytes);
  if (extra > 0) call.cell_scratch = p.scratch(extra * sizeof(float));
}

void plan_recurrent(OpPlan& p, const CellType& type) {
  SequenceCall call;
  const std::vector<bool> reversed = read_directions(p);
  const auto directions = static_cast<int64_t>(reversed.size());
  const SequenceShape s = call.shape = read_shape(p, type, directions);
  const Matrices weights = read_matrices(p, type, s);
  CellOptions options = read_options(p, type, s);
  options.format = read_format(p, weights.w);
  check_sum_length(p, options.format, std::max({s.inputs, s.hidden, s.outputs}));
  call.directions = make_directions(p, type, options, reversed);

  const bool keeps = plan_time(p, s, directions == 1 && !reversed[0]);
  if (p.wants(0)) {
    call.y = p.out(0, DType::f32,
                   s.batch_first ? Shape{s.batch, s.steps, directions, s.outputs}
                                 : Shape{s.steps, directions, s.batch, s.outputs});
  }
  const auto state = [&](int64_t columns) {
    return s.batch_first ? Shape{s.batch, directions, columns} : Shape{directions, s.batch, columns};
  };
  // Along the steps there is but the state after the last so far; along the batch every row has its own.
  const int batch_axis = s.batch_first ? 0 : 1, time = p.in(kX).time_axis == batch_axis ? batch_axis : -1;
  plan_state(p, state(s.outputs), time, kH, 1, "h", keeps, &call.h_initial, &call.h_final);
  if (type.cell_state) plan_state(p, state(s.hidden), time, kC, 2, "c", keeps, &call.c_initial, &call.c_final);

  call.x = p.in(kX).buffer;
  if (p.has(kMask)) call.mask = p.in(kMask).buffer;
  if (p.has(kLengths)) {
    call.lengths = p.in(kLengths).buffer;
    call.where = describe(p.op());
    check_known_lengths<int32_t>(p, kLengths, s.steps);
  }
  plan_weights(p, call, type, weights);

  plan_cost(p, call, type);
  if (Run single = plan_single_step(p, call)) return p.run(std::move(single));
  plan_scratch(p, call);
  p.run(std::move(call));
}

}  // namespace

void plan_lstm(OpPlan& plan) { plan_recurrent(plan, kLstm); }
void plan_gru(OpPlan& plan) { plan_recurrent(plan, kGru); }
void plan_rnn(OpPlan& plan) { plan_recurrent(plan, kRnn); }

}  // namespace lrt

#include "plan/loop.h"

#include <algorithm>
#include <cstring>

namespace lrt {

namespace {

// Ops that may be run while planning to see how often a condition holds.
constexpr int64_t kCountedOps = int64_t{1} << 17;
// Calls that all loops of one run may make.
constexpr int64_t kMostCalls = int64_t{1} << 22;

// Marks what an op reads, its blocks included.
void mark_inputs(const Graph& graph, const Op& op, std::vector<bool>* marked) {
  std::vector<const Op*> waiting{&op};
  const auto mark = [marked](int id) {
    if (id != kAbsent) (*marked)[static_cast<size_t>(id)] = true;
  };
  while (!waiting.empty()) {
    const Op& next = *waiting.back();
    waiting.pop_back();
    for (const int id : next.inputs) mark(id);
    for (const Attribute& attribute : next.attributes) {
      if (attribute.kind != Attribute::Kind::block) continue;
      const Block& block = graph.blocks[static_cast<size_t>(attribute.ints[0])];
      for (const int id : block.outputs) mark(id);
      for (const Op& inner : block.ops) waiting.push_back(&inner);
    }
  }
}

}  // namespace

LoopPlanner::LoopPlanner(Planner& planner, const Op& op)
    : planner_(planner),
      op_(op),
      body_(planner.graph_.blocks[static_cast<size_t>(op.block("body"))]),
      states_(op.inputs.size() - 2) {}

void LoopPlanner::refuse(Status status, const std::string& what) const {
  throw Error(status, describe(op_) + ": " + what);
}

void LoopPlanner::plan() {
  const int64_t count = iterations();
  const int64_t ops = std::max<int64_t>(planner_.block_ops_[static_cast<size_t>(op_.block("body"))], 1);
  ++planner_.loop_depth_;
  // An unrolled loop counts too: a loop around it may run it any number of times.
  if (count > (kMostCalls - planner_.loop_calls_) / ops / planner_.repeats_) {
    refuse(Status::unsupported, "runs its " + std::to_string(ops) + " operations " + std::to_string(count) +
                                    " times. All loops of a model together may make " + std::to_string(kMostCalls) +
                                    " calls");
  }
  planner_.loop_calls_ += count * ops * planner_.repeats_;
  if (count == 0 && op_.find("scan_ranks")) {
    skip();
  } else if (count > 0 && carries_sequence()) {
    if (count > planner_.unrollable_lists_ / ops) {
      refuse(Status::unsupported, "carries a sequence and runs its " + std::to_string(ops) + " operations " +
                                      std::to_string(count) + " times, which is too often to be unrolled");
    }
    planner_.unrollable_lists_ -= count * ops;
    unroll(count);
  } else if (count > 0 && count <= planner_.unrollable_ / ops) {
    planner_.unrollable_ -= count * ops;
    unroll(count);
  } else {
    run_body(count);
  }
  --planner_.loop_depth_;
}

// No iteration: what is carried goes on as it came, and nothing is stacked. An item has the shape that the source declares,
// free dims being 0, as in onnxruntime; the body itself may have nothing to work on.
void LoopPlanner::skip() {
  std::vector<ValueState> states = initial_states();
  for (size_t j = 0; j < states_; ++j) give(j, std::move(states[j]));
  const std::vector<int64_t> dtypes = op_.integers("scan_dtypes"), ranks = op_.integers("scan_ranks"),
                             dims = op_.integers("scan_dims");
  size_t next = 0;
  for (size_t k = 0; states_ + k < op_.outputs.size(); ++k) {
    if (k >= ranks.size() || k >= dtypes.size() || ranks[k] < 0 || ranks[k] >= kMaxRank ||
        dims.size() - next < static_cast<size_t>(ranks[k]) || dtypes[k] < 0 ||
        dtypes[k] > static_cast<int64_t>(DType::i8)) {
      refuse(Status::file, "what it declares of scan output " + std::to_string(k) + " is damaged");
    }
    ValueState item, stacked;
    item.dtype = static_cast<DType>(dtypes[k]);
    for (int64_t i = 0; i < ranks[k]; ++i) item.shape.push_back(dims[next++]);
    check_elements(op_, item.shape);
    (void)stack(k, item, 0, &stacked);
    stacked.known = planner_.new_known(op_, 0);
    stacked.from_time = planner_.value(op_.inputs[0]).from_time;
    give(states_ + k, std::move(stacked));
  }
}

bool LoopPlanner::carries_sequence() {
  for (size_t j = 0; j < states_; ++j) {
    if (planner_.value(op_.inputs[2 + j]).items) return true;
  }
  return false;
}

// ---- How often ----

int64_t LoopPlanner::iterations() {
  const ValueState& most = planner_.value(op_.inputs[0]);
  if (!most.known)
    refuse(Status::unsupported,
           "its trip count depends on data. Only shapes, constants and control inputs may decide it");
  if (most.dtype != DType::i64 || most.shape.elements() != 1) {
    refuse(Status::shape,
           "its trip count is " + std::string(name_of(most.dtype)) + most.shape.text() + ", wanted one int64");
  }
  if (most.from_time) planner_.problem(op_, "runs as often as there are steps");
  const int64_t limit = *static_cast<const int64_t*>(most.known.get());
  if (limit <= 0 || !condition(op_.inputs[1], "its condition")) return 0;
  return count_iterations(limit);
}

bool LoopPlanner::condition(int id, const char* which) const {
  const ValueState& state = planner_.value(id);
  if (!state.known) {
    refuse(Status::unsupported,
           std::string(which) + " depends on data. Only shapes, constants and control inputs may decide it");
  }
  if (state.dtype != DType::boolean || state.shape.elements() != 1) {
    refuse(Status::shape,
           std::string(which) + " is " + name_of(state.dtype) + state.shape.text() + ", wanted one bool");
  }
  if (state.from_time) planner_.problem(op_, "runs as often as the number of steps decides");
  return *static_cast<const uint8_t*>(state.known.get()) != 0;
}

// Runs what the condition is computed by, and nothing else.
int64_t LoopPlanner::count_iterations(int64_t most) {
  static const char* const kWhich = "the condition that its body computes";
  bool changes = false;
  const std::vector<const Op*> ops = ops_of_condition(&changes);
  std::vector<ValueState> states = initial_states();
  for (int64_t number = 0; number < most;) {
    begin_iteration(number++, states);
    for (const Op* op : ops) planner_.plan_op(*op);
    if (!condition(body_.outputs[0], kWhich)) return number;
    if (!changes) return most;
    states = results(1, 1 + states_);
    if (number > kCountedOps / static_cast<int64_t>(ops.size() + 1)) {
      refuse(Status::unsupported, std::string(kWhich) + " still holds after " + std::to_string(number) +
                                      " iterations. Export it with a trip count");
    }
  }
  return most;
}

// In the order of the body. What they read of carried values makes what computes those count too. `changes` where anything is
// read that differs from iteration to iteration.
std::vector<const Op*> LoopPlanner::ops_of_condition(bool* changes) const {
  std::vector<bool> needed(planner_.values_.size(), false), chosen(body_.ops.size(), false);
  const auto is_needed = [&needed](int id) { return id != kAbsent && needed[static_cast<size_t>(id)]; };
  needed[static_cast<size_t>(body_.outputs[0])] = true;
  for (bool more = true; more;) {
    more = false;
    for (size_t i = body_.ops.size(); i-- > 0;) {
      const Op& op = body_.ops[i];
      if (chosen[i] || std::none_of(op.outputs.begin(), op.outputs.end(), is_needed)) continue;
      chosen[i] = more = true;
      mark_inputs(planner_.graph_, op, &needed);
    }
    for (size_t j = 0; j < states_; ++j) {
      if (!is_needed(body_.inputs[2 + j]) || is_needed(body_.outputs[1 + j])) continue;
      needed[static_cast<size_t>(body_.outputs[1 + j])] = more = true;
    }
  }
  *changes = is_needed(body_.inputs[0]) || std::any_of(body_.inputs.begin() + 2, body_.inputs.end(), is_needed);
  std::vector<const Op*> ops;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i]) ops.push_back(&body_.ops[i]);
  }
  return ops;
}

// ---- Unrolled ----

// What is known of a value differs from iteration to iteration, so nothing packed of it may be kept for the next.
std::vector<ValueState> LoopPlanner::initial_states() {
  std::vector<ValueState> states;
  for (size_t j = 0; j < states_; ++j) {
    states.push_back(planner_.value(op_.inputs[2 + j]));
    states.back().is_static = false;
  }
  return states;
}

std::vector<ValueState> LoopPlanner::results(size_t first, size_t last) {
  std::vector<ValueState> states;
  for (size_t i = first; i < last; ++i) {
    states.push_back(planner_.value(body_.outputs[i]));
    states.back().is_static = false;
  }
  return states;
}

ValueState LoopPlanner::scan_item(size_t output) {
  ValueState item = results(1 + states_ + output, 2 + states_ + output)[0];
  if (item.items) {
    refuse(Status::unsupported, "scan output " + std::to_string(output) + " is a sequence; wanted a tensor");
  }
  return item;
}

void LoopPlanner::begin_iteration(int64_t number, const std::vector<ValueState>& states) {
  planner_.value(body_.inputs[0]) = planner_.known_scalar(DType::i64, &number);
  const uint8_t goes_on = 1;
  planner_.value(body_.inputs[1]) = planner_.known_scalar(DType::boolean, &goes_on);
  for (size_t j = 0; j < states_; ++j) planner_.value(body_.inputs[2 + j]) = states[j];
}

void LoopPlanner::unroll(int64_t count) {
  std::vector<ValueState> states = initial_states();
  std::vector<std::vector<ValueState>> stacks(op_.outputs.size() - states_);
  for (int64_t number = 0; number < count; ++number) {
    begin_iteration(number, states);
    planner_.plan_block(body_);
    states = results(1, 1 + states_);
    for (size_t k = 0; k < stacks.size(); ++k) {
      stacks[k].push_back(scan_item(k));
      const ValueState &first = stacks[k].front(), &last = stacks[k].back();
      if (first.shape != last.shape || first.dtype != last.dtype) {
        refuse(Status::shape, "scan output " + std::to_string(k) + " is " + first.shape.text() + ", then " +
                                  last.shape.text() + ": it cannot be stacked");
      }
    }
  }
  for (size_t j = 0; j < states_; ++j) give(j, std::move(states[j]));
  for (size_t k = 0; k < stacks.size(); ++k) {
    if (op_.outputs[states_ + k] != kAbsent) stack_unrolled(k, std::move(stacks[k]));
  }
}

void LoopPlanner::stack_unrolled(size_t output, std::vector<ValueState> items) {
  ValueState stacked;
  Stack stack = this->stack(output, items[0], static_cast<int64_t>(items.size()), &stacked);
  CallState call;
  std::vector<Stack> stacks;
  bool known = true;
  for (ValueState& item : items) {
    known = known && item.known;
    stacked.from_time = stacked.from_time || item.from_time;
    stack.from = planner_.buffer_of(item);
    stacks.push_back(stack);
    call.reads.push_back(stack.from);
  }
  if (known) {
    stacked.known = planner_.new_known(op_, stacked.bytes());
    stacked.buffer = planner_.new_constant(stacked.known, stacked.bytes());
  } else {
    stacked.buffer = new_arena(stacked.bytes());
  }
  for (Stack& each : stacks) each.to = stacked.buffer;
  const Run run = [stacks](const Frame& frame) {
    for (size_t i = 0; i < stacks.size(); ++i) stacks[i].place(frame, static_cast<int64_t>(i));
  };
  if (known) {
    run(Frame(planner_.table_.data(), false));
  } else {
    call.run = run;
    call.info = {op_.type, op_.name, stacked.shape, 0, 0, 0};
    call.writes = {stacked.buffer};
    planner_.calls_.push_back(std::move(call));
  }
  give(states_ + output, std::move(stacked));
}

// ---- As one call ----

void LoopPlanner::run_body(int64_t count) {
  LoopCall loop;
  loop.count = count;
  std::vector<CallState> others;
  others.swap(planner_.calls_);
  plan_body(&loop);
  stack_results(&loop);
  std::vector<CallState> calls = keep_needed(std::move(planner_.calls_), needed_of(loop));
  planner_.calls_ = std::move(others);
  planner_.calls_.push_back(call_of(std::move(loop), std::move(calls)));
}

// Plans the body once, in the place of all iterations.
void LoopPlanner::plan_body(LoopCall* loop) {
  std::vector<ValueState> initial = initial_states(), states = initial;
  for (ValueState& state : states) {
    if (state.from_time) planner_.problem(op_, "carries a value made from the number of steps");
    state.known = nullptr;
    state.buffer = new_arena(state.bytes());
  }
  begin_iteration(0, states);
  ValueState& number = planner_.value(body_.inputs[0]);
  number.known = nullptr;
  number.buffer = loop->iteration = new_arena(number.bytes());

  const int64_t repeats = planner_.repeats_;
  planner_.repeats_ *= std::max<int64_t>(loop->count, 1);
  planner_.plan_block(body_);
  planner_.repeats_ = repeats;

  const std::vector<ValueState> carried = results(1, 1 + states_);
  const auto is_list = [](const ValueState& state) { return state.items != nullptr; };
  if (std::any_of(initial.begin(), initial.end(), is_list) || std::any_of(carried.begin(), carried.end(), is_list)) {
    refuse(Status::unsupported, "its body makes a sequence of a carried tensor, or carries one through no iteration");
  }
  for (size_t j = 0; j < states_; ++j) {
    loop->carries.push_back(carry(initial[j], carried[j], states[j].buffer));
    give(j, states[j]);
  }
  separate(&loop->carries);
}

void LoopPlanner::stack_results(LoopCall* loop) {
  for (size_t k = 0; states_ + k < op_.outputs.size(); ++k) {
    if (op_.outputs[states_ + k] == kAbsent) continue;
    ValueState item = scan_item(k), stacked;
    Stack stack = this->stack(k, item, loop->count, &stacked);
    stack.from = planner_.buffer_of(item);
    stack.to = stacked.buffer = new_arena(stacked.bytes());
    loop->stacks.push_back(stack);
    give(states_ + k, std::move(stacked));
  }
}

// By buffer: what each iteration has to compute.
std::vector<bool> LoopPlanner::needed_of(const LoopCall& loop) const {
  std::vector<bool> needed(planner_.buffers_.size(), false);
  for (const Carry& carry : loop.carries) needed[static_cast<size_t>(carry.result)] = true;
  for (const Stack& stack : loop.stacks) needed[static_cast<size_t>(stack.from)] = true;
  return needed;
}

// All iterations as one call, with what it touches and costs.
CallState LoopPlanner::call_of(LoopCall loop, std::vector<CallState> calls) const {
  CallState call;
  call.info = {op_.type, op_.name, {}, 0, 0, 0};
  if (!op_.outputs.empty() && op_.outputs[0] != kAbsent) call.info.output = planner_.value(op_.outputs[0]).shape;
  for (CallState& each : calls) {
    call.info.macs += each.info.macs * static_cast<uint64_t>(loop.count);
    call.info.weight_bytes += each.info.weight_bytes;
    call.info.parameters += each.info.parameters;
    call.reads.insert(call.reads.end(), each.reads.begin(), each.reads.end());
    call.writes.insert(call.writes.end(), each.writes.begin(), each.writes.end());
    loop.calls.push_back(std::move(each.run));
  }
  for (const Carry& carry : loop.carries) {
    call.reads.insert(call.reads.end(), {carry.initial, carry.result});
    call.writes.push_back(carry.in);
  }
  for (const Stack& stack : loop.stacks) {
    call.reads.push_back(stack.from);
    call.writes.push_back(stack.to);
  }
  call.writes.push_back(loop.iteration);
  call.run = std::move(loop);
  return call;
}

LoopPlanner::Carry LoopPlanner::carry(const ValueState& initial, const ValueState& result, BufferId in) {
  if (initial.shape != result.shape || initial.dtype != result.dtype) {
    refuse(Status::unsupported, "a carried value changes from " + std::string(name_of(initial.dtype)) +
                                    initial.shape.text() + " to " + name_of(result.dtype) + result.shape.text() +
                                    ", which only short loops may do");
  }
  if (initial.time_axis != result.time_axis) planner_.problem(op_, "mixes the time axis");
  ValueState before = initial, after = result;
  return {planner_.buffer_of(before), in, planner_.buffer_of(after), initial.bytes()};
}

// A result that is another carried value as it came must be saved before that one is overwritten.
void LoopPlanner::separate(std::vector<Carry>* carries) {
  for (Carry& carry : *carries) {
    const auto is_source = [&carry](const Carry& other) { return &other != &carry && other.in == carry.result; };
    if (std::none_of(carries->begin(), carries->end(), is_source)) continue;
    const BufferId from = carry.result, to = new_arena(carry.bytes);
    CallState call;
    call.run = [from, to, bytes = carry.bytes](const Frame& frame) {
      std::memcpy(frame.at<char>(to), frame.at<char>(from), bytes);
    };
    call.reads = {from};
    call.writes = {to};
    planner_.calls_.push_back(std::move(call));
    carry.result = to;
  }
}

void LoopPlanner::LoopCall::operator()(const Frame& frame) const {
  for (const Carry& carry : carries) {
    std::memcpy(frame.at<char>(carry.in), frame.at<char>(carry.initial), carry.bytes);
  }
  for (int64_t number = 0; number < count; ++number) {
    *frame.at<int64_t>(iteration) = number;
    const Frame turned = frame.turned(number % 2 != 0);
    for (const Run& call : calls) call(turned);
    for (const Stack& stack : stacks) stack.place(frame, number);
    for (const Carry& carry : carries) {
      if (carry.result == carry.in) continue;
      std::memcpy(frame.at<char>(carry.in), frame.at<char>(carry.result), carry.bytes);
    }
  }
}

// ---- Both ways ----

void LoopPlanner::Stack::place(const Frame& frame, int64_t iteration) const {
  const int64_t at = backwards ? count - 1 - iteration : iteration;
  const char* source = frame.at<char>(from);
  char* target = frame.at<char>(to) + static_cast<size_t>(at) * inner;
  for (int64_t i = 0; i < outer; ++i, source += inner, target += static_cast<size_t>(count) * inner) {
    std::memcpy(target, source, inner);
  }
}

// The shape of an output that stacks `item`, and how; the buffers are still to be filled in.
LoopPlanner::Stack LoopPlanner::stack(size_t output, const ValueState& item, int64_t count, ValueState* stacked) {
  const auto option = [&](const char* name) {
    const std::vector<int64_t> items = op_.integers(name);
    return output < items.size() ? items[output] : 0;
  };
  const int rank = item.shape.rank();
  int64_t axis = option("scan_output_axes");
  if (axis < 0) axis += rank + 1;
  if (axis < 0 || axis > rank || rank == kMaxRank) {
    refuse(Status::shape, "scan output " + std::to_string(output) + " of " + item.shape.text() +
                              " each cannot be stacked along axis " + std::to_string(axis));
  }
  const int at = static_cast<int>(axis);
  stacked->dtype = item.dtype;
  stacked->shape = item.shape;
  stacked->shape.insert(at, count);
  stacked->time_axis = item.time_axis < 0 ? -1 : item.time_axis + (at <= item.time_axis ? 1 : 0);
  check_elements(op_, stacked->shape);
  const size_t inner = static_cast<size_t>(item.shape.product(at, rank)) * size_of(item.dtype);
  return {-1, -1, item.shape.product(0, at), count, inner, option("scan_output_directions") != 0};
}

void LoopPlanner::give(size_t output, ValueState state) {
  state.defined = true;
  if (op_.outputs[output] != kAbsent) planner_.value(op_.outputs[output]) = std::move(state);
}

BufferId LoopPlanner::new_arena(size_t bytes) { return planner_.new_buffer(BufferState::Kind::arena, bytes); }

}  // namespace lrt

// The planner's side of planning one op: answers the op's questions, takes its outputs and its call, and makes the call
// at once where every input is known.
#include <algorithm>

#include "ops/signature.h"
#include "plan/loop.h"
#include "plan/planner.h"
#include "plan/sequence.h"

namespace lrt {

namespace {

// Of an op that multiplies by input 1, as the converter calls it.
const char* precision_of(const Op& op, DType weights) {
  switch (weights) {
    case DType::i8:
      return op.integer("activation_bits", 8) == 16 ? "int8x16" : "int8";
    case DType::u8:
      return "uint8";
    case DType::q4:
      return "int4";
    case DType::bf16:
      return "bf16";
    default:
      return "float32";
  }
}

bool all_zero(const void* data, size_t bytes) {
  const auto* from = static_cast<const unsigned char*>(data);
  return std::all_of(from, from + bytes, [](unsigned char byte) { return byte == 0; });
}

}  // namespace

class OpPlanner final : public OpPlan {
 public:
  OpPlanner(Planner& planner, const Op& op, const OpEntry& entry) : planner_(planner), op_(op), entry_(entry) {
    operands_.resize(op.inputs.size());
    declared_.resize(op.outputs.size(), false);
    axes_.resize(op.outputs.size(), -1);
    made_.resize(op.outputs.size());
    for (const int id : op.inputs) {
      if (id == kAbsent) continue;
      const ValueState& state = planner.value(id);
      known_ = known_ && state.known;
      static_ = static_ && state.is_static;
      from_time_ = from_time_ || state.from_time || (state.time_axis >= 0 && is_shape_op());
      has_time_ = has_time_ || state.time_axis >= 0;
    }
  }

  // Checks the operands against the op's signature, before any code of the op itself runs.
  void check() const {
    check_counts(entry_, op_);
    named([this] { check_operands(entry_, *this); });
  }

  void plan() {
    named([this] { entry_.plan(*this); });
    if (!writes_anything_) run_ = nullptr;  // of empty outputs there is nothing to compute
    if (packed_now_) planner_.packs_.add_bytes(info_.weight_bytes);
    if (known_) {
      planner_.take_known_work(op_, info_.macs);
      if (run_) run_(Frame(planner_.table_.data(), false));
    } else if (run_) {
      emit();
    }
    finish_outputs();
    if (planner_.request_.proving && !known_) prove();
  }

  const Op& op() const override { return op_; }
  const Kernels& kernels() const override { return planner_.kernels_; }

  int inputs() const override { return static_cast<int>(op_.inputs.size()); }
  bool has(int input) const override {
    return input >= 0 && input < inputs() && op_.inputs[static_cast<size_t>(input)] != kAbsent;
  }

  bool is_sequence(int input) const override {
    return has(input) && planner_.value(op_.inputs[static_cast<size_t>(input)]).items;
  }

  const Operand& in(int input) const override {
    if (!has(input)) refuse(Status::file, "input " + std::to_string(input) + " is missing");
    Operand& operand = operands_[static_cast<size_t>(input)];
    if (operand.value != kAbsent) return operand;
    operand.value = op_.inputs[static_cast<size_t>(input)];
    ValueState& state = planner_.value(operand.value);
    if (state.items) {
      refuse(Status::unsupported, "input " + std::to_string(input) + " is a sequence; wanted a tensor");
    }
    operand.dtype = state.dtype;
    operand.shape = state.shape;
    operand.buffer = planner_.buffer_of(state);
    operand.known = state.known.get();
    operand.is_static = state.is_static;
    operand.time_axis = state.time_axis;
    return operand;
  }

  std::vector<int64_t> integers(int input) const override {
    const Operand& operand = in(input);
    const std::string name = "input '" + planner_.name_of_value(operand.value) + "'";
    if (!operand.known) {
      refuse(Status::unsupported,
             name + " depends on data, but decides a shape. Only shapes, constants and control inputs may");
    }
    const auto count = static_cast<size_t>(operand.shape.elements());
    std::vector<int64_t> result(count);
    for (size_t i = 0; i < count; ++i) {
      switch (operand.dtype) {
        case DType::i64:
          result[i] = static_cast<const int64_t*>(operand.known)[i];
          break;
        case DType::i32:
          result[i] = static_cast<const int32_t*>(operand.known)[i];
          break;
        case DType::boolean:
          result[i] = static_cast<const uint8_t*>(operand.known)[i];
          break;
        default:
          refuse(Status::unsupported, name + " is " + name_of(operand.dtype) + ", wanted int64 or int32");
      }
    }
    return result;
  }

  int outputs() const override { return static_cast<int>(op_.outputs.size()); }
  bool wants(int output) const override {
    return output < outputs() && op_.outputs[static_cast<size_t>(output)] != kAbsent &&
           planner_.is_used(op_.outputs[static_cast<size_t>(output)]);
  }

  BufferId out(int output, DType dtype, const Shape& shape) override {
    ValueState state;
    state.dtype = dtype;
    state.shape = shape;
    check_elements(op_, shape);
    if (known_) {
      state.known = planner_.new_known(op_, state.bytes());
      state.buffer = planner_.new_constant(state.known, state.bytes());
    } else {
      state.buffer = planner_.new_buffer(BufferState::Kind::arena, state.bytes());
      writes_.push_back(state.buffer);
    }
    const BufferId buffer = state.buffer;
    writes_anything_ = writes_anything_ || state.bytes() > 0;
    if (output < outputs()) made_[static_cast<size_t>(output)] = std::move(state);
    return buffer;
  }

  void* known_out(int output, DType dtype, const Shape& shape) override {
    ValueState& state = made(output);
    state.dtype = dtype;
    state.shape = shape;
    check_elements(op_, shape);
    state.known = planner_.new_known(op_, state.bytes());
    return const_cast<void*>(state.known.get());
  }

  void alias(int output, int input, const Shape& shape) override {
    in(input);
    ValueState state = planner_.value(op_.inputs[static_cast<size_t>(input)]);
    if (state.shape.elements() != shape.elements()) {
      refuse(Status::shape, "cannot see " + state.shape.text() + " as " + shape.text());
    }
    check_elements(op_, shape);
    state.shape = shape;
    made(output) = std::move(state);
  }

  BufferId scratch(size_t bytes) override {
    if (known_) return planner_.new_constant(planner_.new_known(op_, bytes), bytes);
    const BufferId buffer = planner_.new_buffer(BufferState::Kind::arena, bytes);
    writes_.push_back(buffer);
    return buffer;
  }

  std::shared_ptr<const void> packed(int slot, const std::vector<int>& reads,
                                     const std::function<std::shared_ptr<const void>()>& make) override {
    packed_.insert(packed_.end(), reads.begin(), reads.end());
    const bool shared = !known_ && std::all_of(reads.begin(), reads.end(), [&](int i) { return in(i).is_static; });
    if (!shared) return make();
    const PackCache::Key key{op_.id, slot};
    auto found = planner_.packs_.find(key);
    if (found) return found;
    planner_.packs_.put(key, found = make());
    packed_now_ = true;
    for (const int i : reads) {
      const ValueState& plain = planner_.value(op_.inputs[static_cast<size_t>(i)]);
      if (!planner_.packs_.keeps(plain.known.get())) planner_.graph_.forget(plain.known.get(), plain.bytes());
    }
    return found;
  }

  void run(Run call) override { run_ = std::move(call); }

  void cost(uint64_t macs, uint64_t weight_bytes, uint64_t parameters) override {
    info_.macs = macs;
    info_.weight_bytes = weight_bytes;
    info_.parameters = parameters;
  }

  void time_axis(int output, int axis) override {
    if (output >= outputs()) return;
    declared_[static_cast<size_t>(output)] = true;
    axes_[static_cast<size_t>(output)] = axis;
  }

  bool keep_state(int state_input, const char* name, const Shape& shape, BufferId* in_buffer,
                  BufferId* out_buffer) override {
    if (known_) return false;
    const bool keeps =
        planner_.request_.proving ? in(0).time_axis >= 0 : planner_.request_.keeps_state.count(op_.id) > 0;
    if (!keeps) return false;
    if (planner_.loop_depth_ > 0) {
      not_streamable("stands in a loop, which begins with the same state at every call");
      return false;
    }
    std::shared_ptr<const void> initial;
    if (has(state_input)) {
      const ValueState& state = planner_.value(op_.inputs[static_cast<size_t>(state_input)]);
      if (!state.known) {
        const std::string input = planner_.name_of_value(op_.inputs[static_cast<size_t>(state_input)]);
        not_streamable("is given its initial state '" + input +
                       "' at every call. Bind that input to the output that carries it on");
        return false;
      }
      if (state.shape != shape || state.dtype != DType::f32) return false;  // the op says what is wrong with it
      if (!all_zero(state.known.get(), state.bytes())) initial = state.known;
    }
    exempt_.push_back(state_input);
    planner_.plan_->kept.insert(op_.id);
    PlannedState state{op_.name + "." + name, DType::f32, shape, -1, -1, initial};
    *in_buffer = state.in = planner_.new_buffer(BufferState::Kind::state, state.bytes());
    *out_buffer = state.out = planner_.new_buffer(BufferState::Kind::state, state.bytes());
    writes_anything_ = writes_anything_ || state.bytes() > 0;
    reads_.push_back(state.in);
    writes_.push_back(state.out);
    planner_.plan_->states.push_back(std::move(state));
    return true;
  }

  void not_streamable(const std::string& why) override { planner_.problem(op_, why); }

 private:
  // Every refusal names the op, also those of shapes and of memory, which do not know it.
  template <class Work>
  void named(const Work& work) const {
    try {
      work();
    } catch (const Error& error) {
      const std::string name = describe(op_), what = error.what();
      if (what.compare(0, name.size(), name) == 0) throw;
      throw Error(error.status, name + ": " + what);
    }
  }

  ValueState& made(int output) {
    if (output >= outputs()) refuse(Status::file, "has no output " + std::to_string(output));
    return made_[static_cast<size_t>(output)];
  }

  bool is_shape_op() const { return op_.type == "Shape" || op_.type == "Size"; }

  void emit() {
    for (int i = 0; i < inputs(); ++i) {
      const bool only_packed = std::find(packed_.begin(), packed_.end(), i) != packed_.end();
      if (has(i) && !only_packed) reads_.push_back(in(i).buffer);
    }
    info_.type = op_.type;
    info_.name = op_.name;
    if (!made_.empty()) info_.output = made_[0].shape;
    if (info_.macs > 0 && has(1)) info_.precision = precision_of(op_, in(1).dtype);
    planner_.calls_.push_back({std::move(run_), std::move(info_), std::move(reads_), std::move(writes_)});
  }

  void finish_outputs() {
    for (size_t i = 0; i < made_.size(); ++i) {
      const int id = op_.outputs[i];
      if (id == kAbsent) continue;
      ValueState& state = planner_.value(id);
      if (made_[i].buffer < 0 && !made_[i].known) {  // whoever reads a value may rely on it
        if (!planner_.is_used(id)) continue;
        refuse(Status::file, "this operation has no output " + std::to_string(i) + ", but '" +
                                 planner_.graph_.values[static_cast<size_t>(id)] +
                                 "' is used. Convert the model again");
      }
      state = made_[i];
      state.defined = true;
      state.time_axis = state.known ? -1 : axes_[i];
      if (state.known) {
        state.is_static = static_ && known_;
        state.from_time = from_time_;
      }
    }
  }

  // Whether its control input says no more than the dims of its output, of which time may be one.
  bool shapes_only() const { return op_.type == "Reshape" || op_.type == "ConstantOfShape"; }

  // Collects what keeps this op, with time running through it, from giving the same frame by frame as whole.
  void prove() {
    for (int i = 0; i < inputs(); ++i) {
      if (!has(i)) continue;
      const ValueState& state = planner_.value(op_.inputs[static_cast<size_t>(i)]);
      const bool exempt = shapes_only() || std::find(exempt_.begin(), exempt_.end(), i) != exempt_.end();
      if (state.known && state.from_time && !exempt) not_streamable("uses a value made from the number of steps");
    }
    if (!has_time_) return;
    for (size_t i = 0; i < made_.size(); ++i) {
      const bool has_time = wants(static_cast<int>(i)) && made_[i].buffer >= 0 && !made_[i].known;
      if (has_time && !declared_[i]) return not_streamable("mixes the time axis");
    }
  }

  Planner& planner_;
  const Op& op_;
  const OpEntry& entry_;
  mutable std::vector<Operand> operands_;  // filled when asked for
  std::vector<ValueState> made_;
  std::vector<bool> declared_;  // outputs whose time axis the op told
  std::vector<int> axes_;
  std::vector<int> packed_, exempt_;
  std::vector<BufferId> reads_, writes_;
  Run run_;
  PlannedCall info_;
  bool known_ = true, static_ = true, from_time_ = false, has_time_ = false, packed_now_ = false;
  bool writes_anything_ = false;
};

void Planner::plan_op(const Op& op) {
  const OpEntry* entry = find_op(op.type);
  if (!entry) {
    throw Error(Status::unsupported, describe(op) + ": no such operation. Supported operations: lstm-rt inspect --ops");
  }
  OpPlanner planner(*this, op, *entry);
  planner.check();
  if (op.type == "If") return plan_if(op);
  if (op.type == "Loop") return LoopPlanner(*this, op).plan();
  if (SequencePlanner(*this, op).plan()) return;
  planner.plan();
}

}  // namespace lrt

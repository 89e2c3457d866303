// What an op is to the planner: one function that looks at what is known of the inputs, says what the outputs are, packs
// weights, and hands back the call that does the work. An op whose inputs are all known is called at once while planning.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "model/error.h"
#include "model/graph.h"

namespace lrt {

using BufferId = int;
class Parallel;  // ops/parallel.h

// Where the buffers of one running plan are. A call must not keep pointers between runs: state buffers change places.
class Frame {
 public:
  Frame(void* const* table, bool backwards, Parallel* parallel = nullptr)
      : table_(table), backwards_(backwards), parallel_(parallel) {}
  template <class T>
  T* at(BufferId id) const {
    return static_cast<T*>(table_[id]);
  }
  // The same for a step that walks weights the other way round.
  Frame turned(bool turn) const { return {table_, backwards_ != turn, parallel_}; }
  // Flips with every step, so that weights are walked to and fro (see Gemm::backwards).
  bool backwards() const { return backwards_; }
  // Other threads to share work with; null where there are none.
  Parallel* parallel() const { return parallel_; }

 private:
  void* const* table_;
  bool backwards_;
  Parallel* parallel_;
};

using Run = std::function<void(const Frame&)>;

// What planning knows of one input of an op.
struct Operand {
  int value = kAbsent;
  DType dtype = DType::f32;
  Shape shape;
  BufferId buffer = -1;
  const void* known = nullptr;  // its data, where known at plan time
  bool is_static = false;       // known from weights alone: the same in every plan of the model
  int time_axis = -1;           // while a stream is being proved: the axis that is time, or -1
};

// The planner's side of planning one op (src/plan/op_plan.cpp). Every refusal becomes one Error naming the op.
class OpPlan {
 public:
  virtual ~OpPlan() = default;

  virtual const Op& op() const = 0;
  virtual const Kernels& kernels() const = 0;

  // Inputs. in() refuses where the input is absent.
  virtual int inputs() const = 0;
  virtual bool has(int input) const = 0;
  virtual const Operand& in(int input) const = 0;
  virtual bool is_sequence(int input) const = 0;
  // The value of a small integer input (int64, int32, bool). Refuses where it depends on data.
  virtual std::vector<int64_t> integers(int input) const = 0;

  // Outputs. An output that nobody wants gets a buffer all the same when asked for; wants() tells beforehand.
  virtual int outputs() const = 0;
  virtual bool wants(int output) const = 0;
  virtual BufferId out(int output, DType dtype, const Shape& shape) = 0;
  // An output that planning knows though the inputs' data is not known, as Shape's: memory to fill now. No call needed.
  virtual void* known_out(int output, DType dtype, const Shape& shape) = 0;
  // The bytes of an input under another shape; no call needed. dtype stays.
  virtual void alias(int output, int input, const Shape& shape) = 0;

  // Memory for the length of this call, 64-byte aligned.
  virtual BufferId scratch(size_t bytes) = 0;

  // make() once per model where the inputs it reads are static, else once per plan. `slot` tells several packs of one
  // op apart. The inputs must be known.
  virtual std::shared_ptr<const void> packed(int slot, const std::vector<int>& reads,
                                             const std::function<std::shared_ptr<const void>()>& make) = 0;

  // The work. At most one call per op; an op that only aliases makes none.
  virtual void run(Run call) = 0;
  // For inspect: multiply-adds, bytes of packed weights read and parameters of one run.
  virtual void cost(uint64_t macs, uint64_t weight_bytes, uint64_t parameters) = 0;

  // Streaming (src/plan/streaming.h). An op that says nothing of an output's time axis while one of its inputs has one
  // is taken to mix time, and a model with it is refused as a stream.
  virtual void time_axis(int output, int axis) = 0;
  // True where the initial state of a recurrent op is to be kept from step to step: the plan is a stream's, and input
  // `state_input` is absent or known to be zeros. Then in_buffer is read and out_buffer written by every run.
  virtual bool keep_state(int state_input, const char* name, const Shape& shape, BufferId* in_buffer,
                          BufferId* out_buffer) = 0;
  // Says that this op cannot be streamed, and why ("runs backwards over time").
  virtual void not_streamable(const std::string& why) = 0;

  [[noreturn]] void refuse(Status status, const std::string& what) const {
    throw Error(status, describe(op()) + ": " + what);
  }
};

using PlanOp = void (*)(OpPlan&);

struct OpEntry {
  const char* type;
  PlanOp plan;            // null of what the planner does itself
  const char* signature;  // ops/signature.h
  // Inputs whose values decide shapes or branches; bit i stands for input i.
  uint32_t control_inputs;
  const char* summary;  // for `inspect --ops`: what it computes and its restrictions
};

// ops/list.cpp: every op there is, in alphabetical order.
const std::vector<OpEntry>& op_list();
const OpEntry* find_op(const std::string& type);  // nullptr where there is none

}  // namespace lrt

// A plan: a model made ready for one set of input shapes. What could be known has been computed; what is left is a
// straight list of calls on buffers in one arena. Immutable; any number of executions may use it at once.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/graph.h"
#include "ops/op.h"

namespace lrt {

struct PlanInput {
  DType dtype = DType::f32;
  Shape shape;
  std::shared_ptr<const void> known;  // its data, for control inputs and frozen ones
  int time_axis = -1;                 // only while proving that a model streams
};

struct PlanRequest {
  std::vector<PlanInput> inputs;              // one per input of the graph
  std::vector<std::pair<int, int>> bindings;  // (input, output): state carried by a stream
  std::set<int> keeps_state;                  // ids of ops that keep their own state
  bool proving = false;                       // collect what keeps the model from being streamed
};

struct PlannedCall {
  std::string type, name;
  Shape output;
  uint64_t macs = 0, weight_bytes = 0, parameters = 0;
  const char* precision = "";  // of the weights; empty where there is no product
};

struct PlannedValue {
  DType dtype = DType::f32;
  Shape shape;
  BufferId buffer = -1;
  size_t bytes() const { return static_cast<size_t>(bytes_of(dtype, shape)); }
};

// State that every run reads from one buffer and writes to another; a stream swaps the two after each step.
struct PlannedState {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  BufferId in = -1, out = -1;
  std::shared_ptr<const void> initial;  // null: zeros
  size_t bytes() const { return static_cast<size_t>(bytes_of(dtype, shape)); }
};

struct Plan {
  std::vector<Run> calls;
  std::vector<PlannedCall> infos;  // one per call

  size_t buffers = 0;
  std::vector<BufferId> inputs;       // per input of the graph; -1 where nothing reads it at run time
  std::vector<PlannedValue> outputs;  // per output of the graph; buffer -1 where it is bound
  std::vector<PlannedState> states;
  std::vector<std::pair<BufferId, const void*>> constants;
  std::vector<std::pair<BufferId, size_t>> arena;  // offsets
  size_t arena_bytes = 0;
  std::vector<std::shared_ptr<const void>> owners;  // of the constants

  // What a proving plan found: ops that kept their state, and why the model cannot be streamed.
  std::set<int> kept;
  std::vector<std::string> problems;

  uint64_t macs() const;
};

// Weights packed once per model, by op and slot. Guarded by whoever plans.
class PackCache {
 public:
  using Key = std::pair<int, int>;
  std::shared_ptr<const void> find(Key key) const;
  void put(Key key, std::shared_ptr<const void> packed);
  // Of all that was ever put: each is made once and stays, so this grows no more once the model has run.
  uint64_t bytes() const { return bytes_; }
  void add_bytes(uint64_t bytes) { bytes_ += bytes; }
  // Weights that the runs of some plan read as the file has them: they are not to be given back.
  void keep(const void* plain) { kept_.insert(plain); }
  bool keeps(const void* plain) const { return kept_.count(plain) > 0; }

 private:
  uint64_t bytes_ = 0;
  std::set<const void*> kept_;
  std::vector<std::pair<Key, std::shared_ptr<const void>>> entries_;
};

// By input of the model: whether its value decides a shape or a branch. Every op's type is known.
std::vector<bool> find_control_inputs(const Graph& graph);

// Throws Error: shape where the inputs do not fit, unsupported where an op refuses.
std::shared_ptr<const Plan> make_plan(const Graph& graph, const Kernels& kernels, PackCache& packs,
                                      const PlanRequest& request);

// plan/arena.cpp. A buffer is needed from call `first` to call `last`.
struct Lifetime {
  BufferId buffer = -1;
  size_t bytes = 0;
  int first = 0, last = 0;
};
// Gives each an offset such that none that live together overlap; returns the size of the whole, which on a small system
// may be more than there are addresses.
uint64_t lay_out(std::vector<Lifetime> lifetimes, std::vector<std::pair<BufferId, size_t>>* offsets);

}  // namespace lrt

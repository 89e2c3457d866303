// A loaded model: its graph, its packed weights, its plans. Immutable to the outside and safe to use from many threads.
#pragma once

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "session/execution.h"
#include "session/mutex.h"
#if LRT_THREADS
#include "session/workers.h"
#endif

namespace lrt {

// A plan kept for later, with memory to run it: one Execution per thread that ran it at the same time.
class CachedPlan {
 public:
  CachedPlan(std::shared_ptr<const Plan> plan, std::shared_ptr<Memory> memory)
      : plan_(std::move(plan)), memory_(std::move(memory)) {}
  ~CachedPlan();
  const std::shared_ptr<const Plan>& plan() const { return plan_; }
  // Makes memory for one run, after which runs of one thread at a time allocate nothing.
  void prepare();
  // Takes no lock.
  void run(const void* const* inputs, void* const* outputs, Parallel* parallel = nullptr);

 private:
  std::unique_ptr<Execution> take();
  void give_back(std::unique_ptr<Execution> execution);

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<Memory> memory_;
  std::array<std::atomic<Execution*>, 32> idle_{};  // owned; null where there is none
};

struct StreamProof {
  std::set<int> keeps_state;   // ids of ops
  std::vector<int> time_axes;  // per input of the graph; -1 where it has none
  std::vector<PlannedState> states;
};

struct ModelOptions {
  const char* isa = nullptr;  // null: the default
  uint64_t max_memory = 0;    // of a plan, a stream, a pool; 0: the default
  std::shared_ptr<Memory> memory = std::make_shared<SystemMemory>();
  Log log;
};

class Model {
 public:
  Model(Graph graph, const ModelOptions& options);  // throws Error

  const Graph& graph() const { return graph_; }
  const Kernels& kernels() const { return kernels_; }
  bool is_control(size_t input) const { return control_[input]; }
  uint64_t parameters() const;
  uint64_t weight_bytes() const;
  uint64_t packed_bytes();

  const std::shared_ptr<Memory>& memory() const { return memory_; }
  // The most bytes to take for inputs of so many, and for so many streams of a pool.
  uint64_t max_memory(uint64_t input_bytes, size_t streams = 0) const;

  // The plan for these inputs, from the cache or made now.
  std::shared_ptr<CachedPlan> plan(const PlanRequest& request);
  // One that its caller keeps: the cache is for plans that come again by their shapes.
  std::shared_ptr<const Plan> plan_once(const PlanRequest& request);
  // Threads to share work with, made when first asked for and kept; null for 1. Throws Error for less, or too many.
  Parallel* workers(int threads);
  // Replays the self-tests. Returns how many there are; describes the first difference.
  size_t verify(size_t* failed, std::string* difference);

 private:
  struct Entry {
    PlanRequest request;
    std::shared_ptr<CachedPlan> plan;
  };

  std::shared_ptr<const Plan> make(const PlanRequest& request);  // under mutex_

  const Graph graph_;
  const Kernels& kernels_;
  std::vector<bool> control_;  // per input
  const std::shared_ptr<Memory> memory_;
  const uint64_t max_memory_;
  const Log log_;
  Mutex mutex_;  // over packs_, cache_ and workers_
  PackCache packs_;
  std::list<Entry> cache_;  // used last first
#if LRT_THREADS
  std::vector<std::unique_ptr<Workers>> workers_;
#endif
};

// plan/streaming.cpp. Proves that stepping chunk by chunk gives what the whole gives, and which ops keep state for it.
// frozen: per input of the graph, its fixed value or an empty known. Throws Error(unsupported) naming the ops.
StreamProof prove_stream(Model& model, const std::vector<PlanInput>& frozen, int64_t batch);

}  // namespace lrt

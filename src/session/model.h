// A loaded model: its graph, its packed weights, its plans. Immutable to the outside and safe to use from many threads.
#pragma once

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "session/execution.h"
#include "session/workers.h"

namespace lrt {

// A plan kept for later, with memory to run it: one Execution per thread that ran it at the same time.
class CachedPlan {
 public:
  explicit CachedPlan(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}
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
  std::array<std::atomic<Execution*>, 32> idle_{};  // owned; null where there is none
};

struct StreamProof {
  std::set<int> keeps_state;   // ids of ops
  std::vector<int> time_axes;  // per input of the graph; -1 where it has none
  std::vector<PlannedState> states;
};

class Model {
 public:
  // Throws Error. isa: null for the default.
  Model(Graph graph, const char* isa);

  const Graph& graph() const { return graph_; }
  const Kernels& kernels() const { return kernels_; }
  bool is_control(size_t input) const { return control_[input]; }
  uint64_t parameters() const;
  uint64_t weight_bytes() const;
  uint64_t packed_bytes();

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

  void find_control_inputs();

  const Graph graph_;
  const Kernels& kernels_;
  std::vector<bool> control_;  // per input
  std::mutex mutex_;           // over packs_, cache_ and workers_
  PackCache packs_;
  std::list<Entry> cache_;  // used last first
  std::vector<std::unique_ptr<Workers>> workers_;
};

// plan/streaming.cpp. Proves that stepping chunk by chunk gives what the whole gives, and which ops keep state for it.
// frozen: per input of the graph, its fixed value or an empty known. Throws Error(unsupported) naming the ops.
StreamProof prove_stream(Model& model, const std::vector<PlanInput>& frozen, int64_t batch);

}  // namespace lrt

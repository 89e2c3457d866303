// Threads that wait for parts of a product. They spin for a moment after each piece of work, since the next step's comes
// soon, then sleep: an idle stream burns nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ops/parallel.h"

namespace lrt {

// Shared by everyone who runs a model with the same number of threads; who finds them busy does all parts alone, and so
// does the child of a fork, which has no such threads.
class Workers final : public Parallel {
 public:
  explicit Workers(int threads);  // with the caller's
  ~Workers() override;
  int threads() const override { return static_cast<int>(parts_.size()); }
  int started() const { return static_cast<int>(sleep_->threads.size()) + 1; }

 protected:
  void run_parts(void (*part)(const void*, int), const void* context) override;

 private:
  // On a cache line of its own: threads write theirs at the same time.
  struct alignas(64) Part {
    std::atomic<uint64_t> taken{0};  // the last job in which somebody took this part
  };

  void work(int own);
  bool take(int part, uint64_t job);
  void do_part(int part);
  bool wait_for_job(uint64_t last);

  std::vector<Part> parts_;
  // Written before job_ is, and read only by who has taken a part of it: so never while they change.
  void (*part_)(const void*, int) = nullptr;
  const void* context_ = nullptr;

  alignas(64) std::atomic<uint64_t> job_{0};
  alignas(64) std::atomic<int> undone_{0};
  std::mutex busy_;

  // Apart, since the child of a fork must leave them alone: the threads that wait are its parent's.
  struct Sleep {
    std::mutex mutex;
    std::condition_variable wake;
    std::vector<std::thread> threads;
  };
  std::unique_ptr<Sleep> sleep_;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stopping_{false};
  const uint64_t forks_;
};

}  // namespace lrt

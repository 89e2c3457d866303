#include "session/workers.h"

#if __has_include(<pthread.h>) && !defined(_WIN32)
#include <pthread.h>
#define LRT_HAS_FORK 1
#endif

#include <chrono>
#include <exception>

#include "model/error.h"
#include "model/pages.h"
#include "session/flush.h"

namespace lrt {

namespace {

constexpr auto kSpin = std::chrono::microseconds(40);
constexpr int kLooks = 64;  // between two looks at the clock

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
  __asm__ volatile("yield");
#endif
}

// Counts the forks this process descends from.
std::atomic<uint64_t> forks{0};
uint64_t count_forks() {
#ifdef LRT_HAS_FORK
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  (void)registered;
#endif
  return forks.load(std::memory_order_relaxed);
}

}  // namespace

Workers::Workers(int threads)
    : parts_(static_cast<size_t>(threads)), sleep_(std::make_unique<Sleep>()), forks_(count_forks()) {
  sleep_->threads.reserve(parts_.size());
  try {
    for (int own = 1; own < threads; ++own) sleep_->threads.emplace_back([this, own] { work(own); });
  } catch (const std::exception&) {
    // Fewer threads than wanted, for want of threads or memory: the others take their parts.
  }
}

Workers::~Workers() {
  if (forks.load(std::memory_order_relaxed) != forks_) {
    (void)sleep_.release();
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(sleep_->mutex);
    stopping_ = true;
  }
  sleep_->wake.notify_all();
  for (std::thread& thread : sleep_->threads) thread.join();
}

void Workers::run_parts(void (*part)(const void*, int), const void* context) {
  const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
  if (!lock || forks.load(std::memory_order_relaxed) != forks_) {
    for (int i = 0; i < threads(); ++i) part(context, i);
    return;
  }
  part_ = part;
  context_ = context;
  undone_.store(threads(), std::memory_order_relaxed);
  const uint64_t job = job_.load(std::memory_order_relaxed) + 1;
  job_.store(job);  // sequentially consistent with asleep_: a thread that goes to sleep sees this, or is seen
  if (asleep_.load() > 0) {
    {
      const std::lock_guard<std::mutex> wait_for_sleepers(sleep_->mutex);
    }
    sleep_->wake.notify_all();
  }
  // The caller's own part first, then those whose threads have not come yet.
  for (int i = 0; i < threads(); ++i) {
    if (take(i, job)) do_part(i);
  }
  for (int looks = 1; undone_.load(std::memory_order_acquire) > 0; ++looks) {
    pause();
    if (looks % 4096 == 0) std::this_thread::yield();  // somebody else may have that thread's core
  }
}

bool Workers::take(int part, uint64_t job) {
  std::atomic<uint64_t>& taken = parts_[static_cast<size_t>(part)].taken;
  uint64_t last = taken.load(std::memory_order_relaxed);
  return last < job && taken.compare_exchange_strong(last, job, std::memory_order_acq_rel);
}

void Workers::do_part(int part) {
  part_(context_, part);
  undone_.fetch_sub(1, std::memory_order_release);
}

void Workers::work(int own) {
  const FlushDenormals flush;
  touch_stack();
  uint64_t last = 0;
  while (wait_for_job(last)) {
    last = job_.load(std::memory_order_acquire);
    if (take(own, last)) do_part(own);
  }
}

bool Workers::wait_for_job(uint64_t last) {
  const auto has_come = [&] { return job_.load() != last || stopping_.load(std::memory_order_relaxed); };
  const auto until = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kLooks; ++i) {
      if (has_come()) return !stopping_;
      pause();
    }
  } while (std::chrono::steady_clock::now() < until);
  std::unique_lock<std::mutex> lock(sleep_->mutex);
  asleep_.fetch_add(1);
  sleep_->wake.wait(lock, has_come);
  asleep_.fetch_sub(1);
  return !stopping_;
}

}  // namespace lrt

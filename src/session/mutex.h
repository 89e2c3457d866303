// The lock of what many threads may use; nothing in a build without threads.
#pragma once

#include <mutex>

namespace lrt {

#if LRT_THREADS
using Mutex = std::mutex;
#else
struct Mutex {
  void lock() {}
  void unlock() {}
};
#endif
using Lock = std::lock_guard<Mutex>;

}  // namespace lrt

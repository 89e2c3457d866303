// Memory aligned to a cache line, and where it comes from: the system, an application's allocator, or one block of the
// caller's. A model says which while it works (MemoryScope), so that what makes a buffer need not know.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "model/error.h"
#include "model/log.h"

namespace lrt {

inline constexpr size_t kAlignment = 64;

inline size_t align_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

class Memory {
 public:
  virtual ~Memory() = default;
  // Aligned to kAlignment, of any contents; null where there is none.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* data, size_t bytes) = 0;
};

// The C++ library's.
class SystemMemory final : public Memory {
 public:
  explicit SystemMemory(Log log = {}) : log_(std::move(log)) {}
  void* allocate(size_t bytes) override;
  void release(void* data, size_t bytes) override;

 private:
  const Log log_;
  std::atomic<bool> told_{false};  // that huge pages are not to be had
};

// An application's functions.
class HookMemory final : public Memory {
 public:
  using Allocate = void* (*)(void* user, size_t size, size_t alignment);
  using Release = void (*)(void* user, void* data, size_t size);
  HookMemory(Allocate allocate, Release release, void* user) : allocate_(allocate), release_(release), user_(user) {}
  void* allocate(size_t bytes) override { return allocate_(user_, bytes, kAlignment); }
  void release(void* data, size_t bytes) override { release_(user_, data, bytes); }

 private:
  Allocate allocate_;
  Release release_;
  void* user_;
};

// One block, dealt out from its front and never taken back. `data` is aligned.
class LentMemory final : public Memory {
 public:
  LentMemory(void* data, size_t bytes) : data_(static_cast<char*>(data)), left_(bytes) {}
  void* allocate(size_t bytes) override;
  void release(void*, size_t) override {}

 private:
  char* data_;
  size_t left_;
};

// Thrown where a scope's limit does not allow a buffer. The planner adds which op wanted it.
class OverLimit : public Error {
 public:
  explicit OverLimit(const std::string& message) : Error(Status::memory, message) {}
};

// While it is open, the buffers that its thread makes come from `memory`, and are no more than `limit` bytes in all, of
// which `used` are gone beforehand. The innermost one counts.
class MemoryScope {
 public:
  explicit MemoryScope(std::shared_ptr<Memory> memory, uint64_t limit = UINT64_MAX, uint64_t used = 0);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

  // Counts what is to be allocated, now or later. Throws OverLimit.
  static void take(uint64_t bytes);
  // Of the thread's innermost scope; the system's without one.
  static const std::shared_ptr<Memory>& memory();

 private:
  std::shared_ptr<Memory> memory_;
  uint64_t limit_, used_;
  MemoryScope* outer_;
};

// The address of a buffer without elements: never null, so that it can be given to memcpy and be counted from.
void* no_elements();

// Room for `count` more of what a plan is made of, which max_memory has to allow. A double: counts may overflow integers.
template <class T>
void reserve_counted(std::vector<T>& items, double count) {
  const double bytes = count * sizeof(T);
  if (!(bytes < 1e18)) throw OverLimit("needs more memory than there are addresses");
  MemoryScope::take(static_cast<uint64_t>(bytes));
  items.reserve(items.size() + static_cast<size_t>(count));
}

// Zeroed at birth. Moves, does not copy.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes);  // throws Error(memory)

  template <class T = void>
  T* as() const {
    return static_cast<T*>(data_.get());
  }
  size_t size() const { return size_; }
  void swap(AlignedBuffer& other) noexcept {
    data_.swap(other.data_);
    std::swap(size_, other.size_);
  }

 private:
  struct Release {
    std::shared_ptr<Memory> memory;
    size_t bytes;
    void operator()(void* data) const { memory->release(data, bytes); }
  };
  std::unique_ptr<void, Release> data_;
  size_t size_ = 0;
};

// "12.5 MiB", for messages.
std::string size_text(uint64_t bytes);

}  // namespace lrt

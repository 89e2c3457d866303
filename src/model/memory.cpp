#include "model/memory.h"

#include <cstdio>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace lrt {

namespace {

// Large blocks ask for huge pages: a matrix that just fits a cache then fits it indeed, since its lines do not collide by
// the chance of where small pages lie.
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kHugeFrom = size_t{1} << 20;

std::align_val_t alignment_of(size_t bytes) { return std::align_val_t{bytes >= kHugeFrom ? kHugePage : kAlignment}; }

#if LRT_THREADS
thread_local MemoryScope* innermost = nullptr;
#else
MemoryScope* innermost = nullptr;
#endif

}  // namespace

std::string size_text(uint64_t bytes) {
  static const char* const kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  double size = static_cast<double>(bytes) / 1024.0;
  int unit = 0;
  for (; size >= 1024.0 && unit < 3; ++unit) size /= 1024.0;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", size, kUnits[unit]);
  return text;
}

void* SystemMemory::allocate(size_t bytes) {
  size_t whole = bytes;
  const bool huge = bytes >= kHugeFrom;
  if (huge && whole % kHugePage > kHugePage / 2) whole += kHugePage - whole % kHugePage;
  void* const data = ::operator new(whole, alignment_of(bytes), std::nothrow);
#if defined(__linux__)
  // A wish: where it is not granted nothing is lost.
  if (huge && data && ::madvise(data, whole, MADV_HUGEPAGE) != 0 && log_ && !told_.exchange(true)) {
    log_(LogLevel::warning, "the system has no huge pages; large matrices may run slower");
  }
#endif
  return data;
}

void SystemMemory::release(void* data, size_t bytes) { ::operator delete(data, alignment_of(bytes)); }

void* LentMemory::allocate(size_t bytes) {
  if (bytes > left_) return nullptr;
  void* const data = data_;
  data_ += bytes;
  left_ -= bytes;
  return data;
}

MemoryScope::MemoryScope(std::shared_ptr<Memory> memory, uint64_t limit, uint64_t used)
    : memory_(std::move(memory)), limit_(limit), used_(used), outer_(innermost) {
  innermost = this;
}

MemoryScope::~MemoryScope() { innermost = outer_; }

void MemoryScope::take(uint64_t bytes) {
  if (!innermost) return;
  const uint64_t limit = innermost->limit_, used = innermost->used_;
  if (used > limit || bytes > limit - used) {
    throw OverLimit("needs " + size_text(bytes) + " beside " + size_text(used) + " that are taken, but max_memory is " +
                    size_text(limit) + ". If the model and the shapes are right, load it with a larger max_memory");
  }
  innermost->used_ += bytes;
}

const std::shared_ptr<Memory>& MemoryScope::memory() {
  static const std::shared_ptr<Memory> system = std::make_shared<SystemMemory>();
  return innermost ? innermost->memory_ : system;
}

void* no_elements() {
  alignas(kAlignment) static char nothing[kAlignment];
  return nothing;
}

AlignedBuffer::AlignedBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const size_t whole = align_up(bytes);
  MemoryScope::take(whole);
  const std::shared_ptr<Memory>& memory = MemoryScope::memory();
  void* const data = whole >= bytes ? memory->allocate(whole) : nullptr;
  if (!data) throw Error(Status::memory, "out of memory: " + size_text(bytes) + " are not to be had");
  data_ = std::unique_ptr<void, Release>(data, {memory, whole});
  std::memset(data, 0, bytes);
}

}  // namespace lrt

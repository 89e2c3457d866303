// Owned memory aligned to a cache line.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace lrt {

inline constexpr size_t kAlignment = 64;

inline size_t align_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Large blocks ask for huge pages: a matrix that just fits a cache then fits it indeed, since its lines do not collide by
// the chance of where small pages lie.
inline constexpr size_t kHugePage = size_t{2} << 20;
inline constexpr size_t kHugeFrom = size_t{1} << 20;

struct FreeAligned {
  size_t alignment;
  FreeAligned(size_t to = kAlignment) : alignment(to) {}
  void operator()(void* p) const { ::operator delete(p, std::align_val_t{alignment}); }
};

// Zeroed at birth. Moves, does not copy.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    const bool huge = bytes >= kHugeFrom;
    const size_t alignment = huge ? kHugePage : kAlignment;
    size_t whole = align_up(bytes);
    if (huge && whole % kHugePage > kHugePage / 2) whole += kHugePage - whole % kHugePage;
    data_ = Memory(::operator new(whole, std::align_val_t{alignment}), FreeAligned(alignment));
#if defined(__linux__)
    if (huge) madvise(data_.get(), whole, MADV_HUGEPAGE);  // a wish: where it is not granted nothing is lost
#endif
    std::memset(data_.get(), 0, bytes);
  }

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
  using Memory = std::unique_ptr<void, FreeAligned>;
  Memory data_;
  size_t size_ = 0;
};

}  // namespace lrt

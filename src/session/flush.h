// Denormals are flushed to zero while the library computes: a decaying state would otherwise fall into them and each
// operation cost a hundred cycles. The caller's setting comes back afterwards.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace lrt {

class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) {
    if ((saved_ & kFlush) != kFlush) _mm_setcsr(saved_ | kFlush);
  }
  ~FlushDenormals() {
    if ((saved_ & kFlush) != kFlush) _mm_setcsr(saved_);
  }

 private:
  static constexpr uint32_t kFlush = 0x8040;  // flush to zero, denormals are zero
  uint32_t saved_;
#elif defined(__aarch64__) || defined(__ARM_FP)
  FlushDenormals() : saved_(read()) {
    if (!(saved_ & kFlush)) write(saved_ | kFlush);
  }
  ~FlushDenormals() {
    if (!(saved_ & kFlush)) write(saved_);
  }

 private:
  static constexpr uintptr_t kFlush = uintptr_t{1} << 24;
#if defined(__aarch64__)
  static uintptr_t read() {
    uintptr_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void write(uintptr_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#else
  // 32 bits: of the VFP only, since NEON always flushes
  static uintptr_t read() {
    uintptr_t value;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(value));
    return value;
  }
#if defined(__clang__)  // which has no name for the flags of a comparison
  static void write(uintptr_t value) { __asm__ volatile("vmsr fpscr, %0" : : "r"(value)); }
#else
  static void write(uintptr_t value) { __asm__ volatile("vmsr fpscr, %0" : : "r"(value) : "vfpcc"); }
#endif
#endif
  uintptr_t saved_;
#else
  FlushDenormals() {}
  ~FlushDenormals() {}

 private:
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace lrt

/* How fast this core can read memory and multiply: the two walls that no runtime can pass. Vectors are as wide as the
   instruction set that the compiler was told of; nothing here is specific to one. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#define CHAINS 16
#elif defined(__AVX__)
#define BYTES 32
#define CHAINS 12
#else
#define BYTES 16
#define CHAINS 12
#endif

typedef int64_t ints __attribute__((vector_size(BYTES)));
typedef float floats __attribute__((vector_size(BYTES)));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds that one pass over the buffer takes, in the fastest of `rounds` rounds of `passes` passes. `bytes` is a multiple of
   512 and the buffer is aligned to 64. Xor, not addition: it has no latency worth hiding. */
double limits_read(const void* buffer, size_t bytes, int passes, int rounds) {
  const ints* data = (const ints*)__builtin_assume_aligned(buffer, 64);
  const size_t count = bytes / BYTES;
  double best = 1e30;
  ints sink = {0};
  for (int round = 0; round < rounds; ++round) {
    const double begin = now();
    for (int pass = 0; pass < passes; ++pass) {
      ints a[8] = {{0}};
      for (size_t i = 0; i < count; i += 8)
        for (int j = 0; j < 8; ++j) a[j] ^= data[i + (size_t)j];
      for (int j = 0; j < 8; ++j) sink ^= a[j];
      __asm__ volatile("" : "+m"(sink) : : "memory"); /* each pass must read again */
    }
    const double seconds = (now() - begin) / passes;
    if (seconds < best) best = seconds;
  }
  return best;
}

/* Multiply-adds of float32 per second, in the fastest of `rounds` rounds. */
double limits_multiply(int rounds) {
  const int steps = 20000;
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    floats sum[CHAINS], factor, term;
    memset(sum, 0, sizeof sum);
    for (size_t i = 0; i < BYTES / sizeof(float); ++i) factor[i] = 0.5f, term[i] = 1.0f;
    __asm__ volatile("" : "+m"(factor), "+m"(term));
    const floats f = factor, t = term;
    const double begin = now();
    for (int step = 0; step < steps; ++step)
      for (int j = 0; j < CHAINS; ++j) sum[j] = sum[j] * f + t;
    const double seconds = now() - begin;
    __asm__ volatile("" : "+m"(sum));
    const double rate = (double)steps * CHAINS * (BYTES / sizeof(float)) / seconds;
    if (rate > best) best = rate;
  }
  return best;
}

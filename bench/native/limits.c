/* How fast this core can read memory and multiply: the two walls that no runtime can pass. Vectors are as wide as the
   instruction set that the compiler was told of. Only the products of int8 have an instruction of their own on each. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

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

/* One instruction (or the least number of them) that adds products of int8 to 32-bit sums: its name, type and MACs. */
#if defined(__AVX512VNNI__) && defined(__AVX512F__)
#define INT8_NAME "vpdpbusd, 512 bits"
#define INT8_MACS 64
typedef __m512i int8_sums;
#define INT8_ADD(sum, a, b) sum = _mm512_dpbusd_epi32(sum, a, b)
#elif defined(__AVXVNNI__)
#define INT8_NAME "vpdpbusd, 256 bits"
#define INT8_MACS 32
typedef __m256i int8_sums;
#define INT8_ADD(sum, a, b) sum = _mm256_dpbusd_avx_epi32(sum, a, b)
#elif defined(__AVX2__)
#define INT8_NAME "vpmaddubsw, vpmaddwd, vpaddd"
#define INT8_MACS 32
typedef __m256i int8_sums;
/* The empty asm keeps the products, which do not change, from being taken out of the loop. */
#define INT8_ADD(sum, a, b)       \
  __asm__ volatile("" : "+x"(a)); \
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))
#elif defined(__ARM_FEATURE_DOTPROD)
#define INT8_NAME "sdot"
#define INT8_MACS 16
typedef int8x16_t int8_sums;
#define INT8_ADD(sum, a, b) sum = vreinterpretq_s8_s32(vdotq_s32(vreinterpretq_s32_s8(sum), a, b))
#endif

#ifdef INT8_NAME
/* Multiply-adds of int8 per second in one round of `chains` sums. How many sums keep the units busiest, no manual says:
   on a Zen 5, 10 to 13 reach 450 to 500 G/s and 16 only 265. */
#define INT8_ROUND(chains)                               \
  static double int8_round_##chains(void) {              \
    const int steps = 20000;                             \
    int8_sums sum[chains], a, b;                         \
    memset(sum, 0, sizeof sum);                          \
    memset(&a, 1, sizeof a);                             \
    memset(&b, 1, sizeof b);                             \
    __asm__ volatile("" : "+m"(a), "+m"(b));             \
    int8_sums x = a;                                     \
    const int8_sums y = b;                               \
    const double begin = now();                          \
    for (int step = 0; step < steps; ++step)             \
      for (int j = 0; j < chains; ++j) {                 \
        INT8_ADD(sum[j], x, y);                          \
      }                                                  \
    const double seconds = now() - begin;                \
    __asm__ volatile("" : "+m"(sum));                    \
    return (double)steps * chains * INT8_MACS / seconds; \
  }
INT8_ROUND(8)
INT8_ROUND(10)
INT8_ROUND(11)
INT8_ROUND(12)
INT8_ROUND(13)
#endif

/* Multiply-adds of int8 per second, in the fastest of `rounds` rounds; 0 where none of the above is there. */
double limits_multiply_int8(int rounds) {
  double best = 0;
#ifdef INT8_NAME
  double (*const kinds[])(void) = {int8_round_8, int8_round_10, int8_round_11, int8_round_12, int8_round_13};
  for (int round = 0; round < rounds; ++round)
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; ++kind) {
      const double rate = kinds[kind]();
      if (rate > best) best = rate;
    }
#else
  (void)rounds;
#endif
  return best;
}

const char* limits_int8_instruction(void) {
#ifdef INT8_NAME
  return INT8_NAME;
#else
  return "";
#endif
}

// Times the kernels alone, against a bare read of as many bytes as their matrix has.
//
//   cmake -B build -DLSTM_RT_BENCH=ON && cmake --build build && taskset -c 1 build/bench_kernels [isa...]
//
// A step of one stream can be no faster than that read; a product of many rows is bound by arithmetic instead.
#include "kernels/kernels.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "model/error.h"
#include "ops/panels.h"
#include "session/flush.h"

namespace {

using namespace lrt;

// Of this thread alone: another program that takes the core away in between is not counted.
double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// Nanoseconds of one call: the least of many samples, since all that disturbs a sample makes it longer.
template <class F>
double nanoseconds(F call) {
  const auto sample = [&](int64_t calls) {
    const double begin = now();
    for (int64_t i = 0; i < calls; ++i) call();
    return (now() - begin) / static_cast<double>(calls);
  };
  const int64_t calls = std::max<int64_t>(2, static_cast<int64_t>(3e5 / sample(2)));
  double best = sample(calls);
  for (int i = 0; i < 40; ++i) best = std::min(best, sample(calls));
  return best;
}

class Floats {
 public:
  explicit Floats(int64_t n)
      : data_(static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>((n * 4 + 127) / 64 * 64)))) {
    for (int64_t i = 0; i < n; ++i) data_[i] = static_cast<float>(i * 7919 % 2001 - 1000) * 1e-4f;
  }
  ~Floats() { std::free(data_); }
  Floats(const Floats&) = delete;
  float* get() const { return data_; }

 private:
  float* data_;
};

typedef int64_t Block __attribute__((vector_size(64)));
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
int64_t bare_read(const float* data, int64_t bytes) {
  const Block* at = reinterpret_cast<const Block*>(data);
  Block sum[8] = {};
  for (const Block* end = at + bytes / 512 * 8; at != end; at += 8) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) sum[i] ^= at[i];
  }
  for (int i = 1; i < 8; ++i) sum[0] ^= sum[i];
  return sum[0][0];
}

int64_t panels_of(int64_t units) { return (units + 15) / 16; }

constexpr struct {
  const char* name;
  WeightFormat format;
} kFormats[] = {{"f32", LRT_FORMAT_F32},
                {"bf16", LRT_FORMAT_BF16},
                {"int8", LRT_FORMAT_INT8},
                {"int8x16", LRT_FORMAT_INT8X16},
                {"int4", LRT_FORMAT_INT4}};

// One matrix [size, vectors*16] and what goes around it.
struct Case {
  int64_t size, rows, vectors;
  size_t bytes;
  AlignedBuffer weights, quantized;
  Floats sums, h, out, c;
  Panels panels;

  Case(WeightFormat format, int64_t k, int64_t batch, int64_t width, int group)
      : size(k),
        rows(batch),
        vectors(width),
        bytes(panel_bytes(format, k, width)),
        weights(bytes),
        quantized(static_cast<size_t>(rows * lrt_quantized_row(format, k) + 64)),
        sums(rows * vectors * 16),
        h(rows * panels_of(size) * 16),
        out(rows * vectors * 16),
        c(rows * panels_of(size) * 16),
        panels(panels_at(weights.as<void>(), format, size, vectors, group)) {
    std::memset(weights.as<void>(), 1, bytes);
  }
  void quantize(const Kernels& kernels) const {
    if (panels.format > LRT_FORMAT_BF16) kernels.quantize(&panels, h.get(), size, rows, quantized.as<void>());
  }
  void print(const char* what, double ns) const {
    const auto macs = static_cast<double>(size * vectors * 16 * rows);
    std::printf("  %-18s %5lld x%-4lld %11.1f ns %8.1f GB/s %8.1f GMAC/s\n", what, static_cast<long long>(size),
                static_cast<long long>(rows), ns, static_cast<double>(bytes) / ns, macs / ns);
  }
};

void bench_read(WeightFormat format, int64_t size) {
  const Case t(format, size, 1, panels_of(size) * 4, 1);
  volatile int64_t sink = 0;
  t.print("bare read", nanoseconds([&] { sink = bare_read(t.weights.as<float>(), static_cast<int64_t>(t.bytes)); }));
}

void bench_gemm(const Kernels& kernels, WeightFormat format, int64_t size, int64_t rows) {
  Case t(format, size, rows, panels_of(size) * 4, kernels.max_group);
  const int64_t cols = t.vectors * 16;
  const Gemm gemm{&t.panels, t.h.get(), size, rows, t.sums.get(),          t.out.get(),
                  cols,      cols,      0,    0,    group_count(t.panels), t.quantized.as<void>()};
  t.print(rows == 1 ? "gemv" : "gemm", nanoseconds([&] {
            t.quantize(kernels);
            kernels.gemm(&gemm);
          }));
}

void bench_lstm(const Kernels& kernels, WeightFormat format, int64_t size, int64_t rows, bool alternate) {
  Case t(format, size, rows, panels_of(size) * 4, kernels.max_group / 4 * 4);
  LstmStep step{{&t.panels, t.h.get(), size, t.quantized.as<void>()},
                {nullptr, nullptr, 0},
                t.sums.get(),
                t.vectors * 16,
                t.c.get(),
                size,
                t.out.get(),
                size,
                t.c.get(),
                size,
                size,
                rows,
                0,
                0,
                group_count(t.panels)};
  const double ns = nanoseconds([&] {
    t.quantize(kernels);
    kernels.lstm_step(&step);
    std::swap(step.h_out, const_cast<float*&>(step.recurrent.x));
    if (alternate) step.backwards ^= 1;
  });
  t.print(alternate ? "lstm to and fro" : "lstm", ns);
}

void bench_gru(const Kernels& kernels, WeightFormat format, int64_t size, int64_t rows, bool alternate) {
  Case t(format, size, rows, panels_of(size) * 3, kernels.max_group / 3 * 3);
  GruStep step{{&t.panels, t.h.get(), size, t.quantized.as<void>()},
               {nullptr, nullptr, 0},
               t.sums.get(),
               t.vectors * 16,
               t.c.get(),
               t.out.get(),
               size,
               size,
               rows,
               0,
               0,
               group_count(t.panels)};
  const double ns = nanoseconds([&] {
    t.quantize(kernels);
    kernels.gru_step(&step);
    std::swap(step.h_out, const_cast<float*&>(step.recurrent.x));
    if (alternate) step.backwards ^= 1;
  });
  t.print(alternate ? "gru to and fro" : "gru", ns);
}

void bench_unary(const Kernels& kernels) {
  const Floats x(4096), y(4096);
  const struct {
    const char* name;
    UnaryKind kind;
  } functions[] = {{"relu", LRT_RELU}, {"sigmoid", LRT_SIGMOID}, {"tanh", LRT_TANH},
                   {"exp", LRT_EXP},   {"log", LRT_LOG},         {"softplus", LRT_SOFTPLUS}};
  for (const auto& f : functions) {
    const double ns = nanoseconds([&] { kernels.unary_f32(f.kind, x.get(), y.get(), 4096, 1, 0); });
    std::printf("  %-10s %22.3f ns an element\n", f.name, ns / 4096);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const FlushDenormals flushing;
  std::vector<const Kernels*> tables;
  try {
    for (int i = 1; i < argc; ++i) tables.push_back(choose_kernels(argv[i]));
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  for (const Kernels* const* table = available_kernels(); argc == 1 && *table; ++table) tables.push_back(*table);
  for (const Kernels* kernels : tables) {
    for (const auto& [name, format] : kFormats) {
      std::printf("%s %s\n", kernels->name, name);
      for (int64_t size : {8, 16, 32, 64, 128, 192, 256, 384, 512, 1024}) {
        bench_read(format, size);
        bench_gemm(*kernels, format, size, 1);
        for (const bool alternate : {false, true}) bench_lstm(*kernels, format, size, 1, alternate);
        for (const bool alternate : {false, true}) bench_gru(*kernels, format, size, 1, alternate);
        for (int64_t rows : {2, 4, 8, 64}) {
          bench_gemm(*kernels, format, size, rows);
          bench_lstm(*kernels, format, size, rows, false);
          bench_gru(*kernels, format, size, rows, false);
        }
      }
    }
    bench_unary(*kernels);
  }
}

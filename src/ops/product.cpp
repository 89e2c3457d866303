#include "ops/product.h"

#include "ops/parallel.h"

namespace lrt {

namespace {

// Handing work to another core and waiting for it costs a few tenths of a microsecond: less than this many multiply-adds
// are faster alone.
constexpr int64_t kLeastShared = 150000;

int64_t products(const Panels& w, int64_t rows) { return rows * w.k * w.vectors * LRT_LANES; }

template <class Work>
void run_groups(void (*kernel)(const Work*), Work& work, int32_t groups, Parallel* parallel) {
  if (!parallel) {
    work.first_group = 0;
    work.last_group = groups;
    return kernel(&work);
  }
  // Every thread has the same groups each time, so their weights stay in its core's cache.
  parallel->run([&](int index) {
    const Range own = part_of(groups, index, parallel->threads());
    Work part = work;
    part.first_group = own.begin;
    part.last_group = own.end;
    if (own.begin < own.end) kernel(&part);
  });
}

// Few columns and many rows: every thread takes some of the rows.
void run_rows(const Kernels& kernels, const Gemm& gemm, Parallel* parallel) {
  const int64_t quantized_row = lrt_quantized_row(gemm.w->format, gemm.w->k);
  parallel->run([&](int index) {
    const Range own = part_of(static_cast<int>(gemm.rows), index, parallel->threads());
    Gemm part = gemm;
    part.x += own.begin * gemm.x_stride;
    part.out += own.begin * gemm.out_stride;
    if (gemm.quantized) part.quantized = static_cast<const char*>(gemm.quantized) + own.begin * quantized_row;
    part.rows = own.end - own.begin;
    part.first_group = 0;
    part.last_group = group_count(*gemm.w);
    kernels.gemm(&part);
  });
}

}  // namespace

BufferId plan_quantized(OpPlan& p, WeightFormat format, int64_t rows, int64_t k) {
  check_sum_length(p, format, k);
  const int64_t row = lrt_quantized_row(format, k);
  return row == 0 ? -1 : p.scratch(static_cast<size_t>(rows * row));
}

void multiply(const Kernels& kernels, Gemm gemm, void* quantized, Parallel* parallel) {
  if (quantized) kernels.quantize(gemm.w, gemm.x, gemm.x_stride, gemm.rows, quantized);
  gemm.quantized = quantized;
  multiply_quantized(kernels, gemm, parallel);
}

void multiply_quantized(const Kernels& kernels, const Gemm& gemm, Parallel* parallel) {
  if (parallel && products(*gemm.w, gemm.rows) < kLeastShared) parallel = nullptr;
  const bool few_columns = parallel && group_count(*gemm.w) < parallel->threads();
  if (few_columns && gemm.rows < int64_t{1} << 30) return run_rows(kernels, gemm, parallel);
  Gemm all = gemm;
  run_groups(kernels.gemm, all, group_count(*gemm.w), parallel);
}

namespace {

// Returns the memory behind the rows.
void* quantize(const Kernels& kernels, StepProduct& product, int64_t rows, void* to) {
  kernels.quantize(product.w, product.x, product.x_stride, rows, to);
  product.quantized = to;
  return static_cast<char*>(to) + rows * lrt_quantized_row(product.w->format, product.w->k);
}

template <class Step>
void step_any(const Kernels& kernels, void (*kernel)(const Step*), Step& step, void* quantized, Parallel* parallel) {
  if (quantized && step.input.w) quantized = quantize(kernels, step.input, step.rows, quantized);
  if (quantized) quantize(kernels, step.recurrent, step.rows, quantized);
  if (parallel) {
    int64_t cost = products(*step.recurrent.w, step.rows);
    if (step.input.w) cost += products(*step.input.w, step.rows);
    if (cost < kLeastShared) parallel = nullptr;
  }
  run_groups(kernel, step, group_count(*step.recurrent.w), parallel);
}

}  // namespace

void step_cell(const Kernels& kernels, LstmStep& step, void* quantized, Parallel* parallel) {
  step_any(kernels, kernels.lstm_step, step, quantized, parallel);
}

void step_cell(const Kernels& kernels, GruStep& step, void* quantized, Parallel* parallel) {
  step_any(kernels, kernels.gru_step, step, quantized, parallel);
}

}  // namespace lrt

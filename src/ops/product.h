// Products with packed weights: rows quantised where the format wants it, and the work shared among threads where there
// is enough of it.
#pragma once

#include "kernels/kernels.h"
#include "ops/op.h"
#include "ops/panels.h"

namespace lrt {

// Scratch for `rows` rows of x where a format wants them quantised; -1 where it does not.
BufferId plan_quantized(OpPlan& p, WeightFormat format, int64_t rows, int64_t k);
// That scratch, or null.
inline void* quantized_at(const Frame& frame, BufferId scratch) {
  return scratch < 0 ? nullptr : frame.at<void>(scratch);
}

// out = start + x·W as Gemm has it; the groups are set here. `quantized` is scratch, or null.
void multiply(const Kernels& kernels, Gemm gemm, void* quantized, Parallel* parallel);
// The same of rows that are quantised already: gemm.quantized.
void multiply_quantized(const Kernels& kernels, const Gemm& gemm, Parallel* parallel);
// One step of a fused cell; `quantized` has room for the rows of x, where the step takes their product, and of h.
void step_cell(const Kernels& kernels, LstmStep& step, void* quantized, Parallel* parallel);
void step_cell(const Kernels& kernels, GruStep& step, void* quantized, Parallel* parallel);

}  // namespace lrt

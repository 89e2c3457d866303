// The shapes of a matrix product, as numpy.matmul defines it.
#pragma once

#include "ops/op.h"

namespace lrt {

// A side: its matrix, and the axes before that.
struct Side {
  int64_t rows, cols;
  Shape batch;
};

struct MatMulShape {
  Side left, right;
  Shape batch, out;
};

Side read_side(const OpPlan& p, int input, bool left);
// Of inputs 0 and 1, whose right side may be another than its shape says; refuses what does not multiply.
MatMulShape join_sides(const OpPlan& p, const Side& left, const Side& right);
// Says where time is in the output: it may be a batch axis, a row of the left side or a column of the right one, and may
// not be summed over.
void keep_product_time(OpPlan& p, const Shape& batch);

}  // namespace lrt

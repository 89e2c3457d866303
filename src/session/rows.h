// Rows of a batch: where they lie in an array, and how they are moved.
#pragma once

#include <string>
#include <vector>

#include "model/memory.h"
#include "plan/plan.h"

namespace lrt {

// An array with rows along one axis is `outer` blocks, in each of them one piece of `bytes` for every row.
struct RowLayout {
  int axis = -1;
  DType dtype = DType::f32;
  Shape row;  // the shape of one row alone
  size_t outer = 1, bytes = 0;
  size_t offset = 0;  // of a state, in the memory of its stream
  size_t row_bytes() const { return outer * bytes; }
};

RowLayout rows_along(int axis, DType dtype, const Shape& row);

// Along the one axis that is twice as long for two rows as for one. Throws Error(unsupported) where no axis is, or other
// axes change; what: "output 'y'".
RowLayout rows_of(const std::string& what, DType dtype, const Shape& one, const Shape& two);

// Part of an array of `total` rows.
struct RowsAt {
  char* data;
  size_t total, first;
};
void copy_rows(const RowLayout& layout, const RowsAt& to, const RowsAt& from, size_t count);
void clear_rows(const RowLayout& layout, const RowsAt& to);  // from the first to the last
bool same_rows(const RowLayout& layout, const RowsAt& a, const RowsAt& b, size_t count);

// Values between -1 and 1 for floats, flags for the rest.
void fill_with_noise(DType dtype, void* data, size_t bytes, uint32_t* seed);

std::vector<AlignedBuffer> buffers_for(const std::vector<RowLayout>& layouts, size_t rows);
std::vector<void*> pointers_to(const std::vector<AlignedBuffer>& buffers);

}  // namespace lrt

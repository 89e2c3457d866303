#include "session/rows.h"

#include <algorithm>
#include <cstring>

namespace lrt {

RowLayout rows_along(int axis, DType dtype, const Shape& row) {
  RowLayout layout;
  layout.axis = axis;
  layout.dtype = dtype;
  layout.row = row;
  layout.outer = static_cast<size_t>(row.product(0, axis));
  layout.bytes = static_cast<size_t>(row.product(axis, row.rank())) * size_of(dtype);
  return layout;
}

namespace {

int axis_of_rows(const Shape& one, const Shape& two) {
  if (one.rank() != two.rank()) return -1;
  int found = -1;
  for (int axis = 0; axis < one.rank(); ++axis) {
    if (one[axis] == two[axis]) continue;
    if (found >= 0 || two[axis] != 2 * one[axis]) return -1;
    found = axis;
  }
  return found;
}

char* piece(const RowLayout& layout, const RowsAt& at, size_t block) {
  return at.data + (block * at.total + at.first) * layout.bytes;
}

}  // namespace

RowLayout rows_of(const std::string& what, DType dtype, const Shape& one, const Shape& two) {
  const int axis = axis_of_rows(one, two);
  if (axis >= 0) return rows_along(axis, dtype, one);
  throw Error(Status::unsupported, "this model cannot be pooled: " + what + " has no batch axis: it is " + one.text() +
                                       " for one row and " + two.text() + " for two");
}

void copy_rows(const RowLayout& layout, const RowsAt& to, const RowsAt& from, size_t count) {
  if (layout.bytes == 0) return;
  for (size_t block = 0; block < layout.outer; ++block) {
    std::memcpy(piece(layout, to, block), piece(layout, from, block), count * layout.bytes);
  }
}

void clear_rows(const RowLayout& layout, const RowsAt& to) {
  if (layout.bytes == 0 || to.first == to.total) return;
  for (size_t block = 0; block < layout.outer; ++block) {
    std::memset(piece(layout, to, block), 0, (to.total - to.first) * layout.bytes);
  }
}

bool same_rows(const RowLayout& layout, const RowsAt& a, const RowsAt& b, size_t count) {
  if (layout.bytes == 0) return true;
  for (size_t block = 0; block < layout.outer; ++block) {
    if (std::memcmp(piece(layout, a, block), piece(layout, b, block), count * layout.bytes) != 0) return false;
  }
  return true;
}

void fill_with_noise(DType dtype, void* data, size_t bytes, uint32_t* seed) {
  const auto next = [seed] { return *seed = *seed * 1664525u + 1013904223u; };
  const auto fill = [&](auto* values, auto make) { std::generate_n(values, bytes / sizeof *values, make); };
  const auto flag = [&] { return static_cast<uint8_t>(next() >> 31); };
  switch (dtype) {
    case DType::f32:
      return fill(static_cast<float*>(data),
                  [&] { return static_cast<float>(static_cast<int32_t>(next())) / 2147483648.0f; });
    case DType::i64:
      return fill(static_cast<int64_t*>(data), flag);
    case DType::i32:
      return fill(static_cast<int32_t*>(data), flag);
    default:
      return fill(static_cast<uint8_t*>(data), flag);
  }
}

std::vector<AlignedBuffer> buffers_for(const std::vector<RowLayout>& layouts, size_t rows) {
  std::vector<AlignedBuffer> buffers;
  for (const RowLayout& layout : layouts) buffers.emplace_back(std::max<size_t>(1, rows * layout.row_bytes()));
  return buffers;
}

std::vector<void*> pointers_to(const std::vector<AlignedBuffer>& buffers) {
  std::vector<void*> pointers;
  for (const AlignedBuffer& buffer : buffers) pointers.push_back(buffer.as<void>());
  return pointers;
}

}  // namespace lrt

#include "ops/strided.h"

namespace lrt {

Strides row_major(const Shape& shape) {
  Strides strides{};
  uint64_t stride = 1;  // unsigned: a dim of 0 can hide others whose product leaves 64 bits
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<size_t>(axis)] = static_cast<int64_t>(stride);
    stride *= static_cast<uint64_t>(shape[axis]);
  }
  return strides;
}

Strides broadcast_strides(const Shape& from, const Shape& to) {
  const Strides own = row_major(from);
  const int shift = to.rank() - from.rank();
  Strides strides{};
  for (int axis = 0; axis < from.rank(); ++axis) {
    strides[static_cast<size_t>(axis + shift)] = from[axis] == 1 ? 0 : own[static_cast<size_t>(axis)];
  }
  return strides;
}

StridedCopy::StridedCopy(size_t element_bytes, const Shape& shape, const Strides& strides, int64_t offset)
    : walk_(shape, {strides}), offset_(offset), bytes_(element_bytes) {}

void StridedCopy::operator()(const void* in, void* out) const {
  with_element_bytes(bytes_, [&](auto bytes) { run<bytes()>(static_cast<const char*>(in), static_cast<char*>(out)); });
}

template <size_t Bytes>
void StridedCopy::run(const char* in, char* out) const {
  constexpr int64_t kBytes = Bytes;
  const int inner = walk_.rank() - 1;
  const int64_t step = walk_.step(0) * kBytes;
  in += offset_ * kBytes;
  // Rows that run across the input's: the last two axes are a matrix to be transposed.
  if (inner > 0 && walk_.stride(0, inner - 1) == 1 && walk_.step(0) > 1) {
    walk_.blocks<2>([&](int64_t to, const auto& from, int64_t) {
      transpose_matrix<Bytes>(in + from[0] * kBytes, walk_.step(0), out + to * kBytes, walk_.dim(inner),
                              walk_.dim(inner), walk_.dim(inner - 1));
    });
    return;
  }
  walk_.rows([&](int64_t to, const auto& from, int64_t n) {
    char* row = out + to * kBytes;
    const char* source = in + from[0] * kBytes;
    if (step == kBytes) {
      std::memcpy(row, source, static_cast<size_t>(n) * Bytes);
      return;
    }
    for (int64_t i = 0; i < n; ++i) copy_element<Bytes>(row + i * kBytes, source + i * step);
  });
}

void transpose_floats(const float* in, int64_t in_stride, float* out, int64_t out_stride, int64_t rows, int64_t cols) {
  transpose_matrix<sizeof(float)>(reinterpret_cast<const char*>(in), in_stride, reinterpret_cast<char*>(out),
                                  out_stride, rows, cols);
}

void fill_elements(void* to, const void* element, size_t element_bytes, int64_t count) {
  with_element_bytes(element_bytes, [&](auto bytes) {
    char* at = static_cast<char*>(to);
    for (int64_t i = 0; i < count; ++i, at += bytes()) copy_element<bytes()>(at, static_cast<const char*>(element));
  });
}

}  // namespace lrt

// Walks and copies over row-major tensors by strides: what broadcasting, slicing, transposing and expanding have in
// common. Everything is worked out while planning; running allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "model/tensor.h"

namespace lrt {

// Of each axis, in elements. 0 where one element is used all along the axis; may be negative.
using Strides = std::array<int64_t, kMaxRank>;

Strides row_major(const Shape& shape);
// Of a tensor that numpy's rules broadcast to `to`.
Strides broadcast_strides(const Shape& from, const Shape& to);

// A row-major output and N inputs that lie over it by strides. Axes that can be walked as one are made one, so that two
// tensors of the same shape are a single row.
template <int N>
class Walk {
 public:
  Walk() = default;
  Walk(const Shape& shape, const std::array<Strides, N>& strides) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == 0) empty_ = true;
      if (shape[axis] != 1) add(shape[axis], axis, strides);
    }
    if (rank_ == 0) rank_ = 1;
  }

  int rank() const { return rank_; }
  int64_t dim(int axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t stride(int input, int axis) const { return strides_[static_cast<size_t>(input)][static_cast<size_t>(axis)]; }
  // Between the elements of a row.
  int64_t step(int input) const { return stride(input, rank_ - 1); }

  // row(output offset, input offsets, elements) for every innermost row.
  template <class F>
  void rows(const F& row) const {
    blocks<1>(row);
  }

  // The same for blocks of the `Inner` innermost axes.
  template <int Inner, class F>
  void blocks(const F& block) const {
    if (empty_) return;
    int64_t size = 1;
    for (int axis = rank_ - Inner; axis < rank_; ++axis) size *= dim(axis);
    std::array<int64_t, kMaxRank> at{};
    std::array<int64_t, N> in{};
    for (int64_t out = 0;; out += size) {
      block(out, in, size);
      if (!advance(rank_ - Inner, at, in)) return;
    }
  }

 private:
  void add(int64_t dim, int axis, const std::array<Strides, N>& strides) {
    bool joins = rank_ > 0;
    for (size_t i = 0; i < N && joins; ++i) {
      joins = strides_[i][last()] == strides[i][static_cast<size_t>(axis)] * dim;
    }
    if (!joins) dims_[static_cast<size_t>(rank_++)] = 1;
    dims_[last()] *= dim;
    for (size_t i = 0; i < N; ++i) strides_[i][last()] = strides[i][static_cast<size_t>(axis)];
  }

  size_t last() const { return static_cast<size_t>(rank_ - 1); }

  // To the next position over the first `axes` axes; false behind the last.
  bool advance(int axes, std::array<int64_t, kMaxRank>& at, std::array<int64_t, N>& in) const {
    for (size_t axis = static_cast<size_t>(axes); axis-- > 0;) {
      for (size_t i = 0; i < N; ++i) in[i] += strides_[i][axis];
      if (++at[axis] < dims_[axis]) return true;
      for (size_t i = 0; i < N; ++i) in[i] -= strides_[i][axis] * dims_[axis];
      at[axis] = 0;
    }
    return false;
  }

  int rank_ = 0;
  bool empty_ = false;
  std::array<int64_t, kMaxRank> dims_{1, 1, 1, 1, 1, 1, 1, 1};
  std::array<Strides, N> strides_{};
};

// Copies elements of any dtype to a row-major output: out[i] = in[offset + i·strides].
class StridedCopy {
 public:
  StridedCopy(size_t element_bytes, const Shape& shape, const Strides& strides, int64_t offset = 0);
  void operator()(const void* in, void* out) const;

 private:
  template <size_t Bytes>
  void run(const char* in, char* out) const;

  Walk<1> walk_;
  int64_t offset_;
  size_t bytes_;
};

// One element of `Bytes` bytes; memcpy of a fixed size is one move, and legal whatever the type.
template <size_t Bytes>
void copy_element(char* to, const char* from) {
  std::memcpy(to, from, Bytes);
}

// out[c][r] = in[r][c]; strides between rows, in elements. Walks small squares, so that both sides stay within a few
// cache lines.
template <size_t Bytes>
void transpose_matrix(const char* in, int64_t in_stride, char* out, int64_t out_stride, int64_t rows, int64_t cols) {
  constexpr int64_t kSquare = 16;
  constexpr int64_t kBytes = Bytes;
  for (int64_t c0 = 0; c0 < cols; c0 += kSquare) {
    const int64_t c1 = c0 + kSquare < cols ? c0 + kSquare : cols;
    for (int64_t r0 = 0; r0 < rows; r0 += kSquare) {
      const int64_t r1 = r0 + kSquare < rows ? r0 + kSquare : rows;
      for (int64_t c = c0; c < c1; ++c) {
        char* to = out + c * out_stride * kBytes;
        const char* from = in + c * kBytes;
        for (int64_t r = r0; r < r1; ++r) copy_element<Bytes>(to + r * kBytes, from + r * in_stride * kBytes);
      }
    }
  }
}

void transpose_floats(const float* in, int64_t in_stride, float* out, int64_t out_stride, int64_t rows, int64_t cols);

// `count` times the element.
void fill_elements(void* to, const void* element, size_t element_bytes, int64_t count);

// Calls f with the size as a constant: with_element_bytes(size, [&](auto bytes) { work<bytes()>(); }).
template <size_t Bytes>
struct ElementBytes {
  constexpr size_t operator()() const { return Bytes; }
};

template <class F>
void with_element_bytes(size_t bytes, const F& f) {
  if (bytes == 1) f(ElementBytes<1>{});
  if (bytes == 4) f(ElementBytes<4>{});
  if (bytes == 8) f(ElementBytes<8>{});
}

}  // namespace lrt

// Element types and shapes: the words every other part uses for data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace lrt {

// The codes are those of the file format and, for dtypes that values may have, of the C API. Only weights are bf16 or q4.
enum class DType : int32_t { f32 = 0, i64 = 1, i32 = 2, boolean = 3, u8 = 4, i8 = 5, bf16 = 6, q4 = 7 };

inline constexpr int kDTypes = 6;        // of values
inline constexpr int kWeightDTypes = 8;  // of weights
// q4 (int4) is blocks along the last axis: a float16 scale d, then 16 bytes with elements 0..15 in their low halves and
// 16..31 in their high ones; an element is d * (half - 8). The last dim is a multiple of the block.
inline constexpr int64_t kQ4Block = 32;
inline constexpr int64_t kQ4BlockBytes = 18;
inline constexpr int kMaxRank = 8;
// No tensor may hold more elements than this, so that products of dims and byte counts never overflow.
inline constexpr int kMaxElementsLog2 = sizeof(size_t) > 4 ? 40 : 28;
inline constexpr int64_t kMaxElements = int64_t{1} << kMaxElementsLog2;

size_t size_of(DType dtype);  // of one element; int4 has none
const char* name_of(DType dtype);

// Row-major dims, at most kMaxRank of them. Rank 0 is a scalar.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(const std::vector<int64_t>& dims);
  static Shape filled(int rank, int64_t value);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return dims_[static_cast<size_t>(axis)]; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  void push_back(int64_t dim);
  void insert(int axis, int64_t dim);
  void erase(int axis);

  int64_t elements() const { return product(0, rank_); }
  // Whether a tensor may have this shape: no dim is negative, and with every 0 taken as 1 there are at most kMaxElements, so
  // that no product of some of the dims overflows.
  bool fits() const;
  int64_t product(int first, int last) const;  // of dims [first, last)
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }
  std::string text() const;  // "[1, 576]"

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

uint64_t bytes_of(DType dtype, const Shape& shape);
// Whether only weights may be of a dtype.
inline bool is_packed(DType dtype) { return static_cast<int>(dtype) >= kDTypes; }

}  // namespace lrt

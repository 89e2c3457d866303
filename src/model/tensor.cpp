// Element types and shapes. Dims may come from a file or from data, so sizes are multiplied with care, here only.
#include "model/tensor.h"

#include <algorithm>

#include "model/error.h"

namespace lrt {

size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::boolean:
    case DType::u8:
    case DType::i8:
      return 1;
    case DType::q4:
      throw Error(Status::internal, "an element of int4 was asked for; only blocks of them have a size");
  }
  throw Error(Status::internal, "there is no dtype " + std::to_string(static_cast<int32_t>(dtype)));
}

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "float32";
    case DType::i64:
      return "int64";
    case DType::i32:
      return "int32";
    case DType::boolean:
      return "bool";
    case DType::u8:
      return "uint8";
    case DType::i8:
      return "int8";
    case DType::bf16:
      return "bfloat16";
    case DType::q4:
      return "int4";
  }
  throw Error(Status::internal, "there is no dtype " + std::to_string(static_cast<int32_t>(dtype)));
}

Shape::Shape(std::initializer_list<int64_t> dims) {
  for (const int64_t dim : dims) push_back(dim);
}

Shape::Shape(const std::vector<int64_t>& dims) {
  for (const int64_t dim : dims) push_back(dim);
}

Shape Shape::filled(int rank, int64_t value) {
  Shape shape;
  for (int axis = 0; axis < rank; ++axis) shape.push_back(value);
  return shape;
}

void Shape::push_back(int64_t dim) { insert(rank_, dim); }

void Shape::insert(int axis, int64_t dim) {
  if (rank_ == kMaxRank) {
    throw Error(Status::unsupported, "a tensor of more than " + std::to_string(kMaxRank) + " dims, from " + text());
  }
  if (axis < 0 || axis > rank_) throw Error(Status::internal, "no axis " + std::to_string(axis) + " in " + text());
  std::copy_backward(dims_.begin() + axis, dims_.begin() + rank_, dims_.begin() + rank_ + 1);
  dims_[static_cast<size_t>(axis)] = dim;
  ++rank_;
}

void Shape::erase(int axis) {
  if (axis < 0 || axis >= rank_) throw Error(Status::internal, "no axis " + std::to_string(axis) + " in " + text());
  std::copy(dims_.begin() + axis + 1, dims_.begin() + rank_, dims_.begin() + axis);
  --rank_;
}

bool Shape::fits() const {
  int64_t product = 1;
  for (const int64_t dim : *this) {
    if (dim < 0 || (dim > 0 && product > kMaxElements / dim)) return false;
    if (dim > 0) product *= dim;
  }
  return true;
}

int64_t Shape::product(int first, int last) const {
  int64_t result = 1;
  for (int axis = first; axis < last; ++axis) {
    const int64_t dim = (*this)[axis];
    if (dim < 0) throw Error(Status::internal, "a size was asked of " + text() + ", which has a negative dim");
    if (dim > 0 && result > kMaxElements / dim) {
      throw Error(Status::shape,
                  text() + " has more elements than a tensor may hold (2^" + std::to_string(kMaxElementsLog2) + ")");
    }
    result *= dim;
  }
  return result;
}

bool Shape::operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

uint64_t bytes_of(DType dtype, const Shape& shape) {
  const auto elements = static_cast<uint64_t>(shape.elements());
  if (dtype == DType::q4) return elements / uint64_t{kQ4Block} * uint64_t{kQ4BlockBytes};
  return elements * size_of(dtype);
}

std::string Shape::text() const {
  std::string result = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    result += (axis == 0 ? "" : ", ") + std::to_string((*this)[axis]);
  }
  return result + "]";
}

}  // namespace lrt

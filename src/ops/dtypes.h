// From a DType to a C++ type, and conversions between them that are the same on every CPU.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "model/error.h"
#include "model/tensor.h"

namespace lrt {

// A bool as it lies in a tensor: any byte but 0 is true. Not C++'s bool, which may hold nothing but 0 and 1.
enum class Bool : uint8_t { no = 0, yes = 1 };

inline Bool to_bool(bool value) { return value ? Bool::yes : Bool::no; }

template <class T>
struct Type {
  using type = T;
};

// f(Type<T>{}) with the T of the dtype.
template <class F>
auto visit_dtype(DType dtype, const F& f) {
  switch (dtype) {
    case DType::i64:
      return f(Type<int64_t>{});
    case DType::i32:
      return f(Type<int32_t>{});
    case DType::boolean:
      return f(Type<Bool>{});
    case DType::u8:
      return f(Type<uint8_t>{});
    case DType::i8:
      return f(Type<int8_t>{});
    case DType::f32:
      break;
    case DType::bf16:
    case DType::q4:
      throw Error(Status::internal, std::string(name_of(dtype)) + " is for weights of layers only");
  }
  return f(Type<float>{});
}

// Truncates towards zero; what is out of range becomes the nearest there is, NaN becomes 0.
template <class To>
To saturate(double value) {
  using Limits = std::numeric_limits<To>;
  constexpr double kLow = static_cast<double>(Limits::min());
  // max() of int64 is no double, the power of two above it is.
  constexpr double kHigh = 2.0 * static_cast<double>(To{1} << (Limits::digits - 1));
  if (value != value) return 0;
  if (value <= kLow) return Limits::min();
  if (value >= kHigh) return Limits::max();
  return static_cast<To>(value);
}

// Integers wrap, as numpy's do.
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, Bool>) {
    return static_cast<To>(value == Bool::no ? 0 : 1);
  } else if constexpr (std::is_same_v<To, Bool>) {
    return to_bool(value != From{0});
  } else if constexpr (std::is_same_v<From, float> && std::is_integral_v<To>) {
    return saturate<To>(static_cast<double>(value));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace lrt

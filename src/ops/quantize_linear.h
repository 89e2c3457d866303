// How onnxruntime and ONNX's DynamicQuantizeLinear bring floats to uint8: by the range of all of them, with 0 in it.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace lrt {

// A float is (byte - zero) * scale.
struct ByteScale {
  float scale;
  int32_t zero;
};

// Of n floats. NaN where one is not finite, so that what is made of the bytes is NaN in its turn.
ByteScale byte_scale(const Kernels& kernels, const float* x, int64_t n);

}  // namespace lrt

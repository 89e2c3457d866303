// Spatial axes of convolutions and pools: sizes, strides and pads as ONNX gives them, checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/op.h"

namespace lrt {

// Of kernels, strides, dilations and pads: their products fit.
inline constexpr int64_t kSpatialLimit = int64_t{1} << 31;

// One axis. The pad is at its beginning; that at the end is in the output's size.
struct SpatialAxis {
  int64_t in = 1, out = 1;
  int64_t kernel = 1, stride = 1, dilation = 1, pad = 0;

  // Elements from the first to the last that a kernel covers.
  int64_t reach() const { return (kernel - 1) * dilation + 1; }
  // Positions of the bordered input that are met.
  int64_t span() const { return (out - 1) * stride + reach(); }
  // No border is met.
  bool is_inside() const { return pad <= 0 && span() - pad <= in; }
};

// Outputs [begin, end) at which one place of the kernel meets the input; `offset` is what output `begin` meets.
struct Reach {
  int64_t begin, end, offset;
  int64_t count() const { return end - begin; }
};
// Of each place of the kernel.
std::vector<Reach> plan_reach(const SpatialAxis& axis);

// An attribute with one value for each spatial axis, or two for pads.
std::vector<int64_t> read_spatial(const OpPlan& p, const char* name, size_t count, int64_t least, int64_t otherwise);
// Checked; pads and another auto_pad than NOTSET exclude each other.
std::string read_auto_pad(const OpPlan& p);
// The output's size, and the pad at the beginning where auto_pad leaves it open (ONNX Conv-22, MaxPool-22).
void fit_output(const OpPlan& p, SpatialAxis& axis, int64_t pad_end, const std::string& auto_pad, bool ceil = false);

}  // namespace lrt

// Resize, one axis at a time: which elements of the input each output is made of, and with what weights.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/op.h"

namespace lrt {

enum class ResizeMode { nearest, linear, cubic };
enum class Coordinates {
  half_pixel,
  half_pixel_symmetric,
  pytorch_half_pixel,
  align_corners,
  asymmetric,
  tf_half_pixel_for_nn,
  tf_crop_and_resize
};
// `simple` is Resize-10: down, and up along an axis that gets shorter.
enum class Rounding { round_prefer_floor, round_prefer_ceil, floor, ceil, simple };

struct ResizeOptions {
  ResizeMode mode;
  Coordinates coordinates;
  Rounding rounding;
  double cubic_coeff;
  bool exclude_outside, antialias;
};

struct ResizeAxis {
  int64_t in, out;
  double scale;
  double roi_start = 0, roi_end = 1;
};

// Of each output `width` elements of the input, with their weights. `outside`: outputs that lie beyond the input, which
// tf_crop_and_resize fills with a value of its own.
struct ResizeTaps {
  int64_t width = 1;
  std::vector<int64_t> places;
  std::vector<float> weights;
  std::vector<int64_t> outside;
};

ResizeTaps plan_taps(const ResizeAxis& axis, const ResizeOptions& options);

}  // namespace lrt

// ONNX Resize-19. Coordinates and weights are worked out in double precision by operations that IEEE 754 fixes.
#include <algorithm>
#include <cmath>

#include "model/memory.h"
#include "ops/resize.h"

namespace lrt {
namespace {

// Where an output stands in the input.
double source_of(int64_t place, const ResizeAxis& axis, Coordinates coordinates) {
  const auto x = static_cast<double>(place), in = static_cast<double>(axis.in);
  const double out = axis.scale * in;  // not rounded to elements, as the operator's definition has it
  switch (coordinates) {
    case Coordinates::half_pixel:
      break;
    case Coordinates::half_pixel_symmetric:
      return (in - static_cast<double>(axis.out) / axis.scale) / 2 + (x + 0.5) / axis.scale - 0.5;
    case Coordinates::pytorch_half_pixel:
      if (axis.out == 1) return 0;
      break;
    case Coordinates::align_corners:
      return axis.out == 1 || out == 1 ? 0 : x * (in - 1) / (out - 1);
    case Coordinates::asymmetric:
      return x / axis.scale;
    case Coordinates::tf_half_pixel_for_nn:
      return (x + 0.5) / axis.scale;
    case Coordinates::tf_crop_and_resize: {
      const double first = axis.roi_start * (in - 1), last = axis.roi_end * (in - 1);
      return axis.out == 1 ? 0.5 * (first + last) : first + x * (last - first) / static_cast<double>(axis.out - 1);
    }
  }
  return (x + 0.5) / axis.scale - 0.5;
}

double rounded(double x, Rounding rounding, bool shorter) {
  switch (rounding) {
    case Rounding::round_prefer_floor:
      return std::ceil(x - 0.5);
    case Rounding::round_prefer_ceil:
      return std::floor(x + 0.5);
    case Rounding::floor:
      return std::floor(x);
    case Rounding::ceil:
      return std::ceil(x);
    case Rounding::simple:
      break;
  }
  return shorter ? std::ceil(x) : std::floor(x);
}

double linear(double x) { return std::max(1 - std::fabs(x), 0.0); }

double cubic(double x, double a) {
  const double d = std::fabs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((d - 5) * d + 8) * d * a - 4 * a : 0;
}

// Coordinates may be anything, no number even, where a scale or a roi is.
int64_t to_place(double x, int64_t in) {
  return x > 0 ? static_cast<int64_t>(std::min(x, static_cast<double>(in - 1))) : 0;
}

// The taps of one output, whose weights sum to one.
void add_taps(double x, const ResizeAxis& axis, const ResizeOptions& options, double squeeze, int64_t reach,
              ResizeTaps& taps) {
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = 1 - reach; i <= reach; ++i) {
    const double place = std::floor(x) + static_cast<double>(i), distance = (place - x) * squeeze;
    double weight = options.mode == ResizeMode::cubic ? cubic(distance, options.cubic_coeff) : linear(distance);
    if (options.exclude_outside && (place < 0 || place > static_cast<double>(axis.in - 1))) weight = 0;
    weights.push_back(weight);
    sum += weight;
    taps.places.push_back(to_place(place, axis.in));
  }
  const bool whole = !options.exclude_outside && squeeze == 1;
  for (const double weight : weights)
    taps.weights.push_back(static_cast<float>(whole || sum == 0 ? weight : weight / sum));
}

}  // namespace

ResizeTaps plan_taps(const ResizeAxis& axis, const ResizeOptions& options) {
  ResizeTaps taps;
  // Where the input is larger, antialias widens what an output is made of.
  const double squeeze = options.antialias && axis.scale < 1 ? axis.scale : 1;
  const int64_t support = options.mode == ResizeMode::cubic ? 2 : 1;
  const double far = std::ceil(static_cast<double>(support) / squeeze), outputs = static_cast<double>(axis.out);
  const bool nearest = options.mode == ResizeMode::nearest;
  reserve_counted(taps.places, nearest ? outputs : outputs * 2 * far);
  reserve_counted(taps.weights, nearest ? 0 : outputs * 2 * far);
  const auto reach = static_cast<int64_t>(far);
  taps.width = nearest ? 1 : 2 * reach;
  if (options.coordinates == Coordinates::tf_crop_and_resize) reserve_counted(taps.outside, outputs);
  for (int64_t i = 0; i < axis.out; ++i) {
    const double x = source_of(i, axis, options.coordinates);
    const bool outside = x < 0 || x > static_cast<double>(axis.in - 1);
    if (outside && options.coordinates == Coordinates::tf_crop_and_resize) taps.outside.push_back(i);
    if (nearest) {
      taps.places.push_back(to_place(rounded(x, options.rounding, axis.scale < 1), axis.in));
    } else {
      add_taps(x, axis, options, squeeze, reach, taps);
    }
  }
  return taps;
}

}  // namespace lrt

// Resize: nearest, linear and cubic, one axis after the other from the last. Each pass adds its taps in order; products and
// sums are rounded apart.
#include "ops/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/indices.h"
#include "ops/strided.h"

namespace lrt {
namespace {

constexpr int64_t kMostPositions = int64_t{1} << 24;  // of an axis: they are planned one by one

struct Pass {
  AroundAxis from;
  int64_t out;
  ResizeTaps taps;
  BufferId in, to;
};

// Outputs beyond the input.
struct Beyond {
  AroundAxis around;
  std::vector<int64_t> places;
};

struct ResizeCall {
  std::vector<Pass> passes;
  std::vector<Beyond> beyond;
  float extrapolation;
  size_t element;
  bool nearest;
  BufferId out;

  void operator()(const Frame& frame) const {
    for (const Pass& pass : passes) {
      if (nearest) {
        pick(pass, frame.at<char>(pass.in), frame.at<char>(pass.to));
      } else {
        mix(pass, frame.at<float>(pass.in), frame.at<float>(pass.to));
      }
    }
    for (const Beyond& each : beyond) {
      float* to = frame.at<float>(out);
      for (int64_t o = 0; o < each.around.outer; ++o, to += each.around.dim * each.around.inner) {
        for (const int64_t place : each.places)
          std::fill_n(to + place * each.around.inner, each.around.inner, extrapolation);
      }
    }
  }

  void pick(const Pass& pass, const char* from, char* to) const {
    const size_t row = static_cast<size_t>(pass.from.inner) * element, plane = static_cast<size_t>(pass.from.dim) * row;
    for (int64_t o = 0; o < pass.from.outer; ++o, from += plane) {
      for (const int64_t place : pass.taps.places) {
        std::memcpy(to, from + static_cast<size_t>(place) * row, row);
        to += row;
      }
    }
  }

  static void mix(const Pass& pass, const float* from, float* to) {
    const int64_t inner = pass.from.inner, width = pass.taps.width;
    for (int64_t o = 0; o < pass.from.outer; ++o, from += pass.from.dim * inner) {
      const int64_t* place = pass.taps.places.data();
      const float* weight = pass.taps.weights.data();
      for (int64_t j = 0; j < pass.out; ++j, to += inner) {
        std::fill_n(to, inner, 0.0f);
        for (int64_t tap = 0; tap < width; ++tap, ++place, ++weight) {
          const float* row = from + *place * inner;
          for (int64_t i = 0; i < inner; ++i) to[i] += *weight * row[i];
        }
      }
    }
  }
};

template <class E>
struct Named {
  const char* name;
  E value;
};

template <class E, size_t N>
E read_enum(OpPlan& p, const char* attribute, const char* otherwise, const Named<E> (&values)[N]) {
  const std::string seen = p.op().text(attribute, otherwise);
  std::string names;
  for (const Named<E>& each : values) {
    if (seen == each.name) return each.value;
    names += (names.empty() ? "" : ", ") + std::string(each.name);
  }
  p.refuse(Status::unsupported, std::string(attribute) + " is '" + seen + "'; supported: " + names);
}

ResizeOptions read_options(OpPlan& p) {
  static constexpr Named<ResizeMode> kModes[] = {
      {"nearest", ResizeMode::nearest}, {"linear", ResizeMode::linear}, {"cubic", ResizeMode::cubic}};
  static constexpr Named<Coordinates> kCoordinates[] = {{"half_pixel", Coordinates::half_pixel},
                                                        {"half_pixel_symmetric", Coordinates::half_pixel_symmetric},
                                                        {"pytorch_half_pixel", Coordinates::pytorch_half_pixel},
                                                        {"align_corners", Coordinates::align_corners},
                                                        {"asymmetric", Coordinates::asymmetric},
                                                        {"tf_half_pixel_for_nn", Coordinates::tf_half_pixel_for_nn},
                                                        {"tf_crop_and_resize", Coordinates::tf_crop_and_resize}};
  static constexpr Named<Rounding> kRoundings[] = {{"round_prefer_floor", Rounding::round_prefer_floor},
                                                   {"round_prefer_ceil", Rounding::round_prefer_ceil},
                                                   {"floor", Rounding::floor},
                                                   {"ceil", Rounding::ceil},
                                                   {"simple", Rounding::simple}};
  return {read_enum(p, "mode", "nearest", kModes),
          read_enum(p, "coordinate_transformation_mode", "half_pixel", kCoordinates),
          read_enum(p, "nearest_mode", "round_prefer_floor", kRoundings),
          static_cast<double>(p.op().number("cubic_coeff_a", -0.75f)),
          p.op().integer("exclude_outside", 0) != 0,
          p.op().integer("antialias", 0) != 0};
}

// Numbers of an input for each of the axes; none where it is left out or empty.
std::vector<double> read_numbers(OpPlan& p, int input, size_t wanted) {
  std::vector<double> numbers;
  if (p.has(input)) numbers = known_numbers(p, input);
  if (!numbers.empty() && numbers.size() != wanted) {
    p.refuse(Status::shape, input_text(p, input) + " has " + std::to_string(numbers.size()) + " values; wanted " +
                                std::to_string(wanted));
  }
  return numbers;
}

// Sizes that keep the ratio between the axes that are resized: all scales become the smallest, or the largest.
void keep_ratio(OpPlan& p, const std::vector<int64_t>& axes, std::vector<double>& sizes, std::vector<double>& scales) {
  const std::string policy = p.op().text("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller") {
    p.refuse(Status::unsupported,
             "keep_aspect_ratio_policy is '" + policy + "'; supported: stretch, not_larger, not_smaller");
  }
  if (policy == "stretch" || scales.empty()) return;
  const double scale = policy == "not_larger" ? *std::min_element(scales.begin(), scales.end())
                                              : *std::max_element(scales.begin(), scales.end());
  for (size_t i = 0; i < axes.size(); ++i) {
    scales[i] = scale;
    sizes[i] = std::floor(scale * static_cast<double>(p.in(0).shape[static_cast<int>(axes[i])]) + 0.5);
  }
}

// The axes of the input, those that are not named left as they are.
std::vector<ResizeAxis> read_axes(OpPlan& p, const ResizeOptions& options) {
  const Shape& shape = p.in(0).shape;
  std::vector<ResizeAxis> result;
  for (const int64_t dim : shape) result.push_back({dim, dim, 1});
  std::vector<int64_t> axes = p.op().integers("axes");
  for (int axis = 0; axis < shape.rank() && !p.op().find("axes"); ++axis) axes.push_back(axis);
  want_axes(p, axes, shape.rank());
  for (int64_t& axis : axes) axis = want_axis(p, axis, shape.rank());
  const std::vector<double> roi = read_numbers(p, 1, 2 * axes.size());
  std::vector<double> scales = read_numbers(p, 2, axes.size()), sizes = read_numbers(p, 3, axes.size());
  if (scales.empty() == sizes.empty() && !axes.empty()) {
    p.refuse(Status::shape, "wanted either scales or sizes");
  }
  const bool crops = options.coordinates == Coordinates::tf_crop_and_resize;
  if (crops && options.antialias) p.refuse(Status::unsupported, "antialias does not go with tf_crop_and_resize");
  if (crops && roi.empty()) p.refuse(Status::shape, "tf_crop_and_resize needs a roi");
  const bool sized = !sizes.empty();
  for (size_t i = 0; i < sizes.size(); ++i) {
    scales.push_back(sizes[i] / static_cast<double>(std::max<int64_t>(shape[static_cast<int>(axes[i])], 1)));
  }
  if (sized) keep_ratio(p, axes, sizes, scales);
  for (size_t i = 0; i < axes.size(); ++i) {
    ResizeAxis& axis = result[static_cast<size_t>(axes[i])];
    axis.scale = scales[i];
    if (crops) axis.roi_start = roi[i], axis.roi_end = roi[axes.size() + i];
    const double part = crops ? axis.roi_end - axis.roi_start : 1;
    const double out = sized ? sizes[i] : std::floor(static_cast<double>(axis.in) * part * axis.scale);
    if (!(axis.scale > 0 || sized) || !(out >= 0) || out > static_cast<double>(kMostPositions)) {
      p.refuse(Status::shape, "axis " + std::to_string(axes[i]) + " of " + std::to_string(axis.in) +
                                  " elements cannot be resized by " + std::to_string(axis.scale));
    }
    axis.out = static_cast<int64_t>(out);
    if (axis.in == 0 && axis.out > 0) p.refuse(Status::shape, "there is nothing to resize in " + shape.text());
  }
  return result;
}

// Nothing is done along an axis that keeps its size, but where the roi may move.
bool is_kept(const ResizeAxis& axis, const ResizeOptions& options) {
  const bool whole =
      options.coordinates != Coordinates::tf_crop_and_resize || (axis.roi_start == 0 && axis.roi_end == 1);
  return axis.out == axis.in && axis.scale == 1 && whole;
}

}  // namespace

void plan_resize(OpPlan& p) {
  const ResizeOptions options = read_options(p);
  const bool nearest = options.mode == ResizeMode::nearest;
  const Operand& in = p.in(0);
  const std::vector<ResizeAxis> axes = read_axes(p, options);
  if (!nearest || options.coordinates == Coordinates::tf_crop_and_resize) want_dtype(p, 0, {DType::f32});
  Shape shape = in.shape;
  int left = 0;  // passes to come
  for (int axis = 0; axis < shape.rank(); ++axis) {
    shape[axis] = axes[static_cast<size_t>(axis)].out;
    left += is_kept(axes[static_cast<size_t>(axis)], options) ? 0 : 1;
  }
  const int time = in.time_axis;
  const bool keeps_time = time >= 0 && is_kept(axes[static_cast<size_t>(time)], options);
  if (left == 0) {
    p.alias(0, 0, shape);
    return keep_time(p, 0, time);
  }
  const BufferId out = p.out(0, in.dtype, shape);
  if (keeps_time) p.time_axis(0, time);
  if (shape.elements() == 0) return;
  ResizeCall call{{}, {}, p.op().number("extrapolation_value", 0.0f), size_of(in.dtype), nearest, out};
  Shape current = in.shape;
  BufferId from = in.buffer;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const ResizeAxis& each = axes[static_cast<size_t>(axis)];
    if (is_kept(each, options)) continue;
    Pass pass{AroundAxis(current, axis), each.out, plan_taps(each, options), from, out};
    current[axis] = each.out;
    if (--left > 0) pass.to = p.scratch(static_cast<size_t>(current.elements()) * size_of(in.dtype));
    from = pass.to;
    if (!pass.taps.outside.empty()) call.beyond.push_back({AroundAxis(shape, axis), pass.taps.outside});
    call.passes.push_back(std::move(pass));
  }
  p.run(call);
}

}  // namespace lrt

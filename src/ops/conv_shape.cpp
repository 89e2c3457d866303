#include <algorithm>

#include "ops/checks.h"
#include "ops/conv.h"
#include "ops/weights.h"

namespace lrt {
namespace {

// [filters, channels of a group, kernel...]. int4 weights are [filters, values in whole blocks]: kernel_shape tells the rest.
Shape read_filters(OpPlan& p, int64_t groups) {
  const Shape &x = p.in(0).shape, &w = p.in(1).shape;
  const std::vector<int64_t> kernel = p.op().integers("kernel_shape");
  if (p.in(1).dtype != DType::q4) {
    if (!kernel.empty() && w.rank() > 2 && !std::equal(kernel.begin(), kernel.end(), w.begin() + 2, w.end())) {
      p.refuse(Status::shape, "kernel_shape " + Shape(kernel).text() + " is not that of weights " + w.text());
    }
    return w;
  }
  Shape filters{w.rank() == 2 ? w[0] : 0, x[1] / groups};
  if (kernel.size() + 2 > kMaxRank) p.refuse(Status::unsupported, "kernel_shape has too many values");
  int64_t values = filters[1];
  for (const int64_t size : kernel) {
    want_attribute(p, size >= 1 && size < kSpatialLimit, "kernel_shape", size, "1 or more");
    filters.push_back(size);
    values = size > kMaxElements / std::max<int64_t>(values, 1) ? kMaxElements : values * size;
  }
  if (w.rank() != 2 || w[1] != row_elements(DType::q4, values)) {
    p.refuse(Status::shape, "int4 weights " + w.text() + " do not hold filters " + filters.text());
  }
  return filters;
}

void check_shapes(OpPlan& p, const Shape& w, int64_t groups, int bias) {
  const Shape& x = p.in(0).shape;
  const std::string shapes = "input " + x.text() + ", weights " + w.text();
  if (w.rank() != x.rank() || w[0] % groups != 0 || x[1] % groups != 0 || w[1] != x[1] / groups) {
    p.refuse(Status::shape, shapes + " do not fit with group " + std::to_string(groups));
  }
  if (w.product(2, w.rank()) == 0) p.refuse(Status::shape, shapes + ": the kernel has no elements");
  if (p.has(bias) && p.in(bias).shape != Shape{w[0]}) {
    p.refuse(Status::shape, "bias " + p.in(bias).shape.text() + "; wanted " + Shape{w[0]}.text());
  }
}

bool is_met(const ConvAxis& axis, int64_t place) {
  const int64_t shift = place * axis.dilation - axis.pad;  // where position 0 meets the input
  const int64_t position = shift < 0 ? (-shift + axis.stride - 1) / axis.stride : 0;
  return position < axis.out && position * axis.stride + shift < axis.in;
}

}  // namespace

void ConvAxis::crop() {
  int64_t end = kernel;
  while (end > 1 && !is_met(*this, end - 1)) --end;
  int64_t first = 0;
  while (first < end - 1 && !is_met(*this, first)) ++first;
  first_place = first;
  kernel = end - first;
  pad -= first * dilation;
}

void ConvShape::crop() {
  // The code has to fit an int; kernels beyond this stay whole.
  if (h.full_kernel < 64 && w.full_kernel < 64 && groups < 128) {
    h.crop();
    w.crop();
  }
}

int64_t ConvShape::crop_code() const {
  const auto code = [](const ConvAxis& axis) {
    return axis.first_place * axis.full_kernel + (axis.full_kernel - axis.kernel);
  };
  return code(h) * w.full_kernel * w.full_kernel + code(w);
}

std::vector<int64_t> ConvShape::k_offsets() const {
  std::vector<int64_t> offsets;
  for (int64_t y = h.first_place; y < h.first_place + h.kernel; ++y) {
    for (int64_t x = w.first_place; x < w.first_place + w.kernel; ++x) {
      for (int64_t c = 0; c < channels; ++c) offsets.push_back((c * h.full_kernel + y) * w.full_kernel + x);
    }
  }
  return offsets;
}

ConvShape read_conv_shape(OpPlan& p, int bias) {
  const Shape& x = p.in(0).shape;
  ConvShape s;
  s.groups = p.op().integer("group", 1);
  want_attribute(p, s.groups >= 1 && s.groups < int64_t{1} << 24, "group", s.groups, "1 or more");
  const Shape weights = read_filters(p, s.groups);
  check_shapes(p, weights, s.groups, bias);
  s.batch = x[0];
  s.channels = weights[1];
  s.filters = weights[0] / s.groups;
  s.out = {x[0], weights[0]};

  const auto axes = static_cast<size_t>(x.rank() - 2);
  const std::string auto_pad = read_auto_pad(p);
  const auto strides = read_spatial(p, "strides", axes, 1, 1), dilations = read_spatial(p, "dilations", axes, 1, 1);
  const auto pads = read_spatial(p, "pads", 2 * axes, 0, 0);
  for (size_t i = 0; i < axes; ++i) {
    ConvAxis& axis = i + 1 == axes ? s.w : s.h;
    const int place = static_cast<int>(i) + 2;
    want_attribute(p, weights[place] < kSpatialLimit, "kernel", weights[place], "less than 2^31");
    axis.in = x[place];
    axis.kernel = axis.full_kernel = weights[place];
    axis.stride = strides[i];
    axis.dilation = dilations[i];
    axis.pad = pads[i];
    fit_output(p, axis, pads[axes + i], auto_pad);
    s.out.push_back(axis.out);
  }
  return s;
}

void plan_unsummed(OpPlan& p, const ConvShape& s, BufferId bias, BufferId out) {
  p.run([filters = s.groups * s.filters, planes = s.out.product(0, 2), places = s.positions(), bias,
         out](const Frame& frame) {
    const float* start = bias < 0 ? nullptr : frame.at<float>(bias);
    float* to = frame.at<float>(out);
    for (int64_t plane = 0; plane < planes; ++plane, to += places) {
      std::fill_n(to, places, start ? start[plane % filters] : 0.0f);
    }
  });
}

void keep_conv_time(OpPlan& p, const ConvShape& s) {
  const int time = time_of(p, 0);
  if (time_of(p, 1) >= 0 || time_of(p, 2) >= 0) return;
  if (time == 0) p.time_axis(0, 0);
  if (time < 2) return;
  const ConvAxis& axis = time == s.out.rank() - 1 ? s.w : s.h;
  if (axis.is_pointwise()) p.time_axis(0, time);
}

}  // namespace lrt

// Col2Im: columns of blocks, each added where the block lies in the image; several columns of one place add up in order.
#include <algorithm>

#include "ops/checks.h"
#include "ops/spatial.h"

namespace lrt {
namespace {

struct Col2ImCall {
  int64_t planes;
  SpatialAxis axes[3];  // `in` is the image, `out` the places of the blocks
  BufferId in, out;

  void operator()(const Frame& frame) const {
    const SpatialAxis &d = axes[0], &h = axes[1], &w = axes[2];
    const int64_t image = d.in * h.in * w.in;
    const float* from = frame.at<float>(in);
    float* to = frame.at<float>(out);
    std::fill(to, to + planes * image, 0.0f);
    for (int64_t plane = 0; plane < planes; ++plane, to += image) {
      for (int64_t i = 0; i < d.kernel; ++i) {
        for (int64_t j = 0; j < h.kernel; ++j) {
          for (int64_t k = 0; k < w.kernel; ++k) from = add_place(from, to, i, j, k);
        }
      }
    }
  }

  // One place of the block, in every block.
  const float* add_place(const float* from, float* to, int64_t i, int64_t j, int64_t k) const {
    const SpatialAxis &d = axes[0], &h = axes[1], &w = axes[2];
    for (int64_t x = 0; x < d.out; ++x) {
      const int64_t a = x * d.stride + i * d.dilation - d.pad;
      for (int64_t y = 0; y < h.out; ++y) {
        const int64_t b = y * h.stride + j * h.dilation - h.pad;
        for (int64_t z = 0; z < w.out; ++z, ++from) {
          const int64_t c = z * w.stride + k * w.dilation - w.pad;
          if (a < 0 || a >= d.in || b < 0 || b >= h.in || c < 0 || c >= w.in) continue;
          to[(a * h.in + b) * w.in + c] += *from;
        }
      }
    }
    return from;
  }
};

}  // namespace

void plan_col2im(OpPlan& p) {
  const Operand& in = p.in(0);
  const std::vector<int64_t> image = p.integers(1), block = p.integers(2);
  const size_t count = image.size();
  if (count < 1 || count > 3 || block.size() != count) {
    p.refuse(Status::unsupported, std::to_string(count) + " sizes of the image and " + std::to_string(block.size()) +
                                      " of the block, expected one to three of each");
  }
  const auto strides = read_spatial(p, "strides", count, 1, 1), dilations = read_spatial(p, "dilations", count, 1, 1);
  const auto pads = read_spatial(p, "pads", 2 * count, 0, 0);
  Col2ImCall call{0, {}, in.buffer, -1};
  Shape shape{in.shape[0], 0};
  int64_t places = 1, blocks = 1;
  for (size_t i = 0; i < count; ++i) {
    for (const int64_t size : {image[i], block[i]}) {
      if (size < 1 || size >= kSpatialLimit) p.refuse(Status::shape, "a size of " + std::to_string(size));
    }
    SpatialAxis& axis = call.axes[3 - count + i];
    axis.in = image[i];
    axis.kernel = block[i];
    axis.stride = strides[i];
    axis.dilation = dilations[i];
    axis.pad = pads[i];
    fit_output(p, axis, pads[count + i], "NOTSET");
    places = axis.kernel > kMaxElements / places ? kMaxElements : places * axis.kernel;
    blocks = axis.out > kMaxElements / std::max<int64_t>(blocks, 1) ? kMaxElements : blocks * axis.out;
    shape.push_back(axis.in);
  }
  if (in.shape[1] % places != 0 || in.shape[2] != blocks) {
    p.refuse(Status::shape, "input " + in.shape.text() + "; wanted a multiple of " + std::to_string(places) +
                                " rows and " + std::to_string(blocks) + " columns");
  }
  shape[1] = in.shape[1] / places;
  call.planes = shape[0] * shape[1];
  call.out = p.out(0, DType::f32, shape);
  if (in.time_axis == 0) p.time_axis(0, 0);
  p.run(call);
}

}  // namespace lrt

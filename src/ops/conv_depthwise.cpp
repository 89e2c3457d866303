// Conv where each filter sees one channel only: too few columns for a product, so output positions lie across lanes. Each
// output is one chain of fused multiply-adds from the bias, over the kernel's places by rows.
#include <algorithm>

#include "ops/conv.h"

namespace lrt {
namespace {

struct DepthwiseCall {
  ConvShape s;
  const Kernels* kernels;
  BufferId x, weights, bias, out;
  std::vector<Tap> taps;

  // A plane with its border of zeros, or the input itself. A row of it is `phases` parts, of every phases-th element
  // each, so that what successive positions meet always lies side by side.
  BufferId bordered = -1;
  int64_t phases = 1, part = 0;

  void operator()(const Frame& frame) const {
    const int64_t plane = s.h.in * s.w.in;
    const float* from = frame.at<float>(x);
    float* to = frame.at<float>(out);
    for (int64_t channel = 0; channel < s.batch * s.groups; ++channel, from += plane) {
      const float* first = bordered < 0 ? from - s.h.pad * s.w.in - s.w.pad : border(from, frame.at<float>(bordered));
      for (int64_t i = 0; i < s.filters; ++i, to += s.positions()) {
        filter(frame, channel % s.groups * s.filters + i, first, to);
      }
    }
  }

  void filter(const Frame& frame, int64_t index, const float* first, float* to) const {
    TapSums sums{};
    sums.taps = taps.data();
    sums.count = static_cast<int64_t>(taps.size());
    sums.w = frame.at<float>(weights) + index * s.h.full_kernel * s.w.full_kernel;
    sums.start = bias >= 0 ? frame.at<float>(bias)[index] : 0.0f;
    sums.x = first;
    sums.x_pitch = s.h.out > 1 ? s.h.stride * phases * part : 0;  // a stride taken once may be huge
    sums.out = to;
    sums.out_pitch = sums.n = s.w.out;
    sums.lines = s.h.out;
    kernels->tap_sums_f32(&sums);
  }

  const float* border(const float* from, float* to) const {
    float* row = to;
    for (int64_t h = -s.h.pad; h < s.h.span() - s.h.pad; ++h, row += phases * part) {
      const bool inside = h >= 0 && h < s.h.in;
      if (!inside) std::fill(row, row + phases * part, 0.0f);
      for (int64_t phase = 0; inside && phase < phases; ++phase) {
        border_phase(from + h * s.w.in - s.w.pad + phase, phase, row + phase * part);
      }
    }
    return to;
  }

  void border_phase(const float* line, int64_t phase, float* to) const {
    const int64_t begin = std::min(steps(s.w.pad - phase), part);
    const int64_t end = std::clamp(steps(s.w.pad + s.w.in - phase), begin, part);
    std::fill(to, to + begin, 0.0f);
    if (phases == 1) {
      std::copy(line + begin, line + end, to + begin);
    } else if (phases == 2) {  // a constant, so that the compiler can take whole vectors
      for (int64_t i = begin; i < end; ++i) to[i] = line[i * 2];
    } else {
      for (int64_t i = begin; i < end; ++i) to[i] = line[i * phases];
    }
    std::fill(to + end, to + part, 0.0f);
  }

  // Of a phase, elements before `distance`.
  int64_t steps(int64_t distance) const { return distance <= 0 ? 0 : (distance + phases - 1) / phases; }
};

}  // namespace

void plan_depthwise(OpPlan& p, ConvShape s, BufferId bias, BufferId out) {
  s.h.crop();
  s.w.crop();
  DepthwiseCall call{s, &p.kernels(), p.in(0).buffer, p.in(1).buffer, bias, out, {}};
  if (s.w.stride == 1 && s.h.is_inside() && s.w.is_inside()) {
    call.part = s.w.in;
  } else {
    call.phases = s.w.stride;
    call.part = (s.w.span() - 1) / call.phases + 1;
    const Shape bordered{s.h.span(), call.phases, call.part};  // refuses what is too large
    call.bordered = p.scratch(static_cast<size_t>(bordered.elements()) * sizeof(float));
  }
  for (int64_t y = 0; y < s.h.kernel; ++y) {
    for (int64_t x = 0; x < s.w.kernel; ++x) {
      const int64_t column = x * s.w.dilation, row = y * s.h.dilation * call.phases * call.part;
      const int64_t weight = (s.h.first_place + y) * s.w.full_kernel + s.w.first_place + x;
      call.taps.push_back({row + column % call.phases * call.part + column / call.phases, weight});
    }
  }
  p.run(call);
}

}  // namespace lrt

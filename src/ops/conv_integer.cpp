// ConvInteger, 1-D and 2-D, as products of bytes: each output position is a row of the bytes its filter meets, with the
// zero point where that is the border.
#include <algorithm>
#include <cstring>

#include "ops/checks.h"
#include "ops/conv.h"
#include "ops/integer_product.h"
#include "ops/strided.h"

namespace lrt {
namespace {

constexpr int kInputZero = 2, kFilterZero = 3;
constexpr int64_t kTileBytes = 65536, kMostRows = 256;

struct ConvIntegerCall {
  ConvShape s;
  const Kernels* kernels;
  int32_t flip;                                             // of x
  std::vector<std::shared_ptr<const PackedPanels>> panels;  // of each group; empty where weights come with the data:
  WeightView view;
  int group = 1;
  BufferId weights = -1, packed = -1;
  WeightZeros filter_zeros;
  BufferId x = -1, x_zero = -1, out = -1;
  int64_t tile = 1;  // positions multiplied together
  BufferId windows = -1, rows = -1, sums = -1;

  void operator()(const Frame& frame) const {
    const int64_t plane = s.h.in * s.w.in, places = s.positions();
    const uint8_t zero = x_zero < 0 ? 0 : *frame.at<uint8_t>(x_zero);
    for (int64_t g = 0; g < s.groups; ++g) {
      const Panels w = group_panels(frame, g);
      const int32_t* zeros = filter_zeros.read(frame, g * s.filters, s.filters);
      for (int64_t item = 0; item < s.batch; ++item) {
        const uint8_t* from = frame.at<uint8_t>(x) + (item * s.groups + g) * s.channels * plane;
        int32_t* to = frame.at<int32_t>(out) + (item * s.groups + g) * s.filters * places;
        for (int64_t place = 0; place < places; place += tile) {
          multiply(frame, w, zeros, zero, from, to, place, std::min(tile, places - place));
        }
      }
    }
  }

  Panels group_panels(const Frame& frame, int64_t g) const {
    if (!panels.empty()) return panels[static_cast<size_t>(g)]->panels;
    WeightView own = view;
    own.data = frame.at<uint8_t>(weights) + g * s.filters * s.k();
    return pack_panels_into(frame.at<void>(packed), LRT_FORMAT_NIBBLES, own, group);
  }

  void multiply(const Frame& frame, const Panels& w, const int32_t* zeros, uint8_t zero, const uint8_t* from,
                int32_t* to, int64_t first, int64_t count) const {
    auto* window = frame.at<uint8_t>(windows);
    for (int64_t i = 0; i < count; ++i) copy_window(from, zero, first + i, window + i * s.k());
    auto* sum = frame.at<int32_t>(sums);
    multiply_integers(*kernels, {&w, window, s.k(), count, flip, &zero, 0, zeros, sum, s.filters, frame.backwards()},
                      frame.at<void>(rows), frame.parallel());
    transpose_matrix<4>(reinterpret_cast<const char*>(sum), s.filters, reinterpret_cast<char*>(to + first),
                        s.positions(), count, s.filters);
  }

  // The bytes a filter meets at one position, in its own order: channel, height, width.
  void copy_window(const uint8_t* from, uint8_t zero, int64_t place, uint8_t* to) const {
    const int64_t top = place / s.w.out * s.h.stride - s.h.pad, left = place % s.w.out * s.w.stride - s.w.pad;
    for (int64_t c = 0; c < s.channels; ++c, from += s.h.in * s.w.in) {
      for (int64_t y = 0; y < s.h.kernel; ++y, to += s.w.kernel) {
        const int64_t line = top + y * s.h.dilation;
        if (line < 0 || line >= s.h.in) {
          std::memset(to, zero, static_cast<size_t>(s.w.kernel));
        } else {
          copy_line(from + line * s.w.in, zero, left, to);
        }
      }
    }
  }

  void copy_line(const uint8_t* line, uint8_t zero, int64_t left, uint8_t* to) const {
    const int64_t last = left + (s.w.kernel - 1) * s.w.dilation;
    if (s.w.dilation == 1 && left >= 0 && last < s.w.in) {
      std::memcpy(to, line + left, static_cast<size_t>(s.w.kernel));
      return;
    }
    for (int64_t k = 0; k < s.w.kernel; ++k) {
      const int64_t at = left + k * s.w.dilation;
      to[k] = at >= 0 && at < s.w.in ? line[at] : zero;
    }
  }
};

void plan_filters(OpPlan& p, ConvIntegerCall& call) {
  const ConvShape& s = call.s;
  call.view.dtype = p.in(1).dtype;
  call.view.k = s.k();
  call.view.n = s.filters;
  call.view.n_stride = s.k();
  if (!p.in(1).known) {
    call.weights = p.in(1).buffer;
    call.group = group_for(p.kernels(), LRT_FORMAT_NIBBLES, s.k(), vectors_for(s.filters));
    call.packed = p.scratch(panel_bytes(LRT_FORMAT_NIBBLES, s.k(), vectors_for(s.filters)));
    return;
  }
  for (int64_t g = 0; g < s.groups; ++g) {
    const auto make = [&]() -> std::shared_ptr<const void> {
      WeightView own = call.view;
      own.data = static_cast<const uint8_t*>(p.in(1).known) + g * s.filters * s.k();
      return pack_bytes(p.kernels(), own);
    };
    call.panels.push_back(std::static_pointer_cast<const PackedPanels>(p.packed(static_cast<int>(g), {1}, make)));
  }
}

}  // namespace

void plan_conv_integer(OpPlan& p) {
  ConvIntegerCall call;
  const ConvShape s = call.s = read_conv_shape(p, -1);
  call.out = p.out(0, DType::i32, s.out);
  keep_conv_time(p, s);
  if (p.has(kInputZero)) {
    const Shape& shape = p.in(kInputZero).shape;
    if (shape.elements() != 1) {
      p.refuse(Status::shape, input_text(p, kInputZero) + " is " + shape.text() + "; wanted one zero point");
    }
    call.x_zero = p.in(kInputZero).buffer;
  }
  call.filter_zeros = WeightZeros(p, kFilterZero, p.in(1).dtype, s.groups * s.filters);
  if (s.out.elements() == 0) return;
  if (s.channels == 0) return plan_unsummed(p, s, -1, call.out);  // int32 zeros are float ones

  call.kernels = &p.kernels();
  call.flip = flip_of(p.in(0).dtype);
  call.x = p.in(0).buffer;
  plan_filters(p, call);
  call.tile = std::clamp<int64_t>(kTileBytes / s.k(), 1, std::min(kMostRows, s.positions()));
  call.windows = p.scratch(static_cast<size_t>(call.tile * s.k()));
  call.rows = p.scratch(static_cast<size_t>(call.tile * lrt_quantized_row(LRT_FORMAT_NIBBLES, s.k())));
  call.sums = p.scratch(static_cast<size_t>(call.tile * s.filters) * sizeof(int32_t));
  const auto parameters = static_cast<uint64_t>(s.groups * s.filters * s.k());
  p.cost(static_cast<uint64_t>(s.batch * s.positions()) * parameters, p.in(1).known ? parameters : 0,
         p.in(1).known ? parameters : 0);
  p.run(call);
}

}  // namespace lrt

// Conv, 1-D and 2-D, as a product: the output channels lie across lanes, each output position is a row. Rows are cut
// from an input turned to [H, W, C], so each sum runs over the kernel's places (h, then w) and inside them over the
// channels. A 1-D convolution is one of height 1. What a position gives does not depend on the others.
#include "ops/conv.h"

#include <algorithm>
#include <cstring>

#include "ops/checks.h"
#include "ops/product.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// Rows of a tile: enough to read the weights rarely, few enough to stay in cache.
constexpr int64_t kTileFloats = 32768;
constexpr int64_t kLeastRows = 16, kMostRows = 256;

constexpr int kScales = 3;  // the input with the scales of int8 weights

struct ConvCall {
  ConvShape s;
  const Kernels* kernels;
  int group;  // vectors of Panels
  WeightFormat format = LRT_FORMAT_F32;

  BufferId x, out;
  // Known weights are packed, one matrix and bias for each group of channels; else they are packed at every run.
  std::vector<std::shared_ptr<const PackedPanels>> panels;
  std::vector<std::shared_ptr<const AlignedBuffer>> biases;
  std::vector<int64_t> k_offsets;  // of the weights of one filter, in the order of the sum
  BufferId weights = -1, bias = -1, packed_weights = -1, packed_bias = -1;

  bool in_place = false;  // the input already is [H, W, C] without a border
  int64_t items = 1;      // of the batch, turned and multiplied together
  int64_t tile = 1;       // rows multiplied together
  Walk<1> row_walk;       // from row to row of `items`, in turned
  bool windows = false;   // rows lie evenly spaced in turned: nothing is copied
  int64_t h_pitch = 0, item_pitch = 0;
  BufferId turned = -1, rows = -1, sums = -1, quantized = -1;

  void operator()(const Frame& frame) const {
    for (int64_t g = 0; g < s.groups; ++g) {
      const Panels w = group_panels(frame, g);
      const float* start = group_bias(frame, g);
      for (int64_t first = 0; first < s.batch; first += items) {
        const int64_t count = std::min(items, s.batch - first);
        const float* from = turn(frame, g, first, count);
        const int64_t total = count * s.positions();
        for (int64_t row = 0; row < total; row += tile) {
          multiply(frame, w, start, from, g, first, row, std::min(tile, total - row));
        }
      }
    }
  }

  Panels group_panels(const Frame& frame, int64_t g) const {
    if (!panels.empty()) return panels[static_cast<size_t>(g)]->panels;
    void* to = frame.at<void>(packed_weights);
    return pack_panels_into(to, format, group_weights({frame.at<float>(weights)}, g), group);
  }

  // The filters of group g. int4 lies in the order of the sum already.
  WeightView group_weights(const Weights& all, int64_t g) const {
    const int64_t filter = s.channels * s.h.full_kernel * s.w.full_kernel;
    WeightView view = all.from_row(g * s.filters, filter).view(filter, s.filters);
    view.k = s.k();
    if (all.dtype != DType::q4) view.k_offsets = k_offsets.data();
    return view;
  }

  const float* group_bias(const Frame& frame, int64_t g) const {
    if (!biases.empty()) return biases[biases.size() == 1 ? 0 : static_cast<size_t>(g)]->as<float>();
    float* to = frame.at<float>(packed_bias);
    pack_bias_into(to, frame.at<float>(bias) + g * s.filters, s.filters);
    return to;
  }

  // The channels of group g of some items as [items, H, W, C], with its border of zeros.
  const float* turn(const Frame& frame, int64_t g, int64_t first, int64_t count) const {
    const int64_t plane = s.h.in * s.w.in, item = s.groups * s.channels * plane;
    const float* from = frame.at<float>(x) + first * item + g * s.channels * plane;
    if (in_place) return from - s.h.pad * h_pitch - s.w.pad * s.channels;
    float* to = frame.at<float>(turned);
    for (int64_t i = 0; i < count; ++i, from += item) {
      for (int64_t h = 0; h < s.h.span(); ++h, to += h_pitch) turn_row(from, to, h - s.h.pad);
    }
    return frame.at<float>(turned);
  }

  void turn_row(const float* from, float* to, int64_t h) const {
    const int64_t c = s.channels;
    const bool inside = h >= 0 && h < s.h.in;
    const int64_t begin = inside ? std::clamp<int64_t>(s.w.pad, 0, s.w.span()) : s.w.span();
    const int64_t end = std::clamp(s.w.in + s.w.pad, begin, s.w.span());
    std::fill(to, to + begin * c, 0.0f);
    if (end > begin) {
      transpose_floats(from + h * s.w.in + (begin - s.w.pad), s.h.in * s.w.in, to + begin * c, c, c, end - begin);
    }
    std::fill(to + end * c, to + s.w.span() * c, 0.0f);
  }

  void multiply(const Frame& frame, const Panels& w, const float* start, const float* from, int64_t g, int64_t first,
                int64_t row, int64_t count) const {
    const int64_t places = s.positions();
    float* to = frame.at<float>(out) + (first * s.groups + g) * s.filters * places;
    const float* left = windows ? from + row * row_walk.step(0) : copy_rows(frame, from, row, count);
    const int64_t left_stride = windows ? row_walk.step(0) : s.k();
    if (places == 1) {
      const int64_t stride = s.groups * s.filters;
      return lrt::multiply(
          *kernels, {&w, left, left_stride, count, start, to + row * stride, stride, s.filters, frame.backwards()},
          quantized_at(frame, quantized), frame.parallel());
    }
    float* sum = frame.at<float>(sums);
    lrt::multiply(*kernels, {&w, left, left_stride, count, start, sum, s.filters, s.filters, frame.backwards()},
                  quantized_at(frame, quantized), frame.parallel());
    store(sum, to, row, count);
  }

  const float* copy_rows(const Frame& frame, const float* from, int64_t row, int64_t count) const {
    float* to = frame.at<float>(rows);
    const int64_t c = s.channels;
    const bool runs = s.w.dilation == 1;  // a whole row of the kernel in one go
    const int64_t pieces = runs ? 1 : s.w.kernel, length = runs ? s.w.kernel * c : c;
    for (int64_t r = row; r < row + count; ++r) {
      const int64_t place = r % s.positions();
      const float* window = from + r / s.positions() * item_pitch + place / s.w.out * s.h.stride * h_pitch +
                            place % s.w.out * s.w.stride * c;
      for (int64_t h = 0; h < s.h.kernel; ++h) {
        const float* line = window + h * s.h.dilation * h_pitch;
        for (int64_t piece = 0; piece < pieces; ++piece, to += length) {
          std::memcpy(to, line + piece * s.w.dilation * c, static_cast<size_t>(length) * sizeof(float));
        }
      }
    }
    return frame.at<float>(rows);
  }

  // Sums [row, filter] into the output's [item, filter, place].
  void store(const float* sum, float* to, int64_t row, int64_t count) const {
    const int64_t places = s.positions();
    while (count > 0) {
      const int64_t item = row / places, place = row % places, n = std::min(count, places - place);
      transpose_floats(sum, s.filters, to + item * s.groups * s.filters * places + place, places, n, s.filters);
      sum += n * s.filters;
      row += n;
      count -= n;
    }
  }
};

// Rows of `items` items, in the order of the output.
Walk<1> walk_rows(const ConvCall& call, int64_t items) {
  const ConvShape& s = call.s;
  // A stride taken once goes nowhere; 0 keeps a huge one from overflowing.
  const Strides strides{call.item_pitch, s.h.out > 1 ? s.h.stride * call.h_pitch : 0,
                        s.w.out > 1 ? s.w.stride * s.channels : 0};
  return Walk<1>({items, s.h.out, s.w.out}, {strides});
}

// How rows are found, and how many are taken at once.
void plan_rows(OpPlan& p, ConvCall& call) {
  const ConvShape& s = call.s;
  const int64_t places = s.positions();
  Shape{1, s.h.span(), s.w.span(), s.channels}.elements();  // refuses borders whose size overflows
  call.in_place = s.h.is_inside() && s.w.is_inside() && (s.channels == 1 || s.h.in * s.w.in == 1);
  call.h_pitch = (call.in_place ? s.w.in : s.w.span()) * s.channels;
  call.item_pitch = call.in_place ? s.groups * s.channels * s.h.in * s.w.in : s.h.span() * call.h_pitch;
  call.tile = std::clamp(kTileFloats / s.k(), kLeastRows, kMostRows);
  call.items = std::clamp<int64_t>(call.tile / places, 1, s.batch);

  const bool one_piece = s.h.kernel == 1 && (s.w.kernel == 1 || s.w.dilation == 1);
  // Items with enough rows of their own are taken one by one where that saves copying.
  if (places >= kLeastRows && walk_rows(call, call.items).rank() > 1) call.items = 1;
  call.row_walk = walk_rows(call, call.items);
  call.windows = one_piece && call.row_walk.rank() == 1;

  const auto floats = [&](const Shape& shape) {
    return p.scratch(static_cast<size_t>(shape.elements()) * sizeof(float));
  };
  const int64_t rows = std::min(call.tile, call.items * places);
  if (!call.in_place) call.turned = floats({call.items, s.h.span(), s.w.span(), s.channels});
  if (!call.windows) call.rows = floats({rows, s.k()});
  if (places > 1) call.sums = floats({rows, s.filters});
}

void plan_weights(OpPlan& p, ConvCall& call, const Weights& weights) {
  const ConvShape& s = call.s;
  call.k_offsets = s.k_offsets();
  if (!weights.data) {
    call.weights = p.in(1).buffer;
    call.packed_weights = p.scratch(panel_bytes(call.format, s.k(), vectors_for(s.filters)));
  }
  for (int64_t g = 0; weights.data && g < s.groups; ++g) {
    const auto make = [&]() -> std::shared_ptr<const void> {
      return pack_panels(call.format, call.group_weights(weights, g), call.group);
    };
    const int slot = static_cast<int>(s.crop_code() * s.groups + g);
    call.panels.push_back(
        std::static_pointer_cast<const PackedPanels>(p.packed(slot, weight_inputs(p, 1, kScales), make)));
  }
  const bool has_bias = p.has(2);
  if (!has_bias) {
    call.biases.push_back(pack_bias(nullptr, s.filters));
  } else if (p.in(2).known) {
    const auto* data = static_cast<const float*>(p.in(2).known);
    for (int64_t g = 0; g < s.groups; ++g) call.biases.push_back(pack_bias(data + g * s.filters, s.filters));
  } else {
    call.bias = p.in(2).buffer;
    call.packed_bias = p.scratch(panel_bytes(LRT_FORMAT_F32, 1, vectors_for(s.filters)));
  }
}

void tell_cost(OpPlan& p, const ConvShape& s, WeightFormat format) {
  const bool known = p.in(1).known;
  const auto filters = static_cast<uint64_t>(s.groups * s.filters), k = static_cast<uint64_t>(s.k());
  const auto packed = static_cast<uint64_t>(s.groups) * panel_bytes(format, s.k(), vectors_for(s.filters));
  p.cost(static_cast<uint64_t>(s.batch * s.positions()) * filters * k, known ? packed : 0, known ? filters * k : 0);
}

}  // namespace

void plan_conv(OpPlan& p) {
  ConvShape s = read_conv_shape(p, 2);
  const BufferId out = p.out(0, DType::f32, s.out);
  keep_conv_time(p, s);
  if (s.out.elements() == 0) return;
  const Weights weights = read_weights(p, 1, kScales, Shape{s.groups * s.filters});
  const WeightFormat format = read_format(p, weights);
  const BufferId bias = p.has(2) ? p.in(2).buffer : -1;
  if (s.channels == 0) return plan_unsummed(p, s, bias, out);
  tell_cost(p, s, format);
  if (format == LRT_FORMAT_F32 && s.channels == 1 && s.filters <= 4) {
    return plan_depthwise(p, s, bias, out);
  }

  // Blocks of int4 cannot be cut; and zeros of the border count as any others once they are rounded.
  if (format == LRT_FORMAT_F32 || format == LRT_FORMAT_BF16) s.crop();
  ConvCall call;
  call.s = s;
  call.kernels = &p.kernels();
  call.group = group_for(p.kernels(), format, s.k(), vectors_for(s.filters));
  call.format = format;
  call.x = p.in(0).buffer;
  call.out = out;
  plan_rows(p, call);
  plan_weights(p, call, weights);
  call.quantized = plan_quantized(p, format, call.tile, s.k());
  p.run(call);
}

}  // namespace lrt

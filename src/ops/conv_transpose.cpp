// ConvTranspose over one to three spatial axes: each input position is a row of a product whose columns are the kernel's
// places with the filters inside them; what a row gives is added, place by place, to the outputs it reaches. Positions go by
// rows, so each output starts at the bias and takes its terms in one order.
#include <algorithm>

#include "ops/checks.h"
#include "ops/product.h"
#include "ops/spatial.h"
#include "ops/strided.h"

namespace lrt {
namespace {

constexpr int64_t kTileFloats = 32768;
constexpr int64_t kLeastRows = 4, kMostRows = 256;

struct TransposeShape {
  int64_t batch = 1, groups = 1;
  int64_t channels = 1, filters = 1;  // of one group
  SpatialAxis axes[3];                // depth, height, width; those that are not there have one element
  Shape out;

  int64_t positions() const { return axes[0].in * axes[1].in * axes[2].in; }
  int64_t places() const { return axes[0].kernel * axes[1].kernel * axes[2].kernel; }
  int64_t results() const { return axes[0].out * axes[1].out * axes[2].out; }
  int64_t columns() const { return places() * filters; }
};

struct ConvTransposeCall {
  TransposeShape s;
  const Kernels* kernels;
  int group;  // vectors of Panels
  int64_t tile;
  std::shared_ptr<const AlignedBuffer> zeros;
  std::vector<std::shared_ptr<const PackedPanels>> panels;  // of each group of channels, where the weights are known
  BufferId x, weights, bias, out, packed, rows, sums, turned;

  void operator()(const Frame& frame) const {
    const int64_t positions = s.positions(), results = s.results();
    for (int64_t g = 0; g < s.groups; ++g) {
      const Panels w = group_panels(frame, g);
      for (int64_t item = 0; item < s.batch; ++item) {
        const float* from = frame.at<float>(x) + (item * s.groups + g) * s.channels * positions;
        float* to = frame.at<float>(turned);
        start(frame, g, to);
        for (int64_t row = 0; row < positions; row += tile) {
          const int64_t count = std::min(tile, positions - row);
          multiply(frame, w, from + row, count);
          for (int64_t i = 0; i < count; ++i) add_row(frame.at<float>(sums) + i * s.columns(), row + i, to);
        }
        transpose_floats(to, s.filters, frame.at<float>(out) + (item * s.groups + g) * s.filters * results, results,
                         results, s.filters);
      }
    }
  }

  Panels group_panels(const Frame& frame, int64_t g) const {
    if (!panels.empty()) return panels[static_cast<size_t>(g)]->panels;
    return pack(frame.at<void>(packed), frame.at<float>(weights), g);
  }

  // Weights lie as [channels, filters, places]; the columns are [places, filters].
  Panels pack(void* to, const float* data, int64_t g) const {
    WeightView view;
    view.data = data + g * s.channels * s.columns();
    view.k = s.channels;
    view.n = s.columns();
    view.k_stride = s.columns();
    view.n_stride = 1;
    const auto order = [this](int64_t column) {
      return column < s.columns() ? column % s.filters * s.places() + column / s.filters : -1;
    };
    const Panels made = panels_at(to, LRT_FORMAT_F32, view.k, vectors_for(view.n), group);
    pack_panels_into(made, view, order);
    return made;
  }

  // The outputs of one item as [results, filters].
  void start(const Frame& frame, int64_t g, float* to) const {
    if (bias < 0) return std::fill(to, to + s.results() * s.filters, 0.0f);
    const float* from = frame.at<float>(bias) + g * s.filters;
    for (int64_t i = 0; i < s.results(); ++i) std::copy_n(from, s.filters, to + i * s.filters);
  }

  void multiply(const Frame& frame, const Panels& w, const float* from, int64_t count) const {
    float* left = frame.at<float>(rows);
    transpose_floats(from, s.positions(), left, s.channels, s.channels, count);
    lrt::multiply(*kernels,
                  {&w, left, s.channels, count, zeros->as<float>(), frame.at<float>(sums), s.columns(), s.columns(),
                   frame.backwards()},
                  nullptr, frame.parallel());
  }

  void add_row(const float* sum, int64_t position, float* to) const {
    const SpatialAxis &depth = s.axes[0], &height = s.axes[1], &width = s.axes[2];
    const int64_t d = position / (height.in * width.in) * depth.stride - depth.pad,
                  h = position / width.in % height.in * height.stride - height.pad,
                  w = position % width.in * width.stride - width.pad;
    for (int64_t i = 0; i < depth.kernel; ++i) {
      const int64_t a = d + i * depth.dilation;
      for (int64_t j = 0; j < height.kernel; ++j) {
        const int64_t b = h + j * height.dilation;
        for (int64_t k = 0; k < width.kernel; ++k, sum += s.filters) {
          const int64_t c = w + k * width.dilation;
          if (a < 0 || a >= depth.out || b < 0 || b >= height.out || c < 0 || c >= width.out) continue;
          float* result = to + ((a * height.out + b) * width.out + c) * s.filters;
          for (int64_t f = 0; f < s.filters; ++f) result[f] += sum[f];
        }
      }
    }
  }
};

// Pads from the size that is wanted, or the size from the pads (ONNX ConvTranspose-22).
void fit_result(const OpPlan& p, SpatialAxis& axis, const std::string& auto_pad, int64_t pad_end,
                int64_t output_padding, const int64_t* wanted) {
  if (axis.in > 0 && axis.in - 1 > kMaxElements / axis.stride) p.refuse(Status::shape, "its result is too large");
  const int64_t whole = (std::max<int64_t>(axis.in, 1) - 1) * axis.stride + axis.reach() + output_padding;
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (wanted || same) {
    axis.out = wanted ? *wanted : axis.in * axis.stride;
    const int64_t total = std::max<int64_t>(whole - axis.out, 0);
    axis.pad = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    return;
  }
  axis.out = whole - axis.pad - pad_end;
  if (axis.out < 0) p.refuse(Status::shape, "pads leave a result of " + std::to_string(axis.out) + " elements");
}

void check_shapes(OpPlan& p, int64_t groups) {
  const Shape &x = p.in(0).shape, &w = p.in(1).shape;
  if (w.rank() != x.rank() || x[1] != w[0] || w[0] % groups != 0 || w.elements() == 0) {
    p.refuse(Status::shape,
             "input " + x.text() + " and weights " + w.text() + " do not fit with group " + std::to_string(groups));
  }
  const std::vector<int64_t> kernel = p.op().integers("kernel_shape");
  if (!kernel.empty() && !std::equal(kernel.begin(), kernel.end(), w.begin() + 2, w.end())) {
    p.refuse(Status::shape, "kernel_shape " + Shape(kernel).text() + " is not that of weights " + w.text());
  }
  if (p.has(2) && p.in(2).shape != Shape{w[1] * groups}) {
    p.refuse(Status::shape, "bias " + p.in(2).shape.text() + "; wanted " + Shape{w[1] * groups}.text());
  }
}

TransposeShape read_transpose(OpPlan& p) {
  TransposeShape s;
  s.groups = p.op().integer("group", 1);
  want_attribute(p, s.groups >= 1 && s.groups < int64_t{1} << 24, "group", s.groups, "1 or more");
  check_shapes(p, s.groups);
  const Shape &x = p.in(0).shape, &w = p.in(1).shape;
  s.batch = x[0];
  s.channels = w[0] / s.groups;
  s.filters = w[1];
  s.out = {x[0], w[1] * s.groups};
  const auto count = static_cast<size_t>(x.rank() - 2);
  const std::string auto_pad = read_auto_pad(p);
  const auto strides = read_spatial(p, "strides", count, 1, 1), dilations = read_spatial(p, "dilations", count, 1, 1);
  const auto pads = read_spatial(p, "pads", 2 * count, 0, 0), more = read_spatial(p, "output_padding", count, 0, 0);
  const auto wanted = read_spatial(p, "output_shape", count, 0, 0);
  for (size_t i = 0; i < count; ++i) {
    SpatialAxis& axis = s.axes[3 - count + i];
    const int place = static_cast<int>(i) + 2;
    want_attribute(p, w[place] < kSpatialLimit, "kernel", w[place], "less than 2^31");
    axis.in = x[place];
    axis.kernel = w[place];
    axis.stride = strides[i];
    axis.dilation = dilations[i];
    axis.pad = pads[i];
    fit_result(p, axis, auto_pad, pads[count + i], more[i], p.op().find("output_shape") ? &wanted[i] : nullptr);
    s.out.push_back(axis.out);
  }
  return s;
}

void plan_weights(OpPlan& p, ConvTransposeCall& call) {
  const TransposeShape& s = call.s;
  const int64_t vectors = vectors_for(s.columns());
  const bool known = p.in(1).known;
  for (int64_t g = 0; known && g < s.groups; ++g) {
    const auto make = [&]() -> std::shared_ptr<const void> {
      auto made = std::make_shared<PackedPanels>();
      made->storage = AlignedBuffer(panel_bytes(LRT_FORMAT_F32, s.channels, vectors));
      made->panels = call.pack(made->storage.as<void>(), static_cast<const float*>(p.in(1).known), g);
      return made;
    };
    call.panels.push_back(std::static_pointer_cast<const PackedPanels>(p.packed(static_cast<int>(g), {1}, make)));
  }
  call.weights = p.in(1).buffer;
  if (!known) call.packed = p.scratch(panel_bytes(LRT_FORMAT_F32, s.channels, vectors));
  const auto panels = static_cast<uint64_t>(s.groups) * panel_bytes(LRT_FORMAT_F32, s.channels, vectors);
  const auto values = static_cast<uint64_t>(s.groups * s.channels * s.columns());
  p.cost(static_cast<uint64_t>(s.batch * s.positions()) * values, known ? panels : 0, known ? values : 0);
}

// Time may be the batch, or an axis along which nothing happens.
void keep_transpose_time(OpPlan& p, const TransposeShape& s) {
  const int time = time_of(p, 0);
  if (time == 0) p.time_axis(0, 0);
  if (time < 2) return;
  const SpatialAxis& axis = s.axes[3 - (s.out.rank() - time)];
  if (axis.kernel == 1 && axis.stride == 1 && axis.pad == 0 && axis.out == axis.in) p.time_axis(0, time);
}

}  // namespace

void plan_conv_transpose(OpPlan& p) {
  const TransposeShape s = read_transpose(p);
  const BufferId out = p.out(0, DType::f32, s.out);
  if (time_of(p, 1) < 0 && time_of(p, 2) < 0) keep_transpose_time(p, s);
  if (s.out.elements() == 0) return;
  const int group = group_for(p.kernels(), LRT_FORMAT_F32, s.channels, vectors_for(s.columns()));
  const int64_t tile = std::clamp(kTileFloats / (s.channels + s.columns()), kLeastRows, kMostRows);
  ConvTransposeCall call{s,
                         &p.kernels(),
                         group,
                         tile,
                         pack_bias(nullptr, s.columns()),
                         {},
                         p.in(0).buffer,
                         -1,
                         p.has(2) ? p.in(2).buffer : -1,
                         out,
                         -1,
                         -1,
                         -1,
                         -1};
  plan_weights(p, call);
  const auto floats = [&p](int64_t count) { return p.scratch(static_cast<size_t>(count) * sizeof(float)); };
  const int64_t rows = std::min(tile, std::max<int64_t>(s.positions(), 1));
  call.rows = floats(rows * s.channels);
  call.sums = floats(rows * s.columns());
  call.turned = floats(s.results() * s.filters);
  p.run(call);
}

}  // namespace lrt

// Normalisations: over the last axes, over groups of channels, by statistics that are given, and over neighbouring channels.
#include <algorithm>
#include <cmath>

#include "ops/checks.h"
#include "ops/power.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// Time stays where it is in x, but where weights or statistics come frame by frame too.
void keep_time_of_first(OpPlan& p, int output) {
  for (int i = 1; i < p.inputs(); ++i) {
    if (time_of(p, i) >= 0) return;
  }
  keep_time(p, output, p.in(0).time_axis);
}

// ---- Over the last axes --------------------------------------------------------------------------------------------

// An input that is added or multiplied element by element to rows of one shape; where it is smaller it is spread out first.
struct RowInput {
  BufferId buffer = -1, spread = -1;
  StridedCopy copy{sizeof(float), {}, {}};

  const float* at(const Frame& frame) const {
    if (buffer < 0) return nullptr;
    if (spread < 0) return frame.at<float>(buffer);
    copy(frame.at<void>(buffer), frame.at<void>(spread));
    return frame.at<float>(spread);
  }
};

RowInput plan_row_input(OpPlan& p, int input, const Shape& row) {
  RowInput result;
  if (!p.has(input)) return result;
  const Operand& in = p.in(input);
  result.buffer = in.buffer;
  if (in.shape == row) return result;
  if (broadcast_shapes(p, in.shape, row) != row) {
    p.refuse(Status::shape,
             input_text(p, input) + " has shape " + in.shape.text() + ", which does not broadcast to " + row.text());
  }
  result.copy = StridedCopy(sizeof(float), row, broadcast_strides(in.shape, row));
  result.spread = p.scratch(static_cast<size_t>(row.elements()) * sizeof(float));
  return result;
}

struct RowNorm {
  const Kernels* kernels;
  float epsilon;
  BufferId from, out, mean, inverse;  // mean: -1 where it is taken to be zero
  RowInput scale, bias;
  int64_t rows, n;

  void operator()(const Frame& frame) const {
    const float *x = frame.at<float>(from), *by = scale.at(frame), *plus = bias.at(frame);
    float *y = frame.at<float>(out), *means = mean < 0 ? nullptr : frame.at<float>(mean);
    float* inverses = frame.at<float>(inverse);
    const Moments moments{x, rows, n, epsilon, means, inverses};
    kernels->moments_f32(&moments);
    for (int64_t row = 0; row < rows; ++row) {
      const Scale work{x + row * n, y + row * n, n, means ? means[row] : 0.0f, inverses[row], by, plus, 1};
      kernels->scale_f32(&work);
    }
  }
};

// A statistic of each row, as an output where one is wanted.
BufferId plan_statistic(OpPlan& p, int output, const Shape& x, int axis) {
  Shape shape = x;
  for (int a = axis; a < x.rank(); ++a) shape[a] = 1;
  if (output >= p.outputs()) return p.scratch(static_cast<size_t>(shape.elements()) * sizeof(float));
  if (p.in(0).time_axis < axis) keep_time_of_first(p, output);
  return p.out(output, DType::f32, shape);
}

void plan_row_norm(OpPlan& p, bool centred) {
  const Operand& in = p.in(0);
  const int axis = want_axis(p, p.op().integer("axis", -1), in.shape.rank());
  Shape row;
  for (int a = axis; a < in.shape.rank(); ++a) row.push_back(in.shape[a]);
  if (in.time_axis < axis) keep_time_of_first(p, 0);
  RowNorm norm{&p.kernels(), p.op().number("epsilon", 1e-5f), in.buffer,     p.out(0, DType::f32, in.shape), -1, -1, {},
               {},           in.shape.product(0, axis),       row.elements()};
  if (centred) norm.mean = plan_statistic(p, 1, in.shape, axis);
  norm.inverse = plan_statistic(p, 2, in.shape, axis);
  norm.scale = plan_row_input(p, 1, row);
  norm.bias = plan_row_input(p, 2, row);
  p.run(norm);
}

// ---- Over groups of channels ---------------------------------------------------------------------------------------

// X is [batch, channels, size].
struct Channels {
  int64_t batch, channels, size;
};

Channels read_channels(OpPlan& p) {
  const Shape& shape = p.in(0).shape;
  return {shape[0], shape[1], shape.product(2, shape.rank())};
}

void want_channels(OpPlan& p, int input, int64_t channels, int64_t or_groups) {
  const Shape& shape = p.in(input).shape;
  if (shape == Shape{channels} || shape == Shape{or_groups}) return;
  p.refuse(Status::shape, input_text(p, input) + " has shape " + shape.text() + "; wanted " + Shape{channels}.text());
}

struct GroupNorm {
  const Kernels* kernels;
  float epsilon;
  BufferId from, scale, bias, out;
  Channels shape;
  int64_t groups, scales;  // scales: as many as channels, or groups

  void operator()(const Frame& frame) const {
    const float* x = frame.at<float>(from);
    float* y = frame.at<float>(out);
    const int64_t own = shape.channels / groups, n = own * shape.size, channels_of_scale = shape.channels / scales;
    for (int64_t row = 0; row < shape.batch * groups; ++row) {
      float mean = 0.0f, inverse = 0.0f;
      const Moments moments{x + row * n, 1, n, epsilon, &mean, &inverse};
      kernels->moments_f32(&moments);
      for (int64_t c = 0; c < own; ++c) {
        const int64_t at = row * n + c * shape.size, which = (row % groups * own + c) / channels_of_scale;
        const Scale work{
            x + at, y + at, shape.size, mean, inverse, frame.at<float>(scale) + which, frame.at<float>(bias) + which,
            0};
        kernels->scale_f32(&work);
      }
    }
  }
};

void plan_groups(OpPlan& p, int64_t groups) {
  const Channels c = read_channels(p);
  if (groups < 1 || c.channels % groups != 0) {
    p.refuse(Status::shape, std::to_string(c.channels) + " channels are not " + std::to_string(groups) + " groups");
  }
  for (const int input : {1, 2}) want_channels(p, input, c.channels, groups);
  if (p.in(1).shape != p.in(2).shape) p.refuse(Status::shape, "scale and bias are of different shapes");
  const BufferId out = p.out(0, DType::f32, p.in(0).shape);
  if (p.in(0).time_axis == 0) keep_time_of_first(p, 0);
  const int64_t scales = p.in(1).shape.elements();
  p.run(GroupNorm{&p.kernels(), p.op().number("epsilon", 1e-5f), p.in(0).buffer, p.in(1).buffer, p.in(2).buffer, out, c,
                  groups, scales});
}

// ---- By statistics that are given ----------------------------------------------------------------------------------

// y = scale x + shift for each channel, made of the four inputs in double precision.
void fold_statistics(const float* scale, const float* bias, const float* mean, const float* variance, float epsilon,
                     int64_t channels, float* folded) {
  for (int64_t c = 0; c < channels; ++c) {
    const double by =
        static_cast<double>(scale[c]) / std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(epsilon));
    folded[c] = static_cast<float>(by);
    folded[channels + c] = static_cast<float>(static_cast<double>(bias[c]) - static_cast<double>(mean[c]) * by);
  }
}

struct BatchNorm {
  const Kernels* kernels;
  BufferId from, out;
  Channels shape;

  void run(const Frame& frame, const float* folded) const {
    const float *x = frame.at<float>(from), *shift = folded + shape.channels;
    float* y = frame.at<float>(out);
    const bool rows = shape.size == 1;  // the channels lie side by side
    const int64_t n = rows ? shape.channels : shape.size;
    for (int64_t row = 0; row < shape.batch * (rows ? 1 : shape.channels); ++row) {
      const int64_t c = rows ? 0 : row % shape.channels;
      const Scale work{x + row * n, y + row * n, n, 0.0f, 1.0f, folded + c, shift + c, rows};
      kernels->scale_f32(&work);
    }
  }
};

// ---- Over neighbouring channels ------------------------------------------------------------------------------------

struct NeighbourNorm {
  float alpha, beta, bias;
  int64_t window;
  BufferId from, out;
  Channels shape;

  float square_sum(const float* x, int64_t c) const {
    const int64_t first = std::max<int64_t>(0, c - (window - 1) / 2);
    const int64_t last = std::min(shape.channels - 1, c + window / 2);
    float sum = 0.0f;
    for (int64_t other = first; other <= last; ++other) {
      const float value = x[other * shape.size];
      sum += value * value;
    }
    return sum;
  }

  void operator()(const Frame& frame) const {
    const float* x = frame.at<float>(from);
    float* y = frame.at<float>(out);
    const float share = alpha / static_cast<float>(window);
    for (int64_t b = 0; b < shape.batch; ++b, x += shape.channels * shape.size) {
      for (int64_t c = 0; c < shape.channels; ++c, y += shape.size) {
        for (int64_t i = 0; i < shape.size; ++i) {
          const float base = bias + share * square_sum(x + i, c);
          y[i] =
              x[c * shape.size + i] / static_cast<float>(power(static_cast<double>(base), static_cast<double>(beta)));
        }
      }
    }
  }
};

}  // namespace

void plan_layer_normalization(OpPlan& p) { plan_row_norm(p, true); }
void plan_rms_normalization(OpPlan& p) { plan_row_norm(p, false); }
void plan_group_normalization(OpPlan& p) { plan_groups(p, p.op().integer("num_groups", 0)); }
void plan_instance_normalization(OpPlan& p) { plan_groups(p, std::max<int64_t>(read_channels(p).channels, 1)); }

void plan_batch_normalization(OpPlan& p) {
  const Channels c = read_channels(p);
  for (int input = 1; input < 5; ++input) want_channels(p, input, c.channels, c.channels);
  const float epsilon = p.op().number("epsilon", 1e-5f);
  const Shape& shape = p.in(0).shape;
  const BatchNorm norm{&p.kernels(), p.in(0).buffer, p.out(0, DType::f32, shape), c};
  if (p.in(0).time_axis != 1) keep_time_of_first(p, 0);
  const size_t floats = static_cast<size_t>(2 * c.channels);
  if (p.in(1).known && p.in(2).known && p.in(3).known && p.in(4).known) {
    const auto packed = p.packed(0, {1, 2, 3, 4}, [&] {
      const auto memory = std::make_shared<std::vector<float>>(floats);
      const auto values = [&p](int input) { return static_cast<const float*>(p.in(input).known); };
      fold_statistics(values(1), values(2), values(3), values(4), epsilon, c.channels, memory->data());
      return std::shared_ptr<const void>(memory, memory->data());
    });
    p.cost(static_cast<uint64_t>(shape.elements()), floats * sizeof(float), static_cast<uint64_t>(4 * c.channels));
    return p.run([norm, packed](const Frame& frame) { norm.run(frame, static_cast<const float*>(packed.get())); });
  }
  const BufferId folded = p.scratch(floats * sizeof(float));
  p.run([norm, folded, epsilon, scale = p.in(1).buffer, bias = p.in(2).buffer, mean = p.in(3).buffer,
         variance = p.in(4).buffer](const Frame& frame) {
    float* memory = frame.at<float>(folded);
    fold_statistics(frame.at<float>(scale), frame.at<float>(bias), frame.at<float>(mean), frame.at<float>(variance),
                    epsilon, norm.shape.channels, memory);
    norm.run(frame, memory);
  });
}

void plan_lrn(OpPlan& p) {
  const Op& op = p.op();
  const int64_t window = op.integer("size", 0);
  want_attribute(p, window > 0, "size", window, "at least 1");
  const Channels c = read_channels(p);
  const Shape& shape = p.in(0).shape;
  const BufferId out = p.out(0, DType::f32, shape);
  if (p.in(0).time_axis != 1) keep_time_of_first(p, 0);
  p.cost(static_cast<uint64_t>(shape.elements()) * static_cast<uint64_t>(std::min(window, c.channels)), 0, 0);
  p.run(NeighbourNorm{op.number("alpha", 1e-4f), op.number("beta", 0.75f), op.number("bias", 1.0f), window,
                      p.in(0).buffer, out, c});
}

}  // namespace lrt

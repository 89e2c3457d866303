// MaxPool, AveragePool and LpPool over one to three spatial axes. A line of outputs is made at a time: each place of the
// kernel adds what it meets to the whole line, so every output takes its places in one order, by rows.
#include <algorithm>
#include <limits>

#include "model/memory.h"
#include "ops/checks.h"
#include "ops/dtypes.h"
#include "ops/power.h"
#include "ops/spatial.h"

namespace lrt {
namespace {

// Larger kernels than any axis needs are refused, since their places are planned one by one.
constexpr int64_t kMostPlaces = int64_t{1} << 24;

struct PoolShape {
  int64_t planes = 1;
  SpatialAxis axes[3];  // depth, height, width; those that are not there have one element
  std::vector<Reach> reach[3];
  std::vector<int64_t> divisors[3];  // AveragePool: places of the kernel that count, for each output
  Shape out;

  int64_t places_in() const { return axes[0].in * axes[1].in * axes[2].in; }
};

// Places of the kernel [begin, end) that output i has among elements [first, last) of its axis.
struct Places {
  int64_t begin, end;
};
Places places_among(const SpatialAxis& axis, int64_t i, int64_t first, int64_t last) {
  const int64_t start = i * axis.stride - axis.pad, d = axis.dilation;
  return {start < first ? (first - start + d - 1) / d : 0,
          start < last ? std::min((last - start + d - 1) / d, axis.kernel) : 0};
}

// AveragePool counts the places inside the border, of which those inside the pads may count or not. With ceil_mode the
// last outputs may reach further still.
std::vector<int64_t> plan_divisors(const SpatialAxis& axis, int64_t pad_end, bool with_pads) {
  std::vector<int64_t> counts;
  reserve_counted(counts, static_cast<double>(axis.out));
  const int64_t first = with_pads ? -axis.pad : 0, last = axis.in + (with_pads ? pad_end : 0);
  for (int64_t i = 0; i < axis.out; ++i) {
    const Places places = places_among(axis, i, first, last);
    counts.push_back(std::max<int64_t>(places.end - places.begin, 1));
  }
  return counts;
}

PoolShape read_pool(OpPlan& p) {
  const Shape& x = p.in(0).shape;
  const auto count = static_cast<size_t>(x.rank() - 2);
  const std::string auto_pad = read_auto_pad(p);
  if (!p.op().find("kernel_shape")) p.refuse(Status::file, "attribute kernel_shape is missing");
  const auto kernel = read_spatial(p, "kernel_shape", count, 1, 1), strides = read_spatial(p, "strides", count, 1, 1);
  const auto dilations = read_spatial(p, "dilations", count, 1, 1), pads = read_spatial(p, "pads", 2 * count, 0, 0);
  const bool ceil = p.op().integer("ceil_mode", 0) != 0, with_pads = p.op().integer("count_include_pad", 0) != 0;
  PoolShape s;
  s.planes = x[0] * x[1];
  s.out = {x[0], x[1]};
  for (size_t i = 0; i < 3; ++i) {
    SpatialAxis& axis = s.axes[i];
    int64_t pad_end = 0;
    if (i + count >= 3) {
      const size_t at = i + count - 3;
      want_attribute(p, kernel[at] <= kMostPlaces, "kernel_shape", kernel[at], "at most 2^24");
      axis.in = x[static_cast<int>(at) + 2];
      axis.kernel = kernel[at];
      axis.stride = strides[at];
      axis.dilation = dilations[at];
      axis.pad = pads[at];
      fit_output(p, axis, pads[count + at], auto_pad, ceil);
      if (axis.out > kMostPlaces) {  // they are planned one by one
        p.refuse(Status::shape, "an axis of " + std::to_string(axis.out) + " outputs; at most 2^24 can be made");
      }
      pad_end = auto_pad == "NOTSET" ? pads[count + at] : std::max<int64_t>(axis.span() - axis.pad - axis.in, 0);
      s.out.push_back(axis.out);
    }
    for (const Reach& reach : plan_reach(axis)) {
      if (reach.count() > 0) s.reach[i].push_back(reach);
    }
    if (p.op().type == "AveragePool") s.divisors[i] = plan_divisors(axis, pad_end, with_pads);
  }
  return s;
}

// Items and channels are apart, and so is an axis along which the pool does nothing.
void keep_pool_time(OpPlan& p, const PoolShape& s, int output) {
  const int time = time_of(p, 0);
  if (time < 0) return;
  if (time >= 2) {
    const SpatialAxis& axis = s.axes[3 - (s.out.rank() - time)];
    if (axis.kernel != 1 || axis.stride != 1 || axis.pad != 0 || axis.out != axis.in) return;
  }
  p.time_axis(output, time);
}

// Every output meets every place of the kernel, at most: a small file can ask for windows of millions.
void tell_cost(OpPlan& p, const PoolShape& s) {
  double folds = static_cast<double>(s.planes);
  for (size_t i = 0; i < 3; ++i) folds *= static_cast<double>(s.axes[i].out) * static_cast<double>(s.reach[i].size());
  p.cost(static_cast<uint64_t>(std::min(folds, 1e18)), 0, 0);
}

// A NaN stays.
template <class T>
struct Largest {
  using Element = T;
  static constexpr T start() {
    return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                : std::numeric_limits<T>::lowest();
  }
  T operator()(T so_far, T x) const { return x > so_far || x != x ? x : so_far; }
  void finish(T*, const PoolShape&, int64_t, int64_t) const {}
};

struct Average {
  using Element = float;
  static constexpr float start() { return 0.0f; }
  float operator()(float so_far, float x) const { return so_far + x; }
  void finish(float* line, const PoolShape& s, int64_t d, int64_t h) const {
    // Doubles: the product of three counts up to 2^24 leaves 64 bits.
    const auto outer =
        static_cast<double>(s.divisors[0][static_cast<size_t>(d)] * s.divisors[1][static_cast<size_t>(h)]);
    for (size_t i = 0; i < s.divisors[2].size(); ++i) {
      line[i] /= static_cast<float>(outer * static_cast<double>(s.divisors[2][i]));
    }
  }
};

// (Σ |x|^p)^(1/p)
struct Norm {
  using Element = float;
  int64_t p;
  static constexpr float start() { return 0.0f; }
  float operator()(float so_far, float x) const {
    const float size = x < 0.0f ? -x : x;
    return so_far + (p == 1 ? size : p == 2 ? size * size : static_cast<float>(power(size, static_cast<double>(p))));
  }
  void finish(float* line, const PoolShape& s, int64_t, int64_t) const {
    if (p == 1) return;
    for (int64_t i = 0; i < s.axes[2].out; ++i) {
      line[i] = static_cast<float>(power(line[i], p == 2 ? 0.5 : 1.0 / static_cast<double>(p)));
    }
  }
};

template <class Fold>
struct PoolCall {
  using T = typename Fold::Element;
  PoolShape s;
  Fold fold;
  BufferId x, out;

  void operator()(const Frame& frame) const {
    const T* from = frame.at<T>(x);
    T* to = frame.at<T>(out);
    for (int64_t plane = 0; plane < s.planes; ++plane, from += s.places_in()) {
      for (int64_t d = 0; d < s.axes[0].out; ++d) {
        for (int64_t h = 0; h < s.axes[1].out; ++h, to += s.axes[2].out) line(from, d, h, to);
      }
    }
  }

  void line(const T* from, int64_t d, int64_t h, T* to) const {
    std::fill(to, to + s.axes[2].out, Fold::start());
    for (const Reach& depth : s.reach[0]) {
      if (d < depth.begin || d >= depth.end) continue;
      const int64_t slice = depth.offset + (d - depth.begin) * s.axes[0].stride;
      for (const Reach& height : s.reach[1]) {
        if (h < height.begin || h >= height.end) continue;
        const int64_t row = height.offset + (h - height.begin) * s.axes[1].stride;
        add_row(from + (slice * s.axes[1].in + row) * s.axes[2].in, to);
      }
    }
    fold.finish(to, s, d, h);
  }

  void add_row(const T* row, T* to) const {
    const int64_t stride = s.axes[2].stride;
    for (const Reach& width : s.reach[2]) {
      const T* in = row + width.offset;
      T* line = to + width.begin;
      if (stride == 1) {
        for (int64_t i = 0; i < width.count(); ++i) line[i] = fold(line[i], in[i]);
      } else {
        for (int64_t i = 0; i < width.count(); ++i) line[i] = fold(line[i], in[i * stride]);
      }
    }
  }
};

// Where the maxima stand, counted through the whole input, by rows or by columns. The first of equals.
template <class T>
struct MaximaCall {
  PoolShape s;
  BufferId x, out;
  bool by_columns;

  void operator()(const Frame& frame) const {
    const T* from = frame.at<T>(x);
    auto* to = frame.at<int64_t>(out);
    for (int64_t plane = 0; plane < s.planes; ++plane, from += s.places_in()) {
      for (int64_t d = 0; d < s.axes[0].out; ++d) {
        for (int64_t h = 0; h < s.axes[1].out; ++h) {
          for (int64_t w = 0; w < s.axes[2].out; ++w) *to++ = plane * s.places_in() + find(from, d, h, w);
        }
      }
    }
  }

  int64_t find(const T* from, int64_t d, int64_t h, int64_t w) const {
    const SpatialAxis &depth = s.axes[0], &height = s.axes[1], &width = s.axes[2];
    int64_t found = 0;
    T best = Largest<T>::start();
    bool any = false;
    const Places i = places_among(depth, d, 0, depth.in), j = places_among(height, h, 0, height.in),
                 k = places_among(width, w, 0, width.in);
    for (int64_t z = i.begin; z < i.end; ++z) {
      const int64_t a = d * depth.stride + z * depth.dilation - depth.pad;
      for (int64_t y = j.begin; y < j.end; ++y) {
        const int64_t b = h * height.stride + y * height.dilation - height.pad;
        for (int64_t x_place = k.begin; x_place < k.end; ++x_place) {
          const int64_t c = w * width.stride + x_place * width.dilation - width.pad;
          const T value = from[(a * height.in + b) * width.in + c];
          if (any && !(value > best || (value != value && best == best))) continue;
          any = true;
          best = value;
          found = by_columns ? a + depth.in * (b + height.in * c) : (a * height.in + b) * width.in + c;
        }
      }
    }
    return found;
  }
};

template <class T>
void plan_max(OpPlan& p, const PoolShape& s, DType dtype) {
  const bool wants_indices = p.outputs() > 1 && p.wants(1);
  const BufferId out = p.out(0, dtype, s.out);
  keep_pool_time(p, s, 0);
  tell_cost(p, s);
  const PoolCall<Largest<T>> values{s, {}, p.in(0).buffer, out};
  if (!wants_indices) return p.run(values);
  const bool by_columns = p.op().integer("storage_order", 0) != 0;
  const MaximaCall<T> indices{s, p.in(0).buffer, p.out(1, DType::i64, s.out), by_columns};
  p.run([values, indices](const Frame& frame) {
    values(frame);
    indices(frame);
  });
}

template <class Fold>
void plan_float_pool(OpPlan& p, const Fold& fold) {
  const PoolShape s = read_pool(p);
  const BufferId out = p.out(0, DType::f32, s.out);
  keep_pool_time(p, s, 0);
  tell_cost(p, s);
  p.run(PoolCall<Fold>{s, fold, p.in(0).buffer, out});
}

}  // namespace

void plan_max_pool(OpPlan& p) {
  const PoolShape s = read_pool(p);
  const DType dtype = p.in(0).dtype;
  if (dtype == DType::u8) return plan_max<uint8_t>(p, s, dtype);
  if (dtype == DType::i8) return plan_max<int8_t>(p, s, dtype);
  plan_max<float>(p, s, dtype);
}

void plan_average_pool(OpPlan& p) { plan_float_pool(p, Average{}); }

void plan_lp_pool(OpPlan& p) {
  const int64_t norm = p.op().integer("p", 2);
  want_attribute(p, norm >= 1 && norm < 1024, "p", norm, "1 to 1023");
  plan_float_pool(p, Norm{norm});
}

}  // namespace lrt

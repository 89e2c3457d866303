// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: between floats and bytes with a scale and a zero point.
#include "ops/quantize_linear.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "ops/checks.h"
#include "ops/dtypes.h"

namespace lrt {
namespace {

constexpr int kScale = 1, kZero = 2;

// Rounds a value within +-2^21 to the nearest integer, ties to even.
int32_t rounded(float value) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: no bit is left for a fraction
  return static_cast<int32_t>(value + kRound - kRound);
}

// Where the scale of an element stands. x is [outer, dim, inner]; each run of `inner` elements has one scale, or, where
// there are blocks of dim, as many as elements.
struct ScaleLayout {
  int64_t outer = 1, dim = 1, inner = 1;
  int64_t block = 1, blocks = 0;  // elements of dim that share a scale, and how many such; 0: no blocks
  bool single = true;             // one scale for all
  int axis = -1;

  // run(first element, elements, first scale, scale step) for every run.
  template <class F>
  void runs(const F& run) const {
    if (inner == 0) return;
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t d = 0; d < dim; ++d) {
        const int64_t scale = single ? 0 : blocks == 0 ? d : (o * blocks + d / block) * inner;
        run((o * dim + d) * inner, inner, scale, blocks == 0 ? 0 : 1);
      }
    }
  }
};

ScaleLayout read_scale_layout(OpPlan& p) {
  const Shape &x = p.in(0).shape, &scale = p.in(kScale).shape;
  const int64_t block = p.op().integer("block_size", 0);
  want_attribute(p, block >= 0, "block_size", block, "0 or more");
  ScaleLayout layout;
  layout.inner = x.elements();
  if (block == 0 && scale.elements() == 1) return layout;

  layout.single = false;
  layout.axis = want_axis(p, p.op().integer("axis", 1), x.rank());
  layout.outer = x.product(0, layout.axis);
  layout.dim = x[layout.axis];
  layout.inner = x.product(layout.axis + 1, x.rank());
  Shape wanted{layout.dim};
  if (block != 0) {
    layout.block = block;
    layout.blocks = layout.dim / block + (layout.dim % block != 0 ? 1 : 0);
    wanted = x;
    wanted[layout.axis] = layout.blocks;
  }
  if (scale != wanted) {
    p.refuse(Status::shape, "scale " + scale.text() + " of " + x.text() + " along axis " + std::to_string(layout.axis) +
                                "; wanted " + (block == 0 ? "one scale, or " : "") + wanted.text());
  }
  return layout;
}

// The zero points' buffer, -1 where all are 0.
BufferId read_zeros(OpPlan& p, DType dtype) {
  if (!p.has(kZero)) return -1;
  const Operand& zero = p.in(kZero);
  if (zero.dtype != dtype) {
    p.refuse(Status::unsupported, input_text(p, kZero) + " is " + name_of(zero.dtype) + "; wanted " + name_of(dtype));
  }
  const Shape& scale = p.in(kScale).shape;
  if (zero.shape != scale && (zero.shape.elements() != 1 || scale.elements() != 1)) {
    p.refuse(Status::shape, input_text(p, kZero) + " is " + zero.shape.text() + ", the scale " + scale.text() +
                                "; they must be the same");
  }
  return zero.buffer;
}

// Element by element, unless scales change along time.
void keep_quantized_time(OpPlan& p, const ScaleLayout& layout) {
  const int time = time_of(p, 0);
  if (time_of(p, kScale) >= 0 || time_of(p, kZero) >= 0 || layout.blocks != 0 || time == layout.axis) return;
  keep_time(p, 0, time);
}

template <class T>
struct QuantizeCall {
  ScaleLayout layout;
  void (*quantize)(const float*, int64_t, float, int32_t, int32_t, void*);
  BufferId x, scale, zero, out;

  void operator()(const Frame& frame) const {
    const float *from = frame.at<float>(x), *scales = frame.at<float>(scale);
    const T* zeros = zero < 0 ? nullptr : frame.at<T>(zero);
    T* to = frame.at<T>(out);
    const auto some = [&](int64_t first, int64_t n, int64_t at) {
      quantize(from + first, n, scales[at], zeros ? zeros[at] : 0, std::numeric_limits<T>::min(), to + first);
    };
    layout.runs([&](int64_t first, int64_t n, int64_t at, int64_t step) {
      if (step == 0) return some(first, n, at);
      for (int64_t i = 0; i < n; ++i) some(first + i, 1, at + i);
    });
  }
};

// To integers of other widths, which are kept as int32.
struct QuantizeWideCall {
  ScaleLayout layout;
  int32_t low, high;
  BufferId x, scale, zero, out;

  void operator()(const Frame& frame) const {
    const float *from = frame.at<float>(x), *scales = frame.at<float>(scale);
    const int32_t* zeros = zero < 0 ? nullptr : frame.at<int32_t>(zero);
    int32_t* to = frame.at<int32_t>(out);
    layout.runs([&](int64_t first, int64_t n, int64_t at, int64_t step) {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t own = at + i * step;
        to[first + i] = value(from[first + i] / scales[own], zeros ? zeros[own] : 0);
      }
    });
  }

  // A NaN becomes the zero point.
  int32_t value(float quotient, int32_t zero_point) const {
    constexpr float kMost = 131072.0f;  // beyond any sum of 16 bits that is not saturated
    const float bounded = quotient < kMost ? (quotient > -kMost ? quotient : -kMost) : quotient >= kMost ? kMost : 0.0f;
    const int32_t whole = rounded(bounded == bounded ? bounded : 0.0f);
    return std::clamp(whole + std::clamp(zero_point, low, high), low, high);
  }
};

template <class T>
struct DequantizeCall {
  ScaleLayout layout;
  BufferId x, scale, zero, out;

  void operator()(const Frame& frame) const {
    const T *from = frame.at<T>(x), *zeros = zero < 0 ? nullptr : frame.at<T>(zero);
    const float* scales = frame.at<float>(scale);
    float* to = frame.at<float>(out);
    layout.runs([&](int64_t first, int64_t n, int64_t at, int64_t step) {
      if (step != 0) {
        for (int64_t i = 0; i < n; ++i) to[first + i] = value(from[first + i], zeros, at + i) * scales[at + i];
        return;
      }
      const float own = scales[at];
      for (int64_t i = 0; i < n; ++i) to[first + i] = value(from[first + i], zeros, at) * own;
    });
  }

  static float value(T byte, const T* zeros, int64_t at) {
    const auto less = static_cast<uint32_t>(zeros ? zeros[at] : T{0});
    return static_cast<float>(static_cast<int32_t>(static_cast<uint32_t>(byte) - less));
  }
};

}  // namespace

ByteScale byte_scale(const Kernels& kernels, const float* x, int64_t n) {
  float above, below;
  kernels.extent_f32(x, n, &above, &below);
  const float range = above + below;
  if (!(range <= std::numeric_limits<float>::max())) return {std::numeric_limits<float>::quiet_NaN(), 0};
  float scale = range / 255.0f;
  if (scale < std::numeric_limits<float>::min()) scale = 1.0f;  // all are 0, or as good as
  const float zero = below / scale;
  return {scale, rounded(zero < 255.0f ? zero : 255.0f)};
}

void plan_quantize_linear(OpPlan& p) {
  const bool has_zero = p.has(kZero);
  const DType dtype = p.op().find("dtype") ? want_dtype_code(p, p.op().integer("dtype", 0))
                      : has_zero           ? p.in(kZero).dtype
                                           : DType::u8;
  const int64_t low = p.op().integer("low", 0), high = p.op().integer("high", 0);
  const bool wide = dtype == DType::i32 && low >= INT16_MIN && low < high && high <= UINT16_MAX;
  if (dtype != DType::u8 && dtype != DType::i8 && !wide) {
    p.refuse(Status::unsupported, std::string("to ") + name_of(dtype) + "; supported: uint8, int8");
  }
  const ScaleLayout layout = read_scale_layout(p);
  const BufferId zero = read_zeros(p, dtype), x = p.in(0).buffer, scale = p.in(kScale).buffer;
  const BufferId out = p.out(0, dtype, p.in(0).shape);
  keep_quantized_time(p, layout);
  if (wide) {
    return p.run(QuantizeWideCall{layout, static_cast<int32_t>(low), static_cast<int32_t>(high), x, scale, zero, out});
  }
  const auto quantize = p.kernels().quantize_bytes;
  if (dtype == DType::u8) return p.run(QuantizeCall<uint8_t>{layout, quantize, x, scale, zero, out});
  p.run(QuantizeCall<int8_t>{layout, quantize, x, scale, zero, out});
}

void plan_dequantize_linear(OpPlan& p) {
  const DType dtype = p.in(0).dtype;
  const ScaleLayout layout = read_scale_layout(p);
  const BufferId zero = read_zeros(p, dtype), x = p.in(0).buffer, scale = p.in(kScale).buffer;
  const BufferId out = p.out(0, DType::f32, p.in(0).shape);
  keep_quantized_time(p, layout);
  if (dtype == DType::u8) return p.run(DequantizeCall<uint8_t>{layout, x, scale, zero, out});
  if (dtype == DType::i8) return p.run(DequantizeCall<int8_t>{layout, x, scale, zero, out});
  p.run(DequantizeCall<int32_t>{layout, x, scale, zero, out});
}

// The range is of all of x: time is mixed.
void plan_dynamic_quantize_linear(OpPlan& p) {
  const Operand& in = p.in(0);
  const BufferId x = in.buffer, out = p.out(0, DType::u8, in.shape);
  const BufferId scale = p.out(1, DType::f32, {}), zero = p.out(2, DType::u8, {});
  p.run([&kernels = p.kernels(), x, out, scale, zero, n = in.shape.elements()](const Frame& frame) {
    const ByteScale found = byte_scale(kernels, frame.at<float>(x), n);
    *frame.at<float>(scale) = found.scale;
    *frame.at<uint8_t>(zero) = static_cast<uint8_t>(found.zero);
    kernels.quantize_bytes(frame.at<float>(x), n, found.scale, found.zero, 0, frame.at<uint8_t>(out));
  });
}

}  // namespace lrt

#include "ops/integer_product.h"

#include "ops/checks.h"

namespace lrt {

namespace {

// Σ_k u[k]: modulo 2^32 as everything here.
int32_t sum_of(const uint8_t* x, int64_t k, int32_t flip) {
  uint32_t sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += static_cast<uint32_t>(x[i] ^ flip);
  return static_cast<int32_t>(sum);
}

}  // namespace

WeightFormat byte_format(const WeightView& w) {
  const auto* bytes = static_cast<const uint8_t*>(w.data);
  const uint8_t lowest = w.dtype == DType::u8 ? 0 : 128;
  const uint8_t* end = bytes + w.k * w.n;
  return std::find(bytes, end, lowest) != end ? LRT_FORMAT_NIBBLES : LRT_FORMAT_BYTES;
}

std::shared_ptr<const PackedPanels> pack_bytes(const Kernels& kernels, const WeightView& w) {
  const WeightFormat format = byte_format(w);
  return pack_panels(format, w, group_for(kernels, format, w.k, vectors_for(w.n)));
}

WeightZeros::WeightZeros(OpPlan& p, int input, DType dtype, int64_t columns) : dtype_(dtype) {
  const bool given = input < p.inputs() && p.has(input);
  if (given) {
    const Operand& zeros = p.in(input);
    if (zeros.dtype != dtype) {
      p.refuse(Status::unsupported, input_text(p, input) + " is " + name_of(zeros.dtype) + "; wanted " +
                                        name_of(dtype) + " as the weights are");
    }
    single_ = zeros.shape.elements() == 1;
    if (!single_ && zeros.shape.elements() != columns) {
      p.refuse(Status::shape, input_text(p, input) + " is " + zeros.shape.text() + "; wanted one zero point, or " +
                                  std::to_string(columns));
    }
    source_ = zeros.buffer;
  }
  if (given || dtype == DType::u8) values_ = p.scratch(static_cast<size_t>(columns) * sizeof(int32_t));
}

const int32_t* WeightZeros::read(const Frame& frame, int64_t first, int64_t count) const {
  if (values_ < 0) return nullptr;
  auto* to = frame.at<int32_t>(values_);
  const uint8_t* from = source_ < 0 ? nullptr : frame.at<uint8_t>(source_) + (single_ ? 0 : first);
  bool any = false;
  for (int64_t i = 0; i < count; ++i) {
    to[i] = packed_zero(from ? from[single_ ? 0 : i] : uint8_t{0}, dtype_);
    any = any || to[i] != 0;
  }
  return any ? to : nullptr;
}

void multiply_integers(const Kernels& kernels, const IntegerGemm& g, void* scratch, Parallel* parallel) {
  kernels.byte_rows(g.w, g.x, g.x_stride, g.rows, g.flip, scratch);
  Gemm gemm{g.w, nullptr, 0, g.rows, nullptr, reinterpret_cast<float*>(g.out), g.cols, g.cols, g.backwards};
  gemm.quantized = scratch;
  multiply_quantized(kernels, gemm, parallel);
  const int32_t middle = g.w->format == LRT_FORMAT_BYTES ? 128 : 0;
  for (int64_t m = 0; m < g.rows; ++m) {
    const int32_t zero = (g.x_zero ? g.x_zero[m * g.x_zero_step] : 0) ^ g.flip;
    const auto zeros = static_cast<uint32_t>(zero) * static_cast<uint32_t>(g.w->k);
    const int32_t sum =
        g.w_zeros ? static_cast<int32_t>(static_cast<uint32_t>(sum_of(g.x + m * g.x_stride, g.w->k, g.flip)) - zeros)
                  : 0;
    kernels.correct_sums(g.out + m * g.cols, g.cols, g.w->sums, middle - zero, g.w_zeros, sum);
  }
}

}  // namespace lrt

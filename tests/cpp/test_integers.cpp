// Products of bytes, and the way between floats and bytes, of every table against slow, obvious definitions: all exact, and
// so the same on every CPU. Bytes run over their whole range, the ends among them.
#include "kernel_check.h"
#include "ops/panels.h"

namespace {

std::vector<uint8_t> random_bytes(int64_t n, uint32_t seed, uint8_t least) {
  std::mt19937 generator(seed);
  std::vector<uint8_t> bytes(static_cast<size_t>(n));
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(generator() >> 16);
    if (i % 7 == 0) bytes[i] = 255;
    if (i % 11 == 0 || bytes[i] < least) bytes[i] = least;
  }
  return bytes;
}

// Weights from `lowest` on, of uint8: packed, they are less 128.
void test_product(const Kernels& kernels, WeightFormat format, int64_t k, int64_t n, int64_t rows, bool is_signed) {
  const uint8_t lowest = format == LRT_FORMAT_BYTES ? 1 : 0;
  const std::vector<uint8_t> w = random_bytes(k * n, 1, lowest), x = random_bytes(rows * (k + 3), 2, 0);
  WeightView view;
  view.data = w.data();
  view.dtype = DType::u8;
  view.k = k;
  view.n = n;
  view.k_stride = n;
  view.n_stride = 1;
  const auto packed = pack_panels(format, view, group_for(kernels, format, k, vectors_for(n)));
  AlignedBuffer quantized(static_cast<size_t>(rows * lrt_quantized_row(format, k)));
  kernels.byte_rows(&packed->panels, x.data(), k + 3, rows, is_signed ? 128 : 0, quantized.as<void>());
  constexpr int32_t kNothing = -77777777;
  std::vector<int32_t> out(static_cast<size_t>(rows * (n + 2)), kNothing), expected = out;
  Gemm gemm{&packed->panels, nullptr, 0, rows, nullptr, reinterpret_cast<float*>(out.data()), n + 2, n, 0};
  gemm.last_group = group_count(packed->panels);
  gemm.quantized = quantized.as<void>();
  kernels.gemm(&gemm);
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t c = 0; c < n; ++c) {
      int64_t sum = 0;
      for (int64_t i = 0; i < k; ++i) {
        const int value =
            (x[static_cast<size_t>(m * (k + 3) + i)] ^ (is_signed ? 128 : 0)) - (format == LRT_FORMAT_BYTES ? 128 : 0);
        sum += int64_t{value} * (w[static_cast<size_t>(i * n + c)] - 128);
      }
      expected[static_cast<size_t>(m * (n + 2) + c)] = static_cast<int32_t>(sum);
    }
  }
  check(out == expected, text("byte product, format, k, n, rows", int{format}, k, n, rows));
}

void test_products(const Kernels& kernels) {
  for (const WeightFormat format : {LRT_FORMAT_BYTES, LRT_FORMAT_NIBBLES}) {
    for (const int64_t k : {1, 2, 5, 64, 130, 1000}) {
      for (const int64_t n : {1, 16, 33, 150}) {
        for (const int64_t rows : {1, 2, 3, 7, 20}) test_product(kernels, format, k, n, rows, (k + rows) % 2 == 0);
      }
    }
  }
}

// Where all bytes are at an end of their range, no sum of pairs may saturate.
void test_extremes(const Kernels& kernels) {
  for (const int ends : {0, 1, 2, 3}) {
    const uint8_t x_byte = ends % 2 ? 255 : 0;
    for (const WeightFormat format : {LRT_FORMAT_BYTES, LRT_FORMAT_NIBBLES}) {
      const int64_t k = 64, n = 16;
      const uint8_t w_byte = ends / 2 ? 255 : format == LRT_FORMAT_BYTES ? 1 : 0;
      const std::vector<uint8_t> w(static_cast<size_t>(k * n), w_byte), x(static_cast<size_t>(k), x_byte);
      WeightView view;
      view.data = w.data();
      view.dtype = DType::u8;
      view.k = k;
      view.n = n;
      view.k_stride = n;
      view.n_stride = 1;
      const auto packed = pack_panels(format, view, 1);
      AlignedBuffer quantized(static_cast<size_t>(lrt_quantized_row(format, k)));
      kernels.byte_rows(&packed->panels, x.data(), k, 1, 0, quantized.as<void>());
      std::vector<int32_t> out(static_cast<size_t>(n));
      Gemm gemm{&packed->panels, nullptr, 0, 1, nullptr, reinterpret_cast<float*>(out.data()), n, n, 0};
      gemm.last_group = 1;
      gemm.quantized = quantized.as<void>();
      kernels.gemm(&gemm);
      const int value = x_byte - (format == LRT_FORMAT_BYTES ? 128 : 0);
      check(out[0] == 64 * value * (w_byte - 128) && out[15] == out[0],
            text("byte product of extremes, format, x, w", int{format}, int{x_byte}, int{w_byte}));
    }
  }
}

void test_corrections(const Kernels& kernels) {
  for (const int64_t n : kSizes) {
    std::vector<int32_t> sums(static_cast<size_t>(n)), columns = sums, zeros = sums, expected = sums;
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i] = static_cast<int32_t>(i * 1234567u);
      columns[i] = static_cast<int32_t>(i) * -40000;
      zeros[i] = static_cast<int32_t>(i) - 50;
      const int64_t whole = int64_t{sums[i]} + int64_t{90000} * columns[i] - int64_t{7777} * zeros[i];
      expected[i] = static_cast<int32_t>(static_cast<uint32_t>(whole));  // wraps
    }
    kernels.correct_sums(sums.data(), n, columns.data(), 90000, zeros.data(), 7777);
    check(sums == expected, text("correct_sums", n));
  }
}

void test_floats(const Kernels& kernels, Hash* hash) {
  for (const int64_t n : kSizes) {
    const auto size = static_cast<size_t>(n);
    Floats x = random_floats(size, 5, 9.0f);
    float above, below;
    kernels.extent_f32(x.data(), n, &above, &below);
    const float most = *std::max_element(x.begin(), x.end()), least = *std::min_element(x.begin(), x.end());
    check(above == std::max(most, 0.0f) && below == std::max(-least, 0.0f), text("extent", n));

    x[size / 2] = std::numeric_limits<float>::quiet_NaN();
    for (const int lowest : {0, -128}) {
      const int zero = lowest + 100;
      std::vector<uint8_t> bytes(size + 1, 77), expected = bytes;
      kernels.quantize_bytes(x.data(), n, 0.05f, zero, lowest, bytes.data());
      for (size_t i = 0; i < size; ++i) {
        const float whole = std::nearbyint(x[i] / 0.05f) + static_cast<float>(zero);
        const float bounded = whole > static_cast<float>(lowest) ? whole : static_cast<float>(lowest);  // NaN: lowest
        expected[i] = static_cast<uint8_t>(static_cast<int>(std::min(bounded, static_cast<float>(lowest + 255))));
      }
      check(bytes == expected, text("quantize_bytes", n, lowest));
    }

    std::vector<int32_t> sums(size);
    for (size_t i = 0; i < size; ++i) sums[i] = static_cast<int32_t>(i * 99999937u);
    const Floats scales = random_floats(size, 6), start = random_floats(size, 7);
    Floats out(size + 1, kUntouched), expected = out;
    kernels.scale_sums(sums.data(), scales.data(), 0.3f, start.data(), out.data(), n);
    for (size_t i = 0; i < size; ++i) expected[i] = start[i] + static_cast<float>(sums[i]) * (scales[i] * 0.3f);
    check(same_bits(out, expected), text("scale_sums", n));
    compare_tables(kernels, text("scale_sums", n), out);
    hash->add(out);
  }
}

}  // namespace

int main() {
  for_each_table([](const Kernels& kernels) {
    Hash hash;
    test_products(kernels);
    test_extremes(kernels);
    test_corrections(kernels);
    test_floats(kernels, &hash);
    print_hash(kernels, "integers", hash);
  });
  return report();
}

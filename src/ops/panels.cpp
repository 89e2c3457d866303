#include "ops/panels.h"

#include <cstring>

namespace lrt {

namespace {

// Every 32-bit lane of every line, in the order of Panels: word(line, column).
template <class Word>
void pack_lines(void* to, int64_t lines, int64_t vectors, int group, const Word& word) {
  auto* at = static_cast<uint32_t*>(to);
  for (int64_t first = 0; first < vectors; first += group) {
    const int64_t begin = first * LRT_LANES, end = std::min(first + group, vectors) * LRT_LANES;
    for (int64_t line = 0; line < lines; ++line) {
      for (int64_t column = begin; column < end; ++column) *at++ = word(line, column);
    }
  }
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

void pack_f32(void* to, const WeightView& w, int64_t vectors, int group, const ColumnOrder& order) {
  pack_lines(to, w.k, vectors, group, [&](int64_t line, int64_t column) {
    const int64_t from = order(column);
    return from < 0 ? 0u : bits_of(w.float_at(line, from));
  });
}

void pack_bf16(void* to, const WeightView& w, int64_t vectors, int group, const ColumnOrder& order) {
  pack_lines(to, (w.k + 1) / 2, vectors, group, [&](int64_t line, int64_t column) {
    const int64_t from = order(column), odd = 2 * line + 1;
    if (from < 0) return 0u;
    return bits_of(w.float_at(2 * line, from)) >> 16 | (odd < w.k ? bits_of(w.float_at(odd, from)) : 0u);
  });
}

// weight(k, column)
template <class Weight>
void pack_bytes(void* to, const WeightView& w, int64_t vectors, int group, const ColumnOrder& order,
                const Weight& weight) {
  pack_lines(to, (w.k + 3) / 4, vectors, group, [&](int64_t line, int64_t column) {
    const int64_t from = order(column);
    uint32_t word = 0;
    for (int64_t k = 4 * line; from >= 0 && k < std::min(4 * line + 4, w.k); ++k) {
      word |= static_cast<uint32_t>(static_cast<uint8_t>(weight(k, from))) << 8 * (k % 4);
    }
    return word;
  });
  const Panels panels = panels_at(to, LRT_FORMAT_INT8, w.k, vectors, group);
  auto* scales = const_cast<float*>(panels.scales);
  auto* sums = const_cast<int32_t*>(panels.sums);
  for (int64_t column = 0; column < vectors * LRT_LANES; ++column) {
    const int64_t from = order(column);
    scales[column] = from < 0 ? 0.0f : w.scales ? w.scales[from] : 1.0f;
    sums[column] = 0;
    for (int64_t k = 0; from >= 0 && k < w.k; ++k) sums[column] += weight(k, from);
  }
}

// One block of 32 values of k of one vector: its lines, and its scales.
void pack_int4_block(uint8_t* to, uint8_t* scales, const WeightView& w, int64_t first, int64_t column,
                     const ColumnOrder& order) {
  constexpr uint8_t kZero = 8;
  for (int64_t lane = 0; lane < LRT_LANES; ++lane) {
    const int64_t from = order(column + lane);
    const auto nibble = [&](int64_t k) { return from < 0 || k >= w.k ? kZero : w.nibble_at(k, from); };
    for (int64_t line = 0; line < 4; ++line) {
      for (int64_t j = 0; j < 4; ++j) {
        const int64_t k = first + 8 * line + j;
        to[line * 64 + lane * 4 + j] = static_cast<uint8_t>(nibble(k) | nibble(k + 4) << 4);
      }
    }
    const uint16_t scale = from < 0 ? 0 : w.half_scale_at(first, from);
    std::memcpy(scales + lane * 2, &scale, sizeof scale);
  }
}

void pack_int4(void* to, const WeightView& w, int64_t vectors, int group, const ColumnOrder& order) {
  auto* at = static_cast<uint8_t*>(to);
  for (int64_t first = 0; first < vectors; first += group) {
    const int64_t count = std::min<int64_t>(group, vectors - first);
    for (int64_t k = 0; k < w.k; k += kQ4Block, at += count * (4 * 64 + 32)) {
      for (int64_t v = 0; v < count; ++v) {
        pack_int4_block(at + v * 4 * 64, at + count * 4 * 64 + v * 32, w, k, (first + v) * LRT_LANES, order);
      }
    }
  }
}

bool has_scales(WeightFormat format) {
  return format == LRT_FORMAT_INT8 || format == LRT_FORMAT_INT8X16 || format == LRT_FORMAT_BYTES ||
         format == LRT_FORMAT_NIBBLES;
}

}  // namespace

size_t panel_bytes(WeightFormat format, int64_t k, int64_t vectors) {
  return static_cast<size_t>(vectors * (lrt_vector_bytes(format, k) + (has_scales(format) ? 2 * 64 : 0)));
}

int group_for(const Kernels& kernels, WeightFormat format, int64_t k, int64_t vectors, int unit) {
  constexpr size_t kNear = size_t{1} << 20;  // what a second-level cache holds, more or less
  const int limit = panel_bytes(format, k, vectors) > kNear ? kernels.tile_vectors : kernels.max_group;
  return unit * std::max(1, limit / unit);
}

void pack_panels_into(void* to, WeightFormat format, const WeightView& w, int64_t vectors, int group,
                      const ColumnOrder& order) {
  switch (format) {
    case LRT_FORMAT_BF16:
      return pack_bf16(to, w, vectors, group, order);
    case LRT_FORMAT_INT8:
    case LRT_FORMAT_INT8X16:
      return pack_bytes(to, w, vectors, group, order, [&w](int64_t k, int64_t n) { return w.int8_at(k, n); });
    case LRT_FORMAT_BYTES:
    case LRT_FORMAT_NIBBLES:
      return pack_bytes(to, w, vectors, group, order, [&w](int64_t k, int64_t n) { return w.byte_at(k, n); });
    case LRT_FORMAT_INT4:
      return pack_int4(to, w, vectors, group, order);
    default:
      return pack_f32(to, w, vectors, group, order);
  }
}

void pack_panels_into(void* to, WeightFormat format, const WeightView& w, int group) {
  const int64_t n = w.n;
  pack_panels_into(to, format, w, vectors_for(n), group, [n](int64_t column) { return column < n ? column : -1; });
}

PanelPlace::PanelPlace(size_t floats_before, WeightFormat format, int64_t k, int64_t vectors, int group)
    : at_(floats_before),
      to_scales_(has_scales(format) ? vectors * lrt_vector_bytes(format, k) : 0),
      panels_{nullptr, nullptr, nullptr, k, vectors, group, format} {}

Panels PanelPlace::in(const float* memory) const {
  Panels panels = panels_;
  panels.data = memory + at_;
  if (to_scales_ > 0) {
    const char* behind = static_cast<const char*>(panels.data) + to_scales_;
    panels.scales = reinterpret_cast<const float*>(behind);
    panels.sums = reinterpret_cast<const int32_t*>(behind + panels.vectors * 64);
  }
  return panels;
}

Panels panels_at(const void* data, WeightFormat format, int64_t k, int64_t vectors, int group) {
  return PanelPlace(0, format, k, vectors, group).in(static_cast<const float*>(data));
}

std::shared_ptr<const PackedPanels> pack_panels(WeightFormat format, const WeightView& w, int64_t vectors, int group,
                                                const ColumnOrder& order) {
  auto packed = std::make_shared<PackedPanels>();
  packed->storage = AlignedBuffer(panel_bytes(format, w.k, vectors));
  packed->panels = panels_at(packed->storage.as<void>(), format, w.k, vectors, group);
  pack_panels_into(packed->storage.as<void>(), format, w, vectors, group, order);
  return packed;
}

std::shared_ptr<const PackedPanels> pack_panels(WeightFormat format, const WeightView& w, int group) {
  const int64_t n = w.n;
  return pack_panels(format, w, vectors_for(n), group, [n](int64_t column) { return column < n ? column : -1; });
}

void pack_bias_into(float* to, const float* bias, int64_t n) {
  const int64_t filled = bias ? n : 0;
  if (bias) std::copy_n(bias, n, to);
  std::fill(to + filled, to + vectors_for(n) * LRT_LANES, 0.0f);
}

std::shared_ptr<const AlignedBuffer> pack_bias(const float* bias, int64_t n) {
  auto packed = std::make_shared<AlignedBuffer>(panel_bytes(LRT_FORMAT_F32, 1, vectors_for(n)));
  if (n > 0) pack_bias_into(packed->as<float>(), bias, n);
  return packed;
}

}  // namespace lrt

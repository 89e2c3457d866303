#include "ops/panels.h"

#include <cstring>

namespace lrt {

namespace {

// pack(memory, first vector, vectors) of every group.
template <class Pack>
void for_groups(const Panels& panels, const Pack& pack) {
  for (int64_t first = 0; first < panels.vectors; first += panels.group) {
    const int64_t count = std::min<int64_t>(panels.group, panels.vectors - first);
    pack(static_cast<char*>(const_cast<void*>(panels.data)) + first * panels.pitch + count * panels.lead, first, count);
  }
}

// Every 32-bit lane of every line, in the order of Panels: word(line, column).
template <class Word>
void pack_lines(const Panels& panels, int64_t lines, const Word& word) {
  for_groups(panels, [&](char* to, int64_t first, int64_t count) {
    auto* at = reinterpret_cast<uint32_t*>(to);
    const int64_t begin = first * LRT_LANES, end = begin + count * LRT_LANES;
    for (int64_t line = 0; line < lines; ++line) {
      for (int64_t column = begin; column < end; ++column) *at++ = word(line, column);
    }
  });
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

void pack_f32(const Panels& to, const WeightView& w, const ColumnOrder& order) {
  pack_lines(to, w.k, [&](int64_t line, int64_t column) {
    const int64_t from = order(column);
    return from < 0 ? 0u : bits_of(w.float_at(line, from));
  });
}

void pack_bf16(const Panels& to, const WeightView& w, const ColumnOrder& order) {
  pack_lines(to, (w.k + 1) / 2, [&](int64_t line, int64_t column) {
    const int64_t from = order(column), odd = 2 * line + 1;
    if (from < 0) return 0u;
    return bits_of(w.float_at(2 * line, from)) >> 16 | (odd < w.k ? bits_of(w.float_at(odd, from)) : 0u);
  });
}

// weight(k, column)
template <class Weight>
void pack_bytes(const Panels& to, const WeightView& w, const ColumnOrder& order, const Weight& weight) {
  pack_lines(to, (w.k + 3) / 4, [&](int64_t line, int64_t column) {
    const int64_t from = order(column);
    uint32_t word = 0;
    for (int64_t k = 4 * line; from >= 0 && k < std::min(4 * line + 4, w.k); ++k) {
      word |= static_cast<uint32_t>(static_cast<uint8_t>(weight(k, from))) << 8 * (k % 4);
    }
    return word;
  });
  auto* scales = const_cast<float*>(to.scales);
  auto* sums = const_cast<int32_t*>(to.sums);
  for (int64_t column = 0; column < to.vectors * LRT_LANES; ++column) {
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

void pack_int4(const Panels& to, const WeightView& w, const ColumnOrder& order) {
  for_groups(to, [&](char* memory, int64_t first, int64_t count) {
    auto* at = reinterpret_cast<uint8_t*>(memory);
    for (int64_t k = 0; k < w.k; k += kQ4Block, at += count * (4 * 64 + 32)) {
      for (int64_t v = 0; v < count; ++v) {
        pack_int4_block(at + v * 4 * 64, at + count * 4 * 64 + v * 32, w, k, (first + v) * LRT_LANES, order);
      }
    }
  });
}

constexpr int64_t kScaleBytes = 2 * 64;  // scales and sums of the columns of a vector

bool has_scales(WeightFormat format) {
  return format == LRT_FORMAT_INT8 || format == LRT_FORMAT_INT8X16 || format == LRT_FORMAT_BYTES ||
         format == LRT_FORMAT_NIBBLES;
}

}  // namespace

size_t panel_bytes(WeightFormat format, int64_t k, int64_t vectors) {
  return static_cast<size_t>(vectors * (lrt_vector_bytes(format, k) + (has_scales(format) ? kScaleBytes : 0)));
}

int group_for(const Kernels& kernels, WeightFormat format, int64_t k, int64_t vectors, int unit) {
  constexpr size_t kNear = size_t{1} << 20;  // what a second-level cache holds, more or less
  const int limit = panel_bytes(format, k, vectors) > kNear ? kernels.tile_vectors : kernels.max_group;
  return unit * std::max(1, limit / unit);
}

void pack_panels_into(const Panels& to, const WeightView& w, const ColumnOrder& order) {
  switch (to.format) {
    case LRT_FORMAT_BF16:
      return pack_bf16(to, w, order);
    case LRT_FORMAT_INT8:
    case LRT_FORMAT_INT8X16:
      return pack_bytes(to, w, order, [&w](int64_t k, int64_t n) { return w.int8_at(k, n); });
    case LRT_FORMAT_BYTES:
    case LRT_FORMAT_NIBBLES:
      return pack_bytes(to, w, order, [&w](int64_t k, int64_t n) { return w.byte_at(k, n); });
    case LRT_FORMAT_INT4:
      return pack_int4(to, w, order);
    default:
      return pack_f32(to, w, order);
  }
}

Panels pack_panels_into(void* to, WeightFormat format, const WeightView& w, int group) {
  const int64_t n = w.n;
  const Panels panels = panels_at(to, format, w.k, vectors_for(n), group);
  pack_panels_into(panels, w, [n](int64_t column) { return column < n ? column : -1; });
  return panels;
}

PanelPlace::PanelPlace(size_t floats_before, WeightFormat format, int64_t k, int64_t vectors, int group)
    : at_(floats_before),
      panels_{nullptr, nullptr, nullptr, k, vectors, group, format, 0, lrt_vector_bytes(format, k)} {
  if (has_scales(format)) to_scales_ = vectors * panels_.pitch;
}

std::pair<PanelPlace, PanelPlace> PanelPlace::in_turns(size_t floats_before, WeightFormat format, int64_t first_k,
                                                       int64_t second_k, int64_t vectors, int group) {
  std::pair<PanelPlace, PanelPlace> both(PanelPlace(floats_before, format, first_k, vectors, group),
                                         PanelPlace(floats_before, format, second_k, vectors, group));
  const int64_t lead = both.first.panels_.pitch, pitch = lead + both.second.panels_.pitch;
  both.first.panels_.pitch = both.second.panels_.pitch = pitch;
  both.second.panels_.lead = lead;
  if (has_scales(format)) {
    both.first.to_scales_ = vectors * pitch;
    both.second.to_scales_ = vectors * (pitch + kScaleBytes);
  }
  return both;
}

Panels PanelPlace::in(const float* memory) const {
  Panels panels = panels_;
  panels.data = memory + at_;
  if (to_scales_ >= 0) {
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
  pack_panels_into(packed->panels, w, order);
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

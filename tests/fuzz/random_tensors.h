// Random numbers and tensors that a model file may hold: mostly small, sometimes as bad as can be.
#pragma once

#include <cmath>
#include <random>

#include "draft.h"

namespace lrt_fuzz {

using lrt::DType;

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t below(size_t end) { return static_cast<size_t>(engine_() % end); }
  bool one_in(size_t n) { return below(n) == 0; }
  int64_t near(int64_t value) { return static_cast<int64_t>(static_cast<uint64_t>(value) + below(5) - 2); }
  template <class T>
  const T& of(const std::vector<T>& items) {
    return items[below(items.size())];
  }

 private:
  std::mt19937_64 engine_;  // the standard fixes its numbers, unlike those of its distributions
};

class TensorMaker {
 public:
  explicit TensorMaker(Random& random) : random_(random) {}

  // Such as axes, shapes, sizes and repeats are.
  Tensor small_integers() {
    Tensor tensor;
    tensor.dtype = random_.one_in(8) ? DType::i32 : DType::i64;
    if (!random_.one_in(4)) tensor.dims = {static_cast<int64_t>(random_.below(5))};
    fill(&tensor);
    return tensor;
  }

  Tensor any_tensor() {
    Tensor tensor;
    tensor.dtype = static_cast<DType>(random_.one_in(2) ? 0 : random_.below(lrt::kDTypes));
    for (size_t rank = random_.below(5); rank > 0; --rank)
      tensor.dims.push_back(random_.one_in(12) ? 0 : 1 + static_cast<int64_t>(random_.below(6)));
    fill(&tensor);
    return tensor;
  }

  // ---- Numbers ----

  int64_t integer(int64_t was) {
    static constexpr int64_t kSuspects[] = {0,
                                            1,
                                            -1,
                                            2,
                                            3,
                                            4,
                                            8,
                                            16,
                                            -2,
                                            -3,
                                            63,
                                            64,
                                            127,
                                            255,
                                            1000,
                                            16000,
                                            65536,
                                            INT32_MAX,
                                            INT32_MIN,
                                            1 << 20,
                                            5000000,
                                            int64_t{1} << 40,
                                            int64_t{1} << 62,
                                            INT64_MAX,
                                            INT64_MIN};
    constexpr size_t kSmall = 10;
    if (random_.one_in(3)) return random_.near(was);
    return kSuspects[random_.below(random_.one_in(3) ? std::size(kSuspects) : kSmall)];
  }

  float number(float was) {
    static const float kSuspects[] = {0.0F,     -0.0F,     1.0F,    -1.0F,   0.5F,      1e-30F, 1e30F,
                                      1e-42F,   3.4e38F,   1e-5F,   2.0F,    255.0F,    NAN,    -NAN,
                                      INFINITY, -INFINITY, 65504.F, -1000.F, 16777216.F};
    return random_.one_in(4) ? was * 2.0F : kSuspects[random_.below(std::size(kSuspects))];
  }

  void set_element(Tensor* tensor, size_t index, bool wild) {
    const int64_t tame = static_cast<int64_t>(random_.below(5)) - (random_.one_in(4) ? 2 : 0);
    const int64_t whole = wild ? integer(tame) : tame;
    switch (tensor->dtype) {
      case DType::f32: {
        const float real = static_cast<float>(tame) * 0.25F - 0.25F;
        return put(&tensor->data, index, wild ? number(real) : real);
      }
      case DType::i64:
        return put(&tensor->data, index, whole);
      case DType::i32:
        return put(&tensor->data, index, static_cast<int32_t>(whole));
      case DType::boolean:
        return put(&tensor->data, index, static_cast<uint8_t>(whole & 1));
      case DType::bf16:
        return put(&tensor->data, index, static_cast<uint16_t>(wild ? whole : 0x3E80 + whole));
      default:
        return put(&tensor->data, index, static_cast<uint8_t>(whole));
    }
  }

  // Gives a tensor data that fits its dtype and dims, which are made small enough for that.
  void fill(Tensor* tensor) {
    constexpr int64_t kMost = 1 << 14;
    for (int64_t& dim : tensor->dims) dim = std::clamp<int64_t>(dim, 0, kMost);
    double elements = 1;
    for (const int64_t dim : tensor->dims) elements *= static_cast<double>(std::max<int64_t>(dim, 1));
    if (elements > kMost) tensor->dims = {3};
    if (tensor->dtype == DType::q4) {
      if (tensor->dims.empty()) tensor->dims = {lrt::kQ4Block};
      tensor->dims.back() = (tensor->dims.back() + lrt::kQ4Block - 1) / lrt::kQ4Block * lrt::kQ4Block;
      const int64_t blocks = tensor->elements() / lrt::kQ4Block;
      tensor->data.assign(static_cast<size_t>(blocks * lrt::kQ4BlockBytes), '\x2A');  // scales of 0.05
      return;
    }
    tensor->data.assign(static_cast<size_t>(tensor->elements()) * lrt::size_of(tensor->dtype), '\0');
    for (size_t i = 0; i < static_cast<size_t>(tensor->elements()); ++i) set_element(tensor, i, false);
  }

  void change_dims(std::vector<int64_t>* dims) {
    const size_t at = dims->empty() ? 0 : random_.below(dims->size());
    const auto place = dims->begin() + static_cast<std::ptrdiff_t>(at);
    switch (dims->empty() ? 0 : random_.below(6)) {
      case 0:
        if (dims->size() < lrt::kMaxRank) dims->insert(place, random_.one_in(2) ? 1 : 2);
        break;
      case 1:
        dims->erase(place);
        break;
      case 2:
        std::swap(dims->front(), *place);
        break;
      case 3:
        *place = random_.one_in(2) ? 0 : 1;
        break;
      default:
        *place = std::max<int64_t>(random_.near(*place), 0);
    }
  }

 private:
  template <class T>
  static void put(std::string* data, size_t index, T value) {
    std::memcpy(&(*data)[index * sizeof value], &value, sizeof value);
  }

  Random& random_;
};

}  // namespace lrt_fuzz

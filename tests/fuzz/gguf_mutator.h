// Changes numbers of a model file where they stand, so that the file stays one: the items of its tables, counts, lengths,
// dims, and the bytes of its tensors. Blind changes of bytes mostly break the frame around them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace lrt_fuzz {

struct Field {
  size_t at = 0;
  size_t width = 0;
};

// Walks the keys and tensor descriptions of a GGUF as far as they make sense, and notes where numbers stand.
class Walker {
 public:
  Walker(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  std::vector<Field> fields() {
    skip(8);
    const uint64_t tensors = number(8), keys = number(8);
    for (uint64_t i = 0; i < keys && good_; ++i) key();
    for (uint64_t i = 0; i < tensors && good_; ++i) tensor();
    if (good_) {  // small tensors are sizes and axes, whose values decide most
      for (size_t at = (at_ + 31) / 32 * 32; at + 8 <= size_ && fields_.size() < kMost; at += 4)
        fields_.push_back({at, at % 8 == 0 ? 8U : 4U});
    }
    return std::move(fields_);
  }

 private:
  static constexpr size_t kMost = 100000;
  static constexpr uint64_t kString = 8, kArray = 9;

  void skip(uint64_t count) {
    if (!good_ || count > size_ - at_)
      good_ = false;
    else
      at_ += static_cast<size_t>(count);
  }

  uint64_t number(size_t width) {
    const size_t at = at_;
    skip(width);
    if (!good_) return 0;
    if (fields_.size() < kMost) fields_.push_back({at, width});
    uint64_t value = 0;
    std::memcpy(&value, data_ + at, width);
    return value;
  }

  void string() { skip(number(8)); }

  void items(uint64_t type, uint64_t count) {
    static constexpr size_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    for (uint64_t i = 0; i < count && good_; ++i) {
      if (type == kString)
        string();
      else if (type < 13 && widths[type] != 0)
        number(widths[type]);
      else
        good_ = false;
    }
  }

  void key() {
    string();
    uint64_t type = number(4), count = 1;
    if (type == kArray) {
      type = number(4);
      count = number(8);
    }
    items(type, count);
  }

  void tensor() {
    string();
    const uint64_t rank = number(4);
    for (uint64_t i = 0; i < rank && good_; ++i) number(8);
    number(4);
    number(8);
  }

  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
  bool good_ = true;
  std::vector<Field> fields_;
};

// Puts the checksums where nothing looks for them, as if the file had none: else no change would get past them.
inline void drop_checksums(uint8_t* data, size_t size) {
  static constexpr char key[] = "lstm_rt.checksum.", other[] = "nothing.checksum.";
  for (uint8_t* at = data; (at = std::search(at, data + size, key, key + sizeof key - 1)) != data + size;)
    std::memcpy(at, other, sizeof other - 1);
}

// One to four numbers become others: near what they were, another one's, or one that is often wrong.
inline bool mutate_fields(uint8_t* data, size_t size, unsigned seed) {
  const std::vector<Field> fields = Walker(data, size).fields();
  if (fields.empty()) return false;
  std::mt19937 random(seed);
  const auto below = [&random](size_t end) { return static_cast<size_t>(random() % end); };
  static constexpr int64_t suspects[] = {0,
                                         1,
                                         -1,
                                         2,
                                         3,
                                         7,
                                         8,
                                         16,
                                         127,
                                         128,
                                         255,
                                         32767,
                                         65536,
                                         INT32_MAX,
                                         INT32_MIN,
                                         int64_t{1} << 40,
                                         int64_t{1} << 62,
                                         INT64_MAX,
                                         INT64_MIN,
                                         0x7F800000,
                                         0x7FC00000};
  for (size_t changes = 1 + below(4); changes > 0; --changes) {
    const Field field = fields[below(fields.size())], other = fields[below(fields.size())];
    int64_t value = 0;
    std::memcpy(&value, data + field.at, field.width);
    const size_t way = below(4);
    if (way == 0) value = suspects[below(sizeof suspects / sizeof *suspects)];
    if (way == 1) std::memcpy(&value, data + other.at, std::min(field.width, other.width));
    if (way >= 2) value = static_cast<int64_t>(static_cast<uint64_t>(value) + below(9) - 4);
    std::memcpy(data + field.at, &value, field.width);
  }
  return true;
}

}  // namespace lrt_fuzz

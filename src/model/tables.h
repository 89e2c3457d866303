// The key-values of a model file as typed columns. A column hands out its items in order, each once; whoever reads it
// says how many, and finish() refuses what is left over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/gguf.h"
#include "model/text.h"

namespace lrt {

template <class T>
class Column {
 public:
  Column(const char* key, std::vector<T> items) : key_(key), items_(std::move(items)) {}

  const char* key() const { return key_; }
  size_t size() const { return items_.size(); }
  std::vector<T> release() { return std::move(items_); }
  // Where the item taken last stands: "table 'k', item 3: ".
  std::string place() const { return "table " + quoted(key_) + ", item " + std::to_string(used_ - 1) + ": "; }

  T next() {
    if (used_ == items_.size()) {
      refuse_damaged(self() + "it ends after " + plural(used_, "item") + ", where one more is asked for");
    }
    return std::move(items_[used_++]);
  }

  size_t next_count() {
    const int count = next();
    if (count < 0) refuse_damaged(place() + "a count of " + std::to_string(count));
    return static_cast<size_t>(count);
  }

  // As many items as the last one of `counts` says.
  template <class Counts>
  std::vector<T> take(size_t count, const Counts& counts) {
    if (count > items_.size() - used_) {
      refuse_damaged(counts.place() + std::to_string(count) + " of table " + quoted(key_) +
                     " are asked for, but it has only " + std::to_string(items_.size() - used_) + " left");
    }
    const auto first = items_.begin() + static_cast<std::ptrdiff_t>(used_);
    used_ += count;
    return {std::make_move_iterator(first), std::make_move_iterator(first + static_cast<std::ptrdiff_t>(count))};
  }

  std::vector<T> group(Column<int>& counts) {
    const size_t count = counts.next_count();
    return take(count, counts);
  }

  // To be asked before room is made for as many.
  void expect(size_t count) const {
    if (count > items_.size() - used_) {
      refuse_damaged(self() + "it has " + plural(size(), "item") + ", but " + std::to_string(count) +
                     " are asked for after the first " + std::to_string(used_));
    }
  }

  Column& limit(size_t most) {
    if (items_.size() > most) {
      refuse(self() + std::to_string(items_.size()) + " items; at most " + std::to_string(most) + " are allowed.");
    }
    return *this;
  }

  template <class U>
  void pair_with(const Column<U>& other) const {
    if (size() != other.size()) {
      refuse_damaged(self() + "it has " + plural(size(), "item") + ", but table " + quoted(other.key()) + " has " +
                     std::to_string(other.size()));
    }
  }

  void finish() const {
    if (used_ != items_.size()) {
      refuse_damaged(self() + "it has " + plural(size(), "item") + ", of which only " + std::to_string(used_) +
                     " are asked for");
    }
  }

 private:
  std::string self() const { return "table " + quoted(key_) + ": "; }

  const char* key_;
  std::vector<T> items_;
  size_t used_ = 0;
};

// Each key is taken out once. A key that is not there is an empty column.
class Tables {
 public:
  explicit Tables(std::unordered_map<std::string, GgufValue> values) : values_(std::move(values)) {}

  int64_t integer(const char* key, int64_t otherwise);
  Column<int64_t> longs(const char* key);
  Column<int> ints(const char* key);
  Column<float> floats(const char* key);
  Column<std::string> names(const char* key);   // labels that are not empty
  Column<std::string> labels(const char* key);  // see is_label
  Column<std::string> texts(const char* key);   // see is_text

  // The strings under general.* and lstm_rt.source.* and the hints, sorted.
  std::vector<std::pair<std::string, std::string>> metadata();
  // Refuses a key of lstm_rt that was not taken: it would be a part of the model that is not understood.
  void finish() const;

 private:
  GgufValue take(const char* key, GgufValue::Kind kind);

  std::unordered_map<std::string, GgufValue> values_;
};

}  // namespace lrt

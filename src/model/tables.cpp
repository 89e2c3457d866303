#include "model/tables.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lrt {
namespace {

using Kind = GgufValue::Kind;

constexpr const char* kSource = "lstm_rt.source.";
constexpr const char* kHints[] = {"lstm_rt.hint.frame", "lstm_rt.hint.context", "lstm_rt.hint.rate",
                                  "lstm_rt.hint.threshold"};

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::integer:
      return "an integer";
    case Kind::floating:
      return "a float";
    case Kind::boolean:
      return "a boolean";
    case Kind::string:
      return "a string";
    case Kind::integers:
      return "an array of integers";
    case Kind::floats:
      return "an array of floats";
    case Kind::booleans:
      return "an array of booleans";
    case Kind::strings:
      return "an array of strings";
  }
  return "nothing";
}

bool starts_with(const std::string& text, std::string_view start) { return text.compare(0, start.size(), start) == 0; }

// Texts that describe the model and change nothing of what it computes.
bool is_description(const std::string& key, const GgufValue& value) {
  const bool is_hint = std::find(std::begin(kHints), std::end(kHints), key) != std::end(kHints);
  return starts_with(key, kSource) || (is_hint && value.kind == Kind::string);
}

std::string item(const char* key, size_t index) {
  return "table " + quoted(key) + ", item " + std::to_string(index) + ": ";
}

}  // namespace

GgufValue Tables::take(const char* key, Kind kind) {
  auto node = values_.extract(key);
  if (node.empty()) {
    GgufValue none;
    none.kind = kind;
    return none;
  }
  if (node.mapped().kind != kind) {
    refuse_damaged("key " + quoted(key) + ": it is " + name_of(node.mapped().kind) + ", not " + name_of(kind));
  }
  return std::move(node.mapped());
}

int64_t Tables::integer(const char* key, int64_t otherwise) {
  const GgufValue value = take(key, Kind::integer);
  return value.ints.empty() ? otherwise : value.ints[0];
}

Column<int64_t> Tables::longs(const char* key) { return {key, take(key, Kind::integers).ints}; }

Column<int> Tables::ints(const char* key) {
  const GgufValue value = take(key, Kind::integers);
  std::vector<int> items;
  items.reserve(value.ints.size());
  for (const int64_t wide : value.ints) {
    if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
      refuse_damaged(item(key, items.size()) + std::to_string(wide) + " does not fit 32 bits");
    }
    items.push_back(static_cast<int>(wide));
  }
  return {key, std::move(items)};
}

Column<float> Tables::floats(const char* key) {
  const GgufValue value = take(key, Kind::floats);
  std::vector<float> items;
  items.reserve(value.floats.size());
  for (const double wide : value.floats) {
    if (std::isfinite(wide) && std::fabs(wide) > static_cast<double>(std::numeric_limits<float>::max())) {
      refuse_damaged(item(key, items.size()) + std::to_string(wide) + " does not fit a float32");
    }
    items.push_back(static_cast<float>(wide));
  }
  return {key, std::move(items)};
}

Column<std::string> Tables::labels(const char* key) {
  std::vector<std::string> items = take(key, Kind::strings).strings;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!is_label(items[i])) {
      refuse_damaged(item(key, i) + quoted(items[i]) + " is no name: a name is UTF-8 without NUL, of at most " +
                     std::to_string(kMaxNameLength) + " bytes");
    }
  }
  return {key, std::move(items)};
}

Column<std::string> Tables::names(const char* key) {
  Column<std::string> column = labels(key);
  const std::vector<std::string> items = column.release();
  const auto empty = std::find(items.begin(), items.end(), std::string());
  if (empty != items.end()) refuse_damaged(item(key, static_cast<size_t>(empty - items.begin())) + "an empty name");
  return {key, std::move(items)};
}

Column<std::string> Tables::texts(const char* key) {
  std::vector<std::string> items = take(key, Kind::strings).strings;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!is_text(items[i])) refuse_damaged(item(key, i) + quoted(items[i]) + " is not UTF-8, or holds a NUL");
  }
  return {key, std::move(items)};
}

std::vector<std::pair<std::string, std::string>> Tables::metadata() {
  std::vector<std::pair<std::string, std::string>> result;
  for (auto& [key, value] : values_) {
    if (value.kind != Kind::string || !(starts_with(key, "general.") || is_description(key, value))) continue;
    if (!is_label(key)) refuse_damaged("key " + quoted(key) + ": its name is not UTF-8, or holds a NUL");
    if (!is_text(value.strings[0])) refuse_damaged("key " + quoted(key) + ": its text is not UTF-8, or holds a NUL");
    result.emplace_back(key, std::move(value.strings[0]));
  }
  std::sort(result.begin(), result.end());
  return result;
}

void Tables::finish() const {
  const std::string* unknown = nullptr;
  for (const auto& [key, value] : values_) {
    if (!starts_with(key, "lstm_rt.") || is_description(key, value)) continue;
    if (unknown == nullptr || key < *unknown) unknown = &key;
  }
  if (unknown != nullptr) {
    refuse("key " + quoted(*unknown) +
           " is not known, so a part of the model would be left out. Update lstm_rt, or convert the model again.");
  }
}

}  // namespace lrt

#include "model/text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "model/error.h"

namespace lrt {
namespace {

constexpr size_t kMaxShown = 80;

uint8_t byte_at(std::string_view text, size_t index) { return static_cast<uint8_t>(text[index]); }

bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// Bytes of the character that starts at `at`, or 0 where there is no valid one (Unicode 15, table 3-7: no overlong
// forms, no surrogates, nothing past U+10FFFF).
size_t character_length(std::string_view text, size_t at) {
  const uint8_t first = byte_at(text, at);
  if (first < 0x80) return 1;
  const size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (length == 0 || length > text.size() - at) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!is_continuation(byte_at(text, at + i))) return 0;
  }
  const uint8_t second = byte_at(text, at + 1);
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return length;
}

// C0, DEL and C1: what a terminal might obey.
bool is_control(std::string_view text, size_t at) {
  const uint8_t byte = byte_at(text, at);
  return byte < 0x20 || byte == 0x7F || (byte == 0xC2 && at + 1 < text.size() && byte_at(text, at + 1) < 0xA0);
}

// One character as it may be shown: itself, or its first byte as \\xNN.
struct Shown {
  char bytes[5];
  size_t size;
  size_t taken;  // bytes of the text
};

Shown shown_at(std::string_view text, size_t at) {
  Shown result{};
  const size_t length = character_length(text, at);
  if (length != 0 && !is_control(text, at)) {
    result.size = result.taken = length;
    std::memcpy(result.bytes, text.data() + at, length);
    return result;
  }
  const char* digits = "0123456789abcdef";
  const uint8_t byte = byte_at(text, at);
  const char escaped[] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  result.size = sizeof escaped;
  result.taken = 1;
  std::memcpy(result.bytes, escaped, sizeof escaped);
  return result;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

bool is_text(std::string_view text) { return text.find('\0') == std::string_view::npos && is_utf8(text); }

bool is_label(std::string_view text) { return text.size() <= kMaxNameLength && is_text(text); }

void copy_printable(std::string_view text, char* out, size_t size) {
  size_t written = 0;
  for (size_t at = 0; at < text.size();) {
    const Shown next = text[at] == '\n' ? Shown{"\n", 1, 1} : shown_at(text, at);
    if (written + next.size >= size) break;
    std::memcpy(out + written, next.bytes, next.size);
    written += next.size;
    at += next.taken;
  }
  out[written] = '\0';
}

std::string shown(std::string_view name) {
  std::string text;
  size_t at = 0;
  while (at < name.size() && at < kMaxShown) {
    const Shown next = shown_at(name, at);
    text.append(next.bytes, next.size);
    at += next.taken;
  }
  return at < name.size() ? text + "..." : text;
}

std::string quoted(std::string_view name) { return "'" + shown(name) + "'"; }

std::string plural(size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string_view find_duplicate(std::vector<std::string_view> names) {
  std::sort(names.begin(), names.end());
  const auto found = std::adjacent_find(names.begin(), names.end());
  return found == names.end() ? std::string_view() : *found;
}

void refuse(const std::string& message) { throw Error(Status::file, message); }

void refuse_damaged(const std::string& what) {
  refuse(what + ". The file is damaged or was made by something else: copy it again, or convert the model again.");
}

}  // namespace lrt

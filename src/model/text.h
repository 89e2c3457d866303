// Words for messages. Names come from untrusted files: they are cut and escaped before anyone is shown them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lrt {

inline constexpr size_t kMaxKeyLength = 1024;    // bytes of a key of GGUF
inline constexpr size_t kMaxNameLength = 65535;  // bytes of a name; exporters write scopes of several thousand

bool is_utf8(std::string_view text);
// Accepts UTF-8 without NUL, so that the text survives as a C string.
bool is_text(std::string_view text);
// Accepts such text of at most kMaxNameLength bytes, or none. Control characters are allowed: they are escaped when shown.
bool is_label(std::string_view text);

// Copies text into out, of size > 0, with a final NUL. Control characters other than \n, and bytes that are not UTF-8, are
// escaped; text that does not fit is cut between two characters. Allocates nothing.
void copy_printable(std::string_view text, char* out, size_t size);

std::string shown(std::string_view name);            // at most some 80 bytes of it
std::string quoted(std::string_view name);           // the same between ''
std::string plural(size_t count, const char* noun);  // "1 item", "2 items"

// A name that stands in the list more than once; its data() is nullptr where there is none. Sorts rather than hashes:
// a file can be made of names whose hashes collide.
std::string_view find_duplicate(std::vector<std::string_view> names);

// Throw Error(file). The second says that the bytes make no sense, and what to do about it.
[[noreturn]] void refuse(const std::string& message);
[[noreturn]] void refuse_damaged(const std::string& what);

}  // namespace lrt

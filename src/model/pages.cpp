#include "model/pages.h"

#include <cmath>
#include <cstdint>

#if defined(__has_include)
#if __has_include(<link.h>)
#include <link.h>
#define LRT_HAS_PHDR 1
#endif
#endif

namespace lrt {

namespace {

constexpr size_t kPage = 4096;  // the smallest there is; of larger ones each is read several times
constexpr size_t kStack = size_t{32} << 10;

#ifdef LRT_HAS_PHDR

// A static library's code is the application's, which may be as large as it likes and is its own to keep in memory.
constexpr size_t kMostCode = size_t{16} << 20;

int touch_object(dl_phdr_info* object, size_t, void*) {
  const auto here = reinterpret_cast<uintptr_t>(&touch_object);
  bool is_ours = false;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type == PT_LOAD) is_ours |= here - object->dlpi_addr - segment.p_vaddr < segment.p_memsz;
  }
  for (int i = 0; is_ours && i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    const bool is_read_only = segment.p_type == PT_LOAD && (segment.p_flags & PF_R) && !(segment.p_flags & PF_W);
    if (!is_read_only || segment.p_memsz > kMostCode) continue;
    touch_pages(reinterpret_cast<const void*>(object->dlpi_addr + segment.p_vaddr), segment.p_memsz);
  }
  return is_ours;
}

#endif

}  // namespace

[[gnu::no_sanitize_address]]  // a segment of the library has forbidden zones between its variables then
void touch_pages(const void* data, size_t size) {
  const auto* const bytes = static_cast<const volatile char*>(data);
  for (size_t at = 0; at < size; at += kPage) (void)bytes[at];
  if (size > 0) (void)bytes[size - 1];
}

void touch_code() {
#ifdef LRT_HAS_PHDR
  static const int touched = dl_iterate_phdr(touch_object, nullptr);
  (void)touched;
#endif
  volatile float number = 5.0f;  // Mod has the C library's fmod, the one function of its that calculates
  number = std::fmod(number, 3.0f);
}

void touch_stack() {
  [[maybe_unused]] volatile char stack[kStack];
  for (size_t at = 0; at < kStack; at += kPage) stack[at] = 0;
}

}  // namespace lrt

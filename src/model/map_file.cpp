// A file as bytes in memory: mapped where the system can, else read. A mapped file must not be cut short while a model
// uses it: the system then ends the process, as with any mapped file.
#include <cerrno>
#include <cstring>

#include "model/gguf.h"
#include "model/memory.h"
#include "model/text.h"

#if LRT_FILES && __has_include(<sys/mman.h>) && !defined(LRT_NO_MMAP)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define LRT_HAS_MMAP 1
#elif LRT_FILES
#include <filesystem>
#include <fstream>
#endif

namespace lrt {
namespace {

std::shared_ptr<void> allocate(size_t size) {
  const auto block = std::make_shared<AlignedBuffer>(size);
  return {block, block->as<void>()};
}

#if LRT_FILES
[[noreturn]] void refuse_file(const std::string& path, const std::string& why) {
  refuse("cannot read the model file '" + path + "': " + why + ". Check the path and its permissions.");
}
#endif

#ifdef LRT_HAS_MMAP

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

#endif

}  // namespace

Bytes copy_bytes(const void* data, size_t size) {
  std::shared_ptr<void> copy = allocate(size);
  if (size > 0) std::memcpy(copy.get(), data, size);
  const auto* bytes = static_cast<const uint8_t*>(copy.get());
  return {std::move(copy), bytes, size, false};
}

#ifdef LRT_HAS_MMAP

Bytes map_file(const std::string& path) {
  // O_NONBLOCK: to open a named pipe would otherwise wait for a writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (file.number() < 0 || ::fstat(file.number(), &status) != 0) refuse_file(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) refuse_file(path, "it is not a regular file");
  if (static_cast<uint64_t>(status.st_size) > SIZE_MAX) refuse_file(path, "it is larger than memory can be");
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return copy_bytes(nullptr, 0);  // which mmap refuses

  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (data == MAP_FAILED) refuse_file(path, std::strerror(errno));
  std::shared_ptr<const void> owner(data, [size](void* start) { ::munmap(start, size); });
  return {std::move(owner), static_cast<const uint8_t*>(data), size, true};
}

void drop_pages(const void* data, size_t size) {
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + size) / page * page;
  if (first >= last) return;
  ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);  // where it fails they stay: no harm
}

#else

void drop_pages(const void*, size_t) {}

#if LRT_FILES

Bytes map_file(const std::string& path) {
  const std::filesystem::path native = std::filesystem::u8path(path);
  std::error_code code;
  if (!std::filesystem::is_regular_file(native, code)) {
    refuse_file(path, code ? code.message() : "it is not a regular file");
  }
  const uintmax_t length = std::filesystem::file_size(native, code);
  if (code) refuse_file(path, code.message());
  if (length > SIZE_MAX / 2) refuse_file(path, "it is larger than memory can be");

  const auto size = static_cast<size_t>(length);
  std::shared_ptr<void> data = allocate(size);
  std::ifstream file(native, std::ios::binary);
  if (!file.read(static_cast<char*>(data.get()), static_cast<std::streamsize>(size))) {
    refuse_file(path, "reading it failed");
  }
  const auto* bytes = static_cast<const uint8_t*>(data.get());
  return {std::move(data), bytes, size, false};
}

#else

Bytes map_file(const std::string& path) {
  throw Error(Status::unsupported, "cannot read '" + path +
                                       "': this library was built without files "
                                       "(LSTM_RT_FILES=OFF). Load the model from memory");
}

#endif
#endif

}  // namespace lrt

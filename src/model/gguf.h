// Bounds-checked reader of GGUF version 3. Every length is checked against the bytes that are left before anything is
// allocated, so a file can make it allocate no more than a small multiple of its own size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace lrt {

// A typed value of the key-value part. Integers of every width are widened; so are floats.
struct GgufValue {
  enum class Kind { integer, floating, boolean, string, integers, floats, booleans, strings };
  Kind kind = Kind::integer;
  std::vector<int64_t> ints;  // one item for a scalar
  std::vector<double> floats;
  std::vector<std::string> strings;
  size_t end = 0;  // of its bytes in the file
};

struct GgufTensor {
  std::string name;
  uint32_t type = 0;           // ggml type code: 0 F32, 2 Q4_0, 24 I8, 26 I32, 27 I64, 30 BF16
  std::vector<uint64_t> dims;  // GGUF order: fastest first
  const uint8_t* data = nullptr;
  size_t bytes = 0;
};

struct Gguf {
  std::unordered_map<std::string, GgufValue> values;
  std::vector<GgufTensor> tensors;  // in file order
  size_t data_start = 0;            // where the header ends; no more than the file has
};

// A read-only view of a whole file, mapped where the system can.
struct Bytes {
  std::shared_ptr<const void> owner;
  const uint8_t* data = nullptr;
  size_t size = 0;
  bool mapped = false;
};
Bytes map_file(const std::string& path);
// Gives the whole pages of a part of a mapped file back to the system; read again, they come from the file.
void drop_pages(const void* data, size_t size);
Bytes copy_bytes(const void* data, size_t size);  // aligned to 64

// Throws Error(file). The result points into bytes. A file of another general.architecture is refused before its tensors
// are looked at: they may be of types that are unknown here, and that would be the wrong thing to say.
Gguf parse_gguf(const Bytes& bytes, const char* architecture);

}  // namespace lrt

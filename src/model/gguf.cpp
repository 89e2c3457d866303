// Reader of GGUF version 3. Bytes are taken through Reader only, which checks every length against what is left before
// anything is allocated. The rules are those of the GGUF specification, with limits where it has none.
#include "model/gguf.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "model/tensor.h"
#include "model/text.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little endian, and their tensors are used where they lie"
#endif

namespace lrt {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint32_t kVersion = 3;
constexpr size_t kAlignment = 32;
// Bytes of keys, values and tensor descriptions. A graph takes up to 16 times as much memory, so this bounds that too.
constexpr size_t kMaxHeader = size_t{12} << 20;
constexpr uint64_t kMaxKeys = 4096;
constexpr uint64_t kMaxTensors = uint64_t{1} << 18;
constexpr size_t kMaxTensorName = 63;  // as ggml has it
constexpr uint32_t kMaxTensorDims = 4;
constexpr uint32_t kQ4_0 = 2;
// The least bytes a key, a string and a tensor description can take.
constexpr size_t kLeastKey = 8 + 1 + 4 + 1;
constexpr size_t kLeastString = 8;
constexpr size_t kLeastTensor = 8 + 1 + 4 + 4 + 8;

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

uint64_t padded(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

class Reader {
 public:
  explicit Reader(const Bytes& bytes) : data_(bytes.data), size_(bytes.size) {}

  size_t position() const { return position_; }
  size_t size() const { return size_; }
  // What is being read from now on, for messages.
  void enter(const std::string& part) { part_ = part; }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }

  std::string string(size_t longest) {
    const auto length = number<uint64_t>();
    expect(length, 1, "characters");
    if (length > longest) {
      fail("a string of " + std::to_string(length) + " bytes; at most " + std::to_string(longest) +
           " are allowed here");
    }
    const auto count = static_cast<size_t>(length);
    return {reinterpret_cast<const char*>(take(count)), count};
  }

  // To be asked before anything is allocated for `count` items.
  void expect(uint64_t count, size_t item_bytes, const char* items) const {
    const size_t left = size_ - position_;
    if (count > left / item_bytes) {
      fail(std::to_string(count) + " " + items + " are due, but only " + plural(left, "byte") +
           " of the file are left");
    }
    if (count > (kMaxHeader - position_) / item_bytes) fail("keys and tensor descriptions take more than 12 MiB");
  }

  [[noreturn]] void fail(const std::string& what) const {
    refuse_damaged(part_ + ", byte " + std::to_string(position_) + ": " + what);
  }

 private:
  const uint8_t* take(size_t count) {
    expect(count, 1, "bytes");
    const uint8_t* taken = data_ + position_;
    position_ += count;
    return taken;
  }

  const uint8_t* data_;
  size_t size_;
  size_t position_ = 0;
  std::string part_ = "file header";
};

void check_magic(Reader& reader) {
  if (reader.size() == 0) refuse("the model file is empty. Copy it again, or convert the model again.");
  const auto magic = reader.number<uint32_t>();
  if (magic == kMagic) return;
  std::string shown;
  for (int byte = 0; byte < 4; ++byte) shown += static_cast<char>(magic >> (8 * byte) & 0xFF);
  refuse("not a GGUF file: it starts with " + quoted(shown) +
         ". A model of another format is converted first: lstm-rt convert MODEL model.gguf");
}

void check_version(Reader& reader) {
  const auto version = reader.number<uint32_t>();
  if (version == kVersion) return;
  if (version != 0 && (version & 0xFFFF) == 0) {
    refuse("a GGUF file for big-endian machines. Model files are little endian: convert the model again.");
  }
  refuse("GGUF version " + std::to_string(version) +
         "; this library reads version 3. Convert the model again, or update lstm_rt.");
}

template <class From, class To>
void read_numbers(Reader& reader, uint64_t count, std::vector<To>& to) {
  reader.expect(count, sizeof(From), "numbers");
  to.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) to.push_back(static_cast<To>(reader.number<From>()));
}

void read_unsigned(Reader& reader, uint64_t count, std::vector<int64_t>& to) {
  read_numbers<uint64_t>(reader, count, to);
  if (std::any_of(to.begin(), to.end(), [](int64_t item) { return item < 0; })) {
    reader.fail("an integer of 2^63 or more; int64 is the largest type used");
  }
}

void read_booleans(Reader& reader, uint64_t count, std::vector<int64_t>& to) {
  read_numbers<uint8_t>(reader, count, to);
  if (std::any_of(to.begin(), to.end(), [](int64_t item) { return item > 1; })) {
    reader.fail("a boolean that is neither 0 nor 1");
  }
}

void read_strings(Reader& reader, uint64_t count, std::vector<std::string>& to) {
  reader.expect(count, kLeastString, "strings");
  to.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) to.push_back(reader.string(kMaxHeader));
}

GgufValue::Kind read_items(Reader& reader, uint32_t type, uint64_t count, GgufValue& value) {
  using Kind = GgufValue::Kind;
  switch (type) {
    case kU8:
      read_numbers<uint8_t>(reader, count, value.ints);
      return Kind::integers;
    case kI8:
      read_numbers<int8_t>(reader, count, value.ints);
      return Kind::integers;
    case kU16:
      read_numbers<uint16_t>(reader, count, value.ints);
      return Kind::integers;
    case kI16:
      read_numbers<int16_t>(reader, count, value.ints);
      return Kind::integers;
    case kU32:
      read_numbers<uint32_t>(reader, count, value.ints);
      return Kind::integers;
    case kI32:
      read_numbers<int32_t>(reader, count, value.ints);
      return Kind::integers;
    case kU64:
      read_unsigned(reader, count, value.ints);
      return Kind::integers;
    case kI64:
      read_numbers<int64_t>(reader, count, value.ints);
      return Kind::integers;
    case kF32:
      read_numbers<float>(reader, count, value.floats);
      return Kind::floats;
    case kF64:
      read_numbers<double>(reader, count, value.floats);
      return Kind::floats;
    case kBool:
      read_booleans(reader, count, value.ints);
      return Kind::booleans;
    case kString:
      read_strings(reader, count, value.strings);
      return Kind::strings;
    case kArray:
      reader.fail("an array of arrays, which no model of lstm_rt holds");
    default:
      reader.fail("value type " + std::to_string(type) + " does not exist in GGUF version 3");
  }
}

GgufValue::Kind scalar(GgufValue::Kind kind) {
  using Kind = GgufValue::Kind;
  switch (kind) {
    case Kind::integers:
      return Kind::integer;
    case Kind::floats:
      return Kind::floating;
    case Kind::booleans:
      return Kind::boolean;
    default:
      return Kind::string;
  }
}

GgufValue read_value(Reader& reader) {
  GgufValue value;
  const auto type = reader.number<uint32_t>();
  if (type == kArray) {
    const auto item_type = reader.number<uint32_t>();
    const auto count = reader.number<uint64_t>();
    value.kind = read_items(reader, item_type, count, value);
  } else {
    value.kind = scalar(read_items(reader, type, 1, value));
  }
  value.end = reader.position();
  return value;
}

void read_keys(Reader& reader, uint64_t count, Gguf& gguf) {
  for (uint64_t i = 0; i < count; ++i) {
    reader.enter("key " + std::to_string(i));
    std::string key = reader.string(kMaxKeyLength);
    if (key.empty()) reader.fail("it has no name");
    reader.enter("key " + quoted(key));
    if (gguf.values.count(key) != 0) reader.fail("it stands in the file twice");
    gguf.values.emplace(std::move(key), read_value(reader));
  }
}

void check_architecture(const Gguf& gguf, const char* architecture) {
  const auto found = gguf.values.find("general.architecture");
  if (found == gguf.values.end() || found->second.kind != GgufValue::Kind::string) {
    refuse_damaged("key 'general.architecture': it is missing or no string, so this is no model of " +
                   quoted(architecture));
  }
  const std::string& name = found->second.strings[0];
  if (name != architecture) {
    refuse("this is a GGUF of " + quoted(name) + ", not of " + quoted(architecture) +
           ": it is for another program. A model to run here is converted first: lstm-rt convert MODEL model.gguf");
  }
}

void check_alignment(const Gguf& gguf) {
  const auto found = gguf.values.find("general.alignment");
  if (found == gguf.values.end()) return;
  const GgufValue& value = found->second;
  if (value.kind != GgufValue::Kind::integer || value.ints[0] != int64_t{kAlignment}) {
    refuse_damaged("key 'general.alignment': it is not the integer 32");
  }
}

size_t item_size(const Reader& reader, uint32_t type) {
  switch (type) {
    case 0:
      return 4;  // F32
    case 24:
      return 1;  // I8
    case 26:
      return 4;  // I32
    case 27:
      return 8;  // I64
    case 30:
      return 2;  // BF16
    default:
      reader.fail("tensors of GGUF type " + std::to_string(type) +
                  " are not known; F32, Q4_0, I8, I32, I64 and BF16 are");
  }
}

// At most kMaxElements, a dim of 0 counted as 1, so that no partial product can overflow either.
uint64_t count_elements(const Reader& reader, const std::vector<uint64_t>& dims) {
  constexpr auto most = static_cast<uint64_t>(kMaxElements);
  uint64_t bound = 1, elements = 1;
  for (const uint64_t dim : dims) {
    const uint64_t counted = std::max<uint64_t>(dim, 1);
    if (counted > most / bound)
      reader.fail("its dims multiply to more than 2^" + std::to_string(kMaxElementsLog2) + " elements");
    bound *= counted;
    elements *= dim;
  }
  return elements;
}

uint64_t count_bytes(const Reader& reader, const GgufTensor& tensor) {
  const uint64_t elements = count_elements(reader, tensor.dims);
  if (tensor.type != kQ4_0) return item_size(reader, tensor.type) * elements;
  if (tensor.dims.empty() || tensor.dims[0] % uint64_t{kQ4Block} != 0) {
    reader.fail("it is Q4_0, but its rows do not make whole blocks of 32");
  }
  return elements / uint64_t{kQ4Block} * uint64_t{kQ4BlockBytes};
}

GgufTensor read_tensor(Reader& reader) {
  GgufTensor tensor;
  tensor.name = reader.string(kMaxTensorName);
  if (tensor.name.empty()) reader.fail("it has no name");
  reader.enter("tensor " + quoted(tensor.name));
  const auto rank = reader.number<uint32_t>();
  if (rank > kMaxTensorDims) reader.fail(std::to_string(rank) + " dims; GGUF has at most 4");
  read_numbers<uint64_t>(reader, rank, tensor.dims);
  tensor.type = reader.number<uint32_t>();
  const uint64_t bytes = count_bytes(reader, tensor);
  if (bytes > reader.size()) {
    reader.fail("it takes " + std::to_string(bytes) + " bytes, more than the whole file has (" +
                std::to_string(reader.size()) + ")");
  }
  tensor.bytes = static_cast<size_t>(bytes);
  return tensor;
}

// Returns the tensors' offsets from the start of the data.
std::vector<uint64_t> read_tensors(Reader& reader, uint64_t count, Gguf& gguf) {
  std::vector<uint64_t> offsets;
  offsets.reserve(static_cast<size_t>(count));
  gguf.tensors.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    reader.enter("tensor " + std::to_string(i));
    gguf.tensors.push_back(read_tensor(reader));
    offsets.push_back(reader.number<uint64_t>());
  }
  return offsets;
}

void check_tensor_names(const Gguf& gguf) {
  std::vector<std::string_view> names;
  names.reserve(gguf.tensors.size());
  for (const GgufTensor& tensor : gguf.tensors) names.emplace_back(tensor.name);
  const std::string_view twice = find_duplicate(std::move(names));
  if (twice.data() != nullptr) refuse_damaged("tensor " + quoted(twice) + ": it stands in the file twice");
}

// Tensors must follow one another, each padded to the alignment, as ggml's own reader demands: then none overlap, and
// no byte of the file is hidden from this reader.
void place_tensors(const Bytes& bytes, uint64_t start, const std::vector<uint64_t>& offsets, Gguf& gguf) {
  uint64_t expected = 0;
  for (size_t i = 0; i < gguf.tensors.size(); ++i) {
    GgufTensor& tensor = gguf.tensors[i];
    const uint64_t offset = offsets[i];
    const std::string place = "tensor " + quoted(tensor.name) + ", offset " + std::to_string(offset) + " of the data: ";
    if (offset % kAlignment != 0) refuse_damaged(place + "it is not a multiple of 32");
    if (offset < expected) {
      refuse_damaged(place + "it overlaps the tensor before it, which ends at " + std::to_string(expected));
    }
    if (offset > expected) {
      refuse_damaged(place + "it leaves a gap after the tensor before it, which ends at " + std::to_string(expected));
    }
    const uint64_t first = start + offset, last = first + tensor.bytes;
    if (last > bytes.size) {
      refuse_damaged(place + "it ends at byte " + std::to_string(last) + ", but the file at byte " +
                     std::to_string(bytes.size));
    }
    // An empty tensor may stand past the end of the file.
    tensor.data = tensor.bytes == 0 ? bytes.data : bytes.data + first;
    expected = padded(offset + tensor.bytes);
  }
  if (bytes.size > start + expected) {
    refuse_damaged(plural(static_cast<size_t>(bytes.size - start - expected), "byte") +
                   " follow the last tensor, from byte " + std::to_string(start + expected) +
                   " on: they belong to nothing");
  }
}

}  // namespace

Gguf parse_gguf(const Bytes& bytes, const char* architecture) {
  Reader reader(bytes);
  check_magic(reader);
  check_version(reader);
  const auto tensor_count = reader.number<uint64_t>();
  const auto key_count = reader.number<uint64_t>();
  reader.expect(key_count, kLeastKey, "keys");
  if (key_count > kMaxKeys) reader.fail(std::to_string(key_count) + " keys; at most 4096 are allowed");

  Gguf gguf;
  read_keys(reader, key_count, gguf);
  check_architecture(gguf, architecture);
  check_alignment(gguf);

  reader.enter("tensor descriptions");
  reader.expect(tensor_count, kLeastTensor, "tensors");
  if (tensor_count > kMaxTensors) reader.fail(std::to_string(tensor_count) + " tensors; at most 2^18 are allowed");
  const std::vector<uint64_t> offsets = read_tensors(reader, tensor_count, gguf);
  check_tensor_names(gguf);
  const uint64_t start = padded(reader.position());
  place_tensors(bytes, start, offsets, gguf);
  gguf.data_start = static_cast<size_t>(std::min<uint64_t>(start, bytes.size));
  return gguf;
}

}  // namespace lrt

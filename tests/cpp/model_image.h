// Model files made byte by byte, so that tests can make wrong ones. An Image holds the keys and tensors; bytes() is the
// file. Every field that a correct writer would compute can be set to something else.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "model/checksum.h"

namespace lrt_test {

enum GgufType : uint32_t { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 };
enum TensorType : uint32_t {
  TENSOR_F32 = 0,
  TENSOR_Q4_0 = 2,
  TENSOR_I8 = 24,
  TENSOR_I32 = 26,
  TENSOR_I64 = 27,
  TENSOR_BF16 = 30
};

template <class T>
void append(std::string& bytes, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

inline void append_string(std::string& bytes, const std::string& text) {
  append<uint64_t>(bytes, text.size());
  bytes += text;
}

inline void pad(std::string& bytes) { bytes.resize((bytes.size() + 31) / 32 * 32); }

struct Key {
  std::string name;
  uint32_t type = I32;  // of the items
  bool is_array = true;
  std::vector<int64_t> ints;
  std::vector<double> floats;
  std::vector<std::string> strings;

  size_t size() const { return ints.size() + floats.size() + strings.size(); }

  std::string bytes() const {
    std::string out;
    append_string(out, name);
    if (is_array) append<uint32_t>(out, ARRAY);
    append<uint32_t>(out, type);
    if (is_array) append<uint64_t>(out, size());
    for (const int64_t item : ints) append_integer(out, item);
    for (const double item : floats) {
      if (type == F64) append<double>(out, item);
      if (type == F32) append<float>(out, static_cast<float>(item));
    }
    for (const std::string& item : strings) append_string(out, item);
    return out;
  }

 private:
  void append_integer(std::string& out, int64_t item) const {
    const int width = type == U8 || type == I8 || type == BOOL ? 1
                      : type == U16 || type == I16             ? 2
                      : type == U32 || type == I32             ? 4
                                                               : 8;
    for (int i = 0; i < width; ++i) out += static_cast<char>(static_cast<uint64_t>(item) >> (8 * i) & 0xFF);
  }
};

struct Tensor {
  std::string name;
  uint32_t type = TENSOR_F32;
  std::vector<uint64_t> dims;
  std::string data;
  int64_t shift = 0;  // added to the right offset
};

struct Image {
  uint32_t version = 3;
  std::vector<Key> keys;
  std::vector<Tensor> tensors;
  int64_t more_keys = 0, more_tensors = 0;  // added to the counts in the header
  std::string trailer;

  Key* find(const std::string& name) {
    for (Key& key : keys) {
      if (key.name == name) return &key;
    }
    return nullptr;
  }
  // The key, made where it is missing.
  Key& at(const std::string& name) {
    if (Key* found = find(name)) return *found;
    keys.emplace_back();
    keys.back().name = name;
    return keys.back();
  }
  void remove(const std::string& name) {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].name == name) keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(i--));
    }
  }
  void integer(const std::string& name, int64_t value, uint32_t type = U32) {
    Key& key = at(name);
    key = {name, type, false, {value}, {}, {}};
  }
  void text(const std::string& name, const std::string& value) { at(name) = {name, STRING, false, {}, {}, {value}}; }
  // As in a real file, an empty array is left out.
  void ints(const std::string& name, const std::vector<int64_t>& items, uint32_t type = I32) {
    if (items.empty()) return remove(name);
    at(name) = {name, type, true, items, {}, {}};
  }
  void floats(const std::string& name, const std::vector<double>& items) {
    at(name) = {name, F32, true, {}, items, {}};
  }
  void strings(const std::string& name, const std::vector<std::string>& items) {
    if (items.empty()) return remove(name);
    at(name) = {name, STRING, true, {}, {}, items};
  }

  std::string bytes() const {
    std::string out = "GGUF";
    append(out, version);
    append<uint64_t>(out, tensors.size() + static_cast<uint64_t>(more_tensors));
    append<uint64_t>(out, keys.size() + static_cast<uint64_t>(more_keys));
    for (const Key& key : keys) out += key.bytes();
    std::string data;
    for (const Tensor& tensor : tensors) {
      append_string(out, tensor.name);
      append(out, static_cast<uint32_t>(tensor.dims.size()));
      for (const uint64_t dim : tensor.dims) append(out, dim);
      append(out, tensor.type);
      append<uint64_t>(out, data.size() + static_cast<uint64_t>(tensor.shift));
      data += tensor.data;
      pad(data);
    }
    pad(out);
    return out + data + trailer;
  }
};

// The file with right checksums, as the converter writes it.
inline std::string sealed(Image image) {
  static const std::string key = "lstm_rt.checksum.header";
  std::vector<int64_t> sums;
  size_t data = 0;
  for (const Tensor& tensor : image.tensors) {
    sums.push_back(lrt::crc32(tensor.data.data(), tensor.data.size()));
    data += (tensor.data.size() + 31) / 32 * 32;
  }
  image.ints("lstm_rt.checksum.tensors", sums, U32);
  image.integer(key, 0);
  std::string bytes = image.bytes();
  const uint32_t sum = lrt::crc32(bytes.data(), bytes.size() - data);
  std::memcpy(&bytes[bytes.find(key) + key.size() + 4], &sum, sizeof sum);
  return bytes;
}

template <class T>
std::string raw(const std::vector<T>& items) {
  return {reinterpret_cast<const char*>(items.data()), items.size() * sizeof(T)};
}

// One op of an Image, with names for values; "" is an absent one.
struct OpSpec {
  std::string type, name;
  std::vector<std::string> inputs, outputs;
};

// Fills the tables of blocks and ops. Attributes are set by hand.
class GraphTables {
 public:
  int64_t value(const std::string& name) {
    if (name.empty()) return -1;
    for (size_t i = 0; i < values_.size(); ++i) {
      if (values_[i] == name) return static_cast<int64_t>(i);
    }
    values_.push_back(name);
    return static_cast<int64_t>(values_.size()) - 1;
  }
  std::vector<int64_t> list(const std::vector<std::string>& names) {
    std::vector<int64_t> result;
    for (const std::string& name : names) result.push_back(value(name));
    return result;
  }
  void block(const std::vector<OpSpec>& ops, const std::vector<std::string>& outputs) {
    op_counts_.push_back(static_cast<int64_t>(ops.size()));
    for (const OpSpec& op : ops) {
      types_.push_back(op.type);
      names_.push_back(op.name);
      group(op.inputs, input_counts_, inputs_);
      group(op.outputs, output_counts_, outputs_);
    }
    group(outputs, block_output_counts_, block_outputs_);
  }
  void write(Image& image) const {
    image.strings("lstm_rt.graph.values", values_);
    image.ints("lstm_rt.block.op_counts", op_counts_);
    image.ints("lstm_rt.block.output_counts", block_output_counts_);
    image.ints("lstm_rt.block.outputs", block_outputs_);
    image.strings("lstm_rt.op.types", types_);
    image.strings("lstm_rt.op.names", names_);
    image.ints("lstm_rt.op.input_counts", input_counts_);
    image.ints("lstm_rt.op.inputs", inputs_);
    image.ints("lstm_rt.op.output_counts", output_counts_);
    image.ints("lstm_rt.op.outputs", outputs_);
  }

 private:
  void group(const std::vector<std::string>& names, std::vector<int64_t>& counts, std::vector<int64_t>& pool) {
    counts.push_back(static_cast<int64_t>(names.size()));
    for (const std::string& name : names) pool.push_back(value(name));
  }

  std::vector<std::string> values_, types_, names_;
  std::vector<int64_t> op_counts_, block_output_counts_, block_outputs_, input_counts_, inputs_, output_counts_,
      outputs_;
};

// A model with a bit of everything: y = flag ? tanh(x·w) : x·w + 1, with a state s → s2, and one self-test.
inline Image small_model() {
  Image image;
  image.text("general.architecture", "lstm_rt");
  image.integer("general.alignment", 32);
  image.integer("lstm_rt.format_version", 1);
  image.text("lstm_rt.source.framework", "by hand");

  GraphTables graph;
  graph.block({{"MatMul", "product", {"x", "w"}, {"xw"}},
               {"If", "choice", {"flag"}, {"y"}},
               {"Gemm", "state", {"y", "", "s"}, {"s2", ""}}},
              {"y", "s2"});
  graph.block({{"Tanh", "then/tanh", {"xw"}, {"t"}}}, {"t"});
  graph.block({{"Cast", "else/cast", {"one"}, {"onef"}}, {"Add", "", {"xw", "onef"}, {"e"}}}, {"e"});
  graph.write(image);
  image.ints("lstm_rt.graph.inputs", graph.list({"x", "flag", "s"}));
  image.ints("lstm_rt.graph.weights", graph.list({"w", "one"}));
  graph.write(image);
  image.ints("lstm_rt.bindings", graph.list({"s", "s2"}));
  image.ints("lstm_rt.attr.counts", {0, 2, 3, 0, 0, 0});
  image.strings("lstm_rt.attr.names", {"then_branch", "else_branch", "alpha", "transB", "mode"});
  image.ints("lstm_rt.attr.kinds", {3, 3, 1, 0, 2});
  image.ints("lstm_rt.attr.lengths", {1, 1, 1, 2, 1});
  image.ints("lstm_rt.attr.ints", {1, 2, 0, 1}, I64);
  image.floats("lstm_rt.attr.floats", {0.5});
  image.strings("lstm_rt.attr.strings", {"fast"});

  image.ints("lstm_rt.input.dtypes", {0, 3, 0});
  image.ints("lstm_rt.input.ranks", {2, 0, 2});
  image.ints("lstm_rt.input.dims", {-1, 3, -1, 2}, I64);
  image.strings("lstm_rt.input.dim_names", {"batch", "", "batch", ""});
  image.ints("lstm_rt.output.dtypes", {0, -1});
  image.ints("lstm_rt.output.ranks", {2, -1});
  image.ints("lstm_rt.output.dims", {-1, 2}, I64);
  image.strings("lstm_rt.output.dim_names", {"", ""});

  image.tensors = {{"w", TENSOR_F32, {2, 3}, raw<float>({1, 2, 3, 4, 5, 6}), 0},
                   {"one", TENSOR_I64, {1}, raw<int64_t>({1}), 0},
                   {"test.x", TENSOR_F32, {3, 1}, raw<float>({1, 2, 3}), 0},
                   {"test.flag", TENSOR_I8, {1}, raw<int8_t>({1}), 0},
                   {"test.s", TENSOR_F32, {2, 1}, raw<float>({0, 0}), 0},
                   {"test.y", TENSOR_F32, {2, 1}, raw<float>({1, 1}), 0},
                   {"test.s2", TENSOR_F32, {2, 1}, raw<float>({1, 1}), 0}};
  image.ints("lstm_rt.tensor.dtypes", {0, 1, 0, 3, 0, 0, 0});
  image.ints("lstm_rt.tensor.ranks", {2, 0, 2, 0, 2, 2, 2});
  image.ints("lstm_rt.tensor.dims", {3, 2, 1, 3, 1, 2, 1, 2, 1, 2}, I64);
  image.integer("lstm_rt.selftest.count", 1);
  return image;
}

// The small model with w as int4 [2, 64] or bfloat16 [3, 2].
inline Image int4_model() {
  Image image = small_model();
  image.tensors[0] = {"w", TENSOR_Q4_0, {64, 2}, std::string(4 * 18, '\x11'), 0};
  image.at("lstm_rt.tensor.dtypes").ints[0] = 7;
  image.at("lstm_rt.tensor.dims").ints[0] = 2;
  image.at("lstm_rt.tensor.dims").ints[1] = 64;
  return image;
}
inline Image bfloat16_model() {
  Image image = small_model();
  image.tensors[0] = {"w", TENSOR_BF16, {2, 3}, std::string(12, '\x3F'), 0};
  image.at("lstm_rt.tensor.dtypes").ints[0] = 6;
  return image;
}

}  // namespace lrt_test

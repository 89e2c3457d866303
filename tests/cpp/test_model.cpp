// The reader of model files: a right file gives the right graph, a wrong one its own message, and no file a crash or
// more memory than a small multiple of its size. Run it under AddressSanitizer too. Mutations: the first argument.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <random>

#if __has_include(<sys/stat.h>)
#include <sys/stat.h>
#endif

#include "model/error.h"
#include "model/gguf.h"
#include "model/graph.h"
#include "model/text.h"
#include "model_attacks.h"
#include "model_image.h"

// ---- Memory, counted ----

namespace {

size_t live_bytes = 0, peak_bytes = 0;

struct alignas(std::max_align_t) Header {
  size_t size;
};

}  // namespace

void* operator new(size_t size) {
  auto* header = static_cast<Header*>(std::malloc(sizeof(Header) + size));
  if (header == nullptr) throw std::bad_alloc();
  header->size = size;
  live_bytes += size;
  peak_bytes = std::max(peak_bytes, live_bytes);
  return header + 1;
}

void operator delete(void* data) noexcept {
  if (data == nullptr) return;
  Header* header = static_cast<Header*>(data) - 1;
  live_bytes -= header->size;
  std::free(header);
}

void operator delete(void* data, size_t) noexcept { operator delete(data); }

namespace {

using namespace lrt_test;

// What reading may cost besides the copy of the file: a multiple of its size, and a little for the smallest files.
constexpr size_t kMostPerByte = 16;
constexpr size_t kMostFixed = 32 << 10;
constexpr size_t kMostInAll = 200'000'000;

int passed = 0, failed = 0;

void expect(bool right, const std::string& what) {
  ++(right ? passed : failed);
  if (!right) std::printf("FAILED: %s\n", what.c_str());
}

// ---- One file read, and all that must hold whatever is in it ----

struct Outcome {
  bool read = false;
  std::string message;
  lrt::Graph graph;
  size_t peak = 0;
  double seconds = 0;
};

bool in_range(const std::vector<int>& values, size_t count, int least) {
  return std::all_of(values.begin(), values.end(), [=](int v) { return v >= least && v < static_cast<int>(count); });
}

// What graph.h promises, looked at without trust in the reader. Also touches every byte of every tensor.
bool keeps_promises(const lrt::Graph& graph) {
  const size_t values = graph.values.size();
  std::vector<int> defined(values), used(graph.blocks.size());
  bool right = !graph.blocks.empty() && graph.outputs.size() == graph.blocks[0].outputs.size();
  unsigned sum = 0;
  const auto touch = [&](const lrt::Constant& constant) {
    right = right && reinterpret_cast<uintptr_t>(constant.data) % 32 == 0;
    const auto* bytes = static_cast<const uint8_t*>(constant.data);
    for (size_t i = 0; i < constant.bytes(); ++i) sum += bytes[i];
  };
  const auto define = [&](int value) {
    if (value != lrt::kAbsent) ++defined.at(static_cast<size_t>(value));
  };
  for (const lrt::Port& port : graph.inputs) define(port.value);
  for (const lrt::Weight& weight : graph.weights) touch(weight), define(weight.value);
  const auto value_dtype = [](lrt::DType dtype) { return static_cast<int>(dtype) < lrt::kDTypes; };
  for (const lrt::Block& block : graph.blocks) {
    right = right && in_range(block.outputs, values, 0);
    for (const lrt::Op& op : block.ops) {
      right = right && in_range(op.inputs, values, -1) && in_range(op.outputs, values, -1);
      for (const int value : op.outputs) define(value);
      for (const lrt::Attribute& attribute : op.attributes) {
        if (attribute.kind == lrt::Attribute::Kind::block) {
          ++used.at(static_cast<size_t>(op.block(attribute.name.c_str())));
        }
      }
    }
  }
  for (const lrt::SelfTest& test : graph.selftests) {
    right = right && test.inputs.size() == graph.inputs.size() && test.outputs.size() == graph.outputs.size();
    for (const auto* constants : {&test.inputs, &test.outputs}) {
      for (const lrt::Constant& constant : *constants) touch(constant), right = right && value_dtype(constant.dtype);
    }
  }
  for (const auto& [input, output] : graph.bindings) {
    right =
        right && static_cast<size_t>(input) < graph.inputs.size() && static_cast<size_t>(output) < graph.outputs.size();
  }
  right = right && std::all_of(defined.begin(), defined.end(), [](int times) { return times == 1; });
  right = right && used[0] == 0 && std::all_of(used.begin() + 1, used.end(), [](int times) { return times == 1; });
  return right && sum != 1u << 31;
}

Outcome read(const std::string& bytes) {
  Outcome outcome;
  const size_t before = live_bytes;
  peak_bytes = live_bytes;
  const auto start = std::chrono::steady_clock::now();
  try {
    outcome.graph = lrt::read_graph_memory(bytes.data(), bytes.size());
    outcome.read = true;
  } catch (const lrt::Error& error) {
    outcome.message = error.what();
    if (error.status != lrt::Status::file) outcome.message = "(wrong status) " + outcome.message;
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  outcome.peak = peak_bytes - before;
  return outcome;
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr double kMostSeconds = 60;
#else
constexpr double kMostSeconds = 5;
#endif

std::string problem(const Outcome& outcome, size_t size) {
  if (outcome.peak > std::min(kMostFixed + kMostPerByte * size, size + kMostInAll)) {
    return "it took " + std::to_string(outcome.peak) + " bytes of memory";
  }
  if (outcome.seconds > kMostSeconds) return "it took " + std::to_string(outcome.seconds) + " s";
  if (outcome.read) return keeps_promises(outcome.graph) ? "" : "the graph breaks its promises";
  if (!lrt::is_label(outcome.message) && !lrt::is_utf8(outcome.message)) return "the message is not UTF-8";
  if (outcome.message.size() < 20 || outcome.message.size() > 1500) return "the message is too short or too long";
  return outcome.message.find("(wrong status)") == std::string::npos ? "" : outcome.message;
}

// ---- A right file ----

void test_small_model() {
  const Outcome outcome = read(small_model().bytes());
  expect(outcome.read, "the small model is read: " + outcome.message);
  if (!outcome.read) return;
  const lrt::Graph& graph = outcome.graph;
  expect(problem(outcome, small_model().bytes().size()).empty(), "the small model keeps the promises");
  expect(graph.values.size() == 11 && graph.values[0] == "x", "names of values");
  expect(graph.op_count == 6 && graph.blocks.size() == 3 && graph.blocks[0].ops.size() == 3, "blocks and ops");
  expect(graph.blocks[2].ops[1].id == 5 && graph.blocks[2].ops[1].type == "Add", "ops are counted over all blocks");
  const lrt::Op& choice = graph.blocks[0].ops[1];
  expect(choice.block("then_branch") == 1 && choice.block("else_branch") == 2, "branches");
  const lrt::Op& state = graph.blocks[0].ops[2];
  expect(state.inputs[1] == lrt::kAbsent && state.outputs[1] == lrt::kAbsent, "absent values");
  expect(state.number("alpha", 0) == 0.5f && state.text("mode", "") == "fast", "attributes of one item");
  expect(state.integers("transB") == std::vector<int64_t>({0, 1}), "attributes of many items");
  expect(graph.inputs.size() == 3 && graph.inputs[0].dims == std::vector<int64_t>({-1, 3}), "dims of inputs");
  expect(graph.inputs[2].dim_names[0] == "batch" && graph.inputs[1].rank == 0, "names of dims, a scalar input");
  expect(graph.outputs[1].dtype == -1 && graph.outputs[1].rank == -1, "an output that is not declared");
  expect(graph.bindings == std::vector<std::pair<int, int>>({{2, 1}}), "bindings are indices of ports");
  expect(graph.weights[0].shape == lrt::Shape({3, 2}) && graph.weights[0].bytes() == 24, "shape of a weight");
  expect(static_cast<const float*>(graph.weights[0].data)[5] == 6, "data of a weight");
  expect(graph.weights[1].shape.rank() == 0 && graph.weights[1].dtype == lrt::DType::i64, "a scalar weight");
  expect(graph.selftests.size() == 1 && graph.selftests[0].outputs.size() == 2, "self-tests");
  expect(graph.metadata.size() == 2 && graph.metadata[1].second == "by hand", "metadata");
  expect(graph.file_size == small_model().bytes().size(), "file size");
}

// What a correct writer may do otherwise.
void test_variants() {
  const auto reads = [](const char* what, const std::function<void(Image&)>& change) {
    Image image = small_model();
    change(image);
    const Outcome outcome = read(image.bytes());
    expect(outcome.read && keeps_promises(outcome.graph), std::string(what) + ": " + outcome.message);
  };
  reads("int64 tables as int32", [](Image& m) { m.at("lstm_rt.tensor.dims").type = I32; });
  reads("int32 tables as int64", [](Image& m) { m.at("lstm_rt.op.inputs").type = I64; });
  reads("small types",
        [](Image& m) { m.at("lstm_rt.op.input_counts").type = U8, m.at("lstm_rt.op.inputs").type = I16; });
  reads("floats as float64", [](Image& m) { m.at("lstm_rt.attr.floats").type = F64; });
  reads("no alignment key", [](Image& m) { m.remove("general.alignment"); });
  reads("no bindings", [](Image& m) { m.remove("lstm_rt.bindings"); });
  reads("keys of others", [](Image& m) { m.integer("general.file_type", 0), m.text("tool.note", "\xFF"); });
  reads("keys in another order", [](Image& m) { std::reverse(m.keys.begin(), m.keys.end()); });
  reads("no self-test", [](Image& m) {
    m.remove("lstm_rt.selftest.count");
    m.tensors.resize(2);
    m.ints("lstm_rt.tensor.dtypes", {0, 1});
    m.ints("lstm_rt.tensor.ranks", {2, 0});
    m.ints("lstm_rt.tensor.dims", {3, 2});
  });
  reads("an empty tensor, in the middle and at the end", [](Image& m) {
    m.tensors[2] = {"test.x", TENSOR_F32, {0}, "", 0};
    m.tensors[6] = {"test.s2", TENSOR_F32, {0}, "", 0};
    m.ints("lstm_rt.tensor.dims", {3, 2, 0, 3, 1, 2, 1, 2, 0, 2});
  });
  reads("a tensor of rank 8", [](Image& m) {
    m.at("lstm_rt.tensor.ranks").ints[0] = 8;
    m.ints("lstm_rt.tensor.dims", {1, 1, 1, 3, 1, 1, 2, 1, 1, 3, 1, 2, 1, 2, 1, 2});
  });
  reads("names in other alphabets",
        [](Image& m) { m.at("lstm_rt.graph.values").strings[0] = "\xC3\xA9/\xE8\xBE\x93/\xF0\x9F\x8E\xA4"; });
  reads("an int4 weight", [](Image& m) { m = int4_model(); });
  reads("a bfloat16 weight", [](Image& m) { m = bfloat16_model(); });
  reads("Ifs 64 deep", [](Image& m) { nest(m, 64); });
  reads("an output that is an input", [](Image& m) { m.at("lstm_rt.block.outputs").ints[0] = 0; });
  std::string unpadded = small_model().bytes();
  unpadded.resize(unpadded.size() - 24);  // the last tensor has 8 bytes of its 32
  expect(read(unpadded).read, "no padding at the end");
}

// ---- Wrong files ----

void test_attacks(const std::vector<Attack>& attacks) {
  for (const Attack& attack : attacks) {
    Image image = small_model();
    attack.change(image);
    const std::string bytes = image.bytes();
    const Outcome outcome = read(bytes);
    const std::string wrong = problem(outcome, bytes.size());
    expect(!outcome.read && wrong.empty() && outcome.message.find(attack.message) != std::string::npos,
           std::string(attack.what) + ": wanted '" + attack.message + "', got '" + outcome.message + "' " + wrong);
  }
}

void test_bytes() {
  const auto refuses = [](const std::string& bytes, const char* message) {
    const Outcome outcome = read(bytes);
    expect(outcome.message.find(message) != std::string::npos, std::string(message) + ": " + outcome.message);
  };
  refuses("", "the model file is empty");
  refuses("GG", "4 bytes are due, but only 2 bytes of the file are left");
  refuses("GGUF", "file header, byte 4");
  refuses("PK\3\4 a zip", "it starts with 'PK\\x03\\x04'. A model of another format is converted first");
  refuses("\x89HDF\r\n", "not a GGUF file");
  refuses(std::string("GGUF\3\0\0\0", 8) + std::string(16, '\xFF'), "18446744073709551615 keys are due");
  refuses(std::string("GGUF\3\0\0\0", 8) + std::string(16, '\0'), "key 'general.architecture': it is missing");
}

// Cut anywhere, a file is refused; only the padding after the last tensor may be missing.
void test_truncation() {
  const std::string whole = small_model().bytes();
  const size_t padding = 32 - 8;
  int wrong = 0;
  for (size_t size = 0; size < whole.size() - padding; ++size) {
    const Outcome outcome = read(whole.substr(0, size));
    wrong += outcome.read || !problem(outcome, size).empty();
  }
  expect(wrong == 0, std::to_string(wrong) + " truncated files are not refused as they should be");
}

// Every bit counts, but for those behind a tensor and in the name of the checksum itself, which then is an unknown key.
void test_checksums() {
  expect(lrt::crc32("123456789", 9) == 0xCBF43926, "the check value of CRC-32");
  expect(lrt::crc32("56789", 5, lrt::crc32("1234", 4)) == 0xCBF43926, "CRC-32 in two parts");
  const std::string whole = sealed(small_model());
  const Outcome right = read(whole);
  expect(right.read, "a sealed model: " + right.message);
  if (!right.read) return;
  std::vector<bool> spare(whole.size(), false);
  const size_t name = whole.find("lstm_rt.checksum.header"), data = whole.size() - size_t{7 * 32};
  for (size_t at = name; at < name + 8; ++at) spare[at] = true;
  const size_t used[] = {24, 8, 12, 1, 8, 8, 8};
  for (size_t tensor = 0; tensor < 7; ++tensor) {
    for (size_t at = used[tensor]; at < 32; ++at) spare[data + 32 * tensor + at] = true;
  }
  int wrong = 0;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const Outcome outcome = read(flipped);
    wrong += outcome.read != spare[bit / 8] || !problem(outcome, whole.size()).empty();
  }
  expect(wrong == 0, std::to_string(wrong) + " flipped bits are not taken as they should be");
  std::string tensor = whole;
  tensor[data + 32] ^= 4;
  expect(read(tensor).message.find("tensor 'one': its 8 bytes do not match their checksum") == 0, "a flip has a name");
}

// ---- Mutations ----

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string mutate_bytes(std::string bytes) {
    for (size_t times = 1 + below(4); times > 0; --times) change(bytes);
    return bytes;
  }

  // Changes that leave the container whole, and so reach the graph.
  std::string mutate_tables(Image image) {
    for (size_t times = 1 + below(3); times > 0; --times) {
      if (below(6) == 0) {
        change(image.tensors[below(image.tensors.size())]);
      } else {
        change(image.keys[below(image.keys.size())]);
      }
    }
    return image.bytes();
  }

 private:
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }

  int64_t number() {
    static const int64_t special[] = {0, 1, -1, -2, 0x7FFFFFFF, INT64_MIN, INT64_MAX, int64_t{1} << 32, kHuge};
    return below(4) == 0 ? special[below(9)] : static_cast<int64_t>(below(13)) - 1;
  }

  void change(std::string& bytes) {
    const size_t at = below(bytes.size());
    const size_t count = std::min(1 + below(16), bytes.size() - at);
    switch (below(7)) {
      case 0:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(8));
        break;
      case 2:
        for (size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<char>(below(256));
        break;
      case 3: {
        const int64_t value = number();
        std::memcpy(&bytes[at], &value, std::min<size_t>(8, bytes.size() - at));
        break;
      }
      case 4:
        bytes.erase(at, std::min(count, bytes.size() - 1));
        break;
      case 5:
        bytes.insert(at, bytes.substr(below(bytes.size()), count));
        break;
      default:
        bytes.replace(at, count, bytes.substr(below(bytes.size() - count + 1), count));
    }
  }

  template <class T>
  void change(std::vector<T>& items, T value) {
    if (items.empty()) return;
    const size_t at = below(items.size());
    switch (below(5)) {
      case 0:
        items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1:
        items.insert(items.begin() + static_cast<std::ptrdiff_t>(at), value);
        break;
      case 2:
        std::swap(items[at], items[below(items.size())]);
        break;
      default:
        items[at] = value;
    }
  }

  void change(Key& key) {
    if (below(20) == 0) key.type = static_cast<uint32_t>(below(14));
    change(key.ints, number());
    change(key.floats, static_cast<double>(number()));
    change(key.strings, std::string(below(4), static_cast<char>(below(256))));
  }

  void change(Tensor& tensor) {
    switch (below(4)) {
      case 0:
        change(tensor.dims, static_cast<uint64_t>(number()));
        break;
      case 1:
        tensor.type = std::array{0u, 2u, 24u, 26u, 27u, 30u}[below(6)];
        break;
      case 2:
        tensor.shift = static_cast<int64_t>(32 * static_cast<uint64_t>(number()));
        break;
      default:
        tensor.data.resize(below(64));
    }
  }

  std::mt19937 random_;
};

void test_mutations(const char* what, int count, const std::function<std::string(Mutator&)>& mutate) {
  Mutator mutator(20240607);
  int read_count = 0, wrong = 0;
  double slowest = 0;
  size_t most = 0;
  for (int i = 0; i < count; ++i) {
    const std::string bytes = mutate(mutator);
    const Outcome outcome = read(bytes);
    const std::string trouble = problem(outcome, bytes.size());
    if (!trouble.empty() && ++wrong <= 5) std::printf("FAILED: mutation %d of %s: %s\n", i, what, trouble.c_str());
    read_count += outcome.read;
    slowest = std::max(slowest, outcome.seconds);
    most = std::max(most, outcome.peak);
  }
  expect(wrong == 0, std::string("mutations of ") + what);
  std::printf("%d mutations of %s: %d still models, slowest %.2f ms, most memory %zu bytes\n", count, what, read_count,
              1e3 * slowest, most);
}

// ---- Memory ----

// Files made of what costs most memory for its bytes in a file.
void test_memory() {
  const auto costs = [](const char* what, const std::function<void(Image&)>& change) {
    Image image = small_model();
    change(image);
    const std::string bytes = image.bytes();
    const Outcome outcome = read(bytes);
    const std::string wrong = problem(outcome, bytes.size());
    expect(wrong.empty(), std::string(what) + ": " + wrong);
    std::printf("%s: %zu bytes, %.1f times as much memory, %.0f ms, %s\n", what, bytes.size(),
                static_cast<double>(outcome.peak) / static_cast<double>(bytes.size()), 1e3 * outcome.seconds,
                outcome.read ? "read" : outcome.message.substr(0, 90).c_str());
  };
  const size_t many = size_t{1} << 18, most = size_t{1} << 20;
  const std::vector<int64_t> zeros(many, 0);
  costs("bytes as integers", [&](Image& m) { m.ints("tool.bytes", zeros, U8); });
  costs("bytes as inputs of ops", [&](Image& m) { m.ints("lstm_rt.op.inputs", zeros, U8); });
  costs("empty strings", [&](Image& m) { m.strings("lstm_rt.attr.strings", std::vector<std::string>(many)); });
  costs("values", [&](Image& m) { m.strings("lstm_rt.graph.values", std::vector<std::string>(many, "v")); });
  costs("ops", [&](Image& m) {
    m.strings("lstm_rt.op.types", std::vector<std::string>(many, "A"));
    m.strings("lstm_rt.op.names", std::vector<std::string>(many));
    for (const char* key : {"op.input_counts", "op.output_counts", "attr.counts"}) {
      m.ints(std::string("lstm_rt.") + key, zeros, U8);
    }
    m.ints("lstm_rt.block.op_counts", {static_cast<int64_t>(many), 0, 0});
  });
  costs("attributes of one op", [&](Image& m) {  // nearly as many bytes as a header may have
    m.strings("lstm_rt.attr.names", std::vector<std::string>(most - 5000, "a"));
    m.ints("lstm_rt.attr.kinds", std::vector<int64_t>(most - 5000, 0), U8);
    m.ints("lstm_rt.attr.lengths", std::vector<int64_t>(most - 5000, 1), U8);
    m.ints("lstm_rt.attr.ints", std::vector<int64_t>(most - 5000, 0), U8);
    m.ints("lstm_rt.attr.counts", {static_cast<int64_t>(most - 5000), 0, 0, 0, 0, 0}, U32);
  });
  costs("empty tensors", [&](Image& m) {
    m.tensors.clear();
    for (size_t i = 0; i < many / 8; ++i) m.tensors.push_back({std::to_string(i), TENSOR_F32, {0}, "", 0});
    const std::vector<int64_t> each(many / 8, 0), ones(many / 8, 1);
    m.ints("lstm_rt.tensor.dtypes", each, U8);
    m.ints("lstm_rt.tensor.ranks", ones, U8);
    m.ints("lstm_rt.tensor.dims", each, U8);
    m.ints("lstm_rt.graph.weights", each, U8);
    m.remove("lstm_rt.selftest.count");
  });
  costs("11 MiB of inputs of ops",
        [&](Image& m) { m.ints("lstm_rt.op.inputs", std::vector<int64_t>(11 * most, 0), U8); });
  costs("more than 12 MiB of keys", [&](Image& m) { m.text("tool.long", std::string(13 * most, 'k')); });
}

// ---- Files ----

#if !LRT_FILES

void test_files() {
  try {
    lrt::read_graph_file("model.gguf");
    expect(false, "a library without files reads one");
  } catch (const lrt::Error& error) {
    const std::string got = error.what();
    expect(error.status == lrt::Status::unsupported && got.find("Load the model from memory") != std::string::npos,
           got);
  }
}

#else

void test_files() {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("lstm_rt_test_model_" + std::to_string(std::random_device()()));
  std::filesystem::create_directory(folder);
  const auto write = [&](const char* name, const std::string& bytes) {
    const std::filesystem::path path = folder / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  };
  const auto refuses = [](const std::string& path, const char* message) {
    try {
      lrt::read_graph_file(path);
      expect(false, path + " is read");
    } catch (const lrt::Error& error) {
      const std::string got = error.what();
      expect(error.status == lrt::Status::file && got.find(message) != std::string::npos &&
                 got.find(path) != std::string::npos,
             got);
    }
  };
  const std::string whole = small_model().bytes();
  expect(keeps_promises(lrt::read_graph_file(write("model.gguf", whole))), "a model is read from a file");
  refuses(write("cut.gguf", whole.substr(0, 1000)), "of the file are left");
  refuses(write("empty.gguf", ""), "the model file is empty");
  refuses((folder / "none.gguf").string(), "cannot read the model file");
  refuses(folder.string(), "it is not a regular file");
#if __has_include(<sys/stat.h>) && !defined(_WIN32)
  const std::string pipe = (folder / "pipe.gguf").string();
  if (::mkfifo(pipe.c_str(), 0600) == 0) refuses(pipe, "it is not a regular file");
#endif
  std::filesystem::remove_all(folder);
}

#endif

}  // namespace

int main(int argc, char** argv) {
  const int mutations = argc > 1 ? std::atoi(argv[1]) : 20000;
  test_small_model();
  test_variants();
  test_attacks(container_attacks());
  test_attacks(table_attacks());
  test_attacks(graph_attacks());
  test_attacks(packed_attacks());
  test_attacks(checksum_attacks());
  test_checksums();
  test_bytes();
  test_truncation();
  const std::string bytes = small_model().bytes();
  test_mutations("bytes", mutations, [&](Mutator& mutator) { return mutator.mutate_bytes(bytes); });
  for (const auto& [what, image] : {std::pair("tables", small_model()), std::pair("tables with int4", int4_model()),
                                    std::pair("tables with bfloat16", bfloat16_model())}) {
    test_mutations(what, mutations, [&, &from = image](Mutator& mutator) { return mutator.mutate_tables(from); });
  }
  test_memory();
  test_files();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

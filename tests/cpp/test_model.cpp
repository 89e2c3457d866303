// The reader of model files: a right file gives the right graph, a wrong one its own message, and no file a crash or
// more memory than a small multiple of its size. Run it under AddressSanitizer too. Mutations: the first argument.
#include <algorithm>
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
constexpr size_t kMostPerByte = 20;
constexpr size_t kMostFixed = 32 << 10;

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
  for (const lrt::Block& block : graph.blocks) {
    right = right && in_range(block.outputs, values, 0);
    for (const lrt::Op& op : block.ops) {
      right = right && in_range(op.inputs, values, -1) && in_range(op.outputs, values, -1);
      for (const int value : op.outputs) define(value);
      for (const lrt::Attribute& attribute : op.attributes) {
        if (attribute.kind == lrt::Attribute::Kind::block) ++used.at(static_cast<size_t>(op.block(attribute.name.c_str())));
      }
    }
  }
  for (const lrt::SelfTest& test : graph.selftests) {
    right = right && test.inputs.size() == graph.inputs.size() && test.outputs.size() == graph.outputs.size();
    for (const lrt::Constant& constant : test.inputs) touch(constant);
    for (const lrt::Constant& constant : test.outputs) touch(constant);
  }
  for (const auto& [input, output] : graph.bindings) {
    right = right && static_cast<size_t>(input) < graph.inputs.size() && static_cast<size_t>(output) < graph.outputs.size();
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

std::string problem(const Outcome& outcome, size_t size) {
  if (outcome.peak > kMostFixed + kMostPerByte * size) return "it took " + std::to_string(outcome.peak) + " bytes of memory";
  if (outcome.seconds > 5) return "it took " + std::to_string(outcome.seconds) + " s";
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
  reads("small types", [](Image& m) { m.at("lstm_rt.op.input_counts").type = U8, m.at("lstm_rt.op.inputs").type = I16; });
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
  reads("names in other alphabets", [](Image& m) { m.at("lstm_rt.graph.values").strings[0] = "\xC3\xA9/\xE8\xBE\x93/\xF0\x9F\x8E\xA4"; });
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

}  // namespace

int main() {
  test_small_model();
  test_variants();
  test_attacks(container_attacks());
  test_attacks(table_attacks());
  test_attacks(graph_attacks());
  std::printf("%d passed, %d failed\n", passed, failed);
}

// A model file as a draft: a graph that can be changed at will, written back as a file whose checksums are right. A draft
// may describe any nonsense; only its file's frame (lengths, counts, checksums) is always correct.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../cpp/model_image.h"
#include "model/graph.h"

namespace lrt_fuzz {

struct Tensor {
  lrt::DType dtype = lrt::DType::f32;
  std::vector<int64_t> dims;
  std::string data;

  int64_t elements() const {
    int64_t product = 1;
    for (const int64_t dim : dims) product *= dim;
    return product;
  }
};

struct DraftWeight {
  int value = lrt::kAbsent;
  Tensor tensor;
};

struct DraftTest {
  std::vector<Tensor> inputs, outputs;
};

struct Draft {
  std::vector<std::string> values;
  std::vector<lrt::Port> inputs, outputs;  // the values of the outputs are those of block 0
  std::vector<DraftWeight> weights;
  std::vector<lrt::Block> blocks;
  std::vector<std::pair<int, int>> bindings;  // (value of an input, value of an output)
  std::vector<DraftTest> tests;
  std::vector<std::pair<std::string, std::string>> metadata;
  int added = 0;  // values, so that their names are unique

  int add_value(const std::string& name) {
    values.push_back(name + "#" + std::to_string(added++));
    return static_cast<int>(values.size()) - 1;
  }
  int add_weight(const std::string& name, Tensor tensor) {
    const int value = add_value(name);
    weights.push_back({value, std::move(tensor)});
    return value;
  }
};

inline Tensor copy_tensor(const lrt::Constant& constant) {
  return {constant.dtype,
          {constant.shape.begin(), constant.shape.end()},
          {static_cast<const char*>(constant.data), constant.bytes()}};
}

// Reads a file that the library accepts; throws lrt::Error for any other.
inline Draft read_draft(const std::string& bytes) {
  lrt::Graph graph = lrt::read_graph_memory(bytes.data(), bytes.size());
  Draft draft;
  for (const lrt::Weight& weight : graph.weights) draft.weights.push_back({weight.value, copy_tensor(weight)});
  for (const lrt::SelfTest& test : graph.selftests) {
    draft.tests.emplace_back();
    for (const lrt::Constant& input : test.inputs) draft.tests.back().inputs.push_back(copy_tensor(input));
    for (const lrt::Constant& output : test.outputs) draft.tests.back().outputs.push_back(copy_tensor(output));
  }
  for (const auto& [input, output] : graph.bindings) {
    draft.bindings.emplace_back(graph.inputs[static_cast<size_t>(input)].value,
                                graph.outputs[static_cast<size_t>(output)].value);
  }
  draft.values = std::move(graph.values);
  draft.inputs = std::move(graph.inputs);
  draft.outputs = std::move(graph.outputs);
  draft.blocks = std::move(graph.blocks);
  draft.metadata = std::move(graph.metadata);
  return draft;
}

// Fills the tables of docs/file-format.md.
class DraftWriter {
 public:
  explicit DraftWriter(const Draft& draft) : draft_(draft) {}

  std::string bytes() {
    image_.text("general.architecture", "lstm_rt");
    image_.integer("general.alignment", 32);
    image_.integer("lstm_rt.format_version", 1);
    for (const auto& [key, text] : draft_.metadata) image_.text(key, text);
    image_.strings("lstm_rt.graph.values", draft_.values);
    ports("lstm_rt.input.", draft_.inputs);
    ports("lstm_rt.output.", draft_.outputs);
    image_.ints("lstm_rt.graph.inputs", values_of(draft_.inputs));
    blocks();
    tensors();
    std::vector<int64_t> pairs;
    for (const auto& [input, output] : draft_.bindings) pairs.insert(pairs.end(), {input, output});
    image_.ints("lstm_rt.bindings", pairs);
    image_.ints("lstm_rt.input.defaults", defaults());
    return lrt_test::sealed(std::move(image_));
  }

 private:
  using Ints = std::vector<int64_t>;

  static Ints values_of(const std::vector<lrt::Port>& ports) {
    Ints values;
    for (const lrt::Port& port : ports) values.push_back(port.value);
    return values;
  }

  // Empty if no input has a default that is there.
  Ints defaults() const {
    Ints values;
    for (const lrt::Port& input : draft_.inputs) {
      const auto at = static_cast<size_t>(input.default_weight);
      values.push_back(at < draft_.weights.size() ? draft_.weights[at].value : lrt::kAbsent);
    }
    return std::count(values.begin(), values.end(), lrt::kAbsent) < static_cast<std::ptrdiff_t>(values.size()) ? values
                                                                                                               : Ints{};
  }

  template <class Items>
  static void group(const Items& items, Ints& counts, Ints& pool) {
    counts.push_back(static_cast<int64_t>(items.size()));
    pool.insert(pool.end(), items.begin(), items.end());
  }

  void ports(const std::string& prefix, const std::vector<lrt::Port>& ports) {
    Ints dtypes, ranks, dims;
    std::vector<std::string> names;
    for (const lrt::Port& port : ports) {
      dtypes.push_back(port.dtype);
      ranks.push_back(port.rank);
      dims.insert(dims.end(), port.dims.begin(), port.dims.end());
      names.insert(names.end(), port.dim_names.begin(), port.dim_names.end());
    }
    image_.ints(prefix + "dtypes", dtypes);
    image_.ints(prefix + "ranks", ranks);
    image_.ints(prefix + "dims", dims, lrt_test::I64);
    image_.strings(prefix + "dim_names", names);
  }

  void blocks() {
    Ints op_counts, input_counts, inputs, output_counts, outputs;
    for (const lrt::Block& block : draft_.blocks) {
      op_counts.push_back(static_cast<int64_t>(block.ops.size()));
      group(block.inputs, input_counts, inputs);
      group(
          &block == draft_.blocks.data() ? values_of(draft_.outputs) : Ints(block.outputs.begin(), block.outputs.end()),
          output_counts, outputs);
      for (const lrt::Op& op : block.ops) add(op);
    }
    image_.ints("lstm_rt.block.op_counts", op_counts);
    if (!inputs.empty()) image_.ints("lstm_rt.block.input_counts", input_counts);
    image_.ints("lstm_rt.block.inputs", inputs);
    image_.ints("lstm_rt.block.output_counts", output_counts);
    image_.ints("lstm_rt.block.outputs", outputs);
    image_.strings("lstm_rt.op.types", types_);
    image_.strings("lstm_rt.op.names", names_);
    image_.ints("lstm_rt.op.input_counts", input_counts_);
    image_.ints("lstm_rt.op.inputs", inputs_);
    image_.ints("lstm_rt.op.output_counts", output_counts_);
    image_.ints("lstm_rt.op.outputs", outputs_);
    image_.ints("lstm_rt.attr.counts", attribute_counts_);
    image_.strings("lstm_rt.attr.names", attribute_names_);
    image_.ints("lstm_rt.attr.kinds", kinds_);
    image_.ints("lstm_rt.attr.lengths", lengths_);
    image_.ints("lstm_rt.attr.ints", ints_, lrt_test::I64);
    if (!floats_.empty()) image_.floats("lstm_rt.attr.floats", floats_);
    image_.strings("lstm_rt.attr.strings", strings_);
  }

  void add(const lrt::Op& op) {
    types_.push_back(op.type);
    names_.push_back(op.name);
    group(op.inputs, input_counts_, inputs_);
    group(op.outputs, output_counts_, outputs_);
    attribute_counts_.push_back(static_cast<int64_t>(op.attributes.size()));
    for (const lrt::Attribute& attribute : op.attributes) {
      const size_t items = attribute.ints.size() + attribute.floats.size() + attribute.strings.size();
      attribute_names_.push_back(attribute.name);
      kinds_.push_back(static_cast<int64_t>(attribute.kind));
      lengths_.push_back(static_cast<int64_t>(items));
      ints_.insert(ints_.end(), attribute.ints.begin(), attribute.ints.end());
      floats_.insert(floats_.end(), attribute.floats.begin(), attribute.floats.end());
      strings_.insert(strings_.end(), attribute.strings.begin(), attribute.strings.end());
    }
  }

  void tensors() {
    Ints weights;
    for (const DraftWeight& weight : draft_.weights) {
      weights.push_back(weight.value);
      add(weight.tensor);
    }
    for (const DraftTest& test : draft_.tests) {
      for (const Tensor& tensor : test.inputs) add(tensor);
      for (const Tensor& tensor : test.outputs) add(tensor);
    }
    image_.ints("lstm_rt.graph.weights", weights);
    image_.integer("lstm_rt.selftest.count", static_cast<int64_t>(draft_.tests.size()));
    image_.ints("lstm_rt.tensor.dtypes", dtypes_);
    image_.ints("lstm_rt.tensor.ranks", ranks_);
    image_.ints("lstm_rt.tensor.dims", dims_, lrt_test::I64);
  }

  void add(const Tensor& tensor) {
    dtypes_.push_back(static_cast<int64_t>(tensor.dtype));
    ranks_.push_back(static_cast<int64_t>(tensor.dims.size()));
    dims_.insert(dims_.end(), tensor.dims.begin(), tensor.dims.end());
    lrt_test::Tensor stored;
    stored.name = "t" + std::to_string(image_.tensors.size());
    stored.data = tensor.data;
    using lrt::DType;
    stored.type = tensor.dtype == DType::f32    ? lrt_test::TENSOR_F32
                  : tensor.dtype == DType::i64  ? lrt_test::TENSOR_I64
                  : tensor.dtype == DType::i32  ? lrt_test::TENSOR_I32
                  : tensor.dtype == DType::bf16 ? lrt_test::TENSOR_BF16
                  : tensor.dtype == DType::q4   ? lrt_test::TENSOR_Q4_0
                                                : lrt_test::TENSOR_I8;
    if (tensor.dtype == DType::q4 && !tensor.dims.empty()) {  // GGUF's dims of an int4 tensor: fastest first
      const auto last = static_cast<uint64_t>(tensor.dims.back());
      stored.dims = {last, last ? static_cast<uint64_t>(tensor.elements()) / last : 0};
    } else {
      stored.dims = {static_cast<uint64_t>(tensor.elements())};
    }
    image_.tensors.push_back(std::move(stored));
  }

  const Draft& draft_;
  lrt_test::Image image_;
  std::vector<std::string> types_, names_, attribute_names_, strings_;
  Ints input_counts_, inputs_, output_counts_, outputs_, attribute_counts_, kinds_, lengths_, ints_;
  std::vector<double> floats_;
  Ints dtypes_, ranks_, dims_;
};

}  // namespace lrt_fuzz

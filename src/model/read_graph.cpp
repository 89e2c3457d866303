// From a model file to its graph: the flat tables of docs/file-format.md become blocks, ops and ports. Every item of
// every table must be asked for exactly once, so a file cannot hold a part that is not understood.
#include <algorithm>

#include "model/check_graph.h"
#include "model/checksum.h"
#include "model/error.h"
#include "model/gguf.h"
#include "model/graph.h"
#include "model/tables.h"
#include "model/text.h"

namespace lrt {
namespace {

constexpr const char* kArchitecture = "lstm_rt";
constexpr int64_t kFormatVersion = 1;
constexpr size_t kMaxValues = size_t{1} << 20;
constexpr size_t kMaxOps = size_t{1} << 18;
constexpr size_t kMaxAttributes = size_t{1} << 20;
constexpr size_t kMaxBlocks = 4096;
constexpr size_t kMaxPorts = 1024;  // inputs, and outputs
constexpr int64_t kMaxSelfTests = 1024;
constexpr const char* kHeaderChecksum = "lstm_rt.checksum.header";
constexpr const char* kTensorChecksums = "lstm_rt.checksum.tensors";

void check_format_version(Tables& tables) {
  const int64_t version = tables.integer("lstm_rt.format_version", 0);
  if (version == kFormatVersion) return;
  if (version == 0) refuse_damaged("key 'lstm_rt.format_version': it is missing or 0");
  refuse("format version " + std::to_string(version) +
         "; this library reads version 1. Update lstm_rt, or convert the model again.");
}

// ---- Checksums, which files of earlier versions do not have ----

// Of all before the data of the tensors, with zeros where the checksum itself stands.
void check_header(const Bytes& bytes, size_t data_start, const GgufValue& checksum) {
  const uint32_t own = 0;
  uint32_t sum = crc32(bytes.data, checksum.end - sizeof own);
  sum = crc32(&own, sizeof own, sum);
  sum = crc32(bytes.data + checksum.end, data_start - checksum.end, sum);
  if (checksum.kind != GgufValue::Kind::integer || checksum.ints[0] != int64_t{sum}) {
    refuse_damaged("the header does not match its checksum, key " + quoted(kHeaderChecksum));
  }
}

// Of each tensor. What was read only for this need not stay in memory.
void check_tensors(Tables& tables, const std::vector<GgufTensor>& tensors, const Graph& graph) {
  Column<int64_t> sums = tables.longs(kTensorChecksums);
  if (sums.size() == 0) return;
  if (sums.size() != tensors.size()) {
    refuse_damaged("table " + quoted(kTensorChecksums) + ": it has " + plural(sums.size(), "item") +
                   ", but the file has " + plural(tensors.size(), "tensor"));
  }
  for (const GgufTensor& tensor : tensors) {
    if (sums.next() != int64_t{crc32(tensor.data, tensor.bytes)}) {
      refuse_damaged("tensor " + quoted(tensor.name) + ": its " + plural(tensor.bytes, "byte") +
                     " do not match their checksum");
    }
    graph.forget(tensor.data, tensor.bytes);
  }
}

// ---- Ops ----

class AttributeReader {
 public:
  explicit AttributeReader(Tables& tables)
      : names_(tables.names("lstm_rt.attr.names")),
        kinds_(tables.ints("lstm_rt.attr.kinds")),
        lengths_(tables.ints("lstm_rt.attr.lengths")),
        ints_(tables.longs("lstm_rt.attr.ints")),
        floats_(tables.floats("lstm_rt.attr.floats")),
        strings_(tables.texts("lstm_rt.attr.strings")) {
    names_.limit(kMaxAttributes);
    names_.pair_with(kinds_);
    names_.pair_with(lengths_);
  }

  std::vector<Attribute> take(size_t count) {
    names_.expect(count);
    std::vector<Attribute> taken;
    taken.reserve(count);
    for (size_t i = 0; i < count; ++i) taken.push_back(next());
    return taken;
  }

  void finish() const {
    names_.finish();
    ints_.finish();
    floats_.finish();
    strings_.finish();
  }

 private:
  Attribute next() {
    Attribute attribute;
    attribute.name = names_.next();
    attribute.kind = kind(kinds_.next());
    switch (attribute.kind) {
      case Attribute::Kind::floats:
        attribute.floats = floats_.group(lengths_);
        break;
      case Attribute::Kind::strings:
        attribute.strings = strings_.group(lengths_);
        break;
      case Attribute::Kind::ints:
      case Attribute::Kind::block:
        attribute.ints = ints_.group(lengths_);
        break;
    }
    return attribute;
  }

  Attribute::Kind kind(int code) const {
    if (code < 0 || code > static_cast<int>(Attribute::Kind::block)) {
      refuse_damaged(kinds_.place() + "there is no attribute kind " + std::to_string(code));
    }
    return static_cast<Attribute::Kind>(code);
  }

  Column<std::string> names_;
  Column<int> kinds_, lengths_;
  Column<int64_t> ints_;
  Column<float> floats_;
  Column<std::string> strings_;
};

class OpReader {
 public:
  explicit OpReader(Tables& tables)
      : types_(tables.names("lstm_rt.op.types")),
        names_(tables.labels("lstm_rt.op.names")),
        input_counts_(tables.ints("lstm_rt.op.input_counts")),
        inputs_(tables.ints("lstm_rt.op.inputs")),
        output_counts_(tables.ints("lstm_rt.op.output_counts")),
        outputs_(tables.ints("lstm_rt.op.outputs")),
        attribute_counts_(tables.ints("lstm_rt.attr.counts")),
        attributes_(tables) {
    types_.limit(kMaxOps);
    types_.pair_with(names_);
    types_.pair_with(input_counts_);
    types_.pair_with(output_counts_);
    types_.pair_with(attribute_counts_);
  }

  std::vector<Op> take(size_t count) {
    types_.expect(count);
    std::vector<Op> taken;
    taken.reserve(count);
    for (size_t i = 0; i < count; ++i) taken.push_back(next());
    return taken;
  }

  int count() const { return count_; }

  void finish() const {
    types_.finish();
    inputs_.finish();
    outputs_.finish();
    attributes_.finish();
  }

 private:
  Op next() {
    Op op;
    op.id = count_++;
    op.type = types_.next();
    op.name = names_.next();
    op.inputs = inputs_.group(input_counts_);
    op.outputs = outputs_.group(output_counts_);
    op.attributes = attributes_.take(attribute_counts_.next_count());
    return op;
  }

  int count_ = 0;
  Column<std::string> types_, names_;
  Column<int> input_counts_, inputs_, output_counts_, outputs_, attribute_counts_;
  AttributeReader attributes_;
};

void read_blocks(Tables& tables, Graph& graph) {
  Column<int> op_counts = tables.ints("lstm_rt.block.op_counts");
  Column<int> input_counts = tables.ints("lstm_rt.block.input_counts");  // left out where no block has inputs
  Column<int> inputs = tables.ints("lstm_rt.block.inputs");
  Column<int> output_counts = tables.ints("lstm_rt.block.output_counts");
  Column<int> outputs = tables.ints("lstm_rt.block.outputs");
  op_counts.limit(kMaxBlocks);
  const bool have_inputs = input_counts.size() > 0;
  if (have_inputs) op_counts.pair_with(input_counts);
  op_counts.pair_with(output_counts);
  if (op_counts.size() == 0) refuse_damaged("table 'lstm_rt.block.op_counts': it is missing, so there is no graph");

  OpReader ops(tables);
  graph.blocks.resize(op_counts.size());
  for (Block& block : graph.blocks) {
    block.ops = ops.take(op_counts.next_count());
    if (have_inputs) block.inputs = inputs.group(input_counts);
    block.outputs = outputs.group(output_counts);
  }
  inputs.finish();
  outputs.finish();
  ops.finish();
  graph.op_count = ops.count();
}

// ---- Inputs and outputs ----

// Product of the dims at most kMaxElements, with 0 and -1 (free) counted as 1: no partial product can overflow.
void check_dims(const std::vector<int64_t>& dims, int64_t least, const std::string& place) {
  int64_t bound = 1;
  for (const int64_t dim : dims) {
    if (dim < least) refuse_damaged(place + "a dim of " + std::to_string(dim));
    const int64_t counted = std::max<int64_t>(dim, 1);
    if (counted > kMaxElements / bound)
      refuse_damaged(place + "its dims multiply to more than 2^" + std::to_string(kMaxElementsLog2) + " elements");
    bound *= counted;
  }
}

// From least (-1 where it may be left open, else 0) to below end.
int32_t next_dtype(Column<int>& dtypes, int least, int end) {
  const int code = dtypes.next();
  if (code < least || code >= end) refuse_damaged(dtypes.place() + "there is no dtype " + std::to_string(code));
  return code;
}

int next_rank(Column<int>& ranks, int least) {
  const int rank = ranks.next();
  if (rank < least || rank > kMaxRank) {
    refuse_damaged(ranks.place() + "rank " + std::to_string(rank) + "; at most 8 dims are allowed");
  }
  return rank;
}

struct PortKeys {
  const char* dtypes;
  const char* ranks;
  const char* dims;
  const char* dim_names;
  int least;  // -1 where dtype and rank may be left open
};
constexpr PortKeys kInputKeys = {"lstm_rt.input.dtypes", "lstm_rt.input.ranks", "lstm_rt.input.dims",
                                 "lstm_rt.input.dim_names", 0};
constexpr PortKeys kOutputKeys = {"lstm_rt.output.dtypes", "lstm_rt.output.ranks", "lstm_rt.output.dims",
                                  "lstm_rt.output.dim_names", -1};

std::vector<Port> read_ports(Tables& tables, const PortKeys& keys, Column<int> values) {
  Column<int> dtypes = tables.ints(keys.dtypes);
  Column<int> ranks = tables.ints(keys.ranks);
  Column<int64_t> dims = tables.longs(keys.dims);
  Column<std::string> dim_names = tables.labels(keys.dim_names);
  values.limit(kMaxPorts);
  values.pair_with(dtypes);
  values.pair_with(ranks);
  dims.pair_with(dim_names);

  std::vector<Port> ports(values.size());
  for (Port& port : ports) {
    port.value = values.next();
    port.dtype = next_dtype(dtypes, keys.least, kDTypes);
    port.rank = next_rank(ranks, keys.least);
    const auto count = static_cast<size_t>(std::max(port.rank, 0));
    port.dims = dims.take(count, ranks);
    port.dim_names = dim_names.take(count, ranks);
    check_dims(port.dims, -1, ranks.place());
  }
  dims.finish();
  return ports;
}

int find_port(const std::vector<Port>& ports, int value) {
  const auto found =
      std::find_if(ports.begin(), ports.end(), [value](const Port& port) { return port.value == value; });
  return found == ports.end() ? kAbsent : static_cast<int>(found - ports.begin());
}

void read_bindings(Tables& tables, Graph& graph) {
  Column<int> values = tables.ints("lstm_rt.bindings");
  if (values.size() % 2 != 0) refuse_damaged("table 'lstm_rt.bindings': an odd number of items; it holds pairs");
  if (values.size() / 2 > graph.inputs.size()) {
    refuse_damaged("table 'lstm_rt.bindings': more pairs than the model has inputs");
  }
  std::vector<bool> bound(graph.inputs.size());
  for (size_t pair = 0; pair < values.size() / 2; ++pair) {
    const int from = values.next();
    const int input = find_port(graph.inputs, from);
    if (input == kAbsent) {
      refuse_damaged(values.place() + "value " + std::to_string(from) + " is no input of the model");
    }
    if (bound[static_cast<size_t>(input)]) {
      refuse_damaged(values.place() + "input " + quoted(graph.values[static_cast<size_t>(from)]) + " is bound twice");
    }
    bound[static_cast<size_t>(input)] = true;
    const int to = values.next();
    const int output = find_port(graph.outputs, to);
    if (output == kAbsent) {
      refuse_damaged(values.place() + "value " + std::to_string(to) + " is no output of the model");
    }
    graph.bindings.emplace_back(input, output);
  }
}

// An input may have a default: a weight of its dtype and rank whose dims fit.
void read_defaults(Tables& tables, Graph& graph) {
  Column<int> values = tables.ints("lstm_rt.input.defaults");
  if (values.size() == 0) return;
  if (values.size() != graph.inputs.size()) {
    refuse_damaged("table 'lstm_rt.input.defaults': it has " + plural(values.size(), "item") + " for " +
                   plural(graph.inputs.size(), "input"));
  }
  std::vector<int> weight_of(graph.values.size(), -1);
  for (size_t i = 0; i < graph.weights.size(); ++i) {
    weight_of[static_cast<size_t>(graph.weights[i].value)] = static_cast<int>(i);
  }
  for (Port& input : graph.inputs) {
    const int value = values.next();
    if (value == kAbsent) continue;
    const bool exists = value >= 0 && static_cast<size_t>(value) < weight_of.size();
    input.default_weight = exists ? weight_of[static_cast<size_t>(value)] : -1;
    if (input.default_weight < 0) {
      refuse_damaged(values.place() + "value " + std::to_string(value) + " is no weight of the model");
    }
    const Constant& constant = graph.weights[static_cast<size_t>(input.default_weight)];
    bool fits = static_cast<int32_t>(constant.dtype) == input.dtype && constant.shape.rank() == input.rank;
    for (int axis = 0; fits && axis < input.rank; ++axis) {
      const int64_t dim = input.dims[static_cast<size_t>(axis)];
      fits = dim < 0 || dim == constant.shape[axis];
    }
    if (!fits) {
      refuse_damaged(values.place() + "a default of " + name_of(constant.dtype) + constant.shape.text() +
                     " does not fit input " + quoted(graph.values[static_cast<size_t>(input.value)]));
    }
  }
}

// ---- Tensors ----

uint32_t gguf_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 0;
    case DType::i32:
      return 26;
    case DType::i64:
      return 27;
    case DType::bf16:
      return 30;
    case DType::q4:
      return 2;
    default:
      return 24;  // I8 holds every type of one byte
  }
}

void check_blocks(const Constant& constant, const std::string& place) {
  const Shape& shape = constant.shape;
  if (shape.rank() == 0 || shape[shape.rank() - 1] % kQ4Block != 0) {
    refuse_damaged(place + "the last dim of an int4 tensor is a multiple of 32, but its shape is " + shape.text());
  }
}

// A scale that is infinite or no number has all bits of its exponent set.
void check_scales(const GgufTensor& tensor, const std::string& place) {
  for (size_t at = 0; at < tensor.bytes; at += size_t{kQ4BlockBytes}) {
    if ((tensor.data[at + 1] & 0x7C) == 0x7C) {
      refuse_damaged(place + "block " + std::to_string(at / size_t{kQ4BlockBytes}) + " has a scale that is not finite");
    }
  }
}

Constant make_constant(const GgufTensor& tensor, DType dtype, const std::vector<int64_t>& dims) {
  const std::string place = "tensor " + quoted(tensor.name) + ": ";
  check_dims(dims, 0, place);
  const Constant constant{dtype, Shape(dims), tensor.data};
  if (tensor.type != gguf_type(dtype)) {
    refuse_damaged(place + "it is stored as GGUF type " + std::to_string(tensor.type) + ", which cannot hold " +
                   name_of(dtype));
  }
  if (dtype == DType::q4) check_blocks(constant, place);
  // In 64 bits, so that it is also right where size_t is not.
  if (bytes_of(dtype, constant.shape) != tensor.bytes) {
    refuse_damaged(place + "shape " + constant.shape.text() + " of " + name_of(dtype) + " does not make the " +
                   plural(tensor.bytes, "byte") + " it has");
  }
  // Kernels take a bool's byte as 0 or 1.
  if (dtype == DType::boolean &&
      std::any_of(tensor.data, tensor.data + tensor.bytes, [](uint8_t byte) { return byte > 1; })) {
    refuse_damaged(place + "a bool that is neither 0 nor 1");
  }
  if (dtype == DType::q4) check_scales(tensor, place);
  return constant;
}

std::vector<Constant> read_tensors(Tables& tables, const std::vector<GgufTensor>& tensors) {
  Column<int> dtypes = tables.ints("lstm_rt.tensor.dtypes");
  Column<int> ranks = tables.ints("lstm_rt.tensor.ranks");
  Column<int64_t> dims = tables.longs("lstm_rt.tensor.dims");
  dtypes.pair_with(ranks);
  if (dtypes.size() != tensors.size()) {
    refuse_damaged("table 'lstm_rt.tensor.dtypes': it has " + plural(dtypes.size(), "item") + ", but the file has " +
                   plural(tensors.size(), "tensor"));
  }
  std::vector<Constant> constants;
  constants.reserve(tensors.size());
  for (const GgufTensor& tensor : tensors) {
    const auto dtype = static_cast<DType>(next_dtype(dtypes, 0, kWeightDTypes));
    const int rank = next_rank(ranks, 0);
    constants.push_back(make_constant(tensor, dtype, dims.take(static_cast<size_t>(rank), ranks)));
  }
  dims.finish();
  return constants;
}

const Constant& selftest_tensor(const Constant& tensor) {
  if (is_packed(tensor.dtype)) {
    refuse_damaged(std::string("a self-test holds a tensor of ") + name_of(tensor.dtype) +
                   ", which only weights may be");
  }
  return tensor;
}

void share_out(const std::vector<Constant>& tensors, Tables& tables, Graph& graph) {
  Column<int> weights = tables.ints("lstm_rt.graph.weights");
  const int64_t tests = tables.integer("lstm_rt.selftest.count", 0);
  if (tests < 0 || tests > kMaxSelfTests) {
    refuse_damaged("key 'lstm_rt.selftest.count': " + std::to_string(tests) + "; at most 1024 are allowed");
  }
  const auto test_count = static_cast<size_t>(tests);
  const size_t per_test = graph.inputs.size() + graph.outputs.size();
  if (tensors.size() != weights.size() + test_count * per_test) {
    refuse_damaged("the file has " + plural(tensors.size(), "tensor") + ", but " + plural(weights.size(), "weight") +
                   " and " + plural(test_count, "self-test") + " of " + plural(per_test, "tensor") + " each");
  }
  auto next = tensors.begin();
  graph.weights.resize(weights.size());
  for (Weight& weight : graph.weights) {
    static_cast<Constant&>(weight) = *next++;
    weight.value = weights.next();
  }
  graph.selftests.resize(test_count);
  for (SelfTest& test : graph.selftests) {
    for (size_t i = 0; i < graph.inputs.size(); ++i) test.inputs.push_back(selftest_tensor(*next++));
    for (size_t i = 0; i < graph.outputs.size(); ++i) test.outputs.push_back(selftest_tensor(*next++));
  }
}

Graph read_graph(const Bytes& bytes) {
  Gguf gguf = parse_gguf(bytes, kArchitecture);
  const auto header_checksum = gguf.values.extract(kHeaderChecksum);
  Tables tables(std::move(gguf.values));
  check_format_version(tables);
  if (!header_checksum.empty()) check_header(bytes, gguf.data_start, header_checksum.mapped());

  Graph graph;
  graph.bytes = bytes.owner;
  graph.file_size = bytes.size;
  graph.mapped = bytes.mapped;
  graph.values = tables.names("lstm_rt.graph.values").limit(kMaxValues).release();
  read_blocks(tables, graph);
  graph.inputs = read_ports(tables, kInputKeys, tables.ints("lstm_rt.graph.inputs"));
  graph.outputs = read_ports(tables, kOutputKeys, {"lstm_rt.block.outputs", graph.blocks[0].outputs});
  if (graph.outputs.empty()) refuse_damaged("table 'lstm_rt.block.outputs': the model gives no output");
  check_tensors(tables, gguf.tensors, graph);
  share_out(read_tensors(tables, gguf.tensors), tables, graph);
  check_graph(graph);
  read_bindings(tables, graph);
  read_defaults(tables, graph);
  graph.metadata = tables.metadata();
  tables.finish();
  return graph;
}

}  // namespace

Graph read_graph_file(const std::string& path) {
  const Bytes bytes = map_file(path);
  try {
    return read_graph(bytes);
  } catch (const Error& error) {
    throw Error(error.status, "'" + path + "': " + error.what());
  }
}

Graph read_graph_memory(const void* data, size_t size, bool borrow) {
  return read_graph(borrow ? Bytes{nullptr, static_cast<const uint8_t*>(data), size, false} : copy_bytes(data, size));
}

}  // namespace lrt

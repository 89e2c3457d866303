// The graph of a model as its file describes it, checked: after read_graph every index is in range, every value is
// defined once and before its use, and every block belongs to one op. Immutable from then on.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/tensor.h"

namespace lrt {

inline constexpr int kAbsent = -1;  // an optional input left out, or an output nobody wants

struct Attribute {
  enum class Kind { ints, floats, strings, block };
  std::string name;
  Kind kind = Kind::ints;
  std::vector<int64_t> ints;  // also the number of the block
  std::vector<float> floats;
  std::vector<std::string> strings;
};

struct Op {
  std::string type;
  std::string name;
  std::vector<int> inputs;   // values, or kAbsent
  std::vector<int> outputs;  // values, or kAbsent
  std::vector<Attribute> attributes;
  int id = 0;  // unique in the graph, counted over all blocks

  const Attribute* find(const char* attribute) const;
  // Each throws Error(unsupported) when the attribute is there with another kind or length.
  int64_t integer(const char* attribute, int64_t otherwise) const;
  float number(const char* attribute, float otherwise) const;
  std::string text(const char* attribute, const char* otherwise) const;
  std::vector<int64_t> integers(const char* attribute) const;  // empty when left out
  std::vector<float> numbers(const char* attribute) const;
  std::vector<std::string> texts(const char* attribute) const;
  int block(const char* attribute) const;  // throws when left out
};

// "node 'encoder/LSTM' (LSTM)", for messages; its id where it has no name.
std::string describe(const Op& op);

struct Block {
  std::vector<int> inputs;   // values that whoever runs it defines: the body of a Loop has some
  std::vector<Op> ops;       // in an order in which they can run
  std::vector<int> outputs;  // values
};

// An input of the model, or what the source file declared of an output.
struct Port {
  int value = kAbsent;
  int32_t dtype = -1;                  // a DType, or -1 where an output's is not declared
  int rank = -1;                       // -1 where an output's is not declared
  std::vector<int64_t> dims;           // -1 where free
  std::vector<std::string> dim_names;  // empty where none
  int default_weight = -1;             // of an input that callers may leave out; an index into the weights, or -1
};

// A tensor of the file. data points into bytes that the graph keeps alive.
struct Constant {
  DType dtype = DType::f32;
  Shape shape;
  const void* data = nullptr;
  size_t bytes() const { return static_cast<size_t>(bytes_of(dtype, shape)); }
};

struct Weight : Constant {
  int value = kAbsent;
};

struct SelfTest {
  std::vector<Constant> inputs, outputs;
};

struct Graph {
  std::vector<std::string> values;  // names
  std::vector<Port> inputs, outputs;
  std::vector<Weight> weights;
  std::vector<Block> blocks;                  // block 0 is the model
  std::vector<std::pair<int, int>> bindings;  // (index into inputs, index into outputs)
  std::vector<SelfTest> selftests;
  std::vector<std::pair<std::string, std::string>> metadata;  // string keys of the file: general.*, lstm_rt.source.*
  int op_count = 0;
  std::shared_ptr<const void> bytes;  // keeps the mapped file, or the copy in memory, alive
  size_t file_size = 0;
  bool mapped = false;

  // These bytes need not stay in memory, where they are the file's: read again, they come from there.
  void forget(const void* data, size_t size) const;
};

// Returns the first value of a state that an input carries: the default of the input, or null for zeros. Throws
// Error(shape) if the default has another shape.
std::shared_ptr<const void> first_value(const Graph& graph, const Port& input, const Shape& shape);

// Both throw Error(file) with what is wrong and where. The second copies the bytes, or borrows them for the graph's life.
Graph read_graph_file(const std::string& path);
Graph read_graph_memory(const void* data, size_t size, bool borrow = false);

}  // namespace lrt

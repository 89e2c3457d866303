// Wrong model files: what is done to the small model, and a part of the message that must come of it.
#pragma once

#include <functional>

#include "model_image.h"

namespace lrt_test {

struct Attack {
  const char* what;
  std::function<void(Image&)> change;
  const char* message;  // a part of it
};

inline void set(Image& image, const char* key, size_t index, int64_t value) { image.at(key).ints.at(index) = value; }

// Ifs in then-branches of Ifs. The innermost branches, and every else-branch, give the condition back.
inline void nest(Image& image, int depth) {
  image = Image();
  image.text("general.architecture", "lstm_rt");
  image.integer("lstm_rt.format_version", 1);
  GraphTables graph;
  std::vector<int64_t> counts, attributes;
  std::vector<std::string> names;
  int64_t next = 1;
  for (int level = 0; level < depth; ++level) {
    const std::string given = "v" + std::to_string(level);
    graph.block({{"If", "", {"c"}, {given}}}, {given});
    if (level > 0) graph.block({}, {"c"});
    counts.push_back(2);
    attributes.insert(attributes.end(), {next, next + 1});
    names.insert(names.end(), {"then_branch", "else_branch"});
    next += 2;
  }
  graph.block({}, {"c"});
  graph.block({}, {"c"});
  image.ints("lstm_rt.graph.inputs", graph.list({"c"}));
  graph.write(image);
  image.ints("lstm_rt.input.dtypes", {3});
  image.ints("lstm_rt.input.ranks", {0});
  image.ints("lstm_rt.output.dtypes", {3});
  image.ints("lstm_rt.output.ranks", {0});
  image.ints("lstm_rt.attr.counts", counts);
  image.strings("lstm_rt.attr.names", names);
  image.ints("lstm_rt.attr.kinds", std::vector<int64_t>(names.size(), 3));
  image.ints("lstm_rt.attr.lengths", std::vector<int64_t>(names.size(), 1));
  image.ints("lstm_rt.attr.ints", attributes);
}

constexpr int64_t kHuge = int64_t{1} << 62;

inline const std::vector<Attack>& container_attacks() {
  static const std::vector<Attack> attacks = {
      {"version 2", [](Image& m) { m.version = 2; }, "GGUF version 2; this library reads version 3"},
      {"version 2^32-1", [](Image& m) { m.version = 0xFFFFFFFF; }, "GGUF version 4294967295"},
      {"big endian", [](Image& m) { m.version = 0x03000000; }, "for big-endian machines"},
      {"another architecture",
       [](Image& m) {
         m.text("general.architecture", "llama");
         m.tensors[0].type = 12;
       },
       "this is a GGUF of 'llama', not of 'lstm_rt'"},
      {"an architecture for the terminal", [](Image& m) { m.text("general.architecture", "\x1B[2J"); },
       "GGUF of '\\x1b[2J'"},
      {"no architecture", [](Image& m) { m.remove("general.architecture"); },
       "key 'general.architecture': it is missing"},
      {"an architecture that is a number", [](Image& m) { m.integer("general.architecture", 7); },
       "missing or no string"},
      {"alignment 64", [](Image& m) { m.integer("general.alignment", 64); },
       "key 'general.alignment': it is not the integer 32"},
      {"alignment 0", [](Image& m) { m.integer("general.alignment", 0); }, "key 'general.alignment'"},
      {"a key twice", [](Image& m) { m.keys.push_back(m.keys[2]); }, "key 'lstm_rt.format_version', byte"},
      {"a key without name", [](Image& m) { m.keys[3].name = ""; }, "it has no name"},
      {"a key of 1025 bytes", [](Image& m) { m.keys[3].name = std::string(1025, 'k'); },
       "a string of 1025 bytes; at most 1024"},
      {"2^62 more keys", [](Image& m) { m.more_keys = kHuge; }, "keys are due, but only"},
      {"one key more than there is", [](Image& m) { m.more_keys = 1; }, "characters are due, but only"},
      {"5000 keys",
       [](Image& m) {
         for (int i = 0; i < 5000; ++i) m.integer("k" + std::to_string(i), 1);
       },
       "keys; at most 4096"},
      {"2^62 more tensors", [](Image& m) { m.more_tensors = kHuge; }, "tensors are due, but only"},
      {"more tensors than allowed",
       [](Image& m) {
         m.more_tensors = int64_t{1} << 18;
         m.trailer = std::string(size_t{7} << 20, '\0');
       },
       "262151 tensors; at most 2^18"},
      {"value type 13", [](Image& m) { m.keys[3].type = 13; }, "value type 13 does not exist"},
      {"an array of arrays", [](Image& m) { m.at("lstm_rt.bindings").type = ARRAY; }, "an array of arrays"},
      {"a uint64 past int64", [](Image& m) { m.integer("lstm_rt.format_version", -1, U64); },
       "an integer of 2^63 or more"},
      {"a boolean of 2", [](Image& m) { m.integer("some.flag", 2, BOOL); }, "a boolean that is neither 0 nor 1"},
      {"a tensor twice", [](Image& m) { m.tensors[1].name = "w"; }, "tensor 'w': it stands in the file twice"},
      {"a tensor without name", [](Image& m) { m.tensors[1].name = ""; }, "tensor 1, byte"},
      {"a tensor name of 64 bytes", [](Image& m) { m.tensors[1].name = std::string(64, 't'); },
       "at most 63 are allowed"},
      {"a tensor of 5 dims", [](Image& m) { m.tensors[0].dims = {1, 1, 1, 2, 3}; }, "5 dims; GGUF has at most 4"},
      {"a tensor type of llama.cpp", [](Image& m) { m.tensors[0].type = 12; }, "tensors of GGUF type 12 are not known"},
      {"dims that overflow", [](Image& m) { m.tensors[0].dims = {uint64_t{1} << 32, uint64_t{1} << 32, 3}; },
       "multiply to more than 2^"},
      {"dims that overflow to 6", [](Image& m) { m.tensors[0].dims = {(uint64_t{1} << 63) + 3, 2}; },
       "multiply to more than 2^"},
      {"dims that overflow behind a 0", [](Image& m) { m.tensors[0].dims = {0, uint64_t{1} << 40, uint64_t{1} << 40}; },
       "multiply to more than 2^"},
      {"a tensor larger than the file", [](Image& m) { m.tensors[0].dims = {1000000}; },
       "4000000 bytes, more than the whole file"},
      {"a tensor past the end", [](Image& m) { m.tensors[6].dims = {100}; }, "but the file at byte"},
      {"an offset off the alignment", [](Image& m) { m.tensors[1].shift = 8; }, "it is not a multiple of 32"},
      {"tensors that overlap", [](Image& m) { m.tensors[1].shift = -32; }, "it overlaps the tensor before it"},
      {"a gap between tensors", [](Image& m) { m.tensors[1].shift = 32; }, "it leaves a gap"},
      {"an offset that overflows", [](Image& m) { m.tensors[1].shift = -64; },
       "tensor 'one', offset 18446744073709551584"},
      {"bytes after the end", [](Image& m) { m.trailer = "PK"; }, "2 bytes follow the last tensor"},
  };
  return attacks;
}

inline const std::vector<Attack>& table_attacks() {
  static const std::vector<Attack> attacks = {
      {"no format version", [](Image& m) { m.remove("lstm_rt.format_version"); },
       "'lstm_rt.format_version': it is missing"},
      {"format version 2", [](Image& m) { m.integer("lstm_rt.format_version", 2); },
       "format version 2; this library reads version 1"},
      {"a version that is text", [](Image& m) { m.text("lstm_rt.format_version", "1"); },
       "it is a string, not an integer"},
      {"a key from the future", [](Image& m) { m.integer("lstm_rt.graph.magic", 1); },
       "key 'lstm_rt.graph.magic' is not known"},
      {"a table of the wrong type", [](Image& m) { m.strings("lstm_rt.op.inputs", {"x"}); },
       "it is an array of strings, not an array of integers"},
      {"a scalar in place of a table", [](Image& m) { m.integer("lstm_rt.bindings", 1); },
       "it is an integer, not an array of integers"},
      {"no graph",
       [](Image& m) {
         m.remove("lstm_rt.block.op_counts");
         m.remove("lstm_rt.block.output_counts");
       },
       "so there is no graph"},
      {"tables of unlike length", [](Image& m) { m.at("lstm_rt.op.names").strings.pop_back(); },
       "table 'lstm_rt.op.types': it has 6 items, but table 'lstm_rt.op.names' has 5"},
      {"no attribute counts", [](Image& m) { m.remove("lstm_rt.attr.counts"); },
       "but table 'lstm_rt.attr.counts' has 0"},
      {"a negative count", [](Image& m) { set(m, "lstm_rt.op.input_counts", 2, -3); },
       "table 'lstm_rt.op.input_counts', item 2: a count of -3"},
      {"a count of 2^31-1", [](Image& m) { set(m, "lstm_rt.op.input_counts", 2, 0x7FFFFFFF); },
       "2147483647 of table 'lstm_rt.op.inputs' are asked for"},
      {"a count of ops of 2^31-1", [](Image& m) { set(m, "lstm_rt.block.op_counts", 0, 0x7FFFFFFF); },
       "but 2147483647 are asked for after the first 0"},
      {"a count of attributes of 2^31-1", [](Image& m) { set(m, "lstm_rt.attr.counts", 0, 0x7FFFFFFF); },
       "'lstm_rt.attr.names': it has 5 items, but 2147483647"},
      {"a count past 32 bits",
       [](Image& m) {
         m.at("lstm_rt.op.input_counts").type = I64;
         set(m, "lstm_rt.op.input_counts", 2, kHuge);
       },
       "item 2: 4611686018427387904 does not fit 32 bits"},
      {"ops left over", [](Image& m) { set(m, "lstm_rt.block.op_counts", 2, 1); },
       "'lstm_rt.op.types': it has 6 items, of which only 5"},
      {"inputs left over", [](Image& m) { m.at("lstm_rt.op.inputs").ints.push_back(0); },
       "table 'lstm_rt.op.inputs': it has 11 items, of which only 10"},
      {"outputs of blocks left over", [](Image& m) { set(m, "lstm_rt.block.output_counts", 2, 0); },
       "'lstm_rt.block.outputs': it has 4 items, of which only 3"},
      {"integers left over", [](Image& m) { m.at("lstm_rt.attr.ints").ints.push_back(0); },
       "'lstm_rt.attr.ints': it has 5 items, of which only 4"},
      {"floats left over", [](Image& m) { m.floats("lstm_rt.attr.floats", {1, 2}); },
       "'lstm_rt.attr.floats': it has 2 items, of which only 1"},
      {"strings left over", [](Image& m) { m.strings("lstm_rt.attr.strings", {"a", "b"}); },
       "'lstm_rt.attr.strings': it has 2 items, of which only 1"},
      {"an unknown attribute kind", [](Image& m) { set(m, "lstm_rt.attr.kinds", 2, 4); },
       "there is no attribute kind 4"},
      {"a float64 past float32",
       [](Image& m) {
         m.floats("lstm_rt.attr.floats", {1e300});
         m.at("lstm_rt.attr.floats").type = F64;
       },
       "does not fit a float32"},
      {"a value without name", [](Image& m) { m.at("lstm_rt.graph.values").strings[1] = ""; },
       "'lstm_rt.graph.values', item 1: an empty name"},
      {"a name that is not UTF-8", [](Image& m) { m.at("lstm_rt.graph.values").strings[1] = "a\xC0\xAF"; },
       "item 1: 'a\\xc0\\xaf' is no name"},
      {"a name with a NUL", [](Image& m) { m.at("lstm_rt.op.names").strings[1] = std::string("a\0b", 3); },
       "'a\\x00b' is no name"},
      {"a name of 65536 bytes", [](Image& m) { m.at("lstm_rt.op.names").strings[1] = std::string(65536, 'n'); },
       "nnn...' is no name"},
      {"an attribute text with a NUL", [](Image& m) { m.strings("lstm_rt.attr.strings", {std::string("a\0", 2)}); },
       "is not UTF-8, or holds a NUL"},
      {"metadata that is not UTF-8", [](Image& m) { m.text("lstm_rt.source.file", "\xFF"); },
       "key 'lstm_rt.source.file': its text is not UTF-8"},
      {"a metadata key that is not UTF-8", [](Image& m) { m.text("general.\xFF", "a"); },
       "key 'general.\\xff': its name is not UTF-8"},
      {"no dtypes of inputs", [](Image& m) { m.remove("lstm_rt.input.dtypes"); },
       "'lstm_rt.graph.inputs': it has 3 items, but table 'lstm_rt.input.dtypes' has 0"},
      {"defaults of other inputs", [](Image& m) { m.ints("lstm_rt.input.defaults", {0}); },
       "table 'lstm_rt.input.defaults': it has 1 item for 3 inputs"},
      {"a default that is no weight", [](Image& m) { m.ints("lstm_rt.input.defaults", {-1, -1, 1000000}); },
       "value 1000000 is no weight"},
      {"a default before the first value", [](Image& m) { m.ints("lstm_rt.input.defaults", {-1, -2, -1}); },
       "value -2 is no weight"},
      {"dtype 6", [](Image& m) { set(m, "lstm_rt.input.dtypes", 0, 6); },
       "'lstm_rt.input.dtypes', item 0: there is no dtype 6"},
      {"an input without dtype", [](Image& m) { set(m, "lstm_rt.input.dtypes", 0, -1); }, "there is no dtype -1"},
      {"rank 9", [](Image& m) { set(m, "lstm_rt.input.ranks", 0, 9); }, "'lstm_rt.input.ranks', item 0: rank 9"},
      {"an output of rank -2", [](Image& m) { set(m, "lstm_rt.output.ranks", 0, -2); }, "rank -2"},
      {"a dim of -2", [](Image& m) { set(m, "lstm_rt.input.dims", 0, -2); }, "a dim of -2"},
      {"dims of an input that overflow", [](Image& m) { set(m, "lstm_rt.input.dims", 0, kHuge); },
       "multiply to more than 2^"},
      {"dims left over", [](Image& m) { set(m, "lstm_rt.input.ranks", 0, 1); },
       "'lstm_rt.input.dims': it has 4 items, of which only 3"},
      {"too few dims", [](Image& m) { set(m, "lstm_rt.input.ranks", 1, 1); },
       "2 of table 'lstm_rt.input.dims' are asked for"},
      {"names of dims and dims", [](Image& m) { m.at("lstm_rt.input.dim_names").strings.pop_back(); },
       "'lstm_rt.input.dim_names' has 3"},
      {"2000 inputs", [](Image& m) { m.ints("lstm_rt.graph.inputs", std::vector<int64_t>(2000)); },
       "2000 items; at most 1024"},
      {"5000 blocks", [](Image& m) { m.ints("lstm_rt.block.op_counts", std::vector<int64_t>(5000)); },
       "5000 items; at most 4096"},
      {"no outputs",
       [](Image& m) {
         set(m, "lstm_rt.block.output_counts", 0, 0);
         m.at("lstm_rt.block.outputs")
             .ints.erase(m.at("lstm_rt.block.outputs").ints.begin(), m.at("lstm_rt.block.outputs").ints.begin() + 2);
         for (const char* key : {"dtypes", "ranks", "dims", "dim_names"}) {
           m.remove(std::string("lstm_rt.output.") + key);
         }
       },
       "the model gives no output"},
      {"fewer dtypes than tensors",
       [](Image& m) {
         m.at("lstm_rt.tensor.dtypes").ints.pop_back();
         m.at("lstm_rt.tensor.ranks").ints.pop_back();
       },
       "it has 6 items, but the file has 7 tensors"},
      {"a tensor's shape against its bytes", [](Image& m) { set(m, "lstm_rt.tensor.dims", 0, 4); },
       "tensor 'w': shape [4, 2] of float32 does not make the 24 bytes"},
      {"a tensor's dtype against its type", [](Image& m) { set(m, "lstm_rt.tensor.dtypes", 0, 2); },
       "tensor 'w': it is stored as GGUF type 0, which cannot hold int32"},
      {"a negative dim of a tensor", [](Image& m) { set(m, "lstm_rt.tensor.dims", 0, -3); }, "tensor 'w': a dim of -3"},
      {"dims of a tensor that overflow", [](Image& m) { set(m, "lstm_rt.tensor.dims", 0, kHuge + 3); },
       "tensor 'w': its dims multiply to more than 2^"},
      {"dims of tensors left over", [](Image& m) { m.at("lstm_rt.tensor.dims").ints.push_back(1); },
       "'lstm_rt.tensor.dims': it has 11 items"},
      {"a bool of 2", [](Image& m) { m.tensors[3].data = "\2"; }, "tensor 'test.flag': a bool that is neither 0 nor 1"},
      {"more weights than tensors", [](Image& m) { m.ints("lstm_rt.graph.weights", std::vector<int64_t>(8)); },
       "7 tensors, but 8 weights and 1 self-test of 5 tensors"},
      {"more self-tests than tensors", [](Image& m) { m.integer("lstm_rt.selftest.count", 2); },
       "2 self-tests of 5 tensors each"},
      {"2^32-1 self-tests", [](Image& m) { m.integer("lstm_rt.selftest.count", 0xFFFFFFFF); },
       "4294967295; at most 1024"},
      {"half a binding", [](Image& m) { m.at("lstm_rt.bindings").ints.pop_back(); },
       "'lstm_rt.bindings': an odd number of items"},
      {"a binding from no input", [](Image& m) { set(m, "lstm_rt.bindings", 0, 1); }, "item 0: value 1 is no input"},
      {"a binding to no output", [](Image& m) { set(m, "lstm_rt.bindings", 1, 99); }, "item 1: value 99 is no output"},
      {"an input bound twice", [](Image& m) { m.ints("lstm_rt.bindings", {5, 6, 5, 6}); }, "is bound twice"},
      {"more bindings than inputs", [](Image& m) { m.ints("lstm_rt.bindings", std::vector<int64_t>(8)); },
       "more pairs than the model has inputs"},
  };
  return attacks;
}

// Values of the small model: x 0, w 1, xw 2, flag 3, y 4, s 5, s2 6, t 7, one 8, onef 9, e 10.
inline const std::vector<Attack>& graph_attacks() {
  static const std::vector<Attack> attacks = {
      {"two values of one name", [](Image& m) { m.at("lstm_rt.graph.values").strings[1] = "x"; },
       "value 'x': two values have this name"},
      {"a value past the last", [](Image& m) { set(m, "lstm_rt.op.inputs", 0, 11); },
       "node 'product' (MatMul): there is no value 11, only 11"},
      {"a value of -2", [](Image& m) { set(m, "lstm_rt.op.inputs", 0, -2); }, "there is no value -2"},
      {"an input past the last", [](Image& m) { set(m, "lstm_rt.graph.inputs", 0, 1 << 30); },
       "'lstm_rt.graph.inputs': there is no value 1073741824"},
      {"an absent weight", [](Image& m) { set(m, "lstm_rt.graph.weights", 0, -1); },
       "'lstm_rt.graph.weights': there is no value -1"},
      {"an absent output", [](Image& m) { set(m, "lstm_rt.block.outputs", 0, -1); },
       "output of block 0: there is no value -1"},
      {"an input that is a weight", [](Image& m) { set(m, "lstm_rt.graph.weights", 0, 0); },
       "it defines value 'x', which is defined already"},
      {"an output that is an input", [](Image& m) { set(m, "lstm_rt.op.outputs", 0, 0); },
       "node 'product' (MatMul): it defines value 'x'"},
      {"an op that feeds itself", [](Image& m) { set(m, "lstm_rt.op.inputs", 0, 2); },
       "node 'product' (MatMul): it uses value 'xw', which is not defined before it"},
      {"an op before its input", [](Image& m) { set(m, "lstm_rt.op.inputs", 0, 6); },
       "uses value 's2', which is not defined before"},
      {"a condition from its own branch", [](Image& m) { set(m, "lstm_rt.op.inputs", 2, 7); },
       "node 'choice' (If): it uses value 't', which is not defined before"},
      {"a branch's value seen outside", [](Image& m) { set(m, "lstm_rt.op.inputs", 3, 7); },
       "node 'state' (Gemm): it uses value 't', which is defined inside a block"},
      {"a branch's value seen in the other", [](Image& m) { set(m, "lstm_rt.op.inputs", 8, 7); },
       "node 5 (Add): it uses value 't', which is defined inside a block"},
      {"an If's output seen in its branch", [](Image& m) { set(m, "lstm_rt.op.inputs", 6, 4); },
       "node 'then/tanh' (Tanh): it uses value 'y'"},
      {"a branch's value as output", [](Image& m) { set(m, "lstm_rt.block.outputs", 0, 7); },
       "output of block 0: it uses value 't', which is defined inside"},
      {"a branch that gives what comes later", [](Image& m) { set(m, "lstm_rt.block.outputs", 2, 6); },
       "output of block 1: it uses value 's2'"},
      {"a value nothing defines", [](Image& m) { m.at("lstm_rt.graph.values").strings.push_back("z"); },
       "value 'z': it is no input, no weight"},
      {"a block that is in itself", [](Image& m) { set(m, "lstm_rt.attr.ints", 0, 0); },
       "block 0 cannot be a branch in block 0"},
      {"a block of two branches", [](Image& m) { set(m, "lstm_rt.attr.ints", 1, 1); },
       "block 1 is a branch of another op already"},
      {"a block past the last", [](Image& m) { set(m, "lstm_rt.attr.ints", 1, 3); }, "there is no block 3, only 3"},
      {"a block of 2^62", [](Image& m) { set(m, "lstm_rt.attr.ints", 1, kHuge); },
       "there is no block 4611686018427387904"},
      {"a block of -1", [](Image& m) { set(m, "lstm_rt.attr.ints", 1, -1); }, "there is no block -1"},
      {"a block of two numbers",
       [](Image& m) {
         set(m, "lstm_rt.attr.lengths", 1, 2);
         set(m, "lstm_rt.attr.lengths", 3, 1);
       },
       "it has 2 block numbers, not one"},
      {"a block without number",
       [](Image& m) {
         set(m, "lstm_rt.attr.lengths", 1, 0);
         set(m, "lstm_rt.attr.lengths", 3, 3);
       },
       "it has 0 block numbers, not one"},
      {"a block nothing uses",
       [](Image& m) {
         m.at("lstm_rt.block.op_counts").ints.push_back(0);
         m.at("lstm_rt.block.output_counts").ints.push_back(0);
       },
       "block 3: no op of an earlier block has it"},
      {"blocks in a ring",
       [](Image& m) {
         nest(m, 2);
         m.ints("lstm_rt.attr.ints", {1, 2, 4, 3});
         m.at("lstm_rt.block.op_counts").ints = {1, 0, 0, 0, 1};
       },
       "block 3: no op of an earlier block has it"},
      {"an If of one branch", [](Image& m) { set(m, "lstm_rt.attr.kinds", 1, 0); },
       "node 'choice' (If): it has no block 'else_branch'"},
      {"a loop", [](Image& m) { m.at("lstm_rt.op.types").strings[1] = "Loop"; },
       "node 'choice' (Loop), attribute 'then_branch': it is a block, but only an If"},
      {"a third branch", [](Image& m) { m.at("lstm_rt.attr.names").strings[1] = "maybe"; },
       "attribute 'maybe': it is a block"},
      {"branches that give too little",
       [](Image& m) {
         set(m, "lstm_rt.block.output_counts", 1, 0);
         auto& outputs = m.at("lstm_rt.block.outputs").ints;
         outputs.erase(outputs.begin() + 2);
       },
       "block 1 gives 0 values, wanted 1"},
      {"an attribute twice", [](Image& m) { m.at("lstm_rt.attr.names").strings[3] = "alpha"; },
       "node 'state' (Gemm): it has two attributes 'alpha'"},
      {"Ifs 65 deep", [](Image& m) { nest(m, 65); }, "blocks are nested more than 64 deep"},
      {"Ifs 1000 deep", [](Image& m) { nest(m, 1000); }, "blocks are nested more than 64 deep"},
  };
  return attacks;
}

// Checksums that are wrong, or are none.
inline const std::vector<Attack>& checksum_attacks() {
  static const std::vector<Attack> attacks = {
      {"a header of another checksum", [](Image& m) { m.integer("lstm_rt.checksum.header", 1); },
       "the header does not match its checksum, key 'lstm_rt.checksum.header'"},
      {"a header's checksum of a byte", [](Image& m) { m.integer("lstm_rt.checksum.header", 1, U8); },
       "the header does not match its checksum"},
      {"a header's checksum of 8 bytes", [](Image& m) { m.integer("lstm_rt.checksum.header", kHuge, U64); },
       "the header does not match its checksum"},
      {"a header's checksum that is a string", [](Image& m) { m.text("lstm_rt.checksum.header", ""); },
       "the header does not match its checksum"},
      {"a header's checksum that is an array", [](Image& m) { m.ints("lstm_rt.checksum.header", {1, 2}); },
       "the header does not match its checksum"},
      {"wrong checksums", [](Image& m) { m.ints("lstm_rt.checksum.tensors", {1, 2, 3, 4, 5, 6, 7}, U32); },
       "tensor 'w': its 24 bytes do not match their checksum"},
      {"checksums that no CRC-32 is", [](Image& m) { m.ints("lstm_rt.checksum.tensors", {-1, 0, 0, 0, 0, 0, 0}, I64); },
       "tensor 'w': its 24 bytes do not match their checksum"},
      {"too few checksums", [](Image& m) { m.ints("lstm_rt.checksum.tensors", {1, 2}, U32); },
       "table 'lstm_rt.checksum.tensors': it has 2 items, but the file has 7 tensors"},
      {"one checksum", [](Image& m) { m.integer("lstm_rt.checksum.tensors", 1); },
       "key 'lstm_rt.checksum.tensors': it is an integer, not an array of integers"},
      {"checksums that are strings", [](Image& m) { m.strings("lstm_rt.checksum.tensors", {"1"}); },
       "key 'lstm_rt.checksum.tensors': it is an array of strings, not an array of integers"},
  };
  return attacks;
}

// Where weights of dtypes that only weights have are wrong, or stand where they may not.
inline const std::vector<Attack>& packed_attacks() {
  static const std::vector<Attack> attacks = {
      {"dtype 8", [](Image& m) { set(m, "lstm_rt.tensor.dtypes", 0, 8); }, "there is no dtype 8"},
      {"an input of int4", [](Image& m) { set(m, "lstm_rt.input.dtypes", 0, 7); }, "there is no dtype 7"},
      {"an output of bfloat16", [](Image& m) { set(m, "lstm_rt.output.dtypes", 0, 6); }, "there is no dtype 6"},
      {"int4 in rows of 48",
       [](Image& m) {
         m = int4_model();
         m.tensors[0].dims = {48, 2};
       },
       "tensor 'w', byte"},
      {"int4 without dims",
       [](Image& m) {
         m = int4_model();
         m.tensors[0].dims = {};
       },
       "its rows do not make whole blocks of 32"},
      {"int4 whose last dim is 2",
       [](Image& m) {
         m = int4_model();
         set(m, "lstm_rt.tensor.dims", 0, 64);
         set(m, "lstm_rt.tensor.dims", 1, 2);
       },
       "tensor 'w': the last dim of an int4 tensor is a multiple of 32, but its shape is [64, 2]"},
      {"int4 of rank 0",
       [](Image& m) {
         m = int4_model();
         set(m, "lstm_rt.tensor.ranks", 0, 0);
         m.ints("lstm_rt.tensor.dims", {3, 1, 2, 1, 2, 1, 2, 1}, I64);
       },
       "but its shape is []"},
      {"int4 of half its shape",
       [](Image& m) {
         m = int4_model();
         set(m, "lstm_rt.tensor.dims", 0, 1);
       },
       "shape [1, 64] of int4 does not make the 72 bytes"},
      {"a block with an infinite scale",
       [](Image& m) {
         m = int4_model();
         m.tensors[0].data[3 * 18] = '\0';
         m.tensors[0].data[3 * 18 + 1] = '\xFC';
       },
       "tensor 'w': block 3 has a scale that is not finite"},
      {"a block with no number for a scale",
       [](Image& m) {
         m = int4_model();
         m.tensors[0].data[1] = '\x7E';
       },
       "tensor 'w': block 0 has a scale that is not finite"},
      {"int4 stored as bytes",
       [](Image& m) {
         m = int4_model();
         m.tensors[0].type = TENSOR_I8;
         m.tensors[0].dims = {72};
       },
       "it is stored as GGUF type 24, which cannot hold int4"},
      {"bfloat16 stored as int4",
       [](Image& m) {
         m = int4_model();
         set(m, "lstm_rt.tensor.dtypes", 0, 6);
       },
       "it is stored as GGUF type 2, which cannot hold bfloat16"},
      {"bfloat16 in a self-test",
       [](Image& m) {
         m.tensors[4] = {"test.s", TENSOR_BF16, {2, 1}, std::string(4, '\0'), 0};
         set(m, "lstm_rt.tensor.dtypes", 4, 6);
       },
       "a self-test holds a tensor of bfloat16"},
      {"int4 in a self-test",
       [](Image& m) {
         m.tensors[6] = {"test.s2", TENSOR_Q4_0, {32}, std::string(18, '\0'), 0};
         set(m, "lstm_rt.tensor.dtypes", 6, 7);
         set(m, "lstm_rt.tensor.dims", 9, 32);
       },
       "a self-test holds a tensor of int4"},
      {"bfloat16 on the left of a product",
       [](Image& m) {
         m = bfloat16_model();
         set(m, "lstm_rt.op.inputs", 0, 1);
         set(m, "lstm_rt.op.inputs", 1, 0);
       },
       "node 'product' (MatMul): input 0 is weight 'w' of bfloat16"},
      {"int4 for an op inside a branch",
       [](Image& m) {
         m = int4_model();
         set(m, "lstm_rt.op.inputs", 6, 1);
       },
       "node 'then/tanh' (Tanh): input 0 is weight 'w' of int4"},
      {"int4 out of a branch",
       [](Image& m) {
         m = int4_model();
         set(m, "lstm_rt.block.outputs", 2, 1);
       },
       "an output of a block is weight 'w' of int4"},
      {"bfloat16 out of the model",
       [](Image& m) {
         m = bfloat16_model();
         set(m, "lstm_rt.block.outputs", 0, 1);
       },
       "an output of a block is weight 'w' of bfloat16"},
  };
  return attacks;
}

}  // namespace lrt_test

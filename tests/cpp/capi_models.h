// What the tests of the C API share: two models that can be stepped, and how results are counted.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "lstm_rt.h"
#include "model_image.h"

namespace lrt_test {

inline int passed = 0, failed = 0;

inline void expect(bool right, const std::string& what) {
  ++(right ? passed : failed);
  if (!right) std::printf("FAILED: %s\n", what.c_str());
}

inline int report() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

inline bool mentions(const lrt_error& error, const char* text) {
  return std::string(error.message).find(text) != std::string::npos;
}

inline Image empty_image() {
  Image image;
  image.text("general.architecture", "lstm_rt");
  image.integer("general.alignment", 32);
  image.integer("lstm_rt.format_version", 1);
  return image;
}

// s2 = x·w + s, y = tanh(s2): x [batch, inputs], w [inputs, units] row by row, s bound to s2.
inline std::string product_model(int64_t inputs, int64_t units, const std::vector<float>& w) {
  Image image = empty_image();
  GraphTables graph;
  graph.block(
      {{"MatMul", "product", {"x", "w"}, {"xw"}}, {"Add", "sum", {"xw", "s"}, {"s2"}}, {"Tanh", "", {"s2"}, {"y"}}},
      {"y", "s2"});
  image.ints("lstm_rt.graph.inputs", graph.list({"x", "s"}));
  image.ints("lstm_rt.graph.weights", graph.list({"w"}));
  graph.write(image);
  image.ints("lstm_rt.bindings", graph.list({"s", "s2"}));
  image.ints("lstm_rt.attr.counts", {0, 0, 0});
  image.ints("lstm_rt.input.dtypes", {0, 0});
  image.ints("lstm_rt.input.ranks", {2, 2});
  image.ints("lstm_rt.input.dims", {-1, inputs, -1, units}, I64);
  image.strings("lstm_rt.input.dim_names", {"batch", "", "batch", ""});
  image.ints("lstm_rt.output.dtypes", {0, -1});
  image.ints("lstm_rt.output.ranks", {2, -1});
  image.ints("lstm_rt.output.dims", {-1, units}, I64);
  image.strings("lstm_rt.output.dim_names", {"", ""});
  image.tensors = {{"w", TENSOR_F32, {static_cast<uint64_t>(units), static_cast<uint64_t>(inputs)}, raw(w), 0}};
  image.ints("lstm_rt.tensor.dtypes", {0});
  image.ints("lstm_rt.tensor.ranks", {2});
  image.ints("lstm_rt.tensor.dims", {inputs, units}, I64);
  return image.bytes();
}

inline std::string stepping_model() { return product_model(3, 2, {0.5f, -0.25f, 1, 2, -3, 0.125f}); }

// An LSTM of two units that keeps its state itself: x [steps, batch, 3], y [steps, 1, batch, 2].
inline std::string lstm_model() {
  Image image = empty_image();
  GraphTables graph;
  graph.block({{"LSTM", "lstm", {"x", "w", "r"}, {"y"}}}, {"y"});
  image.ints("lstm_rt.graph.inputs", graph.list({"x"}));
  image.ints("lstm_rt.graph.weights", graph.list({"w", "r"}));
  graph.write(image);
  image.ints("lstm_rt.attr.counts", {8});
  image.strings("lstm_rt.attr.names", {"hidden_size", "layout", "input_forget", "clip", "activation_alpha",
                                       "activation_beta", "direction", "activations"});
  image.ints("lstm_rt.attr.kinds", {0, 0, 0, 1, 1, 1, 2, 2});
  image.ints("lstm_rt.attr.lengths", {1, 1, 1, 1, 3, 3, 1, 3});
  image.ints("lstm_rt.attr.ints", {2, 0, 0}, I64);
  image.floats("lstm_rt.attr.floats", {0, 1, 1, 1, 1, 1, 1});
  image.strings("lstm_rt.attr.strings", {"forward", "Sigmoid", "Tanh", "Tanh"});
  image.ints("lstm_rt.input.dtypes", {0});
  image.ints("lstm_rt.input.ranks", {3});
  image.ints("lstm_rt.input.dims", {-1, -1, 3}, I64);
  image.strings("lstm_rt.input.dim_names", {"steps", "batch", ""});
  image.ints("lstm_rt.output.dtypes", {0});
  image.ints("lstm_rt.output.ranks", {-1});
  std::vector<float> w, r;
  for (int i = 0; i < 24; ++i) w.push_back(static_cast<float>(i % 7 - 3) / 4);
  for (int i = 0; i < 16; ++i) r.push_back(static_cast<float>(i % 5 - 2) / 4);
  image.tensors = {{"w", TENSOR_F32, {3, 8, 1}, raw(w), 0}, {"r", TENSOR_F32, {2, 8, 1}, raw(r), 0}};
  image.ints("lstm_rt.tensor.dtypes", {0, 0});
  image.ints("lstm_rt.tensor.ranks", {3, 3});
  image.ints("lstm_rt.tensor.dims", {1, 8, 3, 1, 8, 2}, I64);
  return image.bytes();
}

inline lrt_array floats_of(const std::vector<int64_t>& dims) {
  lrt_array array{};
  array.dtype = LRT_FLOAT32;
  array.shape.rank = static_cast<int32_t>(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) array.shape.dims[i] = dims[i];
  return array;
}

// Of the stepping model.
inline lrt_array frames(int64_t batch) { return floats_of({batch, 3}); }

inline const std::string kModel = stepping_model();

inline lrt_model* load(const lrt_model_options* options, lrt_error* error, const std::string& bytes = kModel) {
  lrt_model* model = nullptr;
  lrt_model_load_memory(bytes.data(), bytes.size(), options, &model, error);
  return model;
}

inline lrt_model* load(const lrt_model_options* options = nullptr, const std::string& bytes = kModel) {
  lrt_error error{};
  lrt_model* const model = load(options, &error, bytes);
  if (!model) {
    std::printf("the model does not load: %s\n", error.message);
    std::exit(1);
  }
  return model;
}

}  // namespace lrt_test

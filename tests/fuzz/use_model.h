// Everything that an application can do with a model file: load it, ask what it is, plan, run, stream, pool and verify.
// Whatever the file is, that ends with an answer or an error; complain() is called for an answer that cannot be right.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lstm_rt.h"

namespace lrt_fuzz {

constexpr size_t kMostMemory = size_t{48} << 20;     // of a plan, a stream, a clone, an output: all may exist at once
constexpr int64_t kMostElements = 1 << 16;           // in an input
constexpr uint64_t kMostMacs = 20'000'000;           // in a run: long computations are not the subject here
constexpr size_t kItemBytes[] = {4, 8, 4, 1, 1, 1};  // by lrt_dtype

// Called before every call that may take long, so that each can be timed on its own.
inline void (*begin_stage)() = [] {};

struct Outcome {
  bool loaded = false, planned = false, ran = false, streamed = false, pooled = false;
};

// Ends the process; whoever started it knows which file it was working on.
[[noreturn]] inline void complain(const std::string& what) {
  std::fprintf(stderr, "wrong: %s\n", what.c_str());
  std::abort();
}

// True if the call succeeded. An internal error is a foreign exception, and memory that the system refuses was asked for
// before it was counted.
inline bool succeeded(lrt_status status, const lrt_error& error) {
  if (status == LRT_ERROR_INTERNAL || std::strstr(error.message, "out of memory") != nullptr) complain(error.message);
  if (status != LRT_OK && error.message[0] == '\0') complain("an error without a message");
  return status == LRT_OK;
}

struct Free {
  template <class T>
  void operator()(T* handle) const {
    if constexpr (std::is_same_v<T, lrt_model>) lrt_model_free(handle);
    if constexpr (std::is_same_v<T, lrt_plan>) lrt_plan_free(handle);
    if constexpr (std::is_same_v<T, lrt_stream>) lrt_stream_free(handle);
    if constexpr (std::is_same_v<T, lrt_pool>) lrt_pool_free(handle);
  }
};
template <class T>
using Handle = std::unique_ptr<T, Free>;

// An array given to the model.
class Array {
 public:
  // Free dims are `free`, and elements are `value` and the next ones. False if the array would be large.
  bool make(const lrt_port& port, int64_t free, int64_t value) {
    if (port.dtype < 0 || port.shape.rank < 0) return false;
    array_.dtype = port.dtype;
    array_.shape = port.shape;
    int64_t elements = 1;
    for (int axis = 0; axis < array_.shape.rank; ++axis) {
      int64_t& dim = array_.shape.dims[axis];
      if (dim < 0) dim = free;
      if (dim > kMostElements || elements * dim > kMostElements) return false;
      elements *= dim;
    }
    const size_t width = kItemBytes[array_.dtype];
    bytes_.resize(static_cast<size_t>(elements) * width + 1);  // data() is not NULL even if there are no elements
    for (int64_t i = 0; i < elements; ++i) put(static_cast<size_t>(i) * width, value + i % 3);
    array_.data = bytes_.data();
    return true;
  }

  void copy(int32_t dtype, const lrt_shape& shape, const void* data, size_t bytes) {
    array_.dtype = dtype;
    array_.shape = shape;
    const auto* const from = static_cast<const uint8_t*>(data);
    bytes_.assign(from, from + bytes);
    bytes_.push_back(0);
    array_.data = bytes_.data();
  }

  lrt_array get() const {
    lrt_array result = array_;
    result.data = bytes_.data();
    return result;
  }

  bool operator==(const Array& other) const { return bytes_ == other.bytes_; }

 private:
  void put(size_t at, int64_t value) {
    const float number = static_cast<float>(value) * 0.25F;
    const bool boolean = (value & 1) != 0;
    if (array_.dtype == LRT_FLOAT32)
      std::memcpy(&bytes_[at], &number, sizeof number);
    else if (array_.dtype == LRT_BOOL)
      bytes_[at] = boolean;
    else
      std::memcpy(&bytes_[at], &value, kItemBytes[array_.dtype]);  // little endian
  }

  lrt_array array_{};
  std::vector<uint8_t> bytes_;
};

// Memory for outputs.
class Results {
 public:
  // False if one would be larger than all memory here.
  bool make(const std::vector<lrt_port>& ports, size_t rows = 1) {
    for (const lrt_port& port : ports) {
      uint64_t size = kItemBytes[port.dtype] * rows;
      for (int axis = 0; axis < port.shape.rank; ++axis) {
        size *= static_cast<uint64_t>(port.shape.dims[axis]);
        if (size > kMostMemory) return false;
      }
      arrays.emplace_back(static_cast<size_t>(size) + 1);
      floats_.push_back(port.dtype == LRT_FLOAT32);
    }
    return true;
  }

  // Sign and payload of a NaN may differ between instruction sets (docs/numerics.md).
  void forget_payloads() {
    for (size_t i = 0; i < arrays.size(); ++i) {
      for (size_t at = 0; floats_[i] && at + sizeof(float) <= arrays[i].size(); at += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, &arrays[i][at], sizeof value);
        if (std::isnan(value)) std::memset(&arrays[i][at], 0xFF, sizeof value);
      }
    }
  }

  std::vector<void*> pointers() {
    std::vector<void*> result;
    for (std::vector<uint8_t>& array : arrays) result.push_back(array.data());
    return result;
  }

  std::vector<std::vector<uint8_t>> arrays;

 private:
  std::vector<bool> floats_;
};

// Uses one model with one set of inputs.
class Trial {
 public:
  Trial(lrt_model* model, std::vector<Array> arrays, int64_t batch) : model_(model), arrays_(std::move(arrays)) {
    for (const Array& array : arrays_) {
      inputs_.push_back(array.get());
      data_.push_back(inputs_.back().data);
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!lrt_model_input_is_control(model, i)) continue;
      freeze_.push_back(i);
      values_.push_back(inputs_[i]);
    }
    options_.batch = batch;
    options_.freeze = freeze_.data();
    options_.freeze_values = values_.data();
    options_.freeze_count = freeze_.size();
  }

  // Plans, and runs what is small; `results` get the bytes.
  void run(Outcome* outcome, Results* results) {
    lrt_error error{};
    lrt_plan* made = nullptr;
    begin_stage();
    if (!succeeded(lrt_plan_create(model_, inputs_.data(), inputs_.size(), &made, &error), error)) return;
    const Handle<lrt_plan> plan(made);
    outcome->planned = true;
    uint64_t macs = 0;
    lrt_call call;
    for (size_t i = 0; i < lrt_plan_call_count(made) && lrt_plan_call(made, i, &call) == LRT_OK; ++i) macs += call.macs;
    std::vector<lrt_port> ports(lrt_model_output_count(model_));
    for (size_t i = 0; i < ports.size(); ++i) lrt_plan_output(made, i, &ports[i]);
    if (macs > kMostMacs || !results->make(ports)) return;
    begin_stage();
    outcome->ran = succeeded(lrt_plan_run(made, data_.data(), results->pointers().data(), &error), error);
  }

  void stream(Outcome* outcome) {
    lrt_error error{};
    lrt_stream* made = nullptr;
    begin_stage();
    if (!succeeded(lrt_stream_create(model_, &options_, &made, &error), error)) return;
    const Handle<lrt_stream> stream(made);
    std::vector<lrt_array> frames;
    std::vector<const void*> data;
    for (size_t i = 0; i < lrt_stream_input_count(made); ++i) {
      frames.push_back(inputs_[lrt_stream_input(made, i)]);
      data.push_back(frames.back().data);
    }
    begin_stage();
    if (!succeeded(lrt_stream_prepare(made, frames.data(), frames.size(), &error), error)) return;
    std::vector<lrt_port> ports(lrt_stream_output_count(made));
    for (size_t i = 0; i < ports.size(); ++i) lrt_stream_output_port(made, i, &ports[i]);
    Results results;
    if (lrt_stream_macs(made) > kMostMacs || !results.make(ports)) return;
    const std::vector<void*> to = results.pointers();
    for (int step = 0; step < 3; ++step) {
      begin_stage();
      const std::vector<Array> before = states(made);
      const lrt_status status = lrt_stream_step(made, data.data(), to.data());
      if (status == LRT_OK) continue;
      // A sequence length of the inputs may be out of range: then the state stays as it was.
      if (status != LRT_ERROR_SHAPE) complain("a prepared step fails");
      if (states(made) != before) complain("a refused step changes the state");
    }
    outcome->streamed = true;
    keep_states(made);
    begin_stage();
    lrt_stream* copied = nullptr;
    if (succeeded(lrt_stream_clone(made, &copied, &error), error)) {
      const Handle<lrt_stream> copy(copied);
      lrt_stream_step(copied, data.data(), to.data());
    }
    begin_stage();
    lrt_stream_reset(made);
    lrt_stream_step(made, data.data(), to.data());
  }

  void pool(Outcome* outcome, size_t rows) {
    lrt_error error{};
    lrt_pool* made = nullptr;
    options_.batch = 1;
    begin_stage();
    if (!succeeded(lrt_pool_create(model_, &options_, rows + 1, &made, &error), error)) return;
    const Handle<lrt_pool> pool(made);
    std::vector<int64_t> ids(rows);
    for (int64_t& id : ids) succeeded(lrt_pool_open(made, &id, &error), error);
    std::vector<lrt_array> frames;
    std::vector<const void*> data;
    for (size_t i = 0; i < lrt_pool_input_count(made); ++i) {
      frames.push_back(inputs_[lrt_pool_input(made, i)]);
      data.push_back(frames.back().data);
    }
    begin_stage();
    if (!succeeded(lrt_pool_prepare(made, frames.data(), frames.size(), rows, &error), error)) return;
    std::vector<lrt_port> ports(lrt_pool_output_count(made));
    for (size_t i = 0; i < ports.size(); ++i) lrt_pool_output_port(made, i, &ports[i]);
    Results results;
    if (lrt_pool_macs(made) * rows > kMostMacs || !results.make(ports, rows)) return;
    for (int step = 0; step < 2; ++step) {
      begin_stage();
      const lrt_status status = lrt_pool_step(made, ids.data(), rows, data.data(), results.pointers().data(), &error);
      if (!succeeded(status, error) && status != LRT_ERROR_SHAPE)
        complain(std::string("a prepared step of a pool fails: ") + error.message);
    }
    lrt_port port;
    const void* state = nullptr;
    for (size_t i = 0; i < lrt_pool_state_count(made); ++i)
      succeeded(lrt_pool_state(made, ids[0], i, &port, &state, &error), error);
    succeeded(lrt_pool_reset(made, ids[0], &error), error);
    succeeded(lrt_pool_close(made, ids[0], &error), error);
    outcome->pooled = true;
  }

 private:
  // Copies every state.
  static std::vector<Array> states(lrt_stream* stream) {
    lrt_error error{};
    std::vector<Array> result(lrt_stream_state_count(stream));
    for (size_t i = 0; i < result.size(); ++i) {
      lrt_port port;
      const void* data = nullptr;
      if (!succeeded(lrt_stream_state(stream, i, &port, &data, &error), error)) complain("a state cannot be read");
      size_t bytes = kItemBytes[port.dtype];
      for (int axis = 0; axis < port.shape.rank; ++axis) bytes *= static_cast<size_t>(port.shape.dims[axis]);
      result[i].copy(port.dtype, port.shape, data, bytes);
    }
    return result;
  }

  // Sets every state to the value that it has.
  static void keep_states(lrt_stream* stream) {
    lrt_error error{};
    const std::vector<Array> copies = states(stream);
    for (size_t i = 0; i < copies.size(); ++i) {
      const lrt_array array = copies[i].get();
      if (!succeeded(lrt_stream_set_state(stream, i, &array, &error), error)) complain("a state does not fit itself");
    }
  }

  lrt_model* model_;
  std::vector<Array> arrays_;
  std::vector<lrt_array> inputs_, values_;
  std::vector<const void*> data_;
  std::vector<size_t> freeze_;
  lrt_stream_options options_{};
};

// Loads the bytes; null if they are refused.
inline Handle<lrt_model> load_model(const void* bytes, size_t size, const char* isa) {
  lrt_model_options options{};
  options.isa = isa;
  options.max_memory = kMostMemory;
  lrt_model* model = nullptr;
  lrt_error error{};
  begin_stage();
  succeeded(lrt_model_load_memory(bytes, size, &options, &model, &error), error);
  return Handle<lrt_model>(model);
}

// Asks for all that a model says of itself.
inline void inspect_model(const lrt_model* model) {
  lrt_port port;
  for (size_t i = 0; i < lrt_model_input_count(model); ++i) {
    if (lrt_model_input(model, i, &port) != LRT_OK) complain("an input cannot be described");
  }
  for (size_t i = 0; i < lrt_model_output_count(model); ++i) {
    if (lrt_model_output(model, i, &port) != LRT_OK) complain("an output cannot be described");
  }
  size_t input = 0, output = 0;
  for (size_t i = 0; i < lrt_model_binding_count(model); ++i) {
    if (lrt_model_binding(model, i, &input, &output) != LRT_OK) complain("a binding cannot be described");
  }
  const char* value = nullptr;
  for (size_t i = 0; lrt_model_metadata(model, i, &value) != nullptr; ++i) {
    if (value == nullptr) complain("metadata without text");
  }
  lrt_model_parameter_count(model);
  lrt_model_weight_bytes(model);
}

// Makes arrays for all inputs by their declared shapes; false if one would be large.
inline bool make_inputs(const lrt_model* model, int64_t free, int64_t value, std::vector<Array>* arrays) {
  arrays->resize(lrt_model_input_count(model));
  for (size_t i = 0; i < arrays->size(); ++i) {
    lrt_port port;
    if (lrt_model_input(model, i, &port) != LRT_OK || !(*arrays)[i].make(port, free, value)) return false;
  }
  return true;
}

inline void verify_model(lrt_model* model) {
  lrt_error error{};
  size_t count = 0, failed = 0;
  begin_stage();
  const lrt_status status = lrt_model_verify(model, &count, &failed, &error);
  if (status != LRT_OK) succeeded(status, error);
}

}  // namespace lrt_fuzz

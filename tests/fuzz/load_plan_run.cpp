// For libFuzzer: the bytes of a model file are loaded, planned for small shapes, run, and stepped as a stream. Whatever they
// are, that ends with an answer or an error: no crash, no report of a sanitizer, no hang, no more memory than is
// allowed. `dev.py fuzz` builds and runs it.
#include <cstdint>
#include <cstring>
#include <vector>

#include "gguf_mutator.h"
#include "lstm_rt.h"

namespace {

constexpr size_t kMostMemory = size_t{64} << 20;     // of a plan, a stream, an output
constexpr int64_t kMostElements = 1 << 16;           // in an input
constexpr uint64_t kMostMacs = 20'000'000;           // in a run: what takes long is not what is looked for here
constexpr size_t kItemBytes[] = {4, 8, 4, 1, 1, 1};  // by lrt_dtype

// An array for a port: free dims are `free`, every element is `value`.
struct Array {
  lrt_array array{};
  std::vector<uint8_t> bytes;

  bool make(const lrt_port& port, int64_t free, int64_t value) {
    if (port.dtype < 0 || port.shape.rank < 0) return false;
    array.dtype = port.dtype;
    array.shape = port.shape;
    int64_t elements = 1;
    for (int axis = 0; axis < array.shape.rank; ++axis) {
      int64_t& dim = array.shape.dims[axis];
      if (dim < 0) dim = free;
      if (dim > kMostElements || elements * dim > kMostElements) return false;
      elements *= dim;
    }
    const size_t width = kItemBytes[array.dtype];
    bytes.resize(static_cast<size_t>(elements) * width + 1);  // data() is not NULL even where there are no elements
    for (int64_t i = 0; i < elements; ++i) put(static_cast<size_t>(i) * width, value + i % 3);
    array.data = bytes.data();
    return true;
  }

 private:
  void put(size_t at, int64_t value) {
    const float number = static_cast<float>(value) * 0.25F;
    const bool boolean = (value & 1) != 0;
    if (array.dtype == LRT_FLOAT32)
      std::memcpy(&bytes[at], &number, sizeof number);
    else if (array.dtype == LRT_BOOL)
      bytes[at] = boolean;
    else
      std::memcpy(&bytes[at], &value, kItemBytes[array.dtype]);  // little endian
  }
};

// What an output needs, by its port; nothing where it would be larger than all memory here.
bool make_outputs(std::vector<std::vector<uint8_t>>& outputs, const std::vector<lrt_port>& ports) {
  for (const lrt_port& port : ports) {
    uint64_t size = kItemBytes[port.dtype];
    for (int axis = 0; axis < port.shape.rank; ++axis) {
      size *= static_cast<uint64_t>(port.shape.dims[axis]);
      if (size > kMostMemory) return false;
    }
    outputs.emplace_back(static_cast<size_t>(size) + 1);
  }
  return true;
}

std::vector<void*> pointers(std::vector<std::vector<uint8_t>>& arrays) {
  std::vector<void*> result;
  for (std::vector<uint8_t>& array : arrays) result.push_back(array.data());
  return result;
}

void run_whole(lrt_model* model, const std::vector<lrt_array>& inputs, const std::vector<const void*>& data) {
  lrt_plan* plan = nullptr;
  lrt_error error;
  if (lrt_plan_create(model, inputs.data(), inputs.size(), &plan, &error) != LRT_OK) return;
  uint64_t macs = 0;
  lrt_call call;
  for (size_t i = 0; i < lrt_plan_call_count(plan) && lrt_plan_call(plan, i, &call) == LRT_OK; ++i) macs += call.macs;
  std::vector<lrt_port> ports(lrt_model_output_count(model));
  for (size_t i = 0; i < ports.size(); ++i) lrt_plan_output(plan, i, &ports[i]);
  std::vector<std::vector<uint8_t>> outputs;
  if (macs <= kMostMacs && make_outputs(outputs, ports)) {
    lrt_plan_run(plan, data.data(), pointers(outputs).data(), &error);
  }
  lrt_plan_free(plan);
}

void step_stream(lrt_model* model, const std::vector<lrt_array>& inputs) {
  std::vector<size_t> freeze;
  std::vector<lrt_array> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!lrt_model_input_is_control(model, i)) continue;
    freeze.push_back(i);
    values.push_back(inputs[i]);
  }
  lrt_stream_options options{};
  options.batch = 1;
  options.freeze = freeze.data();
  options.freeze_values = values.data();
  options.freeze_count = freeze.size();
  lrt_stream* stream = nullptr;
  lrt_error error;
  if (lrt_stream_create(model, &options, &stream, &error) != LRT_OK) return;
  std::vector<lrt_array> frames;
  std::vector<const void*> data;
  for (size_t i = 0; i < lrt_stream_input_count(stream); ++i) {
    frames.push_back(inputs[lrt_stream_input(stream, i)]);
    data.push_back(frames.back().data);
  }
  if (lrt_stream_prepare(stream, frames.data(), frames.size(), &error) == LRT_OK &&
      lrt_stream_macs(stream) <= kMostMacs) {
    std::vector<lrt_port> ports(lrt_stream_output_count(stream));
    for (size_t i = 0; i < ports.size(); ++i) lrt_stream_output_port(stream, i, &ports[i]);
    std::vector<std::vector<uint8_t>> outputs;
    if (make_outputs(outputs, ports)) {
      const std::vector<void*> to = pointers(outputs);
      for (int step = 0; step < 3; ++step) lrt_stream_step(stream, data.data(), to.data());
    }
  }
  lrt_stream_free(stream);
}

void use(lrt_model* model, uint8_t variant) {
  lrt_error error;
  const int64_t free = 1 + variant % 3, value = variant % 5 == 0 ? 16000 : variant / 3 % 7 - 1;
  std::vector<Array> arrays(lrt_model_input_count(model));
  std::vector<lrt_array> inputs;
  std::vector<const void*> data;
  for (size_t i = 0; i < arrays.size(); ++i) {
    lrt_port port;
    if (lrt_model_input(model, i, &port) != LRT_OK || !arrays[i].make(port, free, value)) return;
    inputs.push_back(arrays[i].array);
    data.push_back(inputs.back().data);
  }
  run_whole(model, inputs, data);
  step_stream(model, inputs);
  size_t count = 0, failed = 0;
  lrt_model_verify(model, &count, &failed, &error);
}

}  // namespace

// NOLINTBEGIN: names that libFuzzer gives
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  // Shapes and instruction sets follow from the bytes, so that a file found is run as it was.
  uint8_t variant = 0;
  for (size_t i = 0; i < size; ++i) variant = static_cast<uint8_t>(variant * 31 + bytes[i]);
  size_t sets = 0;
  while (lrt_available_isa(sets) != nullptr) ++sets;
  lrt_model_options options{};
  options.isa = lrt_available_isa(variant % sets);
  options.max_memory = kMostMemory;
  lrt_model* model = nullptr;
  lrt_error error;
  if (lrt_model_load_memory(bytes, size, &options, &model, &error) != LRT_OK) return 0;
  use(model, variant);
  lrt_model_free(model);
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  if (seed % 32 != 0) lrt_fuzz::drop_checksums(data, size);
  if (seed % 4 != 0 && lrt_fuzz::mutate_fields(data, size, seed / 4)) return size;
  return LLVMFuzzerMutate(data, size, most);
}
// NOLINTEND

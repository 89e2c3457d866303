// Times one step of a stream through the C API, as an application in C calls it.
//
//   bench_step model.gguf ...            nanoseconds a step, for each model: the median and the least of many samples
//   bench_step --steps N model.gguf ...  N steps of each and nothing else, for tools that count instructions
//
// Free dims are taken as 1. `python -m bench.overhead` and `python -m bench.instructions` make models, build this and run it.
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "lstm_rt.h"

namespace {

constexpr int kSamples = 2000;
constexpr double kSampleNs = 20000;  // reading the clock, some 30 ns, is lost in it; an interruption meets few

[[noreturn]] void fail(const std::string& what, const lrt_error& error) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), error.message);
  std::exit(1);
}

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// A stream with memory for what its step takes and gives. Inputs are floats.
class Stream {
 public:
  explicit Stream(const std::string& path) {
    lrt_error error;
    if (lrt_model_load(path.c_str(), nullptr, &model_, &error)) fail(path, error);
    if (lrt_stream_create(model_, nullptr, &stream_, &error)) fail(path, error);
    std::vector<lrt_array> arrays;
    for (size_t i = 0; i < lrt_stream_input_count(stream_); ++i) arrays.push_back(input(lrt_stream_input(stream_, i)));
    if (lrt_stream_prepare(stream_, arrays.data(), arrays.size(), &error)) fail(path, error);
    for (const lrt_array& array : arrays) in_.push_back(array.data);
    for (size_t i = 0; i < lrt_stream_output_count(stream_); ++i) {
      lrt_port port;
      if (lrt_stream_output_port(stream_, i, &port)) fail(path, {LRT_ERROR_STATE, "an output has no shape"});
      out_.push_back(memory(port.shape));
    }
  }
  ~Stream() {
    lrt_stream_free(stream_);
    lrt_model_free(model_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void step() { lrt_stream_step(stream_, in_.data(), out_.data()); }

 private:
  lrt_array input(size_t index) {
    lrt_port port;
    lrt_model_input(model_, index, &port);
    for (int axis = 0; axis < port.shape.rank; ++axis)
      port.shape.dims[axis] = std::max<int64_t>(1, port.shape.dims[axis]);
    return {LRT_FLOAT32, port.shape, memory(port.shape)};
  }

  void* memory(const lrt_shape& shape) {
    int64_t count = 1;
    for (int axis = 0; axis < shape.rank; ++axis) count *= shape.dims[axis];
    std::vector<float>& made = memory_.emplace_back(static_cast<size_t>(count) + 16);
    for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i * 7919 % 2001) * 1e-3f - 1.0f;
    return made.data();
  }

  lrt_model* model_ = nullptr;
  lrt_stream* stream_ = nullptr;
  std::vector<std::vector<float>> memory_;
  std::vector<const void*> in_;
  std::vector<void*> out_;
};

double sample(Stream& stream, int64_t steps) {
  const double begin = now();
  for (int64_t i = 0; i < steps; ++i) stream.step();
  return (now() - begin) / static_cast<double>(steps);
}

void time_steps(const std::string& path) {
  Stream stream(path);
  sample(stream, 100);
  const int64_t steps = std::max<int64_t>(1, static_cast<int64_t>(kSampleNs / sample(stream, 10)));
  std::vector<double> samples(kSamples);
  for (double& each : samples) each = sample(stream, steps);
  std::sort(samples.begin(), samples.end());
  std::printf("%s %.2f %.2f\n", path.c_str(), samples[kSamples / 2], samples[0]);
}

}  // namespace

int main(int argc, char** argv) {
  const bool counted = argc > 2 && std::strcmp(argv[1], "--steps") == 0;
  if (argc < 2 || (counted && argc < 4)) {
    std::fprintf(stderr, "usage: bench_step [--steps N] model.gguf ...\n");
    return 2;
  }
  for (int i = counted ? 3 : 1; i < argc; ++i) {
    if (!counted) {
      time_steps(argv[i]);
      continue;
    }
    Stream stream(argv[i]);
    for (long left = std::atol(argv[2]); left > 0; --left) stream.step();
  }
}

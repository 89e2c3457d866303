// Times every step of a stream by itself, through the C API: how long the slowest of ten million takes.
//
//   bench_latency N times.bin model.gguf    writes N times in nanoseconds, uint32 each, in order; prints what reading the
//                                           clock adds to each
//
// Free dims are taken as 1; inputs are floats. `python -m bench.latency` makes models, builds this and runs it.
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "lstm_rt.h"

namespace {

lrt_error error;

void check(lrt_status status) {
  if (status == LRT_OK) return;
  std::fprintf(stderr, "%s\n", error.message);
  std::exit(1);
}

int64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

std::vector<float> memory_for(lrt_shape* shape) {
  int64_t count = 1;
  for (int axis = 0; axis < shape->rank; ++axis) count *= shape->dims[axis] = std::max<int64_t>(1, shape->dims[axis]);
  std::vector<float> made(static_cast<size_t>(count) + 16);
  for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i * 7919 % 2001) * 1e-3f - 1.0f;
  return made;
}

template <class Call>
void time_calls(std::vector<uint32_t>* times, const Call& call) {
  for (uint32_t& time : *times) {
    const int64_t begin = now();
    call();
    time = static_cast<uint32_t>(std::min<int64_t>(now() - begin, UINT32_MAX));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_latency N times.bin model.gguf\n");
    return 2;
  }
  lrt_model* model = nullptr;
  lrt_stream* stream = nullptr;
  check(lrt_model_load(argv[3], nullptr, &model, &error));
  check(lrt_stream_create(model, nullptr, &stream, &error));
  std::vector<std::vector<float>> memory;
  std::vector<lrt_array> frames;
  std::vector<const void*> in;
  std::vector<void*> out;
  for (size_t i = 0; i < lrt_stream_input_count(stream); ++i) {
    lrt_port port;
    check(lrt_model_input(model, lrt_stream_input(stream, i), &port));
    memory.push_back(memory_for(&port.shape));
    frames.push_back({LRT_FLOAT32, port.shape, memory.back().data()});
    in.push_back(memory.back().data());
  }
  check(lrt_stream_prepare(stream, frames.data(), frames.size(), &error));
  for (size_t i = 0; i < lrt_stream_output_count(stream); ++i) {
    lrt_port port;
    check(lrt_stream_output_port(stream, i, &port));
    memory.push_back(memory_for(&port.shape));
    out.push_back(memory.back().data());
  }
  std::vector<uint32_t> times(static_cast<size_t>(std::atoll(argv[1])), 1), clock(100001, 1);
  mlockall(MCL_CURRENT | MCL_FUTURE);  // where it may
  time_calls(&clock, [] {});
  time_calls(&times, [&] { lrt_stream_step(stream, in.data(), out.data()); });

  std::FILE* const file = std::fopen(argv[2], "wb");
  const bool written = file && std::fwrite(times.data(), sizeof times[0], times.size(), file) == times.size();
  if (!written || std::fclose(file) != 0) {
    std::perror(argv[2]);
    return 1;
  }
  std::nth_element(clock.begin(), clock.begin() + 50000, clock.end());
  std::printf("%u\n", clock[50000]);
  lrt_stream_free(stream);
  lrt_model_free(model);
}

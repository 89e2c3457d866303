// The C API where memory matters: limits, an application's allocator that fails at every place in turn, streams in the
// caller's memory, the log.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "capi_models.h"

namespace {

using namespace lrt_test;

// Steps a stream of batch 1; the outputs of all steps.
std::vector<float> step(lrt_stream* stream, int steps) {
  std::vector<float> results;
  for (int i = 0; i < steps; ++i) {
    const float x[3] = {static_cast<float>(i), 0.5f, -1};
    float y[2] = {};
    const void* inputs[] = {x};
    void* outputs[] = {y};
    lrt_stream_step(stream, inputs, outputs);
    results.insert(results.end(), y, y + 2);
  }
  return results;
}

// ---- An allocator that counts, and fails when told to ----

struct Counter {
  size_t calls = 0, live_bytes = 0, live = 0, fail_at = SIZE_MAX;

  lrt_allocator hook() {
    return {[](void* user, size_t size, size_t alignment) -> void* {
              auto* const counter = static_cast<Counter*>(user);
              if (counter->calls++ == counter->fail_at) return nullptr;
              counter->live_bytes += size;
              ++counter->live;
              return std::aligned_alloc(alignment, size);
            },
            [](void* user, void* memory, size_t size) {
              auto* const counter = static_cast<Counter*>(user);
              counter->live_bytes -= size;
              --counter->live;
              std::free(memory);
            },
            this};
  }
};

// Everything that allocates, one after the other; stops at the first that fails.
lrt_status use_all(const lrt_model_options& options, lrt_error* error) {
  lrt_model* model = nullptr;
  lrt_plan* plan = nullptr;
  lrt_stream *stream = nullptr, *copy = nullptr;
  lrt_pool* pool = nullptr;
  int64_t id = 0;
  const float x[3] = {1, 2, 3}, s[2] = {0, 0};
  float s2[2];
  const lrt_array frame = frames(1);
  lrt_array inputs[] = {frame, frame};
  inputs[1].shape.dims[1] = 2;
  const void* given[] = {x, s};
  void* results[] = {nullptr, s2};  // what is not wanted has memory of its own
  const std::function<lrt_status()> calls[] = {
      [&] { return lrt_model_load_memory(kModel.data(), kModel.size(), &options, &model, error); },
      [&] { return lrt_plan_create(model, inputs, 2, &plan, error); },
      [&] { return lrt_plan_run(plan, given, results, error); },
      [&] { return lrt_stream_create(model, nullptr, &stream, error); },
      [&] { return lrt_stream_prepare(stream, &frame, 1, error); },
      [&] { return lrt_stream_clone(stream, &copy, error); },
      [&] { return lrt_pool_create(model, nullptr, 3, &pool, error); },
      [&] { return lrt_pool_open(pool, &id, error); },
      [&] { return lrt_pool_prepare(pool, &frame, 1, 1, error); },
  };
  lrt_status status = LRT_OK;
  for (const auto& call : calls) {
    if ((status = call()) != LRT_OK) break;
  }
  lrt_model_free(model);
  lrt_pool_free(pool);
  lrt_stream_free(copy);
  lrt_stream_free(stream);
  lrt_plan_free(plan);
  return status;
}

void test_allocator() {
  size_t allocations = 0;
  for (size_t n = 0;; ++n) {
    Counter counter;
    counter.fail_at = n;
    lrt_model_options options{};
    options.allocator = counter.hook();
    lrt_error error{};
    const lrt_status status = use_all(options, &error);
    expect(counter.live == 0 && counter.live_bytes == 0,
           "nothing leaks when allocation " + std::to_string(n) + " fails");
    if (status == LRT_OK) {
      expect(counter.calls <= n, "no failure is passed over");
      allocations = n;
      break;
    }
    expect(status == LRT_ERROR_MEMORY && mentions(error, "out of memory"), "a NULL is LRT_ERROR_MEMORY");
  }
  expect(allocations > 15, "all that is large comes from the allocator");

  lrt_model_options half{};
  half.allocator = Counter().hook();
  half.allocator.release = nullptr;
  lrt_error error{};
  expect(!load(&half, &error) && error.status == LRT_ERROR_ARGUMENT, "an allocator needs both functions");
}

// ---- Limits ----

void test_max_memory() {
  Counter counter;
  lrt_model_options options{};
  options.max_memory = 4096;
  options.allocator = counter.hook();
  lrt_model* const model = load(&options);
  lrt_array inputs[] = {frames(1), frames(1)};
  inputs[1].shape.dims[1] = 2;
  lrt_plan* plan = nullptr;
  lrt_error error{};
  expect(lrt_plan_create(model, inputs, 2, &plan, &error) == LRT_OK, "a small plan fits");
  lrt_plan_free(plan);

  const size_t before = counter.live_bytes;
  inputs[0].shape.dims[0] = inputs[1].shape.dims[0] = 100000;
  expect(lrt_plan_create(model, inputs, 2, &plan, &error) == LRT_ERROR_MEMORY && !plan, "a large one is refused");
  expect(mentions(error, "'product' (MatMul)") && mentions(error, "max_memory is 4.0 KiB"), error.message);
  expect(counter.live_bytes == before, "before anything is allocated");

  lrt_stream_options wide{};
  wide.batch = 1 << 20;
  lrt_stream* stream = nullptr;
  expect(lrt_stream_create(model, &wide, &stream, &error) == LRT_ERROR_MEMORY, "states are limited");
  lrt_pool* pool = nullptr;
  expect(lrt_pool_create(model, nullptr, 1 << 16, &pool, &error) == LRT_ERROR_MEMORY, "pools are limited");
  lrt_model_free(model);
}

// ---- Streams in the caller's memory ----

void test_lent_memory() {
  Counter counter;
  lrt_model_options options{};
  options.allocator = counter.hook();
  lrt_model* const model = load(&options);
  const lrt_array frame = frames(1);
  lrt_error error{};
  lrt_stream* plain = nullptr;
  expect(lrt_stream_create(model, nullptr, &plain, &error) == LRT_OK &&
             lrt_stream_prepare(plain, &frame, 1, &error) == LRT_OK,
         "a stream of its own");
  const std::vector<float> wanted = step(plain, 5);

  size_t size = 0, alignment = 0;
  expect(lrt_stream_size(model, nullptr, &frame, 1, &size, &alignment, &error) == LRT_OK, error.message);
  std::vector<unsigned char> room(size + 2 * alignment + 64, 0xa5);
  unsigned char* memory = room.data();
  while (reinterpret_cast<uintptr_t>(memory) % alignment != 0) ++memory;
  lrt_stream* lent = nullptr;
  const auto create = [&](void* at, size_t bytes) {
    return lrt_stream_create_in(model, nullptr, &frame, 1, at, bytes, &lent, &error);
  };
  expect(create(memory, size - 1) == LRT_ERROR_ARGUMENT && !lent, "too small");
  expect(create(memory + 8, size) == LRT_ERROR_ARGUMENT && !lent, "not aligned");
  expect(create(nullptr, size) == LRT_ERROR_ARGUMENT && !lent, "NULL");

  const size_t calls = counter.calls;
  expect(create(memory, size) == LRT_OK, error.message);
  expect(step(lent, 5) == wanted, "the bits of a stream of its own");
  expect(counter.calls == calls, "the allocator is not asked");
  lrt_port port{};
  const void* state = nullptr;
  expect(lrt_stream_state(lent, 0, &port, &state, &error) == LRT_OK && state >= memory && state < memory + size,
         "its state lies there");
  bool clean = true;
  for (const unsigned char* at = memory + size; at < room.data() + room.size(); ++at) clean = clean && *at == 0xa5;
  expect(clean, "nothing is written behind it");

  const lrt_array others = frames(2);
  expect(lrt_stream_prepare(lent, &frame, 1, &error) == LRT_OK, "prepared for its own frames");
  expect(lrt_stream_prepare(lent, &others, 1, &error) == LRT_ERROR_STATE, "not for others");
  lrt_stream* copy = nullptr;
  expect(lrt_stream_clone(lent, &copy, &error) == LRT_OK, error.message);
  lrt_model_free(model);
  lrt_stream_free(lent);
  std::fill(room.begin(), room.end(), static_cast<unsigned char>(0xff));
  expect(step(copy, 3) == step(plain, 3), "a clone has memory of its own");
  lrt_stream_free(copy);
  lrt_stream_free(plain);
  expect(counter.live == 0, "all is given back");
}

// ---- Borrowed files, and the log ----

void test_borrowed_and_log() {
  std::vector<std::string> lines;
  Counter counter;
  lrt_model_options options{};
  options.borrow = 1;
  options.allocator = counter.hook();
  options.log = {[](void* user, lrt_log_level level, const char* message) {
                   static_cast<std::vector<std::string>*>(user)->push_back(std::to_string(level) + " " + message);
                 },
                 &lines};
  std::vector<char> room(kModel.size() + 64);
  char* data = room.data();
  while (reinterpret_cast<uintptr_t>(data) % 64 != 0) ++data;
  kModel.copy(data, kModel.size());
  lrt_error error{};
  lrt_model* model = nullptr;
  expect(lrt_model_load_memory(data + 1, kModel.size() - 1, &options, &model, &error) == LRT_ERROR_ARGUMENT,
         "borrowed data is aligned");
  expect(lrt_model_load_memory(data, kModel.size(), &options, &model, &error) == LRT_OK, error.message);
  expect(counter.calls == 0, "it is not copied");
  const lrt_array frame = frames(1);
  lrt_stream* stream = nullptr;
  expect(lrt_stream_create(model, nullptr, &stream, &error) == LRT_OK &&
             lrt_stream_prepare(stream, &frame, 1, &error) == LRT_OK,
         error.message);
  expect(lines.size() == 2 && lines[0].rfind("1 loaded a model of 3 operations", 0) == 0 &&
             lines[1].rfind("0 planned for [1, 3]", 0) == 0,
         lines.empty() ? "the log is silent" : "the log says: " + lines.back());
  lrt_stream_free(stream);
  lrt_model_free(model);
}

}  // namespace

int main() {
  test_allocator();
  test_max_memory();
  test_lent_memory();
  test_borrowed_and_log();
  return report();
}

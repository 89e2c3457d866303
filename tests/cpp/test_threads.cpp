// One model in many threads: runs, streams and pools at once, planning meanwhile, work shared among threads, and the handles
// freed in any order. Every result has the bits of one thread; `dev.py sanitize thread` looks for races.
#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "capi_models.h"

namespace {

using namespace lrt_test;

constexpr int kSize = 400;  // squared: enough multiply-adds for every thread to have a share
constexpr int kThreads = 4, kRounds = 12;

std::string wide_model() {
  std::vector<float> w(kSize * kSize);
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(static_cast<int>(i * 7919 % 101) - 50) / 2000;
  return product_model(kSize, kSize, w);
}

const std::string kWide = wide_model();
using Values = std::vector<float>;

Values input(size_t rows) {
  Values x(rows * kSize);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) / 16 - 0.5f;
  return x;
}

// tanh(x·w) for this many rows: one run, or the first step.
Values run(lrt_model* model, size_t rows, int threads) {
  const lrt_array shape = floats_of({static_cast<int64_t>(rows), kSize}), inputs[] = {shape, shape};
  const Values x = input(rows), s(rows * kSize);
  Values y(rows * kSize);
  const void* in[] = {x.data(), s.data()};
  void* out[] = {y.data(), nullptr};
  lrt_plan* plan = nullptr;
  lrt_plan_create(model, inputs, 2, &plan, nullptr);
  lrt_plan_set_threads(plan, threads, nullptr);
  lrt_plan_run(plan, in, out, nullptr);
  lrt_plan_free(plan);
  return y;
}

Values step(lrt_model* model, size_t rows, int threads) {
  const lrt_array frame = floats_of({static_cast<int64_t>(rows), kSize});
  lrt_stream_options options{};
  options.threads = threads;
  options.batch = static_cast<int64_t>(rows);
  const Values x = input(rows);
  Values y(rows * kSize);
  const void* in[] = {x.data()};
  void* out[] = {y.data()};
  lrt_stream *stream = nullptr, *copy = nullptr;
  lrt_stream_create(model, &options, &stream, nullptr);
  lrt_stream_prepare(stream, &frame, 1, nullptr);
  lrt_stream_step(stream, in, out);
  lrt_stream_clone(stream, &copy, nullptr);
  lrt_stream_free(stream);
  lrt_stream_reset(copy);
  lrt_stream_step(copy, in, out);
  lrt_stream_free(copy);
  return y;
}

Values pooled(lrt_model* model, size_t rows, int threads) {
  const lrt_array frame = floats_of({static_cast<int64_t>(rows), kSize});
  lrt_stream_options options{};
  options.threads = threads;
  lrt_pool* pool = nullptr;
  lrt_pool_create(model, &options, rows, &pool, nullptr);
  std::vector<int64_t> ids(rows);
  for (int64_t& id : ids) lrt_pool_open(pool, &id, nullptr);
  lrt_pool_prepare(pool, &frame, 1, rows, nullptr);
  const Values x = input(rows);
  Values y(rows * kSize);
  const void* in[] = {x.data()};
  void* out[] = {y.data()};
  lrt_pool_step(pool, ids.data(), rows, in, out, nullptr);
  lrt_pool_free(pool);
  return y;
}

void in_threads(const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

void test_everything_at_once() {
  lrt_model* const model = load(nullptr, kWide);
  std::vector<Values> expected;
  for (size_t rows = 1; rows <= 3; ++rows) expected.push_back(run(model, rows, 1));
  std::atomic<int> wrong{0};
  in_threads([&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      const size_t rows = 1 + static_cast<size_t>(thread + round) % 3;
      const int threads = 1 + (thread + round / 3) % 3;
      const auto use = round % 3 == 0 ? run : round % 3 == 1 ? step : pooled;
      if (use(model, rows, threads) != expected[rows - 1]) ++wrong;
    }
  });
  lrt_model_free(model);
  expect(wrong == 0, std::to_string(wrong) + " results differ from those of one thread");
}

// One plan in all threads; what is asked of the model meanwhile.
void test_one_plan() {
  lrt_model* const model = load(nullptr, kWide);
  const Values x = input(1), s(kSize), expected = run(model, 1, 1);
  const lrt_array shape = floats_of({1, kSize}), inputs[] = {shape, shape};
  lrt_plan* plan = nullptr;
  lrt_plan_create(model, inputs, 2, &plan, nullptr);
  lrt_plan_set_threads(plan, 3, nullptr);
  lrt_pool* pool = nullptr;
  lrt_pool_create(model, nullptr, 4, &pool, nullptr);
  lrt_model_free(model);
  std::atomic<int> wrong{0};
  in_threads([&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      Values y(kSize);
      const void* in[] = {x.data(), s.data()};
      void* out[] = {y.data(), nullptr};
      if (lrt_plan_run(plan, in, out, nullptr) != LRT_OK || y != expected) ++wrong;
      int64_t id = 0;
      if (thread == 0 && (lrt_pool_open(pool, &id, nullptr) || lrt_pool_close(pool, id, nullptr))) ++wrong;
      if (lrt_pool_size(pool) > 1) ++wrong;
    }
  });
  lrt_plan_free(plan);
  lrt_pool_free(pool);
  expect(wrong == 0, std::to_string(wrong) + " runs of one plan differ");
}

// Who lets go last ends the model and its threads.
void test_last_handle() {
  for (int round = 0; round < kRounds; ++round) {
    lrt_model* const model = load(nullptr, kWide);
    lrt_stream_options options{};
    options.threads = 3;
    std::vector<lrt_stream*> streams(kThreads);
    for (lrt_stream*& stream : streams) lrt_stream_create(model, &options, &stream, nullptr);
    lrt_model_free(model);
    in_threads([&](int thread) { lrt_stream_free(streams[static_cast<size_t>(thread)]); });
  }
  expect(true, "the threads have ended");
}

}  // namespace

int main() {
  test_everything_at_once();
  test_one_plan();
  test_last_handle();
  return report();
}

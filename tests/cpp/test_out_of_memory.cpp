// Every plain `new` of the library fails in turn: each is LRT_ERROR_MEMORY, and what was there before still works. (Large
// blocks come from an allocator: test_capi.cpp.)
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include "capi_models.h"

namespace {

std::atomic<long> left{-1};  // until one fails; negative: none will
std::atomic<bool> fired{false};

void* allocate(size_t size, size_t alignment) {
  if (left >= 0 && left-- == 0) {
    fired = true;
    throw std::bad_alloc();
  }
  void* const memory = std::aligned_alloc(alignment, (size / alignment + 1) * alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}

// Not inline: the compiler would take the `free` of a `new` for a mistake.
[[gnu::noinline]] void release(void* memory) { std::free(memory); }

}  // namespace

void* operator new(size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) { return allocate(size, static_cast<size_t>(alignment)); }
// Of standard algorithms, which do without, and of large blocks.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  const auto to = static_cast<size_t>(alignment);
  return std::aligned_alloc(to, (size / to + 1) * to);
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { release(memory); }

namespace {

using namespace lrt_test;

struct Subject {
  const char* name;
  std::string bytes;
  lrt_array frame, longer, wider;  // one row; more steps of it; two rows: where it takes them
  std::vector<lrt_array> whole;    // what a run takes
};

const Subject kSubjects[] = {
    {"explicit", stepping_model(), frames(1), frames(1), frames(1), {frames(1), floats_of({1, 2})}},
    {"implicit",
     lstm_model(),
     floats_of({1, 1, 3}),
     floats_of({2, 1, 3}),
     floats_of({1, 2, 3}),
     {floats_of({1, 1, 3})}}};

constexpr float kX[] = {1, -2, 3, 4, 5, -6};

// The one call of a scenario in which the n-th `new` fails.
class Failing {
 public:
  explicit Failing(long n) : n_(n) {}
  template <class Call>
  bool operator()(const Call& call) {  // whether it failed
    lrt_error error{};
    fired = false;
    left = n_;
    const lrt_status status = call(&error);
    left = -1;
    if (!fired) expect(status == LRT_OK, error.message);
    if (fired && status != LRT_OK) {
      expect(status == LRT_ERROR_MEMORY && mentions(error, "out of memory"), error.message);
    }
    if (fired && status == LRT_OK) ++overcome;
    return status != LRT_OK;
  }
  int overcome = 0;  // failures it could do without

 private:
  long n_;
};

// Runs `scenario` with each `new` failing in turn; returns how many there are.
template <class Scenario>
long fail_everywhere(const std::string& what, const Scenario& scenario, int may_overcome = 0) {
  int overcome = 0;
  for (long n = 0;; ++n) {
    Failing failing(n);
    scenario(failing);
    overcome += failing.overcome;
    if (fired) continue;
    expect(overcome <= may_overcome, what + " passes over " + std::to_string(overcome) + " failures");
    return n;
  }
}

struct Model {
  explicit Model(const Subject& subject) : handle(load(nullptr, subject.bytes)) {}
  ~Model() { lrt_model_free(handle); }
  lrt_model* const handle;
};

struct Stream {
  Stream(const Model& model, const lrt_array& frame) {
    lrt_stream_create(model.handle, nullptr, &handle, nullptr);
    lrt_stream_prepare(handle, &frame, 1, nullptr);
  }
  ~Stream() { lrt_stream_free(handle); }
  lrt_stream* handle = nullptr;
};

std::pair<float, float> step(lrt_stream* stream) {
  float y[2] = {};
  const void* inputs[] = {kX};
  void* outputs[] = {y};
  if (lrt_stream_step(stream, inputs, outputs) != LRT_OK) expect(false, "a stream can be stepped");
  return {y[0], y[1]};
}

std::pair<float, float> step(lrt_pool* pool, int64_t id) {
  float y[2] = {};
  const void* inputs[] = {kX};
  void* outputs[] = {y};
  lrt_error error{};
  if (lrt_pool_step(pool, &id, 1, inputs, outputs, &error) != LRT_OK) expect(false, error.message);
  return {y[0], y[1]};
}

std::pair<float, float> first_step(const Subject& subject) {
  const Model model(subject);
  return step(Stream(model, subject.frame).handle);
}

void test_models_and_plans(const Subject& subject) {
  const long loads = fail_everywhere("loading", [&](Failing& failing) {
    lrt_model* model = nullptr;
    const bool failed = failing([&](lrt_error* error) {
      return lrt_model_load_memory(subject.bytes.data(), subject.bytes.size(), nullptr, &model, error);
    });
    expect(failed == !model, "there is a model, or an error");
    lrt_model_free(model);
  });
  expect(loads > 20, "loading allocates");
  fail_everywhere("planning", [&](Failing& failing) {
    const Model model(subject);
    lrt_plan* plan = nullptr;
    const auto create = [&](lrt_error* error) {
      return lrt_plan_create(model.handle, subject.whole.data(), subject.whole.size(), &plan, error);
    };
    if (failing(create)) expect(!plan && create(nullptr) == LRT_OK, "planning works after it failed");
    lrt_plan_free(plan);
  });
  fail_everywhere("running", [&](Failing& failing) {
    const Model model(subject);
    lrt_plan* plan = nullptr;
    lrt_plan_create(model.handle, subject.whole.data(), subject.whole.size(), &plan, nullptr);
    const void* inputs[] = {kX, kX};
    float y[2];
    void* outputs[] = {y, nullptr};
    failing([&](lrt_error* error) { return lrt_plan_run(plan, inputs, outputs, error); });
    lrt_plan_free(plan);
  });
}

void test_streams(const Subject& subject) {
  const auto wanted = first_step(subject);
  for (const int threads : LRT_THREADS ? std::vector<int>{1, 3} : std::vector<int>{1}) {
    lrt_stream_options options{};
    options.threads = threads;
    const auto create = [&](Failing& failing) {
      const Model model(subject);
      lrt_stream* stream = nullptr;
      failing([&](lrt_error* error) { return lrt_stream_create(model.handle, &options, &stream, error); });
      lrt_stream_free(stream);
    };
    // A thread that cannot be had is done without. libc++ allocates three times for one, libstdc++ once.
    fail_everywhere("a stream", create, 3 * (threads - 1));
  }
  for (const lrt_array& other : {subject.longer, subject.wider}) {
    fail_everywhere("preparing", [&](Failing& failing) {
      const Model model(subject);
      const Stream stream(model, subject.frame);
      if (!failing([&](lrt_error* error) { return lrt_stream_prepare(stream.handle, &other, 1, error); })) return;
      expect(step(stream.handle) == wanted, "a stream goes on with the frames it had");
    });
  }
  fail_everywhere("a clone", [&](Failing& failing) {
    const Model model(subject);
    const Stream stream(model, subject.frame);
    lrt_stream* copy = nullptr;
    failing([&](lrt_error* error) { return lrt_stream_clone(stream.handle, &copy, error); });
    lrt_stream_free(copy);
    expect(step(stream.handle) == wanted, "a stream goes on after a clone failed");
  });
  fail_everywhere("lent memory", [&](Failing& failing) {
    const Model model(subject);
    alignas(64) static char memory[1 << 14];
    lrt_stream* stream = nullptr;
    failing([&](lrt_error* error) {
      return lrt_stream_create_in(model.handle, nullptr, &subject.frame, 1, memory, sizeof memory, &stream, error);
    });
    lrt_stream_free(stream);
  });
}

void test_pools(const Subject& subject) {
  const auto wanted = first_step(subject);
  fail_everywhere("a pool", [&](Failing& failing) {
    const Model model(subject);
    lrt_pool* pool = nullptr;
    failing([&](lrt_error* error) { return lrt_pool_create(model.handle, nullptr, 3, &pool, error); });
    lrt_pool_free(pool);
  });
  const auto prepare = [&](const lrt_array* before, const lrt_array& frame) {
    return fail_everywhere("preparing a pool", [&](Failing& failing) {
      const Model model(subject);
      lrt_pool* pool = nullptr;
      int64_t id = -1;
      lrt_pool_create(model.handle, nullptr, 3, &pool, nullptr);
      lrt_pool_open(pool, &id, nullptr);
      if (before) lrt_pool_prepare(pool, before, 1, 1, nullptr);
      const auto again = [&](lrt_error* error) { return lrt_pool_prepare(pool, &frame, 1, 1, error); };
      if (failing(again) && !before) expect(again(nullptr) == LRT_OK, "a pool can be prepared after it failed");
      if (fired) expect(step(pool, id) == wanted, "a pool goes on after preparing failed");
      lrt_pool_free(pool);
    });
  };
  prepare(nullptr, subject.frame);
  prepare(&subject.frame, subject.longer);
}

void test_what_allocates_nothing(const Subject& subject) {
  const Model model(subject);
  const Stream stream(model, subject.frame);
  lrt_pool* pool = nullptr;
  int64_t id = -1;
  lrt_pool_create(model.handle, nullptr, 3, &pool, nullptr);
  lrt_pool_prepare(pool, &subject.frame, 1, 1, nullptr);
  fired = false;
  left = 0;
  lrt_pool_open(pool, &id, nullptr);
  const auto of_stream = step(stream.handle), of_pool = step(pool, id);
  lrt_stream_reset(stream.handle);
  lrt_pool_reset(pool, id, nullptr);
  lrt_pool_close(pool, id, nullptr);
  left = -1;
  expect(!fired && of_stream == of_pool, "open, step, reset and close allocate nothing");
  lrt_pool_free(pool);
}

}  // namespace

int main() {
  for (const Subject& subject : kSubjects) {
    test_models_and_plans(subject);
    test_streams(subject);
    test_pools(subject);
    test_what_allocates_nothing(subject);
  }
  return report();
}

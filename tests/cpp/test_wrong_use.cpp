// The C API used wrongly: NULL, calls in the wrong order, arrays and ids that are not right. Every one is an error with a
// message, and what was there before goes on.
#include <cstdint>
#include <functional>
#include <limits>
#include <map>

#include "capi_models.h"

namespace {

using namespace lrt_test;

constexpr float kX[12] = {1, -2, 3, 4, 5, -6};

using Call = std::function<lrt_status(lrt_error*)>;

void expect_refused(const std::string& what, lrt_status wanted, const Call& call) {
  lrt_error error{};
  const lrt_status status = call(&error);
  expect(status == wanted && error.status == wanted && error.message[0] != 0,
         what + ": " + std::to_string(status) + " " + error.message);
  expect(call(nullptr) == wanted, what + ", without an error to fill");
}

// A model with a stream and a pool that are prepared, and a plan.
struct Everything {
  Everything() : model(load()) {
    const lrt_array frame = frames(1);
    lrt_array inputs[] = {frame, floats_of({1, 2})};
    lrt_plan_create(model, inputs, 2, &plan, nullptr);
    lrt_stream_create(model, nullptr, &stream, nullptr);
    lrt_stream_prepare(stream, &frame, 1, nullptr);
    lrt_pool_create(model, nullptr, 2, &pool, nullptr);
    lrt_pool_open(pool, &id, nullptr);
    lrt_pool_prepare(pool, &frame, 1, 1, nullptr);
  }
  ~Everything() {
    lrt_plan_free(plan);
    lrt_stream_free(stream);
    lrt_pool_free(pool);
    lrt_model_free(model);
  }
  lrt_model* model;
  lrt_plan* plan = nullptr;
  lrt_stream* stream = nullptr;
  lrt_pool* pool = nullptr;
  int64_t id = -1;
};

void test_null() {
  Everything all;
  const lrt_array frame = frames(1);
  lrt_model* model = nullptr;
  lrt_plan* plan = nullptr;
  lrt_stream* stream = nullptr;
  lrt_pool* pool = nullptr;
  lrt_port port;
  const void* data = nullptr;
  const void* in[] = {kX};
  float y[2];
  void* out[] = {y};
  size_t n = 0;
  int64_t id = 0;
  lrt_array no_data = floats_of({1, 2});
  lrt_stream_options freezes{};
  freezes.freeze_count = 1;
  const std::map<std::string, Call> calls = {
      {"load, path", [&](lrt_error* e) { return lrt_model_load(nullptr, nullptr, &model, e); }},
      {"load, model", [&](lrt_error* e) { return lrt_model_load("x", nullptr, nullptr, e); }},
      {"load_memory, data", [&](lrt_error* e) { return lrt_model_load_memory(nullptr, 9, nullptr, &model, e); }},
      {"default_isa", [&](lrt_error* e) { return lrt_default_isa(nullptr, e); }},
      {"selftest_input", [&](lrt_error* e) { return lrt_model_selftest_input(nullptr, 0, 0, &port, &data, e); }},
      {"selftest_input, port",
       [&](lrt_error* e) { return lrt_model_selftest_input(all.model, 0, 0, nullptr, &data, e); }},
      {"selftest_input, data",
       [&](lrt_error* e) { return lrt_model_selftest_input(all.model, 0, 0, &port, nullptr, e); }},
      {"selftest_input, test",
       [&](lrt_error* e) { return lrt_model_selftest_input(all.model, 99, 0, &port, &data, e); }},
      {"verify", [&](lrt_error* e) { return lrt_model_verify(nullptr, &n, &n, e); }},
      {"verify, count", [&](lrt_error* e) { return lrt_model_verify(all.model, nullptr, &n, e); }},
      {"plan_create, model", [&](lrt_error* e) { return lrt_plan_create(nullptr, &frame, 1, &plan, e); }},
      {"plan_create, inputs", [&](lrt_error* e) { return lrt_plan_create(all.model, nullptr, 2, &plan, e); }},
      {"plan_create, plan", [&](lrt_error* e) { return lrt_plan_create(all.model, &frame, 1, nullptr, e); }},
      {"set_threads", [&](lrt_error* e) { return lrt_plan_set_threads(nullptr, 1, e); }},
      {"run, plan", [&](lrt_error* e) { return lrt_plan_run(nullptr, in, out, e); }},
      {"run, inputs", [&](lrt_error* e) { return lrt_plan_run(all.plan, nullptr, out, e); }},
      {"run, outputs", [&](lrt_error* e) { return lrt_plan_run(all.plan, in, nullptr, e); }},
      {"stream, model", [&](lrt_error* e) { return lrt_stream_create(nullptr, nullptr, &stream, e); }},
      {"stream, stream", [&](lrt_error* e) { return lrt_stream_create(all.model, nullptr, nullptr, e); }},
      {"stream, freeze", [&](lrt_error* e) { return lrt_stream_create(all.model, &freezes, &stream, e); }},
      {"clone", [&](lrt_error* e) { return lrt_stream_clone(nullptr, &stream, e); }},
      {"clone, copy", [&](lrt_error* e) { return lrt_stream_clone(all.stream, nullptr, e); }},
      {"size", [&](lrt_error* e) { return lrt_stream_size(nullptr, nullptr, &frame, 1, &n, nullptr, e); }},
      {"create_in", [&](lrt_error* e) { return lrt_stream_create_in(nullptr, nullptr, &frame, 1, y, 8, &stream, e); }},
      {"prepare", [&](lrt_error* e) { return lrt_stream_prepare(nullptr, &frame, 1, e); }},
      {"prepare, inputs", [&](lrt_error* e) { return lrt_stream_prepare(all.stream, nullptr, 1, e); }},
      {"state", [&](lrt_error* e) { return lrt_stream_state(nullptr, 0, &port, &data, e); }},
      {"state, port", [&](lrt_error* e) { return lrt_stream_state(all.stream, 0, nullptr, &data, e); }},
      {"set_state", [&](lrt_error* e) { return lrt_stream_set_state(all.stream, 0, nullptr, e); }},
      {"set_state, data", [&](lrt_error* e) { return lrt_stream_set_state(all.stream, 0, &no_data, e); }},
      {"pool, model", [&](lrt_error* e) { return lrt_pool_create(nullptr, nullptr, 2, &pool, e); }},
      {"pool, pool", [&](lrt_error* e) { return lrt_pool_create(all.model, nullptr, 2, nullptr, e); }},
      {"open", [&](lrt_error* e) { return lrt_pool_open(nullptr, &id, e); }},
      {"open, id", [&](lrt_error* e) { return lrt_pool_open(all.pool, nullptr, e); }},
      {"close", [&](lrt_error* e) { return lrt_pool_close(nullptr, 0, e); }},
      {"reset", [&](lrt_error* e) { return lrt_pool_reset(nullptr, 0, e); }},
      {"prepare a pool", [&](lrt_error* e) { return lrt_pool_prepare(nullptr, &frame, 1, 1, e); }},
      {"step a pool", [&](lrt_error* e) { return lrt_pool_step(nullptr, &id, 1, in, out, e); }},
      {"step, ids", [&](lrt_error* e) { return lrt_pool_step(all.pool, nullptr, 1, in, out, e); }},
      {"step, inputs", [&](lrt_error* e) { return lrt_pool_step(all.pool, &id, 1, nullptr, out, e); }},
      {"state of a pool", [&](lrt_error* e) { return lrt_pool_state(all.pool, all.id, 0, &port, nullptr, e); }},
      {"set it", [&](lrt_error* e) { return lrt_pool_set_state(all.pool, all.id, 0, nullptr, e); }},
      {"evaluate", [&](lrt_error* e) { return lrt_evaluate(nullptr, nullptr, kX, y, 2, 1, 1, e); }},
  };
  for (const auto& [what, call] : calls) expect_refused("NULL: " + what, LRT_ERROR_ARGUMENT, call);
  expect(!model && !plan && !stream && !pool, "what was to be given is NULL");
  const lrt_status silent[] = {lrt_model_input(nullptr, 0, &port),
                               lrt_model_output(all.model, 0, nullptr),
                               lrt_model_binding(all.model, 0, &n, {}),
                               lrt_model_input_default(all.model, 0, &port, nullptr),
                               lrt_model_input_default(all.model, 0, &port, &data),
                               lrt_plan_output(nullptr, 0, &port),
                               lrt_plan_call(all.plan, 0, nullptr),
                               lrt_stream_output_port(nullptr, 0, &port),
                               lrt_pool_output_port(nullptr, 0, &port),
                               lrt_stream_step(nullptr, in, out),
                               lrt_stream_step(all.stream, nullptr, out),
                               lrt_stream_step(all.stream, in, nullptr)};
  for (const lrt_status status : silent) expect(status == LRT_ERROR_ARGUMENT, "NULL, where there is no message");
  expect(lrt_isa_is_exact(nullptr) == 0, "no instruction set");
  lrt_model_free(nullptr);
  lrt_plan_free(nullptr);
  lrt_stream_free(nullptr);
  lrt_pool_free(nullptr);
}

void test_order_of_calls() {
  lrt_model* const model = load();
  lrt_stream* stream = nullptr;
  lrt_pool* pool = nullptr;
  int64_t id = -1;
  lrt_stream_create(model, nullptr, &stream, nullptr);
  lrt_pool_create(model, nullptr, 2, &pool, nullptr);
  lrt_pool_open(pool, &id, nullptr);
  const void* in[] = {kX};
  float y[2] = {}, again[2] = {};
  void* out[] = {y};
  lrt_port port;
  expect(lrt_stream_step(stream, in, out) == LRT_ERROR_STATE, "a step before prepare");
  expect(lrt_stream_output_port(stream, 0, &port) == LRT_ERROR_STATE, "outputs before prepare");
  expect(lrt_pool_output_port(pool, 0, &port) == LRT_ERROR_STATE, "outputs of a pool before prepare");
  expect(lrt_stream_macs(stream) == 0 && lrt_pool_macs(pool) == 0, "nothing is known before prepare");
  expect_refused("a step of a pool before prepare", LRT_ERROR_STATE,
                 [&](lrt_error* e) { return lrt_pool_step(pool, &id, 1, in, out, e); });
  lrt_stream_reset(stream);

  // Free the model first: what was made of it goes on.
  lrt_model_free(model);
  const lrt_array frame = frames(1);
  expect(lrt_stream_prepare(stream, &frame, 1, nullptr) == LRT_OK && lrt_stream_step(stream, in, out) == LRT_OK,
         "a stream outlives its model");
  lrt_stream* copy = nullptr;
  lrt_stream_clone(stream, &copy, nullptr);
  lrt_stream_free(stream);
  lrt_stream_reset(copy);
  out[0] = again;
  expect(lrt_stream_step(copy, in, out) == LRT_OK && y[0] == again[0], "a clone outlives both");
  lrt_stream_free(copy);
  expect(lrt_pool_prepare(pool, &frame, 1, 1, nullptr) == LRT_OK &&
             lrt_pool_step(pool, &id, 1, in, out, nullptr) == LRT_OK && y[0] == again[0],
         "so does a pool");
  lrt_pool_free(pool);
}

void test_arrays() {
  Everything all;
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  std::vector<lrt_array> wrong = {floats_of({1}),        floats_of({1, 4}),  floats_of({1, 1, 3}), floats_of({-1, 3}),
                                  floats_of({kMost, 3}), floats_of({1, -3}), floats_of({})};
  for (const int32_t rank : {-1, 9, 1 << 30}) {
    wrong.push_back(frames(1));
    wrong.back().shape.rank = rank;
  }
  for (const int32_t dtype : {-1, 1, 6, 7, 99}) {
    wrong.push_back(frames(1));
    wrong.back().dtype = dtype;
  }
  for (const lrt_array& array : wrong) {
    lrt_error error{};
    const lrt_array inputs[] = {array, floats_of({1, 2})};
    lrt_plan* plan = nullptr;
    const auto refuses = [&](lrt_status status) { return status != LRT_OK && error.message[0] != 0; };
    expect(refuses(lrt_plan_create(all.model, inputs, 2, &plan, &error)) && !plan, "a plan");
    error = {};
    expect(refuses(lrt_stream_prepare(all.stream, &array, 1, &error)), "a stream");
    error = {};
    expect(refuses(lrt_pool_prepare(all.pool, &array, 1, 1, &error)), "a pool");
    lrt_array state = array;
    state.data = kX;
    error = {};
    expect(refuses(lrt_stream_set_state(all.stream, 0, &state, &error)), "a state");
    error = {};
    expect(refuses(lrt_pool_set_state(all.pool, all.id, 0, &state, &error)), "a state in a pool");
  }
  const lrt_array frame = frames(1);
  for (const size_t count : {0, 2}) {
    const lrt_array two[] = {frame, frame};
    expect_refused("frames", LRT_ERROR_ARGUMENT,
                   [&](lrt_error* e) { return lrt_stream_prepare(all.stream, two, count, e); });
  }
  const void* in[] = {kX};
  float y[2], of_pool[2];
  void* out[] = {y};
  void* other[] = {of_pool};
  expect(lrt_stream_step(all.stream, in, out) == LRT_OK &&
             lrt_pool_step(all.pool, &all.id, 1, in, other, nullptr) == LRT_OK && y[0] == of_pool[0] &&
             y[1] == of_pool[1],
         "all go on with the frames and states they had");
}

void test_options() {
  Everything all;
  const size_t pairs[] = {0, 0, 0, 0}, far[] = {0, 9}, input = 0, no_input = 9;
  lrt_array value = frames(1);
  value.data = kX;
  lrt_stream_options negative{}, threads{}, twice{}, nowhere{}, unknown{}, frozen{}, batch{};
  negative.batch = -1;
  threads.threads = -2;
  twice.bind = pairs;
  twice.bind_count = 2;
  nowhere.bind = far;
  nowhere.bind_count = 1;
  unknown.freeze = &no_input;
  frozen.freeze = &input;
  unknown.freeze_values = frozen.freeze_values = &value;
  unknown.freeze_count = frozen.freeze_count = 1;
  frozen.bind = pairs;
  frozen.bind_count = 1;
  batch.batch = 2;
  for (const lrt_stream_options* options : {&negative, &threads, &twice, &nowhere, &unknown, &frozen}) {
    lrt_stream* stream = nullptr;
    expect_refused("options of a stream", LRT_ERROR_ARGUMENT,
                   [&](lrt_error* e) { return lrt_stream_create(all.model, options, &stream, e); });
    lrt_pool* pool = nullptr;
    expect_refused("options of a pool", LRT_ERROR_ARGUMENT,
                   [&](lrt_error* e) { return lrt_pool_create(all.model, options, 2, &pool, e); });
    expect(!stream && !pool, "nothing is made");
  }
  lrt_pool* pool = nullptr;
  expect_refused("batch of a pool", LRT_ERROR_ARGUMENT,
                 [&](lrt_error* e) { return lrt_pool_create(all.model, &batch, 2, &pool, e); });
  for (const size_t capacity : {size_t{0}, SIZE_MAX}) {
    expect_refused("capacity", LRT_ERROR_ARGUMENT,
                   [&](lrt_error* e) { return lrt_pool_create(all.model, nullptr, capacity, &pool, e); });
  }
  for (const int32_t count : {0, -1, 1 << 20}) {
    expect_refused("threads", LRT_ERROR_ARGUMENT,
                   [&](lrt_error* e) { return lrt_plan_set_threads(all.plan, count, e); });
  }
}

void test_ids() {
  Everything all;
  int64_t second = -1, third = -1;
  lrt_pool_open(all.pool, &second, nullptr);
  expect_refused("more than the capacity", LRT_ERROR_STATE,
                 [&](lrt_error* e) { return lrt_pool_open(all.pool, &third, e); });
  lrt_pool_close(all.pool, second, nullptr);
  lrt_pool_open(all.pool, &third, nullptr);
  expect(third != second, "no id is given twice");
  constexpr int64_t kFar = std::numeric_limits<int64_t>::max();
  const void* in[] = {kX};
  float y[12];
  void* out[] = {y};
  for (const int64_t id : {second, int64_t{-1}, int64_t{7}, kFar, -kFar - 1}) {
    lrt_port port;
    const void* data = nullptr;
    lrt_array state = floats_of({1, 2});
    state.data = kX;
    const int64_t ids[] = {all.id, id};
    const Call calls[] = {[&](lrt_error* e) { return lrt_pool_close(all.pool, id, e); },
                          [&](lrt_error* e) { return lrt_pool_reset(all.pool, id, e); },
                          [&](lrt_error* e) { return lrt_pool_state(all.pool, id, 0, &port, &data, e); },
                          [&](lrt_error* e) { return lrt_pool_set_state(all.pool, id, 0, &state, e); },
                          [&](lrt_error* e) { return lrt_pool_step(all.pool, ids, 2, in, out, e); }};
    for (const Call& call : calls) expect_refused("id " + std::to_string(id), LRT_ERROR_STATE, call);
  }
  const int64_t same[] = {all.id, all.id, all.id};
  for (const size_t rows : {2, 3}) {
    expect_refused("an id that is there twice", LRT_ERROR_ARGUMENT,
                   [&](lrt_error* e) { return lrt_pool_step(all.pool, same, rows, in, out, e); });
  }
  expect(lrt_pool_step(all.pool, same, 0, in, out, nullptr) == LRT_OK, "no rows are no work");
  expect(lrt_pool_size(all.pool) == 2, "two are open");
}

}  // namespace

int main() {
  test_null();
  test_order_of_calls();
  test_arrays();
  test_options();
  test_ids();
  return report();
}

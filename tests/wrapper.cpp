// What lstm_rt.hpp adds to lstm_rt.h, on the demo's model: frames of 5 floats, rows of 3 scores. 0: all is as it says.
#include <cstdio>
#include <utility>
#include <vector>

#include "lstm_rt.hpp"

namespace {

int failures = 0;

void expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("failed: %s\n", what);
  ++failures;
}

template <class Call>
lrt_status status_of(const Call& call) {
  try {
    call();
  } catch (const lstm_rt::Error& error) {
    return error.what()[0] ? error.status() : LRT_ERROR_INTERNAL;
  }
  return LRT_OK;
}

using Scores = std::vector<float>;

Scores stepped(lstm_rt::Stream& stream, float value) {
  const std::vector<float> frame(5, value);
  Scores scores(3);
  expect(stream.step<float, float>(frame, scores) == LRT_OK, "a step");
  return scores;
}

void test_streams(const lstm_rt::Model& model) {
  lstm_rt::Stream stream = lstm_rt::Stream::create(model);
  float small[4] = {}, frame[5] = {}, scores[3];
  int32_t integers[5] = {};
  expect(stream.step<float, float>(frame, scores) == LRT_ERROR_SHAPE, "a step that was not prepared");
  stream.prepare({lstm_rt::array<float>({1, 1, 5})});
  expect(stream.step<float, float>(small, scores) == LRT_ERROR_SHAPE, "a frame too small");
  expect(stream.step<int32_t, float>(integers, scores) == LRT_ERROR_SHAPE, "a frame of integers");
  expect(stream.step({frame, frame}, {scores}) == LRT_ERROR_ARGUMENT, "too many inputs");
  static_assert(noexcept(stream.step<float, float>(frame, scores)), "step throws nothing");
  expect(status_of([&] { stream.prepare({lstm_rt::array<float>({1, 1, 6})}); }) == LRT_ERROR_SHAPE, "frames of 6");

  stream.prepare({lstm_rt::array<float>({1, 1, 5})});
  stream.reset();
  const Scores first = stepped(stream, 0.5f);
  lstm_rt::Stream copy = stream.clone();
  copy.prepare({lstm_rt::array<float>({1, 1, 5})});
  const Scores second = stepped(stream, 0.25f);
  expect(stepped(copy, 0.25f) == second && first != second, "a clone goes on from the same state");

  stream.reset();
  expect(stepped(stream, 0.5f) == first, "reset");
  const lrt_array state = stream.state(0);
  const float* values = static_cast<const float*>(state.data);
  const std::vector<float> kept(values, values + lstm_rt::Shape(state.shape).size());
  stepped(stream, 1.0f);
  stream.set_state(0, lstm_rt::array<float>(state.shape, kept.data()));
  values = static_cast<const float*>(stream.state(0).data);
  expect(std::vector<float>(values, values + kept.size()) == kept, "set_state");
  lstm_rt::Stream moved = std::move(stream);
  expect(moved && !stream, "a stream moves");
}

void test_plan(const lstm_rt::Model& model) {
  const std::vector<float> x(2 * 5, 0.5f);
  Scores whole(2 * 3);
  lstm_rt::Plan plan = lstm_rt::Plan::create(model, {lstm_rt::array<float>({1, 2, 5})});
  expect(plan.output(0).size() == whole.size() && plan.output(1).size() == 0, "ports of a plan");
  lrt_error error;
  expect(plan.run({}, {whole.data()}, &error) == LRT_ERROR_ARGUMENT && error.message[0], "a run without inputs");
  expect(plan.run({x.data()}, {whole.data()}) == LRT_OK, "a run");
  lstm_rt::Stream stream = lstm_rt::Stream::create(model);
  stream.prepare({lstm_rt::array<float>({1, 1, 5})});
  Scores steps = stepped(stream, 0.5f);
  const Scores second = stepped(stream, 0.5f);
  steps.insert(steps.end(), second.begin(), second.end());
  expect(whole == steps, "the whole and frame by frame");
}

void test_refusals(const lstm_rt::Model& model) {
  expect(status_of([] { lstm_rt::Model::load("/no/such/file.gguf"); }) == LRT_ERROR_FILE, "a file that is not there");
  expect(status_of([] { lstm_rt::Model::load_memory({1, 2, 3}); }) == LRT_ERROR_FILE, "bytes that are no model");
  lstm_rt::Pool pool = lstm_rt::Pool::create(model, 1);
  pool.close(pool.open());
  const int64_t id = pool.open();
  expect(status_of([&] { pool.open(); }) == LRT_ERROR_STATE, "more streams than the capacity");
  expect(status_of([&] { pool.close(id + 1); }) == LRT_ERROR_STATE, "an id that is not open");
  unsigned char memory[64];
  expect(status_of([&] { lstm_rt::Stream::create_in(model, {lstm_rt::array<float>({1, 1, 5})}, memory); }) ==
             LRT_ERROR_ARGUMENT,
         "memory too small");
  expect(lstm_rt::Stream::memory(model, {lstm_rt::array<float>({1, 1, 5})}).size > sizeof memory, "how much is needed");
  expect(model.find_input("frames") == 0 && model.find_output("none") == lstm_rt::kNotFound, "names");
}

}  // namespace

int main(int, char** argv) {
  const lstm_rt::Model model = lstm_rt::Model::load(argv[1]);
  test_streams(model);
  test_plan(model);
  test_refusals(model);
  return failures != 0;
}

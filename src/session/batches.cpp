#include "session/batches.h"

#include <algorithm>

namespace lrt {

namespace {

// The largest batch of one run: the weights are then read for so many rows that more gain nothing, and the arena stays
// small.
constexpr size_t kMaxRows = 128;

// What a run costs before its first row, in rows: reading the weights, and the calls themselves. Measured at 1.4 (LSTM of
// 128 units, Silero) to 3 (256 units and more).
constexpr size_t kRunCost = 3;

// 1, 2, 3, 4, 6, 8, 12, 16, … : a step of n rows is one or a few of these, with little waste.
std::vector<size_t> batch_sizes(size_t capacity) {
  const size_t most = std::min(capacity, kMaxRows);
  std::vector<size_t> sizes;
  for (size_t power = 1; power <= most; power *= 2) {
    sizes.push_back(power);
    if (power >= 2 && power + power / 2 <= most) sizes.push_back(power + power / 2);
  }
  if (sizes.back() != most) sizes.push_back(most);
  return sizes;
}

char* bytes_of(const void* data) { return static_cast<char*>(const_cast<void*>(data)); }

}  // namespace

PoolBatches::PoolBatches(const StreamSetup& setup, const std::vector<PlanInput>& frames, const std::vector<int>& axes,
                         size_t capacity)
    : axes_(axes), one_(plan(setup, frames, 1)) {
  std::shared_ptr<const Plan> two;
  try {
    two = plan(setup, frames, 2);
  } catch (const Error& error) {
    throw Error(Status::unsupported,
                std::string("this model cannot be pooled: it runs with one row, but not with two. ") + error.what());
  }
  find_layouts(setup, frames, *two);
  uint64_t row_bytes = 0;
  for (const RowLayout& input : inputs_) row_bytes += input.row_bytes();
  const Model& model = setup.model();
  const MemoryScope scope(model.memory(), model.max_memory(row_bytes * kMaxRows, capacity));
  const size_t most = std::max<size_t>(capacity, 2);  // two rows are needed to see that they are independent
  make_batches(setup, frames, most);
  choose_runs(most);
  check_rows();
}

std::shared_ptr<const Plan> PoolBatches::plan(const StreamSetup& setup, std::vector<PlanInput> frames,
                                              size_t rows) const {
  for (size_t i = 0; i < frames.size(); ++i) frames[i].shape[axes_[i]] = static_cast<int64_t>(rows);
  return setup.model().plan_once(setup.request(frames, static_cast<int64_t>(rows)));
}

void PoolBatches::find_layouts(const StreamSetup& setup, const std::vector<PlanInput>& frames, const Plan& two) {
  for (size_t i = 0; i < frames.size(); ++i) inputs_.push_back(rows_along(axes_[i], frames[i].dtype, frames[i].shape));
  for (size_t i = 0; i < setup.outputs().size(); ++i) {
    const PlannedValue& one = one_->outputs[setup.outputs()[i]];
    const Shape& shape_of_two = two.outputs[setup.outputs()[i]].shape;
    outputs_.push_back(rows_of("output '" + setup.output_name(i) + "'", one.dtype, one.shape, shape_of_two));
  }
  size_t offset = 0;
  for (size_t i = 0; i < one_->states.size(); ++i) {
    const PlannedState& one = one_->states[i];
    states_.push_back(rows_of("state '" + one.name + "'", one.dtype, one.shape, two.states[i].shape));
    states_.back().offset = offset;
    offset += align_up(one.bytes());
  }
}

void PoolBatches::make_batches(const StreamSetup& setup, const std::vector<PlanInput>& frames, size_t capacity) {
  const std::vector<size_t> sizes = batch_sizes(capacity);
  std::vector<std::shared_ptr<const Plan>> plans;
  size_t arena_bytes = 0;
  for (const size_t size : sizes) {
    plans.push_back(plan(setup, frames, size));
    arena_bytes = std::max(arena_bytes, plans.back()->arena_bytes);
  }
  input_scratch_ = buffers_for(inputs_, sizes.back());
  output_scratch_ = buffers_for(outputs_, sizes.back());
  states_in_ = buffers_for(states_, sizes.back());
  states_out_ = buffers_for(states_, sizes.back());
  input_pointers_.assign(inputs_.size(), nullptr);
  output_pointers_.assign(outputs_.size(), nullptr);

  const auto arena = std::make_shared<const AlignedBuffer>(arena_bytes);  // for all, since one runs at a time
  for (size_t i = 0; i < sizes.size(); ++i) {
    auto execution = std::make_unique<Execution>(plans[i], setup.inputs(), setup.outputs(), false, arena);
    execution->share_with(setup.workers());
    for (size_t s = 0; s < states_.size(); ++s) {
      const PlannedState& state = plans[i]->states[s];
      for (const bool turn : {false, true}) {
        execution->set(turn, state.in, states_in_[s].as<void>());
        execution->set(turn, state.out, states_out_[s].as<void>());
      }
    }
    batches_.push_back({sizes[i], std::move(execution)});
  }
}

// For every number of rows the cheapest way to run them: 65 as 64 and 1, 5 as 6.
void PoolBatches::choose_runs(size_t capacity) {
  std::vector<size_t> costs = {0};
  next_run_ = {0};
  for (size_t rows = 1; rows <= capacity; ++rows) {
    const auto cost = [&](const Batch& batch) {
      return kRunCost + batch.size + costs[rows - std::min(rows, batch.size)];
    };
    const auto best = std::min_element(batches_.begin(), batches_.end(),
                                       [&](const Batch& a, const Batch& b) { return cost(a) < cost(b); });
    next_run_.push_back(static_cast<uint32_t>(best - batches_.begin()));
    costs.push_back(cost(*best));
  }
}

// That rows are independent is tried, not assumed: two rows of noise must give the bytes that each gives alone. A model
// that takes a mean over its batch is found out.
void PoolBatches::check_rows() {
  const size_t memory = states_.empty() ? 0 : states_.back().offset + align_up(states_.back().row_bytes());
  const auto inputs = buffers_for(inputs_, 2), outputs = buffers_for(outputs_, 2);
  const auto one_input = buffers_for(inputs_, 1), one_output = buffers_for(outputs_, 1);
  AlignedBuffer slots(4 * memory + 1);  // of the two rows together, then of each alone
  char* const states[] = {slots.as<char>(), slots.as<char>() + memory, slots.as<char>() + 2 * memory,
                          slots.as<char>() + 3 * memory};
  uint32_t seed = 1;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    fill_with_noise(inputs_[i].dtype, inputs[i].as<void>(), 2 * inputs_[i].row_bytes(), &seed);
  }
  for (const RowLayout& state : states_) {
    for (size_t row = 0; row < 2; ++row) {
      fill_with_noise(state.dtype, states[row] + state.offset, state.row_bytes(), &seed);
      copy_rows(state, {states[2 + row] + state.offset, 1, 0}, {states[row] + state.offset, 1, 0}, 1);
    }
  }
  const auto in = pointers_to(inputs), out = pointers_to(outputs), one_in = pointers_to(one_input),
             one_out = pointers_to(one_output);
  step(states, 2, in.data(), out.data());
  const auto differs = [](const std::string& what) {
    throw Error(Status::unsupported, "this model cannot be pooled: its rows are not independent. " + what +
                                         " of a row in a batch is not what it is alone");
  };
  for (size_t row = 0; row < 2; ++row) {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      copy_rows(inputs_[i], {bytes_of(one_in[i]), 1, 0}, {bytes_of(in[i]), 2, row}, 1);
    }
    step(states + 2 + row, 1, one_in.data(), one_out.data());
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (!same_rows(outputs_[i], {bytes_of(one_out[i]), 1, 0}, {bytes_of(out[i]), 2, row}, 1)) {
        differs("Output " + std::to_string(i));
      }
    }
    for (size_t i = 0; i < states_.size(); ++i) {
      const size_t offset = states_[i].offset;
      if (!same_rows(states_[i], {states[2 + row] + offset, 1, 0}, {states[row] + offset, 1, 0}, 1)) {
        differs("State '" + one_->states[i].name + "'");
      }
    }
  }
}

void PoolBatches::step(char* const* states, size_t rows, const void* const* inputs, void* const* outputs) {
  for (size_t first = 0; first < rows;) {
    Batch& batch = batches_[next_run_[rows - first]];
    const size_t count = std::min(batch.size, rows - first);
    run(batch, {states, first, count, rows, inputs, outputs});
    first += count;
  }
}

void PoolBatches::run(Batch& batch, const Step& step) {
  gather(batch, step);
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const RowLayout& layout = outputs_[i];
    const bool direct = step.outputs[i] && layout.outer == 1 && step.count == batch.size;
    output_pointers_[i] =
        direct ? bytes_of(step.outputs[i]) + step.first * layout.bytes : output_scratch_[i].as<char>();
  }
  batch.execution->run(input_pointers_.data(), output_pointers_.data());
  scatter(batch, step);
}

// Frames and states into the batch; rows past the last are zero.
void PoolBatches::gather(const Batch& batch, const Step& step) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const RowLayout& layout = inputs_[i];
    char* const given = bytes_of(step.inputs[i]);
    if (layout.outer == 1 && step.count == batch.size) {
      input_pointers_[i] = given + step.first * layout.bytes;
      continue;
    }
    char* const scratch = input_scratch_[i].as<char>();
    copy_rows(layout, {scratch, batch.size, 0}, {given, step.total, step.first}, step.count);
    clear_rows(layout, {scratch, batch.size, step.count});
    input_pointers_[i] = scratch;
  }
  for (size_t i = 0; i < states_.size(); ++i) {
    const RowLayout& layout = states_[i];
    char* const together = states_in_[i].as<char>();
    for (size_t row = 0; row < step.count; ++row) {
      copy_rows(layout, {together, batch.size, row}, {step.states[step.first + row] + layout.offset, 1, 0}, 1);
    }
    clear_rows(layout, {together, batch.size, step.count});
  }
}

void PoolBatches::scatter(const Batch& batch, const Step& step) {
  for (size_t i = 0; i < states_.size(); ++i) {
    const RowLayout& layout = states_[i];
    for (size_t row = 0; row < step.count; ++row) {
      copy_rows(layout, {step.states[step.first + row] + layout.offset, 1, 0},
                {states_out_[i].as<char>(), batch.size, row}, 1);
    }
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    char* const scratch = output_scratch_[i].as<char>();
    if (!step.outputs[i] || output_pointers_[i] != scratch) continue;
    copy_rows(outputs_[i], {bytes_of(step.outputs[i]), step.total, step.first}, {scratch, batch.size, 0}, step.count);
  }
}

}  // namespace lrt

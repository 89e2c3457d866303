#include "session/model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "model/pages.h"
#include "ops/signature.h"

namespace lrt {

namespace {

// Plans are kept for the input shapes used last; a model called with ever new lengths must not grow without end.
constexpr int kMaxThreads = 256;
constexpr size_t kCachedPlans = 16;

bool same_known(const PlanInput& a, const PlanInput& b) {
  if (!a.known || !b.known) return !a.known && !b.known;
  return std::memcmp(a.known.get(), b.known.get(), static_cast<size_t>(bytes_of(a.dtype, a.shape))) == 0;
}

bool same_input(const PlanInput& a, const PlanInput& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.time_axis == b.time_axis && same_known(a, b);
}

bool same_request(const PlanRequest& a, const PlanRequest& b) {
  return a.proving == b.proving && a.bindings == b.bindings && a.keeps_state == b.keeps_state &&
         std::equal(a.inputs.begin(), a.inputs.end(), b.inputs.begin(), b.inputs.end(), same_input);
}

// Of no more elements than a tensor may have: what is larger, or negative, is refused while planning.
uint64_t input_bytes(const PlanInput& input) {
  int64_t elements = 1;
  for (const int64_t dim : input.shape) {
    if (dim <= 0) return 0;
    if (elements > kMaxElements / dim) return 0;
    elements *= dim;
  }
  return static_cast<uint64_t>(elements) * size_of(input.dtype);
}

std::string shapes_text(const std::vector<PlanInput>& inputs) {
  std::string text;
  for (const PlanInput& input : inputs) text += (text.empty() ? "" : ", ") + input.shape.text();
  return text;
}

// Kernels without fused multiply-add promise this much of the largest value, not the bits (docs/numerics.md).
constexpr double kUnfusedTolerance = 1e-4;

double largest_difference(const Constant& wanted, const void* got) {
  double largest = 0.0;
  for (int64_t i = 0; i < wanted.shape.elements(); ++i) {
    const double a = static_cast<const float*>(wanted.data)[i], b = static_cast<const float*>(got)[i];
    if (!(std::abs(a - b) <= largest) && !(std::isnan(a) && std::isnan(b))) largest = std::abs(a - b);
  }
  return largest;
}

bool agrees(const Constant& wanted, const void* got, bool to_the_bit) {
  if (std::memcmp(wanted.data, got, wanted.bytes()) == 0) return true;
  if (to_the_bit || wanted.dtype != DType::f32) return false;
  double scale = 1.0;
  for (int64_t i = 0; i < wanted.shape.elements(); ++i) {
    scale = std::max(scale, std::abs(static_cast<double>(static_cast<const float*>(wanted.data)[i])));
  }
  return largest_difference(wanted, got) <= kUnfusedTolerance * scale;
}

std::string describe_difference(const std::string& output, const Constant& wanted, const void* got) {
  std::string text = "output '" + output + "' differs from the self-test";
  if (wanted.dtype != DType::f32) return text;
  char number[32];
  std::snprintf(number, sizeof number, "%.3g", largest_difference(wanted, got));
  return text + " by up to " + number;
}

}  // namespace

CachedPlan::~CachedPlan() {
  while (take()) {
  }
}

std::unique_ptr<Execution> CachedPlan::take() {
  for (std::atomic<Execution*>& place : idle_) {
    if (!place.load(std::memory_order_relaxed)) continue;
    if (Execution* const taken = place.exchange(nullptr, std::memory_order_acquire)) {
      return std::unique_ptr<Execution>(taken);
    }
  }
  return nullptr;
}

// Where more threads than there are places ran at once, what is left over is freed.
void CachedPlan::give_back(std::unique_ptr<Execution> execution) {
  for (std::atomic<Execution*>& place : idle_) {
    Execution* none = nullptr;
    if (!place.compare_exchange_strong(none, execution.get(), std::memory_order_release, std::memory_order_relaxed)) {
      continue;
    }
    (void)execution.release();
    return;
  }
}

void CachedPlan::prepare() {
  std::unique_ptr<Execution> execution = take();
  {
    const MemoryScope scope(memory_);
    if (!execution) execution = std::make_unique<Execution>(plan_);
    execution->spare_outputs();
  }
  give_back(std::move(execution));
  touch_stack();  // the memory may have been made by another thread
}

void CachedPlan::run(const void* const* inputs, void* const* outputs, Parallel* parallel) {
  std::unique_ptr<Execution> execution = take();
  const bool spare = std::find(outputs, outputs + plan_->outputs.size(), nullptr) != outputs + plan_->outputs.size();
  if (!execution || spare) {
    const MemoryScope scope(memory_);
    if (!execution) execution = std::make_unique<Execution>(plan_);
    if (spare) execution->spare_outputs();
  }
  execution->share_with(parallel);
  execution->run(inputs, outputs);
  give_back(std::move(execution));
}

Model::Model(Graph graph, const ModelOptions& options)
    : graph_(std::move(graph)),
      kernels_(*choose_kernels(options.isa)),
      memory_(options.memory),
      max_memory_(options.max_memory),
      log_(options.log) {
  std::string unknown;
  std::vector<std::pair<const OpEntry*, const Op*>> known;
  int count = 0;
  for (const Block& block : graph_.blocks) {
    for (const Op& op : block.ops) {
      if (const OpEntry* entry = find_op(op.type)) {
        known.emplace_back(entry, &op);
        continue;
      }
      unknown += "\n  " + std::to_string(++count) + ". node '" + op.name + "' (" + op.type + "): no such operation.";
    }
  }
  if (count > 0) {
    throw Error(Status::unsupported, "the model uses operations that this version does not have:" + unknown +
                                         "\nSupported operations: lstm-rt inspect --ops");
  }
  for (const auto& [entry, op] : known) check_counts(*entry, *op);
  control_ = find_control_inputs(graph_);
  if (!log_) return;
  log_(LogLevel::info, "loaded a model of " + std::to_string(graph_.op_count) + " operations and " +
                           size_text(weight_bytes()) + " of weights, " + (graph_.mapped ? "mapped" : "in memory") +
                           ", for " + kernels_.name);
}

uint64_t Model::parameters() const {
  uint64_t total = 0;
  for (const Weight& weight : graph_.weights) {
    const bool counts = weight.dtype == DType::f32 || weight.dtype == DType::i8 || is_packed(weight.dtype);
    if (counts) total += static_cast<uint64_t>(weight.shape.elements());
  }
  return total;
}

uint64_t Model::weight_bytes() const {
  uint64_t total = 0;
  for (const Weight& weight : graph_.weights) total += weight.bytes();
  return total;
}

uint64_t Model::packed_bytes() {
  const Lock lock(mutex_);
  return packs_.bytes();
}

std::shared_ptr<CachedPlan> Model::plan(const PlanRequest& request) {
  const Lock lock(mutex_);
  const auto found = std::find_if(cache_.begin(), cache_.end(),
                                  [&](const Entry& entry) { return same_request(entry.request, request); });
  if (found != cache_.end()) {
    cache_.splice(cache_.begin(), cache_, found);
    return found->plan;
  }
  auto made = std::make_shared<CachedPlan>(make(request), memory_);
  if (!request.proving) {
    cache_.push_front({request, made});
    if (cache_.size() > kCachedPlans) cache_.pop_back();
  }
  return made;
}

std::shared_ptr<const Plan> Model::plan_once(const PlanRequest& request) {
  const Lock lock(mutex_);
  return make(request);
}

std::shared_ptr<const Plan> Model::make(const PlanRequest& request) {
  uint64_t bytes = 0;
  for (const PlanInput& input : request.inputs) bytes += input_bytes(input);
  const MemoryScope scope(memory_, max_memory(bytes), packs_.bytes());
  auto plan = make_plan(graph_, kernels_, packs_, request);
  if (log_ && !request.proving) {
    log_(LogLevel::debug, "planned for " + shapes_text(request.inputs) + ": " + std::to_string(plan->calls.size()) +
                              " calls, an arena of " + size_text(plan->arena_bytes) + ", " + size_text(packs_.bytes()) +
                              " of packed weights");
  }
  return plan;
}

uint64_t Model::max_memory(uint64_t input_bytes, size_t streams) const {
  constexpr uint64_t kAlways = uint64_t{1} << 30, kPerFileByte = 16, kPerInputByte = 1024, kPerStream = 64 << 10;
  uint64_t most = max_memory_;
  if (most == 0) {
    most = kAlways + kPerFileByte * graph_.file_size + kPerInputByte * input_bytes + kPerStream * streams;
  }
  return std::min<uint64_t>(most, SIZE_MAX / 2);
}

Parallel* Model::workers(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(Status::argument,
                "threads is " + std::to_string(threads) + "; wanted 1 to " + std::to_string(kMaxThreads));
  }
  if (threads == 1) return nullptr;
#if LRT_THREADS
  const Lock lock(mutex_);
  for (const auto& workers : workers_) {
    if (workers->threads() == threads) return workers.get();
  }
  workers_.push_back(std::make_unique<Workers>(threads));
  if (const int started = workers_.back()->started(); started < threads && log_) {
    log_(LogLevel::warning, "the system gave " + std::to_string(started) + " of " + std::to_string(threads) +
                                " threads; these do all of the work");
  }
  return workers_.back().get();
#else
  throw Error(Status::unsupported, "this library was built without threads (LSTM_RT_THREADS=OFF): threads must be 1");
#endif
}

size_t Model::verify(size_t* failed, std::string* difference) {
  *failed = 0;
  for (const SelfTest& test : graph_.selftests) {
    PlanRequest request;
    std::vector<const void*> inputs;
    for (size_t i = 0; i < test.inputs.size(); ++i) {
      const Constant& input = test.inputs[i];
      PlanInput given{input.dtype, input.shape, nullptr, -1};
      if (is_control(i)) given.known = std::shared_ptr<const void>(graph_.bytes, input.data);
      request.inputs.push_back(std::move(given));
      inputs.push_back(input.data);
    }
    const auto planned = plan(request);
    std::vector<AlignedBuffer> results;
    std::vector<void*> outputs;
    for (const PlannedValue& output : planned->plan()->outputs) {
      results.emplace_back(std::max<size_t>(output.bytes(), 1));
      outputs.push_back(results.back().as<void>());
    }
    planned->run(inputs.data(), outputs.data());
    for (size_t i = 0; i < test.outputs.size(); ++i) {
      const Constant& wanted = test.outputs[i];
      const PlannedValue& output = planned->plan()->outputs[i];
      const std::string& name = graph_.values[static_cast<size_t>(graph_.outputs[i].value)];
      const bool same_shape = output.dtype == wanted.dtype && output.shape == wanted.shape;
      if (same_shape && agrees(wanted, outputs[i], kernels_.has_fma != 0)) continue;
      if (*failed == 0) {
        *difference = same_shape ? describe_difference(name, wanted, outputs[i])
                                 : "output '" + name + "' has shape " + output.shape.text() + ", the self-test has " +
                                       wanted.shape.text();
      }
      ++*failed;
      break;
    }
  }
  return graph_.selftests.size();
}

}  // namespace lrt

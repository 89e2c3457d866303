// Prepares streams, pools and plans, then counts what their first N steps do that no deadline allows: calls of the allocator,
// locks, system calls, page faults. Only the C API, on the shared library, as an application uses it.
//
//   realtime N list.txt    a line for each: FILE KIND THREADS INPUT…, files beside the list. KIND is stream, run or
//                          pool=ROWS. An input is DTYPE:DIMS (float32:1,16), a - where a stream keeps it as state, with a
//                          leading = where it is frozen, and behind an @ the file of its bytes, else floats are made up
//                          and integers 0
//
// Prints for each line, between tabs: its number, steps, allocations and frees, locks, minor and major page faults, and
// system calls with the number of the last one; -1 system calls are not known: of several threads, or without seccomp.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "lstm_rt.h"
#include "watch.h"

// Under clang's RealtimeSanitizer, which watches by itself and ends the process, nothing is counted.
#if defined(__has_feature)
#if __has_feature(realtime_sanitizer)
#define NONBLOCKING [[clang::nonblocking]]
#endif
#endif
#ifdef NONBLOCKING
constexpr bool kCounts = false;
#else
#define NONBLOCKING
constexpr bool kCounts = true;
#endif

namespace {

constexpr int kReport = 100;  // a file descriptor that nothing else has
constexpr const char* kDtypes[] = {"float32", "int64", "int32", "bool", "uint8", "int8"};
constexpr size_t kSizes[] = {4, 8, 4, 1, 1, 1};

lrt_error error;

void check(lrt_status status) {
  if (status != LRT_OK) throw std::runtime_error(error.message);
}

size_t elements(const lrt_shape& shape) {
  size_t count = 1;
  for (int32_t axis = 0; axis < shape.rank; ++axis) count *= static_cast<size_t>(shape.dims[axis]);
  return count;
}

std::vector<char> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Input {
  bool is_state = false, is_frozen = false;
  lrt_array array{};
  std::vector<char> bytes;
};

Input parse_input(std::string word, const std::string& folder) {
  Input input;
  input.is_state = word == "-";
  input.is_frozen = word[0] == '=';
  if (input.is_state) return input;
  if (input.is_frozen) word.erase(0, 1);
  const size_t colon = word.find(':'), at = std::min(word.find('@'), word.size());
  const auto found = std::find(std::begin(kDtypes), std::end(kDtypes), word.substr(0, colon));
  if (colon == std::string::npos || found == std::end(kDtypes)) throw std::runtime_error("what is the input " + word);
  input.array.dtype = static_cast<int32_t>(found - std::begin(kDtypes));
  std::istringstream dims(word.substr(colon + 1, at - colon - 1));
  lrt_shape& shape = input.array.shape;
  for (std::string dim; std::getline(dims, dim, ',');) shape.dims[shape.rank++] = std::stoll(dim);
  const size_t count = elements(shape);
  input.bytes.resize(count * kSizes[input.array.dtype] + 1);
  if (at < word.size()) {
    std::vector<char> bytes = read_bytes(folder + word.substr(at + 1));
    if (bytes.size() + 1 != input.bytes.size()) throw std::runtime_error("the file of " + word + " has another size");
    std::copy(bytes.begin(), bytes.end(), input.bytes.begin());
  } else if (input.array.dtype == LRT_FLOAT32) {
    auto* const floats = reinterpret_cast<float*>(input.bytes.data());
    for (size_t i = 0; i < count; ++i) floats[i] = static_cast<float>(i * 7919 % 2001) * 1e-3f - 1.0f;
  }
  return input;
}

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

// A file that is named twice is one model, whose plans share its weights.
class Models {
 public:
  lrt_model* load(const std::string& path) {
    auto& [file, model] = *loaded_.try_emplace(path, nullptr, lrt_model_free).first;
    if (model) return model.get();
    lrt_model* made = nullptr;
    check(lrt_model_load(file.c_str(), nullptr, &made, &error));
    model.reset(made);
    return made;
  }

 private:
  std::map<std::string, Owned<lrt_model>> loaded_;
};

// Prepared, with memory for what a step takes and gives; that is written to, so no page of it is new.
class Work {
 public:
  Work(const std::string& line, const std::string& folder, Models& models) {
    std::istringstream words(line);
    std::string file, kind;
    words >> file >> kind >> threads_;
    for (std::string word; words >> word;) inputs_.push_back(parse_input(word, folder));
    for (Input& input : inputs_) input.array.data = input.bytes.data();
    model_ = models.load(folder + file);
    if (kind == "run") {
      plan();
    } else if (kind == "stream") {
      open_stream();
    } else {
      open_pool(std::stoul(kind.substr(kind.find('=') + 1)));
    }
  }

  int threads() const { return threads_; }

  lrt_status step() NONBLOCKING {
    if (stream_) return lrt_stream_step(stream_.get(), in_.data(), out_.data());
    if (pool_) return lrt_pool_step(pool_.get(), ids_.data(), ids_.size(), in_.data(), out_.data(), &error);
    return lrt_plan_run(plan_.get(), in_.data(), out_.data(), &error);
  }

 private:
  void plan() {
    std::vector<lrt_array> arrays;
    for (const Input& input : inputs_) arrays.push_back(input.array);
    lrt_plan* made = nullptr;
    check(lrt_plan_create(model_, arrays.data(), arrays.size(), &made, &error));
    plan_.reset(made);
    check(lrt_plan_set_threads(made, threads_, &error));
    for (const lrt_array& array : arrays) in_.push_back(array.data);
    for (size_t i = 0; i < lrt_model_output_count(model_); ++i) {
      lrt_port port;
      check(lrt_plan_output(made, i, &port));
      add_output(port, 1);
    }
  }

  void open_stream() {
    const lrt_stream_options options = read_options();
    lrt_stream* made = nullptr;
    check(lrt_stream_create(model_, &options, &made, &error));
    stream_.reset(made);
    const std::vector<lrt_array> frames = read_frames();
    check(lrt_stream_prepare(made, frames.data(), frames.size(), &error));
    for (size_t i = 0; i < lrt_stream_output_count(made); ++i) {
      lrt_port port;
      check(lrt_stream_output_port(made, i, &port));
      add_output(port, 1);
    }
  }

  void open_pool(size_t rows) {
    const lrt_stream_options options = read_options();
    lrt_pool* made = nullptr;
    check(lrt_pool_create(model_, &options, rows, &made, &error));
    pool_.reset(made);
    const std::vector<lrt_array> frames = read_frames();
    check(lrt_pool_prepare(made, frames.data(), frames.size(), rows, &error));
    ids_.resize(rows);
    for (int64_t& id : ids_) check(lrt_pool_open(made, &id, &error));
    for (size_t i = 0; i < lrt_pool_output_count(made); ++i) {
      lrt_port port;
      check(lrt_pool_output_port(made, i, &port));
      add_output(port, rows);
    }
  }

  lrt_stream_options read_options() {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!inputs_[i].is_frozen) continue;
      frozen_.push_back(i);
      frozen_values_.push_back(inputs_[i].array);
    }
    lrt_stream_options options{};
    options.batch = 1;
    options.threads = threads_;
    options.freeze = frozen_.data();
    options.freeze_values = frozen_values_.data();
    options.freeze_count = frozen_.size();
    return options;
  }

  std::vector<lrt_array> read_frames() {
    std::vector<lrt_array> frames;
    for (const Input& input : inputs_) {
      if (input.is_state || input.is_frozen) continue;
      frames.push_back(input.array);
      in_.push_back(input.array.data);
    }
    return frames;
  }

  void add_output(const lrt_port& port, size_t rows) {
    memory_.emplace_back(elements(port.shape) * kSizes[port.dtype] * rows + 1);
    out_.push_back(memory_.back().data());
  }

  int threads_ = 1;
  std::vector<Input> inputs_;
  std::vector<size_t> frozen_;
  std::vector<lrt_array> frozen_values_;
  lrt_model* model_ = nullptr;
  Owned<lrt_plan> plan_{nullptr, lrt_plan_free};
  Owned<lrt_stream> stream_{nullptr, lrt_stream_free};
  Owned<lrt_pool> pool_{nullptr, lrt_pool_free};
  std::vector<int64_t> ids_;
  std::vector<std::vector<char>> memory_;
  std::vector<const void*> in_;
  std::vector<void*> out_;
};

struct Counts {
  unsigned long long allocations, frees, locks, minor, major, system_calls;
};

Counts counts_now() {
  if (!kCounts) return {};
  return {malloc_count(), free_count(), lock_count(), minor_fault_count(), major_fault_count(), system_call_count()};
}

// No output but by write(): the filter is on.
void measure(size_t number, Work& work, long steps, bool filtered) {
  lrt_status status = LRT_OK;
  const Counts before = counts_now();
  for (long i = 0; i < steps && status == LRT_OK; ++i) status = work.step();
  const Counts after = counts_now();
  if (status != LRT_OK) throw std::runtime_error("step failed");
  static char line[256];
  const int length = std::snprintf(line, sizeof line, "%zu\t%ld\t%llu\t%llu\t%llu\t%llu\t%llu\t%lld\t%d\n", number,
                                   steps, after.allocations - before.allocations, after.frees - before.frees,
                                   after.locks - before.locks, after.minor - before.minor, after.major - before.major,
                                   filtered ? static_cast<long long>(after.system_calls - before.system_calls) : -1LL,
                                   kCounts ? last_system_call() : -1);
  if (write(kReport, line, static_cast<size_t>(length)) != length) _exit(1);
}

// A count that cannot rise proves nothing.
void check_watch(bool filtered) {
  const Counts before = counts_now();
  void* volatile memory = std::malloc(100);
  std::free(memory);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  (void)getppid();
  const Counts after = counts_now();
  const bool counts = after.allocations > before.allocations && after.frees > before.frees &&
                      after.locks > before.locks && (!filtered || after.system_calls > before.system_calls);
  if (!counts) throw std::runtime_error("what is to be counted is not");
}

void check_fault_count() {
  const size_t size = size_t{1} << 20;
  const Counts before = counts_now();
  const std::unique_ptr<char[]> fresh(new char[size]);
  for (size_t at = 0; at < size; at += 4096) const_cast<volatile char*>(fresh.get())[at] = 1;
  if (counts_now().minor < before.minor + 16) throw std::runtime_error("page faults are not counted");
}

void run(long steps, const std::string& list) {
  const std::string folder = list.substr(0, list.find_last_of('/') + 1);
  Models models;
  std::vector<std::unique_ptr<Work>> all;
  std::ifstream lines(list);
  for (std::string line; std::getline(lines, line);) {
    try {
      all.push_back(std::make_unique<Work>(line, folder, models));
    } catch (const std::exception& why) {
      throw std::runtime_error(line + ": " + why.what());
    }
  }
  if (kCounts) check_fault_count();
  if (dup2(1, kReport) != kReport) throw std::runtime_error("no file descriptor to report to");
  if (kCounts) check_watch(false);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i]->threads() > 1) measure(i, *all[i], steps, false);
  }
  const bool filtered = kCounts && forbid_system_calls(kReport) == 0;
  if (kCounts) check_watch(filtered);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i]->threads() <= 1) measure(i, *all[i], steps, filtered);
  }
  _exit(0);  // what is left would free memory, which the filter does not let
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: realtime N list.txt\n");
    return 2;
  }
  try {
    run(std::atol(argv[1]), argv[2]);
  } catch (const std::exception& why) {
    static char line[2500];
    const int length = std::snprintf(line, sizeof line, "realtime: %s\n", why.what());
    (void)!write(2, line, static_cast<size_t>(length));
    (void)!write(kReport, line, static_cast<size_t>(length));
    _exit(1);
  }
}

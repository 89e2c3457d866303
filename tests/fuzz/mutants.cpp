// Makes model files that mean something else than their seeds (mutator.h), and uses each in a watched process:
//
//   fuzz_mutants SEEDS COUNT [--first N] [--jobs N] [--save FOLDER]   uses COUNT mutants
//   fuzz_mutants SEEDS --only N                                       writes mutant N to mutant.gguf, and uses it here
//   fuzz_mutants --file MUTANT                                        uses a file here
//   fuzz_mutants SEEDS --serve                                        reads numbers, writes sizes and bytes of mutants
//
// A mutant is found if it ends its process, if one call takes more than kMostSeconds or all take more than kMostResident,
// or if an answer cannot be right. `dev.py fuzz --semantic N` builds and runs it.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <thread>

#include "mutator.h"
#include "use_model.h"

namespace {

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr bool kSanitized = true;  // takes ten times as long, and memory of its own
#else
constexpr bool kSanitized = false;
#endif

constexpr int kMostSeconds = kSanitized ? 60 : 3;  // of the processor, for one call of the library
constexpr int kHangSeconds = 120;                  // of the clock: a process that waits uses no processor
constexpr size_t kMostResident = size_t{260} << 20;
constexpr size_t kMostAddresses = size_t{3} << 30;  // the machine must not run out of memory
constexpr uint64_t kBatch = 200;                    // mutants of one process
constexpr size_t kMostBytes = size_t{4} << 20;      // of a mutant
constexpr size_t kMostFound = 40;                   // then it ends

using Clock = std::chrono::steady_clock;
using lrt_fuzz::complain;

// The record that a worker shares with the process that watches it.
struct Report {
  volatile uint64_t number;
  volatile size_t size;
  uint64_t made, loaded, planned, ran, streamed, pooled, compared;
  size_t most_resident;
  double most_seconds;
  uint64_t largest, slowest;  // their numbers
  char bytes[kMostBytes];
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

lrt_fuzz::Seeds read_seeds(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<lrt_fuzz::Draft> drafts;
  for (const auto& path : paths) drafts.push_back(lrt_fuzz::read_draft(read_file(path)));
  return lrt_fuzz::Seeds(std::move(drafts));
}

std::string make_mutant(const lrt_fuzz::Seeds& seeds, uint64_t number) {
  const lrt_fuzz::Draft draft = lrt_fuzz::Mutator(seeds, number).make();
  return lrt_fuzz::DraftWriter(draft).bytes();
}

// Arrays of the file's first self-test.
std::vector<lrt_fuzz::Array> tested_inputs(const lrt::Graph& graph) {
  std::vector<lrt_fuzz::Array> arrays;
  for (const lrt::Constant& input : graph.selftests[0].inputs) {
    lrt_shape shape{};
    shape.rank = input.shape.rank();
    std::copy(input.shape.begin(), input.shape.end(), shape.dims);
    arrays.emplace_back();
    arrays.back().copy(static_cast<int32_t>(input.dtype), shape, input.data, input.bytes());
  }
  return arrays;
}

const char* other_exact_isa(const char* isa) {
  if (lrt_isa_is_exact(isa) == 0) return nullptr;
  for (size_t i = 0; lrt_available_isa(i) != nullptr; ++i) {
    const char* const other = lrt_available_isa(i);
    if (std::strcmp(other, isa) != 0 && lrt_isa_is_exact(other) != 0) return other;
  }
  return nullptr;
}

// Runs; where `other` is an instruction set, a run with that must give the same bytes. True if they were compared.
bool run_and_compare(lrt_model* model, const std::vector<lrt_fuzz::Array>& inputs, const std::string& bytes,
                     const char* other, lrt_fuzz::Outcome* outcome) {
  lrt_fuzz::Results results, others;
  lrt_fuzz::Trial(model, inputs, 1).run(outcome, &results);
  if (!outcome->ran || other == nullptr) return false;
  const auto second = lrt_fuzz::load_model(bytes.data(), bytes.size(), other);
  lrt_fuzz::Outcome outcome_of_other;
  lrt_fuzz::Trial(second.get(), inputs, 1).run(&outcome_of_other, &others);
  if (!outcome_of_other.ran) complain(std::string("runs, but not with ") + other);
  results.forget_payloads();
  others.forget_payloads();
  if (others.arrays != results.arrays) complain(std::string("gives other bytes with ") + other);
  return true;
}

// How it is used follows from the bytes, so that a file that was found is used as it was.
lrt_fuzz::Outcome use(const std::string& bytes, bool* compared) {
  const uint32_t variant = lrt::crc32(bytes.data(), bytes.size());
  size_t sets = 0;
  while (lrt_available_isa(sets) != nullptr) ++sets;
  const char* const isa = lrt_available_isa(variant % 4 == 0 ? variant / 4 % sets : 0);
  lrt_fuzz::Outcome outcome;
  const auto model = lrt_fuzz::load_model(bytes.data(), bytes.size(), isa);
  if (!model) return outcome;
  outcome.loaded = true;
  lrt_fuzz::inspect_model(model.get());
  const int64_t free = 1 + variant / 64 % 3, batch = variant / 256 % 2 != 0 ? free : 1;
  static constexpr int64_t kValues[] = {0, 1, 2, -1, 3, 8000, 16000, 0};
  std::vector<lrt_fuzz::Array> inputs;
  if (!lrt_fuzz::make_inputs(model.get(), free, kValues[variant / 8 % 8], &inputs)) return outcome;
  const char* const other = variant / 1024 % 4 == 0 ? other_exact_isa(isa) : nullptr;
  *compared = run_and_compare(model.get(), inputs, bytes, other, &outcome);
  const lrt::Graph graph = lrt::read_graph_memory(bytes.data(), bytes.size());
  if (!outcome.ran && !graph.selftests.empty()) {
    inputs = tested_inputs(graph);
    *compared = run_and_compare(model.get(), inputs, bytes, other, &outcome);
  }
  lrt_fuzz::Trial trial(model.get(), std::move(inputs), batch);
  trial.stream(&outcome);
  trial.pool(&outcome, static_cast<size_t>(free));
  lrt_fuzz::verify_model(model.get());
  return outcome;
}

// Resident memory at its highest since the last reset.
size_t most_resident() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, 6, "VmHWM:") == 0) return std::stoull(line.substr(6)) << 10;
  }
  return 0;
}

void reset_most_resident() { std::ofstream("/proc/self/clear_refs") << "5"; }

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <class T>
void note_most(T amount, uint64_t number, T* most, uint64_t* of) {
  if (amount <= *most) return;
  *most = amount;
  *of = number;
}

// The longest call since the last reset. One that takes far too long is ended by the signal of the timer, which is not
// exact.
double stage_start = 0, longest_stage = 0;

void begin_stage() {
  const double now = processor_seconds();
  longest_stage = std::max(longest_stage, now - stage_start);
  stage_start = now;
  const itimerval limit{{0, 0}, {kMostSeconds, 0}};
  setitimer(ITIMER_PROF, &limit, nullptr);
}

void reset_stages() {
  stage_start = processor_seconds();
  longest_stage = 0;
}

void work(const lrt_fuzz::Seeds& seeds, uint64_t first, uint64_t last, Report* report) {
  if (!kSanitized) {
    const rlimit addresses{kMostAddresses, kMostAddresses};
    setrlimit(RLIMIT_AS, &addresses);
  }
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  reset_most_resident();
  const size_t before = most_resident();
  for (uint64_t number = first; number < last; ++number) {
    report->size = 0;
    report->number = number;
    const std::string bytes = make_mutant(seeds, number);
    if (bytes.size() > kMostBytes) continue;
    std::memcpy(report->bytes, bytes.data(), bytes.size());
    report->size = bytes.size();
    reset_most_resident();
    reset_stages();
    bool compared = false;
    const lrt_fuzz::Outcome outcome = use(bytes, &compared);
    begin_stage();
    note_most(longest_stage, number, &report->most_seconds, &report->slowest);
    if (longest_stage > kMostSeconds) complain("a call took " + std::to_string(longest_stage) + " s");
    const size_t resident = most_resident() - std::min(before, most_resident());
    note_most(resident, number, &report->most_resident, &report->largest);
    if (!kSanitized && resident > kMostResident) complain("it took " + std::to_string(resident >> 20) + " MiB");
    ++report->made;
    report->loaded += outcome.loaded;
    report->planned += outcome.planned;
    report->ran += outcome.ran;
    report->streamed += outcome.streamed;
    report->pooled += outcome.pooled;
    report->compared += compared;
  }
}

struct Options {
  std::filesystem::path seeds, file, save = ".";
  uint64_t count = 0, first = 0, only = UINT64_MAX;
  size_t jobs = 1;
  bool serve = false;
};

// One worker process after the other, each with a batch of mutants.
class Slot {
 public:
  Slot()
      : report_(static_cast<Report*>(
            mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (report_ == MAP_FAILED) throw std::bad_alloc();
  }

  const Report& report() const { return *report_; }
  bool idle() const { return process_ == 0 && first_ == last_; }
  void give(uint64_t first, uint64_t last) {
    first_ = first;
    last_ = last;
  }

  // Starts what is to be done, and looks after what was started; "" if nothing was found.
  std::string look(const lrt_fuzz::Seeds& seeds) {
    if (process_ == 0) {
      if (first_ != last_) start(seeds);
      return "";
    }
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) != process_) {
      if (report_->number != seen_) {
        seen_ = report_->number;
        since_ = Clock::now();
      }
      if (Clock::now() - since_ > std::chrono::seconds(kHangSeconds)) kill(process_, SIGKILL);
      return "";
    }
    process_ = 0;
    first_ = status == 0 ? last_ : report_->number + 1;
    if (status == 0) return "";
    if (!WIFSIGNALED(status)) return "ended with code " + std::to_string(WEXITSTATUS(status));
    const int signal = WTERMSIG(status);
    if (signal == SIGPROF) return "took more than " + std::to_string(kMostSeconds) + " s";
    if (signal == SIGKILL) return "hung, or was killed";
    return std::string("ended with signal ") + strsignal(signal);
  }

 private:
  void start(const lrt_fuzz::Seeds& seeds) {
    std::fflush(nullptr);
    seen_ = UINT64_MAX;
    since_ = Clock::now();
    process_ = fork();
    if (process_ < 0) throw std::bad_alloc();
    if (process_ > 0) return;
    work(seeds, first_, last_, report_);
    std::exit(0);  // where a sanitizer looks for leaks
  }

  Report* report_;
  pid_t process_ = 0;
  uint64_t first_ = 0, last_ = 0, seen_ = 0;
  Clock::time_point since_;
};

void print_summary(const std::vector<Slot>& slots, double seconds, size_t found) {
  using Count = uint64_t Report::*;
  static constexpr std::pair<const char*, Count> kCounts[] = {
      {"mutants", &Report::made},
      {"loaded", &Report::loaded},
      {"planned", &Report::planned},
      {"ran", &Report::ran},
      {"streamed", &Report::streamed},
      {"pooled", &Report::pooled},
      {"compared with another instruction set", &Report::compared}};
  for (const auto& [what, count] : kCounts) {
    uint64_t sum = 0;
    for (const Slot& slot : slots) sum += slot.report().*count;
    std::printf("%llu %s, ", static_cast<unsigned long long>(sum), what);
  }
  double longest = 0;
  size_t resident = 0;
  uint64_t slowest = 0, largest = 0;
  for (const Slot& slot : slots) {
    note_most(slot.report().most_seconds, slot.report().slowest, &longest, &slowest);
    note_most(slot.report().most_resident, slot.report().largest, &resident, &largest);
  }
  std::printf("%zu found in %.0f s; at most %.2f s (mutant %llu) and %zu MiB (mutant %llu) for one\n", found, seconds,
              longest, static_cast<unsigned long long>(slowest), resident >> 20,
              static_cast<unsigned long long>(largest));
}

int use_many(const Options& options, const lrt_fuzz::Seeds& seeds, const char* program) {
  const auto start = Clock::now();
  std::vector<Slot> slots(options.jobs);
  uint64_t next = options.first;
  const uint64_t end = options.first + options.count;
  size_t found = 0;
  for (bool busy = true; busy && found < kMostFound;) {
    busy = false;
    for (Slot& slot : slots) {
      if (slot.idle() && next < end) {
        slot.give(next, std::min(next + kBatch, end));
        next = std::min(next + kBatch, end);
      }
      const std::string problem = slot.look(seeds);
      busy = busy || !slot.idle() || next < end;
      if (problem.empty()) continue;
      ++found;
      const Report& report = slot.report();
      const auto path = options.save / ("mutant-" + std::to_string(report.number) + ".gguf");
      write_file(path, std::string(report.bytes, report.size));
      std::fprintf(stderr, "found: %llu %s: %s %s --only %llu, or --file %s\n",
                   static_cast<unsigned long long>(report.number), problem.c_str(), program, options.seeds.c_str(),
                   static_cast<unsigned long long>(report.number), path.c_str());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  print_summary(slots, std::chrono::duration<double>(Clock::now() - start).count(), found);
  return found == 0 ? 0 : 1;
}

int use_one(const std::string& bytes) {
  bool compared = false;
  reset_stages();
  const lrt_fuzz::Outcome outcome = use(bytes, &compared);
  begin_stage();
  std::printf(
      "%zu bytes: loaded %d, planned %d, ran %d, streamed %d, pooled %d; at most %.2f s for one call; %zu MiB\n",
      bytes.size(), outcome.loaded, outcome.planned, outcome.ran, outcome.streamed, outcome.pooled, longest_stage,
      most_resident() >> 20);
  return 0;
}

// For the Python tests, which have no other way to make mutants.
int serve(const lrt_fuzz::Seeds& seeds) {
  for (unsigned long long number = 0; std::scanf("%llu", &number) == 1;) {
    const std::string bytes = make_mutant(seeds, number);
    const uint64_t size = bytes.size();
    std::fwrite(&size, sizeof size, 1, stdout);
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    std::fflush(stdout);
  }
  return 0;
}

Options parse(int count, char** words) {
  Options options;
  bool counted = false;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const bool takes =
        word == "--first" || word == "--jobs" || word == "--only" || word == "--file" || word == "--save";
    if (takes && i + 1 == count) throw std::invalid_argument(word + " needs a value");
    const std::string value = takes ? words[++i] : "";
    if (word == "--serve") options.serve = true;
    if (word == "--first") options.first = std::stoull(value);
    if (word == "--jobs") options.jobs = std::max<size_t>(std::stoull(value), 1);
    if (word == "--only") options.only = std::stoull(value);
    if (word == "--file") options.file = value;
    if (word == "--save") options.save = value;
    if (takes || word == "--serve") continue;
    if (options.seeds.empty()) {
      options.seeds = word;
    } else if (!counted) {
      options.count = std::stoull(word);
      counted = true;
    } else {
      throw std::invalid_argument("unknown word " + word);
    }
  }
  return options;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Options options = parse(count, words);
    lrt_fuzz::begin_stage = begin_stage;
    if (!options.file.empty()) return use_one(read_file(options.file));
    const lrt_fuzz::Seeds seeds = read_seeds(options.seeds);
    if (options.serve) return serve(seeds);
    if (options.only == UINT64_MAX) return use_many(options, seeds, words[0]);
    const std::string bytes = make_mutant(seeds, options.only);
    write_file("mutant.gguf", bytes);
    return use_one(bytes);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

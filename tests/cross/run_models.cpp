// Runs models under every instruction set this machine has, and writes all output bytes: tests/cross compares their hashes
// between processors. Only the C API.
//
//   run_models runs.txt     a line for each run: FILE whole|stream|verify STEPS INPUT…, files beside runs.txt. An input
//                           is f1,2,3 (floats of shape 1,2,3, made up), - (a state of a stream), i=7 (the integer 7) or
//                           DTYPE:1,2,3@FILE (read from there; DTYPE is a number of lrt_dtype). verify replays the
//                           file's own self-tests, and gives how many there are
//
// Written for each run and instruction set: "RUN<tab>ISA<tab>exact|rounded<tab>COUNT<newline>", then COUNT bytes.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "lstm_rt.h"

namespace {

void check(lrt_status status, const lrt_error& error) {
  if (status != LRT_OK) throw std::runtime_error(error.message);
}

struct Input {
  bool is_state = false, is_fixed = false;
  lrt_array array{};
  std::vector<char> bytes;
};

struct Run {
  std::string line, file, mode;
  int steps = 1;
  std::vector<Input> inputs;
};

size_t element_size(int32_t dtype) {
  return dtype == LRT_INT64 ? 8 : dtype == LRT_FLOAT32 || dtype == LRT_INT32 ? 4 : 1;
}
size_t byte_count(const lrt_port& port) {
  size_t bytes = element_size(port.dtype);
  for (int32_t axis = 0; axis < port.shape.rank; ++axis) bytes *= static_cast<size_t>(port.shape.dims[axis]);
  return bytes;
}

size_t parse_shape(const std::string& text, lrt_shape* shape) {
  std::istringstream dims(text);
  size_t count = 1;  // a number without dims is one
  for (std::string dim; std::getline(dims, dim, ','); count *= std::stoul(dim)) {
    shape->dims[shape->rank++] = std::stoll(dim);
  }
  return count;
}

void read_array(const std::string& path, Input* input) {
  std::ifstream file(path, std::ios::binary);
  file.read(input->bytes.data(), static_cast<std::streamsize>(input->bytes.size()));
  if (!file) throw std::runtime_error(path + " is shorter than its shape says, or cannot be read");
}

Input parse_input(const std::string& word, const std::string& folder) {
  Input input;
  input.is_state = word == "-";
  if (input.is_state) return input;
  const bool is_file = word[1] == ':';
  input.is_fixed = is_file || word[0] == 'i';
  input.array.dtype = is_file ? word[0] - '0' : input.is_fixed ? LRT_INT64 : LRT_FLOAT32;
  const size_t begin = is_file ? 2 : 1, end = word.find_first_of("=@");
  const size_t count = parse_shape(word.substr(begin, end - begin), &input.array.shape);
  input.bytes.resize(count * element_size(input.array.dtype));
  if (is_file) {
    read_array(folder + word.substr(end + 1), &input);
  } else if (input.is_fixed) {
    const int64_t value = std::stoll(word.substr(end + 1));
    for (size_t i = 0; i < count; ++i) std::memcpy(&input.bytes[i * 8], &value, 8);
  }
  return input;
}

Run parse_run(const std::string& line, const std::string& folder) {
  Run run;
  run.line = line;
  std::istringstream words(line);
  words >> run.file >> run.mode >> run.steps;
  for (std::string word; words >> word;) run.inputs.push_back(parse_input(word, folder));
  return run;
}

// Floats in [-2, 2) from a counter, the same everywhere.
class Random {
 public:
  void fill(Input* input) {
    for (size_t at = 0; at + 4 <= input->bytes.size() && !input->is_fixed; at += 4) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      const float value = static_cast<float>(state_ >> 40) * 0x1p-22f - 2.0f;
      std::memcpy(&input->bytes[at], &value, 4);
    }
    input->array.data = input->bytes.data();
  }

 private:
  uint64_t state_ = 1;
};

// All that a run gives. Sign and payload of a NaN are each processor's own, so NaNs are written as ones.
class Outputs {
 public:
  void add(const char* bytes, const lrt_port& port) {
    for (size_t at = 0, size = element_size(port.dtype); at < byte_count(port); at += size) {
      float f = 0;
      if (port.dtype == LRT_FLOAT32) std::memcpy(&f, bytes + at, 4);
      if (std::isnan(f)) {
        bytes_.append(size, '\xff');
      } else {
        bytes_.append(bytes + at, size);
      }
    }
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

using Buffers = std::vector<std::vector<char>>;
std::vector<void*> pointers(Buffers* buffers) {
  std::vector<void*> all;
  for (auto& buffer : *buffers) all.push_back(buffer.data());
  return all;
}

std::string run_whole(lrt_model* model, Run run) {
  lrt_error error{};
  Random random;
  std::vector<lrt_array> arrays;
  std::vector<const void*> data;
  for (Input& input : run.inputs) {
    random.fill(&input);
    arrays.push_back(input.array);
    data.push_back(input.array.data);
  }
  lrt_plan* made = nullptr;
  check(lrt_plan_create(model, arrays.data(), arrays.size(), &made, &error), error);
  const std::unique_ptr<lrt_plan, void (*)(lrt_plan*)> plan(made, lrt_plan_free);
  std::vector<lrt_port> ports(lrt_model_output_count(model));
  Buffers outputs;
  for (size_t i = 0; i < ports.size(); ++i) {
    check(lrt_plan_output(made, i, &ports[i]), error);
    outputs.emplace_back(byte_count(ports[i]) + 1);
  }
  check(lrt_plan_run(made, data.data(), pointers(&outputs).data(), &error), error);
  Outputs given;
  for (size_t i = 0; i < ports.size(); ++i) given.add(outputs[i].data(), ports[i]);
  return given.bytes();
}

std::string run_stream(lrt_model* model, Run run) {
  lrt_error error{};
  Random random;
  std::vector<size_t> frozen;
  std::vector<lrt_array> frozen_values;
  std::vector<Input*> fed;
  for (size_t i = 0; i < run.inputs.size(); ++i) {
    Input& input = run.inputs[i];
    random.fill(&input);
    if (input.is_fixed) {
      frozen.push_back(i);
      frozen_values.push_back(input.array);
    } else if (!input.is_state) {
      fed.push_back(&input);
    }
  }
  lrt_stream_options options{};
  options.batch = 1;
  options.freeze = frozen.data();
  options.freeze_values = frozen_values.data();
  options.freeze_count = frozen.size();
  lrt_stream* made = nullptr;
  check(lrt_stream_create(model, &options, &made, &error), error);
  const std::unique_ptr<lrt_stream, void (*)(lrt_stream*)> stream(made, lrt_stream_free);
  std::vector<lrt_array> arrays;
  for (const Input* input : fed) arrays.push_back(input->array);
  check(lrt_stream_prepare(made, arrays.data(), arrays.size(), &error), error);
  std::vector<lrt_port> ports(lrt_stream_output_count(made));
  Buffers outputs;
  for (size_t i = 0; i < ports.size(); ++i) {
    check(lrt_stream_output_port(made, i, &ports[i]), error);
    outputs.emplace_back(byte_count(ports[i]) + 1);
  }
  Outputs given;
  for (int step = 0; step < run.steps; ++step) {
    std::vector<const void*> data;
    for (Input* input : fed) {
      random.fill(input);
      data.push_back(input->bytes.data());
    }
    check(lrt_stream_step(made, data.data(), pointers(&outputs).data()), error);
    for (size_t i = 0; i < ports.size(); ++i) given.add(outputs[i].data(), ports[i]);
  }
  return given.bytes();
}

std::string verify(lrt_model* model) {
  lrt_error error{};
  size_t count = 0, failed = 0;
  check(lrt_model_verify(model, &count, &failed, &error), error);
  return std::to_string(count);
}

void run_everywhere(const std::string& folder, const Run& run) {
  for (size_t i = 0; const char* isa = lrt_available_isa(i); ++i) {
    lrt_error error{};
    lrt_model* made = nullptr;
    lrt_model_options options{};
    options.isa = isa;
    check(lrt_model_load((folder + run.file).c_str(), &options, &made, &error), error);
    const std::unique_ptr<lrt_model, void (*)(lrt_model*)> model(made, lrt_model_free);
    const std::string given = run.mode == "verify"   ? verify(made)
                              : run.mode == "stream" ? run_stream(made, run)
                                                     : run_whole(made, run);
    std::printf("%s\t%s\t%s\t%zu\n", run.line.c_str(), isa, lrt_isa_is_exact(isa) ? "exact" : "rounded", given.size());
    std::fwrite(given.data(), 1, given.size(), stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_models runs.txt\n");
    return 2;
  }
  const std::string path = argv[1], folder = path.substr(0, path.find_last_of('/') + 1);
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);) {
    try {
      run_everywhere(folder, parse_run(line, folder));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", line.c_str(), error.what());
      return 1;
    }
  }
  return 0;
}

// For libFuzzer: the bytes of a model file are loaded, planned for small shapes, run, streamed and pooled. Whatever they
// are, that ends with an answer or an error: no crash, no report of a sanitizer, no hang, no more memory than is
// allowed. `dev.py fuzz` builds and runs it.
#include "gguf_mutator.h"
#include "use_model.h"

// NOLINTBEGIN: names that libFuzzer gives
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  // Shapes and instruction sets follow from the bytes, so that a file found is run as it was.
  uint8_t variant = 0;
  for (size_t i = 0; i < size; ++i) variant = static_cast<uint8_t>(variant * 31 + bytes[i]);
  size_t sets = 0;
  while (lrt_available_isa(sets) != nullptr) ++sets;
  const auto model = lrt_fuzz::load_model(bytes, size, lrt_available_isa(variant % sets));
  if (!model) return 0;
  lrt_fuzz::inspect_model(model.get());
  const int64_t free = 1 + variant % 3, value = variant % 5 == 0 ? 16000 : variant / 3 % 7 - 1;
  std::vector<lrt_fuzz::Array> inputs;
  if (!lrt_fuzz::make_inputs(model.get(), free, value, &inputs)) return 0;
  lrt_fuzz::Outcome outcome;
  lrt_fuzz::Results results;
  lrt_fuzz::Trial trial(model.get(), std::move(inputs), 1);
  trial.run(&outcome, &results);
  trial.stream(&outcome);
  trial.pool(&outcome, static_cast<size_t>(free));
  lrt_fuzz::verify_model(model.get());
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  if (seed % 32 != 0) lrt_fuzz::drop_checksums(data, size);
  if (seed % 4 != 0 && lrt_fuzz::mutate_fields(data, size, seed / 4)) return size;
  return LLVMFuzzerMutate(data, size, most);
}
// NOLINTEND

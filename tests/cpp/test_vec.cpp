// The vectors of all instruction sets this machine can run, operation by operation (vec/check_vec.cpp), with denormals
// flushed and not. LRT_CHECKED is a list X(name) X(name)… of those that were compiled.
#include <cstdio>
#include <cstring>

#include "kernels/kernels.h"
#include "session/flush.h"
#include "vec/check_vec.h"

namespace lrt {
#define X(name) VecResult check_vec_##name();
LRT_CHECKED
#undef X
}  // namespace lrt

namespace {

struct Check {
  const char* name;
  lrt::VecResult (*run)();
};
const Check kChecks[] = {
#define X(name) {#name, lrt::check_vec_##name},
    LRT_CHECKED
#undef X
};

lrt::VecResult run(const char* name) {
  for (const Check& check : kChecks) {
    if (std::strcmp(check.name, name) != 0) continue;
    const lrt::VecResult kept = check.run();
    const lrt::FlushDenormals flush;
    const lrt::VecResult flushed = check.run();
    return {kept.checks + flushed.checks, kept.failures + flushed.failures};
  }
  return {0, 0};
}

}  // namespace

int main() {
  int failed = 0;
  for (const lrt::Kernels* const* table = lrt::available_kernels(); *table; ++table) {
    const lrt::VecResult result = run((*table)->name);
    std::printf("%-14s %d checks, %d failed\n", (*table)->name, result.checks, result.failures);
    failed += result.failures + (result.checks == 0);
  }
  return failed != 0;
}

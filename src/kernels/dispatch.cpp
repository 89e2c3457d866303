// Which tables of kernels this machine can run, and which one is used. A new instruction set is one row here.
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>
#endif

#include "kernels/kernels.h"
#include "model/error.h"

namespace lrt {

extern const Kernels kernels_x86_avx512vnni, kernels_x86_avx512, kernels_x86_avxvnni, kernels_x86_avx2,
    kernels_x86_sse41, kernels_arm64_dotprod, kernels_arm64_neon, kernels_armv7_vfpv4, kernels_armv7_neon,
    kernels_portable;

namespace {

constexpr int kMaxTables = 8;

#if defined(__aarch64__) || (defined(__arm__) && !defined(LRT_PORTABLE_ONLY))
// Bits of AT_HWCAP, which differ between 64 and 32 bits. Of Apple's ARM processors all can do all of what is asked here.
bool has(unsigned long features) {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & features) == features;
#else
  (void)features;
  return true;
#endif
}
#endif

#if defined(__x86_64__)
// What compilers of some years ago (clang 14) have no name for. Both need of the operating system what AVX2 does.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
}

bool has_avxvnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
#endif

struct Tables {
  const Kernels* list[kMaxTables + 1] = {};
  int count = 0;

  void add(const Kernels& table, bool runs) {
    if (runs) list[count++] = &table;
  }

  Tables() {
#if defined(__x86_64__)
    // These ask the operating system too, whether it saves the registers.
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    add(kernels_x86_avx512vnni, avx512 && __builtin_cpu_supports("avx512vnni"));
    add(kernels_x86_avx512, avx512);
    add(kernels_x86_avxvnni, avx2 && has_avxvnni());
    add(kernels_x86_avx2, avx2);
    add(kernels_x86_sse41, __builtin_cpu_supports("sse4.1"));
#elif defined(__aarch64__)
    constexpr unsigned long kDotProduct = 1ul << 20;
    add(kernels_arm64_dotprod, has(kDotProduct));
    add(kernels_arm64_neon, true);
#elif defined(__arm__) && !defined(LRT_PORTABLE_ONLY)
    constexpr unsigned long kNeon = 1ul << 12, kVfpv4 = 1ul << 16;
    add(kernels_armv7_vfpv4, has(kNeon | kVfpv4));
    add(kernels_armv7_neon, has(kNeon));
#endif
    add(kernels_portable, true);
  }
};

const Tables& tables() {
  static const Tables tables;
  return tables;
}

const Kernels* find(const std::string& name, const char* asked_by) {
  std::string names;
  for (const Kernels* const* table = tables().list; *table; ++table) {
    if (name == (*table)->name) return *table;
    names += names.empty() ? "" : ", ";
    names += (*table)->name;
  }
  throw Error(Status::unsupported,
              std::string(asked_by) + " '" + name + "' is not an instruction set of this machine. Available: " + names);
}

}  // namespace

const Kernels* const* available_kernels() { return tables().list; }

const Kernels* choose_kernels(const char* name) {
  static const std::string variable = [] {
    const char* value = std::getenv("LSTM_RT_ISA");
    return std::string(value ? value : "");
  }();
  if (name && *name) return find(name, "isa");
  if (!variable.empty()) return find(variable, "LSTM_RT_ISA");
  return tables().list[0];
}

}  // namespace lrt

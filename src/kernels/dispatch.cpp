// Which tables of kernels this machine can run, and which one is used. A new instruction set is one row here.
#include <array>
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
// Not __builtin_cpu_supports: clang 14 has no name for F16C and AVX-VNNI, and where a library brings its own runtime, as
// zig's do, it finds nothing.
class X86 {
 public:
  bool sse41() const { return bit(one_[2], 19); }
  bool avx2() const { return saves(kYmm) && bit(seven_[1], 5) && bit(one_[2], 12) && bit(one_[2], 29); }  // FMA, F16C
  bool avxvnni() const { return avx2() && bit(more_[0], 4); }
  bool avx512() const {  // F, DQ, BW, VL
    return avx2() && saves(kZmm) && bit(seven_[1], 16) && bit(seven_[1], 17) && bit(seven_[1], 30) &&
           bit(seven_[1], 31);
  }
  bool avx512vnni() const { return avx512() && bit(seven_[2], 11); }

 private:
  using Registers = std::array<unsigned, 4>;  // eax, ebx, ecx, edx
  static constexpr unsigned kYmm = 0x6, kZmm = 0xe6;

  static bool bit(unsigned word, int n) { return (word >> n & 1) != 0; }
  static Registers ask(unsigned leaf, unsigned part) {
    Registers r{};
    __get_cpuid_count(leaf, part, &r[0], &r[1], &r[2], &r[3]);  // where the leaf is not there: zeros
    return r;
  }
  // Whether the operating system saves these registers.
  bool saves(unsigned registers) const {
    if (!bit(one_[2], 27)) return false;
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & registers) == registers;
  }

  const Registers one_ = ask(1, 0), seven_ = ask(7, 0), more_ = ask(7, 1);
};
#endif

struct Tables {
  const Kernels* list[kMaxTables + 1] = {};
  int count = 0;

  void add(const Kernels& table, bool runs) {
    if (runs) list[count++] = &table;
  }

  Tables() {
#if defined(__x86_64__)
    const X86 cpu;
    add(kernels_x86_avx512vnni, cpu.avx512vnni());
    add(kernels_x86_avx512, cpu.avx512());
    add(kernels_x86_avxvnni, cpu.avxvnni());
    add(kernels_x86_avx2, cpu.avx2());
    add(kernels_x86_sse41, cpu.sse41());
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

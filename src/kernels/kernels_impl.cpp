// The kernels of one instruction set. isa.cmake compiles this file once for each, with LRT_VEC_HEADER naming the header of
// its vector, LRT_ISA its name and LRT_TABLE the table, which is the only symbol that leaves the object file. Where it is
// better at products of integers alone, LRT_BASE is the table that the rest is taken from.
// C headers only: an inline function of the STL, compiled here for AVX-512, could be the one the linker keeps for all.
#include <stddef.h>

#include "kernels/kernels.h"

#define LRT_INLINE static inline __attribute__((always_inline))
#define LRT_NOINLINE static __attribute__((noinline))
#if defined(LRT_SMALL)
#define LRT_UNROLL
#elif defined(__clang__)
#define LRT_UNROLL _Pragma("unroll")
#else
#define LRT_UNROLL _Pragma("GCC unroll 16")
#endif

#ifdef LRT_BASE
#define LRT_OWN_FLOATS false
#pragma GCC diagnostic ignored "-Wunused-function"
#else
#define LRT_OWN_FLOATS true
#endif

// clang-format off: each needs those before it
#include LRT_VEC_HEADER
#include "kernels/math.inl"
#include "kernels/trig.inl"
#include "kernels/functions.inl"
#include "kernels/quantize.inl"
#include "kernels/products.inl"
#include "kernels/gemm.inl"
#include "kernels/elementwise.inl"
#include "kernels/cells.inl"
#include "kernels/taps.inl"
#include "kernels/integers.inl"
#include "kernels/reduce.inl"
// clang-format on

#define LRT_TEXT_(x) #x
#define LRT_TEXT(x) LRT_TEXT_(x)

namespace lrt {

#ifdef LRT_BASE
extern const Kernels LRT_BASE;

namespace {

// A kernel of the base, and one that is the base's where the weights are floats. Which function that is, is read at the
// call: a table that copied it from another would have to be filled in while the library is loaded.
template <auto Entry>
struct Base;
template <class... Arguments, void (*Kernels::*Entry)(Arguments...)>
struct Base<Entry> {
  static void call(Arguments... arguments) { return (LRT_BASE.*Entry)(arguments...); }
};
inline int32_t format_of(const Gemm& gemm) { return gemm.w->format; }
template <class Step>
int32_t format_of(const Step& step) {
  return step.recurrent.w->format;
}
template <auto Entry, auto Own>
struct Integral;
template <class Work, void (*Kernels::*Entry)(const Work*), void (*Own)(const Work*)>
struct Integral<Entry, Own> {
  static void call(const Work* work) {
    const int32_t format = format_of(*work);
    if (format == LRT_FORMAT_F32 || format == LRT_FORMAT_BF16) return (LRT_BASE.*Entry)(work);
    Own(work);
  }
};

}  // namespace
#define LRT_ANY(name) Base<&Kernels::name>::call
#define LRT_PRODUCT(name) Integral<&Kernels::name, name>::call
#else
#define LRT_ANY(name) name
#define LRT_PRODUCT(name) name
#endif

extern const Kernels LRT_TABLE;
const Kernels LRT_TABLE = {LRT_TEXT(LRT_ISA),
                           LRT_HAS_FMA,
                           kMaxGroup,
                           kTileVectors,
                           quantize,
                           LRT_PRODUCT(gemm),
                           LRT_PRODUCT(lstm_step),
                           LRT_PRODUCT(gru_step),
                           LRT_ANY(lstm_cell_f32),
                           LRT_ANY(gru_reset_f32),
                           LRT_ANY(gru_cell_f32),
                           LRT_ANY(rnn_cell_f32),
                           LRT_ANY(unary_f32),
                           LRT_ANY(binary_f32),
                           LRT_ANY(tap_sums_f32),
                           byte_rows,
                           LRT_ANY(correct_sums),
                           LRT_ANY(scale_sums),
                           LRT_ANY(extent_f32),
                           LRT_ANY(quantize_bytes),
                           LRT_ANY(reduce_f32),
                           LRT_ANY(softmax_f32),
                           LRT_ANY(moments_f32),
                           LRT_ANY(scale_f32)};

}  // namespace lrt

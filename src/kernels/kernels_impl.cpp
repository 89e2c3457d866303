// The kernels of one instruction set. isa.cmake compiles this file once for each, with LRT_VEC_HEADER naming the header of
// its vector, LRT_ISA its name and LRT_TABLE the table, which is the only symbol that leaves the object file.
// C headers only: an inline function of the STL, compiled here for AVX-512, could be the one the linker keeps for all.
#include "kernels/kernels.h"

#define LRT_INLINE static inline __attribute__((always_inline))
#define LRT_NOINLINE static __attribute__((noinline))
#if defined(__clang__)
#define LRT_UNROLL _Pragma("unroll")
#else
#define LRT_UNROLL _Pragma("GCC unroll 16")
#endif

// clang-format off: each needs those before it
#include LRT_VEC_HEADER
#include "kernels/math.inl"
#include "kernels/trig.inl"
#include "kernels/functions.inl"
#include "kernels/quantize.inl"
#include "kernels/products.inl"
#include "kernels/gemm.inl"
#include "kernels/cells.inl"
#include "kernels/elementwise.inl"
#include "kernels/reduce.inl"
// clang-format on

#define LRT_TEXT_(x) #x
#define LRT_TEXT(x) LRT_TEXT_(x)

namespace lrt {

extern const Kernels LRT_TABLE;
const Kernels LRT_TABLE = {LRT_TEXT(LRT_ISA), LRT_HAS_FMA, kMaxGroup,     kTileVectors,  quantize,     gemm,
                           lstm_step,         gru_step,    lstm_cell_f32, gru_reset_f32, gru_cell_f32, rnn_cell_f32,
                           unary_f32,         binary_f32,  reduce_f32,    softmax_f32,   moments_f32,  scale_f32};

}  // namespace lrt

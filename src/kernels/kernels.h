/* The instruction-set boundary: one table of functions per instruction set, nothing else crosses it. Plain C types only,
   so that a file compiled for AVX-512 can never lend a symbol to the rest of the library.

   The numbers are defined over a virtual vector of 16 lanes and are the same in every table with fused multiply-add
   (docs/numerics.md): outputs lie across lanes; each output's float sum runs over k in rising order, one chain of fused
   multiply-adds from zero for each 64 values of k, added to the sum so far; sums of integers are exact. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
namespace lrt {
#endif

enum { LRT_LANES = 16 };

/* How a matrix of weights is kept, and with it what its products are made of (docs/numerics.md). */
typedef enum WeightFormat {
  LRT_FORMAT_F32,
  LRT_FORMAT_BF16,    /* float32 whose low 16 bits are zero and not kept */
  LRT_FORMAT_INT8,    /* a scale per column; x is brought to 8 bits, row by row */
  LRT_FORMAT_INT8X16, /* the same weights; x is brought to two bytes */
  LRT_FORMAT_INT4,    /* a scale per column and 32 values of k; x is brought to 8 bits */
  LRT_FORMAT_BYTES,   /* x and the sums are whole numbers: gemm only. No weight is -128 */
  LRT_FORMAT_NIBBLES, /* the same for any weights: x is taken in two halves */
  LRT_FORMATS
} WeightFormat;

/* A matrix [K, N] packed for products x·W: its columns in vectors of 16, `group` vectors side by side. A line is 64
   bytes, lane i at byte 4·i: a float32, two bfloat16 (the even k in the low half), or four int8.
   The group of n vectors from vector v on starts at data + v·pitch + n·lead; inside it, for each line of k, the group's
   vectors stand one after the other (the last group may hold fewer). A matrix by itself has a lead of 0 and the bytes of a
   vector as its pitch; two whose groups take turns, so that one walk reads both, have those of both. In place of lines int4 has blocks of 32 values of k: for each
   vector four lines whose byte j of lane i holds k = 8·line + j in its low half and k = 8·line + 4 + j in its high half,
   both with 8 added; then for each vector 16 float16 scales.
   Columns past N and k past K are zero. data is 64-byte aligned. */
typedef struct Panels {
  const void* data;
  const float* scales; /* of weights that are bytes: of each column, 16·vectors; else NULL */
  const int32_t* sums; /* of weights that are bytes: Σ_k w[k, n] of each column; else NULL */
  int64_t k;
  int64_t vectors;     /* ceil(N / 16) */
  int32_t group;       /* vectors per group */
  int32_t format;      /* WeightFormat */
  int64_t lead, pitch; /* bytes */
} Panels;

/* Bytes of one vector of a matrix, and of a row of x once it is quantised (0 where x stays float). */
static inline int64_t lrt_vector_bytes(int32_t format, int64_t k) {
  switch (format) {
    case LRT_FORMAT_F32:
      return k * 64;
    case LRT_FORMAT_BF16:
      return (k + 1) / 2 * 64;
    case LRT_FORMAT_INT4:
      return (k + 31) / 32 * (4 * 64 + 32);
    default:
      return (k + 3) / 4 * 64;
  }
}
static inline int64_t lrt_quantized_part(int64_t k) { return (k + 63) / 64 * 64; }
static inline int64_t lrt_quantized_row(int32_t format, int64_t k) {
  switch (format) {
    case LRT_FORMAT_INT8:
      return 64 + lrt_quantized_part(k);
    case LRT_FORMAT_INT8X16:
      return 64 + 2 * lrt_quantized_part(k);
    case LRT_FORMAT_INT4:
      return 64 + lrt_quantized_part(k) + ((k + 31) / 32 * 4 + 63) / 64 * 64;
    case LRT_FORMAT_BYTES:
      return lrt_quantized_part(k);
    case LRT_FORMAT_NIBBLES:
      return 2 * lrt_quantized_part(k);
    default:
      return 0;
  }
}

/* out[m, n] = start + Σ_k x[m, k]·w[k, n], for m < rows, n < cols (cols ≤ 16·vectors), as the format defines the sum.
   start is bias[n] where bias is given (at least 16·vectors floats), else what out holds (the sum goes on).
   With BYTES and NIBBLES out is int32 and nothing is added to: out[m, n] = Σ_k (u[m, k] - 128)·w[k, n] or
   Σ_k u[m, k]·w[k, n], modulo 2^32, where u are the rows that byte_rows was given, from 0 to 255.
   No alignment is asked of x and out. backwards walks the groups from last to first: the same bits, but a matrix that
   does not quite fit a cache is found there half of the time when the direction alternates. */
typedef struct Gemm {
  const Panels* w;
  const float* x;
  int64_t x_stride;
  int64_t rows;
  const float* bias;
  float* out;
  int64_t out_stride;
  int64_t cols;
  int32_t backwards;
  int32_t first_group = 0,
          last_group = 0; /* groups of w to go through, the last left out: threads share a product so */
  const void* quantized =
      nullptr; /* the rows of x from quantize, where lrt_quantized_row(format, k) > 0; x is not read then */
} Gemm;

/* The scalar functions, and the activations of ONNX's recurrent ops. alpha and beta as ONNX defines them. */
typedef enum UnaryKind {
  LRT_RELU,    /* max(0, x) */
  LRT_SIGMOID, /* 1/(1 + e^-x) */
  LRT_TANH,
  LRT_AFFINE,           /* alpha*x + beta */
  LRT_LEAKY_RELU,       /* x >= 0 ? x : alpha*x */
  LRT_THRESHOLDED_RELU, /* x >= alpha ? x : 0 (ONNX LSTM-22, not the op of that name) */
  LRT_SCALED_TANH,      /* alpha*tanh(beta*x) */
  LRT_HARD_SIGMOID,     /* min(max(alpha*x + beta, 0), 1) */
  LRT_ELU,              /* x >= 0 ? x : alpha*(e^x - 1) */
  LRT_SOFTSIGN,         /* x/(1 + |x|) */
  LRT_SOFTPLUS,         /* log(1 + e^x) */
  LRT_EXP,
  LRT_LOG,
  LRT_SQRT,
  LRT_SQUARE,
  LRT_RECIPROCAL,
  LRT_NEG,
  LRT_ABS,
  LRT_CLAMP,            /* min(max(x, alpha), beta) */
  LRT_SELU,             /* beta*(x >= 0 ? x : alpha*(e^x - 1)) */
  LRT_CELU,             /* x >= 0 ? x : alpha*(e^(x/alpha) - 1) */
  LRT_GELU,             /* x*(1 + erf(x/sqrt 2))/2 */
  LRT_GELU_TANH,        /* x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x^3)))/2 */
  LRT_SWISH,            /* x/(1 + e^-(alpha*x)) */
  LRT_HARD_SWISH,       /* x*min(max(alpha*x + beta, 0), 1) */
  LRT_MISH,             /* x*tanh(log(1 + e^x)) */
  LRT_ABOVE,            /* x > alpha ? x : 0 */
  LRT_SHRINK,           /* x < -beta ? x + alpha : x > beta ? x - alpha : 0 */
  LRT_ACTIVATION_KINDS, /* what general cells may have; the rest are for arrays only */
  LRT_ERF = LRT_ACTIVATION_KINDS,
  LRT_FLOOR,
  LRT_CEIL,
  LRT_ROUND, /* ties to even */
  LRT_SIGN,  /* -1, 0 or 1 */
  LRT_SIN,
  LRT_COS,
  LRT_TAN,
  LRT_ASIN,
  LRT_ACOS,
  LRT_ATAN,
  LRT_SINH,
  LRT_COSH,
  LRT_ASINH,
  LRT_ACOSH,
  LRT_ATANH,
  LRT_UNARY_KINDS
} UnaryKind;

typedef enum BinaryKind {
  LRT_ADD,
  LRT_SUB,
  LRT_MUL,
  LRT_DIV,
  LRT_MIN, /* a NaN on either side gives NaN */
  LRT_MAX,
  LRT_PRELU, /* a >= 0 ? a : a*b */
  LRT_BINARY_KINDS
} BinaryKind;

typedef enum ReduceKind {
  LRT_SUM,
  LRT_SUM_ABS,
  LRT_SUM_SQUARES,
  LRT_PRODUCT,
  LRT_LEAST, /* a NaN anywhere gives NaN; of nothing, infinity */
  LRT_MOST,
  LRT_LOG_SUM_EXP, /* log of the sum of e^x, by way of the largest */
  LRT_REDUCE_KINDS
} ReduceKind;

/* Over n elements `inner` apart, for each of outer*inner places of [outer, n, inner]. y may be x. */
typedef struct Softmax {
  const float* x;
  float* y;
  int64_t outer, n, inner;
  int32_t log; /* x - max - log(sum) instead of e^(x - max) / sum */
} Softmax;

/* Of each of `rows` rows of n: mean, and 1/sqrt(variance + epsilon). Without mean (NULL) it is taken to be zero. */
typedef struct Moments {
  const float* x;
  int64_t rows, n;
  float epsilon;
  float* mean;
  float* inverse;
} Moments;

/* y = (x - mean)*inverse*scale + bias over n. step: 1, or 0 to use the first scale and bias throughout. bias may be NULL. */
typedef struct Scale {
  const float* x;
  float* y;
  int64_t n;
  float mean, inverse;
  const float* scale;
  const float* bias;
  int64_t step;
} Scale;

typedef struct Activation {
  int32_t kind; /* UnaryKind */
  float alpha, beta;
} Activation;

/* Cells. Gate sums lie as [rows, panels, G, 16]: the G gates of 16 units side by side, gate_stride floats a row.
   h and c are plain [rows, H] with a row stride; a `row` is one element of the batch.
   Gate order in memory: LSTM i o f c, GRU z r n (that of ONNX). */
/* One of the two products of a step: rows of x or h with their weights. `quantized` is as Gemm's. */
typedef struct StepProduct {
  const Panels* w;
  const float* x;
  int64_t x_stride;
  const void* quantized = nullptr;
} StepProduct;

/* A step is its products with a cell behind them, group by group of the weights. gates are bias + W x of each row; or, where
   input.w is given, the bias alone, and W x is taken on the way. W and R then have groups of the same vectors. */
typedef struct LstmStep {
  StepProduct recurrent; /* R [H, panels*4*16] and h of the step before, which must not overlap h_out */
  StepProduct input;     /* W [I, …] and x; w is NULL where gates hold their product */
  const float* gates;    /* read only */
  int64_t gate_stride;   /* 0 of a bias */
  const float* c_in;     /* may be c_out */
  int64_t c_in_stride;
  float* h_out;
  int64_t h_out_stride;
  float* c_out;
  int64_t c_out_stride;
  int64_t hidden;
  int64_t rows;
  int32_t backwards;
  int32_t first_group = 0, last_group = 0; /* as Gemm's, of both matrices */
} LstmStep;

typedef struct GruStep { /* linear_before_reset = 1: n = tanh(Wn x + Wbn + r*(Rn h + Rbn)) */
  StepProduct recurrent; /* as LstmStep's: R [H, panels*3*16] */
  StepProduct input;
  const float* gates; /* z, r: Wb + Rb + W x; n: Wbn + Wn x; or these without W x; read only */
  int64_t gate_stride;
  const float* rbias_n; /* Rbn, panels*16 floats */
  float* h_out;
  int64_t h_out_stride;
  int64_t hidden;
  int64_t rows;
  int32_t backwards;
  int32_t first_group = 0, last_group = 0;
} GruStep;

/* The general cell, after its products: any activations, peepholes, clip, coupled gates. */
typedef struct LstmCellF32 {
  const float* gates; /* i o f c, complete sums but for the peepholes */
  int64_t gate_stride;
  const float* peephole; /* [3][panels*16]: i, o, f; or NULL */
  const float* c_in;
  int64_t c_in_stride;
  float* h_out;
  int64_t h_out_stride;
  float* c_out;
  int64_t c_out_stride;
  int64_t hidden;
  int64_t rows;
  float clip;           /* 0: none. Bounds the gate sums, as ONNX defines it */
  int32_t input_forget; /* f = 1 - i */
  Activation f, g, h;
} LstmCellF32;

/* The general GRU in two halves around a product: gru_reset writes r∘h, on which the product of the candidate goes on
   (linear_before_reset = 0 only); gru_cell makes the new h. */
typedef struct GruCellF32 {
  const float* zr; /* [rows, panels, 2, 16]: complete sums of z and r */
  int64_t zr_stride;
  const float* n; /* [rows, panels, 16]: Wn x + Wbn (= 1), or the complete sum of the candidate (= 0) */
  int64_t n_stride;
  const float* candidate; /* [rows, panels, 16]: Rn h + Rbn (= 1), or NULL (= 0) */
  int64_t candidate_stride;
  const float* h_in;
  int64_t h_in_stride;
  float* h_out; /* of gru_reset: r∘h; of gru_cell: the new h */
  int64_t h_out_stride;
  int64_t hidden;
  int64_t rows;
  float clip; /* 0: none */
  Activation f, g;
} GruCellF32;

typedef struct RnnCellF32 { /* h = f(sum) */
  const float* gates;       /* [rows, panels, 1, 16] */
  int64_t gate_stride;
  float* h_out;
  int64_t h_out_stride;
  int64_t hidden;
  int64_t rows;
  float clip;
  Activation f;
} RnnCellF32;

/* A convolution of one plane: out[l, i] = start + Σ_t w[taps[t].w]·x[l·x_pitch + i + taps[t].x], for l < lines and i < n, as
   one chain of fused multiply-adds over t. */
typedef struct Tap {
  int64_t x, w;
} Tap;
typedef struct TapSums {
  const Tap* taps;
  int64_t count;
  const float* w;
  float start;
  const float* x;
  int64_t x_pitch;
  float* out;
  int64_t out_pitch;
  int64_t lines;
  int64_t n;
} TapSums;

typedef struct Kernels {
  const char* name; /* "x86_avx2": a feature, never a CPU */
  int32_t has_fma;  /* tables with fused multiply-add all give the same bits */
  /* Most vectors a group of Panels may have here, and how many a tile of several rows is wide; the packer takes whole
     numbers of units' gates. */
  int32_t max_group, tile_vectors;
  /* Rows of x as products with w read them: `to` has rows · lrt_quantized_row(format, k) bytes, 64-byte aligned. */
  void (*quantize)(const Panels* w, const float* x, int64_t x_stride, int64_t rows, void* to);
  void (*gemm)(const Gemm*);
  void (*lstm_step)(const LstmStep*); /* sigmoid, tanh, tanh; no peephole, no clip: product and cell in one walk */
  void (*gru_step)(const GruStep*);   /* sigmoid, tanh; no clip */
  void (*lstm_cell_f32)(const LstmCellF32*);
  void (*gru_reset_f32)(const GruCellF32*);
  void (*gru_cell_f32)(const GruCellF32*);
  void (*rnn_cell_f32)(const RnnCellF32*);
  void (*unary_f32)(int32_t kind, const float* x, float* y, int64_t n, float alpha, float beta); /* y may be x */
  /* a_step and b_step: 1, or 0 to use the first element throughout */
  void (*binary_f32)(int32_t kind, const float* a, int64_t a_step, const float* b, int64_t b_step, float* y, int64_t n);
  void (*tap_sums_f32)(const TapSums*);
  /* Rows of bytes as products with w (BYTES, NIBBLES) read them: u = x ^ flip. `to` as quantize's. */
  void (*byte_rows)(const Panels* w, const uint8_t* x, int64_t x_stride, int64_t rows, int32_t flip, void* to);
  /* sums[n] += factor·column_sums[n] - x_sum·w_zeros[n], modulo 2^32; w_zeros may be NULL */
  void (*correct_sums)(int32_t* sums, int64_t n, const int32_t* column_sums, int32_t factor, const int32_t* w_zeros,
                       int32_t x_sum);
  /* out[n] = start[n] + sums[n]·(scales[n]·factor); out may be start */
  void (*scale_sums)(const int32_t* sums, const float* scales, float factor, const float* start, float* out, int64_t n);
  /* max(x, 0) and max(-x, 0) over all x; one of them is NaN or infinite where an x is */
  void (*extent_f32)(const float* x, int64_t n, float* above, float* below);
  /* to[n] = x[n]/scale to nearest, ties to even, plus zero, between lowest and lowest + 255; a NaN gives lowest */
  void (*quantize_bytes)(const float* x, int64_t n, float scale, int32_t zero, int32_t lowest, void* to);
  /* [outer, n, inner] to [outer, inner]: 16 partial results over j mod 16, then the fixed tree 8, 4, 2, 1. */
  void (*reduce_f32)(int32_t kind, const float* x, int64_t outer, int64_t n, int64_t inner, float* y);
  void (*softmax_f32)(const Softmax*);
  void (*moments_f32)(const Moments*);
  void (*scale_f32)(const Scale*);
} Kernels;

/* dispatch.cpp. Kernels this machine can run, best first; ends with NULL. */
const Kernels* const* available_kernels(void);

#ifdef __cplusplus
inline int32_t group_count(const Panels& w) { return static_cast<int32_t>((w.vectors + w.group - 1) / w.group); }

/* The table LSTM_RT_ISA names, else the best; read once. Throws Error(unsupported) with the list when it names none.
   A name given here wins over the variable. */
const Kernels* choose_kernels(const char* name);
}  // namespace lrt
#endif

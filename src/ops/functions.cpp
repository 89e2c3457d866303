// Functions of one argument, element by element. Most are a row of a table: the kernel's function, and its numbers.
#include <limits>

#include "ops/elementwise.h"

namespace lrt {
namespace {

// An attribute, or a number that is always the same.
struct Number {
  const char* attribute;
  float otherwise;

  float of(const Op& op) const { return attribute ? op.number(attribute, otherwise) : otherwise; }
};
constexpr Number kNone = {nullptr, 0.0f};
constexpr Number kSixth = {nullptr, 1.0f / 6.0f}, kHalf = {nullptr, 0.5f};

struct Function {
  const char* type;
  UnaryKind kind;
  Number alpha = kNone, beta = kNone;
};

constexpr Function kFunctions[] = {
    {"Abs", LRT_ABS},
    {"Acos", LRT_ACOS},
    {"Acosh", LRT_ACOSH},
    {"Asin", LRT_ASIN},
    {"Asinh", LRT_ASINH},
    {"Atan", LRT_ATAN},
    {"Atanh", LRT_ATANH},
    {"Ceil", LRT_CEIL},
    {"Celu", LRT_CELU, {"alpha", 1.0f}},
    {"Cos", LRT_COS},
    {"Cosh", LRT_COSH},
    {"Elu", LRT_ELU, {"alpha", 1.0f}},
    {"Erf", LRT_ERF},
    {"Exp", LRT_EXP},
    {"Floor", LRT_FLOOR},
    {"HardSigmoid", LRT_HARD_SIGMOID, {"alpha", 0.2f}, {"beta", 0.5f}},
    {"HardSwish", LRT_HARD_SWISH, kSixth, kHalf},
    {"LeakyRelu", LRT_LEAKY_RELU, {"alpha", 0.01f}},
    {"Log", LRT_LOG},
    {"Mish", LRT_MISH},
    {"Neg", LRT_NEG},
    {"Reciprocal", LRT_RECIPROCAL},
    {"Relu", LRT_RELU},
    {"Round", LRT_ROUND},
    {"Selu", LRT_SELU, {"alpha", 1.67326324f}, {"gamma", 1.05070102f}},
    {"Shrink", LRT_SHRINK, {"bias", 0.0f}, {"lambd", 0.5f}},
    {"Sigmoid", LRT_SIGMOID},
    {"Sign", LRT_SIGN},
    {"Sin", LRT_SIN},
    {"Sinh", LRT_SINH},
    {"Softplus", LRT_SOFTPLUS},
    {"Softsign", LRT_SOFTSIGN},
    {"Sqrt", LRT_SQRT},
    {"Swish", LRT_SWISH, {"alpha", 1.0f}},
    {"Tan", LRT_TAN},
    {"Tanh", LRT_TANH},
    {"ThresholdedRelu", LRT_ABOVE, {"alpha", 1.0f}},
};

const Function& function_of(const OpPlan& p) {
  for (const Function& function : kFunctions) {
    if (p.op().type == function.type) return function;
  }
  throw Error(Status::internal, p.op().type + " is no function");
}

BufferId same_shape_out(OpPlan& p, DType dtype) {
  const Operand& in = p.in(0);
  const BufferId out = p.out(0, dtype, in.shape);
  keep_time(p, 0, in.time_axis);
  return out;
}

void run_kernel(OpPlan& p, UnaryKind kind, float alpha, float beta) {
  const Operand& in = p.in(0);
  const BufferId out = same_shape_out(p, DType::f32);
  p.run([unary = p.kernels().unary_f32, kind, from = in.buffer, out, n = in.shape.elements(), alpha,
         beta](const Frame& frame) { unary(kind, frame.at<float>(from), frame.at<float>(out), n, alpha, beta); });
}

// The functions that integers have too; the smallest has no opposite, and stays.
template <class T>
T integer_function(UnaryKind kind, T x) {
  const T opposite = static_cast<T>(std::make_unsigned_t<T>{0} - static_cast<std::make_unsigned_t<T>>(x));
  const bool negative = x < T{1} && x != T{0};
  switch (kind) {
    case LRT_ABS:
      return negative ? opposite : x;
    case LRT_NEG:
      return opposite;
    case LRT_RELU:
      return negative ? T{0} : x;
    default:  // sign
      return negative ? static_cast<T>(-1) : static_cast<T>(x != T{0});
  }
}

}  // namespace

void plan_function(OpPlan& p) {
  const Function& function = function_of(p);
  const float alpha = function.alpha.of(p.op()), beta = function.beta.of(p.op());
  if (function.kind == LRT_CELU && !(alpha > 0.0f)) p.refuse(Status::unsupported, "alpha is not above 0");
  run_kernel(p, function.kind, alpha, beta);
}

// Floats or integers.
void plan_number_function(OpPlan& p) {
  const Operand& in = p.in(0);
  if (in.dtype == DType::f32) return plan_function(p);
  const BufferId out = same_shape_out(p, in.dtype);
  with_integer(in.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    p.run(map_run<T, T>(in.buffer, out, in.shape.elements(),
                        [kind = function_of(p).kind](T x) { return integer_function(kind, x); }));
  });
}

void plan_gelu(OpPlan& p) {
  const std::string approximate = p.op().text("approximate", "none");
  if (approximate != "none" && approximate != "tanh") {
    p.refuse(Status::unsupported, "approximate is '" + approximate + "'; wanted none or tanh");
  }
  run_kernel(p, approximate == "tanh" ? LRT_GELU_TANH : LRT_GELU, 0.0f, 0.0f);
}

void plan_identity(OpPlan& p) {
  p.alias(0, 0, p.in(0).shape);
  keep_time(p, 0, p.in(0).time_axis);
}

void plan_not(OpPlan& p) {
  const Operand& in = p.in(0);
  const BufferId out = same_shape_out(p, DType::boolean);
  p.run(map_run<Bool, Bool>(in.buffer, out, in.shape.elements(), [](Bool x) { return to_bool(x == Bool::no); }));
}

void plan_bitwise_not(OpPlan& p) {
  const Operand& in = p.in(0);
  const BufferId out = same_shape_out(p, in.dtype);
  with_integer(in.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    p.run(map_run<T, T>(in.buffer, out, in.shape.elements(), [](T x) { return static_cast<T>(~x); }));
  });
}

void plan_is_nan(OpPlan& p) {
  const Operand& in = p.in(0);
  const BufferId out = same_shape_out(p, DType::boolean);
  p.run(map_run<float, Bool>(in.buffer, out, in.shape.elements(), [](float x) { return to_bool(x != x); }));
}

void plan_is_inf(OpPlan& p) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const bool positive = p.op().integer("detect_positive", 1) != 0, negative = p.op().integer("detect_negative", 1) != 0;
  const Operand& in = p.in(0);
  const BufferId out = same_shape_out(p, DType::boolean);
  p.run(map_run<float, Bool>(in.buffer, out, in.shape.elements(), [=](float x) {
    return to_bool((positive && x == kInfinity) || (negative && x == -kInfinity));
  }));
}

}  // namespace lrt

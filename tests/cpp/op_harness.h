// Plans and runs one op by itself: a small OpPlan over tensors, and what a test of ops compares with.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "model/memory.h"
#include "ops/op.h"
#include "ops/signature.h"

namespace lrt_test {

using namespace lrt;

struct Tensor {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<char> bytes;  // exactly as many as there are, so that a sanitizer sees what is read behind them

  Tensor() = default;
  Tensor(DType type, const Shape& dims) : dtype(type), shape(dims) {
    bytes.resize(static_cast<size_t>(dims.elements()) * size_of(type));
  }
  template <class T>
  Tensor(DType type, const Shape& dims, const std::vector<T>& values) : Tensor(type, dims) {
    if (values.size() * sizeof(T) != bytes.size()) std::abort();
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  }

  template <class T>
  T get(int64_t i) const {
    T value;
    std::memcpy(&value, bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    return value;
  }
  template <class T>
  void set(int64_t i, T value) {
    std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(T), &value, sizeof(T));
  }
};

inline Tensor floats(const Shape& shape, const std::vector<float>& values) { return Tensor(DType::f32, shape, values); }
inline Tensor integers(const std::vector<int64_t>& values) {
  return Tensor(DType::i64, {static_cast<int64_t>(values.size())}, values);
}

struct Input {
  Input(Tensor t) : tensor(std::move(t)) {}  // NOLINT: a tensor is an input that comes with the data
  Input() : present(false) {}
  Input known_now() && { return known = true, std::move(*this); }
  Input with_time(int axis) && { return time_axis = axis, std::move(*this); }

  Tensor tensor;
  bool present = true, known = false;
  int time_axis = -1;
};

inline Input known(Tensor t) { return Input(std::move(t)).known_now(); }

// Attributes of an op: {"axis", 1}, {"pads", {1, 1}}, {"value", 2.0f}, {"mode", "edge"}.
struct Attr {
  Attr(const char* name, int64_t value) : Attr(name, std::vector<int64_t>{value}) {}
  Attr(const char* name, int value) : Attr(name, static_cast<int64_t>(value)) {}
  Attr(const char* name, std::vector<int64_t> values) { set(name, Attribute::Kind::ints).ints = std::move(values); }
  Attr(const char* name, float value) { set(name, Attribute::Kind::floats).floats = {value}; }
  Attr(const char* name, const char* value) { set(name, Attribute::Kind::strings).strings = {value}; }
  Attribute attribute;

 private:
  Attribute& set(const char* name, Attribute::Kind kind) {
    attribute.name = name;
    attribute.kind = kind;
    return attribute;
  }
};

// Set while a call runs; the test program counts allocations made meanwhile.
inline bool running = false;

class TestPlan final : public OpPlan {
 public:
  TestPlan(const Kernels& kernels, const char* type, const std::vector<Attr>& attributes, std::vector<Input> inputs,
           int outputs = 1)
      : kernels_(kernels), inputs_(std::move(inputs)), results_(static_cast<size_t>(outputs)) {
    op_.type = type;
    op_.name = "node";
    for (const Attr& attr : attributes) op_.attributes.push_back(attr.attribute);
    op_.outputs.resize(static_cast<size_t>(outputs));
    for (Input& input : inputs_) {
      op_.inputs.push_back(input.present ? static_cast<int>(op_.inputs.size()) : kAbsent);
      Operand operand;
      if (input.present) {
        operand.value = static_cast<int>(operands_.size());
        operand.dtype = input.tensor.dtype;
        operand.shape = input.tensor.shape;
        operand.buffer = add(input.tensor.bytes.data());
        static const char kNothing = 0;  // an address for no elements
        const char* data = input.tensor.bytes.empty() ? &kNothing : input.tensor.bytes.data();
        operand.known = input.known ? data : nullptr;
        operand.is_static = input.known;
        operand.time_axis = input.time_axis;
      }
      operands_.push_back(operand);
    }
  }

  void go() {
    const OpEntry& entry = *find_op(op_.type);
    check_counts(entry, op_);
    check_operands(entry, *this);
    entry.plan(*this);
    if (!call_ || !writes_anything_) return;
    const Frame frame(buffers_.data(), false);
    running = true;
    call_(frame);
    call_(frame);  // a second run must not find what the first one left
    running = false;
  }

  Tensor result(int output = 0) const {
    const Result& r = results_[static_cast<size_t>(output)];
    if (r.alias < 0) return *r.tensor;
    Tensor tensor = inputs_[static_cast<size_t>(r.alias)].tensor;
    tensor.shape = r.shape;
    return tensor;
  }
  int time_of(int output = 0) const { return results_[static_cast<size_t>(output)].time_axis; }
  bool is_alias(int output = 0) const { return results_[static_cast<size_t>(output)].alias >= 0; }

  const Op& op() const override { return op_; }
  const Kernels& kernels() const override { return kernels_; }
  int inputs() const override { return static_cast<int>(inputs_.size()); }
  bool is_sequence(int) const override { return false; }
  bool has(int input) const override {
    return input >= 0 && input < inputs() && inputs_[static_cast<size_t>(input)].present;
  }
  const Operand& in(int input) const override {
    if (!has(input)) refuse(Status::file, "an input is missing");
    return operands_[static_cast<size_t>(input)];
  }
  std::vector<int64_t> integers(int input) const override {
    const Operand& operand = in(input);
    if (!operand.known) refuse(Status::unsupported, "depends on data");
    const Tensor& tensor = inputs_[static_cast<size_t>(input)].tensor;
    std::vector<int64_t> values;
    for (int64_t i = 0; i < operand.shape.elements(); ++i) {
      values.push_back(operand.dtype == DType::i64 ? tensor.get<int64_t>(i) : tensor.get<int32_t>(i));
    }
    return values;
  }

  int outputs() const override { return static_cast<int>(results_.size()); }
  bool wants(int) const override { return true; }
  BufferId out(int output, DType dtype, const Shape& shape) override {
    return add(new_result(output, dtype, shape)->bytes.data());
  }
  void* known_out(int output, DType dtype, const Shape& shape) override {
    return new_result(output, dtype, shape)->bytes.data();
  }
  void alias(int output, int input, const Shape& shape) override {
    if (shape.elements() != in(input).shape.elements()) refuse(Status::internal, "an alias of another size");
    results_[static_cast<size_t>(output)].alias = input;
    results_[static_cast<size_t>(output)].shape = shape;
  }
  BufferId scratch(size_t bytes) override {
    scratch_.emplace_back(bytes);
    std::fill_n(scratch_.back().as<char>(), bytes, '\xff');  // NaN, where it is read before it is written
    return add(scratch_.back().as<char>());
  }
  std::shared_ptr<const void> packed(int, const std::vector<int>& reads,
                                     const std::function<std::shared_ptr<const void>()>& make) override {
    for (const int input : reads) {
      if (!in(input).known) refuse(Status::internal, "packs what is not known");
    }
    return make();
  }
  void run(Run call) override {
    if (call_) refuse(Status::internal, "a second call");
    call_ = std::move(call);
  }
  void cost(uint64_t, uint64_t, uint64_t) override {}
  void time_axis(int output, int axis) override { results_[static_cast<size_t>(output)].time_axis = axis; }
  bool keep_state(int, const char*, const Shape&, BufferId*, BufferId*) override { return false; }
  void not_streamable(const std::string&) override {}

 private:
  struct Result {
    std::unique_ptr<Tensor> tensor;
    int alias = -1, time_axis = -1;
    Shape shape;
  };

  BufferId add(void* data) {
    buffers_.push_back(data ? data : no_elements());
    return static_cast<BufferId>(buffers_.size() - 1);
  }
  Tensor* new_result(int output, DType dtype, const Shape& shape) {
    Result& r = results_[static_cast<size_t>(output)];
    r.tensor = std::make_unique<Tensor>(dtype, shape);
    writes_anything_ = writes_anything_ || !r.tensor->bytes.empty();
    std::fill(r.tensor->bytes.begin(), r.tensor->bytes.end(), '\x7f');
    return r.tensor.get();
  }

  const Kernels& kernels_;
  Op op_;
  std::vector<Input> inputs_;
  std::vector<Operand> operands_;
  std::vector<Result> results_;
  std::vector<AlignedBuffer> scratch_;
  std::vector<void*> buffers_;
  Run call_;
  bool writes_anything_ = false;  // a call that writes nothing is not made
};

// ---- Indices ----

using Index = std::vector<int64_t>;

// Every index of a shape, in order.
inline void for_each(const Shape& shape, const std::function<void(int64_t, const Index&)>& f) {
  Index index(static_cast<size_t>(shape.rank()), 0);
  const int64_t n = shape.elements();
  for (int64_t flat = 0; flat < n; ++flat) {
    f(flat, index);
    for (int axis = shape.rank() - 1; axis >= 0 && ++index[static_cast<size_t>(axis)] == shape[axis]; --axis) {
      index[static_cast<size_t>(axis)] = 0;
    }
  }
}

// Where an index lies in a tensor; leading axes the tensor does not have are passed over, and axes of 1 do not count.
inline int64_t offset_of(const Shape& shape, const Index& index) {
  int64_t offset = 0;
  const size_t skipped = index.size() - static_cast<size_t>(shape.rank());
  for (int axis = 0; axis < shape.rank(); ++axis) {
    offset = offset * shape[axis] + (shape[axis] == 1 ? 0 : index[static_cast<size_t>(axis) + skipped]);
  }
  return offset;
}

// The tensor whose elements are those of `in` at the places that `from` gives, or `border` where it gives none.
inline Tensor pick(const Tensor& in, const Shape& shape, const std::function<std::optional<Index>(const Index&)>& from,
                   const Tensor* border = nullptr) {
  Tensor out(in.dtype, shape);
  const size_t size = size_of(in.dtype);
  for_each(shape, [&](int64_t flat, const Index& index) {
    const std::optional<Index> place = from(index);
    char* to = out.bytes.data() + static_cast<size_t>(flat) * size;
    if (place) std::memcpy(to, in.bytes.data() + static_cast<size_t>(offset_of(in.shape, *place)) * size, size);
    if (!place && border) std::memcpy(to, border->bytes.data(), size);
  });
  return out;
}

// One step along an axis, which stays, with size 1.
inline Tensor step_of(const Tensor& in, int axis, int64_t step) {
  Shape shape = in.shape;
  shape[axis] = 1;
  return pick(in, shape, [&](Index index) {
    index[static_cast<size_t>(axis)] = step;
    return index;
  });
}

inline Tensor from_kernels(const Kernels& kernels, const char* type, const std::vector<Attr>& attributes,
                           const std::vector<Input>& inputs) {
  TestPlan plan(kernels, type, attributes, inputs);
  plan.go();
  return plan.result();
}

}  // namespace lrt_test

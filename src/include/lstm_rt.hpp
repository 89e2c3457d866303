// lstm_rt.h for C++17: handles that free themselves, spans, typed arrays, exceptions. Header only; needs lstm_rt.h and the
// standard library.
//
// Whatever can fail comes twice. With a last argument lrt_error& it does not throw: it returns false, or an empty object, and
// fills the error. Without, it throws lstm_rt::Error; these are left out where exceptions are off (-fno-exceptions).
// step() and run() never throw and never allocate: they return an lrt_status, which is LRT_OK.
//
//   lstm_rt::Model model = lstm_rt::Model::load("model.gguf");
//   lstm_rt::Stream stream = lstm_rt::Stream::create(model);
//   stream.prepare({lstm_rt::array<float>({1, 1, 5})});              // frames of 5 floats, with time and batch of 1
//   std::vector<float> frame(5), scores(stream.output(0).size());
//   while (read(frame)) {
//     if (stream.step<float, float>(frame, scores) != LRT_OK) break;
//   }
//
// Shapes, dtypes, lifetimes and threads are those of lstm_rt.h.
#ifndef LSTM_RT_HPP
#define LSTM_RT_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "lstm_rt.h"

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define LSTM_RT_EXCEPTIONS 1
#include <stdexcept>
#endif

namespace lstm_rt {

constexpr size_t kNotFound = SIZE_MAX;

// ---- Spans, shapes, arrays ----

// Elements that lie elsewhere, side by side; made of anything that has data() and size(), of arrays and of lists. A list
// lives to the end of the expression it stands in.
template <class T>
class Span {
  // Const may be added; another type, be it one that T derives from, has another size.
  template <class Pointer>
  using fits = std::enable_if_t<std::is_convertible_v<std::remove_pointer_t<Pointer> (*)[], T (*)[]>>;

 public:
  constexpr Span() noexcept = default;
  constexpr Span(T* data, size_t size) noexcept : data_(data), size_(size) {}
  template <size_t N>
  constexpr Span(T (&elements)[N]) noexcept : data_(elements), size_(N) {}
  constexpr Span(std::initializer_list<std::remove_const_t<T>> list) noexcept : size_(list.size()) {
    data_ = list.begin();
  }
  template <class C, class = fits<decltype(std::declval<C&>().data())>>
  constexpr Span(C& container) noexcept : data_(container.data()), size_(container.size()) {}
  template <class C, class = fits<decltype(std::declval<const C&>().data())>>
  constexpr Span(const C& container) noexcept : data_(container.data()), size_(container.size()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }
  constexpr T& operator[](size_t index) const noexcept { return data_[index]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

// The lrt_dtype of a C++ type; does not compile for types that have none.
template <class T>
constexpr lrt_dtype dtype_of() noexcept {
  using U = std::remove_cv_t<T>;
  constexpr bool known = std::is_same_v<U, float> || std::is_same_v<U, bool> || std::is_same_v<U, int64_t> ||
                         std::is_same_v<U, int32_t> || std::is_same_v<U, uint8_t> || std::is_same_v<U, int8_t>;
  static_assert(known, "elements are float, bool, int64_t, int32_t, uint8_t or int8_t");
  if (std::is_same_v<U, float>) return LRT_FLOAT32;
  if (std::is_same_v<U, bool>) return LRT_BOOL;
  if (std::is_same_v<U, int64_t>) return LRT_INT64;
  if (std::is_same_v<U, int32_t>) return LRT_INT32;
  return std::is_same_v<U, uint8_t> ? LRT_UINT8 : LRT_INT8;
}

// Bytes of one element; 0 where the dtype is not known.
constexpr size_t element_size(int32_t dtype) noexcept {
  switch (dtype) {
    case LRT_INT64:
      return 8;
    case LRT_FLOAT32:
    case LRT_INT32:
      return 4;
    case LRT_BOOL:
    case LRT_UINT8:
    case LRT_INT8:
      return 1;
    default:
      return 0;
  }
}

// {1, 1, 5}; more than LRT_MAX_RANK dims are refused by the function that is given them.
struct Shape : lrt_shape {
  Shape() noexcept : lrt_shape{} {}
  Shape(const lrt_shape& shape) noexcept : lrt_shape(shape) {}
  Shape(std::initializer_list<int64_t> list) noexcept : lrt_shape{} {
    rank = static_cast<int32_t>(list.size());
    size_t axis = 0;
    for (int64_t dim : list) {
      if (axis < LRT_MAX_RANK) dims[axis++] = dim;
    }
  }
  int64_t* begin() noexcept { return dims; }
  int64_t* end() noexcept { return dims + held(); }
  const int64_t* begin() const noexcept { return dims; }
  const int64_t* end() const noexcept { return dims + held(); }
  // Number of elements; 0 where a dim is free or the rank is not known.
  size_t size() const noexcept {
    if (rank < 0) return 0;
    size_t product = 1;
    for (int64_t dim : *this) product *= dim < 0 ? 0 : static_cast<size_t>(dim);
    return product;
  }

 private:
  int32_t held() const noexcept { return rank < 0 ? 0 : rank > LRT_MAX_RANK ? LRT_MAX_RANK : rank; }
};

// An input, output or state: name, dtype, shape, dim_names.
struct Port : lrt_port {
  Port() noexcept : lrt_port{} { dtype = shape.rank = -1; }
  size_t size() const noexcept { return Shape(shape).size(); }            // elements; 0 where not known
  size_t bytes() const noexcept { return size() * element_size(dtype); }  // 0 where not known
};

// An array given to a call; data is not copied. Its elements must be as many as the shape has.
template <class T>
lrt_array array(const Shape& shape, const T* data = nullptr) noexcept {
  return lrt_array{dtype_of<T>(), shape, data};
}

// ---- Errors ----

#ifdef LSTM_RT_EXCEPTIONS
class Error : public std::runtime_error {
 public:
  explicit Error(const lrt_error& error) : std::runtime_error(error.message), status_(error.status) {}
  lrt_status status() const noexcept { return status_; }

 private:
  lrt_status status_;
};
#endif

namespace detail {

inline void clear(lrt_error& error) noexcept {
  error.status = LRT_OK;
  error.message[0] = 0;
}

inline bool fail(lrt_error& error, lrt_status status, const char* message) noexcept {
  error.status = status;
  std::strncpy(error.message, message, sizeof error.message - 1);
  error.message[sizeof error.message - 1] = 0;
  return false;
}

#ifdef LSTM_RT_EXCEPTIONS
// call(error), whose error is thrown.
template <class Call>
auto thrown(const Call& call) {
  lrt_error error;
  clear(error);
  auto result = call(error);
  if (error.status != LRT_OK) throw Error(error);
  return result;
}
#endif

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};
template <class T, auto Free>
using Handle = std::unique_ptr<T, Deleter<Free>>;

// Fills a port by a function of lstm_rt.h that takes an index; a port that is not known where there is none.
template <class Function, class T>
Port port(Function function, const T* handle, size_t index) noexcept {
  Port result;
  if (function(handle, index, &result) != LRT_OK) return Port();
  return result;
}

}  // namespace detail

// ---- Models ----

// What a model is loaded with: isa, max_memory, borrow, allocator, log. What the allocator and the log point to stays until the last that uses the model is gone.
struct ModelOptions : lrt_model_options {
  ModelOptions() noexcept : lrt_model_options{} {}
};

// Immutable, and safe to use from many threads. Plans, streams and pools keep what they need of it alive.
class Model {
 public:
  Model() noexcept = default;

  static Model load(const char* path, const ModelOptions& options, lrt_error& error) noexcept {
    detail::clear(error);
    lrt_model* made = nullptr;
    lrt_model_load(path, &options, &made, &error);
    return Model(made);
  }
  // The bytes of a file; copied unless options.borrow.
  static Model load_memory(Span<const unsigned char> bytes, const ModelOptions& options, lrt_error& error) noexcept {
    detail::clear(error);
    lrt_model* made = nullptr;
    lrt_model_load_memory(bytes.data(), bytes.size(), &options, &made, &error);
    return Model(made);
  }
#ifdef LSTM_RT_EXCEPTIONS
  static Model load(const char* path, const ModelOptions& options = {}) {
    return detail::thrown([&](lrt_error& error) { return load(path, options, error); });
  }
  static Model load_memory(Span<const unsigned char> bytes, const ModelOptions& options = {}) {
    return detail::thrown([&](lrt_error& error) { return load_memory(bytes, options, error); });
  }
#endif

  explicit operator bool() const noexcept { return handle_ != nullptr; }
  lrt_model* get() const noexcept { return handle_.get(); }  // for the functions of lstm_rt.h

  const char* isa() const noexcept { return lrt_model_isa(get()); }
  size_t input_count() const noexcept { return lrt_model_input_count(get()); }
  size_t output_count() const noexcept { return lrt_model_output_count(get()); }
  Port input(size_t index) const noexcept { return detail::port(lrt_model_input, get(), index); }
  Port output(size_t index) const noexcept { return detail::port(lrt_model_output, get(), index); }
  // The index of an input or output by its name; kNotFound.
  size_t find_input(const char* name) const noexcept { return find(lrt_model_input, input_count(), name); }
  size_t find_output(const char* name) const noexcept { return find(lrt_model_output, output_count(), name); }
  bool input_is_control(size_t index) const noexcept { return lrt_model_input_is_control(get(), index) == 1; }
  uint64_t parameter_count() const noexcept { return lrt_model_parameter_count(get()); }
  uint64_t weight_bytes() const noexcept { return lrt_model_weight_bytes(get()); }
  uint64_t packed_bytes() const noexcept { return lrt_model_packed_bytes(get()); }
  // A string of the file by its key ("lstm_rt.source.framework"); nullptr where there is none.
  const char* metadata(const char* key) const noexcept {
    const char* value = nullptr;
    for (size_t i = 0; const char* found = lrt_model_metadata(get(), i, &value); ++i) {
      if (!std::strcmp(found, key)) return value;
    }
    return nullptr;
  }

  // Replays the self-tests of the file: false where a byte differs. count: how many there are.
  bool verify(size_t& count, lrt_error& error) const noexcept {
    detail::clear(error);
    size_t failed = 0;
    return lrt_model_verify(get(), &count, &failed, &error) == LRT_OK;
  }
#ifdef LSTM_RT_EXCEPTIONS
  // Returns how many self-tests there are, all of which passed.
  size_t verify() const {
    size_t count = 0;
    detail::thrown([&](lrt_error& error) { return verify(count, error); });
    return count;
  }
#endif

 private:
  explicit Model(lrt_model* handle) noexcept : handle_(handle) {}

  template <class Function>
  size_t find(Function function, size_t count, const char* name) const noexcept {
    for (size_t i = 0; i < count; ++i) {
      const Port found = detail::port(function, get(), i);
      if (found.name && !std::strcmp(found.name, name)) return i;
    }
    return kNotFound;
  }

  detail::Handle<lrt_model, lrt_model_free> handle_;
};

// ---- Plans ----

// A model planned for one set of input shapes.
class Plan {
 public:
  Plan() noexcept = default;

  // inputs: one for each input of the model; of control inputs the data is read, that of others may be null.
  static Plan create(const Model& model, Span<const lrt_array> inputs, lrt_error& error) noexcept {
    detail::clear(error);
    lrt_plan* made = nullptr;
    lrt_plan_create(model.get(), inputs.data(), inputs.size(), &made, &error);
    return Plan(made, model);
  }
  bool set_threads(int32_t threads, lrt_error& error) noexcept {
    detail::clear(error);
    return lrt_plan_set_threads(get(), threads, &error) == LRT_OK;
  }
#ifdef LSTM_RT_EXCEPTIONS
  static Plan create(const Model& model, Span<const lrt_array> inputs) {
    return detail::thrown([&](lrt_error& error) { return create(model, inputs, error); });
  }
  void set_threads(int32_t threads) {
    detail::thrown([&](lrt_error& error) { return set_threads(threads, error); });
  }
#endif

  explicit operator bool() const noexcept { return handle_ != nullptr; }
  lrt_plan* get() const noexcept { return handle_.get(); }
  Port output(size_t index) const noexcept { return detail::port(lrt_plan_output, get(), index); }
  uint64_t arena_bytes() const noexcept { return lrt_plan_arena_bytes(get()); }

  // inputs, outputs: a pointer for each of the model's, of the shapes planned; an output may be null.
  lrt_status run(Span<const void* const> inputs, Span<void* const> outputs, lrt_error* error = nullptr) noexcept {
    if (inputs.size() != inputs_ || outputs.size() != outputs_) {
      if (error)
        detail::fail(*error, LRT_ERROR_ARGUMENT, "run takes one pointer for each input and output of the model");
      return LRT_ERROR_ARGUMENT;
    }
    return lrt_plan_run(get(), inputs.data(), outputs.data(), error);
  }

 private:
  Plan(lrt_plan* handle, const Model& model) noexcept
      : handle_(handle), inputs_(model.input_count()), outputs_(model.output_count()) {}

  detail::Handle<lrt_plan, lrt_plan_free> handle_;
  size_t inputs_ = 0, outputs_ = 0;
};

// ---- Streams ----

// How streams and pools are made.
class StreamOptions {
 public:
  StreamOptions& batch(int64_t rows) noexcept { return options_.batch = rows, *this; }
  StreamOptions& threads(int32_t count) noexcept { return options_.threads = count, *this; }
  // State goes from this output to this input; given once or more, in place of the model's own pairs.
  StreamOptions& bind(size_t input, size_t output) {
    bind_.insert(bind_.end(), {input, output});
    return *this;
  }
  // An input fixed for the life of the stream, as a sample rate is. The value is read when the stream is made.
  StreamOptions& freeze(size_t input, const lrt_array& value) {
    freeze_.push_back(input);
    values_.push_back(value);
    return *this;
  }
  lrt_stream_options get() const noexcept {
    lrt_stream_options result = options_;
    result.bind = bind_.empty() ? nullptr : bind_.data();
    result.bind_count = bind_.size() / 2;
    result.freeze = freeze_.data();
    result.freeze_values = values_.data();
    result.freeze_count = freeze_.size();
    return result;
  }

 private:
  lrt_stream_options options_{};
  std::vector<size_t> bind_, freeze_;
  std::vector<lrt_array> values_;
};

// A model stepped frame by frame, its state kept. For one thread at a time.
class Stream {
 public:
  Stream() noexcept = default;
  struct Memory {
    size_t size = 0, alignment = 0;
  };

  static Stream create(const Model& model, const StreamOptions& options, lrt_error& error) noexcept {
    detail::clear(error);
    const lrt_stream_options wanted = options.get();
    lrt_stream* made = nullptr;
    lrt_stream_create(model.get(), &wanted, &made, &error);
    return Stream(made);
  }
  // A stream in the caller's memory, prepared for frames of these shapes: of the size and alignment that memory() gives. It is
  // the stream's alone as long as that lives.
  static Stream create_in(const Model& model, Span<const lrt_array> inputs, Span<unsigned char> memory,
                          const StreamOptions& options, lrt_error& error) noexcept {
    detail::clear(error);
    const lrt_stream_options wanted = options.get();
    lrt_stream* made = nullptr;
    lrt_stream_create_in(model.get(), &wanted, inputs.data(), inputs.size(), memory.data(), memory.size(), &made,
                         &error);
    Stream stream(made);
    if (stream) stream.learn(inputs);
    return stream;
  }
  // What create_in needs; a size of 0 where it fails.
  static Memory memory(const Model& model, Span<const lrt_array> inputs, const StreamOptions& options,
                       lrt_error& error) noexcept {
    detail::clear(error);
    const lrt_stream_options wanted = options.get();
    Memory need;
    lrt_stream_size(model.get(), &wanted, inputs.data(), inputs.size(), &need.size, &need.alignment, &error);
    return need;
  }
  // Another stream, in the state of this one.
  Stream clone(lrt_error& error) const noexcept {
    detail::clear(error);
    lrt_stream* made = nullptr;
    lrt_stream_clone(get(), &made, &error);
    return Stream(made);
  }
  // Plans for frames of these shapes; allocates. inputs: one for each input of the stream, whose data may be null.
  bool prepare(Span<const lrt_array> inputs, lrt_error& error) noexcept {
    detail::clear(error);
    const bool done = lrt_stream_prepare(get(), inputs.data(), inputs.size(), &error) == LRT_OK;
    if (done) learn(inputs);
    return done;
  }
  // One of the states, by what step() leaves of it: shape, dtype and bytes, which the next step may change.
  bool state(size_t index, Port& port, const void*& data, lrt_error& error) const noexcept {
    detail::clear(error);
    return lrt_stream_state(get(), index, &port, &data, &error) == LRT_OK;
  }
  bool set_state(size_t index, const lrt_array& value, lrt_error& error) noexcept {
    detail::clear(error);
    return lrt_stream_set_state(get(), index, &value, &error) == LRT_OK;
  }
#ifdef LSTM_RT_EXCEPTIONS
  static Stream create(const Model& model, const StreamOptions& options = {}) {
    return detail::thrown([&](lrt_error& error) { return create(model, options, error); });
  }
  static Stream create_in(const Model& model, Span<const lrt_array> inputs, Span<unsigned char> memory,
                          const StreamOptions& options = {}) {
    return detail::thrown([&](lrt_error& error) { return create_in(model, inputs, memory, options, error); });
  }
  static Memory memory(const Model& model, Span<const lrt_array> inputs, const StreamOptions& options = {}) {
    return detail::thrown([&](lrt_error& error) { return memory(model, inputs, options, error); });
  }
  Stream clone() const {
    return detail::thrown([&](lrt_error& error) { return clone(error); });
  }
  void prepare(Span<const lrt_array> inputs) {
    detail::thrown([&](lrt_error& error) { return prepare(inputs, error); });
  }
  lrt_array state(size_t index) const {
    Port port;
    const void* data = nullptr;
    detail::thrown([&](lrt_error& error) { return state(index, port, data, error); });
    return lrt_array{port.dtype, port.shape, data};
  }
  void set_state(size_t index, const lrt_array& value) {
    detail::thrown([&](lrt_error& error) { return set_state(index, value, error); });
  }
#endif

  explicit operator bool() const noexcept { return handle_ != nullptr; }
  lrt_stream* get() const noexcept { return handle_.get(); }
  size_t input_count() const noexcept { return inputs_; }
  size_t output_count() const noexcept { return outputs_; }
  size_t model_input(size_t index) const noexcept { return lrt_stream_input(get(), index); }
  size_t model_output(size_t index) const noexcept { return lrt_stream_output(get(), index); }
  int time_axis(size_t index) const noexcept { return lrt_stream_time_axis(get(), index); }
  Port output(size_t index) const noexcept {
    return detail::port(lrt_stream_output_port, get(), index);
  }  // as prepared
  size_t state_count() const noexcept { return lrt_stream_state_count(get()); }
  void reset() noexcept { lrt_stream_reset(get()); }

  // One step of the prepared shapes: a pointer for each input and output of the stream; an output may be null. No
  // allocation, no lock. LRT_ERROR_ARGUMENT where the pointers are not as many.
  lrt_status step(Span<const void* const> inputs, Span<void* const> outputs) noexcept {
    if (inputs.size() != inputs_ || outputs.size() != outputs_) return LRT_ERROR_ARGUMENT;
    return lrt_stream_step(get(), inputs.data(), outputs.data());
  }
  // The same for one input and one output, with their dtypes and sizes checked (LRT_ERROR_SHAPE): step<float, float>(x, y).
  // The stream's other outputs are not written.
  template <class In, class Out>
  lrt_status step(Span<const In> frame, Span<Out> result) noexcept {
    if (inputs_ != 1 || outputs_ == 0 || outputs_ > kOutputs) return LRT_ERROR_ARGUMENT;
    if (!frame_.holds<In>(frame.size()) || !result_.holds<Out>(result.size())) return LRT_ERROR_SHAPE;
    const void* const input = frame.data();
    void* outputs[kOutputs] = {result.data()};
    return lrt_stream_step(get(), &input, outputs);
  }

 private:
  static constexpr size_t kOutputs = 16;  // that a typed step may leave out

  struct Extent {  // of the first input and the first output, as prepared
    int32_t dtype = -1;
    size_t size = 0;
    template <class T>
    bool holds(size_t count) const noexcept {
      return dtype == dtype_of<T>() && size == count;
    }
  };

  explicit Stream(lrt_stream* handle) noexcept : handle_(handle) {
    if (!handle) return;
    inputs_ = lrt_stream_input_count(handle);
    outputs_ = lrt_stream_output_count(handle);
  }
  void learn(Span<const lrt_array> inputs) noexcept {
    const Port first = output(0);
    frame_ = inputs.empty() ? Extent{} : Extent{inputs[0].dtype, Shape(inputs[0].shape).size()};
    result_ = Extent{first.dtype, first.size()};
  }

  detail::Handle<lrt_stream, lrt_stream_free> handle_;
  size_t inputs_ = 0, outputs_ = 0;
  Extent frame_, result_;
};

// ---- Pools ----

// Many streams of one model stepped as one batch. For one thread at a time.
class Pool {
 public:
  Pool() noexcept = default;

  // capacity: how many streams can be open at once.
  static Pool create(const Model& model, size_t capacity, const StreamOptions& options, lrt_error& error) noexcept {
    detail::clear(error);
    const lrt_stream_options wanted = options.get();
    lrt_pool* made = nullptr;
    lrt_pool_create(model.get(), &wanted, capacity, &made, &error);
    return Pool(made);
  }
  // A stream before its first step; -1 and LRT_ERROR_STATE where all are open.
  int64_t open(lrt_error& error) noexcept {
    detail::clear(error);
    int64_t id = -1;
    lrt_pool_open(get(), &id, &error);
    return id;
  }
  bool close(int64_t id, lrt_error& error) noexcept {
    detail::clear(error);
    return lrt_pool_close(get(), id, &error) == LRT_OK;
  }
  bool reset(int64_t id, lrt_error& error) noexcept {
    detail::clear(error);
    return lrt_pool_reset(get(), id, &error) == LRT_OK;
  }
  // Plans for frames of these shapes, which have `rows` rows; afterwards any number of rows can be stepped. Allocates.
  bool prepare(Span<const lrt_array> inputs, size_t rows, lrt_error& error) noexcept {
    detail::clear(error);
    return lrt_pool_prepare(get(), inputs.data(), inputs.size(), rows, &error) == LRT_OK;
  }
  bool state(int64_t id, size_t index, Port& port, const void*& data, lrt_error& error) const noexcept {
    detail::clear(error);
    return lrt_pool_state(get(), id, index, &port, &data, &error) == LRT_OK;
  }
  bool set_state(int64_t id, size_t index, const lrt_array& value, lrt_error& error) noexcept {
    detail::clear(error);
    return lrt_pool_set_state(get(), id, index, &value, &error) == LRT_OK;
  }
#ifdef LSTM_RT_EXCEPTIONS
  static Pool create(const Model& model, size_t capacity, const StreamOptions& options = {}) {
    return detail::thrown([&](lrt_error& error) { return create(model, capacity, options, error); });
  }
  int64_t open() {
    return detail::thrown([&](lrt_error& error) { return open(error); });
  }
  void close(int64_t id) {
    detail::thrown([&](lrt_error& error) { return close(id, error); });
  }
  void reset(int64_t id) {
    detail::thrown([&](lrt_error& error) { return reset(id, error); });
  }
  void prepare(Span<const lrt_array> inputs, size_t rows) {
    detail::thrown([&](lrt_error& error) { return prepare(inputs, rows, error); });
  }
  lrt_array state(int64_t id, size_t index) const {
    Port port;
    const void* data = nullptr;
    detail::thrown([&](lrt_error& error) { return state(id, index, port, data, error); });
    return lrt_array{port.dtype, port.shape, data};
  }
  void set_state(int64_t id, size_t index, const lrt_array& value) {
    detail::thrown([&](lrt_error& error) { return set_state(id, index, value, error); });
  }
#endif

  explicit operator bool() const noexcept { return handle_ != nullptr; }
  lrt_pool* get() const noexcept { return handle_.get(); }
  size_t capacity() const noexcept { return lrt_pool_capacity(get()); }
  size_t size() const noexcept { return lrt_pool_size(get()); }
  size_t input_count() const noexcept { return inputs_; }
  size_t output_count() const noexcept { return outputs_; }
  Port output(size_t index) const noexcept { return detail::port(lrt_pool_output_port, get(), index); }  // of one row
  int input_axis(size_t index) const noexcept { return lrt_pool_input_axis(get(), index); }
  int output_axis(size_t index) const noexcept { return lrt_pool_output_axis(get(), index); }
  size_t state_count() const noexcept { return lrt_pool_state_count(get()); }

  // One step of the streams `ids`: row i of the frames is that of ids[i]. As Stream::step.
  lrt_status step(Span<const int64_t> ids, Span<const void* const> inputs, Span<void* const> outputs,
                  lrt_error* error = nullptr) noexcept {
    if (inputs.size() != inputs_ || outputs.size() != outputs_) {
      if (error)
        detail::fail(*error, LRT_ERROR_ARGUMENT, "step takes one pointer for each input and output of the pool");
      return LRT_ERROR_ARGUMENT;
    }
    return lrt_pool_step(get(), ids.data(), ids.size(), inputs.data(), outputs.data(), error);
  }

 private:
  explicit Pool(lrt_pool* handle) noexcept : handle_(handle) {
    if (!handle) return;
    inputs_ = lrt_pool_input_count(handle);
    outputs_ = lrt_pool_output_count(handle);
  }

  detail::Handle<lrt_pool, lrt_pool_free> handle_;
  size_t inputs_ = 0, outputs_ = 0;
};

}  // namespace lstm_rt

#endif

// lstm_rt._core: models and plans for Python, over the C API alone. The hot path, Stream.step, is lstm_rt/_stream.pyx.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "lstm_rt.h"

namespace py = pybind11;

namespace {

constexpr const char* kDtypes[] = {"float32", "int64", "int32", "bool", "uint8", "int8"};
constexpr int kDtypeCount = 6;

[[noreturn]] void raise(const lrt_error& error) {
  const char* type = "Error";
  switch (error.status) {
    case LRT_ERROR_ARGUMENT:
      type = "ArgumentError";
      break;
    case LRT_ERROR_UNSUPPORTED:
      type = "UnsupportedModelError";
      break;
    case LRT_ERROR_FILE:
      type = "ModelFileError";
      break;
    case LRT_ERROR_SHAPE:
      type = "ShapeError";
      break;
    case LRT_ERROR_STATE:
      type = "StateError";
      break;
    case LRT_ERROR_MEMORY:
      type = "OutOfMemoryError";
      break;
    default:
      break;
  }
  const py::object exception = py::module_::import("lstm_rt.errors").attr(type);
  PyErr_SetString(exception.ptr(), error.message);
  throw py::error_already_set();
}

// Lets other threads run Python. When the interpreter ends, Python before 3.14 ends a thread that asks for the GIL by unwinding
// its stack, through destructors that need the GIL. Such a thread sleeps until the process is gone, as from 3.14 on.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* const state_;
};

template <class Call>
void check(const Call& call) {
  lrt_error error{};
  lrt_status status;
  {
    const WithoutGil others_run;
    status = call(&error);
  }
  if (status == LRT_OK) return;
  error.status = status;
  raise(error);
}

std::string dtype_name(int32_t code) { return code >= 0 && code < kDtypeCount ? kDtypes[code] : ""; }

// By kind and size, not by comparing with dtypes made from names: this stands in the way of every run.
int32_t dtype_code(const py::array& array) {
  const py::dtype dtype = array.dtype();
  if (dtype.byteorder() == '>') return -1;
  switch (dtype.kind()) {
    case 'f':
      return dtype.itemsize() == 4 ? LRT_FLOAT32 : -1;
    case 'i':
      return dtype.itemsize() == 8   ? LRT_INT64
             : dtype.itemsize() == 4 ? LRT_INT32
             : dtype.itemsize() == 1 ? LRT_INT8
                                     : -1;
    case 'b':
      return LRT_BOOL;
    case 'u':
      return dtype.itemsize() == 1 ? LRT_UINT8 : -1;
    default:
      return -1;
  }
}

py::dtype dtype_of(int32_t code) {
  switch (code) {
    case LRT_INT64:
      return py::dtype::of<int64_t>();
    case LRT_INT32:
      return py::dtype::of<int32_t>();
    case LRT_BOOL:
      return py::dtype::of<bool>();
    case LRT_UINT8:
      return py::dtype::of<uint8_t>();
    case LRT_INT8:
      return py::dtype::of<int8_t>();
    default:
      return py::dtype::of<float>();
  }
}

std::vector<int64_t> dims_of(const lrt_shape& shape) {
  return std::vector<int64_t>(shape.dims, shape.dims + (shape.rank > 0 ? shape.rank : 0));
}

lrt_array describe(const py::array& array) {
  lrt_array result{};
  result.dtype = dtype_code(array);
  if (array.ndim() > LRT_MAX_RANK || result.dtype < 0) {
    lrt_error error{LRT_ERROR_SHAPE, {}};
    const std::string dtype = py::str(array.dtype());
    std::snprintf(error.message, sizeof error.message,
                  "an array of dtype %s and rank %d cannot be given to a model: wanted %s, rank at most %d",
                  dtype.c_str(), static_cast<int>(array.ndim()), "float32, int64, int32, bool, uint8 or int8",
                  LRT_MAX_RANK);
    raise(error);
  }
  result.shape.rank = static_cast<int32_t>(array.ndim());
  for (int32_t axis = 0; axis < result.shape.rank; ++axis) result.shape.dims[axis] = array.shape(axis);
  result.data = array.data();
  return result;
}

// (name, dtype or "", dims with -1 where free or None where not known, dim names)
using PortTuple = std::tuple<std::string, std::string, std::optional<std::vector<int64_t>>, std::vector<std::string>>;

PortTuple to_tuple(const lrt_port& port) {
  std::vector<std::string> names;
  for (int32_t axis = 0; axis < port.shape.rank; ++axis) names.emplace_back(port.dim_names[axis]);
  std::optional<std::vector<int64_t>> dims;
  if (port.shape.rank >= 0) dims = dims_of(port.shape);
  return {port.name, dtype_name(port.dtype), dims, names};
}

class Plan {
 public:
  Plan(lrt_model* model, const std::vector<py::array>& inputs) {
    std::vector<lrt_array> arrays;
    for (const py::array& input : inputs) arrays.push_back(describe(input));
    lrt_plan* plan = nullptr;
    check([&](lrt_error* error) { return lrt_plan_create(model, arrays.data(), arrays.size(), &plan, error); });
    plan_.reset(plan);
  }

  std::vector<PortTuple> outputs() const {
    std::vector<PortTuple> result;
    lrt_port port{};
    for (size_t i = 0; lrt_plan_output(plan_.get(), i, &port) == LRT_OK; ++i) result.push_back(to_tuple(port));
    return result;
  }

  // Arrays are those the plan was made for: C-contiguous, and checked by describe().
  std::vector<py::array> run(const std::vector<py::array>& inputs, int threads) const {
    std::vector<const void*> in;
    for (const py::array& input : inputs) in.push_back(input.data());
    std::vector<py::array> results;
    std::vector<void*> out;
    lrt_port port{};
    for (size_t i = 0; lrt_plan_output(plan_.get(), i, &port) == LRT_OK; ++i) {
      results.emplace_back(dtype_of(port.dtype), dims_of(port.shape));
      out.push_back(results.back().mutable_data());
    }
    if (threads != 1) {
      check([&](lrt_error* error) { return lrt_plan_set_threads(plan_.get(), threads, error); });
    }
    check([&](lrt_error* error) { return lrt_plan_run(plan_.get(), in.data(), out.data(), error); });
    return results;
  }

  using CallTuple =
      std::tuple<std::string, std::string, std::vector<int64_t>, uint64_t, uint64_t, uint64_t, std::string>;
  std::vector<CallTuple> calls() const {
    std::vector<CallTuple> result;
    lrt_call call{};
    for (size_t i = 0; lrt_plan_call(plan_.get(), i, &call) == LRT_OK; ++i) {
      result.emplace_back(call.type, call.name, dims_of(call.output), call.macs, call.weight_bytes, call.parameters,
                          call.precision);
    }
    return result;
  }

  uint64_t arena_bytes() const { return lrt_plan_arena_bytes(plan_.get()); }

 private:
  struct Free {
    void operator()(lrt_plan* plan) const { lrt_plan_free(plan); }
  };
  std::unique_ptr<lrt_plan, Free> plan_;
};

// Bytes for a C function that takes a string. C would ignore all that follows a NUL, and open another file.
std::string c_string(const py::object& bytes, const char* what) {
  std::string text = bytes.cast<std::string>();
  if (text.find('\0') != std::string::npos) {
    lrt_error error{};
    error.status = LRT_ERROR_ARGUMENT;
    std::snprintf(error.message, sizeof error.message, "%s: it contains a NUL character. Remove it.", what);
    raise(error);
  }
  return text;
}

std::string c_string(const py::str& text, const char* what) {
  return c_string(py::object(text.attr("encode")("utf-8", "backslashreplace")), what);
}

py::array copy_of(const lrt_port& port, const void* data) {
  py::array copy(dtype_of(port.dtype), dims_of(port.shape));
  if (copy.nbytes() > 0) std::memcpy(copy.mutable_data(), data, static_cast<size_t>(copy.nbytes()));
  return copy;
}

class Model {
 public:
  Model(const py::object& source, const std::optional<py::str>& isa, uint64_t max_memory) {
    lrt_model_options options{};
    const std::string isa_name = isa ? c_string(*isa, "isa") : "";
    if (isa) options.isa = isa_name.c_str();
    options.max_memory = max_memory;
    lrt_model* model = nullptr;
    if (py::isinstance<py::bytes>(source)) {
      char* data = nullptr;
      Py_ssize_t size = 0;
      PyBytes_AsStringAndSize(source.ptr(), &data, &size);
      check([&](lrt_error* error) {
        return lrt_model_load_memory(data, static_cast<size_t>(size), &options, &model, error);
      });
    } else {
      const std::string path = c_string(py::object(py::module_::import("os").attr("fsencode")(source)), "the path");
      check([&](lrt_error* error) { return lrt_model_load(path.c_str(), &options, &model, error); });
    }
    model_.reset(model);
  }

  std::string isa() const { return lrt_model_isa(get()); }

  std::vector<PortTuple> inputs() const {
    std::vector<PortTuple> result;
    lrt_port port{};
    for (size_t i = 0; lrt_model_input(get(), i, &port) == LRT_OK; ++i) result.push_back(to_tuple(port));
    return result;
  }

  std::vector<PortTuple> outputs() const {
    std::vector<PortTuple> result;
    lrt_port port{};
    for (size_t i = 0; lrt_model_output(get(), i, &port) == LRT_OK; ++i) result.push_back(to_tuple(port));
    return result;
  }

  bool is_control(size_t input) const { return lrt_model_input_is_control(get(), input) != 0; }

  std::vector<std::pair<size_t, size_t>> bindings() const {
    std::vector<std::pair<size_t, size_t>> result;
    size_t input = 0, output = 0;
    for (size_t i = 0; lrt_model_binding(get(), i, &input, &output) == LRT_OK; ++i) result.emplace_back(input, output);
    return result;
  }

  std::vector<std::pair<std::string, std::string>> metadata() const {
    std::vector<std::pair<std::string, std::string>> result;
    const char* value = nullptr;
    for (size_t i = 0; const char* key = lrt_model_metadata(get(), i, &value); ++i) result.emplace_back(key, value);
    return result;
  }

  uint64_t parameters() const { return lrt_model_parameter_count(get()); }
  uint64_t weight_bytes() const { return lrt_model_weight_bytes(get()); }
  uint64_t packed_bytes() const { return lrt_model_packed_bytes(get()); }

  // The inputs of the first self-test, as copies; none if the file has no self-test.
  std::vector<py::array> selftest_inputs() const {
    std::vector<py::array> result;
    lrt_port port;
    const void* data = nullptr;
    lrt_error error;
    for (size_t i = 0; lrt_model_selftest_input(get(), 0, i, &port, &data, &error) == LRT_OK; ++i) {
      result.push_back(copy_of(port, data));
    }
    return result;
  }

  // A copy of the values that an input has if it is left out; None if it has none.
  py::object input_default(size_t input) const {
    lrt_port port;
    const void* data = nullptr;
    if (lrt_model_input_default(get(), input, &port, &data) != LRT_OK) return py::none();
    return copy_of(port, data);
  }

  size_t verify() const {
    size_t count = 0, failed = 0;
    check([&](lrt_error* error) { return lrt_model_verify(get(), &count, &failed, error); });
    return count;
  }

  Plan plan(const std::vector<py::array>& inputs) const { return Plan(get(), inputs); }

  // For the Cython side; valid while this object lives.
  uintptr_t handle() const { return reinterpret_cast<uintptr_t>(get()); }

 private:
  struct Free {
    void operator()(lrt_model* model) const { lrt_model_free(model); }
  };
  lrt_model* get() const { return model_.get(); }
  std::unique_ptr<lrt_model, Free> model_;
};

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (size_t i = 0; const char* name = lrt_available_isa(i); ++i) names.emplace_back(name);
  return names;
}

std::vector<std::string> exact_isas() {
  std::vector<std::string> names = available_isas();
  names.erase(std::remove_if(names.begin(), names.end(), [](const auto& n) { return !lrt_isa_is_exact(n.c_str()); }),
              names.end());
  return names;
}

std::string default_isa() {
  const char* name = nullptr;
  check([&](lrt_error* error) { return lrt_default_isa(&name, error); });
  return name;
}

std::vector<std::pair<std::string, std::string>> supported_ops() {
  std::vector<std::pair<std::string, std::string>> ops;
  const char* summary = nullptr;
  for (size_t i = 0; const char* name = lrt_supported_op(i, &summary); ++i) ops.emplace_back(name, summary);
  return ops;
}

py::array_t<float> evaluate(const py::str& function, const py::array_t<float, py::array::c_style>& x, float alpha,
                            float beta, const std::optional<py::str>& isa) {
  const std::string name = c_string(function, "function"), isa_name = isa ? c_string(*isa, "isa") : "";
  py::array_t<float> y(std::vector<py::ssize_t>(x.shape(), x.shape() + x.ndim()));
  const float* from = x.data();
  float* to = y.mutable_data();
  check([&](lrt_error* error) {
    return lrt_evaluate(isa ? isa_name.c_str() : nullptr, name.c_str(), from, to, static_cast<size_t>(x.size()), alpha,
                        beta, error);
  });
  return y;
}

// Converting leaves freed arrays of the size of the model with the C library, which may keep them for later.
void give_back_free_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "Models and plans of lstm_rt. Use lstm_rt.Model, which wraps this with names and checks.";
  // Has pybind11 look up numpy's functions now, not in a thread that the end of the interpreter may unwind in the middle.
  py::dtype::of<float>();
  m.def("version", &lrt_version);
  m.def("available_isas", &available_isas);
  m.def("exact_isas", &exact_isas);
  m.def("default_isa", &default_isa);
  m.def("supported_ops", &supported_ops);
  m.def("give_back_free_memory", &give_back_free_memory);
  m.def("evaluate", &evaluate, py::arg("function"), py::arg("x"), py::arg("alpha") = 1.0f, py::arg("beta") = 1.0f,
        py::arg("isa") = py::none());

  py::class_<Plan>(m, "Plan")
      .def("outputs", &Plan::outputs)
      .def("run", &Plan::run)
      .def("calls", &Plan::calls)
      .def("arena_bytes", &Plan::arena_bytes);

  py::class_<Model>(m, "Model")
      .def(py::init<const py::object&, const std::optional<py::str>&, uint64_t>(), py::arg("source"),
           py::arg("isa") = py::none(), py::arg("max_memory") = 0)
      .def("isa", &Model::isa)
      .def("inputs", &Model::inputs)
      .def("outputs", &Model::outputs)
      .def("is_control", &Model::is_control)
      .def("bindings", &Model::bindings)
      .def("input_default", &Model::input_default)
      .def("metadata", &Model::metadata)
      .def("parameters", &Model::parameters)
      .def("weight_bytes", &Model::weight_bytes)
      .def("packed_bytes", &Model::packed_bytes)
      .def("selftest_inputs", &Model::selftest_inputs)
      .def("verify", &Model::verify)
      .def("plan", &Model::plan)
      .def("handle", &Model::handle);
}

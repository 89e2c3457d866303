// Walks every op of the list with inputs that it may not expect: too few, too many and absent ones, every rank and dtype, dims
// of zero, and random attributes and values. Each is refused by an Error that names the op, or computed: then the result has a
// shape that a tensor may have, and the same bytes whether inputs come with the data, are known, or are weights. Nothing here
// knows what any op does; the list says what it takes.
#include <cstdio>
#include <cstring>
#include <random>
#include <string>

#include "model/memory.h"
#include "ops/signature.h"
#include "plan/plan.h"
#include "session/execution.h"

namespace {

using namespace lrt;

int passed = 0, failed = 0, refused = 0, computed = 0;
std::mt19937 random_bits(1);

void check(bool holds, const std::string& what) {
  ++(holds ? passed : failed);
  if (!holds && failed <= 50) std::printf("FAILED %s\n", what.c_str());
}

int64_t draw(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_bits); }
bool one_in(int64_t n) { return draw(1, n) == 1; }
template <class T, size_t N>
T pick(const T (&items)[N]) {
  return items[draw(0, N - 1)];
}

enum class Source { run_time, known, weight };

struct Given {
  bool present = true;
  DType dtype = DType::f32;
  Shape shape;
  Source source = Source::run_time;
  std::vector<char> bytes;  // exactly as many as there are, so that a sanitizer sees what is read behind them
};

struct Case {
  const OpEntry* entry;
  std::vector<Given> inputs;
  size_t outputs = 1;
  std::vector<Attribute> attributes;

  std::string text() const {
    std::string text = std::string(entry->type) + "(";
    for (const Given& input : inputs) {
      text += input.present ? std::string(name_of(input.dtype)) + input.shape.text() : "absent";
      text += input.source == Source::run_time ? ", " : input.source == Source::known ? " known, " : " weight, ";
    }
    for (const Attribute& attribute : attributes) {
      text += attribute.name + "=";
      for (const int64_t value : attribute.ints) text += std::to_string(value) + " ";
      for (const float value : attribute.floats) text += std::to_string(value) + " ";
      for (const std::string& value : attribute.strings) text += value + " ";
    }
    return text + ") -> " + std::to_string(outputs);
  }
};

std::vector<Slot> slots_of(std::string_view rest) {
  std::vector<Slot> slots;
  while (!rest.empty()) slots.push_back(signature::take_slot(rest));
  return slots;
}
std::vector<Slot> inputs_of(const OpEntry& entry) { return slots_of(signature::inputs_of(entry.signature)); }
std::vector<Slot> outputs_of(const OpEntry& entry) { return slots_of(signature::outputs_of(entry.signature)); }

void fill(Given& given, bool wild) {
  given.bytes.resize(static_cast<size_t>(bytes_of(given.dtype, given.shape)));
  constexpr int64_t kFar[] = {INT64_MAX, INT64_MIN, -1, int64_t{1} << 31, int64_t{1} << 40, 1000};
  constexpr float kOdd[] = {0.0f, -1.0f, 1e30f, -1e-37f, __builtin_inff(), __builtin_nanf("")};
  const auto put = [&](auto value) {
    for (size_t at = 0; at + sizeof value <= given.bytes.size(); at += sizeof value) {
      const int64_t number = wild ? pick(kFar) : draw(-2, 4);
      value = static_cast<decltype(value)>(number);
      if constexpr (std::is_same_v<decltype(value), float>)
        value = wild ? pick(kOdd) : static_cast<float>(number) * 0.5f;
      std::memcpy(given.bytes.data() + at, &value, sizeof value);
    }
  };
  if (given.dtype == DType::i64) return put(int64_t{});
  if (given.dtype == DType::i32) return put(int32_t{});
  if (given.dtype == DType::f32) return put(float{});
  put(uint8_t{});
}

// ---- Running one case ----

struct Outcome {
  bool computed = false;
  Status status = Status::ok;
  std::string message;
  std::vector<PlannedValue> values;
  std::vector<std::vector<char>> bytes;
};

// Inputs in the order of the case; what is absent takes no value.
Graph graph_of(const Case& c, PlanRequest* request) {
  Graph graph;
  Op op;
  op.type = c.entry->type;
  op.name = "node";
  op.attributes = c.attributes;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const Given& given = c.inputs[i];
    op.inputs.push_back(given.present ? static_cast<int>(graph.values.size()) : kAbsent);
    if (!given.present) continue;
    const int value = static_cast<int>(graph.values.size());
    graph.values.push_back("in" + std::to_string(i));
    const std::shared_ptr<const void> data(std::shared_ptr<const void>(),
                                           given.bytes.empty() ? no_elements() : given.bytes.data());
    if (given.source == Source::weight) {
      Weight weight;
      weight.dtype = given.dtype;
      weight.shape = given.shape;
      weight.data = data.get();
      weight.value = value;
      graph.weights.push_back(weight);
      continue;
    }
    Port port;
    port.value = value;
    port.dtype = static_cast<int32_t>(given.dtype);
    port.rank = given.shape.rank();
    port.dims.assign(given.shape.begin(), given.shape.end());
    port.dim_names.resize(port.dims.size());
    graph.inputs.push_back(port);
    request->inputs.push_back({given.dtype, given.shape, given.source == Source::known ? data : nullptr, -1});
  }
  for (size_t i = 0; i < c.outputs; ++i) {
    op.outputs.push_back(static_cast<int>(graph.values.size()));
    Port port;
    port.value = static_cast<int>(graph.values.size());
    graph.outputs.push_back(port);
    graph.values.push_back("out" + std::to_string(i));
  }
  graph.blocks.resize(1);
  graph.blocks[0].ops.push_back(op);
  for (const Port& port : graph.outputs) graph.blocks[0].outputs.push_back(port.value);
  graph.op_count = 1;
  return graph;
}

Outcome run(const Case& c, const Kernels& kernels) {
  Outcome outcome;
  PlanRequest request;
  const Graph graph = graph_of(c, &request);
  const MemoryScope scope(std::make_shared<SystemMemory>(), uint64_t{16} << 20);
  try {
    PackCache packs;
    const auto plan = make_plan(graph, kernels, packs, request);
    std::vector<const void*> inputs;
    for (const Given& given : c.inputs) {
      if (given.present && given.source != Source::weight) inputs.push_back(given.bytes.data());
    }
    outcome.values = plan->outputs;
    std::vector<void*> outputs;
    for (const PlannedValue& value : plan->outputs) {
      outcome.bytes.emplace_back(value.bytes(), '\x7f');
      outputs.push_back(outcome.bytes.back().data());
    }
    Execution execution(plan);
    execution.run(inputs.data(), outputs.data());
    execution.run(inputs.data(), outputs.data());  // a second run must not find what the first one left
    outcome.computed = true;
  } catch (const Error& error) {
    outcome.status = error.status;
    outcome.message = error.what();
  }
  return outcome;
}

bool names_op(const Outcome& outcome, const OpEntry& entry) {
  return outcome.status != Status::internal &&
         outcome.message.find("node 'node' (" + std::string(entry.type) + "): ") == 0;
}

bool is_output_limit(const Outcome& outcome) {
  return outcome.status == Status::memory && outcome.message.find("output 'out") == 0;
}

// The same bytes; one NaN is as good as another.
bool same(const PlannedValue& value, const std::vector<char>& a, const std::vector<char>& b) {
  if (value.dtype != DType::f32) return a == b;
  for (size_t at = 0; at < a.size(); at += sizeof(float)) {
    float x, y;
    std::memcpy(&x, a.data() + at, sizeof x);
    std::memcpy(&y, b.data() + at, sizeof y);
    if (std::memcmp(&x, &y, sizeof x) != 0 && !(x != x && y != y)) return false;
  }
  return true;
}

// A case with its inputs moved to another source, which must not change a byte.
void check_sources(const Case& c, const Outcome& first, const Kernels& kernels) {
  for (const Source source : {Source::known, Source::weight}) {
    Case other = c;
    for (Given& given : other.inputs) given.source = source;
    const Outcome second = run(other, kernels);
    if (!second.computed) {
      // Indices that come with the data are clamped, and lengths are not looked at if there is nothing to compute; known
      // ones are refused.
      const bool may = second.status == Status::memory ||
                       second.message.find("is outside an axis") != std::string::npos ||
                       second.message.find("sequence_lens[") != std::string::npos;
      check(may, c.text() + ": refused of known inputs: " + second.message);
      continue;
    }
    for (size_t i = 0; i < first.bytes.size(); ++i) {
      check(first.values[i].shape == second.values[i].shape && first.values[i].dtype == second.values[i].dtype,
            c.text() + ": of known inputs output " + std::to_string(i) + " is " + second.values[i].shape.text());
      check(same(first.values[i], first.bytes[i], second.bytes[i]),
            c.text() + ": of known inputs output " + std::to_string(i) + " differs");
    }
  }
}

Outcome expect_sound(const Case& c, const Kernels& kernels) {
  const Outcome outcome = run(c, kernels);
  ++(outcome.computed ? computed : refused);
  if (!outcome.computed) {
    check(names_op(outcome, *c.entry) || is_output_limit(outcome), c.text() + ": " + outcome.message);
    return outcome;
  }
  for (const PlannedValue& value : outcome.values) {
    check(value.shape.fits(), c.text() + ": a result of " + value.shape.text());
  }
  check_sources(c, outcome, kernels);
  return outcome;
}

// ---- Inputs by the signature, or against it ----

Shape shape_of(int rank, int64_t dim) { return Shape::filled(rank, dim); }

DType dtype_of(const Slot& slot, const std::vector<Given>& before) {
  if (slot.same_as >= 0 && static_cast<size_t>(slot.same_as) < before.size()) {
    return before[static_cast<size_t>(slot.same_as)].dtype;
  }
  std::vector<DType> dtypes;
  for (int bit = 0; bit < kWeightDTypes; ++bit) {
    if ((slot.dtypes >> bit & 1) != 0) dtypes.push_back(static_cast<DType>(bit));
  }
  return dtypes[static_cast<size_t>(draw(0, static_cast<int64_t>(dtypes.size()) - 1))];
}

// Makes data for an input whose dtype and shape are set. Weights alone may be bfloat16 or int4, and int4 comes in blocks.
void finish(Given& given, const Slot& slot, bool wild) {
  if (is_packed(given.dtype)) given.source = Source::weight;
  if (slot.control) given.source = one_in(2) ? Source::known : Source::weight;
  if (given.dtype == DType::q4) {
    if (given.shape.rank() == 0) given.shape.push_back(0);
    given.shape[given.shape.rank() - 1] *= kQ4Block;
  }
  fill(given, wild);
}

Given draw_input(const Slot& slot, const std::vector<Given>& before) {
  Given given;
  given.present = !slot.closed() && !(slot.optional && one_in(2));
  given.dtype = one_in(40) ? static_cast<DType>(draw(0, kDTypes - 1)) : dtype_of(slot, before);
  const bool like_first = !before.empty() && one_in(3);
  int rank = static_cast<int>(one_in(20) ? draw(0, 6) : draw(slot.least_rank, std::min(slot.most_rank, 6)));
  if (like_first) rank = before[0].shape.rank();
  constexpr int64_t kDims[] = {0, 1, 1, 2, 2, 2, 3, 4};
  const int64_t same = pick(kDims);
  const bool all_same = one_in(2);
  for (int axis = 0; axis < rank; ++axis) given.shape.push_back(all_same ? same : pick(kDims));
  if (like_first && one_in(2)) given.shape = before[0].shape;
  if (slot.control && slot.most_rank <= 1) given.shape = one_in(3) ? Shape{} : Shape{draw(0, 4)};
  given.source = one_in(3) ? Source::known : Source::run_time;
  finish(given, slot, one_in(10));
  return given;
}

Attribute ints(const char* name, std::vector<int64_t> values) {
  return {name, Attribute::Kind::ints, std::move(values), {}, {}};
}

// Attributes of any op: those that it does not have are ignored.
std::vector<Attribute> draw_attributes(int rank) {
  constexpr int64_t kWild[] = {INT64_MIN, INT64_MAX, -1, 0, int64_t{1} << 31, (int64_t{1} << 31) - 1, int64_t{1} << 40};
  std::vector<Attribute> attributes;
  const auto value = [&](int64_t low, int64_t high) { return one_in(30) ? pick(kWild) : draw(low, high); };
  const auto one = [&](const char* name, int64_t low, int64_t high) {
    if (one_in(2)) attributes.push_back(ints(name, {value(low, high)}));
  };
  const auto several = [&](const char* name, int64_t count, int64_t low, int64_t high) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(value(low, high));
    attributes.push_back(ints(name, values));
  };
  const auto text = [&](const char* name, auto&... choices) {
    const char* const all[] = {choices...};
    attributes.push_back({name, Attribute::Kind::strings, {}, {}, {pick(all)}});
  };
  attributes.push_back(ints("axis", {value(-rank, std::max(rank - 1, 0))}));
  attributes.push_back(ints("dtype", {value(0, kDTypes - 1)}));
  const char* const kFlags[] = {"keepdims",       "select_last_index",
                                "largest",        "exclusive",
                                "reverse",        "upper",
                                "transA",         "transB",
                                "fmod",           "flatten",
                                "input_forget",   "layout",
                                "ceil_mode",      "count_include_pad",
                                "antialias",      "allowzero",
                                "exclude_outside"};
  for (const char* flag : kFlags) one(flag, 0, 1);
  for (const char* number : {"group", "p", "size", "num_groups", "blocksize", "block_size", "hidden_size"})
    one(number, 1, 3);
  for (const char* number : {"k", "start", "end", "batch_dims", "batch_axis", "time_axis"}) one(number, -1, 2);
  const int64_t spatial = one_in(10) ? draw(0, 4) : std::max(rank - 2, 0);
  several("kernel_shape", spatial, 1, 3);
  if (one_in(2)) several("strides", spatial, 1, 2);
  if (one_in(2)) several("dilations", spatial, 1, 2);
  if (one_in(2)) several("pads", 2 * spatial, 0, 2);
  if (one_in(8)) several("output_padding", spatial, 0, 1);
  if (one_in(8)) several("output_shape", spatial, 0, 5);
  if (one_in(3)) several("axes", draw(0, 3), -rank, rank);
  if (one_in(3)) several("perm", rank, 0, std::max(rank - 1, 0));
  if (one_in(4)) text("auto_pad", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET");
  if (one_in(4)) text("direction", "LEFT", "RIGHT", "forward", "reverse", "bidirectional");
  if (one_in(3)) text("mode", "nearest", "linear", "cubic", "constant", "reflect", "edge", "wrap", "DCR", "CRD");
  if (one_in(3)) text("coordinate_transformation_mode", "align_corners", "asymmetric", "tf_crop_and_resize");
  if (one_in(3)) text("reduction", "add", "mul", "min", "max");
  text("equation", "ij,jk->ik", "i,j->ij", "ij->", "...i,...i->...", "bij,bjk", "ii->i", "ab,cd,abcd->");
  for (const char* number : {"epsilon", "alpha", "beta", "cubic_coeff_a"}) {
    constexpr float kNumbers[] = {0.0f, 1.0f, -0.5f, 1e-5f, __builtin_nanf(""), 3e38f};
    if (one_in(6)) attributes.push_back({number, Attribute::Kind::floats, {}, {pick(kNumbers)}, {}});
  }
  return attributes;
}

// ---- The walks ----

// The list's own bounds, counted here again.
void test_counts(const OpEntry& entry) {
  const std::vector<Slot> inputs = inputs_of(entry), outputs = outputs_of(entry);
  const auto refuses = [&entry](const Op& op) {
    try {
      check_counts(entry, op);
      return false;
    } catch (const Error& error) {
      return error.status == Status::file && std::string(error.what()).find(describe(op) + ": ") == 0;
    }
  };
  Op op;
  op.type = entry.type;
  for (size_t given = 0; given <= inputs.size() + 2; ++given) {
    bool wrong = given > inputs.size() && (inputs.empty() || inputs.back().repeats == 0);
    op.inputs.clear();
    for (size_t i = 0; i < given; ++i) op.inputs.push_back(i < inputs.size() && inputs[i].closed() ? kAbsent : 0);
    for (size_t i = given; i < inputs.size(); ++i) wrong = wrong || (!inputs[i].optional && inputs[i].repeats != '*');
    op.outputs.assign(std::max<size_t>(outputs.size(), 1), 0);
    check(refuses(op) == wrong, std::string(entry.type) + " of " + std::to_string(given) + " inputs");
    for (size_t i = 0; !wrong && i < given; ++i) {
      Op other = op;
      const Slot& slot = inputs[std::min(i, inputs.size() - 1)];
      other.inputs[i] = other.inputs[i] == kAbsent ? 0 : kAbsent;
      check(refuses(other) == (!slot.optional || slot.closed()),
            std::string(entry.type) + ": input " + std::to_string(i));
    }
    for (const size_t count : {size_t{0}, outputs.size() + 1}) {
      Op other = op;
      other.outputs.assign(count, 0);
      const bool any = outputs.back().repeats != 0;
      const bool fits = any && (count > 0 || outputs.back().repeats == '*');
      check(refuses(other) == (wrong || !fits), std::string(entry.type) + " of " + std::to_string(count) + " outputs");
    }
  }
}

// Every rank of the first input with every rank of the others, every dtype of the first, and dims of 0, 1 and 2.
void test_ranks(const OpEntry& entry, const Kernels& kernels) {
  const std::vector<Slot> slots = inputs_of(entry);
  for (int rank = 0; rank <= 6; ++rank) {
    for (int other_rank = 0; other_rank <= 6; ++other_rank) {
      for (const int64_t dim : {0, 1, 2}) {
        for (int dtype = 0; dtype < kDTypes; ++dtype) {
          Case c{&entry, {}, 1, draw_attributes(rank)};
          for (const Slot& slot : slots) {
            Given given;
            given.present = !slot.closed() && !(slot.optional && one_in(2));
            given.dtype = c.inputs.empty() ? static_cast<DType>(dtype) : dtype_of(slot, c.inputs);
            given.shape = shape_of(c.inputs.empty() ? rank : other_rank, dim);
            finish(given, slot, false);
            c.inputs.push_back(given);
          }
          const Outcome outcome = expect_sound(c, kernels);
          const Slot& first = slots[0];
          const bool declared = rank >= first.least_rank && rank <= first.most_rank && (first.dtypes >> dtype & 1) != 0;
          if (!declared) check(!outcome.computed, c.text() + ": computed, against the signature");
          if (slots.size() == 1 && other_rank > 0) break;
        }
      }
    }
  }
}

void test_random(const OpEntry& entry, const Kernels& kernels, int rounds) {
  const std::vector<Slot> slots = inputs_of(entry), outputs = outputs_of(entry);
  for (int round = 0; round < rounds; ++round) {
    Case c{&entry, {}, static_cast<size_t>(draw(1, static_cast<int64_t>(outputs.size()))), {}};
    if (outputs.back().repeats != 0) c.outputs = static_cast<size_t>(draw(1, 4));
    for (const Slot& slot : slots) {
      const int64_t count = slot.repeats == 0 ? 1 : draw(slot.repeats == '+' ? 1 : 0, 3);
      for (int64_t i = 0; i < count; ++i) c.inputs.push_back(draw_input(slot, c.inputs));
    }
    if (one_in(20)) c.inputs.resize(static_cast<size_t>(draw(0, static_cast<int64_t>(c.inputs.size()))));
    if (one_in(20)) c.inputs.push_back(draw_input(slots[0], c.inputs));
    c.attributes = draw_attributes(c.inputs.empty() ? 0 : c.inputs[0].shape.rank());
    expect_sound(c, kernels);
  }
}

void test_validity() {
  for (const char* text : {"X > Y", "X:f/3-5 W?:w/2+ - s!?:li/0-1 > Y Z?", "X+:=0 > Y+", "X > Y*"}) {
    // A slot has no dtype of its own before it.
    check(signature::is_valid(text) == (std::string(text) != "X+:=0 > Y+"), text);
  }
  for (const char* text :
       {"", "X", "X >", "X:q > Y", "X: > Y", "X/ > Y", "X/5-3 > Y", "X/9 > Y", "X+ Y > Z", "X:=0 > Y"}) {
    check(!signature::is_valid(text), std::string("not a signature: ") + text);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 300;
  const Kernels& kernels = *choose_kernels(nullptr);
  test_validity();
  for (const OpEntry& entry : op_list()) {
    if (count > 2 && std::string(entry.type) != arguments[2]) continue;
    test_counts(entry);
    if (!entry.plan) continue;
    const int before = computed;
    test_ranks(entry, kernels);
    test_random(entry, kernels, rounds);
    if (count > 1) std::printf("%-28s %d computed\n", entry.type, computed - before);
  }
  std::printf("%d checks passed, %d failed; %d cases refused, %d computed\n", passed, failed, refused, computed);
  return failed == 0 ? 0 : 1;
}

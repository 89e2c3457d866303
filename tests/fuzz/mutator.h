// Changes what a model means: ops, wiring, attributes, dtypes, shapes, names, states, self-tests. Everything follows from
// the number of the mutant and the seeds, on every machine, so a number is enough to make a mutant again.
#pragma once

#include <map>
#include <utility>

#include "draft_edit.h"
#include "lstm_rt.h"
#include "random_tensors.h"

namespace lrt_fuzz {

using lrt::Attribute;
using lrt::kAbsent;
using lrt::Op;

// The drafts of all seeds, and which attributes each op has there.
struct Seeds {
  std::vector<Draft> drafts;
  std::map<std::string, std::vector<std::vector<Attribute>>> attributes;  // by op
  std::vector<Attribute> every_attribute;
  std::vector<std::string> ops, strings;  // all ops of the library; all strings of attributes

  explicit Seeds(std::vector<Draft> read) : drafts(std::move(read)) {
    for (size_t i = 0; lrt_supported_op(i, nullptr) != nullptr; ++i) ops.emplace_back(lrt_supported_op(i, nullptr));
    for (const Draft& draft : drafts) {
      for (const lrt::Block& block : draft.blocks) {
        for (const Op& op : block.ops) add(op);
      }
    }
    if (every_attribute.empty()) every_attribute.push_back({"axis", Attribute::Kind::ints, {0}, {}, {}});
    strings.insert(strings.end(), {"", "linear", "SAME_UPPER", "VALID", "ab,bc->ac", "...i->i..."});
  }

 private:
  void add(const Op& op) {
    std::vector<Attribute> own;
    for (const Attribute& attribute : op.attributes) {
      if (attribute.kind == Attribute::Kind::block) continue;
      own.push_back(attribute);
      every_attribute.push_back(attribute);
      strings.insert(strings.end(), attribute.strings.begin(), attribute.strings.end());
    }
    attributes[op.type].push_back(std::move(own));
  }
};

class Mutator {
 public:
  Mutator(const Seeds& seeds, uint64_t number) : seeds_(seeds), random_(number * 2654435761U + 1), tensors_(random_) {
    draft_ = random_.of(seeds.drafts);
  }

  Draft make() {
    if (random_.one_in(6)) chain();
    for (size_t changes = 1 + random_.below(6) * random_.below(2); changes > 0; --changes) change();
    fit_tests();
    return std::move(draft_);
  }

 private:
  static constexpr size_t kMostValues = 4000;  // what only grows is not what is looked for

  void change() {
    using Change = void (Mutator::*)();
    static constexpr Change kOfOps[] = {&Mutator::change_type,
                                        &Mutator::change_type,
                                        &Mutator::change_input,
                                        &Mutator::change_input,
                                        &Mutator::change_attribute,
                                        &Mutator::change_attribute,
                                        &Mutator::change_output,
                                        &Mutator::graft,
                                        &Mutator::graft,
                                        &Mutator::remove_op,
                                        &Mutator::put_in_block};
    static constexpr Change kOfData[] = {&Mutator::change_weight_shape, &Mutator::change_weight_dtype,
                                         &Mutator::change_numbers,      &Mutator::change_numbers,
                                         &Mutator::change_port,         &Mutator::change_port,
                                         &Mutator::make_input,          &Mutator::make_weight};
    static constexpr Change kOfModel[] = {&Mutator::change_outputs, &Mutator::change_bindings, &Mutator::change_default,
                                          &Mutator::change_test,    &Mutator::change_names,    &Mutator::change_text};
    const auto pick = [this](const auto& changes) { return changes[random_.below(std::size(changes))]; };
    const size_t way = random_.below(20);
    const Change chosen = way < 12 ? pick(kOfOps) : way < 17 ? pick(kOfData) : pick(kOfModel);
    (this->*chosen)();
  }

  // ---- What there is ----

  lrt::Block& block(size_t number) { return draft_.blocks[number]; }
  Op& op(Place place) { return block(place.block).ops[place.at]; }

  // Any op; false if there are none.
  bool find_op(Place* place) {
    size_t count = 0;
    for (const lrt::Block& each : draft_.blocks) count += each.ops.size();
    if (count == 0) return false;
    size_t left = random_.below(count);
    for (place->block = 0; left >= block(place->block).ops.size(); ++place->block)
      left -= block(place->block).ops.size();
    place->at = left;
    return true;
  }

  // A value for an op at this place to read: mostly one that it may.
  int value_for(Place place) {
    if (random_.one_in(40)) return static_cast<int>(random_.below(draft_.values.size()));
    if (random_.one_in(4)) return new_weight();
    const std::vector<int> values = visible_values(draft_, place);
    if (values.empty()) return new_weight();
    if (random_.one_in(2)) return values[values.size() - 1 - random_.below(std::min<size_t>(values.size(), 4))];
    return random_.of(values);
  }

  int new_weight() {
    if (draft_.values.size() > kMostValues) return draft_.weights.empty() ? 0 : draft_.weights[0].value;
    return draft_.add_weight("new", random_.one_in(2) ? tensors_.small_integers() : tensors_.any_tensor());
  }

  // ---- Ops ----

  std::vector<Attribute> attributes_for(const std::string& type) {
    const auto found = seeds_.attributes.find(type);
    return found == seeds_.attributes.end() ? std::vector<Attribute>() : random_.of(found->second);
  }

  // An op with blocks stays what it is: any other type is refused at once.
  static bool has_blocks(const Op& op) {
    return std::any_of(op.attributes.begin(), op.attributes.end(),
                       [](const Attribute& attribute) { return attribute.kind == Attribute::Kind::block; });
  }

  void change_type() {
    Place place;
    if (!find_op(&place) || has_blocks(op(place))) return;
    Op& changed = op(place);
    changed.type = random_.of(seeds_.ops);
    if (!random_.one_in(3)) changed.attributes = attributes_for(changed.type);
  }

  void change_input() {
    Place place;
    if (!find_op(&place)) return;
    const int value = random_.one_in(3) ? kAbsent : value_for(place);
    std::vector<int>& inputs = op(place).inputs;
    if (inputs.empty() || random_.one_in(5)) {
      inputs.push_back(value);
      return;
    }
    const auto at = inputs.begin() + static_cast<std::ptrdiff_t>(random_.below(inputs.size()));
    switch (random_.below(6)) {
      case 0:
        inputs.erase(at);
        break;
      case 1:
        inputs.insert(at, *at);
        break;
      case 2:
        std::iter_swap(at, inputs.begin());
        break;
      case 3:
        *at = random_.of(inputs);
        break;
      default:
        *at = value;
    }
  }

  void change_output() {
    Place place;
    if (!find_op(&place)) return;
    std::vector<int>& outputs = op(place).outputs;
    if (outputs.empty() || random_.one_in(2)) {
      const int value = random_.one_in(3) ? kAbsent : draft_.add_value("more");
      outputs.insert(outputs.begin() + static_cast<std::ptrdiff_t>(random_.below(outputs.size() + 1)), value);
      return;
    }
    std::swap(outputs.front(), outputs[random_.below(outputs.size())]);
    if (random_.one_in(2)) outputs.pop_back();
  }

  void change_attribute() {
    Place place;
    if (!find_op(&place)) return;
    std::vector<Attribute>& attributes = op(place).attributes;
    if (attributes.empty() || random_.one_in(6)) {
      attributes.push_back(random_.of(seeds_.every_attribute));
      const std::vector<Attribute> own = attributes_for(op(place).type);
      if (!own.empty() && !random_.one_in(4)) attributes.back() = random_.of(own);
      return;
    }
    const size_t at = random_.below(attributes.size());
    if (random_.one_in(8)) {
      attributes.erase(attributes.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    }
    change(&attributes[at]);
  }

  void change(Attribute* attribute) {
    if (attribute->kind == Attribute::Kind::block && !random_.one_in(10)) return;
    const size_t items = attribute->ints.size() + attribute->floats.size() + attribute->strings.size();
    if (random_.one_in(10)) {  // another kind
      const int64_t whole = attribute->ints.empty() ? 1 : attribute->ints[0];
      attribute->kind = static_cast<Attribute::Kind>(random_.below(3));
      attribute->ints.assign(attribute->kind == Attribute::Kind::ints ? items : 0, whole);
      attribute->floats.assign(attribute->kind == Attribute::Kind::floats ? items : 0, static_cast<float>(whole));
      attribute->strings.assign(attribute->kind == Attribute::Kind::strings ? items : 0, random_.of(seeds_.strings));
      return;
    }
    if (!change_length(attribute)) return;
    const size_t at = random_.below(items);
    if (!attribute->ints.empty()) attribute->ints[at] = tensors_.integer(attribute->ints[at]);
    if (!attribute->floats.empty()) attribute->floats[at] = tensors_.number(attribute->floats[at]);
    if (!attribute->strings.empty()) attribute->strings[at] = random_.of(seeds_.strings);
  }

  // Sometimes; true if a number is to be changed instead.
  bool change_length(Attribute* attribute) {
    const size_t items = attribute->ints.size() + attribute->floats.size() + attribute->strings.size();
    if (items > 0 && !random_.one_in(8)) return true;
    const bool longer = random_.one_in(2);
    const auto resize = [longer](auto* list, auto item) {
      if (longer) list->push_back(item);
      if (!longer && !list->empty()) list->pop_back();
    };
    if (attribute->kind == Attribute::Kind::floats) resize(&attribute->floats, 1.0F);
    if (attribute->kind == Attribute::Kind::strings) resize(&attribute->strings, random_.of(seeds_.strings));
    if (attribute->kind == Attribute::Kind::ints) resize(&attribute->ints, int64_t{1});
    return false;
  }

  // A new op between two: an op of a seed with its weights, or any op of the library.
  void graft() {
    Place place;
    if (!find_op(&place) || draft_.values.size() > kMostValues) return;
    Op made;
    const Draft& donor = random_.of(seeds_.drafts);
    const lrt::Block& from = random_.of(donor.blocks);
    if (from.ops.empty() || random_.one_in(3)) {
      made.type = random_.of(seeds_.ops);
      made.attributes = attributes_for(made.type);
      for (size_t count = 1 + random_.below(4); count > 0; --count) made.inputs.push_back(value_for(place));
      made.outputs.assign(1 + random_.below(2) * random_.below(3), 0);
    } else {
      made = random_.of(from.ops);
      if (has_blocks(made)) return;
      for (int& input : made.inputs) input = input == kAbsent ? kAbsent : graft_value(donor, input, place);
    }
    made.name = "graft";
    for (int& output : made.outputs) output = draft_.add_value("graft");
    if (made.outputs.empty()) return;
    lrt::Block& target = block(place.block);
    use_in_place_of_another(place, made.outputs[random_.below(made.outputs.size())]);
    target.ops.insert(target.ops.begin() + static_cast<std::ptrdiff_t>(place.at), std::move(made));
  }

  // The op at this place, or the block, reads `value` instead of something else.
  void use_in_place_of_another(Place place, int value) {
    std::vector<int>& inputs = op(place).inputs;
    if (place.block == 0 && (inputs.empty() || random_.one_in(3))) {
      if (random_.one_in(3)) {
        draft_.outputs.push_back({value, -1, -1, {}, {}});
      } else {
        draft_.outputs[random_.below(draft_.outputs.size())].value = value;
      }
      draft_.bindings.clear();
    } else if (!inputs.empty()) {
      inputs[random_.below(inputs.size())] = value;
    }
  }

  int graft_value(const Draft& donor, int value, Place place) {
    for (const DraftWeight& weight : donor.weights) {
      if (weight.value == value) return draft_.add_weight("graft", weight.tensor);
    }
    return value_for(place);
  }

  // Removes an op; readers of its first output read its first input instead.
  void remove_op() {
    Place place;
    if (!find_op(&place) || has_blocks(op(place)) || op(place).outputs.empty()) return;
    const Op gone = op(place);
    const int instead = gone.inputs.empty() || gone.inputs[0] == kAbsent ? value_for(place) : gone.inputs[0];
    block(place.block).ops.erase(block(place.block).ops.begin() + static_cast<std::ptrdiff_t>(place.at));
    for (const int output : gone.outputs) {
      if (output != kAbsent) replace_value(output, instead, &draft_);
    }
    drop_values(gone.outputs, &draft_);
  }

  // An op becomes the body of a Loop, or both branches of an If.
  void put_in_block() {
    Place place;
    if (!find_op(&place) || has_blocks(op(place)) || op(place).outputs.empty()) return;
    for (const int output : op(place).outputs) {
      if (output == kAbsent) return;
    }
    if (random_.one_in(2)) {
      put_in_loop(place);
    } else {
      put_in_if(place);
    }
  }

  int scalar(DType dtype, int64_t value) {
    Tensor tensor;
    tensor.dtype = dtype;
    tensors_.fill(&tensor);
    std::memcpy(tensor.data.data(), &value, tensor.data.size());  // little endian
    return draft_.add_weight("scalar", std::move(tensor));
  }

  // The op's first input is carried, and its first output is what is carried on; the others are stacked.
  void put_in_loop(Place place) {
    static constexpr int64_t kTrips[] = {0, 1, 2, 3, 7, 100, 3000, 100000, int64_t{1} << 23, INT64_MAX, -1};
    lrt::Block body;
    Op inner = op(place), loop;
    loop.type = "Loop";
    loop.name = "loop";
    loop.inputs = {scalar(DType::i64, kTrips[random_.below(random_.one_in(3) ? std::size(kTrips) : 6)]),
                   random_.one_in(10) ? value_for(place) : scalar(DType::boolean, random_.one_in(10) ? 0 : 1)};
    body.inputs = {draft_.add_value("iteration"), draft_.add_value("go")};
    body.outputs = {random_.one_in(10) ? value_for(place) : body.inputs[1]};
    if (!inner.inputs.empty() && inner.inputs[0] != kAbsent && random_.one_in(2)) {
      loop.inputs.push_back(inner.inputs[0]);
      body.inputs.push_back(draft_.add_value("carried"));
      inner.inputs[0] = body.inputs.back();
    }
    if (!inner.inputs.empty() && random_.one_in(4)) inner.inputs[random_.below(inner.inputs.size())] = body.inputs[0];
    for (int& output : inner.outputs) {
      loop.outputs.push_back(output);
      body.outputs.push_back(output = draft_.add_value("inner"));
    }
    if (random_.one_in(4)) {
      loop.attributes.push_back({"scan_output_axes", Attribute::Kind::ints, {tensors_.integer(0)}, {}, {}});
    }
    body.ops.push_back(std::move(inner));
    loop.attributes.push_back(add_block("body", std::move(body)));
    op(place) = std::move(loop);
  }

  void put_in_if(Place place) {
    lrt::Block branch;
    Op inner = op(place), chosen;
    chosen.type = "If";
    chosen.name = "if";
    chosen.inputs = {random_.one_in(4) ? value_for(place) : scalar(DType::boolean, random_.one_in(2) ? 0 : 1)};
    for (int& output : inner.outputs) {
      chosen.outputs.push_back(output);
      branch.outputs.push_back(output = draft_.add_value("inner"));
    }
    lrt::Block other;  // gives values that are there already
    for (size_t i = 0; i < chosen.outputs.size(); ++i) other.outputs.push_back(value_for(place));
    branch.ops.push_back(std::move(inner));
    const bool first = random_.one_in(2);
    chosen.attributes.push_back(add_block(first ? "then_branch" : "else_branch", std::move(branch)));
    chosen.attributes.push_back(add_block(first ? "else_branch" : "then_branch", std::move(other)));
    op(place) = std::move(chosen);
  }

  Attribute add_block(const char* name, lrt::Block body) {
    draft_.blocks.push_back(std::move(body));
    return {name, Attribute::Kind::block, {static_cast<int64_t>(draft_.blocks.size()) - 1}, {}, {}};
  }

  // Another seed follows this one, and reads some of its values in place of its own inputs.
  void chain() {
    const Draft& next = random_.of(seeds_.drafts);
    std::vector<int> number(next.values.size(), kAbsent);
    for (const lrt::Port& input : next.inputs) {
      int& value = number[static_cast<size_t>(input.value)];
      if (random_.one_in(3)) {
        draft_.inputs.push_back(input);
        value = draft_.inputs.back().value = draft_.add_value(next.values[static_cast<size_t>(input.value)]);
      } else {
        value = value_for({0, block(0).ops.size()});
      }
    }
    append(next, std::move(number), &draft_);
  }

  // ---- Weights, inputs and outputs ----

  Tensor* any_weight() {
    return draft_.weights.empty() ? nullptr : &draft_.weights[random_.below(draft_.weights.size())].tensor;
  }

  void change_weight_shape() {
    Tensor* const tensor = any_weight();
    if (tensor == nullptr) return;
    tensors_.change_dims(&tensor->dims);
    tensors_.fill(tensor);
  }

  void change_weight_dtype() {
    Tensor* const tensor = any_weight();
    if (tensor == nullptr) return;
    tensor->dtype = static_cast<DType>(random_.below(lrt::kWeightDTypes));
    tensors_.fill(tensor);
  }

  void change_numbers() {
    Tensor* const tensor = any_weight();
    if (tensor == nullptr || tensor->dtype == DType::q4 || tensor->elements() == 0) return;
    for (size_t count = 1 + random_.below(3); count > 0; --count)
      tensors_.set_element(tensor, random_.below(static_cast<size_t>(tensor->elements())), true);
  }

  void change_port() {
    const bool of_inputs = !draft_.inputs.empty() && !random_.one_in(5);
    lrt::Port& port = of_inputs ? draft_.inputs[random_.below(draft_.inputs.size())]
                                : draft_.outputs[random_.below(draft_.outputs.size())];
    switch (random_.below(4)) {
      case 0:
        port.dtype = static_cast<int32_t>(random_.below(lrt::kDTypes));
        return;
      case 1:
        for (int64_t& dim : port.dims) dim = random_.one_in(2) ? -1 : std::max<int64_t>(dim, 2);
        break;
      case 2:
        if (!port.dims.empty())
          port.dims[random_.below(port.dims.size())] = random_.one_in(2) ? -1 : tensors_.integer(3);
        break;
      default:
        tensors_.change_dims(&port.dims);
    }
    port.rank = static_cast<int>(port.dims.size());
    port.dim_names.resize(port.dims.size());
    if (!port.dims.empty() && random_.one_in(4)) {
      port.dim_names[random_.below(port.dims.size())] = random_.one_in(2) ? "batch" : "time";
    }
  }

  // A weight becomes an input: mostly one that decides a shape.
  void make_input() {
    if (draft_.weights.empty()) return;
    const auto at = draft_.weights.begin() + static_cast<std::ptrdiff_t>(random_.below(draft_.weights.size()));
    if (lrt::is_packed(at->tensor.dtype)) return;
    const Tensor& tensor = at->tensor;
    draft_.inputs.push_back({at->value, static_cast<int32_t>(tensor.dtype), static_cast<int>(tensor.dims.size()),
                             tensor.dims, std::vector<std::string>(tensor.dims.size())});
    for (DraftTest& test : draft_.tests) test.inputs.push_back(tensor);
    draft_.weights.erase(at);
  }

  void make_weight() {
    if (draft_.inputs.empty()) return;
    const size_t at = random_.below(draft_.inputs.size());
    const lrt::Port port = draft_.inputs[at];
    Tensor tensor{static_cast<DType>(port.dtype), port.dims, {}};
    for (int64_t& dim : tensor.dims) dim = dim < 0 ? 1 + static_cast<int64_t>(random_.below(3)) : dim;
    tensors_.fill(&tensor);
    draft_.weights.push_back({port.value, std::move(tensor)});
    draft_.inputs.erase(draft_.inputs.begin() + static_cast<std::ptrdiff_t>(at));
    for (DraftTest& test : draft_.tests) {
      if (at < test.inputs.size()) test.inputs.erase(test.inputs.begin() + static_cast<std::ptrdiff_t>(at));
    }
    draft_.bindings.clear();
  }

  // ---- The model ----

  void change_outputs() {
    std::vector<lrt::Port>& outputs = draft_.outputs;
    const size_t at = random_.below(outputs.size());
    const int value = value_for({0, block(0).ops.size()});
    switch (random_.below(4)) {
      case 0:
        outputs.push_back({value, -1, -1, {}, {}});
        break;
      case 1:
        outputs.push_back(outputs[at]);
        break;
      case 2:
        std::swap(outputs.front(), outputs[at]);
        break;
      default:
        outputs[at].value = value;
    }
  }

  void change_bindings() {
    auto& bindings = draft_.bindings;
    if (!bindings.empty() && random_.one_in(2)) {
      bindings.erase(bindings.begin() + static_cast<std::ptrdiff_t>(random_.below(bindings.size())));
      return;
    }
    if (draft_.inputs.empty()) return;
    bindings.emplace_back(random_.of(draft_.inputs).value, random_.of(draft_.outputs).value);
    if (random_.one_in(2)) std::swap(bindings.front().second, bindings.back().second);
  }

  void change_default() {
    if (draft_.inputs.empty() || draft_.weights.empty()) return;
    lrt::Port& input = draft_.inputs[random_.below(draft_.inputs.size())];
    const size_t weight = random_.below(draft_.weights.size());
    input.default_weight = static_cast<int>(weight);
    if (random_.one_in(3)) return;
    const Tensor& tensor = draft_.weights[weight].tensor;  // a default that fits
    input.dtype = static_cast<int32_t>(tensor.dtype);
    input.rank = static_cast<int>(tensor.dims.size());
    input.dims = tensor.dims;
    input.dim_names.assign(tensor.dims.size(), "");
  }

  void change_test() {
    if (draft_.tests.empty()) {
      draft_.tests.emplace_back();
      return;
    }
    DraftTest& test = draft_.tests[random_.below(draft_.tests.size())];
    std::vector<Tensor>& tensors = random_.one_in(3) ? test.outputs : test.inputs;
    if (tensors.empty()) return;
    Tensor& tensor = tensors[random_.below(tensors.size())];
    if (random_.one_in(4)) tensor.dtype = static_cast<DType>(random_.below(lrt::kDTypes));
    if (random_.one_in(2)) tensors_.change_dims(&tensor.dims);
    tensors_.fill(&tensor);
  }

  void change_names() {
    static const char* const kNames[] = {"", "a/b", "x", "lstm.h", "\xC3\xA9", "a\tb", "..", "-"};
    std::string& name = draft_.values[random_.below(draft_.values.size())];
    switch (random_.below(4)) {
      case 0:
        name = kNames[random_.below(std::size(kNames))];
        break;
      case 1:
        std::swap(name, draft_.values[random_.below(draft_.values.size())]);
        break;
      case 2:
        name.resize(1 + random_.below(2000), 'n');
        break;
      default:
        name += ".h";
    }
    Place place;
    if (find_op(&place) && random_.one_in(2)) op(place).name = kNames[random_.below(std::size(kNames))];
  }

  void change_text() {
    static const char* const kKeys[] = {
        "general.name",           "general.description", "lstm_rt.source.file",     "lstm_rt.source.sha256",
        "lstm_rt.source.unknown", "lstm_rt.hint.frame",  "lstm_rt.source.framework"};
    const std::string text = random_.one_in(4) ? std::string(random_.below(3000), 't') : random_.of(seeds_.strings);
    const std::string key = kKeys[random_.below(std::size(kKeys))];
    for (auto& [name, was] : draft_.metadata) {
      if (name != key) continue;
      was = text;
      return;
    }
    draft_.metadata.emplace_back(key, text);
  }

  // Every self-test has a tensor for each input and output; else the file is refused before its graph is seen.
  void fit_tests() {
    const auto fit = [this](std::vector<Tensor>* tensors, const std::vector<lrt::Port>& ports) {
      tensors->resize(ports.size());
      for (size_t i = 0; i < ports.size(); ++i) {
        Tensor& tensor = (*tensors)[i];
        if (!tensor.data.empty()) continue;
        tensor.dtype = ports[i].dtype < 0 ? DType::f32 : static_cast<DType>(ports[i].dtype);
        tensor.dims = ports[i].dims;
        for (int64_t& dim : tensor.dims) dim = dim < 0 ? 2 : dim;
        tensors_.fill(&tensor);
      }
    };
    for (DraftTest& test : draft_.tests) {
      fit(&test.inputs, draft_.inputs);
      fit(&test.outputs, draft_.outputs);
    }
  }

  const Seeds& seeds_;
  Random random_;
  TensorMaker tensors_;
  Draft draft_;
};

}  // namespace lrt_fuzz

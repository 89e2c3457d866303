// An op in words, and its attributes as ops ask for them; what need not be kept in memory.
#include "model/graph.h"

#include <algorithm>

#include "model/error.h"
#include "model/gguf.h"
#include "model/text.h"

namespace lrt {
namespace {

using Kind = Attribute::Kind;

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::ints:
      return "integers";
    case Kind::floats:
      return "floats";
    case Kind::strings:
      return "strings";
    case Kind::block:
      return "a block";
  }
  return "nothing";
}

[[noreturn]] void refuse_attribute(const Op& op, const std::string& attribute, const std::string& why) {
  throw Error(Status::unsupported,
              describe(op) + ": attribute " + quoted(attribute) + " " + why + ". Convert the model again.");
}

const Attribute* find_kind(const Op& op, const char* attribute, Kind kind) {
  const Attribute* found = op.find(attribute);
  if (found != nullptr && found->kind != kind) {
    refuse_attribute(op, attribute, std::string("is ") + name_of(found->kind) + ", not " + name_of(kind));
  }
  return found;
}

template <class T>
const T& only(const Op& op, const char* attribute, const std::vector<T>& items) {
  if (items.size() != 1) refuse_attribute(op, attribute, "has " + plural(items.size(), "item") + ", not one");
  return items[0];
}

}  // namespace

std::string describe(const Op& op) {
  return "node " + (op.name.empty() ? std::to_string(op.id) : quoted(op.name)) + " (" + shown(op.type) + ")";
}

const Attribute* Op::find(const char* attribute) const {
  for (const Attribute& candidate : attributes) {
    if (candidate.name == attribute) return &candidate;
  }
  return nullptr;
}

int64_t Op::integer(const char* attribute, int64_t otherwise) const {
  const Attribute* found = find_kind(*this, attribute, Kind::ints);
  return found == nullptr ? otherwise : only(*this, attribute, found->ints);
}

float Op::number(const char* attribute, float otherwise) const {
  const Attribute* found = find_kind(*this, attribute, Kind::floats);
  return found == nullptr ? otherwise : only(*this, attribute, found->floats);
}

std::string Op::text(const char* attribute, const char* otherwise) const {
  const Attribute* found = find_kind(*this, attribute, Kind::strings);
  return found == nullptr ? otherwise : only(*this, attribute, found->strings);
}

std::vector<int64_t> Op::integers(const char* attribute) const {
  const Attribute* found = find_kind(*this, attribute, Kind::ints);
  return found == nullptr ? std::vector<int64_t>() : found->ints;
}

std::vector<float> Op::numbers(const char* attribute) const {
  const Attribute* found = find_kind(*this, attribute, Kind::floats);
  return found == nullptr ? std::vector<float>() : found->floats;
}

std::vector<std::string> Op::texts(const char* attribute) const {
  const Attribute* found = find_kind(*this, attribute, Kind::strings);
  return found == nullptr ? std::vector<std::string>() : found->strings;
}

int Op::block(const char* attribute) const {
  const Attribute* found = find_kind(*this, attribute, Kind::block);
  if (found == nullptr) refuse_attribute(*this, attribute, "is left out");
  return static_cast<int>(only(*this, attribute, found->ints));
}

void Graph::forget(const void* data, size_t size) const {
  const auto* const file = static_cast<const uint8_t*>(bytes.get());
  const auto* const at = static_cast<const uint8_t*>(data);
  if (mapped && at >= file && at + size <= file + file_size) drop_pages(data, size);
}

std::shared_ptr<const void> first_value(const Graph& graph, const Port& input, const Shape& shape) {
  if (input.default_weight < 0) return nullptr;
  const Weight& constant = graph.weights[static_cast<size_t>(input.default_weight)];
  const auto* const bytes = static_cast<const char*>(constant.data);
  if (std::all_of(bytes, bytes + constant.bytes(), [](char byte) { return byte == 0; })) return nullptr;
  if (constant.shape != shape) {
    throw Error(Status::shape, "state '" + graph.values[static_cast<size_t>(input.value)] +
                                   "' starts as its default, " + constant.shape.text() + ", but it would be " +
                                   shape.text() + " here");
  }
  return std::shared_ptr<const void>(graph.bytes, constant.data);
}

}  // namespace lrt

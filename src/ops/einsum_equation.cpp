#include <algorithm>

#include "ops/einsum.h"

namespace lrt {
namespace {

[[noreturn]] void refuse_equation(OpPlan& p, const std::string& what) {
  p.refuse(Status::shape, "equation '" + p.op().text("equation", "") + "': " + what);
}

int letter_label(OpPlan& p, char letter) {
  if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
  if (letter >= 'A' && letter <= 'Z') return letter - 'A';
  refuse_equation(p, "'" + std::string(1, letter) + "' is no label");
}

// The labels of one term; an ellipsis stands for `free` axes.
Labels read_term(OpPlan& p, const std::string& term, int free) {
  Labels labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term[i] != '.') {
      labels.push_back(letter_label(p, term[i]));
      continue;
    }
    if (term.compare(i, 3, "...") != 0 || term.find('.', i + 3) != std::string::npos) {
      refuse_equation(p, "an ellipsis is three dots, once in a term");
    }
    for (int axis = kMaxRank - free; axis < kMaxRank; ++axis) labels.push_back(kEinsumLetters + axis);
    i += 2;
  }
  return labels;
}

bool has_ellipsis(const std::string& term) { return term.find("...") != std::string::npos; }

std::vector<std::string> split_terms(const std::string& text) {
  std::vector<std::string> terms{""};
  for (const char c : text) {
    if (c == ',') {
      terms.emplace_back();
    } else if (c != ' ') {
      terms.back() += c;
    }
  }
  return terms;
}

// How many axes the ellipsis of an operand stands for.
int free_axes(OpPlan& p, const std::string& term, int operand) {
  const int rank = p.in(operand).shape.rank();
  const int named = static_cast<int>(term.size()) - (has_ellipsis(term) ? 3 : 0);
  if (rank < named || (rank > named && !has_ellipsis(term))) {
    refuse_equation(p, "term '" + term + "' does not fit shape " + p.in(operand).shape.text());
  }
  return rank - named;
}

void meet_dims(OpPlan& p, Equation& equation, const Labels& labels, const Shape& shape) {
  for (int axis = 0; axis < shape.rank(); ++axis) {
    int64_t& dim = equation.dims[static_cast<size_t>(labels[static_cast<size_t>(axis)])];
    if (shape[axis] != 1 && dim != 1 && dim != shape[axis]) {
      refuse_equation(p,
                      "a label is " + std::to_string(dim) + " and " + std::to_string(shape[axis]) + " elements long");
    }
    if (shape[axis] != 1) dim = shape[axis];
  }
}

// Left out, the result has what the ellipsis stands for and then, in alphabetical order, the letters that occur once.
Labels implied_result(const Equation& equation, int free) {
  std::array<int, kEinsumLabels> count{};
  for (const Labels& labels : equation.operands) {
    for (const int label : labels) ++count[static_cast<size_t>(label)];
  }
  Labels result;
  for (int axis = kMaxRank - free; axis < kMaxRank; ++axis) result.push_back(kEinsumLetters + axis);
  for (int label = 0; label < kEinsumLetters; ++label) {
    if (count[static_cast<size_t>(label)] == 1) result.push_back(label);
  }
  return result;
}

}  // namespace

LabelSet set_of(const Labels& labels) {
  LabelSet set;
  for (const int label : labels) set.set(static_cast<size_t>(label));
  return set;
}

Equation read_equation(OpPlan& p) {
  const std::string text = p.op().text("equation", "");
  const size_t arrow = text.find("->");
  const std::vector<std::string> terms = split_terms(text.substr(0, arrow));
  if (terms.size() != static_cast<size_t>(p.inputs())) {
    refuse_equation(p, std::to_string(terms.size()) + " terms for " + std::to_string(p.inputs()) + " inputs");
  }
  Equation equation;
  equation.dims.fill(1);
  int most_free = 0;
  for (int operand = 0; operand < p.inputs(); ++operand) {
    const std::string& term = terms[static_cast<size_t>(operand)];
    const int free = free_axes(p, term, operand);
    most_free = std::max(most_free, free);
    equation.operands.push_back(read_term(p, term, free));
    meet_dims(p, equation, equation.operands.back(), p.in(operand).shape);
  }
  if (arrow == std::string::npos) {
    equation.result = implied_result(equation, most_free);
  } else {
    const std::vector<std::string> results = split_terms(text.substr(arrow + 2));
    if (results.size() != 1) refuse_equation(p, "there is one result");
    equation.result = read_term(p, results[0], most_free);
  }
  LabelSet known;
  for (const Labels& labels : equation.operands) known |= set_of(labels);
  const LabelSet wanted = set_of(equation.result);
  if (wanted.count() != equation.result.size()) refuse_equation(p, "a label stands twice in the result");
  if ((wanted & ~known).any()) refuse_equation(p, "the result has a label that no term has");
  if (equation.result.size() > kMaxRank) refuse_equation(p, "the result has too many axes");
  return equation;
}

}  // namespace lrt

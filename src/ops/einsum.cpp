// Einsum: operands are brought together two at a time, from the left. What only one of them has and nothing later wants is
// summed first; what is then left to be summed over both is a product of matrices, else a product element by element.
#include "ops/einsum.h"

#include <algorithm>

#include "ops/checks.h"
#include "ops/product.h"
#include "ops/strided.h"

namespace lrt {
namespace {

using Step = Run;

// A tensor whose axes have labels.
struct Labelled {
  LabelSet labels;
  std::array<int64_t, kEinsumLabels> strides{};
  BufferId buffer = -1;
  int input = -1;  // where it is an input of the op as it stands
};

class Contraction {
 public:
  Contraction(OpPlan& p, const Equation& equation) : p_(p), equation_(equation) {}

  Labelled operand(int input) const {
    const Operand& in = p_.in(input);
    const Labels& axes = equation_.operands[static_cast<size_t>(input)];
    const Strides strides = row_major(in.shape);
    Labelled result{set_of(axes), {}, in.buffer, input};
    for (int axis = 0; axis < in.shape.rank(); ++axis) {
      // A label that stands twice walks a diagonal.
      if (in.shape[axis] != 1) {
        result.strides[static_cast<size_t>(axes[static_cast<size_t>(axis)])] += strides[static_cast<size_t>(axis)];
      }
    }
    return result;
  }

  // Two operands as one, with the labels of `wanted` left.
  Labelled combine(Labelled a, Labelled b, const LabelSet& wanted) {
    a = summed(a, wanted | b.labels);
    b = summed(b, wanted | a.labels);
    const LabelSet over = a.labels & b.labels & ~wanted;
    if (size(over) == 1) return multiplied(a, b, ordered((a.labels | b.labels) & wanted));
    // Weights are packed once where they stand on the right.
    const auto is_known = [&](const Labelled& side) { return side.input >= 0 && p_.in(side.input).known != nullptr; };
    return is_known(a) && !is_known(b) ? product(b, a, over) : product(a, b, over);
  }

  // Without the labels that are not wanted.
  Labelled summed(const Labelled& x, const LabelSet& wanted) {
    if ((x.labels & ~wanted).none()) return x;
    const Labels kept = ordered(x.labels & wanted), gone = ordered(x.labels & ~wanted);
    Labels order = kept;
    order.insert(order.end(), gone.begin(), gone.end());
    const BufferId from = laid_out(x, order);
    const int64_t rows = size(kept), n = size(gone);
    const Labelled result = made(kept, p_.scratch(bytes(rows)));
    steps.push_back([from, rows, n, to = result.buffer, reduce = p_.kernels().reduce_f32](const Frame& frame) {
      reduce(LRT_SUM, frame.at<float>(from), rows, n, 1, frame.at<float>(to));
    });
    return result;
  }

  void copy_to(const Labelled& x, const Labels& order, BufferId to) {
    steps.push_back([copy = copy_of(x, order), from = x.buffer, to](const Frame& frame) {
      copy(frame.at<void>(from), frame.at<void>(to));
    });
  }

  std::vector<Step> steps;
  uint64_t macs = 0;

 private:
  int64_t dim(int label) const { return equation_.dims[static_cast<size_t>(label)]; }
  static size_t bytes(int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); }
  static size_t at(int label) { return static_cast<size_t>(label); }

  int64_t size(const Labels& labels) const {
    int64_t size = 1;
    for (const int label : labels) {
      const int64_t own = std::max<int64_t>(dim(label), 1);  // a dim of 0 must not hide how large others are
      if (size > kMaxElements / own) p_.refuse(Status::shape, "a step of it is too large");
      size *= own;
    }
    const bool empty = std::any_of(labels.begin(), labels.end(), [this](int label) { return dim(label) == 0; });
    return empty ? 0 : size;
  }
  int64_t size(const LabelSet& labels) const { return size(ordered(labels)); }

  static Labels ordered(const LabelSet& set) {
    Labels labels;
    for (int label = 0; label < kEinsumLabels; ++label) {
      if (set[at(label)]) labels.push_back(label);
    }
    return labels;
  }

  Shape shape_of(const Labels& labels) const {
    Shape shape;
    for (const int label : labels) {
      if (dim(label) == 1) continue;
      if (shape.rank() == kMaxRank) p_.refuse(Status::unsupported, "a step of it has too many axes");
      shape.push_back(dim(label));
    }
    return shape;
  }
  Strides strides_of(const Labelled& x, const Labels& labels) const {
    Strides strides{};
    size_t axis = 0;
    for (const int label : labels) {
      if (dim(label) != 1) strides[axis++] = x.strides[at(label)];
    }
    return strides;
  }

  Labelled made(const Labels& order, BufferId buffer) const {
    Labelled result{set_of(order), {}, buffer, -1};
    int64_t stride = 1;
    for (auto label = order.rbegin(); label != order.rend(); ++label) {
      result.strides[at(*label)] = dim(*label) == 1 ? 0 : stride;
      stride *= dim(*label);
    }
    return result;
  }

  StridedCopy copy_of(const Labelled& x, const Labels& order) const {
    return StridedCopy(sizeof(float), shape_of(order), strides_of(x, order));
  }
  bool lies_so(const Labelled& x, const Labels& order) const {
    return strides_of(x, order) == row_major(shape_of(order)) || size(order) == 0;
  }
  BufferId laid_out(const Labelled& x, const Labels& order) {
    if (lies_so(x, order)) return x.buffer;
    const BufferId to = p_.scratch(bytes(size(order)));
    copy_to(x, order, to);
    return to;
  }

  Labelled multiplied(const Labelled& a, const Labelled& b, const Labels& order) {
    const Labelled result = made(order, p_.scratch(bytes(size(order))));
    const Walk<2> walk(shape_of(order), {strides_of(a, order), strides_of(b, order)});
    steps.push_back([walk, from_a = a.buffer, from_b = b.buffer, to = result.buffer](const Frame& frame) {
      walk.rows([&](int64_t out, const auto& in, int64_t n) {
        const float *x = frame.at<float>(from_a) + in[0], *y = frame.at<float>(from_b) + in[1];
        for (int64_t i = 0; i < n; ++i) frame.at<float>(to)[out + i] = x[i * walk.step(0)] * y[i * walk.step(1)];
      });
    });
    return result;
  }

  // [batch, m, k] times [batch, k, n]: the left side's own labels are rows, the right side's columns.
  Labelled product(const Labelled& a, const Labelled& b, const LabelSet& over) {
    const Labels batch = ordered(a.labels & b.labels & ~over), m = ordered(a.labels & ~b.labels),
                 n = ordered(b.labels & ~a.labels), k = ordered(over);
    const int64_t count = size(batch), rows = size(m), cols = size(n), depth = size(k);
    const BufferId left = laid_out(a, joined({batch, m, k}));
    const Labels across = joined({batch, n, k}), along = joined({batch, k, n});
    WeightView view;
    view.k = depth;
    view.n = cols;
    const bool turned = !lies_so(b, along) && lies_so(b, across);
    view.k_stride = turned ? 1 : cols;
    view.n_stride = turned ? depth : 1;
    const int64_t results = size(joined({batch, m, n}));
    const Labelled result = made(joined({batch, m, n}), p_.scratch(bytes(results)));
    macs += static_cast<uint64_t>(results) * static_cast<uint64_t>(depth);
    const Labels& order = turned ? across : along;
    if (results > 0) multiply_matrices(b, order, view, left, result.buffer, count, rows);
    return result;
  }

  void multiply_matrices(const Labelled& b, const Labels& order, const WeightView& view, BufferId left, BufferId to,
                         int64_t count, int64_t rows) {
    const Kernels* kernels = &p_.kernels();
    const int group = group_for(*kernels, LRT_FORMAT_F32, view.k, vectors_for(view.n));
    const auto zeros = pack_bias(nullptr, view.n);
    const auto multiply = [=](const Frame& frame, const Panels& panels, int64_t i) {
      lrt::multiply(*kernels,
                    {&panels, frame.at<float>(left) + i * rows * view.k, view.k, rows, zeros->as<float>(),
                     frame.at<float>(to) + i * rows * view.n, view.n, view.n, frame.backwards()},
                    nullptr, frame.parallel());
    };
    if (b.input >= 0 && p_.in(b.input).known) {
      steps.push_back([multiply, packed = packed_matrices(b, order, view, group, count)](const Frame& frame) {
        for (size_t i = 0; i < packed->size(); ++i) multiply(frame, (*packed)[i]->panels, static_cast<int64_t>(i));
      });
      return;
    }
    const BufferId right = laid_out(b, order);
    const BufferId panels = p_.scratch(panel_bytes(LRT_FORMAT_F32, view.k, vectors_for(view.n)));
    steps.push_back([=](const Frame& frame) {
      for (int64_t i = 0; i < count; ++i) {
        WeightView matrix = view;
        matrix.data = frame.at<float>(right) + i * view.k * view.n;
        multiply(frame, pack_panels_into(frame.at<void>(panels), LRT_FORMAT_F32, matrix, group), i);
      }
    });
  }

  using Matrices = std::vector<std::shared_ptr<const PackedPanels>>;

  std::shared_ptr<const Matrices> packed_matrices(const Labelled& b, const Labels& order, WeightView view, int group,
                                                  int64_t count) {
    const auto make = [&]() -> std::shared_ptr<const void> {
      AlignedBuffer plain(bytes(size(order)));
      copy_of(b, order)(p_.in(b.input).known, plain.as<void>());
      auto matrices = std::make_shared<Matrices>();
      for (int64_t i = 0; i < count; ++i) {
        view.data = plain.as<float>() + i * view.k * view.n;
        matrices->push_back(pack_panels(LRT_FORMAT_F32, view, group));
      }
      return matrices;
    };
    return std::static_pointer_cast<const Matrices>(p_.packed(b.input, {b.input}, make));
  }

  static Labels joined(const std::vector<Labels>& parts) {
    Labels all;
    for (const Labels& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  }

  OpPlan& p_;
  const Equation& equation_;
};

// Time is where its label is, if that is time wherever it occurs and is not summed over.
void keep_label_time(OpPlan& p, const Equation& equation) {
  int found = -1;
  for (int input = 0; input < p.inputs(); ++input) {
    const int time = time_of(p, input);
    if (time < 0) continue;
    const int label = equation.operands[static_cast<size_t>(input)][static_cast<size_t>(time)];
    if (found >= 0 && label != found) return;
    found = label;
  }
  if (found < 0) return;
  for (int input = 0; input < p.inputs(); ++input) {
    const Labels& labels = equation.operands[static_cast<size_t>(input)];
    for (size_t axis = 0; axis < labels.size(); ++axis) {
      if (labels[axis] == found && static_cast<int>(axis) != time_of(p, input)) return;
    }
  }
  const auto place = std::find(equation.result.begin(), equation.result.end(), found);
  if (place != equation.result.end()) p.time_axis(0, static_cast<int>(place - equation.result.begin()));
}

}  // namespace

void plan_einsum(OpPlan& p) {
  const Equation equation = read_equation(p);
  Shape shape;
  for (const int label : equation.result) shape.push_back(equation.dims[static_cast<size_t>(label)]);
  const BufferId out = p.out(0, DType::f32, shape);
  keep_label_time(p, equation);
  if (shape.elements() == 0) return;
  Contraction contraction(p, equation);
  Labelled total = contraction.operand(0);
  for (int input = 1; input < p.inputs(); ++input) {
    LabelSet wanted = set_of(equation.result);
    for (int later = input + 1; later < p.inputs(); ++later) {
      wanted |= set_of(equation.operands[static_cast<size_t>(later)]);
    }
    total = contraction.combine(total, contraction.operand(input), wanted);
  }
  total = contraction.summed(total, set_of(equation.result));
  contraction.copy_to(total, equation.result, out);
  p.cost(contraction.macs, 0, 0);
  p.run([steps = std::move(contraction.steps)](const Frame& frame) {
    for (const Step& step : steps) step(frame);
  });
}

}  // namespace lrt

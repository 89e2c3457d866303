// Pad: a border around a tensor, of one value or made from its own elements. Negative pads crop.
#include <algorithm>
#include <cstring>

#include "model/memory.h"
#include "ops/checks.h"
#include "ops/strided.h"

namespace lrt {
namespace {

enum class Mode { constant, reflect, edge, wrap };

// Positions along one axis: `count` of them from `source` on, up (step 1), down (-1) or again and again (0). The border
// has source -1.
struct Piece {
  int64_t source, count, step;
};

struct PadAxis {
  std::vector<Piece> pieces;
  int64_t in_stride = 0;  // elements of the input in one position, of the output likewise
  int64_t out_stride = 0;
};

struct PadCall {
  std::vector<PadAxis> axes;  // from the first to the last that is padded
  BufferId in, out, border;   // border: -1 for zero
  size_t element;

  void operator()(const Frame& frame) const {
    static constexpr char kZero[sizeof(int64_t)] = {};
    const char* value = border < 0 ? kZero : frame.at<char>(border);
    run(0, frame.at<char>(in), frame.at<char>(out), value);
  }

  // Writes one position of the axis before, from the same position of the input.
  void run(size_t depth, const char* from, char* to, const char* value) const {
    const PadAxis& axis = axes[depth];
    const auto width = static_cast<int64_t>(element);
    const int64_t in_bytes = axis.in_stride * width, out_bytes = axis.out_stride * width;
    for (const Piece& piece : axis.pieces) {
      const char* source = piece.source < 0 ? nullptr : from + piece.source * in_bytes;
      if (!source) {
        fill_elements(to, value, element, piece.count * axis.out_stride);
      } else if (depth + 1 < axes.size()) {
        for (int64_t i = 0; i < piece.count; ++i) {
          run(depth + 1, source + i * piece.step * in_bytes, to + i * out_bytes, value);
        }
      } else {
        copy_positions(source, to, piece, in_bytes);
      }
      to += piece.count * out_bytes;
    }
  }

  // The last axis that is padded: what lies behind it is copied in one go.
  void copy_positions(const char* from, char* to, const Piece& piece, int64_t bytes) const {
    if (piece.step == 1) {
      std::memcpy(to, from, static_cast<size_t>(piece.count * bytes));
    } else if (bytes == static_cast<int64_t>(element)) {
      with_element_bytes(element, [&](auto size) {
        for (int64_t i = 0; i < piece.count; ++i) copy_element<size()>(to + i * bytes, from + i * piece.step * bytes);
      });
    } else {
      for (int64_t i = 0; i < piece.count; ++i) {
        std::memcpy(to + i * bytes, from + i * piece.step * bytes, static_cast<size_t>(bytes));
      }
    }
  }
};

// Where position `at` (from -before to dim + after) of an axis comes from, as numpy.pad defines it.
int64_t source_of(int64_t at, int64_t dim, Mode mode) {
  if (at >= 0 && at < dim) return at;
  switch (mode) {
    case Mode::constant:
      return -1;
    case Mode::edge:
      return std::clamp<int64_t>(at, 0, dim - 1);
    case Mode::wrap:
      return (at % dim + dim) % dim;
    case Mode::reflect:
      break;
  }
  if (dim == 1) return 0;
  const int64_t period = 2 * (dim - 1), phase = (at % period + period) % period;
  return phase < dim ? phase : period - phase;
}

// Adds one position, as part of the last piece where it goes on with it.
void add_position(std::vector<Piece>& pieces, int64_t source) {
  if (!pieces.empty()) {
    Piece& last = pieces.back();
    const int64_t step = source - (last.source + (last.count - 1) * last.step);
    if (last.count == 1 && step >= -1 && step <= 1) last.step = step;
    if (step == last.step) {
      ++last.count;
      return;
    }
  }
  pieces.push_back({source, 1, 1});
}

// How often a border may turn around or begin anew: what is planned for each must not outgrow the model.
constexpr size_t kMostPieces = size_t{1} << 16;

// Pieces of an axis of which `crop` positions are left out at the start and `dim` are kept.
std::vector<Piece> pieces_of(const OpPlan& p, int64_t crop, int64_t dim, int64_t before, int64_t after, Mode mode) {
  std::vector<Piece> pieces;
  const auto add = [&](int64_t at) {
    add_position(pieces, crop + source_of(at, dim, mode));
    if (pieces.size() > kMostPieces) {
      p.refuse(Status::shape, "pads of " + std::to_string(before) + " and " + std::to_string(after) + " around " +
                                  std::to_string(dim) + " positions turn around or begin anew more than " +
                                  std::to_string(kMostPieces) + " times");
    }
  };
  if (mode == Mode::constant) {
    for (const Piece& piece : {Piece{-1, before, 1}, Piece{crop, dim, 1}, Piece{-1, after, 1}}) {
      if (piece.count > 0) pieces.push_back(piece);
    }
    return pieces;
  }
  for (int64_t at = -before; at < 0; ++at) add(at);
  if (dim > 0) pieces.push_back({crop, dim, 1});
  for (int64_t at = dim; at < dim + after; ++at) add(at);
  return pieces;
}

Mode read_mode(const OpPlan& p) {
  const std::string mode = p.op().text("mode", "constant");
  if (mode == "constant") return Mode::constant;
  if (mode == "reflect") return Mode::reflect;
  if (mode == "edge") return Mode::edge;
  if (mode != "wrap") {
    p.refuse(Status::unsupported, "mode is '" + mode + "'; supported: constant, reflect, edge, wrap");
  }
  return Mode::wrap;
}

// Pads before and after each axis.
struct Pads {
  std::array<int64_t, kMaxRank> before{}, after{};
};

Pads read_pads(OpPlan& p, int rank, Mode mode) {
  // Borders made of the input's elements are planned position by position.
  const int64_t most = mode == Mode::constant ? kMaxElements : int64_t{1} << 24;
  std::vector<int64_t> axes;
  for (int axis = 0; axis < rank; ++axis) axes.push_back(axis);
  if (p.has(3)) axes = p.integers(3);
  want_axes(p, axes, rank);
  const std::vector<int64_t> given = p.integers(1);
  if (given.size() != 2 * axes.size()) {
    p.refuse(Status::shape, "pads has " + std::to_string(given.size()) + " values for " + std::to_string(axes.size()) +
                                " axes; wanted two for each");
  }
  Pads pads;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(want_axis(p, axes[i], rank));
    pads.before[axis] = given[i];
    pads.after[axis] = given[axes.size() + i];
    for (const int64_t pad : {pads.before[axis], pads.after[axis]}) {
      if (pad < -kMaxElements || pad > most) p.refuse(Status::shape, "a pad of " + std::to_string(pad));
    }
  }
  return pads;
}

BufferId read_border(OpPlan& p) {
  if (!p.has(2)) return -1;
  if (p.in(2).shape.elements() != 1) {
    p.refuse(Status::shape, "constant_value has shape " + p.in(2).shape.text() + "; wanted one value");
  }
  return p.in(2).buffer;
}

}  // namespace

void plan_pad(OpPlan& p) {
  const Operand& in = p.in(0);
  const int rank = in.shape.rank();
  const Mode mode = read_mode(p);
  const Pads pads = read_pads(p, rank, mode);
  const BufferId border = read_border(p);

  Shape shape = in.shape, kept = in.shape;
  std::array<int64_t, kMaxRank> crop{}, before{}, after{};
  int last = -1;
  for (int axis = 0; axis < rank; ++axis) {
    const auto i = static_cast<size_t>(axis);
    crop[i] = std::max<int64_t>(-pads.before[i], 0);
    before[i] = std::max<int64_t>(pads.before[i], 0);
    after[i] = std::max<int64_t>(pads.after[i], 0);
    kept[axis] -= crop[i] + std::max<int64_t>(-pads.after[i], 0);
    shape[axis] = kept[axis] + before[i] + after[i];
    if (kept[axis] < 0 || (kept[axis] == 0 && mode != Mode::constant && shape[axis] > 0)) {
      p.refuse(Status::shape, "axis " + std::to_string(axis) + " of shape " + in.shape.text() +
                                  " cannot be padded by " + std::to_string(pads.before[i]) + " and " +
                                  std::to_string(pads.after[i]));
    }
    if (pads.before[i] != 0 || pads.after[i] != 0) last = axis;
  }

  const int time = in.time_axis;
  const auto at_time = static_cast<size_t>(std::max(time, 0));
  if (time >= 0 && pads.before[at_time] == 0 && pads.after[at_time] == 0) p.time_axis(0, time);
  if (last < 0) return p.alias(0, 0, shape);

  const BufferId out = p.out(0, in.dtype, shape);
  if (shape.elements() == 0) return;
  const Strides from = row_major(in.shape), to = row_major(shape);
  PadCall call{{}, in.buffer, out, border, size_of(in.dtype)};
  for (int axis = 0; axis <= last; ++axis) {
    const auto i = static_cast<size_t>(axis);
    call.axes.push_back({pieces_of(p, crop[i], kept[axis], before[i], after[i], mode), from[i], to[i]});
    MemoryScope::take(call.axes.back().pieces.size() * sizeof(Piece));
  }
  p.run(call);
}

}  // namespace lrt

// GatherElements and GatherND: elements, or blocks of them, each picked by its own index. An index that comes with the data
// is clamped to its axis.
#include <cstring>

#include "ops/indices.h"
#include "ops/strided.h"

namespace lrt {
namespace {

// out[i] = data[i but for the axis, where indices[i] stands].
struct GatherElementsCall {
  Walk<1> walk;  // over the output, with the data's offset but for the axis
  int64_t dim, stride;
  size_t element;
  BufferId data, out;
  IndexArray indices;

  void operator()(const Frame& frame) const {
    with_element_bytes(element, [&](auto bytes) {
      indices.visit(frame, [&](const auto* index) { run<bytes()>(frame.at<char>(data), index, frame.at<char>(out)); });
    });
  }

  template <size_t Bytes, class Index>
  void run(const char* from, const Index* index, char* to) const {
    constexpr int64_t kBytes = Bytes;
    const int64_t step = walk.step(0);
    walk.rows([&](int64_t at, const auto& base, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t source = base[0] + i * step + clamped(index[at + i], dim) * stride;
        copy_element<Bytes>(to + (at + i) * kBytes, from + source * kBytes);
      }
    });
  }
};

// For each batch, tuples of `width` indices into the axes behind it; each picks a block.
struct GatherNdCall {
  Shape axes;       // those that are indexed
  Strides strides;  // of theirs, in blocks
  int64_t batches, tuples, batch_blocks;
  size_t block;
  BufferId data, out;
  IndexArray indices;

  void operator()(const Frame& frame) const {
    indices.visit(frame, [&](const auto* index) {
      const char* from = frame.at<char>(data);
      char* to = frame.at<char>(out);
      for (int64_t batch = 0; batch < batches; ++batch, from += static_cast<size_t>(batch_blocks) * block) {
        for (int64_t i = 0; i < tuples; ++i, index += axes.rank(), to += block) {
          int64_t at = 0;
          for (int axis = 0; axis < axes.rank(); ++axis) {
            at += clamped(index[axis], axes[axis]) * strides[static_cast<size_t>(axis)];
          }
          std::memcpy(to, from + static_cast<size_t>(at) * block, block);
        }
      }
    });
  }
};

void refuse_empty(OpPlan& p, int64_t picked, const Shape& from) {
  if (picked > 0 && from.elements() == 0) {
    p.refuse(Status::shape, "there is nothing to pick from in shape " + p.in(0).shape.text());
  }
}

// Both may have time where nothing is picked; on the axis it is the indices' own.
void keep_elements_time(OpPlan& p, int axis) {
  const int data = time_of(p, 0), indices = time_of(p, 1);
  if (data >= 0 ? data == indices && data != axis : indices == axis) keep_time(p, 0, indices);
}

// Time may be a batch of both, a place of the indices, or an axis of the blocks.
void keep_nd_time(OpPlan& p, int batch_dims, int width) {
  const int data = time_of(p, 0), indices = time_of(p, 1), last = p.in(1).shape.rank() - 1;
  if (data >= 0 && indices >= 0) {
    if (data == indices && data < batch_dims) keep_time(p, 0, data);
  } else if (indices >= batch_dims && indices < last) {
    keep_time(p, 0, indices);
  } else if (data >= batch_dims + width) {
    keep_time(p, 0, last + data - batch_dims - width);
  }
}

}  // namespace

void plan_gather_elements(OpPlan& p) {
  const Operand &data = p.in(0), &indices = p.in(1);
  const IndexArray index = want_indices(p, 1);
  const int rank = data.shape.rank(), axis = want_axis(p, p.op().integer("axis", 0), rank);
  bool fits = indices.shape.rank() == rank;
  for (int i = 0; fits && i < rank; ++i) fits = i == axis || indices.shape[i] <= data.shape[i];
  if (!fits) {
    p.refuse(Status::shape, "indices " + indices.shape.text() + " do not fit data " + data.shape.text() + " on axis " +
                                std::to_string(axis));
  }
  check_known_indices(p, 1, {data.shape[axis]});
  refuse_empty(p, indices.shape.elements(), {data.shape[axis]});
  const BufferId out = p.out(0, data.dtype, indices.shape);
  keep_elements_time(p, axis);
  Strides strides = row_major(data.shape);
  const int64_t stride = strides[static_cast<size_t>(axis)];
  strides[static_cast<size_t>(axis)] = 0;
  p.run(GatherElementsCall{Walk<1>(indices.shape, {strides}), data.shape[axis], stride, size_of(data.dtype),
                           data.buffer, out, index});
}

void plan_gather_nd(OpPlan& p) {
  const Operand &data = p.in(0), &indices = p.in(1);
  const IndexArray index = want_indices(p, 1);
  const int rank = data.shape.rank(), last = indices.shape.rank() - 1;
  const int64_t batch_dims = p.op().integer("batch_dims", 0), width = last < 0 ? -1 : indices.shape[last];
  bool fits = width >= 0 && batch_dims >= 0 && batch_dims <= last && width <= rank && batch_dims + width <= rank;
  for (int i = 0; fits && i < batch_dims; ++i) fits = data.shape[i] == indices.shape[i];
  if (!fits) {
    p.refuse(Status::shape, "indices " + indices.shape.text() + " do not fit data " + data.shape.text() +
                                " with batch_dims " + std::to_string(batch_dims));
  }
  const int first = static_cast<int>(batch_dims), behind = first + static_cast<int>(width);
  Shape shape, axes;
  for (int i = 0; i < last; ++i) shape.push_back(indices.shape[i]);
  for (int i = behind; i < rank; ++i) shape.push_back(data.shape[i]);
  for (int i = first; i < behind; ++i) axes.push_back(data.shape[i]);
  check_known_indices(p, 1, axes);
  refuse_empty(p, shape.elements(), axes);
  const auto block = static_cast<size_t>(data.shape.product(behind, rank)) * size_of(data.dtype);
  const BufferId out = p.out(0, data.dtype, shape);
  keep_nd_time(p, first, static_cast<int>(width));
  p.run(GatherNdCall{axes, row_major(axes), indices.shape.product(0, first), indices.shape.product(first, last),
                     axes.elements(), block, data.buffer, out, index});
}

}  // namespace lrt

// OneHot: a new axis, on at the index and off elsewhere. An index outside is off everywhere, as ONNX has it.
#include "ops/dtypes.h"
#include "ops/indices.h"
#include "ops/strided.h"

namespace lrt {
namespace {

struct OneHotCall {
  AroundAxis around;  // of the output
  DType index_dtype;
  size_t element;
  BufferId indices, values, out;

  void operator()(const Frame& frame) const {
    char* to = frame.at<char>(out);
    const char* off = frame.at<char>(values);
    fill_elements(to, off, element, around.outer * around.dim * around.inner);
    visit_dtype(index_dtype, [&](auto type) {
      with_element_bytes(element, [&](auto bytes) {
        switch_on<bytes()>(frame.at<typename decltype(type)::type>(indices), off + element, to);
      });
    });
  }

  template <size_t Bytes, class Index>
  void switch_on(const Index* index, const char* on, char* to) const {
    for (int64_t o = 0; o < around.outer; ++o) {
      for (int64_t i = 0; i < around.inner; ++i) {
        const int64_t at = from_front(convert<int64_t>(*index++), around.dim);
        if (!is_inside(at, around.dim)) continue;
        const int64_t place = (o * around.dim + at) * around.inner + i;
        copy_element<Bytes>(to + static_cast<size_t>(place) * Bytes, on);
      }
    }
  }
};

}  // namespace

void plan_one_hot(OpPlan& p) {
  const Operand &indices = p.in(0), &values = p.in(2);
  if (values.shape != Shape{2}) p.refuse(Status::shape, "values " + values.shape.text() + "; wanted [off, on]");
  const std::vector<double> depth = known_numbers(p, 1);
  if (depth.size() != 1 || !(depth[0] >= 0) || depth[0] > static_cast<double>(kMaxElements)) {
    p.refuse(Status::shape, "depth is no number of classes");
  }
  const int rank = indices.shape.rank(), axis = want_axis(p, p.op().integer("axis", -1), rank + 1);
  if (rank + 1 > kMaxRank) p.refuse(Status::unsupported, "its result has too many dims");
  Shape shape = indices.shape;
  shape.insert(axis, static_cast<int64_t>(depth[0]));
  const BufferId out = p.out(0, values.dtype, shape);
  const int time = time_of(p, 0);
  if (time >= 0 && time_of(p, 2) < 0) keep_time(p, 0, time < axis ? time : time + 1);
  p.run(OneHotCall{AroundAxis(shape, axis), indices.dtype, size_of(values.dtype), indices.buffer, values.buffer, out});
}

}  // namespace lrt

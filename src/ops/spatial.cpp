#include "ops/spatial.h"

#include <algorithm>

#include "model/memory.h"
#include "ops/checks.h"

namespace lrt {

std::vector<Reach> plan_reach(const SpatialAxis& axis) {
  std::vector<Reach> reach;
  reserve_counted(reach, static_cast<double>(axis.kernel));
  for (int64_t place = 0; place < axis.kernel; ++place) {
    const int64_t shift = place * axis.dilation - axis.pad;  // where position 0 meets the input
    const int64_t begin = shift < 0 ? std::min((-shift + axis.stride - 1) / axis.stride, axis.out) : 0;
    const int64_t end = shift < axis.in ? std::min((axis.in - shift + axis.stride - 1) / axis.stride, axis.out) : 0;
    const bool met = end > begin;
    reach.push_back({begin, met ? end : begin, met ? shift + begin * axis.stride : 0});
  }
  return reach;
}

std::vector<int64_t> read_spatial(const OpPlan& p, const char* name, size_t count, int64_t least, int64_t otherwise) {
  std::vector<int64_t> values = p.op().integers(name);
  if (!p.op().find(name)) values.assign(count, otherwise);
  if (values.size() != count) {
    p.refuse(Status::unsupported,
             std::string(name) + " has " + std::to_string(values.size()) + " values; wanted " + std::to_string(count));
  }
  for (const int64_t value : values) {
    want_attribute(p, value >= least && value < kSpatialLimit, name, value, least == 0 ? "0 or more" : "1 or more");
  }
  return values;
}

std::string read_auto_pad(const OpPlan& p) {
  const std::string mode = p.op().text("auto_pad", "NOTSET");
  if (mode != "NOTSET" && mode != "SAME_UPPER" && mode != "SAME_LOWER" && mode != "VALID") {
    p.refuse(Status::unsupported, "auto_pad is '" + mode + "'; supported: NOTSET, SAME_UPPER, SAME_LOWER, VALID");
  }
  const std::vector<int64_t> pads = p.op().integers("pads");
  if (mode != "NOTSET" && std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; })) {
    p.refuse(Status::unsupported, "pads are given though auto_pad is '" + mode + "'");
  }
  return mode;
}

void fit_output(const OpPlan& p, SpatialAxis& axis, int64_t pad_end, const std::string& auto_pad, bool ceil) {
  const int64_t reach = axis.reach();
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    axis.out = (axis.in + axis.stride - 1) / axis.stride;
    const int64_t total = std::max<int64_t>((axis.out - 1) * axis.stride + reach - axis.in, 0);
    axis.pad = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    return;
  }
  const int64_t room = axis.in + axis.pad + pad_end - reach;
  if (room < 0) {
    p.refuse(Status::shape, "a kernel of " + std::to_string(axis.kernel) + " with dilation " +
                                std::to_string(axis.dilation) + " does not fit in " + std::to_string(axis.in) +
                                " elements with pads " + std::to_string(axis.pad) + " and " + std::to_string(pad_end));
  }
  axis.out = room / axis.stride + 1;
  if (!ceil || auto_pad == "VALID" || room % axis.stride == 0) return;
  // One more, unless it would begin behind the input and the pad before it.
  if (axis.out * axis.stride < axis.in + axis.pad) ++axis.out;
}

}  // namespace lrt

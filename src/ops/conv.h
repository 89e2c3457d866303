// The sizes of a convolution, checked. Pads are at the beginning of an axis; those at the end are in the output's size.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/op.h"
#include "ops/spatial.h"

namespace lrt {

// An axis whose kernel may have been cut to the places that meet something.
struct ConvAxis : SpatialAxis {
  // Where `kernel` places are what crop() left of full_kernel, from first_place on.
  int64_t full_kernel = 1, first_place = 0;

  // Leaves out the first and last places of the kernel that meet nothing but the border at every position.
  void crop();
  // Time runs along this axis undisturbed.
  bool is_pointwise() const { return full_kernel == 1 && stride == 1 && pad == 0 && out == in; }
};

struct ConvShape {
  int64_t batch = 1, groups = 1;
  int64_t channels = 1, filters = 1;  // of one group
  ConvAxis h, w;
  Shape out;

  int64_t positions() const { return h.out * w.out; }
  int64_t k() const { return channels * h.kernel * w.kernel; }
  // Leaves out the first and last places of the kernel that meet nothing but the border at every position: they add
  // zeros only. A pad is negative then where the input's first elements are not met either.
  void crop();
  // Tells apart what crop() may have left of one kernel.
  int64_t crop_code() const;
  // For each k of the sum, where its weight stands in a filter [channels, h.full_kernel, w.full_kernel].
  std::vector<int64_t> k_offsets() const;
};

// From the inputs and attributes of a convolution; refuses what does not fit. `bias` is the input that holds one for each
// filter, or -1.
ConvShape read_conv_shape(OpPlan& p, int bias);
// Time may be the batch, or a spatial axis along which the convolution does nothing.
void keep_conv_time(OpPlan& p, const ConvShape& s);

// Where there are no channels to sum over: each output is its bias, or 0 where `bias` is -1.
void plan_unsummed(OpPlan& p, const ConvShape& s, BufferId bias, BufferId out);

// Where each filter sees one channel only (ops/conv_depthwise.cpp). bias: -1 for none.
void plan_depthwise(OpPlan& p, ConvShape s, BufferId bias, BufferId out);

}  // namespace lrt

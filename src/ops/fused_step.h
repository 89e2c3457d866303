// Steps of the cells whose kernel takes products and cell in one walk. What is the same in all of them is in the kernel's own
// struct, made once; what differs comes with each.
#pragma once

#include <type_traits>

#include "ops/cell.h"

namespace lrt {

// Some steps of a sequence, W x taken beforehand.
template <class Step>
void fused_steps(const Kernels& kernels, Step step, const Panels& r, CellStep& s, int64_t count) {
  for (; count > 0; --count) {
    step.recurrent = {&r, s.h_in.data, s.h_in.stride};
    step.gates = s.gates;
    step.gate_stride = s.gate_stride;
    step.h_out = s.h_out.data;
    step.h_out_stride = s.h_out.stride;
    if constexpr (std::is_same_v<Step, LstmStep>) {
      step.c_in = s.c_in.data;
      step.c_in_stride = s.c_in.stride;
      step.c_out = s.c_out.data;
      step.c_out_stride = s.c_out.stride;
    }
    step.backwards = s.backwards;
    step_cell(kernels, step, s.quantized, s.parallel);
    s.advance(count > 1);
  }
}

// A single step, W x on the way; step.gates is the bias.
template <class Step>
Run fused_single_step(const Kernels& kernels, Step step, const Panels& w, const Panels& r, const SingleStep& at) {
  const int64_t hidden = step.hidden;
  step.h_out_stride = hidden;
  if constexpr (std::is_same_v<Step, LstmStep>) step.c_in_stride = step.c_out_stride = hidden;
  return [=, &kernels](const Frame& frame) {
    Step own = step;
    own.input = {&w, frame.at<float>(at.x), w.k};
    own.recurrent = {&r, frame.at<float>(at.h_in), hidden};
    own.h_out = frame.at<float>(at.h_out);
    if constexpr (std::is_same_v<Step, LstmStep>) {
      own.c_in = frame.at<float>(at.c_in);
      own.c_out = frame.at<float>(at.c_out);
    }
    own.backwards = frame.backwards();
    step_cell(kernels, own, quantized_at(frame, at.quantized), frame.parallel());
  };
}

}  // namespace lrt

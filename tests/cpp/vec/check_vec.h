// Between test_vec.cpp and the checks, which are compiled for one instruction set each.
#pragma once

namespace lrt {

struct VecResult {
  int checks, failures;
};

}  // namespace lrt

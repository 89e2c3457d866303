// The one exception type of the core. It never leaves the library: the C API turns it into a code and a message.
#pragma once

#include <stdexcept>
#include <string>

namespace lrt {

// Values match lrt_status in lstm_rt.h.
enum class Status : int {
  ok = 0,
  argument = 1,
  unsupported = 2,
  file = 3,
  shape = 4,
  state = 5,
  memory = 6,
  internal = 7
};

class Error : public std::runtime_error {
 public:
  Error(Status code, const std::string& message) : std::runtime_error(message), status(code) {}
  Status status;
};

}  // namespace lrt

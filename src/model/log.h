// Where a model tells what it does: a function of the application's, or empty.
#pragma once

#include <functional>
#include <string>

namespace lrt {

// Values match lrt_log_level in lstm_rt.h.
enum class LogLevel : int { debug = 0, info = 1, warning = 2 };
using Log = std::function<void(LogLevel, const std::string&)>;

}  // namespace lrt

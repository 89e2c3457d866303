// Pages that a run reads are made resident beforehand, so that no run waits for the system to find them.
#pragma once

#include <cstddef>

namespace lrt {

void touch_pages(const void* data, size_t size);
// The library's own code and tables, where the system tells where they are: once for a process.
void touch_code();
// As much of this thread's stack as a run needs: docs/real-time.md.
void touch_stack();

}  // namespace lrt

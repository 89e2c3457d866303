// The meaning of a graph that was read: what must hold between its parts (docs/file-format.md).
#pragma once

#include "model/graph.h"

namespace lrt {

// Throws Error(file) unless names are unique, every value is defined once and before its use, where that use can see
// it, and the blocks are the branches of If ops, each of one.
void check_graph(const Graph& graph);

}  // namespace lrt

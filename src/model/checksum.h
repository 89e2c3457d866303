// CRC-32 as zlib and PNG have it, so that any language can make and check it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lrt {

// `before` is the checksum of what stands before these bytes.
uint32_t crc32(const void* data, size_t size, uint32_t before = 0);

}  // namespace lrt

// Eight bytes at a time ("slicing by 8", Kounavis and Berry 2005): table n has the effect of a byte that n zeros follow.
#include "model/checksum.h"

#include <array>
#include <cstring>

namespace lrt {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320;  // of IEEE 802.3, its bits reflected
constexpr size_t kSlices = 8;

using Table = std::array<uint32_t, 256>;
using Tables = std::array<Table, kSlices>;

Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = rest;
  }
  for (size_t slice = 1; slice < kSlices; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t rest = tables[slice - 1][byte];
      tables[slice][byte] = (rest >> 8) ^ tables[0][rest & 0xFF];
    }
  }
  return tables;
}

uint32_t eight_bytes(const Tables& t, uint32_t rest, const uint8_t* data) {
  uint32_t low = 0, high = 0;  // little endian, as model files are
  std::memcpy(&low, data, sizeof low);
  std::memcpy(&high, data + sizeof low, sizeof high);
  low ^= rest;
  return t[7][low & 0xFF] ^ t[6][low >> 8 & 0xFF] ^ t[5][low >> 16 & 0xFF] ^ t[4][low >> 24] ^ t[3][high & 0xFF] ^
         t[2][high >> 8 & 0xFF] ^ t[1][high >> 16 & 0xFF] ^ t[0][high >> 24];
}

}  // namespace

uint32_t crc32(const void* data, size_t size, uint32_t before) {
  static const Tables tables = make_tables();
  const auto* at = static_cast<const uint8_t*>(data);
  const uint8_t* const end = at + size;
  uint32_t rest = ~before;
  for (; end - at >= static_cast<std::ptrdiff_t>(kSlices); at += kSlices) rest = eight_bytes(tables, rest, at);
  for (; at != end; ++at) rest = (rest >> 8) ^ tables[0][(rest ^ *at) & 0xFF];
  return ~rest;
}

}  // namespace lrt

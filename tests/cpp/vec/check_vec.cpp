// The operations of one instruction set's vector against plain scalar code, over random lanes and edges. Compiled once for
// each vec/ header, with its flags, and run by tests/cpp/test_vec.cpp where this machine has the instructions. C headers
// only, as in kernels_impl.cpp.
#include "check_vec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LRT_INLINE static inline __attribute__((always_inline))

#include LRT_VEC_HEADER

namespace lrt {
namespace {

constexpr int kLanes = 16, kRounds = 2000;
int failures = 0, checks = 0;
uint64_t random_state;

uint32_t random_word() {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(random_state >> 32);
}
uint32_t bits(float f) {
  uint32_t word;
  memcpy(&word, &f, sizeof word);
  return word;
}
float from_bits(uint32_t word) {
  float f;
  memcpy(&f, &word, sizeof f);
  return f;
}
// Of every sign and exponent whose sums, products and quotients stay normal; now and then an edge.
float random_float() {
  static const float edges[] = {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 16777216.0f};
  const uint32_t word = random_word();
  if (word % 61 == 0) return edges[random_word() % 8];
  return from_bits((word & 0x807fffffu) | (97 + random_word() % 60) << 23);
}
int8_t random_int8() {
  const uint32_t word = random_word() % 300;  // often at the ends
  return static_cast<int8_t>(word < 255 ? static_cast<int>(word) - 127 : word % 2 ? 127 : -127);
}

bool same(float a, float b) { return bits(a) == bits(b) || (a != a && b != b); }
bool same(int32_t a, int32_t b) { return a == b; }

template <class T>
void expect(const char* operation, const T* got, const T* wanted, int count = kLanes) {
  ++checks;
  for (int i = 0; i < count; ++i) {
    if (same(got[i], wanted[i])) continue;
    if (++failures < 20) {
      printf("FAILED %s, lane %d: %.9g, not %.9g\n", operation, i, static_cast<double>(got[i]),
             static_cast<double>(wanted[i]));
    }
    return;
  }
}

struct Floats {
  float lane[kLanes];
  operator V() const { return load(lane); }
};
struct Ints {
  int32_t lane[kLanes];
  operator I() const { return load_ints(lane); }
};

template <class F>
Floats floats_by(F f) {
  Floats made;
  for (int i = 0; i < kLanes; ++i) made.lane[i] = f(i);
  return made;
}
template <class F>
Ints ints_by(F f) {
  Ints made;
  for (int i = 0; i < kLanes; ++i) made.lane[i] = f(i);
  return made;
}

// f(i) is what lane i must be.
template <class F>
void expect_floats(const char* operation, V got, F f) {
  float lanes[kLanes];
  store(lanes, got);
  expect(operation, lanes, floats_by(f).lane);
}
template <class F>
void expect_ints(const char* operation, I got, F f) {
  int32_t lanes[kLanes];
  store_ints(lanes, got);
  expect(operation, lanes, ints_by(f).lane);
}

float multiply_add(float a, float b, float c) {
#if LRT_HAS_FMA
  return fmaf(a, b, c);
#else
  volatile float product = a * b;
  return product + c;
#endif
}

// ---- Floats ------------------------------------------------------------------------------------------------------

void check_arithmetic() {
  const Floats x = floats_by([](int) { return random_float(); }), y = floats_by([](int) { return random_float(); }),
               z = floats_by([](int) { return random_float(); });
  const float *a = x.lane, *b = y.lane, *c = z.lane;
  expect_floats("add", add(V(x), V(y)), [=](int i) { return a[i] + b[i]; });
  expect_floats("sub", sub(V(x), V(y)), [=](int i) { return a[i] - b[i]; });
  expect_floats("mul", mul(x, y), [=](int i) { return a[i] * b[i]; });
  expect_floats("div", div(x, y), [=](int i) { return a[i] / b[i]; });
  expect_floats("sqrt", sqrt(abs(x)), [=](int i) { return sqrtf(fabsf(a[i])); });
  expect_floats("fma", fma(x, y, z), [=](int i) { return multiply_add(a[i], b[i], c[i]); });
  expect_floats("fnma", fnma(x, y, z), [=](int i) { return multiply_add(-a[i], b[i], c[i]); });
  expect_floats("min", min(x, y), [=](int i) { return a[i] < b[i] ? a[i] : b[i]; });
  expect_floats("max", max(x, y), [=](int i) { return a[i] > b[i] ? a[i] : b[i]; });
  expect_floats("select", select(less(x, y), z, x), [=](int i) { return a[i] < b[i] ? c[i] : a[i]; });
  expect_floats("broadcast", broadcast(a[3]), [=](int) { return a[3]; });
}

void check_bits_of_floats() {
  const Floats x = floats_by([](int) { return random_float(); }), y = floats_by([](int) { return random_float(); });
  const float *a = x.lane, *b = y.lane;
  const Ints n = ints_by([](int) { return static_cast<int32_t>(random_word() % 41) - 20; });
  const Floats t = floats_by([&](int i) { return from_bits(static_cast<uint32_t>(n.lane[i])); });
  expect_floats("abs", abs(x), [=](int i) { return from_bits(bits(a[i]) & 0x7fffffffu); });
  expect_floats("neg", neg(x), [=](int i) { return from_bits(bits(a[i]) ^ 0x80000000u); });
  expect_floats("flip_sign", flip_sign(x, y),
                [=](int i) { return from_bits(bits(a[i]) ^ (bits(b[i]) & 0x80000000u)); });
  expect_ints("bits_of", bits_of(V(x)), [=](int i) { return static_cast<int32_t>(bits(a[i])); });

  const Floats one = floats_by([](int) { return 1.0f + static_cast<float>(random_word() % 1024) / 1024; });
  expect_floats("add_to_exponent", add_to_exponent(one, t), [&](int i) { return ldexpf(one.lane[i], n.lane[i]); });
  const Floats biased = floats_by([&](int i) { return from_bits(static_cast<uint32_t>(n.lane[i] + 127)); });
  expect_floats("bits_to_exponent", bits_to_exponent(biased), [&](int i) { return ldexpf(1.0f, n.lane[i]); });
  V mantissa;
  const Floats positive = floats_by([&](int i) { return ldexpf(one.lane[i], n.lane[i]); });
  const V exponent = split_exponent(V(positive), &mantissa);
  const auto halved = [&](int i) { return one.lane[i] >= 1.41421354f; };  // 0x3fb504f3
  expect_floats("split_exponent", exponent, [&](int i) { return static_cast<float>(n.lane[i] + halved(i)); });
  expect_floats("split_exponent's rest", mantissa, [&](int i) { return halved(i) ? one.lane[i] / 2 : one.lane[i]; });
}

// No byte past the lanes that are wanted may be read or written: the neighbours of what is stored must stay.
void check_partial() {
  for (int n = 0; n <= kLanes; ++n) {
    float source[kLanes], target[kLanes + 1], wanted[kLanes + 1];
    for (int i = 0; i < kLanes; ++i) source[i] = random_float();
    expect_floats("load_first", load_first(source, n), [&](int i) { return i < n ? source[i] : 0.0f; });
    for (int i = 0; i <= kLanes; ++i) target[i] = -1.0f, wanted[i] = i < n ? source[i] : -1.0f;
    store_first(target, load(source), n);
    expect("store_first", target, wanted, kLanes + 1);
  }
}

// ---- Integers ----------------------------------------------------------------------------------------------------

void check_integers() {
  const Ints x = ints_by([](int) { return static_cast<int32_t>(random_word()); }),
             y = ints_by([](int) { return static_cast<int32_t>(random_word()); });
  const int32_t *a = x.lane, *b = y.lane;
  const auto wrap = [](uint32_t sum) { return static_cast<int32_t>(sum); };
  const auto word = [](int32_t n) { return static_cast<uint32_t>(n); };
  expect_ints("add of integers", add(I(x), I(y)), [=](int i) { return wrap(word(a[i]) + word(b[i])); });
  expect_ints("sub of integers", sub(I(x), I(y)), [=](int i) { return wrap(word(a[i]) - word(b[i])); });
  expect_ints("max_int", max_int(x, y), [=](int i) { return a[i] > b[i] ? a[i] : b[i]; });
  expect_ints("and_int", and_int(x, y), [=](int i) { return a[i] & b[i]; });
  expect_ints("broadcast_int", broadcast_int(a[5]), [=](int) { return a[5]; });
  expect_ints("zero_ints", zero_ints(), [](int) { return 0; });
  expect_floats("to_float", to_float(x), [=](int i) { return static_cast<float>(a[i]); });
  int8_t stored[kLanes + 1];
  memset(stored, 99, sizeof stored);
  store_bytes(stored, x);
  int32_t got[kLanes + 1], wanted[kLanes + 1];
  for (int i = 0; i <= kLanes; ++i) {
    got[i] = stored[i];
    wanted[i] = i < kLanes ? static_cast<int8_t>(static_cast<uint8_t>(word(a[i]) & 255)) : 99;
  }
  expect("store_bytes", got, wanted, kLanes + 1);
}

void check_widening() {
  uint8_t bytes[65];  // not aligned
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_word());
  uint32_t words[kLanes];
  memcpy(words, bytes + 1, sizeof words);
  const Bytes w = load_bytes(bytes + 1);
  expect_floats("widen_low", widen_low(w), [&](int i) { return from_bits(words[i] << 16); });
  expect_floats("widen_high", widen_high(w), [&](int i) { return from_bits(words[i] & 0xffff0000u); });
}

float half_value(uint32_t half) {
  const int exponent = static_cast<int>(half >> 10 & 31), fraction = static_cast<int>(half & 1023);
  float value = exponent == 0    ? ldexpf(static_cast<float>(fraction), -24)
                : exponent == 31 ? (fraction ? NAN : INFINITY)
                                 : ldexpf(static_cast<float>(1024 + fraction), exponent - 25);
  return half >> 15 ? -value : value;
}
void check_halves() {  // all of them
  for (uint32_t first = 0; first < 65536; first += kLanes) {
    uint16_t halves[kLanes];
    for (uint32_t i = 0; i < kLanes; ++i) halves[i] = static_cast<uint16_t>(first + i);
    expect_floats("load_halves", load_halves(halves),
                  [=](int i) { return half_value(first + static_cast<uint32_t>(i)); });
  }
}

// As the kernels use them: a sum of several groups of four, from dot_start.
void check_dot(int groups) {
  int8_t w[64 * 64], x[4 * 64], stored[4 * 64 + 1];
  int32_t column_sums[kLanes] = {0}, wanted[kLanes] = {0};
  for (int k = 0; k < 4 * groups; ++k) {
    x[k] = random_int8();
    stored[k + 1] = static_cast<int8_t>(static_cast<uint8_t>(x[k] + kActivationOffset));
  }
  for (int k = 0; k < 4 * groups; ++k) {
    for (int i = 0; i < kLanes; ++i) {
      const int8_t weight = w[k / 4 * 64 + 4 * i + k % 4] = random_int8();
      column_sums[i] += weight;
      wanted[i] += weight * x[k];
    }
  }
  I sum = dot_start(column_sums);
  for (int g = 0; g < groups; ++g) sum = dot4(sum, load_bytes(w + 64 * g), broadcast_four(stored + 1 + 4 * g));
  expect_ints("dot4", sum, [&](int i) { return wanted[i]; });
}

void check_nibbles(int calls, bool largest) {
  uint8_t w[4 * 64];
  int8_t x[8 * 4];
  int32_t wanted[kLanes] = {0};
  for (int8_t& value : x) value = largest ? 127 : random_int8();
  for (int at = 0; at < 64 * calls; ++at) {
    w[at] = static_cast<uint8_t>(largest ? 255 : random_word());
    const int8_t* from = x + at / 64 * 8 + at % 4;
    wanted[at % 64 / 4] += (w[at] & 15) * from[0] + (w[at] >> 4) * from[4];
  }
  N sum = nibble_zero();
  for (int c = 0; c < calls; ++c) {
    sum = nibble_dot(sum, load_bytes(w + 64 * c), broadcast_four(x + 8 * c), broadcast_four(x + 8 * c + 4));
  }
  expect_ints("nibble_dot", nibble_sum(sum), [&](int i) { return wanted[i]; });
}

}  // namespace

#define LRT_PASTE_(a, b) a##b
#define LRT_PASTE(a, b) LRT_PASTE_(a, b)

VecResult LRT_PASTE(check_vec_, LRT_ISA)();
VecResult LRT_PASTE(check_vec_, LRT_ISA)() {
  random_state = 1;
  for (int round = 0; round < kRounds; ++round) {
    check_arithmetic();
    check_bits_of_floats();
    check_integers();
    check_widening();
    check_dot(1 + round % 64);
    check_nibbles(1 + round % 4, round % 10 == 0);
  }
  check_partial();
  check_halves();
  return {checks, failures};
}

}  // namespace lrt

// What a graph is made of, by itself: shapes, attributes of ops, and the rules for names and texts.
#include <cstdio>
#include <string>

#include "model/error.h"
#include "model/gguf.h"
#include "model/graph.h"
#include "model/text.h"
#include "model_image.h"

namespace {

int passed = 0, failed = 0;

void expect(bool right, const std::string& what) {
  ++(right ? passed : failed);
  if (!right) std::printf("FAILED: %s\n", what.c_str());
}

template <class Call>
void expect_error(lrt::Status status, const char* message, const Call& call) {
  try {
    call();
    expect(false, std::string("nothing is thrown, wanted: ") + message);
  } catch (const lrt::Error& error) {
    expect(error.status == status && std::string(error.what()).find(message) != std::string::npos, error.what());
  }
}

void test_shapes() {
  lrt::Shape shape{2, 3};
  shape.insert(1, 5);
  shape.push_back(7);
  expect(shape == lrt::Shape({2, 5, 3, 7}) && shape.text() == "[2, 5, 3, 7]", "insert and push_back");
  expect(shape.elements() == 210 && shape.product(1, 3) == 15 && shape.product(2, 2) == 1, "products");
  shape.erase(0);
  expect(shape == lrt::Shape(std::vector<int64_t>{5, 3, 7}) && shape != lrt::Shape({5, 3}), "erase");
  expect(lrt::Shape().elements() == 1 && lrt::Shape().text() == "[]", "a scalar");
  expect(lrt::Shape::filled(8, 2).elements() == 256, "rank 8");
  expect(lrt::Shape({0, lrt::kMaxElements}).elements() == 0, "an empty tensor");
  expect_error(lrt::Status::shape, "has more elements than a tensor may hold",
               [] { lrt::Shape({lrt::kMaxElements, 2}).elements(); });
  expect_error(lrt::Status::shape, "more elements", [] { lrt::Shape({INT64_MAX, INT64_MAX}).elements(); });
  expect(lrt::bytes_of(lrt::DType::q4, {3, 64}) == 108 && lrt::bytes_of(lrt::DType::q4, {0, 32}) == 0, "bytes of int4");
  expect(lrt::bytes_of(lrt::DType::bf16, {3, 5}) == 30 && lrt::bytes_of(lrt::DType::i64, {}) == 8, "bytes of others");
  expect_error(lrt::Status::internal, "an element of int4", [] { lrt::size_of(lrt::DType::q4); });
  expect_error(lrt::Status::internal, "negative dim", [] { lrt::Shape({2, -1}).elements(); });
  expect_error(lrt::Status::unsupported, "more than 8 dims", [] { lrt::Shape::filled(9, 1); });
  expect_error(lrt::Status::internal, "no axis 2", [] { lrt::Shape({1, 2}).erase(2); });
  expect_error(lrt::Status::internal, "no axis -1", [] { lrt::Shape({1, 2}).insert(-1, 1); });
}

void test_attributes() {
  const lrt::Graph graph =
      lrt::read_graph_memory(lrt_test::small_model().bytes().data(), lrt_test::small_model().bytes().size());
  const lrt::Op& op = graph.blocks[0].ops[2];
  expect(op.find("beta") == nullptr && op.number("beta", 3) == 3 && op.integer("axis", -1) == -1, "left out");
  expect(op.integers("axes").empty() && op.numbers("scales").empty() && op.texts("names").empty(), "left out lists");
  expect(op.text("mode", "slow") == "fast" && op.text("kind", "slow") == "slow", "text");
  const auto unsupported = lrt::Status::unsupported;
  expect_error(unsupported, "node 'state' (Gemm): attribute 'alpha' is floats, not integers",
               [&] { op.integer("alpha", 0); });
  expect_error(unsupported, "attribute 'transB' has 2 items, not one", [&] { op.integer("transB", 0); });
  expect_error(unsupported, "attribute 'mode' is strings, not floats", [&] { op.numbers("mode"); });
  expect_error(unsupported, "attribute 'body' is left out", [&] { op.block("body"); });
}

void test_words() {
  for (const char* right : {"", "a/b:0", "\xC3\xA9", "\xED\x9F\xBF", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF"}) {
    expect(lrt::is_utf8(right), std::string("UTF-8: ") + right);
  }
  for (const char* wrong :
       {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5", "\xE2\x82", "\xC3("}) {
    expect(!lrt::is_utf8(wrong), "not UTF-8: " + lrt::quoted(wrong));
  }
  expect(lrt::is_label("a\nb") && lrt::is_label("\xC2\x9B") && !lrt::is_label(std::string(1, '\0')),
         "control characters");
  expect(lrt::is_text("a\nb") && !lrt::is_text(std::string("\0", 1)), "text may hold lines, no NUL");
  // A message: newlines stay, what does not fit is cut between two characters.
  for (size_t size = 1; size < 12; ++size) {
    char out[12];
    lrt::copy_printable("a\n\xC3\xA9\x1B\xFFz", out, size);
    const std::string whole =
        "a\n\xC3\xA9\\x1b\\xff"
        "z";
    const size_t fits[] = {0, 0, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8};
    expect(out == whole.substr(0, fits[size]), "copy_printable in " + std::to_string(size) + ": " + out);
  }
  expect(lrt::quoted("\x1B\xC2\x9B\xFF") == "'\\x1b\\xc2\\x9b\\xff'", "quoted: " + lrt::quoted("\x1B\xC2\x9B\xFF"));
  expect(lrt::quoted(std::string(79, 'a') + "\xC3\xA9z") == "'" + std::string(79, 'a') + "\xC3\xA9...'",
         "a long name is cut");
}

}  // namespace

int main() {
  test_shapes();
  test_attributes();
  test_words();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

// Listens to 16-bit PCM on stdin and prints a model's scores: a line for each frame.
//
//   arecord -q -f S16_LE -r 16000 -t raw | pcm model.gguf
//
// For models with one float input whose last dim is the frame, such as the one of `lstm-rt demo`.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "lstm_rt.hpp"

namespace {

// Reads samples of two bytes, the lower first; the model gets them in [-1, 1).
bool read_frame(std::vector<float>& frame) {
  for (float& sample : frame) {
    unsigned char bytes[2];
    if (std::fread(bytes, 1, 2, stdin) != 2) return false;
    sample = static_cast<int16_t>(bytes[0] | bytes[1] << 8) / 32768.0f;
  }
  return true;
}

// The first input of a step as one frame: dims that are free, batch and time, become 1.
lstm_rt::Shape one_frame(const lstm_rt::Model& model, const lstm_rt::Stream& stream) {
  lstm_rt::Shape shape = model.input(stream.model_input(0)).shape;
  for (int64_t& dim : shape) dim = dim < 0 ? 1 : dim;
  return shape;
}

int listen(const char* path) {
  const lstm_rt::Model model = lstm_rt::Model::load(path);
  lstm_rt::Stream stream = lstm_rt::Stream::create(model);
  const lstm_rt::Shape shape = one_frame(model, stream);
  stream.prepare({lstm_rt::array<float>(shape)});  // plans and allocates; no step does

  std::vector<float> frame(shape.size()), scores(stream.output(0).size());
  while (read_frame(frame)) {
    if (stream.step<float, float>(frame, scores) != LRT_OK) return 1;
    for (float score : scores) std::printf("%.9g ", score);
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s model.gguf < samples.s16\n", argv[0]);
    return 2;
  }
  try {
    return listen(argv[1]);
  } catch (const lstm_rt::Error& error) {  // what, where, why, what to do
    std::fprintf(stderr, "%s: %s\n", argv[1], error.what());
    return 1;
  }
}

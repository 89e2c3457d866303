/* Steps a model through float32 samples from stdin and prints its scores: a line for each frame.

     stream model.gguf < samples.f32

   For models with one float input whose last dim is the frame, such as the one of `lstm-rt demo`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lstm_rt.h"

static int failed(const char* where, const lrt_error* error) {
  fprintf(stderr, "%s: %s\n", where, error->message);
  return EXIT_FAILURE;
}

static size_t elements(const lrt_shape* shape) {
  size_t count = 1;
  int32_t axis;
  for (axis = 0; axis < shape->rank; ++axis) count *= (size_t)shape->dims[axis];
  return count;
}

/* The first input of a step as one frame: dims that are free, batch and time, become 1. */
static lrt_array one_frame(const lrt_model* model, const lrt_stream* stream) {
  lrt_array frame = {0};
  lrt_port port;
  int32_t axis;
  lrt_model_input(model, lrt_stream_input(stream, 0), &port);
  frame.dtype = port.dtype;
  frame.shape = port.shape;
  for (axis = 0; axis < frame.shape.rank; ++axis) {
    if (frame.shape.dims[axis] < 0) frame.shape.dims[axis] = 1;
  }
  return frame;
}

/* Reads frames until there are no more. What is left of the last one is dropped. */
static int step_through(lrt_stream* stream, float* frame, size_t frame_size, float* scores, size_t score_count) {
  const void* inputs[1];
  void* outputs[1];
  inputs[0] = frame;
  outputs[0] = scores;
  while (frame_size > 0 && fread(frame, sizeof *frame, frame_size, stdin) == frame_size) {
    size_t i;
    if (lrt_stream_step(stream, inputs, outputs) != LRT_OK) return EXIT_FAILURE;
    for (i = 0; i < score_count; ++i) printf("%.9g%c", scores[i], i + 1 < score_count ? ' ' : '\n');
  }
  return EXIT_SUCCESS;
}

int main(int argc, char** argv) {
  lrt_error error;
  lrt_model* model = NULL;
  lrt_stream* stream = NULL;
  lrt_array frame;
  lrt_port scores;
  float *in, *out;
  int code;

  if (argc != 2) {
    fprintf(stderr, "usage: %s model.gguf < samples.f32\n", argv[0]);
    return 2;
  }
  if (lrt_model_load(argv[1], NULL, &model, &error) != LRT_OK) return failed(argv[1], &error);
  if (lrt_stream_create(model, NULL, &stream, &error) != LRT_OK) return failed(argv[1], &error);
  if (lrt_stream_input_count(stream) != 1 || lrt_stream_output_count(stream) != 1) {
    fprintf(stderr, "%s: this example takes models with one input and one output\n", argv[1]);
    return EXIT_FAILURE;
  }

  /* Planning comes first, and allocates; no step does. */
  frame = one_frame(model, stream);
  if (lrt_stream_prepare(stream, &frame, 1, &error) != LRT_OK) return failed("prepare", &error);
  lrt_stream_output_port(stream, 0, &scores);
  if (frame.dtype != LRT_FLOAT32 || scores.dtype != LRT_FLOAT32) {
    fprintf(stderr, "%s: this example takes models of float32\n", argv[1]);
    return EXIT_FAILURE;
  }
  fprintf(stderr, "lstm_rt %s on %s: %" PRIu64 " multiply-adds a step\n", lrt_version(), lrt_model_isa(model),
          lrt_stream_macs(stream));

  in = malloc(elements(&frame.shape) * sizeof *in);
  out = malloc(elements(&scores.shape) * sizeof *out);
  code = in && out ? step_through(stream, in, elements(&frame.shape), out, elements(&scores.shape)) : EXIT_FAILURE;
  free(in);
  free(out);
  lrt_stream_free(stream);
  lrt_model_free(model);
  return code;
}

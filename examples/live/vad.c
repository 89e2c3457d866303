/* Finds speech in raw samples from standard input: 16 kHz, mono, signed 16-bit little-endian. Needs lstm_rt only.

     cc -O2 vad.c $(pkg-config --cflags --libs lstm_rt) -o vad
     arecord -q -t raw -f S16_LE -r 16000 -c 1 | ./vad vad.gguf

   Prints where speech starts and ends, in seconds; with -a every probability too. vad.py prints the same bytes. */
#include <lstm_rt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Silero VAD takes 512 new samples and again the 64 before them. */
enum { RATE = 16000, FRAME = 512, CONTEXT = 64 };

/* Speech starts at ON; it ends below OFF where the gap lasts 4 frames. */
static const double ON = 0.5, OFF = 0.35;
enum { SHORTEST_GAP = 4 };

typedef struct detector {
  int speaking;
  long gap, frame; /* frames since the probability fell, frames in all */
} detector;

static void check(lrt_status status, const lrt_error* error) {
  if (status == LRT_OK) return;
  fprintf(stderr, "vad: %s\n", error->message);
  exit(1);
}

static size_t input_named(const lrt_model* model, const char* name) {
  lrt_port port;
  size_t i;
  for (i = 0; i < lrt_model_input_count(model); ++i)
    if (lrt_model_input(model, i, &port) == LRT_OK && strcmp(port.name, name) == 0) return i;
  fprintf(stderr, "vad: the model has no input %s\n", name);
  exit(1);
}

/* A stream at a fixed rate, planned: steps allocate nothing. */
static lrt_stream* open_stream(const char* path, const float* samples) {
  static const int64_t rate = RATE;
  const lrt_array rate_value = {LRT_INT64, {0, {0}}, &rate};
  const lrt_array frame = {LRT_FLOAT32, {2, {1, CONTEXT + FRAME}}, samples};
  lrt_error error = {LRT_OK, ""};
  lrt_model* model = NULL;
  lrt_stream* stream = NULL;
  lrt_stream_options options = {0};
  size_t sr;
  check(lrt_model_load(path, NULL, &model, &error), &error);
  sr = input_named(model, "sr");
  options.batch = 1;
  options.freeze = &sr;
  options.freeze_values = &rate_value;
  options.freeze_count = 1;
  check(lrt_stream_create(model, &options, &stream, &error), &error);
  lrt_model_free(model); /* the stream keeps it alive */
  check(lrt_stream_prepare(stream, &frame, 1, &error), &error);
  if (lrt_stream_output_count(stream) != 1) {
    fprintf(stderr, "vad: the model gives %zu outputs where one was wanted\n", lrt_stream_output_count(stream));
    exit(1);
  }
  return stream;
}

static void report(const char* event, long frame) { printf("%s %.3f\n", event, (double)frame * FRAME / RATE); }

static void detect(detector* d, double probability) {
  if (probability >= ON) {
    if (!d->speaking) report("start", d->frame);
    d->speaking = 1;
    d->gap = 0;
  } else if (d->speaking && (d->gap || probability < OFF)) {
    if (++d->gap == SHORTEST_GAP) {
      report("end", d->frame + 1 - d->gap);
      d->speaking = 0;
      d->gap = 0;
    }
  }
  ++d->frame;
}

/* The next frame behind the end of the one before; a last one is filled up with zeros. 0 where there is none. */
static int read_frame(float* samples) {
  unsigned char bytes[2 * FRAME] = {0};
  int i;
  if (fread(bytes, 1, sizeof bytes, stdin) == 0) return 0;
  memmove(samples, samples + FRAME, CONTEXT * sizeof *samples);
  for (i = 0; i < FRAME; ++i)
    samples[CONTEXT + i] = (float)(int16_t)(uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8) / 32768;
  return 1;
}

int main(int argc, char** argv) {
  static float samples[CONTEXT + FRAME]; /* zeros before the start */
  float probability = 0;
  const void* inputs[] = {samples};
  void* outputs[] = {&probability};
  const int every = argc == 3 && strcmp(argv[1], "-a") == 0;
  detector d = {0, 0, 0};
  lrt_stream* stream;
  if (argc != 2 + every) {
    fprintf(stderr, "usage: vad [-a] MODEL < samples\n");
    return 2;
  }
  stream = open_stream(argv[argc - 1], samples);
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a line goes out as soon as it is known */
  while (read_frame(samples)) {
    if (lrt_stream_step(stream, inputs, outputs) != LRT_OK) {
      fprintf(stderr, "vad: a step failed\n");
      return 1;
    }
    if (every) printf("%.3f %.9g\n", (double)d.frame * FRAME / RATE, (double)probability);
    detect(&d, probability);
  }
  if (d.speaking) report("end", d.frame - d.gap);
  lrt_stream_free(stream);
  return 0;
}

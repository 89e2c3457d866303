"""Finds speech in raw samples from standard input: 16 kHz, mono, signed 16-bit little-endian. Needs lstm_rt and numpy.

arecord -q -t raw -f S16_LE -r 16000 -c 1 | python vad.py vad.gguf

Prints where speech starts and ends, in seconds; with -a every probability too. vad.c prints the same bytes.
"""

import signal
import sys

import numpy as np

import lstm_rt

RATE, FRAME, CONTEXT = 16000, 512, 64  # Silero VAD takes 512 new samples and again the 64 before them
ON, OFF, SHORTEST_GAP = 0.5, 0.35, 4  # speech starts at ON; it ends below OFF where the gap lasts 4 frames


def main() -> None:
    every, model = sys.argv[1:-1] == ["-a"], sys.argv[-1]
    if not every and len(sys.argv) != 2:
        sys.exit("usage: vad.py [-a] MODEL < samples")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that leaves ends this quietly, as it does a C program
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    stream = lstm_rt.load(model).stream(freeze={"sr": RATE}, context=CONTEXT)
    samples = np.zeros((1, FRAME), np.float32)
    speaking, gap, frame = False, 0, 0  # gap: frames since the probability fell
    while data := sys.stdin.buffer.read(2 * FRAME):
        samples[0] = np.frombuffer(data.ljust(2 * FRAME, b"\0"), "<i2")  # a last frame is filled up
        samples /= 32768
        probability = float(stream.step(samples)[0, 0])
        if every:
            print(f"{frame * FRAME / RATE:.3f} {probability:.9g}", flush=True)
        if probability >= ON:
            if not speaking:
                print(f"start {frame * FRAME / RATE:.3f}", flush=True)
            speaking, gap = True, 0
        elif speaking and (gap or probability < OFF):
            gap += 1
            if gap == SHORTEST_GAP:
                print(f"end {(frame + 1 - gap) * FRAME / RATE:.3f}", flush=True)
                speaking, gap = False, 0
        frame += 1
    if speaking:
        print(f"end {(frame - gap) * FRAME / RATE:.3f}", flush=True)


if __name__ == "__main__":
    main()

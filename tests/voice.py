"""Sound that Silero VAD takes for speech, made up."""

from __future__ import annotations

from typing import Any

import numpy as np


def babble(seconds: float) -> Any:
    """Something like vowels: a gliding voice through moving formants."""
    rate = 16000
    time = np.arange(int(seconds * rate)) / rate
    pitch = 130 + 25 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    syllables = 0.15 + 0.85 * np.clip(np.sin(2 * np.pi * 3.5 * time), 0, 1)
    formants = (600 + 200 * np.sin(2 * np.pi * 1.3 * time), 1400 + 500 * np.sin(2 * np.pi * 0.9 * time), 2600)
    voice = np.zeros_like(time)
    for harmonic in range(1, 28):
        gain = sum(np.exp(-(((harmonic * pitch - formant) / 160) ** 2)) for formant in formants)
        voice += (gain + 0.02) / np.sqrt(harmonic) * np.sin(harmonic * phase)
    return 9000 * voice / np.abs(voice).max() * syllables


def spoken() -> Any:
    """Silence, speech, silence and the start of speech, as 16-bit samples; the last frame of 512 is not full."""
    return np.concatenate([np.zeros(16000), babble(2.0), np.zeros(16000), babble(1.01)]).astype("<i2")

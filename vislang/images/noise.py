"""Images without content."""

import numpy as np


def pink_noise(seed: int, side: int) -> np.ndarray:
    """Return noise with about the spectrum and colours of photographs, uint8 [side, side, 3]: amplitude 1 / frequency.

    The channels share most of their pattern, as those of photographs do.
    """
    random = np.random.default_rng(seed)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequencies[0, 0] = 1.0

    def pattern() -> np.ndarray:
        spectrum = np.fft.fft2(random.normal(size=(side, side))) / frequencies
        values = np.fft.ifft2(spectrum).real
        return (values - values.mean()) / values.std()

    shared = pattern()
    channels = [shared + 0.35 * pattern() for _ in range(3)]
    return np.clip(50.0 * np.stack(channels, axis=-1) + random.uniform(80, 150), 0, 255).astype(np.uint8)

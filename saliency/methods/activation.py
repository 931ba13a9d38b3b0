"""Maps of words from a ranker: what each cell of a larger image adds to the image's score with the word.

An image without content has nothing to point at, but its cells differ too, because the CNN pads its edges with zeros.
Cells are therefore compared with those of a black, a grey and a white image at the same place.

Letters: F frames, T words, R x C cells, D features.

References: Zhou et al. 2016, arXiv:1512.04150 (class activation mapping).
"""

from collections.abc import Sequence

import numpy as np

from vse.cell_maps import smooth_cells

# Scores up to _FAINT have no map, and one of _CLEAR is at full strength; chosen on dev, see docs/experiments.md.
_FAINT = 1.0
_CLEAR = 3.5
# The evidence of a word grows by this share of its highest score above the neutral one; chosen on dev, where the areas
# under the ROC curve are .796 for the captioner alone, .730 for the ranker alone and .834 for both.
_EVIDENCE_SHARE = 0.3
_NEUTRAL = 3.5


def activation_maps(losses: np.ndarray) -> np.ndarray:
    """Return maps, float32 [F, T, R, C], 0 to 1, from losses of that shape.

    Scores are smoothed, scaled so that _FAINT becomes 0, and the highest of all frames or _CLEAR, whichever is higher,
    becomes 1, and cut off at 0. So a word without a clear place has a faint map.
    """
    scores = smooth_cells(-losses)
    highest = np.maximum(scores.max(axis=(0, 2, 3), keepdims=True), _CLEAR)
    return np.maximum((scores - _FAINT) / (highest - _FAINT), 0.0)


def strengths(evidence: np.ndarray) -> np.ndarray:
    """Return the factors of words' maps, float32 [T], from their evidence: 1 from 1 on, and .1 below -.8.

    So a word that the image speaks against has a faint map, although some cell always scores highest.
    """
    return np.clip((1.0 + np.asarray(evidence, np.float32)) / 2.0, 0.1, 1.0)


def activation_evidence(losses: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Return what the ranker adds to the evidence of each word, float32 [T], from losses float [F, T, R, C].

    It is above 0 where the highest score of any cell is above that of most words that are not in an image, and 0 for an
    empty text.
    """
    highest = -losses.min(axis=(0, 2, 3)).astype(np.float32)
    return np.where([text != "" for text in texts], _EVIDENCE_SHARE * (highest - _NEUTRAL), 0.0).astype(np.float32)

"""Training images kept with a captioner: what people wrote of images like this one has a say in what it writes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from captioner.decoding.likeness import CaptionLikeness
from vislang.core.errors import CheckpointError
from vislang.core.files import UNREADABLE, whole_file

FILE = "neighbours.npz"  # inside the checkpoint folder


@dataclass(frozen=True)
class Neighbours:
    """Where C training images lie in the judges' space, and their M captions.

    Attributes:
        vectors: float16 [C, J], of length 1.
        words: int [M, T], word numbers padded with 0, without end marks.
        image_of_caption: int [M], 0..C-1, never falling.

    References: Mao et al. 2015, arXiv:1412.6632 (consensus reranking); Devlin et al. 2015, arXiv:1505.04467.
    """

    vectors: np.ndarray
    words: np.ndarray
    image_of_caption: np.ndarray
    likeness: CaptionLikeness = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "likeness", CaptionLikeness(self.words, self.image_of_caption))

    def nearest(self, vectors: np.ndarray, count: int) -> np.ndarray:
        """Give int [B, count], the training images of highest cosine with float [B, J], best first."""
        scores = np.asarray(vectors, np.float32) @ self.vectors.astype(np.float32).T
        return np.argsort(-scores, axis=1, kind="stable")[:, :count]

    def agreement(self, vectors: np.ndarray, sentences: np.ndarray, count: int) -> np.ndarray:
        """Say how well sentences agree with what people wrote of the nearest training images.

        Args:
            vectors: float [B, J], of the images.
            sentences: int [B, K, T], word numbers padded with 0, without end marks.
            count: how many training images.

        Returns:
            float64 [B, K], the mean CIDEr-D with their captions, 0 to 10; mostly below 1.
        """
        starts = np.searchsorted(self.image_of_caption, np.arange(len(self.vectors) + 1))
        scores = np.zeros(sentences.shape[:2])
        for image, found in enumerate(self.nearest(vectors, count)):
            captions = np.concatenate([np.arange(starts[one], starts[one + 1]) for one in found])
            scores[image] = self.likeness(sentences[image], captions).mean(axis=1)
        return scores

    def save(self, folder: Path) -> None:
        """Write them into a checkpoint folder, as one whole file."""
        with whole_file(folder / FILE) as part, part.open("wb") as stream:
            np.savez(stream, vectors=self.vectors, words=self.words, image_of_caption=self.image_of_caption)


def read_neighbours(folder: Path) -> Neighbours | None:
    """Read what `Neighbours.save` wrote; None where there is nothing, as before the end of a training.

    Raises:
        CheckpointError: the file is damaged.
    """
    if not (folder / FILE).is_file():
        return None
    try:
        with np.load(folder / FILE, allow_pickle=False) as saved:
            return Neighbours(saved["vectors"], saved["words"], saved["image_of_caption"])
    except UNREADABLE as error:
        raise CheckpointError(f"{folder / FILE} cannot be read ({error}); copy or train the checkpoint anew") from error

"""Consensus re-ranking: candidate captions are compared with the captions of similar training images.

References: Mao et al. 2015, arXiv:1412.6632, section 8; Devlin et al. 2015, arXiv:1505.04467.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.metrics.captions.cider import PairwiseCider
from vislang.core.errors import CheckpointError
from vislang.core.files import UNREADABLE, whole_file

FILE = "consensus.npz"  # inside the checkpoint folder


@dataclass(frozen=True)
class ConsensusReranker:
    """C training images in the joint space of the image-text scorers, and their M captions.

    Attributes:
        embeddings: float16 [C, D], of length 1.
        words: int [M, T], word ids padded with 0, without end marks.
        image_of_caption: int [M], 0..C-1, in ascending order.
    """

    embeddings: np.ndarray
    words: np.ndarray
    image_of_caption: np.ndarray
    cider: PairwiseCider = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cider", PairwiseCider(self.words, self.image_of_caption))

    def nearest(self, embeddings: np.ndarray, count: int) -> np.ndarray:
        """Return int [B, count], the training images of highest cosine with each row of float [B, D], best first."""
        scores = np.asarray(embeddings, np.float32) @ self.embeddings.astype(np.float32).T
        return np.argsort(-scores, axis=1, kind="stable")[:, :count]

    def scores(self, embeddings: np.ndarray, sentences: np.ndarray, count: int) -> np.ndarray:
        """Compute float64 [B, K], 0 to 10: mean CIDEr-D of sentences with the captions of the nearest training images.

        Args:
            embeddings: float [B, D], of the images.
            sentences: int [B, K, T], word ids padded with 0, without end marks.
            count: how many training images.
        """
        starts = np.searchsorted(self.image_of_caption, np.arange(len(self.embeddings) + 1))
        scores = np.zeros(sentences.shape[:2])
        for image, neighbours in enumerate(self.nearest(embeddings, count)):
            captions = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in neighbours])
            scores[image] = self.cider(sentences[image], captions).mean(axis=1)
        return scores

    def save(self, folder: Path) -> None:
        """Write the embeddings and captions into a checkpoint folder, as one whole file."""
        with whole_file(folder / FILE) as part, part.open("wb") as stream:
            np.savez(stream, embeddings=self.embeddings, words=self.words, image_of_caption=self.image_of_caption)


def read_consensus_reranker(folder: Path) -> ConsensusReranker | None:
    """Read what `ConsensusReranker.save` wrote; None where there is no file, as before the end of a training.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as saved:
            return ConsensusReranker(
                embeddings=saved["embeddings"], words=saved["words"], image_of_caption=saved["image_of_caption"]
            )
    except UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy or train the checkpoint anew") from error

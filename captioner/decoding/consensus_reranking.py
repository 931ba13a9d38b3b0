"""Consensus re-ranking: candidate captions are compared with the captions of similar training images.

References: Mao et al. 2015, arXiv:1412.6632, section 8; Devlin et al. 2015, arXiv:1505.04467.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.metrics.captions.cider import PairwiseCider
from vislang.core.errors import CheckpointError, DataError
from vislang.core.files import read_arrays, whole_file

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
    next_step = "copy or train the checkpoint anew"
    try:
        arrays = read_arrays(path, next_step)
        embeddings, words, image_of_caption = (arrays[name] for name in ("embeddings", "words", "image_of_caption"))
        if embeddings.ndim != 2 or embeddings.dtype.kind != "f" or not np.isfinite(embeddings).all():
            raise ValueError(f"embeddings {embeddings.dtype} {list(embeddings.shape)}")
        if words.ndim != 2 or words.dtype.kind not in "iu" or not words.size or words.min() < 0:
            raise ValueError(f"words {words.dtype} {list(words.shape)}")
        if image_of_caption.shape != words.shape[:1] or image_of_caption.dtype.kind not in "iu":
            raise ValueError(f"image_of_caption {image_of_caption.dtype} {list(image_of_caption.shape)}")
        steps = np.diff(image_of_caption.astype(np.int64), prepend=0, append=len(embeddings) - 1)
        if steps.min() < 0:
            raise ValueError("captions that are not in the order of their images")
        return ConsensusReranker(embeddings, words, image_of_caption)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} holds no captions of training images ({error}); {next_step}") from error

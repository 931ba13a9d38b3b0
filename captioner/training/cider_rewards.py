"""What a training caption or a sampled one is worth, measured with CIDEr-D; part of captioner.train."""

from collections.abc import Callable, Sequence

import numpy as np

from datasets.records import ImageRecord
from eval.metrics.captions.cider import cider
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import count_ngrams
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import END, Vocabulary


def cider_weights(records: Sequence[ImageRecord], share: float) -> np.ndarray:
    """Weigh each caption by how much the other captions of its image agree with it.

    Args:
        records: M captions in all.
        share: 0 for equal weights, 1 for weights in proportion to CIDEr-D.

    Returns:
        float64 [M] >= 0, 1 on average. A caption without others counts 1.

    References: Phan et al. 2017, arXiv:1712.09532 (weighted cross-entropy).
    """
    images = [[" ".join(tokenize(caption)) for caption in record.captions] for record in records]
    others = [[image[:place] + image[place + 1 :] for place in range(len(image))] for image in images]
    pairs = [
        (one, rest or [one])
        for image, rests in zip(images, others, strict=True)
        for one, rest in zip(image, rests, strict=True)
    ]
    ngrams = count_ngrams([one for one, _ in pairs], [rest for _, rest in pairs])
    scores = cider(ngrams, df=DocumentFrequencies.fit(images, tokenizer="treebank"))
    alone = np.array([not rest for rests in others for rest in rests])
    scores[alone] = scores[~alone].mean() if not alone.all() else 1.0
    return 1.0 - share + share * scores / scores.mean()


def cider_reward(
    vocabulary: Vocabulary, records: Sequence[ImageRecord]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Give the reward of self-critical training: CIDEr-D against the captions of the same image.

    The end counts as a word, in samples, references and document frequencies alike, or captions learn to break off.
    """
    end = vocabulary.words[END]
    references = [[" ".join([*tokenize(caption), end]) for caption in record.captions] for record in records]
    frequencies = DocumentFrequencies.fit(references, tokenizer="treebank")

    def reward(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
        samples = words.reshape(-1, words.shape[-1])
        texts = [" ".join([*vocabulary.decode(sample.tolist()), *[end] * (END in sample)]) for sample in samples]
        others = [references[row] for row in rows for _ in range(words.shape[1])]
        return cider(count_ngrams(texts, others), df=frequencies).reshape(words.shape[:2])

    return reward

"""Weights of training captions and rewards of sampled ones, both by CIDEr-D."""

from collections.abc import Callable, Sequence

import numpy as np

from datasets.records import ImageRecord
from eval.metrics.captions.cider import cider
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import count_ngrams
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import END, Vocabulary


def cider_weights(records: Sequence[ImageRecord], share: float) -> np.ndarray:
    """Weight each caption by its CIDEr-D with the others of its image, float64 [M] >= 0, 1 on average.

    Args:
        records: images with M captions in all.
        share: 0 for equal weights, 1 for weights in proportion to CIDEr-D.

    References: Phan et al. 2017, arXiv:1712.09532 (weighted cross-entropy).
    """
    documents = []
    captions = []
    references = []
    is_alone = []
    for record in records:
        texts = [" ".join(tokenize(caption)) for caption in record.captions]
        documents.append(texts)
        for index, text in enumerate(texts):
            others = texts[:index] + texts[index + 1 :]
            captions.append(text)
            references.append(others or [text])
            is_alone.append(not others)
    frequencies = DocumentFrequencies.fit(documents, tokenizer="treebank")
    scores = cider(count_ngrams(captions, references), df=frequencies)
    alone = np.array(is_alone)
    if alone.all():
        scores[:] = 1.0
    else:
        scores[alone] = scores[~alone].mean()
    return 1.0 - share + share * scores / scores.mean()


def cider_reward(
    vocabulary: Vocabulary, records: Sequence[ImageRecord]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the reward of self-critical training: CIDEr-D against the captions of the same image.

    The end mark counts as a word, in samples, references and document frequencies alike; otherwise captions learn to
    break off.

    Returns:
        reward(rows int [B], words int [B, S, T]), float [B, S]; rows index `records`.
    """
    end = vocabulary.words[END]
    references = []
    for record in records:
        references.append([" ".join([*tokenize(caption), end]) for caption in record.captions])
    frequencies = DocumentFrequencies.fit(references, tokenizer="treebank")

    def reward(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
        samples = words.reshape(-1, words.shape[-1])
        texts = [_sample_text(sample, vocabulary) for sample in samples]
        of_sample = [references[row] for row in np.repeat(rows, words.shape[1])]
        return cider(count_ngrams(texts, of_sample), df=frequencies).reshape(words.shape[:2])

    return reward


def _sample_text(sample: np.ndarray, vocabulary: Vocabulary) -> str:
    """Return the words of a sample, int [T], with the end mark if it has one."""
    words = vocabulary.decode(sample.tolist())
    if END in sample:
        words.append(vocabulary.words[END])
    return " ".join(words)

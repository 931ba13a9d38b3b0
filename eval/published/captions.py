"""Published caption scores, times 100 as in the papers, all of test splits.

The papers' tokenizers and scoring scripts may differ from ours in detail.
"""

from dataclasses import dataclass

from eval.published.retrieval import KARPATHY, LAVIS

Numbers = tuple[float | None, float | None, float | None, float | None]  # BLEU-1 to BLEU-4

SPATIAL = "README of sulabhkatiyar/Spatial_Att"
ZOO = "README of aaronma2020/caption_zoo"
RUOTIAN = "MODEL_ZOO.md of ruotianluo/ImageCaptioning.pytorch"
XMODALER = "README of YehLi/xmodaler"
NEURALTALK2 = "README of karpathy/neuraltalk2"
NONE: Numbers = (None, None, None, None)


@dataclass(frozen=True)
class PublishedCaptions:
    """One row of a published table.

    Attributes:
        method: the model and its features.
        bleu: BLEU-1 to BLEU-4; None is not published.
        meteor: METEOR.
        cider: CIDEr-D.
        source: of the numbers.
        rouge_l: ROUGE-L.
        frozen: the image network was not fine-tuned, as in this toolkit; such rows are the fair comparison.
    """

    method: str
    bleu: Numbers
    meteor: float | None
    cider: float | None
    source: str
    rouge_l: float | None = None
    frozen: bool = True

    def value(self, name: str) -> float | None:
        """Return a score by its name in our results, such as "bleu4"."""
        if name.startswith("bleu"):
            return self.bleu[int(name[-1]) - 1]
        return getattr(self, name)

    def marked_method(self) -> str:
        """Return the method with the mark of its footnote."""
        if self.frozen:
            return self.method
        return f"{self.method} ‡"


PUBLISHED: dict[str, tuple[PublishedCaptions, ...]] = {
    "flickr8k": (
        PublishedCaptions("Mao et al., m-RNN", (58, 28, 23, None), None, None, KARPATHY),
        PublishedCaptions("Chen and Zitnick", (None, None, None, 14.1), None, None, KARPATHY),
        PublishedCaptions("Karpathy m-RNN, VGG", (57.9, 38.3, 24.5, 16.0), 16.7, 31.8, KARPATHY),
        PublishedCaptions("Google NIC", (63, 41, 27, None), None, None, KARPATHY),
        PublishedCaptions("spatial attention, VGG-16, beam 5", (62.2, 43.3, 29.3, 19.7), 19.6, 49.7, SPATIAL),
    ),
    "flickr30k": (
        PublishedCaptions("Mao et al., m-RNN", (55, 24, 20, None), None, None, KARPATHY),
        PublishedCaptions("Chen and Zitnick", (None, None, None, 12.6), None, None, KARPATHY),
        PublishedCaptions("Karpathy m-RNN, VGG", (57.3, 36.9, 24.0, 15.7), 15.3, 24.7, KARPATHY),
        PublishedCaptions("LRCN (Donahue)", (58.8, 39.1, 25.1, 16.5), None, None, KARPATHY),
        PublishedCaptions("Google NIC", (66.3, 42.3, 27.7, 18.3), None, None, KARPATHY),
    ),
    "coco": (
        PublishedCaptions("nearest neighbour, VGG", (48.0, 28.1, 16.6, 10.0), 15.7, 38.3, KARPATHY),
        PublishedCaptions("Chen and Zitnick", (None, None, None, 19.0), 20.4, None, KARPATHY),
        PublishedCaptions("Fang et al.", (None, None, None, 21.1), 20.7, None, KARPATHY),
        PublishedCaptions("LRCN (Donahue)", (62.8, 44.2, 30.4, None), None, None, KARPATHY),
        PublishedCaptions("Karpathy m-RNN, VGG", (62.5, 45.0, 32.1, 23.0), 19.5, 66.0, KARPATHY),
        PublishedCaptions("Google NIC", (66.6, 46.1, 32.9, 24.6), None, None, KARPATHY),
        PublishedCaptions("NIC, frozen", (66.8, 49.1, 35.5, 26.2), 22.6, 79.0, ZOO),
        PublishedCaptions("NeuralTalk2, fine-tuned, beam 2", NONE, None, 92.2, NEURALTALK2, frozen=False),
        PublishedCaptions("NIC, fine-tuned", (71.2, 54.2, 40.7, 30.8), 25.3, 95.6, ZOO, frozen=False),
        PublishedCaptions("UpDown, cross-entropy", NONE, None, 109.9, RUOTIAN),
        PublishedCaptions("Transformer, cross-entropy", NONE, None, 112.6, RUOTIAN),
        PublishedCaptions("X-LAN, cross-entropy", (None, None, None, 37.5), 28.6, 120.7, XMODALER),
        PublishedCaptions("UpDown, self-critical", NONE, None, 123.9, RUOTIAN),
        PublishedCaptions("Transformer, self-critical", NONE, None, 130.3, RUOTIAN),
        PublishedCaptions("TDEN, self-critical", (None, None, None, 40.1), 29.6, 132.6, XMODALER),
        PublishedCaptions("BLIP base", (None, None, None, 39.9), None, 133.5, LAVIS, frozen=False),
    ),
}


def published_captions(dataset: str, split: str) -> tuple[PublishedCaptions, ...]:
    """Return the published rows for a data set, in the order of their table; none for another split than test.

    Args:
        dataset: such as "flickr8k"; "flickr8k-karpathy" and the like count as their first part.
        split: of the data set.
    """
    if split != "test":
        return ()
    return PUBLISHED.get(dataset.split("-")[0], ())

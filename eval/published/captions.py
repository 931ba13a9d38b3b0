"""Published caption scores, times 100 as in the papers, all of test splits.

The papers' tokenizers and scoring scripts may differ from ours in detail.
"""

from eval.published.retrieval import KARPATHY, LAVIS
from eval.published.row import PublishedRow

Numbers = tuple[float | None, float | None, float | None, float | None]  # BLEU-1 to BLEU-4

SPATIAL = "README of sulabhkatiyar/Spatial_Att"
ZOO = "README of aaronma2020/caption_zoo"
RUOTIAN = "MODEL_ZOO.md of ruotianluo/ImageCaptioning.pytorch"
XMODALER = "README of YehLi/xmodaler"
NEURALTALK2 = "README of karpathy/neuraltalk2"
RAMANISHKA = "Ramanishka et al. 2017, arXiv:1612.07360"
NONE: Numbers = (None, None, None, None)


COLUMNS = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l", "cider")


def _row(
    method: str, bleu: Numbers, meteor: float | None, cider: float | None, source: str, **marks: bool
) -> PublishedRow:
    scores = dict(zip(COLUMNS, (*bleu, meteor, None, cider), strict=True))
    return PublishedRow(method, scores, source, **marks)


PUBLISHED: dict[str, tuple[PublishedRow, ...]] = {
    "flickr8k": (
        _row("Mao et al., m-RNN", (58, 28, 23, None), None, None, KARPATHY),
        _row("Chen and Zitnick", (None, None, None, 14.1), None, None, KARPATHY),
        _row("Karpathy m-RNN, VGG", (57.9, 38.3, 24.5, 16.0), 16.7, 31.8, KARPATHY),
        _row("Google NIC", (63, 41, 27, None), None, None, KARPATHY),
        _row("spatial attention, VGG-16, beam 5", (62.2, 43.3, 29.3, 19.7), 19.6, 49.7, SPATIAL),
    ),
    "flickr30k": (
        _row("Mao et al., m-RNN", (55, 24, 20, None), None, None, KARPATHY),
        _row("Chen and Zitnick", (None, None, None, 12.6), None, None, KARPATHY),
        _row("Karpathy m-RNN, VGG", (57.3, 36.9, 24.0, 15.7), 15.3, 24.7, KARPATHY),
        _row("LRCN (Donahue)", (58.8, 39.1, 25.1, 16.5), None, None, KARPATHY),
        _row("soft attention", NONE, 18.5, None, RAMANISHKA, recalled=True),
        _row("S2VT of Ramanishka", NONE, 18.3, None, RAMANISHKA, recalled=True),
        _row("Google NIC", (66.3, 42.3, 27.7, 18.3), None, None, KARPATHY),
    ),
    "msrvtt": (
        _row("soft attention", NONE, 25.4, None, RAMANISHKA, recalled=True),
        _row("S2VT of Ramanishka", NONE, 25.9, None, RAMANISHKA, recalled=True),
    ),
    "coco": (
        _row("nearest neighbour, VGG", (48.0, 28.1, 16.6, 10.0), 15.7, 38.3, KARPATHY),
        _row("Chen and Zitnick", (None, None, None, 19.0), 20.4, None, KARPATHY),
        _row("Fang et al.", (None, None, None, 21.1), 20.7, None, KARPATHY),
        _row("LRCN (Donahue)", (62.8, 44.2, 30.4, None), None, None, KARPATHY),
        _row("Karpathy m-RNN, VGG", (62.5, 45.0, 32.1, 23.0), 19.5, 66.0, KARPATHY),
        _row("Google NIC", (66.6, 46.1, 32.9, 24.6), None, None, KARPATHY),
        _row("NIC, frozen", (66.8, 49.1, 35.5, 26.2), 22.6, 79.0, ZOO),
        _row("NeuralTalk2, fine-tuned, beam 2", NONE, None, 92.2, NEURALTALK2, frozen=False),
        _row("NIC, fine-tuned", (71.2, 54.2, 40.7, 30.8), 25.3, 95.6, ZOO, frozen=False),
        _row("UpDown, cross-entropy", NONE, None, 109.9, RUOTIAN),
        _row("Transformer, cross-entropy", NONE, None, 112.6, RUOTIAN),
        _row("X-LAN, cross-entropy", (None, None, None, 37.5), 28.6, 120.7, XMODALER),
        _row("UpDown, self-critical", NONE, None, 123.9, RUOTIAN),
        _row("Transformer, self-critical", NONE, None, 130.3, RUOTIAN),
        _row("TDEN, self-critical", (None, None, None, 40.1), 29.6, 132.6, XMODALER),
        _row("BLIP base", (None, None, None, 39.9), None, 133.5, LAVIS, frozen=False),
    ),
}


def published_captions(dataset: str, split: str) -> tuple[PublishedRow, ...]:
    """Return the rows for a data set such as "flickr8k" or "flickr8k-karpathy"; none for other splits than test."""
    if split != "test":
        return ()
    return PUBLISHED.get(dataset.split("-")[0], ())

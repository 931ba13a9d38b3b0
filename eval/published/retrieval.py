"""Published retrieval numbers. Rows marked `recalled` are quoted from memory, not checked against the source."""

from eval.published.row import PublishedRow

Numbers = tuple[float | None, float | None, float | None, float | None]  # R@1, R@5, R@10, median rank

KIROS = "Kiros et al. 2014, arXiv:1411.2539"
KIROS_REPO = "README of ryankiros/visual-semantic-embedding"
KARPATHY = "Karpathy and Fei-Fei 2015, arXiv:1412.2306"
SURVEY = "README of WangFei-2019/Image-text-Retrieval"
VSE_INFTY = "README of woodfrog/vse_infty"
OPEN_CLIP = "openclip_retrieval_results.csv of mlfoundations/open_clip"
LAVIS = "docs/benchmark.rst of salesforce/LAVIS"
GOT = "table of the GOT paper"
PORT = "third-party PyTorch port of the Kiros code"
NONE: Numbers = (None, None, None, None)


COLUMNS = ("i2t_r1", "i2t_r5", "i2t_r10", "i2t_medr", "t2i_r1", "t2i_r5", "t2i_r10", "t2i_medr")


def _row(method: str, i2t: Numbers, t2i: Numbers, source: str, **marks: bool) -> PublishedRow:
    return PublishedRow(method, dict(zip(COLUMNS, (*i2t, *t2i), strict=True)), source, **marks)


# (data set, setting): "1k" is one pass over 1,000 test images, "5k" over 5,000, "5x1k" the mean of five folds.
PUBLISHED: dict[tuple[str, str], tuple[PublishedRow, ...]] = {
    ("flickr8k", "1k"): (
        _row("random order", (0.1, 0.6, 1.1, 631), (0.1, 0.5, 1.0, 500), KIROS, recalled=True),
        _row("Kiros, AlexNet", (13.5, 36.2, 45.7, 13), (10.4, 31.0, 43.7, 14), KIROS, recalled=True),
        _row("DeFrag", (12.6, 32.9, 44.0, 14), (9.7, 29.6, 42.5, 15), KARPATHY, recalled=True),
        _row("DeFrag, run again", (13.8, 35.8, 48.2, 10.4), (9.5, 28.2, 40.3, 15.6), KARPATHY, recalled=True),
        _row("DepTree edges", (14.8, 37.9, 50.0, 9.4), (11.6, 31.4, 43.8, 13.2), KARPATHY, recalled=True),
        _row("BRNN, regions", (16.5, 40.6, 54.2, 7.6), (11.8, 32.1, 44.7, 12.4), KARPATHY, recalled=True),
        _row("Kiros paper, VGG-19", (18.0, 40.9, 55.0, 8), (12.5, 37.0, 51.5, 10), KIROS),
        _row("Kiros repository, VGG-19", (22.3, 48.7, 59.8, 6), (14.9, 38.3, 51.6, 10), KIROS_REPO),
        _row("Kiros, PyTorch port", (23.9, 49.1, 61.3, 6), (16.9, 41.8, 54.4, 9), PORT),
    ),
    ("flickr30k", "1k"): (
        _row("SDT-RNN", (9.6, 29.8, 41.1, 16), (8.9, 29.8, 41.1, 16), KARPATHY),
        _row("Kiros, AlexNet", (14.8, 39.2, 50.9, 10), (11.8, 34.0, 46.3, 13), KARPATHY),
        _row("m-RNN", (18.4, 40.2, 50.9, 10), (12.6, 31.2, 41.5, 16), KARPATHY),
        _row("LRCN (Donahue)", (17.5, 40.3, 50.8, 9), NONE, KARPATHY),
        _row("DeFrag", (14.2, 37.7, 51.3, 10), (10.2, 30.8, 44.2, 14), KARPATHY),
        _row("DeFrag, run again", (19.2, 44.5, 58.0, 6.0), (12.9, 35.4, 47.5, 10.8), KARPATHY),
        _row("DepTree edges", (20.0, 46.6, 59.4, 5.4), (15.0, 36.5, 48.2, 10.4), KARPATHY),
        _row("BRNN, regions", (22.2, 48.2, 61.4, 4.8), (15.2, 37.7, 50.5, 9.2), KARPATHY),
        _row("Vinyals", (23, None, 63, 5), (17, None, 57, 8), KARPATHY),
        _row("Kiros paper, VGG-19", (23.0, 50.7, 62.9, 5), (16.8, 42.0, 56.5, 8), KIROS),
        _row("Kiros repository, VGG-19", (29.8, 58.4, 70.5, 4), (22.0, 47.9, 59.3, 6), KIROS_REPO),
        _row("Kiros, PyTorch port", (29.0, 57.7, 67.3, 4), (21.5, 48.0, 59.0, 6), PORT),
        _row("VSE++, ResNet-152", (43.7, 71.9, 82.1, None), (32.3, 60.9, 72.1, None), SURVEY),
        _row("VSE++ fine-tuned", (52.9, None, 87.2, None), (39.6, None, 79.5, None), GOT, frozen=False),
        _row("SCAN i-t LSE, regions", (67.7, 88.9, 94.0, None), (44.0, 74.2, 82.6, None), SURVEY),
        _row("VSRN, regions", (71.3, 90.6, 96.0, None), (54.7, 81.8, 88.2, None), SURVEY),
        _row("SGRAF-SGR, regions", (75.2, 93.3, 96.6, None), (56.2, 81.0, 86.5, None), SURVEY),
        _row("VSE∞, regions, BERT", (81.7, 95.4, None, None), (61.4, 85.9, None, None), VSE_INFTY),
        _row("VSE∞, WSL grid", (88.4, 98.3, None, None), (74.2, 93.7, None, None), VSE_INFTY, frozen=False),
        _row("CLIP ViT-B/32, no training", (78.9, None, None, None), (58.8, None, None, None), OPEN_CLIP),
        _row("SigLIP SO400M-384, no training", (94.3, None, None, None), (83.0, None, None, None), OPEN_CLIP),
        _row("BLIP fine-tuned", (96.9, 99.9, 100.0, None), (87.5, 97.6, 98.9, None), LAVIS, frozen=False),
    ),
    ("coco", "1k"): (
        _row("BRNN, regions", (38.4, 69.9, 80.5, 1.0), (27.4, 60.2, 74.8, 3.0), KARPATHY),
        _row("Kiros repository, VGG-19", (43.4, 75.7, 85.8, 2), (31.0, 66.7, 79.9, 3), KIROS_REPO),
        _row("Kiros, PyTorch port", (38.1, 72.7, 84.7, 2), (31.7, 67.9, 81.2, 3), PORT),
        # The source says "1K" without saying whether that is one pass or five folds.
        _row("SCAN i-t LSE, regions", (68.4, 93.9, 98.0, None), (54.8, 86.1, 93.3, None), SURVEY),
        _row("VSRN, regions", (76.2, 94.8, 98.2, None), NONE, SURVEY),
        _row("SGRAF-SGR, regions", (78.0, 95.8, 98.2, None), NONE, SURVEY),
    ),
    ("coco", "5x1k"): (
        _row("VSE∞, regions, BERT", (79.7, 96.4, None, None), (64.8, 91.4, None, None), VSE_INFTY),
        _row("VSE∞, WSL grid", (84.5, 98.1, None, None), (72.0, 93.9, None, None), VSE_INFTY, frozen=False),
    ),
    ("coco", "5k"): (
        _row("BRNN, regions", (16.5, 39.2, 52.0, 9.0), (10.7, 29.6, 42.2, 14.0), KARPATHY),
        _row("VSE++ fine-tuned", (41.3, None, 81.2, None), (30.3, None, 72.4, None), GOT, frozen=False),
        _row("SCAN i-t LSE, regions", (46.4, 77.4, 87.2, None), (34.4, 63.7, 75.7, None), SURVEY),
        _row("VSRN, regions", (53.0, 81.1, 89.4, None), NONE, SURVEY),
        _row("SGRAF-SGR, regions", (56.9, None, 90.5, None), NONE, SURVEY),
        _row("CLIP ViT-B/32, no training", (50.1, None, None, None), (30.4, None, None, None), OPEN_CLIP),
        _row("SigLIP SO400M-384, no training", (72.4, None, None, None), (54.2, None, None, None), OPEN_CLIP),
        _row("BLIP fine-tuned", (82.0, 95.8, 98.1, None), (64.5, 86.0, 91.7, None), LAVIS, frozen=False),
    ),
}


def published_retrieval(dataset: str, setting: str) -> tuple[PublishedRow, ...]:
    """Return the rows for a data set such as "flickr8k" under a setting such as "1k", worst first."""
    rows = PUBLISHED.get((dataset.split("-")[0], setting), ())
    return tuple(sorted(rows, key=lambda row: row.scores["i2t_r1"] or 0.0))

"""Published errors of inversions."""

from eval.published.row import PublishedRow

SOURCE = "Mahendran and Vedaldi 2015, arXiv:1412.0035, smallest weight of the TV prior"

# By layer: distance of the features over the mean distance between two images, a share.
PUBLISHED = {
    "relu1": PublishedRow("CaffeNet", {"distance": 0.113}, SOURCE, recalled=True),
    "relu2": PublishedRow("CaffeNet", {"distance": 0.129}, SOURCE, recalled=True),
}

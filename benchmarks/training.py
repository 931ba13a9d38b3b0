"""Sentence-side training: batches of about equal length against padding every sentence to the longest.

Same sentences, same network, same number of updates; prints seconds per thousand sentences and the ratio last.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=2560)
    parser.add_argument("--preset", default="best", help="settings of the ranker (default: %(default)s)")
    return parser


def caption_lengths(count, random):
    """Return random lengths as of the captions of Flickr8K: mean 11, quartiles 8 and 13, longest 36."""
    import numpy as np

    lengths = np.clip(np.round(random.gamma(7.6, 1.43, count)), 1, 36).astype(int)
    lengths[0] = 36
    return lengths


def main() -> None:
    args = build_parser().parse_args()
    import numpy as np

    from vislang.core.seeds import seed_everything, stream
    from vislang.training.ranking import PairBatches
    from vse.config import CONFIGS
    from vse.model import Ranker
    from vse.training import ranking_task

    seed_everything(0)
    random = stream(0, "benchmark")
    config = CONFIGS[args.preset]
    lengths = caption_lengths(args.sentences, random)
    words = [random.integers(4, 4000, length).tolist() for length in lengths]

    class Descriptors:
        """Random cached features: one vector of each image."""

        is_resident = True
        table = random.normal(size=(args.sentences, 1, 1280)).astype(np.float32)

        def rows(self, indices):
            from keras import ops

            return ops.take(ops.convert_to_tensor(self.table), indices, axis=0)

    descriptors = Descriptors()

    def seconds(batching, pad_to) -> float:
        padded = [sentence + [0] * (pad_to - len(sentence)) for sentence in words]
        batches = PairBatches(
            padded, np.arange(len(words)), descriptors, batch_size=config.batch_size, batching=batching,
            same_image_is_negative=config.same_image_is_negative, seed=0,
        )  # fmt: skip
        batches.lengths = lengths
        task = ranking_task(Ranker(config, 4000, 1280), descriptors, config.epochs * len(batches))
        task.fit(batches, epochs=1, shuffle=False, verbose=0)  # traces the graph
        started = time.perf_counter()
        task.fit(batches, epochs=1, shuffle=False, verbose=0)
        return time.perf_counter() - started

    print(
        f"{args.sentences} sentences, mean length {lengths.mean():.1f}, longest {lengths.max()}, preset {args.preset}"
    )
    longest = seconds("shuffled", int(lengths.max()))
    print(f"padded to the longest         {1000 * longest / len(words):7.2f} s per 1000 sentences")
    in_batch = seconds("shuffled", 0)
    print(f"padded to each batch's longest{1000 * in_batch / len(words):7.2f} s per 1000 sentences")
    bucketed = seconds("bucketed", 0)
    print(f"length buckets                {1000 * bucketed / len(words):7.2f} s per 1000 sentences")
    print(f"ratio padded to the longest / length buckets: {longest / bucketed:.2f}")


if __name__ == "__main__":
    main()

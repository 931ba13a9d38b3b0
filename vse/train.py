"""Command: train a ranker on cached features. Killed at any moment, the same command goes on."""

import argparse
import sys
from typing import Any

from vislang.core.cli import run_command, training_parser
from vse.config import CONFIGS


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    return training_parser("vse.train", __doc__, CONFIGS)


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: train(args))


def train(args: argparse.Namespace) -> int:
    """Train as asked and say where the checkpoint lies."""
    import json

    from vislang.training.setup import read_training

    config, splits, cache = read_training(args, CONFIGS)
    rows = fit(args, config, splits, cache)
    if args.json:
        print(json.dumps(rows[-1]))
    else:
        print(f"{args.out}: best dev rsum {rows[-1]['best']:.1f} after {len(rows)} epochs")
    return 0


def fit(args: argparse.Namespace, config: Any, splits: dict[str, tuple], cache: Any) -> list[dict[str, Any]]:
    """Build everything, take up an earlier run if there is one, and train to the last epoch.

    Returns:
        the history, one row per epoch.
    """
    from datasets.records import captions_of
    from vislang.core.seeds import seed_everything
    from vislang.features.descriptors import CachedDescriptors
    from vislang.text.tokenizer import TOKENIZERS
    from vislang.training.batching import BATCHING
    from vislang.training.callbacks import ResumableTraining, fit_resumably
    from vislang.training.checkpoints import start_or_continue
    from vislang.training.setup import describe, fit_vocabulary
    from vse.inference import KIND, TrainedRanker, encode_words
    from vse.model import Ranker
    from vse.training import PairBatches, RankingTask

    seed_everything(args.seed)
    sentences, image_of_sentence = captions_of(splits["train"])
    limits = {"min_count": config.min_count, "drop_rarest": config.drop_rarest}
    vocabulary = fit_vocabulary(splits["train"], TOKENIZERS[config.tokenizer], **limits)
    descriptors = CachedDescriptors(
        cache, args.backbone, config.layers, [record.image_id for record in splits["train"]]
    )
    description = describe(args, KIND, config, splits, cache, descriptors.num_features)
    start_or_continue(args.out, description, vocabulary)

    ranker = Ranker(config, len(vocabulary), descriptors.num_features)
    if config.image_scaling == "standardised":
        ranker.set_feature_statistics(*descriptors.statistics())
    task = RankingTask(ranker, descriptors)
    batches = PairBatches(
        [encode_words(sentence, config, vocabulary) for sentence in sentences],
        image_of_sentence,
        descriptors,
        config=config,
        make_batches=BATCHING[config.batching],
        seed=args.seed,
    )
    task.prepare(config, len(batches))
    trained = TrainedRanker(ranker, vocabulary, description)
    keeper = ResumableTraining(
        args.out,
        lambda: validate(trained, cache, splits["dev"]),
        score="rsum",
        saved_model=ranker,
        every_updates=config.validate_updates,
    )
    return fit_resumably(task, batches, keeper, epochs=config.epochs, tensorboard=args.tensorboard)


def validate(trained: Any, cache: Any, records: tuple) -> dict[str, float]:
    """Rank a split both ways; gives rsum and the recalls."""
    from datasets.records import captions_of
    from eval.metrics.ranking import retrieval_ranks
    from eval.metrics.retrieval import retrieval_metrics, rsum

    sentences, image_of_sentence = captions_of(records)
    images = trained.encode_cached(cache, [record.image_id for record in records])
    metrics = retrieval_metrics(
        retrieval_ranks(images, trained.encode_sentences(sentences), image_of_sentence)
    ).to_json()
    return {"rsum": rsum(metrics), **metrics}


if __name__ == "__main__":
    sys.exit(main())

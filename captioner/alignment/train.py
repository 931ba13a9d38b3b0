"""Command: train the alignment of words and regions on cached features. Killed, the same command goes on."""

import argparse
import sys
from typing import Any

from captioner.alignment.config import ALIGNMENTS
from vislang.core.cli import run_command, training_parser


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    return training_parser("captioner.alignment.train", __doc__, ALIGNMENTS)


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: train(args))


def train(args: argparse.Namespace) -> int:
    """Train as asked and say where the checkpoint lies."""
    import json

    from vislang.training.setup import read_training

    config, splits, cache = read_training(args, ALIGNMENTS)
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
    from captioner.alignment.inference import KIND, TrainedAligner
    from captioner.alignment.model import Aligner
    from captioner.alignment.training import AlignmentTask, PairsOfImageAndSentence, encode_sentence
    from datasets.records import captions_of
    from vislang.core.seeds import seed_everything
    from vislang.features.descriptors import CachedDescriptors
    from vislang.text.tokenizer import tokenize
    from vislang.text.word_vectors import embedding_table
    from vislang.training.batching import BATCHING
    from vislang.training.callbacks import ResumableTraining, fit_resumably
    from vislang.training.checkpoints import start_or_continue
    from vislang.training.setup import describe, fit_vocabulary

    seed_everything(args.seed)
    sentences, image_of_sentence = captions_of(splits["train"])
    vocabulary = fit_vocabulary(splits["train"], tokenize, min_count=config.min_count)
    ids = [record.image_id for record in splits["train"]]
    descriptors = CachedDescriptors(cache, args.backbone, config.layers, ids)
    description = describe(args, KIND, config, splits, cache, descriptors.num_features)
    description["num_beside"] = descriptors.num_beside
    start_or_continue(args.out, description, vocabulary)
    aligner = Aligner(config, len(vocabulary), descriptors.num_features, descriptors.num_beside)
    if config.word_vectors:
        aligner.set_word_vectors(embedding_table(config.word_vectors, vocabulary, config.word_dim))
    if config.image_scaling.startswith("standardised"):
        aligner.regions.scaling.set_statistics(*descriptors.statistics())
    batches = PairsOfImageAndSentence(
        [encode_sentence(sentence, config, vocabulary) for sentence in sentences],
        image_of_sentence,
        descriptors,
        config=config,
        make_batches=BATCHING[config.batching],
        seed=args.seed,
    )
    task = AlignmentTask(aligner, descriptors)
    task.prepare(len(batches))
    trained = TrainedAligner(aligner, vocabulary, description)
    keeper = ResumableTraining(
        args.out,
        lambda: validate(trained, cache, splits["dev"]),
        score="rsum",
        saved_model=aligner,
        every_updates=config.validate_updates,
        kept=config.best_checkpoints,
    )
    return fit_resumably(task, batches, keeper, epochs=config.epochs, tensorboard=args.tensorboard)


def validate(trained: Any, cache: Any, records: tuple) -> dict[str, float]:
    """Rank a split both ways; gives rsum and the recalls."""
    from datasets.records import captions_of
    from eval.metrics.ranking import ranks_from_scores
    from eval.metrics.retrieval import retrieval_metrics, rsum

    sentences, image_of_sentence = captions_of(records)
    images = trained.encode_cached(cache, [record.image_id for record in records])
    scores = trained.scores(images, trained.encode_sentences(sentences))
    metrics = retrieval_metrics(ranks_from_scores(scores, image_of_sentence)).to_json()
    return {"rsum": rsum(metrics), **metrics}


if __name__ == "__main__":
    sys.exit(main())

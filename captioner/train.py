"""Command: train a captioner on cached features. Killed at any moment, the same command goes on."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import CONFIGS
from vislang.core.cli import run_command, training_parser

FIRST_PHASE = "cross-entropy"  # folder inside the checkpoint, a checkpoint of its own


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    return training_parser("captioner.train", __doc__, CONFIGS)


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
        last = rows[-1]
        print(f"{args.out}: dev CIDEr {100 * last['cider']:.1f}, perplexity {last['perplexity']:.2f}")
    return 0


def fit(args: argparse.Namespace, config: Any, splits: dict[str, tuple], cache: Any) -> list[dict[str, Any]]:
    """Build everything and train, by cross-entropy and then, where the settings ask for it, self-critically.

    Returns:
        the history, one row per epoch.
    """
    from captioner.inference import KIND, TrainedCaptioner
    from captioner.models.ensemble import Captioner
    from captioner.training.cross_entropy import encode_caption, start_biases
    from vislang.core.seeds import seed_everything
    from vislang.features.descriptors import CachedDescriptors
    from vislang.text.tokenizer import tokenize
    from vislang.training.setup import describe, fit_vocabulary

    seed_everything(args.seed)
    vocabulary = fit_vocabulary(splits["train"], tokenize, min_count=config.min_count)
    descriptors = CachedDescriptors(
        cache, args.backbone, config.layers, [record.image_id for record in splits["train"]]
    )
    description = describe(args, KIND, config, splits, cache, descriptors.num_features)
    captioner = Captioner(config, len(vocabulary), descriptors.num_features)
    words = [[encode_caption(caption, config, vocabulary) for caption in record.captions] for record in splits["train"]]
    captioner.set_output_bias(start_biases([caption for image in words for caption in image], len(vocabulary)))
    if config.image_scaling == "standardised":
        captioner.set_feature_statistics(*descriptors.statistics())
    trained = TrainedCaptioner(captioner, vocabulary, description)
    run = Run(args, trained, descriptors, cache, splits)
    if config.self_critical_epochs:
        rows = self_critical(run, cross_entropy(run, words, args.out / FIRST_PHASE))
    else:
        rows = cross_entropy(run, words, args.out)
    if config.consensus_images:
        save_consensus_reranker(run, words)
    return rows


@dataclass(frozen=True)
class Run:
    """What both phases of a training share."""

    args: argparse.Namespace
    trained: Any
    descriptors: Any
    cache: Any
    splits: dict[str, tuple]

    def keeper(self, folder: Path) -> Any:
        """Begin the folder, or check that it holds this run; give the callback that keeps it up to date."""
        from vislang.training.callbacks import ResumableTraining
        from vislang.training.checkpoints import start_or_continue

        start_or_continue(folder, self.trained.description, self.trained.vocabulary)
        return ResumableTraining(
            folder,
            lambda: validate(self.trained, self.cache, self.splits["dev"]),
            score="score",
            saved_model=self.trained.network,
        )

    def train(self, task: Any, batches: Any, keeper: Any, *, first: int, epochs: int) -> list[dict[str, Any]]:
        """Train from where the folder stands to epoch `first + epochs`."""
        from vislang.training.callbacks import fit_resumably

        tensorboard = self.args.tensorboard
        return fit_resumably(task, batches, keeper, first=first, epochs=first + epochs, tensorboard=tensorboard)


def cross_entropy(run: Run, words: list[list[list[int]]], folder: Path) -> list[dict[str, Any]]:
    """Train on the captions that people wrote.

    Args:
        run: what is trained.
        words: for each training image the word numbers of its captions.
        folder: the checkpoint.
    """
    from captioner.training.cider_rewards import cider_weights
    from captioner.training.cross_entropy import CaptionBatches, CaptionTask
    from vislang.training.batching import BATCHING

    config = run.trained.config
    flat = [caption for image in words for caption in image]
    owners = [row for row, image in enumerate(words) for _ in image]
    weights = None
    if config.weighted_cross_entropy:
        weights = cider_weights(run.splits["train"], config.weighted_cross_entropy)
    batches = CaptionBatches(
        flat,
        np.asarray(owners),
        run.descriptors,
        config=config,
        make_batches=BATCHING[config.batching],
        seed=run.args.seed,
        weights=weights,
    )
    task = CaptionTask(run.trained.network, run.descriptors)
    task.prepare(len(batches))
    return run.train(task, batches, run.keeper(folder), first=0, epochs=config.epochs)


def self_critical(run: Run, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Go on from the best weights of the first phase with rewards for whole captions.

    Args:
        run: what is trained.
        rows: the first phase's history.
    """
    from captioner.training.cider_rewards import cider_reward
    from captioner.training.self_critical import ImageBatches, SelfCriticalTask
    from vislang.training import checkpoints

    config, network = run.trained.config, run.trained.network
    keeper = run.keeper(run.args.out)
    checkpoints.load_weights(network, run.args.out / FIRST_PHASE)
    if not (run.args.out / checkpoints.STATE).is_file():
        checkpoints.save_weights(network, run.args.out)  # the second phase has to beat them
    keeper.rows, keeper.best, keeper.epochs_done = list(rows), max(row["score"] for row in rows), config.epochs
    batch_size = max(1, config.batch_size // config.self_critical_samples)
    batches = ImageBatches(len(run.descriptors), run.descriptors, batch_size=batch_size, seed=run.args.seed)
    task = SelfCriticalTask(network, run.descriptors, cider_reward(run.trained.vocabulary, run.splits["train"]))
    task.prepare(len(batches))
    return run.train(task, batches, keeper, first=config.epochs, epochs=config.self_critical_epochs)


def save_consensus_reranker(run: Run, words: list[list[list[int]]]) -> None:
    """Write the embeddings of the training images by the best weights, and their captions, into the checkpoint.

    Args:
        run: what was trained.
        words: as for `cross_entropy`.
    """
    from keras import ops

    from captioner.decoding.consensus_reranking import ConsensusReranker
    from captioner.training.cross_entropy import padded
    from vislang.training import checkpoints

    network = run.trained.network
    checkpoints.load_weights(network, run.args.out)
    embeddings = [
        np.asarray(network.predict_image_embeddings(block, ops.ones(block.shape[:2], "bool")), np.float16)
        for block in run.descriptors.blocks(64)
    ]
    captions = padded([caption[:-1] for image in words for caption in image])
    captions = captions.astype(np.min_scalar_type(captions.max()))
    image_of_caption = np.repeat(np.arange(len(words), dtype=np.int32), [len(image) for image in words])
    reranker = ConsensusReranker(
        embeddings=np.concatenate(embeddings), words=captions, image_of_caption=image_of_caption
    )
    reranker.save(run.args.out)


def validate(trained: Any, cache: Any, records: tuple) -> dict[str, float]:
    """Caption a split greedily and score it without Java; the best weights have the highest "score"."""
    from eval.metrics.captions.ptb_tokenizer import TREEBANK
    from eval.metrics.captions.score import score_captions

    ids = [record.image_id for record in records]
    references = {record.image_id: record.captions for record in records}
    written = trained.caption_cached(cache, ids, options=trained.options(method="greedy", width=1))
    captions = {image: found[0].text for image, found in zip(ids, written, strict=True)}
    scores = score_captions(captions, references, metrics=("bleu", "cider"), tokenizer=TREEBANK).corpus
    perplexity = trained.perplexity(cache, ids, [record.captions for record in records])
    score = scores["cider"] if trained.config.select_by == "cider" else -perplexity
    return {"score": score, "cider": scores["cider"], "bleu4": scores["bleu4"], "perplexity": perplexity}


if __name__ == "__main__":
    sys.exit(main())

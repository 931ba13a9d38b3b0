"""The captioner's training: cross-entropy on human captions, then, if asked for, self-critical training."""

import argparse
from dataclasses import dataclass

import numpy as np
from keras import ops

from captioner.config import CONFIGS, CaptionerConfig
from captioner.decoding.consensus_reranking import ConsensusReranker
from captioner.decoding.options import DecodeOptions
from captioner.inference import KIND, TrainedCaptioner
from captioner.models.ensemble import Captioner
from captioner.training.cider_rewards import cider_reward, cider_weights
from captioner.training.cross_entropy import CaptionBatches, CaptionTask, caption_task, encode_caption, start_biases
from captioner.training.self_critical import ImageBatches, SelfCriticalTask, self_critical_task
from eval.metrics.captions.ptb_tokenizer import TREEBANK
from eval.metrics.captions.score import score_captions
from vislang.text.tokenizer import tokenize
from vislang.training import checkpoints
from vislang.training.cached_data import CachedData, describe_cached_data, read_cached_data
from vislang.training.callbacks import Row
from vislang.training.epoch_batches import pad_sentences
from vislang.training.fit import Report, Run, Stage, TrainingSpec

FIRST_STAGE = "cross-entropy"  # folder of its checkpoint, where a second stage follows


@dataclass(frozen=True, kw_only=True)
class CaptionData(CachedData):
    """What a captioner learns from.

    Attributes:
        words: for each training image the word ids of each of its captions, end mark included.
    """

    words: list[list[list[int]]]

    def all_words(self) -> list[list[int]]:
        """Return the word ids of all M captions, image after image."""
        return [caption for image in self.words for caption in image]


def read_data(args: argparse.Namespace, config: CaptionerConfig) -> CaptionData:
    """Read captions and features; see `read_cached_data`."""
    data = read_cached_data(args, config, tokenize, min_count=config.min_count)
    words = []
    for record in data.train:
        words.append([encode_caption(caption, config, data.vocabulary) for caption in record.captions])
    return CaptionData(**vars(data), words=words)


def make_captioner(data: CaptionData) -> Captioner:
    """Build the network for the training data."""
    return Captioner(data.config, len(data.vocabulary), data.descriptors.num_features)


def set_statistics(run: Run) -> None:
    """Set the output biases to word frequencies, and the statistics of the features."""
    run.model.set_output_bias(start_biases(run.data.all_words(), len(run.data.vocabulary)))
    if run.config.image_scaling.startswith("standardised"):
        run.model.set_feature_statistics(*run.data.descriptors.statistics())


def stages(run: Run) -> list[Stage]:
    """Return cross-entropy training and, where the settings ask for it, self-critical training."""
    config = run.config
    if not config.self_critical_epochs:
        return [Stage(caption_batches, make_caption_task, config.epochs)]
    return [
        Stage(caption_batches, make_caption_task, config.epochs, folder=FIRST_STAGE),
        Stage(image_batches, make_self_critical_task, config.self_critical_epochs),
    ]


def caption_batches(run: Run) -> CaptionBatches:
    """Return the training captions with their images, in seeded batches."""
    config = run.config
    weights = None
    if config.weighted_cross_entropy:
        weights = cider_weights(run.data.train, config.weighted_cross_entropy)
    return CaptionBatches(
        run.data.all_words(),
        run.data.captions()[1],
        run.data.descriptors,
        batch_size=config.batch_size,
        batching=config.batching,
        seed=run.args.seed,
        weights=weights,
    )


def make_caption_task(run: Run, updates: int) -> CaptionTask:
    """Return the compiled model of the cross-entropy stage."""
    return caption_task(run.model, run.data.descriptors, updates)


def image_batches(run: Run) -> ImageBatches:
    """Return the training images, in seeded batches with as many samples as the first stage's have captions."""
    batch_size = max(1, run.config.batch_size // run.config.self_critical_samples)
    return ImageBatches(run.data.descriptors, batch_size=batch_size, seed=run.args.seed)


def make_self_critical_task(run: Run, updates: int) -> SelfCriticalTask:
    """Return the compiled model of the self-critical stage, rewarded by CIDEr-D."""
    reward = cider_reward(run.data.vocabulary, run.data.train)
    return self_critical_task(run.model, run.data.descriptors, reward, updates)


def validate(run: Run) -> dict[str, float]:
    """Caption the dev split greedily and score it without Java; the best weights have the highest "score"."""
    trained = TrainedCaptioner(run.model, run.data.vocabulary, run.description)
    ids = [record.image_id for record in run.data.dev]
    references = {record.image_id: record.captions for record in run.data.dev}
    options = DecodeOptions(method="greedy")
    found = trained.caption_cached(run.data.cache, ids, options=options)
    captions = {image_id: best[0].text for image_id, best in zip(ids, found, strict=True)}
    scores = score_captions(captions, references, metrics=("bleu", "cider"), tokenizer=TREEBANK).corpus
    perplexity = trained.perplexity(run.data.cache, ids, list(references.values()))
    score = -perplexity
    if run.config.select_by == "cider":
        score = scores["cider"]
    return {"score": score, "cider": scores["cider"], "bleu4": scores["bleu4"], "perplexity": perplexity}


def save_consensus_reranker(run: Run) -> None:
    """Add the training images' embeddings by the best weights, and their captions, to the checkpoint."""
    if not run.config.consensus_images:
        return
    checkpoints.load_weights(run.model, run.args.out)
    embeddings = []
    for block in run.data.descriptors.blocks(64):
        mask = ops.ones(block.shape[:2], "bool")
        embeddings.append(np.asarray(run.model.predict_image_embeddings(block, mask), np.float16))
    captions = pad_sentences([caption[:-1] for caption in run.data.all_words()])
    captions = captions.astype(np.min_scalar_type(captions.max()))
    reranker = ConsensusReranker(
        embeddings=np.concatenate(embeddings),
        words=captions,
        image_of_caption=run.data.captions()[1].astype(np.int32),
    )
    reranker.save(run.args.out)


def report(run: Run, rows: list[Row]) -> Report:
    """Return what the command prints."""
    last = rows[-1]
    text = f"{run.args.out}: dev CIDEr {100 * last['cider']:.1f}, perplexity {last['perplexity']:.2f}"
    return Report(last, text, {})


SPEC = TrainingSpec(
    kind=KIND,
    configs=CONFIGS,
    read_data=read_data,
    make_model=make_captioner,
    describe=describe_cached_data,
    initialize=set_statistics,
    stages=stages,
    validate=validate,
    score="score",
    finish=save_consensus_reranker,
    report=report,
)
